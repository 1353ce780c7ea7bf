/* gust bench: how fast a model runs here, and how close that is to what the
 * machine allows. */
#include <stdlib.h>

#include "bench_run.h"
#include "cli/commands.h"
#include "cli/interrupt.h"

#define DEFAULT_PROMPT "512"
#define DEFAULT_GEN "128"
#define DEFAULT_DEPTH "0"
#define DEFAULT_REPETITIONS 5

typedef struct bench_own {
  option_value synthetic, type, prompt, gen, depth, reps, json, csv, markdown;
} bench_own;

typedef struct bench_values {
  bench_own own;
  model_values model;
} bench_values;

static const cli_option own_options[] = {
    {.name = "synthetic",
     .kind = OPTION_CHOICE,
     .argument = "mistral-7b|zephyr-7b|llama-2-7b|llama-2-13b|demo",
     .help = "instead of MODEL: random weights in the shape of a known model",
     .place = offsetof(bench_own, synthetic)},
    {.name = "type",
     .kind = OPTION_CHOICE,
     .argument = MATRIX_TYPES,
     .help = "type of the random weights; default q4",
     .place = offsetof(bench_own, type)},
    {.name = "prompt",
     .kind = OPTION_TEXT,
     .argument = "N,...",
     .help = "tokens to read at once; 0: none; default 512",
     .place = offsetof(bench_own, prompt)},
    {.name = "gen",
     .kind = OPTION_TEXT,
     .argument = "N,...",
     .help = "tokens to go on by, one at a time; 0: none; default 128",
     .place = offsetof(bench_own, gen)},
    {.name = "depth",
     .kind = OPTION_TEXT,
     .argument = "N,...",
     .help = "tokens in the context before these; default 0",
     .place = offsetof(bench_own, depth)},
    {.name = "reps",
     .kind = OPTION_COUNT,
     .argument = "N",
     .help = "repetitions that count, after one that does not; default 5",
     .least = 1,
     .most = 1000,
     .place = offsetof(bench_own, reps)},
    {.name = "json",
     .kind = OPTION_FLAG,
     .help = "print the result as JSON",
     .place = offsetof(bench_own, json)},
    {.name = "csv",
     .kind = OPTION_FLAG,
     .help = "print the result as comma-separated values with a line of names",
     .place = offsetof(bench_own, csv)},
    {.name = "md",
     .kind = OPTION_FLAG,
     .help = "print the result as a Markdown table",
     .place = offsetof(bench_own, markdown)},
    {.name = NULL},
};

/* Reads one list; OPTIONS_GO or 2. */
static int read_list(const cli_command *command, const char *name, const option_value *value,
                     const char *otherwise, count_list *list) {
  const size_t most = CONTEXT_MAX_POSITIONS / 2;
  const char *text = value->given ? value->text : otherwise;
  if (count_list_read(list, text, most)) return OPTIONS_GO;
  return command_misuse(command,
                        "--%s: expected up to %u whole numbers from 0 to %zu, separated by commas, "
                        "found '%s'",
                        name, COUNT_LIST_MOST, most, text);
}

static int read_lists(const cli_command *command, const bench_own *own, bench_request *request) {
  int code = read_list(command, "prompt", &own->prompt, DEFAULT_PROMPT, &request->prompts);
  if (code == OPTIONS_GO) code = read_list(command, "gen", &own->gen, DEFAULT_GEN, &request->gens);
  if (code == OPTIONS_GO)
    code = read_list(command, "depth", &own->depth, DEFAULT_DEPTH, &request->depths);
  if (code != OPTIONS_GO) return code;
  const count_list *prompts = &request->prompts, *gens = &request->gens;
  for (size_t i = 0; i < prompts->count || i < gens->count; i++)
    if ((i >= prompts->count || prompts->values[i] == 0) &&
        (i >= gens->count || gens->values[i] == 0))
      return command_misuse(command, "--prompt 0 and --gen 0 leave nothing to measure");
  return OPTIONS_GO;
}

/* What the option tables cannot say. Returns OPTIONS_GO or 2. */
static int make_request(const cli_command *command, const bench_values *values, const char *path,
                        bench_request *request) {
  const bench_own *own = &values->own;
  if (own->synthetic.given == (path != NULL))
    return command_misuse(command, "expected either MODEL or --synthetic; usage: gust %s %s",
                          command->name, command->synopsis);
  if (own->type.given && path)
    return command_misuse(command, "--type goes with --synthetic; the file has its types");
  if (values->model.load.given && values->model.load.count == GUST_LOAD_MMAP && !path)
    return command_misuse(command, "--load mmap needs a file to map; --synthetic has none");
  if (own->json.given + own->csv.given + own->markdown.given > 1)
    return command_misuse(command, "expected at most one of --json, --csv and --md");
  request->path = path;
  request->shape = own->synthetic.text;
  request->type = own->type.given ? own->type.text : "q4";
  request->repetitions = own->reps.given ? (size_t)own->reps.count : DEFAULT_REPETITIONS;
  request->running = &values->model;
  return read_lists(command, own, request);
}

static void print_report(const bench_report *report, const bench_own *own) {
  if (own->json.given)
    bench_report_json(report);
  else if (own->csv.given)
    bench_report_csv(report);
  else if (own->markdown.given)
    bench_report_markdown(report);
  else
    bench_report_text(report);
}

static int bench(const cli_command *command, int argc, char **argv) {
  bench_values values = {0};
  bench_request request = {0};
  const char *operands[COMMAND_MAX_OPERANDS];
  int code = options_parse(command, argc, argv, &values, operands);
  if (code == OPTIONS_GO) code = model_options_check(command, &values.model);
  if (code == OPTIONS_GO) code = make_request(command, &values, operands[0], &request);
  if (code != OPTIONS_GO) return code;
  interrupt_install();
  gust_error err = {0};
  gust_model *model = NULL;
  bench_report report = {0};
  gust_status status = bench_run(&report, &model, command, &request, &err);
  if (status == GUST_OK) {
    print_report(&report, &values.own);
    status = command_flush(&err);
  }
  free(report.rows);
  gust_model_close(model);
  return status == GUST_OK ? 0 : command_fail(command, &err);
}

const cli_command command_bench = {
    .name = "bench",
    .summary = "measure tokens per second, and the machine's limit",
    .synopsis = "MODEL | --synthetic SHAPE [--type " MATRIX_TYPES "] [options]",
    .description =
        "Measures reading a prompt (prefill) and going on token by token (decode): the median of "
        "several repetitions, with the least and the most. Beside them stand what the machine "
        "allows: how fast its threads read memory, which limits decode, and how fast they "
        "multiply and add 8-bit integers, which limits prefill; both are measured around every "
        "repetition. Drawing tokens is not in it; tokens are random numbers of a fixed seed. With "
        "--synthetic no file is needed.\n"
        "--prompt, --gen and --depth take lists: at every depth the first prompt goes with the "
        "first answer, the second with the second, and so on, one row of results each.",
    .operands = {"MODEL"},
    .optional_operands = 1,
    .groups = {{"Options", own_options, offsetof(bench_values, own)},
               {"Running", model_options, offsetof(bench_values, model)}},
    .run = bench,
};

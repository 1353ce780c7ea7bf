/* gust bench: how fast a model runs here, and how close that is to what the
 * machine allows. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bandwidth_probe.h"
#include "bench_report.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/model_options.h"
#include "cli/progress.h"
#include "multiply_probe.h"

#define DEFAULT_PROMPT 512
#define DEFAULT_GEN 128
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
     .argument = "q4|q8|bf16|f32",
     .help = "type of the random weights; default q4",
     .place = offsetof(bench_own, type)},
    {.name = "prompt",
     .kind = OPTION_COUNT,
     .argument = "N",
     .help = "tokens to read at once; 0: none; default 512",
     .most = CONTEXT_MAX_POSITIONS / 2,
     .place = offsetof(bench_own, prompt)},
    {.name = "gen",
     .kind = OPTION_COUNT,
     .argument = "N",
     .help = "tokens to go on by, one at a time; 0: none; default 128",
     .most = CONTEXT_MAX_POSITIONS / 2,
     .place = offsetof(bench_own, gen)},
    {.name = "depth",
     .kind = OPTION_COUNT,
     .argument = "N",
     .help = "tokens in the context before going on; default 0",
     .most = CONTEXT_MAX_POSITIONS / 2,
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

static size_t count_or(const option_value *value, size_t otherwise) {
  return value->given ? (size_t)value->count : otherwise;
}

static throughput_plan plan_of(const bench_own *own) {
  return (throughput_plan){.prompt = count_or(&own->prompt, DEFAULT_PROMPT),
                           .gen = count_or(&own->gen, DEFAULT_GEN),
                           .depth = count_or(&own->depth, 0),
                           .repetitions = count_or(&own->reps, DEFAULT_REPETITIONS)};
}

/* What the option tables cannot say. Returns OPTIONS_GO or 2. */
static int check_values(const cli_command *command, const bench_values *values, const char *path) {
  const bench_own *own = &values->own;
  throughput_plan plan = plan_of(own);
  if (own->synthetic.given == (path != NULL))
    return command_misuse(command, "expected either MODEL or --synthetic; usage: gust %s %s",
                          command->name, command->synopsis);
  if (own->type.given && path)
    return command_misuse(command, "--type goes with --synthetic; the file has its types");
  if (values->model.load.given && values->model.load.count == GUST_LOAD_MMAP && !path)
    return command_misuse(command, "--load mmap needs a file to map; --synthetic has none");
  if (own->json.given + own->csv.given + own->markdown.given > 1)
    return command_misuse(command, "expected at most one of --json, --csv and --md");
  if (plan.prompt == 0 && plan.gen == 0)
    return command_misuse(command, "--prompt 0 and --gen 0 leave nothing to measure");
  return OPTIONS_GO;
}

/* --- limits of the machine ------------------------------------------------------------- */

/* Before the model takes its memory. */
static gust_status probe_memory(double *bandwidth, const model_values *values, gust_error *err) {
  unsigned threads =
      values->threads.given ? (unsigned)values->threads.count : gust_default_threads();
  gust_pool *pool = gust_pool_create(threads);
  if (!pool)
    return command_error(err, GUST_E_MEMORY, "cannot start %u threads; use fewer (--threads)",
                         threads);
  progress_line progress;
  progress_begin(&progress, "measuring memory", PROGRESS_BYTES, values->quiet.given);
  gust_status status = probe_read_bandwidth(bandwidth, pool, 0, progress_update, &progress, err);
  progress_end(&progress);
  gust_pool_destroy(pool);
  return status;
}

/* Multiply-adds of weights that reading a prompt takes; NaN when some matrices
 * are no integers. All but the embedding, which is looked up, and the head, which
 * only the last token needs. */
static double prompt_multiply_adds(const gust_model *model, size_t prompt) {
  const gust_model_info *info = gust_model_get_info(model);
  double sum = 0, vocabulary = (double)info->vocab_size * info->hidden_size;
  gust_tensor_info tensor;
  for (size_t i = 0; i < info->tensor_count; i++) {
    if (gust_model_get_tensor(model, i, &tensor) != GUST_OK || tensor.rank != 2) continue;
    if (tensor.type[0] != 'q') return (double)NAN;
    if (strncmp(tensor.name, "model.layers.", 13) == 0)
      sum += (double)tensor.shape[0] * (double)tensor.shape[1];
  }
  return sum * (double)prompt + vocabulary;
}

static void probe_prefill(bench_report *report, const gust_model *model) {
  size_t prompt = report->plan.prompt;
  report->multiply_adds = report->multiply_peak = (double)NAN;
  double needed = prompt_multiply_adds(model, prompt);
  if (prompt == 0 || isnan(needed)) return;
  report->multiply_adds = needed * report->speed.prefill.median / (double)prompt;
  gust_pool *pool = gust_pool_create(report->threads);
  double peak = pool ? probe_multiply_adds(pool, report->cpu) : 0;
  gust_pool_destroy(pool);
  if (peak > 0) report->multiply_peak = peak;
}

/* --- the benchmark --------------------------------------------------------------------- */

static gust_status open_model(gust_model **model, const cli_command *command,
                              const bench_values *values, const char *path, gust_error *err) {
  if (path) return model_options_open(model, command, path, &values->model, err);
  const bench_own *own = &values->own;
  const char *type = own->type.given ? own->type.text : "q4";
  progress_line progress;
  progress_begin(&progress, "making weights", PROGRESS_BYTES, values->model.quiet.given);
  gust_status status = gust_model_create_synthetic(model, own->synthetic.text, type,
                                                   progress_update, &progress, err);
  progress_end(&progress);
  return status;
}

static gust_status run_plan(bench_report *report, const cli_command *command,
                            const gust_model *model, const model_values *values, gust_error *err) {
  gust_context *context;
  gust_status status = model_options_context(&context, command, model, values,
                                             throughput_positions(&report->plan), err);
  if (status) return status;
  report->cpu = gust_context_cpu(context);
  report->threads = gust_context_threads(context);
  progress_line progress;
  progress_begin(&progress, "measuring", PROGRESS_TOKENS, values->quiet.given);
  report->plan.progress = progress_update;
  report->plan.user = &progress;
  status = throughput_measure(&report->speed, context, gust_model_get_info(model)->vocab_size,
                              &report->plan, err);
  progress_end(&progress);
  report->plan.progress = NULL;
  report->plan.user = NULL;
  gust_context_destroy(context);
  if (!status) probe_prefill(report, model);
  return status;
}

static gust_status measure(bench_report *report, const cli_command *command,
                           const bench_values *values, const char *path, gust_model **model,
                           gust_error *err) {
  gust_status status = probe_memory(&report->bandwidth, &values->model, err);
  if (!status) status = open_model(model, command, values, path, err);
  if (status) return status;
  const gust_model_info *info = gust_model_get_info(*model);
  const bench_own *own = &values->own;
  report->model = path ? path : own->synthetic.text;
  if (!path) report->type = own->type.given ? own->type.text : "q4";
  report->load = info->load == GUST_LOAD_COPY ? "copy" : "mmap";
  report->kv = model_options_kv_name(&values->model);
  report->weight_bytes_per_token = info->weight_bytes_per_token;
  report->plan = plan_of(own);
  cpu_name(report->cpu_model);
  return run_plan(report, command, *model, &values->model, err);
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
  const char *operands[COMMAND_MAX_OPERANDS];
  int code = options_parse(command, argc, argv, &values, operands);
  if (code == OPTIONS_GO) code = model_options_check(command, &values.model);
  if (code == OPTIONS_GO) code = check_values(command, &values, operands[0]);
  if (code != OPTIONS_GO) return code;
  interrupt_install();
  gust_error err = {0};
  gust_model *model = NULL;
  bench_report report = {0};
  gust_status status = measure(&report, command, &values, operands[0], &model, &err);
  if (status == GUST_OK) {
    print_report(&report, &values.own);
    status = command_flush(&err);
  }
  gust_model_close(model);
  return status == GUST_OK ? 0 : command_fail(command, &err);
}

const cli_command command_bench = {
    .name = "bench",
    .summary = "measure tokens per second, and the machine's limit",
    .synopsis = "MODEL | --synthetic SHAPE [--type q4|q8|bf16|f32] [options]",
    .description =
        "Measures reading a prompt (prefill) and going on token by token (decode): the median of "
        "several repetitions, with the least and the most. Beside them stand what the machine "
        "allows: how fast its threads read memory, which limits decode, and how fast they "
        "multiply and add 8-bit integers, which limits prefill. Drawing tokens is not in it; "
        "tokens are random numbers of a fixed seed. With --synthetic no file is needed.",
    .operands = {"MODEL"},
    .optional_operands = 1,
    .groups = {{"Options", own_options, offsetof(bench_values, own)},
               {"Running", model_options, offsetof(bench_values, model)}},
    .run = bench,
};

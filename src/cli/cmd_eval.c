/* gust eval: the quality of a file, measured on a text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "evaluation_pair.h"
#include "evaluation_report.h"
#include "input.h"
#include "interrupt.h"
#include "kl_chart.h"
#include "output_file.h"

#define DEFAULT_CHUNK 512u
#define DEFAULT_WORST 5u
#define MOST_WORST 1000u

typedef struct eval_own {
  option_value text, chunk, chunks, against, worst, svg, json;
} eval_own;

typedef struct eval_values {
  eval_own own;
  model_values model;
} eval_values;

static const cli_option own_options[] = {
    {.name = "text",
     .kind = OPTION_TEXT,
     .argument = "FILE",
     .help = "the text to predict; needed",
     .place = offsetof(eval_own, text)},
    {.name = "ctx",
     .kind = OPTION_COUNT,
     .argument = "N",
     .help = "tokens per chunk, of which the second half is scored; default 512",
     .least = 4,
     .most = CONTEXT_MAX_POSITIONS,
     .place = offsetof(eval_own, chunk)},
    {.name = "chunks",
     .kind = OPTION_COUNT,
     .argument = "N",
     .help = "score the first N chunks only; default: all",
     .least = 1,
     .most = UINT32_MAX,
     .place = offsetof(eval_own, chunks)},
    {.name = "against",
     .kind = OPTION_TEXT,
     .argument = "FILE",
     .help = "a .gust file of the same model; measures the divergence from it",
     .place = offsetof(eval_own, against)},
    {.name = "worst",
     .kind = OPTION_COUNT,
     .argument = "N",
     .help = "list the N tokens of largest divergence, or without --against the least expected "
             "ones; default 5",
     .most = MOST_WORST,
     .place = offsetof(eval_own, worst)},
    {.name = "svg",
     .kind = OPTION_TEXT,
     .argument = "FILE",
     .help = "draw the distribution of the divergence; needs --against",
     .place = offsetof(eval_own, svg)},
    {.name = "json",
     .kind = OPTION_FLAG,
     .help = "print the result as JSON",
     .place = offsetof(eval_own, json)},
    {.name = NULL},
};

/* --- the result ------------------------------------------------------------------- */

static gust_status print_result(const evaluation *result, const evaluation_summary *summary,
                                const evaluation_places *worst, bool json_wanted, gust_error *err) {
  gust_status status;
  if (json_wanted) {
    json_out json = {.file = stdout};
    json_out_open_object(&json, NULL, true);
    evaluation_report_json(&json, summary, worst->chunk);
    status = evaluation_report_worst_json(&json, result, worst, err);
    json_out_close(&json);
  } else {
    evaluation_report_table(summary, worst->chunk);
    status = evaluation_report_worst_table(result, worst, err);
  }
  return status == GUST_OK ? command_flush(err) : status;
}

static gust_status report(const evaluation_pair *pair, const eval_values *values, const char *path,
                          const evaluation *result, gust_error *err) {
  const eval_own *own = &values->own;
  size_t places[MOST_WORST], count;
  size_t most = own->worst.given ? (size_t)own->worst.count : DEFAULT_WORST;
  evaluation_summary summary = {0};
  gust_status status = evaluation_summarize(&summary, result, err);
  if (status == GUST_OK) status = evaluation_worst(result, places, most, &count, err);
  if (status == GUST_OK) {
    const evaluation_places worst = {pair->model.model, pair->model.ids, pair->chunk, places,
                                     count};
    status = print_result(result, &summary, &worst, own->json.given, err);
  }
  if (status == GUST_OK && own->svg.given)
    status = kl_chart_write(own->svg.text, &summary, path, own->against.text, err);
  evaluation_summary_clear(&summary);
  return status;
}

static int eval(const cli_command *command, int argc, char **argv) {
  eval_values values = {0};
  const char *operands[COMMAND_MAX_OPERANDS];
  int code = options_parse(command, argc, argv, &values, operands);
  if (code == OPTIONS_GO) code = model_options_check(command, &values.model);
  if (code != OPTIONS_GO) return code;
  if (!values.own.text.given)
    return command_misuse(command, "--text FILE is missing; usage: gust %s %s", command->name,
                          command->synopsis);
  if (values.own.svg.given && !values.own.against.given)
    return command_misuse(command, "--svg draws a divergence; say from what with --against FILE");
  if (values.own.svg.given && strcmp(values.own.svg.text, "-") == 0)
    return command_misuse(command,
                          "--svg: expected the name of a file, found '-'; standard output is for "
                          "the figures: give it a name");
  interrupt_install();
  gust_error err = {0};
  evaluation result = {0};
  char *text = NULL;
  evaluation_pair pair = {
      .command = command,
      .values = &values.model,
      .text_name = values.own.text.text,
      .chunk = values.own.chunk.given ? (size_t)values.own.chunk.count : DEFAULT_CHUNK,
      .chunks = values.own.chunks.count,
      .note_fewer = !values.model.quiet.given};
  gust_status status = GUST_OK;
  if (values.own.svg.given) status = output_file_check(values.own.svg.text, &err);
  if (status == GUST_OK) status = input_read(values.own.text.text, &text, &pair.bytes, &err);
  pair.text = text;
  if (status == GUST_OK)
    status = evaluation_pair_run(&pair, operands[0], values.own.against.text, &result, &err);
  if (status == GUST_OK) status = report(&pair, &values, operands[0], &result, &err);
  evaluation_clear(&result);
  evaluation_pair_close(&pair);
  free(text);
  return status == GUST_OK ? 0 : command_fail(command, &err);
}

const cli_command command_eval = {
    .name = "eval",
    .summary = "measure how well a model predicts a text",
    .synopsis = "MODEL --text FILE [--against REFERENCE.gust] [options]",
    .description =
        "Cuts the text into chunks, starts each with the begin-of-sequence id and scores its "
        "second half: mean negative log-likelihood and perplexity. With --against also the "
        "Kullback-Leibler divergence of the model's predictions from the reference's (mean and "
        "quantiles), how often their likeliest tokens agree, and where they differ most.\n"
        "What follows +/- is the standard error of the mean, taken over the means of the chunks, "
        "since the tokens of a chunk are no independent draws.",
    .operands = {"MODEL"},
    .groups = {{"Options", own_options, offsetof(eval_values, own)},
               {"Running", model_options, offsetof(eval_values, model)}},
    .run = eval,
};

/* gust eval: the quality of a file, measured on a text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "evaluation_report.h"
#include "input.h"
#include "interrupt.h"
#include "kl_chart.h"
#include "model_options.h"
#include "progress.h"

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

/* One of the two models; zero-filled, any part may be missing at the end. */
typedef struct eval_side {
  gust_model *model;
  gust_context *context;
  int32_t *ids;
  size_t count;
} eval_side;

typedef struct eval_state {
  eval_side model, reference;
  char *text;
  size_t bytes;
} eval_state;

static gust_status open_side(eval_side *side, const cli_command *command, const char *path,
                             const eval_values *values, const eval_state *state, size_t chunk,
                             gust_error *err) {
  gust_status status = model_options_open(&side->model, command, path, &values->model, err);
  if (status == GUST_OK)
    status =
        model_options_context(&side->context, command, side->model, &values->model, chunk, err);
  if (status == GUST_OK)
    status =
        gust_tokenize(side->model, state->text, state->bytes,
                      GUST_TOKENIZE_BOS | GUST_TOKENIZE_SPECIAL, &side->ids, &side->count, err);
  if (status == GUST_OK && gust_model_get_info(side->model)->bos_id < 0)
    return command_error(err, GUST_E_UNSUPPORTED,
                         "%s: expected a begin-of-sequence id to start chunks with, found none",
                         path);
  return status;
}

static void close_side(eval_side *side) {
  gust_context_destroy(side->context);
  gust_free(side->ids);
  gust_model_close(side->model);
}

/* The two must be one model and speak of the same tokens, or their divergence means
 * nothing. */
static gust_status check_pair(const eval_state *state, const char *path, const char *against,
                              gust_error *err) {
  const eval_side *model = &state->model, *reference = &state->reference;
  const gust_model_info *info = gust_model_get_info(model->model);
  const gust_model_info *other = gust_model_get_info(reference->model);
  const struct {
    const char *name;
    uint32_t expected, found;
  } shape[] = {
      {"vocab_size", info->vocab_size, other->vocab_size},
      {"hidden_size", info->hidden_size, other->hidden_size},
      {"layers", info->layers, other->layers},
      {"heads", info->heads, other->heads},
      {"kv_heads", info->kv_heads, other->kv_heads},
      {"head_dim", info->head_dim, other->head_dim},
  };
  for (size_t i = 0; i < sizeof shape / sizeof *shape; i++)
    if (shape[i].expected != shape[i].found)
      return command_error(err, GUST_E_ARGUMENT,
                           "%s: %s: expected %u as in %s, found %u; give a file converted from the "
                           "same checkpoint",
                           against, shape[i].name, shape[i].expected, path, shape[i].found);
  if (model->count != reference->count ||
      memcmp(model->ids, reference->ids, model->count * sizeof *model->ids) != 0)
    return command_error(err, GUST_E_ARGUMENT,
                         "%s: expected the tokenizer of %s, found one that splits the text "
                         "differently; give a file converted from the same checkpoint",
                         against, path);
  return GUST_OK;
}

/* How many chunks are scored: all there are, or what --chunks says. */
static gust_status choose_chunks(size_t *chunks, const cli_command *command,
                                 const eval_state *state, const eval_values *values, size_t chunk,
                                 gust_error *err) {
  size_t all = state->model.count / chunk;
  const option_value *asked = &values->own.chunks;
  if (all == 0)
    return command_error(err, GUST_E_ARGUMENT,
                         "%s: expected at least one chunk of %zu tokens, found %zu tokens; give a "
                         "longer text or a smaller --ctx",
                         values->own.text.text, chunk, state->model.count);
  if (asked->given && asked->count > all && !values->model.quiet.given)
    command_note(command, "--chunks %llu: the text has only %zu; all of them are scored",
                 (unsigned long long)asked->count, all);
  *chunks = asked->given && asked->count < all ? (size_t)asked->count : all;
  return GUST_OK;
}

static gust_status evaluate(const cli_command *command, eval_state *state,
                            const eval_values *values, const char *path, size_t chunk,
                            evaluation *result, gust_error *err) {
  const char *against = values->own.against.text;
  gust_status status = input_read(values->own.text.text, &state->text, &state->bytes, err);
  if (status == GUST_OK)
    status = open_side(&state->model, command, path, values, state, chunk, err);
  if (status == GUST_OK && against) {
    status = open_side(&state->reference, command, against, values, state, chunk, err);
    if (status == GUST_OK) status = check_pair(state, path, against, err);
  }
  size_t chunks = 0;
  if (status == GUST_OK) status = choose_chunks(&chunks, command, state, values, chunk, err);
  if (status != GUST_OK) return status;
  const gust_model_info *info = gust_model_get_info(state->model.model);
  progress_line progress;
  progress_begin(&progress, "evaluating", PROGRESS_TOKENS, values->model.quiet.given);
  evaluation_input input = {.model = state->model.context,
                            .reference = state->reference.context,
                            .vocab = info->vocab_size,
                            .ids = state->model.ids,
                            .chunk = chunk,
                            .chunks = chunks,
                            .bos_id = info->bos_id,
                            .progress = progress_update,
                            .user = &progress};
  status = evaluation_run(result, &input, err);
  progress_end(&progress);
  return status;
}

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

static gust_status report(const eval_state *state, const eval_values *values, const char *path,
                          size_t chunk, const evaluation *result, gust_error *err) {
  const eval_own *own = &values->own;
  size_t places[MOST_WORST], count;
  size_t most = own->worst.given ? (size_t)own->worst.count : DEFAULT_WORST;
  evaluation_summary summary = {0};
  gust_status status = evaluation_summarize(&summary, result, err);
  if (status == GUST_OK) status = evaluation_worst(result, places, most, &count, err);
  if (status == GUST_OK && own->svg.given)
    status = kl_chart_write(own->svg.text, &summary, path, own->against.text, err);
  if (status == GUST_OK) {
    const evaluation_places worst = {state->model.model, state->model.ids, chunk, places, count};
    status = print_result(result, &summary, &worst, own->json.given, err);
  }
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
  interrupt_install();
  gust_error err = {0};
  eval_state state = {0};
  evaluation result = {0};
  size_t chunk = values.own.chunk.given ? (size_t)values.own.chunk.count : DEFAULT_CHUNK;
  gust_status status = evaluate(command, &state, &values, operands[0], chunk, &result, &err);
  if (status == GUST_OK) status = report(&state, &values, operands[0], chunk, &result, &err);
  evaluation_clear(&result);
  close_side(&state.model);
  close_side(&state.reference);
  free(state.text);
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

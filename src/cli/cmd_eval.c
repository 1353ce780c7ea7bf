/* gust eval: the quality of a file, measured on a text. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "evaluation.h"
#include "input.h"
#include "interrupt.h"
#include "json_out.h"
#include "model_options.h"
#include "progress.h"

typedef struct eval_own {
  option_value text, chunk, chunks, against, json;
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

static gust_status evaluate(const cli_command *command, eval_state *state,
                            const eval_values *values, const char *path, evaluation *result,
                            gust_error *err) {
  const char *against = values->own.against.text;
  size_t chunk = values->own.chunk.given ? (size_t)values->own.chunk.count : 512;
  gust_status status = input_read(values->own.text.text, &state->text, &state->bytes, err);
  if (status == GUST_OK)
    status = open_side(&state->model, command, path, values, state, chunk, err);
  if (status == GUST_OK && against) {
    status = open_side(&state->reference, command, against, values, state, chunk, err);
    if (status == GUST_OK) status = check_pair(state, path, against, err);
  }
  if (status != GUST_OK) return status;
  size_t chunks = state->model.count / chunk;
  if (chunks == 0)
    return command_error(err, GUST_E_ARGUMENT,
                         "%s: expected at least one chunk of %zu tokens, found %zu tokens; give a "
                         "longer text or a smaller --ctx",
                         values->own.text.text, chunk, state->model.count);
  if (values->own.chunks.given && values->own.chunks.count <= chunks) {
    chunks = (size_t)values->own.chunks.count;
  } else if (values->own.chunks.given && !values->model.quiet.given) {
    command_note(command, "--chunks %llu: the text has only %zu; all of them are scored",
                 (unsigned long long)values->own.chunks.count, chunks);
  }
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

static void print_json(const evaluation *result) {
  json_out json = {.file = stdout};
  json_out_open_object(&json, NULL, true);
  json_out_real(&json, "nll", result->nll);
  json_out_real(&json, "ppl", result->ppl);
  json_out_count(&json, "tokens", result->tokens);
  /* NaN becomes null: the members are always there. */
  json_out_real(&json, "kl_mean", result->compared ? result->kl_mean : (double)NAN);
  json_out_real(&json, "kl_median", result->compared ? result->kl_median : (double)NAN);
  json_out_real(&json, "kl_p99", result->compared ? result->kl_p99 : (double)NAN);
  json_out_real(&json, "top1_agree", result->compared ? result->top1_agree : (double)NAN);
  json_out_close(&json);
}

static void print_table(const evaluation *result) {
  printf("tokens scored  %llu\n", (unsigned long long)result->tokens);
  printf("nll            %.6f nats/token\n", result->nll);
  printf("perplexity     %.4f\n", result->ppl);
  if (!result->compared) return;
  printf("KL mean        %.6f nats\n", result->kl_mean);
  printf("KL median      %.6f nats\n", result->kl_median);
  printf("KL 99%%         %.6f nats\n", result->kl_p99);
  printf("top-1 agree    %.2f %%\n", 100 * result->top1_agree);
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
  interrupt_install();
  gust_error err = {0};
  eval_state state = {0};
  evaluation result;
  gust_status status = evaluate(command, &state, &values, operands[0], &result, &err);
  if (status == GUST_OK) {
    if (values.own.json.given) {
      print_json(&result);
    } else {
      print_table(&result);
    }
    status = command_flush(&err);
  }
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
        "Kullback-Leibler divergence of the reference's predictions from the model's (mean, "
        "median, 99th percentile) and how often their likeliest tokens agree.",
    .operands = {"MODEL"},
    .groups = {{"Options", own_options, offsetof(eval_values, own)},
               {"Running", model_options, offsetof(eval_values, model)}},
    .run = eval,
};

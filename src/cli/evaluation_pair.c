#include "evaluation_pair.h"

#include <string.h>

#include "progress.h"

static gust_status open_side(evaluation_side *side, const evaluation_pair *pair, const char *path,
                             uint64_t bytes, gust_error *err) {
  const gust_model_options mapped = {.load = GUST_LOAD_MMAP, .lazy = true, .bytes = bytes};
  gust_status status =
      pair->model_bytes ? gust_model_open(&side->model, path, &mapped, err)
                        : model_options_open(&side->model, pair->command, path, pair->values, err);
  if (status == GUST_OK)
    status = model_options_context(&side->context, pair->command, side->model, pair->values,
                                   pair->chunk, err);
  if (status == GUST_OK)
    status =
        gust_tokenize(side->model, pair->text, pair->bytes,
                      GUST_TOKENIZE_BOS | GUST_TOKENIZE_SPECIAL, &side->ids, &side->count, err);
  if (status == GUST_OK && gust_model_get_info(side->model)->bos_id < 0)
    return command_error(err, GUST_E_UNSUPPORTED,
                         "%s: expected a begin-of-sequence id to start chunks with, found none",
                         path);
  return status;
}

static void close_side(evaluation_side *side) {
  gust_context_destroy(side->context);
  gust_free(side->ids);
  gust_model_close(side->model);
  memset(side, 0, sizeof *side);
}

/* The two must be one model and speak of the same tokens, or their divergence means
 * nothing. */
static gust_status check_pair(const evaluation_pair *pair, const char *path, const char *against,
                              gust_error *err) {
  const evaluation_side *model = &pair->model, *reference = &pair->reference;
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

/* How many chunks are scored: all there are, or as many as were asked for. */
static gust_status choose_chunks(size_t *chunks, const evaluation_pair *pair, gust_error *err) {
  size_t all = pair->model.count / pair->chunk;
  if (all == 0)
    return command_error(err, GUST_E_ARGUMENT,
                         "%s: expected at least one chunk of %zu tokens, found %zu tokens; give a "
                         "longer text or a smaller --ctx",
                         pair->text_name, pair->chunk, pair->model.count);
  if (pair->note_fewer && pair->chunks > all)
    command_note(pair->command,
                 "note: --chunks %llu: the text has only %zu; all of them are scored",
                 (unsigned long long)pair->chunks, all);
  *chunks = pair->chunks && pair->chunks < all ? (size_t)pair->chunks : all;
  return GUST_OK;
}

gust_status evaluation_pair_run(evaluation_pair *pair, const char *path, const char *against,
                                evaluation *result, gust_error *err) {
  size_t chunks = 0;
  gust_status status = open_side(&pair->model, pair, path, pair->model_bytes, err);
  if (status == GUST_OK && against) {
    status = open_side(&pair->reference, pair, against, 0, err);
    if (status == GUST_OK) status = check_pair(pair, path, against, err);
  }
  if (status == GUST_OK) status = choose_chunks(&chunks, pair, err);
  if (status != GUST_OK) return status;
  const gust_model_info *info = gust_model_get_info(pair->model.model);
  progress_line progress;
  progress_begin(&progress, "evaluating", PROGRESS_TOKENS, pair->values->quiet.given);
  evaluation_input input = {.model = pair->model.context,
                            .reference = pair->reference.context,
                            .vocab = info->vocab_size,
                            .ids = pair->model.ids,
                            .chunk = pair->chunk,
                            .chunks = chunks,
                            .bos_id = info->bos_id,
                            .progress = progress_update,
                            .user = &progress};
  status = evaluation_run(result, &input, err);
  progress_end(&progress);
  return status;
}

void evaluation_pair_close(evaluation_pair *pair) {
  close_side(&pair->model);
  close_side(&pair->reference);
}

#include "file_receipt.h"

#include <string.h>

void file_receipt_begin(gust_header *header, bool measured) {
  gust_receipt *receipt = &header->receipt;
  bool used[GUST_TYPE_COUNT] = {false};
  for (size_t i = 0; i < header->tensor_count; i++) used[header->tensors[i].type] = true;
  memset(receipt, 0, sizeof *receipt);
  receipt->exists = true;
  receipt->measured = measured;
  for (int type = 0; type < GUST_TYPE_COUNT; type++)
    if (used[type]) receipt->parts[receipt->part_count++].type = (gust_type)type;
  /* Sound by itself, should the file be read before it is measured. */
  if (measured) receipt->quality = (gust_quality){.chunk = 4, .chunks = 2};
}

void file_receipt_sum(gust_receipt *receipt, const double error[GUST_TYPE_COUNT],
                      const double energy[GUST_TYPE_COUNT]) {
  for (size_t i = 0; i < receipt->part_count; i++) {
    gust_receipt_part *part = &receipt->parts[i];
    part->error = error[part->type];
    part->energy = energy[part->type];
  }
}

typedef struct heartbeat {
  file_receipt_progress_fn *progress;
  void *user;
} heartbeat;

static bool beat(void *user, uint64_t done, uint64_t total) {
  const heartbeat *h = user;
  return h->progress(h->user, 0) && done < total;
}

gust_status file_receipt_hash(gust_receipt *receipt, const char *path, uint64_t bytes,
                              const gust_context_options *running,
                              file_receipt_progress_fn *progress, void *user, gust_error *err) {
  const gust_model_options mapped = {.load = GUST_LOAD_MMAP, .lazy = true, .bytes = bytes};
  const gust_context_options options = {
      .positions = GUST_PROMPT_TOKENS, .threads = running->threads, .cpu = running->cpu};
  heartbeat h = {progress, user};
  gust_model *model = NULL;
  gust_context *context = NULL;
  gust_status status = gust_model_open(&model, path, &mapped, err);
  if (!status) status = gust_context_create(&context, model, &options, err);
  if (!status) status = gust_context_logits_hash(context, beat, &h, &receipt->logits_hash, err);
  gust_context_destroy(context);
  gust_model_close(model);
  if (!status) receipt->prompt_tokens = GUST_PROMPT_TOKENS;
  return status;
}

/* libFuzzer: the input is the beginning of a .gust file. The length and the checksum
 * of its header are put right first, and zeros follow up to the length it says the
 * file has: so the header alone is a model. What opens as one is asked everything
 * and fed a few ids, whatever its weights are, with a cache of the type that a byte of the
 * checksum says, which is free; then it says a word. */
#include <stdlib.h>
#include <string.h>

#include "checksum.h"
#include "format.h"
#include "fuzz_support.h"

/* A header can ask for more work than a fuzzer has time for. */
#define MOST_FILE_BYTES (1u << 23)
#define MOST_WORK (1u << 16)
#define MOST_VERIFIED_BYTES (1u << 20)
#define CHECKSUM_OFFSET 32

/* Offsets in the prologue: docs/FORMAT.md. Returns the length of the file. */
static uint64_t seal(uint8_t *bytes, size_t size) {
  uint64_t header_bytes = fuzz_get64(bytes + 16);
  if (header_bytes < GUST_PROLOGUE_BYTES || header_bytes > size) header_bytes = size;
  fuzz_put64(bytes + 16, header_bytes);
  gust_xxh64 sum;
  gust_xxh64_begin(&sum, 0);
  gust_xxh64_update(&sum, bytes, 32);
  gust_xxh64_update(&sum, bytes + GUST_PROLOGUE_BYTES, (size_t)header_bytes - GUST_PROLOGUE_BYTES);
  fuzz_put64(bytes + 32, gust_xxh64_end(&sum));
  return fuzz_get64(bytes + 24);
}

/* Returns its path, NULL when it would be too long. */
static const char *write_model(const uint8_t *data, size_t size) {
  uint8_t *bytes = malloc(size);
  fuzz_require(bytes != NULL);
  memcpy(bytes, data, size);
  uint64_t file_bytes = seal(bytes, size);
  const char *path = NULL;
  if (file_bytes <= MOST_FILE_BYTES)
    path = fuzz_write_long_file("model.gust", bytes, size, (size_t)file_bytes);
  free(bytes);
  return path;
}

/* What follows, with the file's own settings. */
static void say(const gust_model *model, const gust_context *context) {
  const gust_sampling sampling = gust_model_sampling(model);
  gust_sampler *sampler = NULL;
  gust_decoder *decoder = NULL;
  gust_error err = {0};
  const char *text;
  size_t bytes;
  int32_t id = -1;
  fuzz_require(gust_sampler_create(&sampler, model, &sampling, &err) == GUST_OK);
  fuzz_require(gust_sampler_draw(sampler, context, &id, &err) == GUST_OK);
  fuzz_require(id >= 0 && (uint32_t)id < gust_model_get_info(model)->vocab_size);
  fuzz_require(gust_decoder_create(&decoder, model, &err) == GUST_OK);
  fuzz_require(gust_decoder_push(decoder, id, &text, &bytes, &err) == GUST_OK);
  fuzz_require(gust_decoder_finish(decoder, &text, &bytes, &err) == GUST_OK);
  gust_decoder_destroy(decoder);
  gust_sampler_destroy(sampler);
}

static void verify(const gust_model *model) {
  gust_error err = {0};
  if (gust_model_get_info(model)->file_bytes > MOST_VERIFIED_BYTES) return;
  if (gust_model_verify(model, NULL, NULL, &err) != GUST_OK) fuzz_require_line(&err);
}

static void feed(const gust_model *model, gust_kv kv) {
  const gust_model_info *info = gust_model_get_info(model);
  const gust_context_options options = {.kv = kv, .positions = 4, .threads = 1};
  if ((uint64_t)info->layers * info->hidden_size > MOST_WORK || info->vocab_size > MOST_WORK ||
      (uint64_t)info->heads * info->head_dim > MOST_WORK)
    return;
  const int32_t ids[] = {0, (int32_t)info->vocab_size - 1, (int32_t)info->vocab_size / 2};
  gust_context *context = NULL;
  gust_error err = {0};
  if (gust_context_create(&context, model, &options, &err) != GUST_OK) {
    fuzz_require_line(&err);
    fuzz_require(!context);
    return;
  }
  fuzz_require(gust_context_feed(context, ids, 3, NULL, NULL, &err) == GUST_OK);
  fuzz_require(gust_context_length(context) == 3 && gust_context_logits(context));
  say(model, context);
  gust_context_destroy(context);
}

static void ask(const gust_model *model) {
  const gust_model_info *info = gust_model_get_info(model);
  gust_tensor_info tensor;
  gust_source_info source;
  for (size_t i = 0; i < info->tensor_count; i++) {
    fuzz_require(gust_model_get_tensor(model, i, &tensor) == GUST_OK);
    fuzz_require(tensor.bytes <= info->file_bytes &&
                 tensor.offset <= info->file_bytes - tensor.bytes);
  }
  for (size_t i = 0; i < gust_model_source_count(model); i++)
    fuzz_require(gust_model_get_source(model, i, &source) == GUST_OK && source.name);
  gust_receipt_info receipt;
  if (gust_model_get_receipt(model, &receipt))
    fuzz_require(receipt.type_count <= GUST_RECEIPT_TYPES && receipt.relative_error >= 0);
  gust_model_fingerprint(model);
  int32_t *ids = NULL;
  size_t count = 0;
  gust_error err = {0};
  if (gust_tokenize(model, "Once <s>\xff", 9, GUST_TOKENIZE_BOS | GUST_TOKENIZE_SPECIAL, &ids,
                    &count, &err) == GUST_OK)
    for (size_t i = 0; i < count; i++)
      fuzz_require(ids[i] >= 0 && (uint32_t)ids[i] < info->vocab_size);
  gust_free(ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < GUST_PROLOGUE_BYTES) return 0;
  const char *path = write_model(data, size);
  if (!path) return 0;
  const gust_model_options options = {.load = GUST_LOAD_MMAP};
  gust_model *model = NULL;
  gust_error err = {0};
  if (gust_model_open(&model, path, &options, &err) == GUST_OK) {
    ask(model);
    feed(model, (gust_kv)(data[CHECKSUM_OFFSET] % 3));
    verify(model);
  } else {
    fuzz_require_line(&err);
    fuzz_require(!model);
  }
  gust_model_close(model);
  return 0;
}

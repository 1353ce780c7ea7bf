#include "calibration_text.h"

#include <stdlib.h>

#include "calibration_forward.h"
#include "tokenizer.h"

static gust_status text_to_ids(const gust_header *header, const char *text, size_t bytes,
                               const char *where, int32_t **ids, size_t *count, gust_error *err) {
  gust_tokenizer *tokenizer;
  gust_status status =
      gust_tokenizer_create(&tokenizer, header->tokenizer, header->tokenizer_bytes, where, err);
  if (status) return status;
  status = gust_tokenizer_text_to_ids(tokenizer, text, bytes, GUST_ENDS_NONE, true, NULL, 0, ids,
                                      count, err);
  gust_tokenizer_destroy(tokenizer);
  return status;
}

/* Cuts text[count] into sequences. */
static gust_status cut(calibration_ids *ids, const int32_t *text, size_t count, int32_t bos,
                       size_t most, gust_error *err) {
  size_t bytes = (most < 2 * count ? most : 2 * count) * sizeof *ids->ids;
  ids->ids = malloc(bytes);
  if (!ids->ids) return gust_fail_memory(err, "ids of the calibration text", bytes);
  for (size_t i = 0; i < count && ids->count < most; i++) {
    if (bos >= 0 && ids->count % CALIBRATION_SEQUENCE == 0) ids->ids[ids->count++] = bos;
    if (ids->count == most) break;
    ids->ids[ids->count++] = text[i];
    ids->text_used++;
  }
  ids->text_count = count;
  return GUST_OK;
}

/* How many ids both streams have room for. */
static gust_status find_most(const gust_header *header, size_t *most, gust_error *err) {
  *most = CALIBRATION_ACTIVATION_BYTES / (2 * calibration_token_bytes(&header->config));
  if (*most > CALIBRATION_MOST_TOKENS) *most = CALIBRATION_MOST_TOKENS;
  if (*most >= CALIBRATION_LEAST_TOKENS) return GUST_OK;
  return gust_fail(err, GUST_E_UNSUPPORTED,
                   "calibration: expected a model of which the activations of %u tokens fit into "
                   "%zu MiB, found one so wide that those of %zu do; convert without calibration",
                   CALIBRATION_LEAST_TOKENS, CALIBRATION_ACTIVATION_BYTES >> 20, *most);
}

gust_status calibration_ids_create(calibration_ids *ids, const gust_header *header,
                                   const char *text, size_t bytes, const char *where,
                                   gust_error *err) {
  *ids = (calibration_ids){NULL, 0, 0, 0};
  int32_t *all = NULL;
  size_t count = 0, most;
  gust_status status = find_most(header, &most, err);
  if (!status) status = text_to_ids(header, text, bytes, where, &all, &count, err);
  if (!status && count < CALIBRATION_LEAST_TOKENS)
    status = gust_fail(err, GUST_E_ARGUMENT,
                       "%s: expected a text of at least %u tokens to calibrate on, found %zu; give "
                       "a longer one, or default",
                       where, CALIBRATION_LEAST_TOKENS, count);
  if (!status) status = cut(ids, all, count, header->config.bos_id, most, err);
  free(all);
  return status;
}

void calibration_ids_clear(calibration_ids *ids) {
  free(ids->ids);
  *ids = (calibration_ids){NULL, 0, 0, 0};
}

/* The receipt of a file as its readers see it, and the logits hash in it. */
#include <math.h>
#include <string.h>

#include "checksum.h"
#include "context.h"

/* --- asking ------------------------------------------------------------------------ */

static double bits_of(const gust_header *header, gust_type type) {
  double bytes = 0, parameters = 0;
  for (size_t i = 0; i < header->tensor_count; i++) {
    const gust_tensor *t = &header->tensors[i];
    if (t->type != type) continue;
    bytes += (double)t->bytes;
    parameters += (double)t->shape[0] * (double)t->shape[1];
  }
  return parameters > 0 ? 8 * bytes / parameters : 0;
}

static double relative(double error, double energy) {
  return energy > 0 ? sqrt(error / energy) : 0;
}

bool gust_model_get_receipt(const gust_model *model, gust_receipt_info *receipt) {
  const gust_receipt *r = &model->header.receipt;
  double error = 0, energy = 0;
  memset(receipt, 0, sizeof *receipt);
  if (!r->exists) return false;
  for (size_t i = 0; i < r->part_count && i < GUST_RECEIPT_TYPES; i++) {
    const gust_receipt_part *part = &r->parts[i];
    error += part->error;
    energy += part->energy;
    receipt->types[receipt->type_count++] =
        (gust_receipt_type){.type = gust_type_name(part->type),
                            .bits_per_weight = bits_of(&model->header, part->type),
                            .relative_error = relative(part->error, part->energy)};
  }
  receipt->relative_error = relative(error, energy);
  receipt->prompt_tokens = r->prompt_tokens;
  receipt->logits_hash = r->logits_hash;
  receipt->measured = r->measured;
  receipt->quality = r->quality;
  return true;
}

/* --- the logits hash ------------------------------------------------------------------ */

/* So many ids at the beginning are fed one by one, the others in pieces, between which
 * whoever listens hears something. Progress is the same on every machine. */
#define SINGLE_TOKENS 4u
#define PIECE 5u

/* Id i of the fixed prompt: multiples of the golden ratio's fraction, in units of
 * 2^-32, scatter over the whole vocabulary whatever its size. */
static int32_t prompt_id(uint32_t i, uint32_t vocab_size) {
  uint32_t fraction = (i + 1) * 0x9e3779b9u;
  return (int32_t)((uint64_t)fraction * vocab_size >> 32);
}

typedef struct hashing {
  gust_xxh64 hash;
  uint32_t vocab_size;
} hashing;

static bool take_logits(void *user, size_t position, const float *logits) {
  hashing *h = user;
  (void)position;
  uint8_t bytes[1024];
  for (uint32_t i = 0; i < h->vocab_size;) {
    size_t at = 0;
    for (; at < sizeof bytes && i < h->vocab_size; i++) {
      uint32_t bits = 0x7fc00000u; /* which NaN it is depends on the machine */
      if (!isnan(logits[i])) memcpy(&bits, &logits[i], sizeof bits);
      for (int k = 0; k < 4; k++) bytes[at++] = (uint8_t)(bits >> (8 * k));
    }
    gust_xxh64_update(&h->hash, bytes, at);
  }
  return false;
}

/* Feeds the prompt to an empty context. */
static gust_status hash_pieces(hashing *h, gust_context *context, const int32_t *ids,
                               gust_progress_fn *progress, void *user, gust_error *err) {
  for (size_t done = 0; done < GUST_PROMPT_TOKENS;) {
    size_t left = GUST_PROMPT_TOKENS - done, piece = done < SINGLE_TOKENS ? 1 : PIECE;
    size_t count = left < piece ? left : piece;
    gust_status status = gust_context_score(context, ids + done, count, take_logits, h, err);
    if (status) return status;
    done += count;
    if (progress && progress(user, done, GUST_PROMPT_TOKENS) && done < GUST_PROMPT_TOKENS)
      return gust_fail(err, GUST_E_CANCELLED,
                       "computing the logits was cancelled after %zu of %u tokens", done,
                       GUST_PROMPT_TOKENS);
  }
  return GUST_OK;
}

gust_status gust_context_logits_hash(gust_context *context, gust_progress_fn *progress, void *user,
                                     uint64_t *hash, gust_error *err) {
  hashing h = {.vocab_size = gust_model_get_info(context->model)->vocab_size};
  int32_t ids[GUST_PROMPT_TOKENS];
  /* Refused before any of it is computed. */
  if (gust_context_capacity(context) < GUST_PROMPT_TOKENS)
    return gust_fail(err, GUST_E_CONTEXT_FULL,
                     "logits hash: expected a context of at least %u positions, found one of %zu",
                     GUST_PROMPT_TOKENS, gust_context_capacity(context));
  if (gust_context_kv(context) != GUST_KV_F16)
    return gust_fail(err, GUST_E_ARGUMENT,
                     "logits hash: expected a context with an f16 cache, found another");
  for (uint32_t i = 0; i < GUST_PROMPT_TOKENS; i++) ids[i] = prompt_id(i, h.vocab_size);
  gust_xxh64_begin(&h.hash, 0);
  gust_context_truncate(context, 0);
  gust_status status = hash_pieces(&h, context, ids, progress, user, err);
  if (!status) *hash = gust_xxh64_end(&h.hash);
  return status;
}

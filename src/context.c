#include "context.h"

#include <stdlib.h>
#include <string.h>

#include "attention.h"
#include "os.h"

#define DEFAULT_BATCH 256u
#define MAX_BATCH 4096u
#define MAX_THREADS 1024u
/* More positions than this no model is trained for; ids stay 32-bit safe. */
#define MAX_POSITIONS ((size_t)1 << 24)

unsigned gust_default_threads(void) {
  return os_physical_cores();
}

const char *gust_cpu_level(size_t index) {
  return gust_kernels_level(index);
}

/* --- creation ------------------------------------------------------------------- */

/* Lays the arrays out one after the other; with base NULL it only measures. */
static size_t lay_out_scratch(gust_context *c, uint8_t *base) {
  const gust_config *config = &c->model->header.config;
  size_t b = c->batch, half = config->head_dim / 2, at = 0;
  size_t widest = c->hidden_stride > c->ffn_stride ? c->hidden_stride : c->ffn_stride;
  if (c->q_stride > widest) widest = c->q_stride;
  size_t state = gust_attention_state_floats(config->head_dim);
  const struct {
    float **array;
    size_t floats;
  } arrays[] = {
      {&c->x, b * c->hidden_stride},
      {&c->normed, b * c->hidden_stride},
      {&c->projected, b * c->hidden_stride},
      {&c->q, b * c->q_stride},
      {&c->k, b * c->kv_stride},
      {&c->v, b * c->kv_stride},
      {&c->attended, b * c->q_stride},
      {&c->gate, b * c->ffn_stride},
      {&c->up, b * c->ffn_stride},
      {&c->cos, b * half},
      {&c->sin, b * half},
      {&c->frequencies, half},
      {&c->logits, GUST_LOGIT_ROWS * c->vocab_stride},
      {&c->quantized.scales, b * (widest / GUST_BLOCK_K)},
      {&c->partials, c->cache.ring_chunks * config->heads * state},
      {&c->states, c->threads * (size_t)GUST_ATTENTION_ROWS * state},
  };
  for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
    if (base) *arrays[i].array = (float *)(void *)(base + at);
    at += gust_round_up(arrays[i].floats * sizeof(float), 64);
  }
  if (base) c->quantized.sums = (int32_t *)(void *)(base + at);
  at += gust_round_up(b * (widest / GUST_BLOCK_K) * sizeof(int32_t), 64);
  if (base) c->quantized.codes = (int8_t *)(base + at);
  at += b * gust_activation_stride(widest);
  if (base) c->ids = (int32_t *)(void *)(base + at);
  return at + c->capacity * sizeof(int32_t);
}

static gust_status create_scratch(gust_context *c, gust_error *err) {
  const gust_config *config = &c->model->header.config;
  c->hidden_stride = gust_round_up(config->hidden_size, GUST_TILE_K);
  c->ffn_stride = gust_round_up(config->intermediate_size, GUST_TILE_K);
  c->q_stride = gust_round_up((size_t)config->heads * config->head_dim, GUST_TILE_K);
  c->kv_stride = gust_round_up((size_t)config->kv_heads * config->head_dim, GUST_TILE_K);
  c->vocab_stride = gust_round_up(config->vocab_size, GUST_TILE_K);
  c->scratch_bytes = lay_out_scratch(c, NULL);
  c->scratch = os_reserve(c->scratch_bytes);
  if (!c->scratch || !os_commit(c->scratch, 0, c->scratch_bytes))
    return gust_fail_memory(err, "scratch memory of a context", c->scratch_bytes);
  lay_out_scratch(c, c->scratch);
  gust_rope_frequencies(c->frequencies, config->head_dim, config->rope_theta);
  return GUST_OK;
}

static gust_status check_options(const gust_context_options *o, gust_error *err) {
  if (o->positions > MAX_POSITIONS)
    return gust_fail(err, GUST_E_ARGUMENT, "context: expected at most %zu positions, found %zu",
                     MAX_POSITIONS, o->positions);
  if (o->threads > MAX_THREADS)
    return gust_fail(err, GUST_E_ARGUMENT, "context: expected at most %u threads, found %u",
                     MAX_THREADS, o->threads);
  if (o->batch > MAX_BATCH)
    return gust_fail(err, GUST_E_ARGUMENT, "context: expected a batch of at most %u, found %zu",
                     MAX_BATCH, o->batch);
  if (o->kv != GUST_KV_F16 && o->kv != GUST_KV_F32 && o->kv != GUST_KV_Q8)
    return gust_fail(err, GUST_E_ARGUMENT, "context: unknown key-value type %d", (int)o->kv);
  return GUST_OK;
}

static gust_status create_parts(gust_context *c, const gust_context_options *o, gust_error *err) {
  const gust_config *config = &c->model->header.config;
  gust_status status = check_options(o, err);
  if (status) return status;
  if (!gust_kernels_select(&c->kernels, o->cpu))
    return gust_fail(err, GUST_E_ARGUMENT,
                     "unknown CPU level \"%s\"; expected c, avx2, avxvnni, avx512, amx, neon, "
                     "dotprod or i8mm",
                     o->cpu);
  c->capacity = o->positions ? o->positions : config->max_positions;
  if (c->capacity > MAX_POSITIONS) c->capacity = MAX_POSITIONS;
  c->batch = o->batch ? o->batch : DEFAULT_BATCH;
  if (c->batch > c->capacity) c->batch = c->capacity;
  c->kv_type = (int)o->kv;
  c->threads = o->threads ? o->threads : gust_default_threads();
  status = gust_kv_cache_create(&c->cache, config, c->kv_type, c->capacity, c->batch, err);
  if (!status) status = create_scratch(c, err);
  if (status) return status;
  c->pool = gust_pool_create(c->threads);
  return c->pool ? GUST_OK : gust_fail_threads(err, c->threads);
}

gust_status gust_context_create(gust_context **out, const gust_model *model,
                                const gust_context_options *options, gust_error *err) {
  static const gust_context_options defaults;
  *out = NULL;
  gust_context *c = calloc(1, sizeof *c);
  if (!c) return gust_fail_memory(err, "a context", sizeof *c);
  c->model = model;
  gust_status status = create_parts(c, options ? options : &defaults, err);
  if (status) {
    gust_context_destroy(c);
    return status;
  }
  *out = c;
  return GUST_OK;
}

void gust_context_destroy(gust_context *c) {
  if (!c) return;
  gust_pool_destroy(c->pool);
  if (c->scratch) os_release(c->scratch, c->scratch_bytes);
  gust_kv_cache_destroy(&c->cache);
  free(c);
}

/* --- feeding ---------------------------------------------------------------------- */

static gust_status check_ids(const gust_context *c, const int32_t *ids, size_t count,
                             gust_error *err) {
  uint32_t vocab = c->model->header.config.vocab_size;
  if (count == 0)
    return gust_fail(err, GUST_E_ARGUMENT, "nothing to feed: expected at least one id");
  for (size_t i = 0; i < count; i++)
    if (ids[i] < 0 || (uint32_t)ids[i] >= vocab)
      return gust_fail(err, GUST_E_ARGUMENT, "id %zu of %zu: expected 0 to %u, found %d", i + 1,
                       count, vocab - 1, ids[i]);
  if (count > c->capacity - c->length)
    return gust_fail(err, GUST_E_CONTEXT_FULL,
                     "the context of %zu tokens holds %zu and has no room for %zu more; use a "
                     "larger one or a shorter text",
                     c->capacity, c->length, count);
  if (gust_kv_cache_first(&c->cache, c->length) < c->cache.first_stored)
    return gust_fail(
        err, GUST_E_ARGUMENT,
        "the context was loaded from position %zu on, the next token sees from %zu on; "
        "load the rest first",
        c->cache.first_stored, gust_kv_cache_first(&c->cache, c->length));
  return GUST_OK;
}

/* Hands out the logits of the `count` tokens of the batch just computed. */
static gust_status hand_out_logits(gust_context *c, size_t position, size_t count,
                                   gust_logits_fn *fn, void *user, gust_error *err) {
  for (size_t first = 0; first < count; first += GUST_LOGIT_ROWS) {
    size_t rows = count - first < GUST_LOGIT_ROWS ? count - first : GUST_LOGIT_ROWS;
    gust_forward_logits(c, first, rows);
    gust_status status = gust_model_check_file(c->model, err);
    if (status) return status;
    for (size_t i = 0; i < rows; i++)
      if (fn(user, position + first + i, c->logits + i * c->vocab_stride))
        return gust_fail(err, GUST_E_CANCELLED, "scoring was cancelled");
    if (first + rows == count && rows > 1)
      memcpy(c->logits, c->logits + (rows - 1) * c->vocab_stride, c->vocab_stride * sizeof(float));
  }
  return GUST_OK;
}

static gust_status feed(gust_context *c, const int32_t *ids, size_t count,
                        gust_progress_fn *progress, gust_logits_fn *fn, void *user,
                        gust_error *err) {
  gust_status status = check_ids(c, ids, count, err);
  if (!status) status = gust_kv_cache_grow(&c->cache, c->length + count, err);
  if (status) return status;
  c->has_logits = false;
  for (size_t done = 0; done < count;) {
    size_t n = count - done < c->batch ? count - done : c->batch, position = c->length;
    gust_kv_cache_store_up_to(&c->cache, position + n);
    gust_forward(c, ids + done, position, n);
    if (!fn && done + n == count) gust_forward_logits(c, n - 1, 1);
    status = gust_model_check_file(c->model, err);
    if (status) return status;
    memcpy(c->ids + position, ids + done, n * sizeof *ids);
    c->length += n;
    done += n;
    if (fn) status = hand_out_logits(c, position, n, fn, user, err);
    if (status) return status;
    if (progress && progress(user, done, count) && done < count)
      return gust_fail(err, GUST_E_CANCELLED,
                       "reading the prompt was cancelled after %zu of %zu "
                       "tokens",
                       done, count);
  }
  c->has_logits = true;
  return GUST_OK;
}

gust_status gust_context_feed(gust_context *context, const int32_t *ids, size_t count,
                              gust_progress_fn *progress, void *user, gust_error *err) {
  return feed(context, ids, count, progress, NULL, user, err);
}

gust_status gust_context_score(gust_context *context, const int32_t *ids, size_t count,
                               gust_logits_fn *fn, void *user, gust_error *err) {
  return feed(context, ids, count, NULL, fn, user, err);
}

/* --- asking ------------------------------------------------------------------------- */

const float *gust_context_logits(const gust_context *c) {
  return c->has_logits ? c->logits : NULL;
}
size_t gust_context_length(const gust_context *c) {
  return c->length;
}
size_t gust_context_capacity(const gust_context *c) {
  return c->capacity;
}
const int32_t *gust_context_ids(const gust_context *c) {
  return c->ids;
}
const char *gust_context_cpu(const gust_context *c) {
  return c->kernels.level;
}
unsigned gust_context_threads(const gust_context *c) {
  return c->threads;
}

size_t gust_context_truncate(gust_context *c, size_t length) {
  if (length >= c->length) return c->length;
  c->has_logits = false;
  if (length == 0 || !gust_kv_cache_can_truncate(&c->cache, length)) {
    c->length = 0;
    gust_kv_cache_empty(&c->cache);
  } else {
    c->length = length;
  }
  return c->length;
}

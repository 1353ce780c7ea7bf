#include "context.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attention.h"
#include "float_state.h"
#include "os.h"

#define DEFAULT_BATCH 256u
#define MAX_BATCH 4096u
#define MAX_THREADS 1024u
/* More positions than this no model is trained for; ids stay 32-bit safe. */
#define MAX_POSITIONS ((size_t)1 << 24)
#define MIN_HEADROOM ((uint64_t)64 << 20)

unsigned gust_default_threads(void) {
  return os_physical_cores();
}

const char *gust_cpu_level(size_t index) {
  return gust_kernels_level(index);
}

static const gust_context_options default_options;

/* --- creation ------------------------------------------------------------------- */

/* Lays the arrays out one after the other; with base NULL it only measures. */
static uint64_t lay_out_scratch(gust_context *c, uint8_t *base) {
  const gust_config *config = &c->model->header.config;
  uint64_t b = c->batch, half = config->head_dim / 2, at = 0;
  size_t widest = c->hidden_stride > c->ffn_stride ? c->hidden_stride : c->ffn_stride;
  if (c->q_stride > widest) widest = c->q_stride;
  uint64_t state = gust_attention_state_floats(config->head_dim);
  const struct {
    float **array;
    uint64_t floats;
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
      {&c->logits, (uint64_t)GUST_LOGIT_ROWS * c->vocab_stride},
      {&c->quantized.scales, b * (widest / GUST_BLOCK_K)},
      {&c->partials, (uint64_t)c->cache.ring_chunks * config->heads * state},
      {&c->states, (uint64_t)c->threads * GUST_ATTENTION_ROWS * state},
  };
  for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
    if (base) *arrays[i].array = (float *)(void *)(base + at);
    at += (arrays[i].floats * sizeof(float) + 63) / 64 * 64;
  }
  if (base) c->quantized.sums = (int32_t *)(void *)(base + at);
  at += (b * (widest / GUST_BLOCK_K) * sizeof(int32_t) + 63) / 64 * 64;
  if (base) c->quantized.codes = (int8_t *)(base + at);
  at += b * gust_activation_stride(widest);
  if (base) c->ids = (int32_t *)(void *)(base + at);
  return at + (uint64_t)c->capacity * sizeof(int32_t);
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

/* What a context takes beyond its two reservations: their alignment, threads' stacks. */
static uint64_t overhead_of(const gust_context *c) {
  return 2 * (uint64_t)OS_RESERVE_EXTRA + gust_pool_stack_bytes(c->threads);
}

/* All sizes of a context of `positions`: of what is allocated later, and of what only
 * might be. Returns all bytes it takes. */
static uint64_t plan_sizes(gust_context *c, const gust_context_options *o, size_t positions) {
  const gust_config *config = &c->model->header.config;
  c->capacity = positions;
  c->batch = o->batch ? o->batch : DEFAULT_BATCH;
  if (c->batch > c->capacity) c->batch = c->capacity;
  c->kv_type = (int)o->kv;
  c->hidden_stride = gust_round_up(config->hidden_size, GUST_TILE_K);
  c->ffn_stride = gust_round_up(config->intermediate_size, GUST_TILE_K);
  c->q_stride = gust_round_up((size_t)config->heads * config->head_dim, GUST_TILE_K);
  c->kv_stride = gust_round_up((size_t)config->kv_heads * config->head_dim, GUST_TILE_K);
  c->vocab_stride = gust_round_up(config->vocab_size, GUST_TILE_K);
  uint64_t cache = gust_kv_cache_plan(&c->cache, config, c->kv_type, c->capacity, c->batch);
  uint64_t scratch = lay_out_scratch(c, NULL);
  c->scratch_bytes = (size_t)scratch;
  return cache + scratch + overhead_of(c);
}

static bool fits(gust_context *c, const gust_context_options *o, size_t positions,
                 uint64_t available) {
  uint64_t bytes = plan_sizes(c, o, positions);
  return bytes <= SIZE_MAX / 2 && (available == 0 || bytes <= available);
}

/* Most positions up to `limit` that fit; 0: none. More positions never take less. */
static size_t most_that_fit(const gust_context *like, const gust_context_options *o, gust_kv kv,
                            size_t limit, uint64_t available) {
  gust_context c = {.model = like->model, .threads = like->threads};
  gust_context_options options = *o;
  size_t least = 0, most = limit;
  options.kv = kv;
  while (least < most) {
    size_t middle = most - (most - least) / 2;
    if (fits(&c, &options, middle, available))
      least = middle;
    else
      most = middle - 1;
  }
  return least;
}

/* Of what is available, what a context leaves alone that nobody gave a size: for all
 * else that runs. `least` is what one position takes: more memory never makes for fewer,
 * and none is refused that would fit. */
static uint64_t headroom_of(uint64_t available, uint64_t least) {
  uint64_t headroom = available / 16, most = available > least ? (available - least) / 2 : 0;
  if (headroom < MIN_HEADROOM) headroom = MIN_HEADROOM;
  return headroom < most ? headroom : most;
}

static uint64_t no_more_than(uint64_t available, uint64_t limit) {
  return limit && (available == 0 || limit < available) ? limit : available;
}

/* Plans what the options ask for, whether it fits or not. */
static gust_status plan(gust_context *c, const gust_context_options *o, gust_context_memory *memory,
                        gust_error *err) {
  gust_status status = check_options(o, err);
  if (status) return status;
  size_t limit = c->model->header.config.max_positions;
  if (limit > MAX_POSITIONS) limit = MAX_POSITIONS;
  if (o->positions) limit = o->positions;
  c->threads = o->threads ? o->threads : gust_default_threads();
  /* A size that was asked for may be slow; one that is left open does not swap. */
  uint64_t available =
      no_more_than(o->positions ? os_available_with_swap() : os_available_memory(), o->memory);
  *memory = (gust_context_memory){
      .available = available,
      .most = most_that_fit(c, o, o->kv, limit, available),
      .most_q8 = most_that_fit(c, o, GUST_KV_Q8, limit, available),
  };
  memory->positions = limit;
  if (o->positions == 0 && memory->most) {
    uint64_t room = available - headroom_of(available, plan_sizes(c, o, 1));
    memory->positions = most_that_fit(c, o, o->kv, limit, room);
  }
  uint64_t bytes = plan_sizes(c, o, memory->positions);
  memory->scratch = lay_out_scratch(c, NULL) + overhead_of(c);
  memory->cache = bytes - memory->scratch;
  return GUST_OK;
}

/* Systems promise more memory than they have and end whoever uses it: what could not be
 * used to the end is refused at the beginning. */
static gust_status check_fit(const gust_context *c, const gust_context_memory *m, gust_error *err) {
  if (m->positions <= m->most) return GUST_OK;
  char advice[128] = "";
  if (m->most || m->most_q8)
    snprintf(advice, sizeof advice, "; at most %zu positions fit, with q8 keys and values %zu",
             m->most, m->most_q8);
  return gust_fail(
      err, GUST_E_MEMORY,
      "context: expected %llu bytes of free memory for %zu positions (%llu of keys "
      "and values, %llu to compute in), found %llu%s%s",
      (unsigned long long)(m->cache + m->scratch), m->positions, (unsigned long long)m->cache,
      (unsigned long long)m->scratch, (unsigned long long)m->available, advice,
      c->model->copy && c->model->path ? "; a mapped model (--load mmap) leaves more" : "");
}

gust_status gust_context_measure(const gust_model *model, const gust_context_options *options,
                                 gust_context_memory *memory, gust_error *err) {
  gust_context c = {.model = model};
  return plan(&c, options ? options : &default_options, memory, err);
}

static gust_status reserve_memory(gust_context *c, gust_error *err) {
  gust_status status = gust_kv_cache_reserve(&c->cache, err);
  if (status) return status;
  c->scratch = os_reserve(c->scratch_bytes);
  if (!c->scratch || !os_commit(c->scratch, 0, c->scratch_bytes))
    return gust_fail_memory(err, "scratch memory of a context", c->scratch_bytes);
  lay_out_scratch(c, c->scratch);
  const gust_config *config = &c->model->header.config;
  gust_float_state caller = gust_float_state_set_default();
  gust_rope_frequencies(c->frequencies, config->head_dim, config->rope_theta);
  gust_float_state_restore(caller);
  return GUST_OK;
}

static gust_status create_parts(gust_context *c, const gust_context_options *o, gust_error *err) {
  gust_context_memory memory;
  gust_status status = plan(c, o, &memory, err);
  if (status) return status;
  if (!gust_kernels_select(&c->kernels, o->cpu))
    return gust_fail(err, GUST_E_ARGUMENT, "unknown CPU level \"%s\"; expected " GUST_KERNEL_LEVELS,
                     o->cpu);
  status = check_fit(c, &memory, err);
  if (!status) status = reserve_memory(c, err);
  if (status) return status;
  c->pool = gust_pool_create(c->threads);
  return c->pool ? GUST_OK : gust_fail_threads(err, c->threads);
}

gust_status gust_context_create(gust_context **out, const gust_model *model,
                                const gust_context_options *options, gust_error *err) {
  *out = NULL;
  gust_context *c = calloc(1, sizeof *c);
  if (!c) return gust_fail_memory(err, "a context", sizeof *c);
  c->model = model;
  gust_status status = create_parts(c, options ? options : &default_options, err);
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

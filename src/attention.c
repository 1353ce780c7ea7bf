/* Attention is cut into items that share nothing but what they read:
 *
 * - a batch: a tile of query rows (some tokens, times the query heads that share
 *   a key-value head) goes over all chunks its tokens see;
 * - a lone token: a key-value head goes over all chunks, or, where there are too
 *   few heads to keep all threads busy, every chunk of every head is an item and
 *   the partials are merged afterwards.
 *
 * Chunks are merged in the same order in all of them (docs/NUMERICS.md). */
#include "attention.h"

#include <math.h>

/* Positions that are rotated and stored at a time. */
#define STORE_TOKENS 16u
/* A lone token's chunks are not worth cutting when there are so few. */
#define FEW_CHUNKS 4u

typedef struct attention_stage {
  gust_context *c;
  size_t layer, position, tokens;
  size_t heads_per_kv_head;
  size_t group_heads, groups_per_kv_head, groups; /* heads that go together */
  size_t tile_tokens, tiles;                      /* tokens that do */
  size_t first_chunk, chunks;                     /* of a lone token */
  size_t state_floats, head_dim;
  float scale;
} attention_stage;

typedef struct head_group {
  size_t kv_head, head, heads;
} head_group;

static size_t least(size_t a, size_t b) {
  return a < b ? a : b;
}

static head_group group_at(const attention_stage *s, size_t index) {
  size_t kv_head = index / s->groups_per_kv_head;
  size_t offset = index % s->groups_per_kv_head * s->group_heads;
  return (head_group){kv_head, kv_head * s->heads_per_kv_head + offset,
                      least(s->group_heads, s->heads_per_kv_head - offset)};
}

/* --- keys and values ---------------------------------------------------------------- */

/* Rotates the query and key heads of tokens [begin, end) that belong to key-value
 * heads [kv_head, kv_end), and stores their keys and values. */
static void rotate_and_store(const attention_stage *s, size_t begin, size_t end, size_t kv_head,
                             size_t kv_end) {
  gust_context *c = s->c;
  size_t dim = s->head_dim, half = dim / 2, group = s->heads_per_kv_head;
  for (size_t t = begin; t < end; t++) {
    const float *cosines = c->cos + t * half, *sines = c->sin + t * half;
    c->kernels.rope(c->q + t * c->q_stride + kv_head * group * dim, (kv_end - kv_head) * group, dim,
                    cosines, sines);
    c->kernels.rope(c->k + t * c->kv_stride + kv_head * dim, kv_end - kv_head, dim, cosines, sines);
  }
  for (size_t t = begin, count; t < end; t += count) {
    size_t chunk = (s->position + t) / GUST_CHUNK, slot = (s->position + t) % GUST_CHUNK;
    count = least(end - t, GUST_CHUNK - slot);
    for (size_t h = kv_head; h < kv_end; h++)
      c->kernels.kv_store[c->kv_type](gust_kv_cache_key(&c->cache, s->layer, h, chunk),
                                      gust_kv_cache_value(&c->cache, s->layer, h, chunk), slot,
                                      count, c->k + t * c->kv_stride + h * dim,
                                      c->v + t * c->kv_stride + h * dim, c->kv_stride, dim);
  }
}

/* Items: runs of STORE_TOKENS tokens. */
static void store_tokens(void *arg, size_t begin, size_t end, unsigned worker) {
  (void)worker;
  const attention_stage *s = arg;
  rotate_and_store(s, begin * STORE_TOKENS, least(end * STORE_TOKENS, s->tokens), 0,
                   s->c->cache.kv_heads);
}

/* --- queries ------------------------------------------------------------------------- */

/* The rows of tokens [begin, end) that see anything of a chunk; states lie in the
 * order of all rows. */
static size_t rows_of_chunk(const attention_stage *s, gust_attend_row *rows, float *states,
                            head_group g, size_t begin, size_t end, size_t chunk) {
  const gust_context *c = s->c;
  size_t base = chunk * GUST_CHUNK, count = 0;
  for (size_t t = begin; t < end; t++) {
    size_t position = s->position + t, first = gust_kv_cache_first(&c->cache, position);
    if (position < base || first >= base + GUST_CHUNK) continue;
    for (size_t h = 0; h < g.heads; h++)
      rows[count++] = (gust_attend_row){
          .q = c->q + t * c->q_stride + (g.head + h) * s->head_dim,
          .state = states + ((t - begin) * g.heads + h) * s->state_floats,
          .first = (uint8_t)(first > base ? first - base : 0),
          .last = (uint8_t)least(position + 1 - base, GUST_CHUNK),
          .begins = first >= base,
      };
  }
  return count;
}

static void attend_chunk(const attention_stage *s, const gust_attend_row *rows, size_t count,
                         head_group g, size_t chunk, size_t last_chunk) {
  const gust_context *c = s->c;
  const void *next =
      chunk < last_chunk ? gust_kv_cache_key(&c->cache, s->layer, g.kv_head, chunk + 1) : NULL;
  c->kernels.attend[c->kv_type](
      rows, count, gust_kv_cache_key(&c->cache, s->layer, g.kv_head, chunk),
      gust_kv_cache_value(&c->cache, s->layer, g.kv_head, chunk), next, s->head_dim, s->scale);
}

static void finish_rows(const attention_stage *s, const float *states, head_group g, size_t begin,
                        size_t end) {
  gust_context *c = s->c;
  for (size_t t = begin; t < end; t++)
    for (size_t h = 0; h < g.heads; h++, states += s->state_floats)
      c->kernels.attend_finish(c->attended + t * c->q_stride + (g.head + h) * s->head_dim, states,
                               s->head_dim);
}

static void attend_tokens(const attention_stage *s, head_group g, size_t begin, size_t end,
                          unsigned worker) {
  gust_context *c = s->c;
  gust_attend_row rows[GUST_ATTENTION_ROWS];
  float *states = c->states + (size_t)worker * GUST_ATTENTION_ROWS * s->state_floats;
  size_t chunk = gust_kv_cache_first(&c->cache, s->position + begin) / GUST_CHUNK;
  size_t last_chunk = (s->position + end - 1) / GUST_CHUNK;
  for (; chunk <= last_chunk; chunk++) {
    size_t count = rows_of_chunk(s, rows, states, g, begin, end, chunk);
    attend_chunk(s, rows, count, g, chunk, last_chunk);
  }
  finish_rows(s, states, g, begin, end);
}

/* Items: tiles of tokens within groups of heads. */
static void attend_tiles(void *arg, size_t begin, size_t end, unsigned worker) {
  const attention_stage *s = arg;
  for (size_t item = begin; item < end; item++) {
    size_t first = item % s->tiles * s->tile_tokens;
    attend_tokens(s, group_at(s, item / s->tiles), first, least(first + s->tile_tokens, s->tokens),
                  worker);
  }
}

/* Items: key-value heads of a lone token, with all there is to do for them. */
static void attend_heads(void *arg, size_t begin, size_t end, unsigned worker) {
  const attention_stage *s = arg;
  for (size_t item = begin; item < end; item++) {
    rotate_and_store(s, 0, 1, item, item + 1);
    for (size_t i = 0; i < s->groups_per_kv_head; i++)
      attend_tokens(s, group_at(s, item * s->groups_per_kv_head + i), 0, 1, worker);
  }
}

/* Items: chunks within groups of heads of a lone token. */
static void attend_chunks(void *arg, size_t begin, size_t end, unsigned worker) {
  (void)worker;
  const attention_stage *s = arg;
  gust_attend_row rows[GUST_ATTENTION_ROWS];
  for (size_t item = begin; item < end; item++) {
    head_group g = group_at(s, item / s->chunks);
    size_t index = item % s->chunks, chunk = s->first_chunk + index;
    float *states = s->c->partials + (g.head * s->chunks + index * g.heads) * s->state_floats;
    size_t count = rows_of_chunk(s, rows, states, g, 0, 1, chunk);
    for (size_t r = 0; r < count; r++) rows[r].begins = true;
    attend_chunk(s, rows, count, g, chunk, s->first_chunk + s->chunks - 1);
  }
}

/* Items: groups of heads, whose partials lie chunk by chunk. */
static void merge_chunks(void *arg, size_t begin, size_t end, unsigned worker) {
  (void)worker;
  const attention_stage *s = arg;
  for (size_t item = begin; item < end; item++) {
    head_group g = group_at(s, item);
    float *states = s->c->partials + g.head * s->chunks * s->state_floats;
    size_t stride = g.heads * s->state_floats;
    for (size_t h = 0; h < g.heads; h++) {
      float *state = states + h * s->state_floats;
      s->c->kernels.attend_merge(state, state + stride, stride, s->chunks - 1, s->head_dim);
    }
    finish_rows(s, states, g, 0, 1);
  }
}

/* --- the whole ------------------------------------------------------------------------- */

static void run_batch(attention_stage *s) {
  gust_pool *pool = s->c->pool;
  gust_pool_run(pool, store_tokens, s, (s->tokens + STORE_TOKENS - 1) / STORE_TOKENS, 1);
  gust_pool_run(pool, attend_tiles, s, s->groups * s->tiles, 1);
}

static void run_lone_token(attention_stage *s) {
  gust_context *c = s->c;
  size_t kv_heads = c->cache.kv_heads, threads = gust_pool_threads(c->pool);
  s->first_chunk = gust_kv_cache_first(&c->cache, s->position) / GUST_CHUNK;
  s->chunks = s->position / GUST_CHUNK - s->first_chunk + 1;
  bool even = kv_heads % threads == 0 || kv_heads >= 4 * threads;
  if (even || s->chunks <= FEW_CHUNKS) {
    gust_pool_run(c->pool, attend_heads, s, kv_heads, 1);
    return;
  }
  rotate_and_store(s, 0, 1, 0, kv_heads);
  gust_pool_run(c->pool, attend_chunks, s, s->groups * s->chunks, 1);
  gust_pool_run(c->pool, merge_chunks, s, s->groups, 1);
}

void gust_attention(gust_context *c, size_t layer, size_t position, size_t count) {
  const gust_config *config = &c->model->header.config;
  attention_stage s = {.c = c,
                       .layer = layer,
                       .position = position,
                       .tokens = count,
                       .heads_per_kv_head = config->heads / config->kv_heads,
                       .state_floats = gust_attention_state_floats(config->head_dim),
                       .head_dim = config->head_dim,
                       .scale = 1.0f / sqrtf((float)config->head_dim)};
  s.groups_per_kv_head = (s.heads_per_kv_head + GUST_ATTENTION_ROWS - 1) / GUST_ATTENTION_ROWS;
  s.group_heads = (s.heads_per_kv_head + s.groups_per_kv_head - 1) / s.groups_per_kv_head;
  s.groups = config->kv_heads * s.groups_per_kv_head;
  s.tile_tokens = GUST_ATTENTION_ROWS / s.group_heads;
  s.tiles = (count + s.tile_tokens - 1) / s.tile_tokens;
  if (count > 1)
    run_batch(&s);
  else
    run_lone_token(&s);
}

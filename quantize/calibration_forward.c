#include "calibration_forward.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "os.h"

/* Panels a thread unpacks at a time, and tokens it multiplies them with before
 * the next ones: both stay in its cache. */
#define GROUP_PANELS 4u
#define TOKEN_BLOCK 16u
#define CHUNKS (CALIBRATION_SEQUENCE / GUST_CHUNK)

/* --- memory --------------------------------------------------------------------------- */

static size_t largest(size_t a, size_t b) {
  return a > b ? a : b;
}

/* A worker unpacks panels, or holds one head's keys and values of a sequence. */
static size_t scratch_for(const calibration_forward *f) {
  size_t k = largest(largest(f->hidden_stride, f->q_stride), f->ffn_stride);
  size_t panels = (k + GROUP_PANELS * GUST_PANEL_ROWS * k + TOKEN_BLOCK * 16) * sizeof(float);
  size_t dim = f->config->head_dim;
  size_t tiles = CHUNKS * (gust_key_tile_bytes(GUST_KV_TILE_F32, dim) +
                           gust_value_tile_bytes(GUST_KV_TILE_F32, dim));
  size_t shared = f->config->heads / f->config->kv_heads;
  size_t states = shared * gust_attention_state_floats(dim) * sizeof(float);
  return gust_round_up(largest(panels, tiles + states), 64);
}

static void set_strides(calibration_forward *f) {
  const gust_config *config = f->config;
  f->hidden_stride = gust_round_up(config->hidden_size, GUST_TILE_K);
  f->q_stride = gust_round_up((size_t)config->heads * config->head_dim, GUST_TILE_K);
  f->kv_stride = gust_round_up((size_t)config->kv_heads * config->head_dim, GUST_TILE_K);
  f->ffn_stride = gust_round_up(config->intermediate_size, GUST_TILE_K);
}

size_t calibration_token_bytes(const gust_config *config) {
  calibration_forward f = {.config = config};
  set_strides(&f);
  return sizeof(float) * (2 * f.hidden_stride + f.q_stride + f.ffn_stride + 2 * f.kv_stride);
}

static gust_status create_tables(calibration_forward *f, gust_error *err) {
  size_t half = f->config->head_dim / 2, bytes = CALIBRATION_SEQUENCE * half * sizeof(float);
  float *frequencies = malloc(half * sizeof *frequencies);
  f->cos = malloc(bytes);
  f->sin = malloc(bytes);
  gust_status status = GUST_OK;
  if (frequencies && f->cos && f->sin) {
    gust_rope_frequencies(frequencies, f->config->head_dim, f->config->rope_theta);
    for (uint32_t i = 0; i < CALIBRATION_SEQUENCE; i++)
      gust_rope_table(f->cos + i * half, f->sin + i * half, frequencies, half, i);
  } else {
    status = gust_fail_memory(err, "rotary embedding", bytes);
  }
  free(frequencies);
  return status;
}

gust_status calibration_forward_create(calibration_forward *f, const gust_config *config,
                                       const int32_t *ids, size_t tokens,
                                       const gust_kernels *kernels, gust_pool *pool,
                                       gust_error *err) {
  *f = (calibration_forward){
      .config = config, .kernels = kernels, .pool = pool, .ids = ids, .tokens = tokens};
  set_strides(f);
  f->scratch_bytes = scratch_for(f);
  unsigned threads = gust_pool_threads(pool);
  f->scratch = calloc(threads, sizeof *f->scratch);
  if (!f->scratch) return gust_fail_memory(err, "calibration", threads * sizeof *f->scratch);
  for (unsigned i = 0; i < threads; i++) {
    f->scratch[i] = os_reserve(f->scratch_bytes);
    if (!f->scratch[i] || !os_commit(f->scratch[i], 0, f->scratch_bytes))
      return gust_fail_memory(err, "calibration", f->scratch_bytes);
  }
  return create_tables(f, err);
}

void calibration_forward_destroy(calibration_forward *f) {
  if (f->scratch)
    for (unsigned i = 0; i < gust_pool_threads(f->pool); i++)
      if (f->scratch[i]) os_release(f->scratch[i], f->scratch_bytes);
  free(f->scratch);
  free(f->cos);
  free(f->sin);
  memset(f, 0, sizeof *f);
}

gust_status calibration_stream_create(calibration_stream *s, const calibration_forward *f,
                                      bool rounded, gust_error *err) {
  *s = (calibration_stream){.rounded = rounded};
  const struct {
    float **array;
    size_t stride;
  } arrays[] = {{&s->x, f->hidden_stride},   {&s->normed, f->hidden_stride},
                {&s->attended, f->q_stride}, {&s->gated, f->ffn_stride},
                {&s->k, f->kv_stride},       {&s->v, f->kv_stride}};
  for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
    *arrays[i].array = calloc(f->tokens, arrays[i].stride * sizeof(float));
    if (!*arrays[i].array)
      return gust_fail_memory(err, "activations of the calibration text",
                              f->tokens * arrays[i].stride * sizeof(float));
  }
  return GUST_OK;
}

void calibration_stream_destroy(calibration_stream *s) {
  free(s->x);
  free(s->normed);
  free(s->attended);
  free(s->gated);
  free(s->k);
  free(s->v);
  memset(s, 0, sizeof *s);
}

/* --- tokens ---------------------------------------------------------------------------- */

typedef struct token_job {
  const calibration_forward *f;
  calibration_stream *s;
  const layer_matrix *embedding;
  const float *weight;
} token_job;

static void embed_tokens(void *arg, size_t begin, size_t end, unsigned worker) {
  (void)worker;
  const token_job *job = arg;
  const layer_matrix *m = job->embedding;
  size_t row_bytes = m->columns * safetensors_element_bytes(m->source->dtype);
  for (size_t t = begin; t < end; t++)
    safetensors_to_floats(
        m->source->dtype,
        m->file->map.data + m->source->offset + (size_t)job->f->ids[t] * row_bytes, m->columns,
        job->s->x + t * job->f->hidden_stride);
}

void calibration_embed(const calibration_forward *f, calibration_stream *s,
                       const layer_matrix *embedding) {
  token_job job = {.f = f, .s = s, .embedding = embedding};
  gust_pool_run(f->pool, embed_tokens, &job, f->tokens, 16);
}

static void norm_tokens(void *arg, size_t begin, size_t end, unsigned worker) {
  (void)worker;
  const token_job *job = arg;
  const calibration_forward *f = job->f;
  for (size_t t = begin; t < end; t++)
    f->kernels->rmsnorm(job->s->normed + t * f->hidden_stride, job->s->x + t * f->hidden_stride,
                        job->weight, f->config->hidden_size, f->config->norm_eps);
}

void calibration_norm(const calibration_forward *f, calibration_stream *s, const float *weight) {
  token_job job = {.f = f, .s = s, .weight = weight};
  gust_pool_run(f->pool, norm_tokens, &job, f->tokens, 16);
}

static void rotate_tokens(void *arg, size_t begin, size_t end, unsigned worker) {
  (void)worker;
  const token_job *job = arg;
  const calibration_forward *f = job->f;
  size_t dim = f->config->head_dim, half = dim / 2;
  for (size_t t = begin; t < end; t++) {
    const float *cosines = f->cos + t % CALIBRATION_SEQUENCE * half;
    const float *sines = f->sin + t % CALIBRATION_SEQUENCE * half;
    f->kernels->rope(job->s->attended + t * f->q_stride, f->config->heads, dim, cosines, sines);
    f->kernels->rope(job->s->k + t * f->kv_stride, f->config->kv_heads, dim, cosines, sines);
  }
}

/* --- products --------------------------------------------------------------------------- */

typedef struct product_job {
  const calibration_forward *f;
  bool rounded;
  const layer_matrix *matrix, *up; /* up: gate's partner, or NULL */
  const float *x;
  float *dst;
  size_t dst_stride;
} product_job;

/* Items: groups of panels. */
static void multiply_panels(void *arg, size_t begin, size_t end, unsigned worker) {
  const product_job *job = arg;
  const layer_matrix *m = job->matrix;
  size_t k = m->k_padded, panel_floats = GUST_PANEL_ROWS * k, tokens = job->f->tokens;
  float *values = (float *)(void *)job->f->scratch[worker];
  float *row = values + GROUP_PANELS * panel_floats;
  for (size_t item = begin; item < end; item++) {
    size_t first = item * GROUP_PANELS, left = m->panel_count - first;
    size_t count = left < GROUP_PANELS ? left : GROUP_PANELS;
    for (size_t i = 0; i < count; i++)
      layer_matrix_load(m, job->rounded, first + i, row, values + i * panel_floats);
    for (size_t t = 0; t < tokens; t += TOKEN_BLOCK) {
      size_t n = tokens - t < TOKEN_BLOCK ? tokens - t : TOKEN_BLOCK;
      job->f->kernels->matmul_f32(job->dst + t * job->dst_stride + first * GUST_PANEL_ROWS,
                                  job->dst_stride, (const uint8_t *)values, count, job->x + t * k,
                                  k, n);
    }
  }
}

static void multiply(const calibration_forward *f, bool rounded, const layer_matrix *m,
                     const float *x, float *dst, size_t dst_stride) {
  product_job job = {f, rounded, m, NULL, x, dst, dst_stride};
  gust_pool_run(f->pool, multiply_panels, &job, (m->panel_count + GROUP_PANELS - 1) / GROUP_PANELS,
                1);
}

/* Items: panels of gate and up, combined at once. */
static void gate_panels(void *arg, size_t begin, size_t end, unsigned worker) {
  const product_job *job = arg;
  const gust_kernels *kernels = job->f->kernels;
  size_t k = job->matrix->k_padded, floats = GUST_PANEL_ROWS * k, tokens = job->f->tokens;
  float *gate = (float *)(void *)job->f->scratch[worker], *up = gate + floats;
  float *product = up + floats, *row = product + TOKEN_BLOCK * GUST_PANEL_ROWS;
  for (size_t p = begin; p < end; p++) {
    layer_matrix_load(job->matrix, job->rounded, p, row, gate);
    layer_matrix_load(job->up, job->rounded, p, row, up);
    for (size_t t = 0; t < tokens; t += TOKEN_BLOCK) {
      size_t n = tokens - t < TOKEN_BLOCK ? tokens - t : TOKEN_BLOCK;
      float *dst = job->dst + t * job->dst_stride + p * GUST_PANEL_ROWS;
      kernels->matmul_f32(dst, job->dst_stride, (const uint8_t *)gate, 1, job->x + t * k, k, n);
      kernels->matmul_f32(product, GUST_PANEL_ROWS, (const uint8_t *)up, 1, job->x + t * k, k, n);
      for (size_t i = 0; i < n; i++)
        kernels->swiglu(dst + i * job->dst_stride, product + i * GUST_PANEL_ROWS, GUST_PANEL_ROWS);
    }
  }
}

void calibration_gate(const calibration_forward *f, calibration_stream *s, const layer_matrix *gate,
                      const layer_matrix *up) {
  product_job job = {f, s->rounded, gate, up, s->normed, s->gated, f->ffn_stride};
  gust_pool_run(f->pool, gate_panels, &job, gate->panel_count, 1);
}

static void add_tokens(void *arg, size_t begin, size_t end, unsigned worker) {
  (void)worker;
  const token_job *job = arg;
  size_t stride = job->f->hidden_stride;
  for (size_t t = begin; t < end; t++)
    job->f->kernels->add(job->s->x + t * stride, job->s->normed + t * stride, stride);
}

void calibration_project(const calibration_forward *f, calibration_stream *s,
                         const layer_matrix *matrix, const float *input) {
  multiply(f, s->rounded, matrix, input, s->normed, f->hidden_stride);
  token_job job = {.f = f, .s = s};
  gust_pool_run(f->pool, add_tokens, &job, f->tokens, 16);
}

/* --- differences ---------------------------------------------------------------------- */

typedef struct difference_job {
  float *dst;
  const float *a, *b;
  size_t stride;
} difference_job;

static void subtract_tokens(void *arg, size_t begin, size_t end, unsigned worker) {
  (void)worker;
  const difference_job *job = arg;
  for (size_t i = begin * job->stride; i < end * job->stride; i++)
    job->dst[i] = job->a[i] - job->b[i];
}

void calibration_difference(const calibration_forward *f, float *dst, const float *a,
                            const float *b, size_t stride) {
  difference_job job = {dst, a, b, stride};
  gust_pool_run(f->pool, subtract_tokens, &job, f->tokens, 16);
}

/* --- attention ---------------------------------------------------------------------------- */

typedef struct attention_job {
  const calibration_forward *f;
  calibration_stream *s;
  float scale;
} attention_job;

/* One key-value head's tiles of a sequence. */
typedef struct head_tiles {
  uint8_t *keys, *values;
  size_t key_bytes, value_bytes;
} head_tiles;

/* Attends from all heads that share the key-value head of `tiles`, of the token at
 * `position` of its sequence, whose queries begin at `row`, and puts the result in
 * their place. */
static void attend_token(const attention_job *job, const head_tiles *tiles, float *row,
                         size_t heads, size_t position, float *states) {
  const gust_config *config = job->f->config;
  const gust_kernels *kernels = job->f->kernels;
  size_t dim = config->head_dim, floats = gust_attention_state_floats(dim);
  size_t window = config->sliding_window;
  size_t first = window && position + 1 > window ? position + 1 - window : 0;
  for (size_t h = 0; h < heads; h++) {
    float *state = states + h * floats;
    for (size_t chunk = first / GUST_CHUNK; chunk <= position / GUST_CHUNK; chunk++) {
      size_t base = chunk * GUST_CHUNK, from = first > base ? first - base : 0;
      size_t to = position + 1 - base < GUST_CHUNK ? position + 1 - base : GUST_CHUNK;
      gust_attend_row one = {row + h * dim, state, (uint8_t)from, (uint8_t)to,
                             chunk == first / GUST_CHUNK};
      kernels->attend[GUST_KV_TILE_F32](&one, 1, tiles->keys + chunk * tiles->key_bytes,
                                        tiles->values + chunk * tiles->value_bytes, NULL, dim,
                                        job->scale);
    }
    kernels->attend_finish(row + h * dim, state, dim);
  }
}

/* Items: key-value head within sequence. */
static void attend_sequences(void *arg, size_t begin, size_t end, unsigned worker) {
  const attention_job *job = arg;
  const calibration_forward *f = job->f;
  const gust_config *config = f->config;
  size_t dim = config->head_dim, shared = config->heads / config->kv_heads;
  head_tiles tiles = {.key_bytes = gust_key_tile_bytes(GUST_KV_TILE_F32, dim),
                      .value_bytes = gust_value_tile_bytes(GUST_KV_TILE_F32, dim)};
  tiles.keys = f->scratch[worker];
  tiles.values = tiles.keys + CHUNKS * tiles.key_bytes;
  float *states = (float *)(void *)(tiles.values + CHUNKS * tiles.value_bytes);
  for (size_t item = begin; item < end; item++) {
    size_t sequence = item / config->kv_heads, kv_head = item % config->kv_heads;
    size_t first = sequence * CALIBRATION_SEQUENCE, left = f->tokens - first;
    size_t count = left < CALIBRATION_SEQUENCE ? left : CALIBRATION_SEQUENCE;
    memset(tiles.keys, 0, CHUNKS * (tiles.key_bytes + tiles.value_bytes));
    for (size_t i = 0; i < count; i++) {
      size_t at = (first + i) * f->kv_stride + kv_head * dim, chunk = i / GUST_CHUNK;
      f->kernels->kv_store[GUST_KV_TILE_F32](
          tiles.keys + chunk * tiles.key_bytes, tiles.values + chunk * tiles.value_bytes,
          i % GUST_CHUNK, 1, job->s->k + at, job->s->v + at, f->kv_stride, dim);
      attend_token(job, &tiles,
                   job->s->attended + (first + i) * f->q_stride + kv_head * shared * dim, shared, i,
                   states);
    }
  }
}

void calibration_attend(const calibration_forward *f, calibration_stream *s, const layer_matrix *q,
                        const layer_matrix *k, const layer_matrix *v) {
  multiply(f, s->rounded, q, s->normed, s->attended, f->q_stride);
  multiply(f, s->rounded, k, s->normed, s->k, f->kv_stride);
  multiply(f, s->rounded, v, s->normed, s->v, f->kv_stride);
  token_job rotate = {.f = f, .s = s};
  gust_pool_run(f->pool, rotate_tokens, &rotate, f->tokens, 16);
  size_t sequences = (f->tokens + CALIBRATION_SEQUENCE - 1) / CALIBRATION_SEQUENCE;
  attention_job job = {f, s, 1.0f / sqrtf((float)f->config->head_dim)};
  gust_pool_run(f->pool, attend_sequences, &job, sequences * f->config->kv_heads, 1);
}

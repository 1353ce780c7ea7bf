/* Every kernel of every level this machine runs against the C reference, by
 * memcmp, over random, extreme and tail inputs between guard pages.
 *
 *   test_kernels [--seed N] [--level NAME] [--kernel NAME]
 *
 * A failure names kernel, level, shape and seed; running again with that seed
 * repeats it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "guarded.h"
#include "kernels.h"

static unsigned long long random_state;

static uint64_t draw(void) {
  return check_random(&random_state);
}
static size_t draw_below(size_t n) {
  return (size_t)(draw() % n);
}

/* Floats as activations have them, now and then extreme. */
static float draw_float(void) {
  uint64_t r = draw();
  float unit = (float)((double)(r >> 11) * 0x1p-53) * 2 - 1;
  switch (r % 64) {
    case 0: return 0.0f;
    case 1: return -0.0f;
    case 2: return unit * 1e30f;
    case 3: return unit * 1e-30f;
    case 4: return unit * 1e-41f; /* subnormal */
    default: return unit * 8;
  }
}
/* Without values so large that sums overflow: infinities minus infinities make
 * NaNs, whose sign bits no contract covers. */
static float draw_tame(void) {
  float x = draw_float();
  return fabsf(x) > 1e10f ? 1.5f : x;
}

static float *floats(size_t n, float (*make)(void)) {
  float *p = guarded(n * sizeof(float));
  for (size_t i = 0; i < n; i++) p[i] = make();
  return p;
}
/* n floats, zeros after the first `used`. */
static float *padded_floats(size_t n, size_t used) {
  float *p = floats(n, draw_tame);
  memset(p + used, 0, (n - used) * sizeof(float));
  return p;
}
static void *bytes_random(size_t n) {
  uint8_t *p = guarded(n);
  for (size_t i = 0; i < n; i++) p[i] = (uint8_t)draw();
  return p;
}

static const char *current_kernel, *current_level;
static unsigned long long current_seed;

static void same(const void *expected, const void *found, size_t bytes, const char *shape) {
  if (CHECK(memcmp(expected, found, bytes) == 0)) return;
  const unsigned char *a = expected, *b = found;
  size_t at = 0;
  while (a[at] == b[at]) at++;
  fprintf(stderr, "  %s %s: %s: byte %zu of %zu differs; --seed %llu\n", current_kernel,
          current_level, shape, at, bytes, current_seed);
}

/* --- matrices --- */

static size_t panel_bytes_of(int type, size_t k) {
  switch (type) {
    case 4: return gust_q4_panel_bytes(k);
    case 8: return gust_q8_panel_bytes(k);
    case 16: return gust_bf16_panel_bytes(k);
    default: return gust_f32_panel_bytes(k);
  }
}

static uint8_t *random_panels(int type, size_t panels, size_t k) {
  size_t one = panel_bytes_of(type, k);
  if (type > 8) {
    uint8_t *p = guarded(one * panels);
    for (size_t i = 0; i < one * panels / (type == 16 ? 2u : 4u); i++) {
      float w = draw_tame();
      uint32_t u;
      memcpy(&u, &w, 4);
      if (type == 16)
        ((uint16_t *)(void *)p)[i] = (uint16_t)(u >> 16);
      else
        ((float *)(void *)p)[i] = w;
    }
    return p;
  }
  uint8_t *p = bytes_random(one * panels);
  int extreme = draw() % 8 == 0; /* codes and scales at their ends: sums at theirs */
  if (extreme) memset(p, draw() & 1 ? 0x80 : 0x7f, one * panels);
  return p;
}

/* Row scales 2^-47 to 2^33, now and then 0. */
static uint8_t *random_row_codes(size_t panels) {
  uint8_t *codes = guarded(panels * 16);
  for (size_t i = 0; i < panels * 16; i++)
    codes[i] = draw() % 16 ? (uint8_t)(80 + draw_below(81)) : 0;
  return codes;
}

/* Rows as far apart as a caller might have them; the guard page follows the last. */
static gust_activations allocate_activations(size_t tokens, size_t k) {
  size_t stride = draw() & 1 ? gust_activation_stride(k) : k;
  return (gust_activations){guarded((tokens - 1) * stride + k), guarded(tokens * k / 32 * 4),
                            guarded(tokens * k / 32 * 4), k, stride};
}

static gust_activations make_activations(size_t tokens, size_t k) {
  gust_activations x = allocate_activations(tokens, k);
  int extreme = draw() % 4 == 0;
  for (size_t b = 0; b < tokens * k / 32; b++) {
    int sum = 0;
    int8_t worst = draw() & 1 ? 127 : -127;
    for (size_t i = 0; i < 32; i++) {
      int8_t code = extreme ? worst : (int8_t)((int)draw_below(255) - 127);
      x.codes[b / (k / 32) * x.stride + b % (k / 32) * 32 + i] = code;
      sum += code;
    }
    x.sums[b] = sum;
    x.scales[b] = fabsf(draw_tame());
  }
  return x;
}

static void check_matmul_shape(const gust_kernels *c, const gust_kernels *k, int type,
                               size_t panels, size_t depth, size_t tokens) {
  size_t stride = panels * 16 + draw_below(3) * 16;
  uint8_t *w = random_panels(type, panels, depth);
  float *expected = guarded(((tokens - 1) * stride + panels * 16) * 4);
  float *found = guarded(((tokens - 1) * stride + panels * 16) * 4);
  if (type <= 8) {
    gust_activations x = make_activations(tokens, depth);
    uint8_t *codes = random_row_codes(panels);
    (type == 4 ? c->matmul_q4 : c->matmul_q8)(expected, stride, w, codes, panels, &x, tokens);
    (type == 4 ? k->matmul_q4 : k->matmul_q8)(found, stride, w, codes, panels, &x, tokens);
  } else {
    float *x = floats(tokens * depth, draw_tame);
    (type == 16 ? c->matmul_bf16 : c->matmul_f32)(expected, stride, w, panels, x, depth, tokens);
    (type == 16 ? k->matmul_bf16 : k->matmul_f32)(found, stride, w, panels, x, depth, tokens);
  }
  char shape[96];
  snprintf(shape, sizeof shape, "%zu panels, k %zu, %zu tokens", panels, depth, tokens);
  same(expected, found, ((tokens - 1) * stride + panels * 16) * 4, shape);
  guarded_free_all();
}

/* Every number of tokens that tiles and the shared passes of a few are made for, and
 * shapes past the chunks and groups of tokens that products are cut into. */
static void check_matmul(const gust_kernels *c, const gust_kernels *k, int type) {
  static const size_t depths[] = {128, 256, 640, 1408};
  for (size_t tokens = 1; tokens <= 33; tokens++)
    check_matmul_shape(c, k, type, 1 + draw_below(6), depths[draw_below(2)], tokens);
  for (int round = 0; round < 8; round++)
    check_matmul_shape(c, k, type, 1 + draw_below(6), depths[draw_below(4)],
                       1 + draw_below(round < 7 ? 40 : 300));
}
static void check_matmul_q4(const gust_kernels *c, const gust_kernels *k) {
  check_matmul(c, k, 4);
}
static void check_matmul_q8(const gust_kernels *c, const gust_kernels *k) {
  check_matmul(c, k, 8);
}
static void check_matmul_bf16(const gust_kernels *c, const gust_kernels *k) {
  check_matmul(c, k, 16);
}
static void check_matmul_f32(const gust_kernels *c, const gust_kernels *k) {
  check_matmul(c, k, 32);
}

static void check_quantize(const gust_kernels *c, const gust_kernels *k) {
  for (int round = 0; round < 40; round++) {
    size_t depth = 128 * (1 + draw_below(5)), tokens = 1 + draw_below(3);
    float *x = floats(depth, draw_float);
    if (round == 1) memset(x, 0, depth * 4);
    if (round == 2) x[5] = INFINITY, x[40] = -INFINITY, x[70] = NAN;
    /* Ties: multiples of half a step. */
    if (round == 3)
      for (size_t i = 0; i < depth; i++) x[i] = i % 32 ? (float)(i % 32) * 0.5f : 127.0f;
    gust_activations a = allocate_activations(tokens, depth);
    gust_activations b = allocate_activations(tokens, depth);
    b.stride = a.stride;
    b.codes = guarded((tokens - 1) * a.stride + depth);
    c->quantize(&a, tokens - 1, x);
    k->quantize(&b, tokens - 1, x);
    char shape[64];
    snprintf(shape, sizeof shape, "k %zu, round %d", depth, round);
    same(a.codes, b.codes, (tokens - 1) * a.stride + depth, shape);
    same(a.scales, b.scales, tokens * depth / 8, shape);
    same(a.sums, b.sums, tokens * depth / 8, shape);
    guarded_free_all();
  }
}

/* --- vectors --- */

static void check_rmsnorm(const gust_kernels *c, const gust_kernels *k) {
  for (int round = 0; round < 20; round++) {
    size_t n = 1 + draw_below(700), padded = gust_round_up(n, 16);
    float *x = padded_floats(padded, n), *w = padded_floats(padded, n);
    float *expected = guarded(padded * 4), *found = guarded(padded * 4);
    c->rmsnorm(expected, x, w, n, 1e-5f);
    k->rmsnorm(found, x, w, n, 1e-5f);
    same(expected, found, padded * 4, "rmsnorm");
    k->rmsnorm(x, x, w, n, 1e-5f);
    same(expected, x, padded * 4, "rmsnorm in place");
    guarded_free_all();
  }
}

static void check_rope(const gust_kernels *c, const gust_kernels *k) {
  static const size_t dims[] = {2, 8, 20, 32, 64, 80, 128};
  for (int round = 0; round < 21; round++) {
    size_t dim = dims[round % 7], heads = 1 + draw_below(4);
    float *x = floats(heads * dim, draw_tame), *y = guarded(heads * dim * 4);
    memcpy(y, x, heads * dim * 4);
    float *cosines = floats(dim / 2, draw_tame), *sines = floats(dim / 2, draw_tame);
    c->rope(x, heads, dim, cosines, sines);
    k->rope(y, heads, dim, cosines, sines);
    same(x, y, heads * dim * 4, "rope");
    guarded_free_all();
  }
}

static void check_swiglu(const gust_kernels *c, const gust_kernels *k) {
  for (int round = 0; round < 20; round++) {
    size_t n = 16 * (1 + draw_below(40));
    float *x = floats(n, draw_float), *y = guarded(n * 4), *up = floats(n, draw_tame);
    for (size_t i = 0; i < n; i++)
      if (draw() % 4 == 0) x[i] = draw_tame() * 20; /* past the ends of exp */
    memcpy(y, x, n * 4);
    c->swiglu(x, up, n);
    k->swiglu(y, up, n);
    same(x, y, n * 4, "swiglu");
    guarded_free_all();
  }
}

static void check_add(const gust_kernels *c, const gust_kernels *k) {
  size_t n = 16 * (1 + draw_below(40));
  float *x = floats(n, draw_tame), *y = guarded(n * 4), *add = floats(n, draw_tame);
  memcpy(y, x, n * 4);
  c->add(x, add, n);
  k->add(y, add, n);
  same(x, y, n * 4, "add");
  guarded_free_all();
}

static void check_softmax(const gust_kernels *c, const gust_kernels *k) {
  for (int round = 0; round < 40; round++) {
    size_t n = 1 + draw_below(round < 20 ? 40 : 5000);
    float *x = floats(n, draw_tame), *expected = guarded(n * 4), *found = guarded(n * 4);
    float scale = round % 3 ? 1.0f : 1 / 0.7f;
    size_t broken = round % 2 ? 1 + draw_below(n) : n; /* from here on NaN */
    for (size_t i = broken; i < n; i++) x[i] = NAN;
    float a = c->softmax(expected, x, n, scale), b = k->softmax(found, x, n, scale);
    CHECK(a >= 1 && a <= (float)broken);
    for (size_t i = 0; i < n; i++) CHECK(expected[i] >= 0 && expected[i] <= (float)(i < broken));
    same(expected, found, n * 4, "softmax");
    same(&a, &b, 4, "softmax sum");
    k->softmax(x, x, n, scale);
    same(expected, x, n * 4, "softmax in place");
    guarded_free_all();
  }
}

/* --- sampling --- */

/* Logits with ties, NaN and infinities, now and then nothing else. */
static void check_argmax(const gust_kernels *c, const gust_kernels *k) {
  static const float special[] = {-INFINITY, NAN, INFINITY, 0.0f, -0.0f};
  for (int round = 0; round < 60; round++) {
    size_t n = 1 + draw_below(round < 40 ? 50 : 5000);
    float *x = floats(n, draw_tame);
    for (size_t i = 0; i < n && round % 3; i++)
      if (round % 3 == 2)
        x[i] = draw() % 4 ? special[draw_below(2)] : special[draw_below(5)];
      else
        x[i] = (float)draw_below(4);
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
      if (x[i] > x[best] || (isnan(x[best]) && !isnan(x[i]) && x[i] > -INFINITY)) best = i;
    if (isnan(x[best])) best = 0;
    CHECK_EQ_INT(c->argmax(x, n), best);
    CHECK_EQ_INT(k->argmax(x, n), best);
    guarded_free_all();
  }
}

/* A weight in [0, 1]: the ends, few different ones, any size. */
static float draw_weight(void) {
  float unit = (float)(draw() >> 40) * 0x1p-24f;
  switch (draw() % 8) {
    case 0: return 0.0f;
    case 1: return 1.0f;
    case 2: return 0.5f;
    case 3: return 0.5f + unit * 0x1p-12f;
    case 4: return unit * 0x1p-60f;
    default: return unit;
  }
}

/* Against one weight after the other, within bounds that are weights themselves. */
static void check_weights_in_range(const gust_kernels *k, const float *p, size_t n, int shift,
                                   float low, float high) {
  gust_bin *expected = guarded(GUST_BINS * sizeof *expected),
           *found = guarded(GUST_BINS * sizeof *found);
  memset(expected, 0, GUST_BINS * sizeof *expected);
  memset(found, 0, GUST_BINS * sizeof *found);
  size_t count = 0;
  for (size_t i = 0; i < n; i++) {
    uint32_t bits;
    if (!(p[i] >= low && p[i] < high)) continue;
    memcpy(&bits, &p[i], 4);
    gust_bin *bin = &expected[(bits >> shift) % GUST_BINS];
    bin->count++;
    bin->sum += (uint64_t)floor(ldexp((double)p[i], 39));
    CHECK_EQ_INT(k->find_weight(p, n, low, high, count), i);
    count++;
  }
  k->bin_weights(found, p, n, low, high, shift);
  same(expected, found, GUST_BINS * sizeof *expected, "bins");
  CHECK_EQ_INT(k->find_weight(p, n, low, high, count), n);
}
static void check_bin_weights(const gust_kernels *c, const gust_kernels *k) {
  for (int round = 0; round < 40; round++) {
    size_t n = 1 + draw_below(round < 30 ? 50 : 400);
    float *p = floats(n, draw_weight);
    float low = round % 4 ? p[draw_below(n)] : 0, high = round % 3 ? p[draw_below(n)] : INFINITY;
    int shift = GUST_BIN_BITS * (round % 3);
    check_weights_in_range(c, p, n, shift, low, high);
    check_weights_in_range(k, p, n, shift, low, high);
    guarded_free_all();
  }
}

/* --- attention --- */

/* Rows of queries over a chunk, each with a state of its own that guards follow. */
#define ROWS_MOST 30u

typedef struct attend_rows {
  gust_attend_row rows[ROWS_MOST];
  float *q, *states;
  size_t count, state_bytes;
} attend_rows;

/* Which slots a row sees: all, as cut by the causal mask or by a window (rows in
 * pairs move on by a slot), or any. */
static void draw_range(gust_attend_row *row, size_t index, int kind) {
  size_t first = 0, last = GUST_CHUNK, shift = index / 2 % 32;
  if (kind == 1) last = 17 + shift;
  if (kind == 2) first = 20 + shift;
  if (kind == 3) first = 30 + shift, last = first + 1 + draw_below(2);
  if (kind == 4) first = draw_below(64), last = first + 1 + draw_below(64 - first);
  row->first = (uint8_t)first;
  row->last = (uint8_t)last;
}

static attend_rows make_rows(size_t count, size_t dim, int kind) {
  size_t state = gust_attention_state_floats(dim);
  attend_rows r = {.count = count, .state_bytes = count * state * 4};
  r.q = floats(count * dim, draw_tame);
  r.states = floats(count * state, draw_tame);
  for (size_t i = 0; i < count; i++) {
    r.rows[i] = (gust_attend_row){
        .q = r.q + i * dim, .state = r.states + i * state, .begins = draw() % 2 == 0};
    r.states[i * state + 1] = 1.5f; /* a sum of weights */
    draw_range(&r.rows[i], i, kind);
  }
  return r;
}

/* The same rows with states of their own. */
static attend_rows copy_rows(const attend_rows *r) {
  attend_rows copy = *r;
  copy.states = guarded(r->state_bytes);
  memcpy(copy.states, r->states, r->state_bytes);
  for (size_t i = 0; i < r->count; i++)
    copy.rows[i].state = copy.states + (r->rows[i].state - r->states);
  return copy;
}

typedef struct tile_pair {
  void *key, *value;
  size_t key_bytes, value_bytes;
} tile_pair;

static tile_pair make_tiles(int type, size_t dim) {
  tile_pair t = {.key_bytes = gust_key_tile_bytes(type, dim),
                 .value_bytes = gust_value_tile_bytes(type, dim)};
  t.key = guarded(t.key_bytes);
  t.value = guarded(t.value_bytes);
  memset(t.key, 0, t.key_bytes);
  memset(t.value, 0, t.value_bytes);
  return t;
}

/* Fills a chunk by storing all 64 positions, some at a time, with `k`, and with
 * `c` one by one. */
static tile_pair check_store(const gust_kernels *c, const gust_kernels *k, int type, size_t dim) {
  tile_pair expected = make_tiles(type, dim), found = make_tiles(type, dim);
  for (size_t slot = 0, count; slot < GUST_CHUNK; slot += count) {
    count = 1 + draw_below(draw() % 4 ? 3 : 40);
    if (count > GUST_CHUNK - slot) count = GUST_CHUNK - slot;
    size_t stride = dim + draw_below(3) * 8;
    float *keys = floats((count - 1) * stride + dim, draw_tame);
    float *values = floats((count - 1) * stride + dim, draw_tame);
    if (slot == 0) keys[0] = 70000.0f, values[0] = -1e9f; /* past the largest half */
    for (size_t i = 0; i < count; i++)
      c->kv_store[type](expected.key, expected.value, slot + i, 1, keys + i * stride,
                        values + i * stride, 0, dim);
    k->kv_store[type](found.key, found.value, slot, count, keys, values, stride, dim);
    guarded_free_last(2);
  }
  same(expected.key, found.key, expected.key_bytes, "key tile");
  same(expected.value, found.value, expected.value_bytes, "value tile");
  return expected;
}

/* Partials of a row merged at once by `k`, one by one by `c`. */
static void check_merge(const gust_kernels *c, const gust_kernels *k, size_t dim) {
  size_t state = gust_attention_state_floats(dim), count = 1 + draw_below(40);
  size_t stride = state * (1 + draw_below(3));
  float *partials = floats((count - 1) * stride + state, draw_tame);
  float *expected = floats(state, draw_tame), *found = guarded(state * 4);
  for (size_t i = 0; i < count; i++) partials[i * stride + 1] = 1.0f + (float)draw_below(64);
  expected[1] = 2.0f;
  memcpy(found, expected, state * 4);
  for (size_t i = 0; i < count; i++) c->attend_merge(expected, partials + i * stride, 0, 1, dim);
  k->attend_merge(found, partials, stride, count, dim);
  same(expected, found, state * 4, "merge");
  float *one = guarded(dim * 4), *two = guarded(dim * 4);
  c->attend_finish(one, expected, dim);
  k->attend_finish(two, expected, dim);
  same(one, two, dim * 4, "finish");
}

/* Many rows at once with `k`, each by itself with `c`: what a row gets depends
 * on no other row. */
static void check_attention(const gust_kernels *c, const gust_kernels *k, int type) {
  static const size_t dims[] = {2, 8, 20, 32, 48, 64, 80, 128, 256, GUST_MAX_HEAD_DIM};
  for (int round = 0; round < 50; round++) {
    size_t dim = dims[round % 10], count = round < 30 ? (size_t)round + 1 : 1 + draw_below(30);
    int kind = (int)draw_below(5);
    tile_pair tiles = check_store(c, k, type, dim);
    attend_rows expected = make_rows(count, dim, kind), found = copy_rows(&expected);
    for (size_t i = 0; i < count; i++)
      c->attend[type](&expected.rows[i], 1, tiles.key, tiles.value, NULL, dim, 0.125f);
    k->attend[type](found.rows, count, tiles.key, tiles.value, draw() & 1 ? tiles.key : NULL, dim,
                    0.125f);
    char shape[96];
    snprintf(shape, sizeof shape, "%zu rows of %zu, ranges of kind %d", count, dim, kind);
    same(expected.states, found.states, expected.state_bytes, shape);
    check_merge(c, k, dim);
    guarded_free_all();
  }
}

/* The reference attends to what it should: against sums in double. */
static void check_attention_reference(const gust_kernels *c) {
  enum { DIM = 20, FIRST = 5, LAST = 50 };
  tile_pair tiles = make_tiles(GUST_KV_TILE_F32, DIM);
  float *keys = floats(64 * DIM, draw_tame), *values = floats(64 * DIM, draw_tame);
  for (size_t i = 0; i < 64 * DIM; i++) keys[i] *= 0.1f;
  c->kv_store[GUST_KV_TILE_F32](tiles.key, tiles.value, 0, 64, keys, values, DIM, DIM);
  attend_rows r = make_rows(1, DIM, 0);
  r.rows[0].first = FIRST;
  r.rows[0].last = LAST;
  r.rows[0].begins = true;
  c->attend[GUST_KV_TILE_F32](r.rows, 1, tiles.key, tiles.value, NULL, DIM, 0.25f);
  float found[DIM];
  c->attend_finish(found, r.states, DIM);
  double scores[64], top = -1e300, sum = 0, expected[DIM] = {0};
  for (int i = FIRST; i < LAST; i++) {
    scores[i] = 0;
    for (int d = 0; d < DIM; d++) scores[i] += (double)r.q[d] * keys[i * DIM + d] * 0.25;
    if (scores[i] > top) top = scores[i];
  }
  for (int i = FIRST; i < LAST; i++) {
    double weight = exp(scores[i] - top);
    sum += weight;
    for (int d = 0; d < DIM; d++) expected[d] += weight * values[i * DIM + d];
  }
  for (int d = 0; d < DIM; d++) CHECK(fabs(found[d] - expected[d] / sum) < 1e-4);
  guarded_free_all();
}

static void check_attend_f16(const gust_kernels *c, const gust_kernels *k) {
  check_attention(c, k, GUST_KV_TILE_F16);
}
static void check_attend_f32(const gust_kernels *c, const gust_kernels *k) {
  check_attention(c, k, GUST_KV_TILE_F32);
}
static void check_attend_q8(const gust_kernels *c, const gust_kernels *k) {
  check_attention(c, k, GUST_KV_TILE_Q8);
}

/* --- halves --- */

/* The exact value of a finite half without its sign: IEEE 754 binary16. */
static float half_value(unsigned half) {
  unsigned exponent = half >> 10, fraction = half & 1023;
  return exponent ? ldexpf((float)(1024 + fraction), (int)exponent - 25)
                  : ldexpf((float)fraction, -24);
}

#define HALVES 0x7c00u /* finite ones of one sign */
#define HALF_DIM GUST_MAX_HEAD_DIM

/* What `part` of 4 of each half's values rounds to it or to the next: itself, a
 * little below the middle to the next, the middle, a little above. */
static float near_half(unsigned half, unsigned part, unsigned *rounded) {
  float value = half_value(half), middle = (value + half_value(half + 1)) / 2;
  *rounded = part < 2 ? half : part == 2 ? half + (half & 1) : half + 1;
  return part == 0   ? value
         : part == 1 ? nextafterf(middle, value)
         : part == 2 ? middle
                     : nextafterf(middle, 2 * middle);
}

/* Every half is read exactly, and every rounding to a half is to the nearest, of
 * two to the even one: subnormal ones and signs of zero included. */
static void check_halves(const gust_kernels *c, const gust_kernels *k) {
  (void)c;
  float *keys = guarded(HALF_DIM * 4), *values = guarded(HALF_DIM * 4), *q = guarded(HALF_DIM * 4);
  uint16_t *key_tile = guarded(gust_key_tile_bytes(GUST_KV_TILE_F16, HALF_DIM));
  uint16_t *value_tile = guarded(gust_value_tile_bytes(GUST_KV_TILE_F16, HALF_DIM));
  float *state = guarded(gust_attention_state_floats(HALF_DIM) * 4);
  memset(keys, 0, HALF_DIM * 4);
  memset(q, 0, HALF_DIM * 4);
  memset(key_tile, 0, gust_key_tile_bytes(GUST_KV_TILE_F16, HALF_DIM));
  memset(value_tile, 0, gust_value_tile_bytes(GUST_KV_TILE_F16, HALF_DIM));
  size_t wrong = 0;
  /* Half, part and sign of the number i; the largest half has no next one. */
  for (unsigned i = 0; i < 8 * HALVES; i += HALF_DIM) {
    unsigned rounded[HALF_DIM], negative = i / (4 * HALVES) % 2;
    for (unsigned d = 0; d < HALF_DIM; d++) {
      unsigned half = (i + d) / 4 % HALVES, part = half == HALVES - 1 ? 0 : (i + d) % 4;
      values[d] = near_half(half, part, &rounded[d]);
      if (negative) values[d] = -values[d];
      rounded[d] |= negative << 15;
    }
    size_t slot = i / HALF_DIM % GUST_CHUNK;
    k->kv_store[GUST_KV_TILE_F16](key_tile, value_tile, slot, 1, keys, values, HALF_DIM, HALF_DIM);
    gust_attend_row row = {q, state, (uint8_t)slot, (uint8_t)(slot + 1), true};
    k->attend[GUST_KV_TILE_F16](&row, 1, key_tile, value_tile, NULL, HALF_DIM, 1.0f);
    for (unsigned d = 0; d < HALF_DIM; d++) {
      float exact = half_value(rounded[d] & 0x7fff);
      wrong += value_tile[slot * HALF_DIM + d] != rounded[d];
      wrong += state[GUST_ATTENTION_SUM + d] != (negative ? -exact : exact);
    }
  }
  if (!CHECK_EQ_INT(wrong, 0)) fprintf(stderr, "  %s: halves\n", current_level);
  guarded_free_all();
}

/* --- the reference itself, against arithmetic in double --- */

/* The levels are compared with C; that C computes the right thing is shown
 * here and by the goldens. */
static void check_reference(const gust_kernels *c) {
  size_t k = 256, panels = 2;
  for (int type = 4; type <= 8; type += 4) {
    uint8_t *w = random_panels(type, panels, k), *codes = random_row_codes(panels);
    gust_activations x = make_activations(1, k);
    float *dst = guarded(panels * 16 * 4), *row = guarded(k * 4);
    (type == 4 ? c->matmul_q4 : c->matmul_q8)(dst, 0, w, codes, panels, &x, 1);
    for (size_t r = 0; r < panels * 16; r++) {
      (type == 4 ? gust_panel_row_q4 : gust_panel_row_q8)(row, w, codes, r, k);
      double sum = 0, size = 0;
      for (size_t i = 0; i < k; i++) {
        double term = (double)row[i] * x.codes[i] * x.scales[i / 32];
        sum += term;
        size += fabs(term);
      }
      CHECK(fabs(sum - dst[r]) <= 1e-5 * size + 1e-30);
    }
    guarded_free_all();
  }
  float *p = guarded(100 * 4), *x = guarded(100 * 4);
  for (int i = 0; i < 100; i++) x[i] = (float)i * -0.7f;
  float sum = c->softmax(p, x, 100, 1.0f);
  double exact = 0;
  for (int i = 0; i < 100; i++) {
    exact += exp((double)x[i]);
    CHECK(fabs(p[i] - exp((double)x[i])) <= 2e-7 * exp((double)x[i]));
  }
  CHECK(fabs(sum - exact) < 1e-6 * exact);
  guarded_free_all();
}

static void check_rope_table(void) {
  float frequencies[64], cosines[64], sines[64];
  gust_rope_frequencies(frequencies, 128, 10000.0);
  for (size_t i = 0; i < 64; i++) {
    double exact = pow(10000.0, -(double)i / 64);
    CHECK(fabs(frequencies[i] - exact) <= 2e-7 * exact);
  }
  static const uint32_t positions[] = {0, 1, 17, 1399, 32767, 1000000};
  for (size_t n = 0; n < sizeof positions / sizeof *positions; n++) {
    gust_rope_table(cosines, sines, frequencies, 64, positions[n]);
    for (size_t i = 0; i < 64; i++) {
      double angle = (float)positions[n] * frequencies[i];
      CHECK(fabs(cosines[i] - cos(angle)) <= 6.1e-8);
      CHECK(fabs(sines[i] - sin(angle)) <= 6.1e-8);
    }
  }
}

static const struct {
  const char *name;
  void (*check)(const gust_kernels *c, const gust_kernels *k);
} kernel_checks[] = {
    {"matmul_q4", check_matmul_q4},
    {"matmul_q8", check_matmul_q8},
    {"matmul_bf16", check_matmul_bf16},
    {"matmul_f32", check_matmul_f32},
    {"quantize", check_quantize},
    {"rmsnorm", check_rmsnorm},
    {"rope", check_rope},
    {"swiglu", check_swiglu},
    {"add", check_add},
    {"softmax", check_softmax},
    {"argmax", check_argmax},
    {"bin_weights", check_bin_weights},
    {"attend_f16", check_attend_f16},
    {"attend_f32", check_attend_f32},
    {"attend_q8", check_attend_q8},
    {"halves", check_halves},
};

int main(int argc, char **argv) {
  const char *only_level = NULL, *only_kernel = NULL;
  unsigned long long seed = 1;
  for (int i = 1; i < argc; i++) {
    if (i + 1 == argc) check_fatal("usage", "test_kernels [--seed N] [--level L] [--kernel K]");
    if (strcmp(argv[i], "--seed") == 0)
      seed = strtoull(argv[++i], NULL, 10);
    else if (strcmp(argv[i], "--level") == 0)
      only_level = argv[++i];
    else if (strcmp(argv[i], "--kernel") == 0)
      only_kernel = argv[++i];
    else
      check_fatal("unknown option", argv[i]);
  }
  gust_kernels c, k;
  CHECK(gust_kernels_select(&c, "c"));
  CHECK(!gust_kernels_select(&k, "mmx"));
  random_state = current_seed = seed;
  check_reference(&c);
  check_attention_reference(&c);
  check_rope_table();
  for (size_t level = 0; (current_level = gust_kernels_level(level)) != NULL; level++) {
    if (only_level && strcmp(only_level, current_level) != 0) continue;
    gust_kernels_select(&k, current_level);
    CHECK_EQ_STR(k.level, current_level);
    for (size_t i = 0; i < sizeof kernel_checks / sizeof *kernel_checks; i++) {
      current_kernel = kernel_checks[i].name;
      if (only_kernel && strcmp(only_kernel, current_kernel) != 0) continue;
      /* Each kernel has its own stream, so that a seed repeats it alone. */
      random_state = seed * 1000003 + i;
      kernel_checks[i].check(&c, &k);
    }
    printf("%s: same bits as c\n", current_level);
  }
  return check_finish();
}

/* The float kernels, written once over sixteen virtual lanes.
 *
 * A level's file includes its lanes_<level>.h and then this; the reference
 * includes lanes_c.h. Since every lane operation has the same bits on every
 * level and the order of operations is this text, so have the kernels. Lanes
 * are rows of a panel, positions of a key tile, dimensions of a value tile, or
 * every sixteenth element of a vector. All functions are static: each level
 * gets its own copies, published by fill_float_kernels at the end. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels.h"

/* --- exp ---------------------------------------------------------------------- */

/* exp(x) to about one unit in the last place; 0 below -87 (and never a
 * subnormal), exp(88) above 88, 0 for NaN. Range reduction by ln 2 in two parts
 * and the polynomial of Cephes expf (Moshier 1989). */
static inline vf v_exp(vf x) {
  const vf low = v_set1(-87.0f);
  vf clamped = v_min(v_max(x, low), v_set1(88.0f));
  vf n = v_rint(v_mul(clamped, v_set1(1.44269504088896341f)));
  vf r = v_fnma(n, v_set1(0.693359375f), clamped);
  r = v_fnma(n, v_set1(-2.12194440e-4f), r);
  vf p = v_set1(1.9875691500e-4f);
  p = v_fma(p, r, v_set1(1.3981999507e-3f));
  p = v_fma(p, r, v_set1(8.3334519073e-3f));
  p = v_fma(p, r, v_set1(4.1665795894e-2f));
  p = v_fma(p, r, v_set1(1.6666665459e-1f));
  p = v_fma(p, r, v_set1(5.0000001201e-1f));
  p = v_fma(p, v_mul(r, r), r);
  p = v_add(p, v_set1(1.0f));
  return v_zero_unless_lt(low, x, v_mul(p, v_pow2(n)));
}

/* --- vectors --------------------------------------------------------------------- */

static void rmsnorm_lanes(float *dst, const float *x, const float *weight, size_t n, float eps) {
  vf squares = v_set1(0);
  for (size_t i = 0; i < n; i += 16) {
    vf a = v_load(x + i);
    squares = v_fma(a, a, squares);
  }
  float scale = 1.0f / sqrtf(v_sum(squares) / (float)n + eps);
  vf s = v_set1(scale);
  for (size_t i = 0; i < n; i += 16)
    v_store(dst + i, v_mul(v_mul(v_load(x + i), s), v_load(weight + i)));
}

static void rope_lanes(float *x, size_t heads, size_t head_dim, const float *cos,
                       const float *sin) {
  size_t half = head_dim / 2;
  for (size_t h = 0; h < heads; h++, x += head_dim) {
    for (size_t i = 0; i < half; i += 16) {
      size_t n = half - i;
      bool whole = n >= 16;
      vf a = whole ? v_load(x + i) : v_load_n(x + i, n);
      vf b = whole ? v_load(x + half + i) : v_load_n(x + half + i, n);
      vf c = whole ? v_load(cos + i) : v_load_n(cos + i, n);
      vf s = whole ? v_load(sin + i) : v_load_n(sin + i, n);
      vf first = v_fnma(b, s, v_mul(a, c));
      vf second = v_fma(a, s, v_mul(b, c));
      if (whole) {
        v_store(x + i, first);
        v_store(x + half + i, second);
      } else {
        v_store_n(x + i, first, n);
        v_store_n(x + half + i, second, n);
      }
    }
  }
}

static void swiglu_lanes(float *gate, const float *up, size_t n) {
  vf one = v_set1(1.0f);
  for (size_t i = 0; i < n; i += 16) {
    vf g = v_load(gate + i);
    vf silu = v_div(g, v_add(one, v_exp(v_neg(g))));
    v_store(gate + i, v_mul(silu, v_load(up + i)));
  }
}

static void add_lanes(float *x, const float *y, size_t n) {
  for (size_t i = 0; i < n; i += 16) v_store(x + i, v_add(v_load(x + i), v_load(y + i)));
}

static float softmax_lanes(float *p, const float *x, size_t n, float scale) {
  size_t whole = n / 16 * 16, rest = n - whole;
  vf largest = v_set1(-INFINITY);
  for (size_t i = 0; i < whole; i += 16) largest = v_max(largest, v_load(x + i));
  if (rest)
    largest = v_max(largest, v_keep_range(v_load_n(x + whole, rest), 0, 0, rest, -INFINITY));
  vf top = v_set1(v_hmax(largest)), s = v_set1(scale), sum = v_set1(0);
  for (size_t i = 0; i < whole; i += 16) {
    vf e = v_exp(v_mul(v_sub(v_load(x + i), top), s));
    v_store(p + i, e);
    sum = v_add(sum, e);
  }
  if (rest) {
    vf e = v_exp(v_mul(v_sub(v_load_n(x + whole, rest), top), s));
    v_store_n(p + whole, e, rest);
    sum = v_add(sum, v_keep_range(e, 0, 0, rest, 0));
  }
  return v_sum(sum);
}

/* --- quantization of activations ---------------------------------------------------- */

static void quantize_lanes(gust_activations *dst, size_t token, const float *x) {
  size_t k = dst->k_padded, blocks = k / GUST_BLOCK_K;
  int8_t *codes = dst->codes + token * k;
  float *scales = dst->scales + token * blocks;
  int32_t *sums = dst->sums + token * blocks;
  for (size_t b = 0; b < blocks; b++, x += 32, codes += 32) {
    vf a0 = v_load(x), a1 = v_load(x + 16);
    float scale = v_hmax(v_max(v_abs(a0), v_abs(a1))) / 127.0f;
    /* Blocks of zeros, of subnormals and with infinities become zeros. */
    if (!(scale >= 0x1p-126f && scale <= 0x1p120f)) {
      memset(codes, 0, 32);
      scales[b] = 0;
      sums[b] = 0;
      continue;
    }
    vf s = v_set1(scale), top = v_set1(127.0f), bottom = v_set1(-127.0f);
    vf q0 = v_min(v_max(v_rint(v_div(a0, s)), bottom), top);
    vf q1 = v_min(v_max(v_rint(v_div(a1, s)), bottom), top);
    v_store_i8(codes, q0);
    v_store_i8(codes + 16, q1);
    scales[b] = scale;
    sums[b] = v_sum_int(q0) + v_sum_int(q1);
  }
}

/* --- dense matrices -------------------------------------------------------------------- */

#if defined(__GNUC__)
#define GUST_INLINE inline __attribute__((always_inline))
#else
#define GUST_INLINE inline
#endif

static GUST_INLINE vf load_dense(const uint8_t *p, size_t index, int is_bf16) {
  return is_bf16 ? v_load_bf16((const uint16_t *)(const void *)p + index)
                 : v_load((const float *)(const void *)p + index);
}

/* One panel, `tokens` (a constant) tokens: a running fma over each tile of 128
 * columns, the tiles' sums added in order, which keeps rounding errors near
 * those of pairwise summation. */
static GUST_INLINE void dense_panel(float *dst, size_t dst_stride, const uint8_t *panel,
                                    const float *x, size_t k_padded, int tokens, int is_bf16) {
  vf total[4];
  for (int t = 0; t < tokens; t++) total[t] = v_set1(0);
  for (size_t k0 = 0; k0 < k_padded; k0 += GUST_TILE_K) {
    vf sum[4];
    for (int t = 0; t < tokens; t++) sum[t] = v_set1(0);
    for (size_t k = k0; k < k0 + GUST_TILE_K; k++) {
      vf w = load_dense(panel, k * 16, is_bf16);
      for (int t = 0; t < tokens; t++)
        sum[t] = v_fma(w, v_set1(x[(size_t)t * k_padded + k]), sum[t]);
    }
    for (int t = 0; t < tokens; t++) total[t] = v_add(total[t], sum[t]);
  }
  for (int t = 0; t < tokens; t++) v_store(dst + (size_t)t * dst_stride, total[t]);
}

static GUST_INLINE void matmul_dense(float *dst, size_t dst_stride, const uint8_t *panels,
                                     size_t panel_count, const float *x, size_t k_padded,
                                     size_t tokens, int is_bf16) {
  size_t panel_bytes = GUST_PANEL_ROWS * k_padded * (is_bf16 ? 2 : 4);
  for (size_t p = 0; p < panel_count; p++, panels += panel_bytes, dst += GUST_PANEL_ROWS) {
    size_t t = 0;
    for (; t + 4 <= tokens; t += 4)
      dense_panel(dst + t * dst_stride, dst_stride, panels, x + t * k_padded, k_padded, 4, is_bf16);
    for (; t < tokens; t++)
      dense_panel(dst + t * dst_stride, dst_stride, panels, x + t * k_padded, k_padded, 1, is_bf16);
  }
}

static void matmul_bf16_lanes(float *dst, size_t dst_stride, const uint8_t *panels,
                              size_t panel_count, const float *x, size_t k_padded, size_t tokens) {
  matmul_dense(dst, dst_stride, panels, panel_count, x, k_padded, tokens, 1);
}

static void matmul_f32_lanes(float *dst, size_t dst_stride, const uint8_t *panels,
                             size_t panel_count, const float *x, size_t k_padded, size_t tokens) {
  matmul_dense(dst, dst_stride, panels, panel_count, x, k_padded, tokens, 0);
}

/* --- key-value tiles -------------------------------------------------------------------- */

static inline size_t kv_blocks(size_t head_dim) {
  return (head_dim + 31) / 32;
}

/* Where a q8 tile's codes begin. */
static inline int8_t *q8_key_codes(const void *tile, size_t head_dim) {
  return (int8_t *)tile + kv_blocks(head_dim) * GUST_CHUNK * sizeof(float);
}
static inline int8_t *q8_value_codes(const void *tile, size_t head_dim) {
  return (int8_t *)tile + gust_round_up(kv_blocks(head_dim) * GUST_CHUNK * sizeof(float), 64);
}

static void kv_store_f32_lanes(void *key_tile, void *value_tile, size_t slot, const float *key,
                               const float *value, size_t head_dim) {
  float *k = key_tile, *v = (float *)value_tile + slot * gust_round_up(head_dim, 16);
  for (size_t d = 0; d < head_dim; d++) k[d * GUST_CHUNK + slot] = key[d];
  memcpy(v, value, head_dim * sizeof(float));
}

/* Halves hold up to 65504; what is larger is held there. */
static inline void store_halves(uint16_t *dst, const float *src) {
  v_store_f16(dst, v_min(v_max(v_load(src), v_set1(-65504.0f)), v_set1(65504.0f)));
}

static void kv_store_f16_lanes(void *key_tile, void *value_tile, size_t slot, const float *key,
                               const float *value, size_t head_dim) {
  uint16_t *k = key_tile, *v = (uint16_t *)value_tile + slot * gust_round_up(head_dim, 16);
  for (size_t d = 0; d < head_dim; d += 16) {
    size_t n = head_dim - d < 16 ? head_dim - d : 16;
    float keys[16] = {0}, values[16] = {0};
    uint16_t half[16];
    memcpy(keys, key + d, n * sizeof(float));
    memcpy(values, value + d, n * sizeof(float));
    store_halves(half, keys);
    for (size_t i = 0; i < n; i++) k[(d + i) * GUST_CHUNK + slot] = half[i];
    store_halves(v + d, values);
  }
}

static void kv_store_q8_lanes(void *key_tile, void *value_tile, size_t slot, const float *key,
                              const float *value, size_t head_dim) {
  size_t blocks = kv_blocks(head_dim);
  float padded[32], scale;
  int8_t codes[32];
  int32_t sum;
  gust_activations block = {codes, &scale, &sum, 32};
  float *key_scales = key_tile, *value_scales = (float *)value_tile + slot * blocks;
  int8_t *k = q8_key_codes(key_tile, head_dim);
  int8_t *v = q8_value_codes(value_tile, head_dim) + slot * gust_round_up(head_dim, 16);
  for (size_t b = 0; b < blocks; b++) {
    size_t n = head_dim - 32 * b < 32 ? head_dim - 32 * b : 32;
    memset(padded, 0, sizeof padded);
    memcpy(padded, key + 32 * b, n * sizeof(float));
    quantize_lanes(&block, 0, padded);
    key_scales[b * GUST_CHUNK + slot] = scale;
    for (size_t i = 0; i < n; i++) k[(32 * b + i) * GUST_CHUNK + slot] = codes[i];
    memset(padded, 0, sizeof padded);
    memcpy(padded, value + 32 * b, n * sizeof(float));
    quantize_lanes(&block, 0, padded);
    value_scales[b] = scale;
    memcpy(v + 32 * b, codes, n);
  }
}

/* --- attention ---------------------------------------------------------------------------- */

static GUST_INLINE vf load_kv(const void *codes, size_t index, int type) {
  switch (type) {
    case GUST_KV_TILE_F32: return v_load((const float *)codes + index);
    case GUST_KV_TILE_F16: return v_load_f16((const uint16_t *)codes + index);
    default: return v_load_i8((const int8_t *)codes + index);
  }
}

/* weights[h * 64 + i] = q_h . key_i * scale for sixteen positions from `base`.
 * q8: dimensions of a block first, then times the block's scale. */
static GUST_INLINE void score_positions(float *weights, const float *q, int heads,
                                        const void *key_tile, size_t base, size_t head_dim,
                                        float scale, int type) {
  const void *codes = type == GUST_KV_TILE_Q8 ? q8_key_codes(key_tile, head_dim) : key_tile;
  vf sum[GUST_ATTEND_HEADS];
  for (int h = 0; h < heads; h++) sum[h] = v_set1(0);
  if (type == GUST_KV_TILE_Q8) {
    for (size_t d0 = 0; d0 < head_dim; d0 += 32) {
      size_t end = d0 + 32 < head_dim ? d0 + 32 : head_dim;
      vf part[GUST_ATTEND_HEADS];
      for (int h = 0; h < heads; h++) part[h] = v_set1(0);
      for (size_t d = d0; d < end; d++) {
        vf k = load_kv(codes, d * GUST_CHUNK + base, type);
        for (int h = 0; h < heads; h++)
          part[h] = v_fma(k, v_set1(q[(size_t)h * head_dim + d]), part[h]);
      }
      vf s = v_load((const float *)key_tile + d0 / 32 * GUST_CHUNK + base);
      for (int h = 0; h < heads; h++) sum[h] = v_fma(part[h], s, sum[h]);
    }
  } else {
    for (size_t d = 0; d < head_dim; d++) {
      vf k = load_kv(codes, d * GUST_CHUNK + base, type);
      for (int h = 0; h < heads; h++)
        sum[h] = v_fma(k, v_set1(q[(size_t)h * head_dim + d]), sum[h]);
    }
  }
  for (int h = 0; h < heads; h++)
    v_store(weights + (size_t)h * GUST_CHUNK + base, v_mul(sum[h], v_set1(scale)));
}

/* Turns 64 scores into exp(score - largest), 0 outside [first, last). */
static inline void weigh_scores(float *state, float *weights, size_t first, size_t last) {
  vf s[4], largest = v_set1(-INFINITY);
  for (size_t i = 0; i < 4; i++) {
    s[i] = v_keep_range(v_load(weights + 16 * i), 16 * i, first, last, -INFINITY);
    largest = v_max(largest, s[i]);
  }
  state[0] = v_hmax(largest);
  vf top = v_set1(state[0]), sum = v_set1(0);
  for (size_t i = 0; i < 4; i++) {
    vf e = v_exp(v_sub(s[i], top));
    v_store(weights + 16 * i, e);
    sum = v_add(sum, e);
  }
  state[1] = v_sum(sum);
}

/* Sixteen dimensions from d of every head's weighted sum of values. */
static GUST_INLINE void sum_values(float *states, size_t state_floats, const float *weights,
                                   int heads, const void *value_tile, size_t first, size_t last,
                                   size_t d, size_t head_dim, int type) {
  size_t stride = gust_round_up(head_dim, 16), blocks = kv_blocks(head_dim);
  const void *codes = type == GUST_KV_TILE_Q8 ? q8_value_codes(value_tile, head_dim) : value_tile;
  vf sum[GUST_ATTEND_HEADS];
  for (int h = 0; h < heads; h++) sum[h] = v_set1(0);
  for (size_t j = first; j < last; j++) {
    vf v = load_kv(codes, j * stride + d, type);
    float s = type == GUST_KV_TILE_Q8 ? ((const float *)value_tile)[j * blocks + d / 32] : 1.0f;
    for (int h = 0; h < heads; h++) {
      float w = weights[(size_t)h * GUST_CHUNK + j];
      sum[h] = v_fma(v, v_set1(type == GUST_KV_TILE_Q8 ? w * s : w), sum[h]);
    }
  }
  for (int h = 0; h < heads; h++)
    v_store(states + (size_t)h * state_floats + GUST_ATTENTION_SUM + d, sum[h]);
}

static GUST_INLINE void attend_heads(float *states, const float *q, int heads, const void *key_tile,
                                     const void *value_tile, size_t first, size_t last,
                                     size_t head_dim, float scale, int type) {
  float weights[GUST_ATTEND_HEADS * GUST_CHUNK];
  size_t state_floats = gust_attention_state_floats(head_dim);
  /* Sixteen positions that are all outside the range are not worth scoring. */
  for (size_t base = 0; base < GUST_CHUNK; base += 16)
    if (base < last && base + 16 > first)
      score_positions(weights, q, heads, key_tile, base, head_dim, scale, type);
    else
      for (int h = 0; h < heads; h++)
        memset(weights + (size_t)h * GUST_CHUNK + base, 0, 16 * sizeof(float));
  for (int h = 0; h < heads; h++)
    weigh_scores(states + (size_t)h * state_floats, weights + (size_t)h * GUST_CHUNK, first, last);
  for (size_t d = 0; d < head_dim; d += 16)
    sum_values(states, state_floats, weights, heads, value_tile, first, last, d, head_dim, type);
}

static GUST_INLINE void attend_any(float *states, const float *q, size_t heads,
                                   const void *key_tile, const void *value_tile, size_t first,
                                   size_t last, size_t head_dim, float scale, int type) {
  switch (heads) {
    case 1:
      attend_heads(states, q, 1, key_tile, value_tile, first, last, head_dim, scale, type);
      break;
    case 2:
      attend_heads(states, q, 2, key_tile, value_tile, first, last, head_dim, scale, type);
      break;
    case 3:
      attend_heads(states, q, 3, key_tile, value_tile, first, last, head_dim, scale, type);
      break;
    default: attend_heads(states, q, 4, key_tile, value_tile, first, last, head_dim, scale, type);
  }
}

static void attend_f16_lanes(float *states, const float *q, size_t heads, const void *key_tile,
                             const void *value_tile, size_t first, size_t last, size_t head_dim,
                             float scale) {
  attend_any(states, q, heads, key_tile, value_tile, first, last, head_dim, scale,
             GUST_KV_TILE_F16);
}
static void attend_f32_lanes(float *states, const float *q, size_t heads, const void *key_tile,
                             const void *value_tile, size_t first, size_t last, size_t head_dim,
                             float scale) {
  attend_any(states, q, heads, key_tile, value_tile, first, last, head_dim, scale,
             GUST_KV_TILE_F32);
}
static void attend_q8_lanes(float *states, const float *q, size_t heads, const void *key_tile,
                            const void *value_tile, size_t first, size_t last, size_t head_dim,
                            float scale) {
  attend_any(states, q, heads, key_tile, value_tile, first, last, head_dim, scale, GUST_KV_TILE_Q8);
}

/* Rescales both to the larger of the two maxima (Milakov & Gimelshein 2018). */
static void attend_merge_lanes(float *state, const float *next, size_t head_dim) {
  float top = state[0] > next[0] ? state[0] : next[0];
  float factors[16] = {state[0] - top, next[0] - top};
  v_store(factors, v_exp(v_load(factors)));
  vf a = v_set1(factors[0]), b = v_set1(factors[1]);
  state[0] = top;
  float sums[16] = {state[1]}, next_sums[16] = {next[1]};
  v_store(sums, v_fma(v_load(sums), a, v_mul(v_load(next_sums), b)));
  state[1] = sums[0];
  state += GUST_ATTENTION_SUM;
  next += GUST_ATTENTION_SUM;
  for (size_t d = 0; d < head_dim; d += 16)
    v_store(state + d, v_fma(v_load(state + d), a, v_mul(v_load(next + d), b)));
}

static void attend_finish_lanes(float *dst, const float *state, size_t head_dim) {
  vf sum = v_set1(state[1]);
  state += GUST_ATTENTION_SUM;
  size_t d = 0;
  for (; d + 16 <= head_dim; d += 16) v_store(dst + d, v_div(v_load(state + d), sum));
  if (d < head_dim) v_store_n(dst + d, v_div(v_load(state + d), sum), head_dim - d);
}

static void fill_float_kernels(gust_kernels *kernels) {
  kernels->matmul_bf16 = matmul_bf16_lanes;
  kernels->matmul_f32 = matmul_f32_lanes;
  kernels->quantize = quantize_lanes;
  kernels->rmsnorm = rmsnorm_lanes;
  kernels->rope = rope_lanes;
  kernels->swiglu = swiglu_lanes;
  kernels->add = add_lanes;
  kernels->kv_store[GUST_KV_TILE_F16] = kv_store_f16_lanes;
  kernels->kv_store[GUST_KV_TILE_F32] = kv_store_f32_lanes;
  kernels->kv_store[GUST_KV_TILE_Q8] = kv_store_q8_lanes;
  kernels->attend[GUST_KV_TILE_F16] = attend_f16_lanes;
  kernels->attend[GUST_KV_TILE_F32] = attend_f32_lanes;
  kernels->attend[GUST_KV_TILE_Q8] = attend_q8_lanes;
  kernels->attend_merge = attend_merge_lanes;
  kernels->attend_finish = attend_finish_lanes;
  kernels->softmax = softmax_lanes;
}

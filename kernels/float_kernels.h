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
  for (size_t i = 0; i < whole; i += 16) largest = v_max(v_load(x + i), largest);
  if (rest)
    largest = v_max(v_keep_range(v_load_n(x + whole, rest), 0, 0, rest, -INFINITY), largest);
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

/* Scales tried for a block. With 32 values some round better than others by luck:
 * of three scales, each a little larger than the last, the best leaves an eighth
 * less error than the first does on average. */
#define ACTIVATION_TRIALS 3

/* Codes of two times sixteen values for 1 / scale, and the sum of their squared
 * errors in units of the scale. */
static inline float round_block(vf *q0, vf *q1, vf a0, vf a1, float inverse) {
  const vf top = v_set1(127.0f), bottom = v_set1(-127.0f), s = v_set1(inverse);
  vf t0 = v_min(v_max(v_mul(a0, s), bottom), top), t1 = v_min(v_max(v_mul(a1, s), bottom), top);
  *q0 = v_rint(t0);
  *q1 = v_rint(t1);
  vf d0 = v_sub(t0, *q0), d1 = v_sub(t1, *q1);
  return v_sum(v_fma(d1, d1, v_mul(d0, d0)));
}

static void quantize_lanes(gust_activations *dst, size_t token, const float *x) {
  size_t k = dst->k_padded, blocks = k / GUST_BLOCK_K;
  int8_t *codes = dst->codes + token * dst->stride;
  float *scales = dst->scales + token * blocks;
  int32_t *sums = dst->sums + token * blocks;
  for (size_t b = 0; b < blocks; b++, x += 32, codes += 32) {
    vf a0 = v_load(x), a1 = v_load(x + 16);
    float most = v_hmax(v_max(v_abs(a0), v_abs(a1)));
    /* Blocks of zeros, near subnormals, and of huge values and infinities become zeros. */
    if (!(most >= 0x1p-119f && most <= 0x1p120f)) {
      memset(codes, 0, 32);
      scales[b] = 0;
      sums[b] = 0;
      continue;
    }
    /* The largest value is at code 127, then 126, ... */
    vf q0, q1;
    float one = 1.0f / most, largest = 127.0f;
    float least = round_block(&q0, &q1, a0, a1, 127.0f * one) * (1.0f / (127.0f * 127.0f));
    for (int i = 1; i < ACTIVATION_TRIALS; i++) {
      vf r0, r1;
      float top = (float)(127 - i);
      float error = round_block(&r0, &r1, a0, a1, top * one) * (1.0f / (top * top));
      if (error < least) {
        least = error;
        largest = top;
        q0 = r0;
        q1 = r1;
      }
    }
    v_store_i8(codes, q0);
    v_store_i8(codes + 16, q1);
    scales[b] = most / largest;
    sums[b] = v_sum_int(v_add(q0, q1));
  }
}

/* --- dense matrices -------------------------------------------------------------------- */

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

/* Attention and sampling are files of their own. */
#include "attention_kernels.h"
#include "sampling_kernels.h"

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
  fill_sampling_kernels(kernels);
}

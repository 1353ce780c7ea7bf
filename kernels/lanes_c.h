/* Sixteen float lanes in plain C: the definition of what lanes_avx2.h and
 * lanes_avx512.h compute. See float_kernels.h. */
#ifndef GUST_LANES_C_H
#define GUST_LANES_C_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "q4_cells.h"

typedef struct vf {
  float f[16];
} vf;

#define V_EACH for (int i = 0; i < 16; i++)

static inline uint32_t float_bits(float x) {
  uint32_t u;
  memcpy(&u, &x, 4);
  return u;
}
static inline float bits_float(uint32_t u) {
  float x;
  memcpy(&x, &u, 4);
  return x;
}

/* a * b + c rounded once, without asking libm: the product of two floats is
 * exact in double; the sum is made odd when inexact, so that the second
 * rounding, to float, is the only one that counts (Boldo & Melquiond 2008). */
static inline float fma_float(float a, float b, float c) {
  double product = (double)a * b, addend = c;
  double sum = product + addend;
  double back = sum - product;
  double error = (product - (sum - back)) + (addend - back);
  uint64_t u;
  memcpy(&u, &sum, 8);
  if (error != 0 && !(u & 1) && (u & 0x7ff0000000000000u) != 0x7ff0000000000000u) {
    u += (error > 0) == (sum > 0) ? 1u : (uint64_t)-1;
    memcpy(&sum, &u, 8);
  }
  return (float)sum;
}

static inline vf v_set1(float x) {
  vf r;
  V_EACH r.f[i] = x;
  return r;
}
static inline vf v_load(const float *p) {
  vf r;
  memcpy(r.f, p, sizeof r.f);
  return r;
}
static inline void v_store(float *p, vf a) {
  memcpy(p, a.f, sizeof a.f);
}
/* The first n lanes, n < 16; the others are 0. */
static inline vf v_load_n(const float *p, size_t n) {
  vf r = v_set1(0);
  memcpy(r.f, p, n * sizeof(float));
  return r;
}
static inline void v_store_n(float *p, vf a, size_t n) {
  memcpy(p, a.f, n * sizeof(float));
}

static inline vf v_add(vf a, vf b) {
  V_EACH a.f[i] = a.f[i] + b.f[i];
  return a;
}
static inline vf v_sub(vf a, vf b) {
  V_EACH a.f[i] = a.f[i] - b.f[i];
  return a;
}
static inline vf v_mul(vf a, vf b) {
  V_EACH a.f[i] = a.f[i] * b.f[i];
  return a;
}
static inline vf v_div(vf a, vf b) {
  V_EACH a.f[i] = a.f[i] / b.f[i];
  return a;
}
/* a * b + c, rounded once. */
static inline vf v_fma(vf a, vf b, vf c) {
  V_EACH a.f[i] = fma_float(a.f[i], b.f[i], c.f[i]);
  return a;
}
/* -(a * b) + c, rounded once. */
static inline vf v_fnma(vf a, vf b, vf c) {
  V_EACH a.f[i] = fma_float(-a.f[i], b.f[i], c.f[i]);
  return a;
}
/* b where either is NaN. */
static inline vf v_max(vf a, vf b) {
  V_EACH a.f[i] = a.f[i] > b.f[i] ? a.f[i] : b.f[i];
  return a;
}
static inline vf v_min(vf a, vf b) {
  V_EACH a.f[i] = a.f[i] < b.f[i] ? a.f[i] : b.f[i];
  return a;
}
static inline vf v_abs(vf a) {
  V_EACH a.f[i] = bits_float(float_bits(a.f[i]) & 0x7fffffffu);
  return a;
}
static inline vf v_neg(vf a) {
  V_EACH a.f[i] = bits_float(float_bits(a.f[i]) ^ 0x80000000u);
  return a;
}
/* To the nearest integer, ties to even; |a| < 2^22. Zero loses its sign. */
static inline vf v_rint(vf a) {
  V_EACH a.f[i] = (a.f[i] + 12582912.0f) - 12582912.0f;
  return a;
}
/* 2^a of integer-valued lanes in [-126, 127]. */
static inline vf v_pow2(vf a) {
  V_EACH a.f[i] = bits_float((uint32_t)((int32_t)a.f[i] + 127) << 23);
  return a;
}
/* x where a < b, else 0. */
static inline vf v_zero_unless_lt(vf a, vf b, vf x) {
  V_EACH x.f[i] = a.f[i] < b.f[i] ? x.f[i] : 0.0f;
  return x;
}
/* x where a < b, else y. */
static inline vf v_select_lt(vf a, vf b, vf x, vf y) {
  V_EACH x.f[i] = a.f[i] < b.f[i] ? x.f[i] : y.f[i];
  return x;
}
/* Bit i is set where low <= a < high in lane i. */
static inline unsigned v_range_mask(vf a, vf low, vf high) {
  unsigned mask = 0;
  V_EACH mask |= (unsigned)(a.f[i] >= low.f[i] && a.f[i] < high.f[i]) << i;
  return mask;
}
/* Lane i keeps its value where first <= base + i < last, else gets fill. */
static inline vf v_keep_range(vf a, size_t base, size_t first, size_t last, float fill) {
  V_EACH a.f[i] = base + (size_t)i >= first && base + (size_t)i < last ? a.f[i] : fill;
  return a;
}
/* The one order of every sum over lanes. */
static inline float v_sum(vf a) {
  for (int width = 8; width; width /= 2)
    for (int i = 0; i < width; i++) a.f[i] = a.f[i] + a.f[i + width];
  return a.f[0];
}
static inline float v_hmax(vf a) {
  for (int width = 8; width; width /= 2)
    for (int i = 0; i < width; i++) a.f[i] = a.f[i] > a.f[i + width] ? a.f[i] : a.f[i + width];
  return a.f[0];
}

static inline float float_of_half(uint16_t h) {
  uint32_t sign = (uint32_t)(h & 0x8000) << 16, rest = h & 0x7fff;
  if (rest >= 0x7c00) return bits_float(sign | 0x7f800000 | (rest & 0x3ff) << 13);
  if (rest >= 0x400) return bits_float(sign | ((rest << 13) + (112u << 23)));
  return bits_float(sign | float_bits((float)rest * 0x1p-24f));
}
/* Nearest half, ties to even, of |x| <= 65504. */
static inline uint16_t half_of_float(float x) {
  uint32_t u = float_bits(x), sign = u >> 16 & 0x8000, rest = u & 0x7fffffff;
  /* Below the smallest normal half the spacing is 2^-24, that of 0.5f. */
  if (rest < 0x38800000)
    return (uint16_t)(sign | (float_bits(bits_float(rest) + 0.5f) - 0x3f000000));
  rest += 0xfff + (rest >> 13 & 1);
  return (uint16_t)(sign | ((rest >> 13) - (112u << 10)));
}

static inline vf v_load_f16(const uint16_t *p) {
  vf r;
  V_EACH r.f[i] = float_of_half(p[i]);
  return r;
}
static inline void v_store_f16(uint16_t *p, vf a) {
  V_EACH p[i] = half_of_float(a.f[i]);
}
static inline vf v_load_bf16(const uint16_t *p) {
  vf r;
  V_EACH r.f[i] = bits_float((uint32_t)p[i] << 16);
  return r;
}
static inline vf v_load_i8(const int8_t *p) {
  vf r;
  V_EACH r.f[i] = p[i];
  return r;
}
/* Integer-valued lanes in [-127, 127]. */
static inline void v_store_i8(int8_t *p, vf a) {
  V_EACH p[i] = (int8_t)a.f[i];
}
/* The q4 levels nearest to number + 64 in half steps (q4_cells.h), of two times
 * sixteen numbers; beyond the ends and for NaN the last. */
static inline vf nearest_levels(vf steps) {
  static const float low[] = GUST_Q4_CELL_LOW, high[] = GUST_Q4_CELL_HIGH;
  static const float border[] = GUST_Q4_CELL_BORDER;
  V_EACH {
    float h = steps.f[i] < GUST_Q4_LAST_HALF_STEP ? steps.f[i] : GUST_Q4_LAST_HALF_STEP;
    h = h > 0 ? h : 0;
    int cell = (int)h >> 3;
    steps.f[i] = h < border[cell] ? low[cell] : high[cell];
  }
  return steps;
}
static inline void v_q4_levels(vf *first, vf *second, vf steps, vf more_steps) {
  *first = nearest_levels(steps);
  *second = nearest_levels(more_steps);
}
/* The codes of q4 levels. */
static inline vf v_q4_codes(vf level) {
  static const float code[] = GUST_Q4_CODE_OF_LEVEL;
  V_EACH level.f[i] = code[((int)level.f[i] + 64) >> 2];
  return level;
}
/* The sum of integer-valued lanes. */
static inline int32_t v_sum_int(vf a) {
  int32_t sum = 0;
  V_EACH sum += (int32_t)a.f[i];
  return sum;
}

#endif

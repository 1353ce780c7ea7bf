/* Sixteen float lanes in one AVX-512 register; same bits as lanes_c.h. */
#ifndef GUST_LANES_AVX512_H
#define GUST_LANES_AVX512_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "q4_cells.h"

typedef __m512 vf;

/* 24 sums, two keys and a query in 32 registers (attention_kernels.h). */
#define ATTEND_TILE_ROWS 12
#define ATTEND_TILE_VECTORS 2

static inline vf v_set1(float x) {
  return _mm512_set1_ps(x);
}
static inline vf v_load(const float *p) {
  return _mm512_loadu_ps(p);
}
static inline void v_store(float *p, vf x) {
  _mm512_storeu_ps(p, x);
}
static inline __mmask16 first_lanes(size_t n) {
  return (__mmask16)((1u << n) - 1);
}
static inline vf v_load_n(const float *p, size_t n) {
  return _mm512_maskz_loadu_ps(first_lanes(n), p);
}
static inline void v_store_n(float *p, vf x, size_t n) {
  _mm512_mask_storeu_ps(p, first_lanes(n), x);
}

static inline vf v_add(vf x, vf y) {
  return _mm512_add_ps(x, y);
}
static inline vf v_sub(vf x, vf y) {
  return _mm512_sub_ps(x, y);
}
static inline vf v_mul(vf x, vf y) {
  return _mm512_mul_ps(x, y);
}
static inline vf v_div(vf x, vf y) {
  return _mm512_div_ps(x, y);
}
static inline vf v_fma(vf x, vf y, vf z) {
  return _mm512_fmadd_ps(x, y, z);
}
static inline vf v_fnma(vf x, vf y, vf z) {
  return _mm512_fnmadd_ps(x, y, z);
}
static inline vf v_max(vf x, vf y) {
  return _mm512_max_ps(x, y);
}
static inline vf v_min(vf x, vf y) {
  return _mm512_min_ps(x, y);
}
static inline vf v_abs(vf x) {
  return _mm512_andnot_ps(_mm512_set1_ps(-0.0f), x);
}
static inline vf v_neg(vf x) {
  return _mm512_xor_ps(x, _mm512_set1_ps(-0.0f));
}
static inline vf v_rint(vf x) {
  vf magic = v_set1(12582912.0f);
  return v_sub(v_add(x, magic), magic);
}
static inline vf v_pow2(vf x) {
  __m512i e = _mm512_add_epi32(_mm512_cvttps_epi32(x), _mm512_set1_epi32(127));
  return _mm512_castsi512_ps(_mm512_slli_epi32(e, 23));
}
static inline vf v_zero_unless_lt(vf x, vf y, vf z) {
  return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, y, _CMP_LT_OQ), z);
}
static inline vf v_select_lt(vf a, vf b, vf x, vf y) {
  return _mm512_mask_mov_ps(y, _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), x);
}
static inline unsigned v_range_mask(vf x, vf low, vf high) {
  return _mm512_cmp_ps_mask(low, x, _CMP_LE_OQ) & _mm512_cmp_ps_mask(x, high, _CMP_LT_OQ);
}
static inline vf v_keep_range(vf x, size_t base, size_t first, size_t last, float fill) {
  __m512i lane =
      _mm512_add_epi32(_mm512_set1_epi32((int)base),
                       _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
  __mmask16 keep = _mm512_cmpge_epi32_mask(lane, _mm512_set1_epi32((int)first)) &
                   _mm512_cmplt_epi32_mask(lane, _mm512_set1_epi32((int)last));
  return _mm512_mask_mov_ps(_mm512_set1_ps(fill), keep, x);
}
static inline __m256 upper_half(vf x) {
  return _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(x), 1));
}
static inline float v_sum(vf x) {
  __m256 s8 = _mm256_add_ps(_mm512_castps512_ps256(x), upper_half(x));
  __m128 s4 = _mm_add_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
  __m128 s2 = _mm_add_ps(s4, _mm_movehl_ps(s4, s4));
  return _mm_cvtss_f32(_mm_add_ss(s2, _mm_movehdup_ps(s2)));
}
static inline float v_hmax(vf x) {
  __m256 s8 = _mm256_max_ps(_mm512_castps512_ps256(x), upper_half(x));
  __m128 s4 = _mm_max_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
  __m128 s2 = _mm_max_ps(s4, _mm_movehl_ps(s4, s4));
  return _mm_cvtss_f32(_mm_max_ss(s2, _mm_movehdup_ps(s2)));
}

static inline vf v_load_f16(const uint16_t *p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
static inline void v_store_f16(uint16_t *p, vf x) {
  _mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}
static inline vf v_load_bf16(const uint16_t *p) {
  __m512i u = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)p));
  return _mm512_castsi512_ps(_mm512_slli_epi32(u, 16));
}
static inline vf v_load_i8(const int8_t *p) {
  __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(x));
}
static inline void v_store_i8(int8_t *p, vf x) {
  _mm_storeu_si128((__m128i *)(void *)p, _mm512_cvtsepi32_epi8(_mm512_cvttps_epi32(x)));
}
static inline vf nearest_levels(vf steps) {
  static const float low[] = GUST_Q4_CELL_LOW, high[] = GUST_Q4_CELL_HIGH;
  static const float border[] = GUST_Q4_CELL_BORDER;
  vf h = v_max(v_min(steps, v_set1(GUST_Q4_LAST_HALF_STEP)), v_set1(0));
  __m512i cell = _mm512_srli_epi32(_mm512_cvttps_epi32(h), 3);
  vf below = _mm512_permutex2var_ps(v_load(low), cell, v_load(low + 16));
  vf above = _mm512_permutex2var_ps(v_load(high), cell, v_load(high + 16));
  return v_select_lt(h, _mm512_permutex2var_ps(v_load(border), cell, v_load(border + 16)), below,
                     above);
}
static inline void v_q4_levels(vf *first, vf *second, vf steps, vf more_steps) {
  *first = nearest_levels(steps);
  *second = nearest_levels(more_steps);
}
static inline vf v_q4_codes(vf level) {
  static const float code[] = GUST_Q4_CODE_OF_LEVEL;
  __m512i biased = _mm512_add_epi32(_mm512_cvttps_epi32(level), _mm512_set1_epi32(64));
  return _mm512_permutex2var_ps(v_load(code), _mm512_srli_epi32(biased, 2), v_load(code + 16));
}
static inline int32_t v_sum_int(vf x) {
  return (int32_t)v_sum(x);
}

#endif

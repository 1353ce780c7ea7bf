/* Sixteen float lanes in two AVX2 registers; same bits as lanes_c.h. */
#ifndef GUST_LANES_AVX2_H
#define GUST_LANES_AVX2_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "q4_cells.h"

typedef struct vf {
  __m256 a, b;
} vf;

#define V_PAIR(expression_a, expression_b) ((vf){(expression_a), (expression_b)})

static inline vf v_set1(float x) {
  return V_PAIR(_mm256_set1_ps(x), _mm256_set1_ps(x));
}
static inline vf v_load(const float *p) {
  return V_PAIR(_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8));
}
static inline void v_store(float *p, vf x) {
  _mm256_storeu_ps(p, x.a);
  _mm256_storeu_ps(p + 8, x.b);
}
static inline vf v_load_n(const float *p, size_t n) {
  float whole[16] = {0};
  memcpy(whole, p, n * sizeof(float));
  return v_load(whole);
}
static inline void v_store_n(float *p, vf x, size_t n) {
  float whole[16];
  v_store(whole, x);
  memcpy(p, whole, n * sizeof(float));
}

static inline vf v_add(vf x, vf y) {
  return V_PAIR(_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b));
}
static inline vf v_sub(vf x, vf y) {
  return V_PAIR(_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b));
}
static inline vf v_mul(vf x, vf y) {
  return V_PAIR(_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b));
}
static inline vf v_div(vf x, vf y) {
  return V_PAIR(_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b));
}
static inline vf v_fma(vf x, vf y, vf z) {
  return V_PAIR(_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b));
}
static inline vf v_fnma(vf x, vf y, vf z) {
  return V_PAIR(_mm256_fnmadd_ps(x.a, y.a, z.a), _mm256_fnmadd_ps(x.b, y.b, z.b));
}
static inline vf v_max(vf x, vf y) {
  return V_PAIR(_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b));
}
static inline vf v_min(vf x, vf y) {
  return V_PAIR(_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b));
}
static inline vf v_abs(vf x) {
  __m256 mask = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
  return V_PAIR(_mm256_and_ps(x.a, mask), _mm256_and_ps(x.b, mask));
}
static inline vf v_neg(vf x) {
  __m256 sign = _mm256_set1_ps(-0.0f);
  return V_PAIR(_mm256_xor_ps(x.a, sign), _mm256_xor_ps(x.b, sign));
}
/* By adding and subtracting 1.5 * 2^23, as the reference does: roundps would
 * keep the sign of zero. */
static inline vf v_rint(vf x) {
  vf magic = v_set1(12582912.0f);
  return v_sub(v_add(x, magic), magic);
}
static inline __m256 pow2_half(__m256 x) {
  __m256i e = _mm256_add_epi32(_mm256_cvttps_epi32(x), _mm256_set1_epi32(127));
  return _mm256_castsi256_ps(_mm256_slli_epi32(e, 23));
}
static inline vf v_pow2(vf x) {
  return V_PAIR(pow2_half(x.a), pow2_half(x.b));
}
static inline vf v_zero_unless_lt(vf x, vf y, vf z) {
  return V_PAIR(_mm256_and_ps(_mm256_cmp_ps(x.a, y.a, _CMP_LT_OQ), z.a),
                _mm256_and_ps(_mm256_cmp_ps(x.b, y.b, _CMP_LT_OQ), z.b));
}
static inline vf v_select_lt(vf a, vf b, vf x, vf y) {
  return V_PAIR(_mm256_blendv_ps(y.a, x.a, _mm256_cmp_ps(a.a, b.a, _CMP_LT_OQ)),
                _mm256_blendv_ps(y.b, x.b, _mm256_cmp_ps(a.b, b.b, _CMP_LT_OQ)));
}
static inline unsigned range_mask_half(__m256 x, __m256 low, __m256 high) {
  __m256 from = _mm256_cmp_ps(low, x, _CMP_LE_OQ), below = _mm256_cmp_ps(x, high, _CMP_LT_OQ);
  return (unsigned)_mm256_movemask_ps(_mm256_and_ps(from, below));
}
static inline unsigned v_range_mask(vf x, vf low, vf high) {
  return range_mask_half(x.a, low.a, high.a) | range_mask_half(x.b, low.b, high.b) << 8;
}
static inline __m256 keep_range_half(__m256 x, int base, int first, int last, __m256 fill) {
  __m256i lane =
      _mm256_add_epi32(_mm256_set1_epi32(base), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  __m256i keep = _mm256_and_si256(_mm256_cmpgt_epi32(lane, _mm256_set1_epi32(first - 1)),
                                  _mm256_cmpgt_epi32(_mm256_set1_epi32(last), lane));
  return _mm256_blendv_ps(fill, x, _mm256_castsi256_ps(keep));
}
static inline vf v_keep_range(vf x, size_t base, size_t first, size_t last, float fill) {
  __m256 f = _mm256_set1_ps(fill);
  return V_PAIR(keep_range_half(x.a, (int)base, (int)first, (int)last, f),
                keep_range_half(x.b, (int)base + 8, (int)first, (int)last, f));
}
static inline float v_sum(vf x) {
  __m256 s8 = _mm256_add_ps(x.a, x.b);
  __m128 s4 = _mm_add_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
  __m128 s2 = _mm_add_ps(s4, _mm_movehl_ps(s4, s4));
  return _mm_cvtss_f32(_mm_add_ss(s2, _mm_movehdup_ps(s2)));
}
static inline float v_hmax(vf x) {
  __m256 s8 = _mm256_max_ps(x.a, x.b);
  __m128 s4 = _mm_max_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
  __m128 s2 = _mm_max_ps(s4, _mm_movehl_ps(s4, s4));
  return _mm_cvtss_f32(_mm_max_ss(s2, _mm_movehdup_ps(s2)));
}

static inline vf v_load_f16(const uint16_t *p) {
  return V_PAIR(_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p)),
                _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(p + 8))));
}
static inline void v_store_f16(uint16_t *p, vf x) {
  _mm_storeu_si128((__m128i *)(void *)p, _mm256_cvtps_ph(x.a, _MM_FROUND_TO_NEAREST_INT));
  _mm_storeu_si128((__m128i *)(void *)(p + 8), _mm256_cvtps_ph(x.b, _MM_FROUND_TO_NEAREST_INT));
}
static inline __m256 load_bf16_half(const uint16_t *p) {
  __m256i u = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(u, 16));
}
static inline vf v_load_bf16(const uint16_t *p) {
  return V_PAIR(load_bf16_half(p), load_bf16_half(p + 8));
}
static inline vf v_load_i8(const int8_t *p) {
  __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
  return V_PAIR(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(x)),
                _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(x, 8))));
}
static inline void v_store_i8(int8_t *p, vf x) {
  __m256i words = _mm256_packs_epi32(_mm256_cvttps_epi32(x.a), _mm256_cvttps_epi32(x.b));
  words = _mm256_permute4x64_epi64(words, _MM_SHUFFLE(3, 1, 2, 0));
  __m128i bytes =
      _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  _mm_storeu_si128((__m128i *)(void *)p, bytes);
}
/* Entries of a table of 32 bytes: `index` are the low four bits of each, the top
 * bit of `half` says which sixteen. */
static inline __m256i look_up(const int8_t *table, __m256i index, __m256i half) {
  __m128i first = _mm_loadu_si128((const __m128i *)(const void *)table);
  __m128i last = _mm_loadu_si128((const __m128i *)(const void *)(table + 16));
  return _mm256_blendv_epi8(_mm256_shuffle_epi8(_mm256_broadcastsi128_si256(first), index),
                            _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(last), index), half);
}
/* Half steps as 32 bits; what is below 0, -inf too, comes out negative. */
static inline __m256i half_steps(__m256 x) {
  return _mm256_cvttps_epi32(_mm256_min_ps(x, _mm256_set1_ps(GUST_Q4_LAST_HALF_STEP)));
}
/* Four bytes of each half, four times over, to floats of the signed byte. */
static inline __m256 float_of_bytes(__m256i x) {
  return _mm256_cvtepi32_ps(_mm256_srai_epi32(x, 24));
}
/* In bytes, where tables are at hand: packing with saturation takes care of what
 * lies below 0, and a half step decides as its whole part does. Packing deals out
 * the sixteen bytes of a half by fours, unpacking takes them back. */
static inline void v_q4_levels(vf *first, vf *second, vf steps, vf more_steps) {
  static const int8_t low[] = GUST_Q4_CELL_LOW, high[] = GUST_Q4_CELL_HIGH;
  static const uint8_t border[] = GUST_Q4_CELL_BORDER;
  __m256i h =
      _mm256_packus_epi16(_mm256_packs_epi32(half_steps(steps.a), half_steps(steps.b)),
                          _mm256_packs_epi32(half_steps(more_steps.a), half_steps(more_steps.b)));
  __m256i cell = _mm256_and_si256(_mm256_srli_epi16(h, 3), _mm256_set1_epi8(15));
  __m256i from = look_up((const int8_t *)border, cell, h);
  __m256i above = _mm256_cmpeq_epi8(_mm256_max_epu8(h, from), h);
  __m256i level = _mm256_blendv_epi8(look_up(low, cell, h), look_up(high, cell, h), above);
  __m256i x = _mm256_unpacklo_epi8(level, level), y = _mm256_unpackhi_epi8(level, level);
  *first = V_PAIR(float_of_bytes(_mm256_unpacklo_epi16(x, x)),
                  float_of_bytes(_mm256_unpackhi_epi16(x, x)));
  *second = V_PAIR(float_of_bytes(_mm256_unpacklo_epi16(y, y)),
                   float_of_bytes(_mm256_unpackhi_epi16(y, y)));
}
static inline __m256 codes_half(__m256 level) {
  static const float code[] = GUST_Q4_CODE_OF_LEVEL;
  __m256i biased = _mm256_add_epi32(_mm256_cvttps_epi32(level), _mm256_set1_epi32(64));
  return _mm256_i32gather_ps(code, _mm256_srli_epi32(biased, 2), 4);
}
static inline vf v_q4_codes(vf level) {
  return V_PAIR(codes_half(level.a), codes_half(level.b));
}
/* Small integers add exactly in float, so the order does not matter. */
static inline int32_t v_sum_int(vf x) {
  return (int32_t)v_sum(x);
}

#endif

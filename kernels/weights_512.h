/* Reading packed weights into 512-bit registers, for AVX-512 and AMX. */
#ifndef GUST_WEIGHTS_512_H
#define GUST_WEIGHTS_512_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels.h"

static inline __m512i load_line(const uint8_t *p) {
  return _mm512_load_si512(p);
}
static inline __m128i load_scale_bytes(const uint8_t *p) {
  return _mm_load_si128((const __m128i *)(const void *)p);
}
static inline vf load_row_scales(const uint8_t *row_codes) {
  __m128i codes = _mm_loadu_si128((const __m128i *)(const void *)row_codes);
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu8_epi32(codes), GUST_ROW_SCALE_SHIFT));
}

/* The codebook plus `bias`, four times. */
static inline __m512i q4_levels(int bias) {
  static const int8_t levels[16] = GUST_Q4_LEVELS;
  __m128i v = _mm_loadu_si128((const __m128i *)(const void *)levels);
  return _mm512_broadcast_i32x4(_mm_add_epi8(v, _mm_set1_epi8((char)bias)));
}
/* Weights of the codes in the low and in the high halves of a line's bytes. */
static inline __m512i low_weights(__m512i line, __m512i levels) {
  return _mm512_shuffle_epi8(levels, _mm512_and_si512(line, _mm512_set1_epi8(15)));
}
static inline __m512i high_weights(__m512i line, __m512i levels) {
  return low_weights(_mm512_srli_epi16(line, 4), levels);
}

/* A q4 block's 32 columns as bytes: level + shift + bias. */
static GUST_INLINE void expand_q4_lines(uint8_t *codes, const uint8_t *lines, __m512i scale_bytes,
                                        int bias) {
  const __m512i levels = q4_levels(bias);
  /* 2 in all four bytes of the rows whose shift bit is set. */
  __mmask16 shifted = _mm512_test_epi32_mask(scale_bytes, _mm512_set1_epi32(1));
  __m512i shift = _mm512_maskz_mov_epi32(shifted, _mm512_set1_epi8(2));
  for (size_t j = 0; j < 4; j++) {
    __m512i line = load_line(lines + j * GUST_LINE);
    __m512i low = _mm512_add_epi8(low_weights(line, levels), shift);
    __m512i high = _mm512_add_epi8(high_weights(line, levels), shift);
    _mm512_store_si512(codes + 2 * j * GUST_LINE, low);
    _mm512_store_si512(codes + (2 * j + 1) * GUST_LINE, high);
  }
}

/* Block `in_tile` of a panel's tile: its codes plus `bias` in the order of a q8
 * panel, 8 lines, and its 16 scales. `bits` is 4 or 8. */
static GUST_INLINE void expand_block_512(uint8_t *codes, float *scales, const uint8_t *tile,
                                         size_t in_tile, int bits, int bias) {
  const uint8_t *lines = tile + GUST_LINE + in_tile * (size_t)bits * GUST_LINE;
  __m128i packed = load_scale_bytes(tile + GUST_PANEL_ROWS * in_tile);
  __m512i numbers;
  if (bits == 4) {
    __m512i bytes = _mm512_cvtepi8_epi32(packed);
    expand_q4_lines(codes, lines, bytes, bias);
    numbers = _mm512_srai_epi32(bytes, 1);
  } else {
    for (size_t j = 0; j < 8; j++) {
      __m512i line = load_line(lines + j * GUST_LINE);
      _mm512_store_si512(codes + j * GUST_LINE,
                         _mm512_add_epi8(line, _mm512_set1_epi8((char)bias)));
    }
    numbers = _mm512_cvtepu8_epi32(packed);
  }
  _mm512_storeu_ps(scales, _mm512_cvtepi32_ps(numbers));
}

#endif

/* AVX-VNNI's one instruction, put together from AVX2's, so that every machine with
 * AVX2 can check kernels/avxvnni.c: widened to 16 bits, nothing saturates. */
#ifndef GUST_EMULATED_DPBUSD_H
#define GUST_EMULATED_DPBUSD_H

#include <immintrin.h>

/* Pairs of products of eight unsigned and eight signed bytes: four 32-bit sums of two. */
static inline __m256i emu_multiply_half(__m128i u, __m128i s) {
  return _mm256_madd_epi16(_mm256_cvtepu8_epi16(u), _mm256_cvtepi8_epi16(s));
}

static inline __m256i emu_dpbusd(__m256i sum, __m256i u, __m256i s) {
  __m256i low = emu_multiply_half(_mm256_castsi256_si128(u), _mm256_castsi256_si128(s));
  __m256i high = emu_multiply_half(_mm256_extracti128_si256(u, 1), _mm256_extracti128_si256(s, 1));
  /* hadd works within halves of a register: 0 1 4 5 | 2 3 6 7. */
  __m256i quads = _mm256_permute4x64_epi64(_mm256_hadd_epi32(low, high), _MM_SHUFFLE(3, 1, 2, 0));
  return _mm256_add_epi32(sum, quads);
}
#define _mm256_dpbusd_avx_epi32 emu_dpbusd

#endif

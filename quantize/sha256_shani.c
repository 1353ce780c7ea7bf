/* SHA-256 with the SHA extensions of x86 (Goldmont 2016, Zen 2017, Ice Lake
 * 2019): same words as sha256.c. */
#if !defined(__SHA__) || !defined(__SSE4_1__)
#error "sha256_shani.c needs -msha -msse4.1"
#endif

#include <immintrin.h>

#include "sha256.h"

/* The instructions hold the eight words as ABEF and CDGH, the first letter in the
 * highest lane. */
typedef struct halves {
  __m128i abef, cdgh;
} halves;

static halves load_words(const uint32_t word[8]) {
  __m128i dcba = _mm_loadu_si128((const __m128i *)(const void *)word);
  __m128i hgfe = _mm_loadu_si128((const __m128i *)(const void *)(word + 4));
  __m128i cdab = _mm_shuffle_epi32(dcba, 0xb1), efgh = _mm_shuffle_epi32(hgfe, 0x1b);
  return (halves){_mm_alignr_epi8(cdab, efgh, 8), _mm_blend_epi16(efgh, cdab, 0xf0)};
}

static void store_words(uint32_t word[8], halves s) {
  __m128i feba = _mm_shuffle_epi32(s.abef, 0x1b), dchg = _mm_shuffle_epi32(s.cdgh, 0xb1);
  _mm_storeu_si128((__m128i *)(void *)word, _mm_blend_epi16(feba, dchg, 0xf0));
  _mm_storeu_si128((__m128i *)(void *)(word + 4), _mm_alignr_epi8(dchg, feba, 8));
}

/* w[t] .. w[t + 3] from the sixteen before them, four to a register. */
static inline __m128i next_words(__m128i w0, __m128i w1, __m128i w2, __m128i w3) {
  __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(w0, w1), _mm_alignr_epi8(w3, w2, 4));
  return _mm_sha256msg2_epu32(sum, w3);
}

void gust_sha256_blocks_shani(uint32_t word[8], const uint8_t *blocks, size_t count) {
  const __m128i swap = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
  halves s = load_words(word);
  for (; count > 0; count--, blocks += 64) {
    halves before = s;
    __m128i w[4];
    for (int i = 0; i < 4; i++)
      w[i] =
          _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)(blocks + 16 * i)), swap);
    for (int i = 0; i < 16; i++) {
      const __m128i *k = (const __m128i *)(const void *)(gust_sha256_constants + 4 * i);
      __m128i wk = _mm_add_epi32(w[i % 4], _mm_loadu_si128(k));
      s.cdgh = _mm_sha256rnds2_epu32(s.cdgh, s.abef, wk);
      s.abef = _mm_sha256rnds2_epu32(s.abef, s.cdgh, _mm_shuffle_epi32(wk, 0x0e));
      if (i < 12) w[i % 4] = next_words(w[i % 4], w[(i + 1) % 4], w[(i + 2) % 4], w[(i + 3) % 4]);
    }
    s.abef = _mm_add_epi32(s.abef, before.abef);
    s.cdgh = _mm_add_epi32(s.cdgh, before.cdgh);
  }
  store_words(word, s);
}

/* The quantized products over 256-bit registers, once for AVX2 and once for
 * AVX-VNNI, which has one instruction for what takes AVX2 three. A panel's line
 * is two registers of eight rows.
 *
 * Before including this a level defines
 *   LEVEL_HAS_VNNI   0 or 1
 *   TILE_TOKENS      tokens of the register tile of many tokens: 4 or 6 */
#ifndef GUST_PRODUCTS_256_H
#define GUST_PRODUCTS_256_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels.h"

static inline __m256i load_half(const uint8_t *p) {
  return _mm256_load_si256((const __m256i *)(const void *)p);
}
static inline void store_half(uint8_t *p, __m256i x) {
  _mm256_store_si256((__m256i *)(void *)p, x);
}
static inline __m256i broadcast_quad(const int8_t *p) {
  int32_t quad;
  memcpy(&quad, p, 4);
  return _mm256_set1_epi32(quad);
}
static inline vf load_row_scales(const uint8_t *row_codes) {
  __m128i codes = _mm_loadu_si128((const __m128i *)(const void *)row_codes);
  __m256i a = _mm256_cvtepu8_epi32(codes), b = _mm256_cvtepu8_epi32(_mm_srli_si128(codes, 8));
  return V_PAIR(_mm256_castsi256_ps(_mm256_slli_epi32(a, GUST_ROW_SCALE_SHIFT)),
                _mm256_castsi256_ps(_mm256_slli_epi32(b, GUST_ROW_SCALE_SHIFT)));
}

/* sum + the dot products of four bytes w (unsigned) and four bytes a (signed) in
 * each lane; on AVX2 |w| * |a| of neighbours must add up to less than 2^15. */
static inline __m256i dot_quads(__m256i sum, __m256i w, __m256i a) {
#if LEVEL_HAS_VNNI
  return DPBUSD_256(sum, w, a);
#else
  __m256i pairs = _mm256_maddubs_epi16(w, a);
  sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  /* Compilers would add up trees, for which there are not registers enough. */
  __asm__("" : "+x"(sum));
  return sum;
#endif
}

/* --- weights ------------------------------------------------------------------- */

/* The levels plus 64, so that they are an unsigned operand, twice: 2 * 123 * 127
 * fits 16 bits. */
static inline __m256i biased_levels(void) {
  static const int8_t levels[16] = GUST_Q4_LEVELS;
  __m128i v = _mm_loadu_si128((const __m128i *)(const void *)levels);
  return _mm256_broadcastsi128_si256(_mm_add_epi8(v, _mm_set1_epi8(GUST_Q4_LEVEL_BIAS)));
}
/* Weights of the codes in the low and in the high halves of bytes. */
static inline __m256i low_weights(__m256i bytes, __m256i levels) {
  return _mm256_shuffle_epi8(levels, _mm256_and_si256(bytes, _mm256_set1_epi8(15)));
}
static inline __m256i high_weights(__m256i bytes, __m256i levels) {
  return low_weights(_mm256_srli_epi16(bytes, 4), levels);
}

#if LEVEL_HAS_VNNI
/* q8 codes plus 128 are an unsigned operand. */
#define Q8_BIAS 128
static inline __m256i q8_weights(__m256i codes) {
  return _mm256_xor_si256(codes, _mm256_set1_epi8(-128));
}
static inline __m256i q8_dot_quads(__m256i sum, __m256i w, __m256i a) {
  return dot_quads(sum, w, a);
}
#else
/* For AVX2 they would overflow: |w| times a with w's sign. 2 * 128 * 127 < 2^15. */
#define Q8_BIAS 0
static inline __m256i q8_weights(__m256i codes) {
  return codes;
}
static inline __m256i q8_dot_quads(__m256i sum, __m256i w, __m256i a) {
  return dot_quads(sum, _mm256_abs_epi8(w), _mm256_sign_epi8(a, w));
}
#endif

/* A block's sixteen scale bytes in two registers of eight rows: the scales, and
 * all ones where a q4 row's shift bit is set. */
typedef struct block_scales {
  __m256i scale[2], shift[2];
} block_scales;

static GUST_INLINE block_scales load_block_scales(const uint8_t *p, int bits) {
  __m128i packed = _mm_load_si128((const __m128i *)(const void *)p);
  block_scales s;
  for (int half = 0; half < 2; half++, packed = _mm_srli_si128(packed, 8)) {
    if (bits == 4) {
      __m256i bytes = _mm256_cvtepi8_epi32(packed);
      s.scale[half] = _mm256_srai_epi32(bytes, 1);
      s.shift[half] = _mm256_srai_epi32(_mm256_slli_epi32(bytes, 31), 31);
    } else {
      s.scale[half] = _mm256_cvtepu8_epi32(packed);
      s.shift[half] = _mm256_setzero_si256();
    }
  }
  return s;
}

/* --- many tokens ----------------------------------------------------------------- */

#define GROUP_TOKENS 128u
#define GROUP_PANELS 8u
#define USES_STARTS 1
#define Q4_BIAS GUST_Q4_LEVEL_BIAS
#include "blocked_product.h"

static GUST_INLINE void expand_block(weight_chunk *chunk, size_t b, const uint8_t *tile,
                                     size_t in_tile, int bits) {
  const uint8_t *lines = tile + GUST_LINE + in_tile * (size_t)bits * GUST_LINE;
  const __m256i levels = biased_levels();
  uint8_t *codes = chunk->codes[b];
  block_scales s = load_block_scales(tile + GUST_PANEL_ROWS * in_tile, bits);
  for (size_t half = 0; half < 2; half++) {
    __m256i shift = _mm256_and_si256(s.shift[half], _mm256_set1_epi8(2));
    for (size_t j = 0; j < (size_t)bits; j++) {
      __m256i bytes = load_half(lines + j * GUST_LINE + 32 * half);
      if (bits == 4) {
        uint8_t *quads = codes + 2 * j * GUST_LINE + 32 * half;
        store_half(quads, _mm256_add_epi8(low_weights(bytes, levels), shift));
        store_half(quads + GUST_LINE, _mm256_add_epi8(high_weights(bytes, levels), shift));
      } else {
        store_half(codes + j * GUST_LINE + 32 * half, q8_weights(bytes));
      }
    }
    __m256 scale = _mm256_cvtepi32_ps(s.scale[half]);
    _mm256_storeu_ps(chunk->scales[b] + 8 * half, scale);
    _mm256_storeu_ps(chunk->offsets[b] + 8 * half,
                     _mm256_mul_ps(scale, _mm256_set1_ps(-START_VALUE)));
  }
}

/* One block and a constant number of tokens: sums += what it adds, rounded as the reference rounds
 * it. The sums stay in memory; there are registers for the dot products only. */
static GUST_INLINE void multiply_block(float (*sums)[GUST_PANEL_ROWS], const weight_chunk *chunk,
                                       const token_tile *x, size_t b, int bits, int tokens) {
  __m256i dot[TILE_TOKENS][2];
  for (int t = 0; t < tokens; t++)
    dot[t][0] = dot[t][1] = _mm256_set1_epi32(x->starts[(size_t)t * CHUNK_BLOCKS + b]);
  for (size_t j = 0; j < 8; j++) {
    __m256i w0 = load_half(chunk->codes[b] + j * GUST_LINE);
    __m256i w1 = load_half(chunk->codes[b] + j * GUST_LINE + 32);
    for (int t = 0; t < tokens; t++) {
      __m256i a = broadcast_quad(x->codes + (size_t)t * x->stride + 32 * b + 4 * j);
      dot[t][0] = bits == 4 ? dot_quads(dot[t][0], w0, a) : q8_dot_quads(dot[t][0], w0, a);
      dot[t][1] = bits == 4 ? dot_quads(dot[t][1], w1, a) : q8_dot_quads(dot[t][1], w1, a);
    }
  }
  for (int t = 0; t < tokens; t++) {
    __m256 act_scale = _mm256_set1_ps(x->scales[(size_t)t * x->scale_stride + b]);
    for (size_t half = 0; half < 2; half++) {
      __m256 scaled = _mm256_fmadd_ps(_mm256_castsi256_ps(dot[t][half]),
                                      _mm256_loadu_ps(chunk->scales[b] + 8 * half),
                                      _mm256_loadu_ps(chunk->offsets[b] + 8 * half));
      float *sum = sums[t] + 8 * half;
      _mm256_storeu_ps(sum, _mm256_fmadd_ps(scaled, act_scale, _mm256_loadu_ps(sum)));
    }
  }
}

/* Tiles of nearly the same size. */
static inline size_t tile_tokens(size_t left) {
  size_t tiles = (left + TILE_TOKENS - 1) / TILE_TOKENS;
  return left / tiles;
}

static GUST_INLINE void multiply_tile(float (*sums)[GUST_PANEL_ROWS], const weight_chunk *chunk,
                                      const token_tile *x, size_t blocks, int bits, size_t tokens) {
#define TOKENS(n)                                                                   \
  case n:                                                                           \
    for (size_t b = 0; b < blocks; b++) multiply_block(sums, chunk, x, b, bits, n); \
    break;
  switch (tokens) {
    TOKENS(1)
    TOKENS(2)
    TOKENS(3)
    TOKENS(4)
#if TILE_TOKENS > 4
    TOKENS(5) TOKENS(6)
#endif
  }
#undef TOKENS
}

/* --- a few tokens ------------------------------------------------------------------ */

#define TILE_OF_FEW 4
#define MOST_FEW 4
#include "few_tokens_product.h"

/* A block's integer dot products with each token, for rows 8 half + lane. They start
 * at -64 (or, where the row's shift bit is set, -62) times the sum of the activations,
 * which takes the bias out and the shift in. */
static GUST_INLINE void q4_dots(__m256i *dot, const uint8_t *lines, __m256i shift,
                                const gust_activations *x, size_t b, int tokens) {
  const __m256i levels = biased_levels();
  const int8_t *codes = x->codes + GUST_BLOCK_K * b;
  size_t row_blocks = x->k_padded / GUST_BLOCK_K;
  for (int t = 0; t < tokens; t++) {
    int32_t sum = x->sums[(size_t)t * row_blocks + b];
    dot[t] = _mm256_add_epi32(_mm256_set1_epi32(-GUST_Q4_LEVEL_BIAS * sum),
                              _mm256_and_si256(shift, _mm256_set1_epi32(2 * sum)));
  }
  for (size_t j = 0; j < 4; j++) {
    __m256i bytes = load_half(lines + j * GUST_LINE);
    __m256i low = low_weights(bytes, levels), high = high_weights(bytes, levels);
    for (int t = 0; t < tokens; t++) {
      const int8_t *quads = codes + (size_t)t * x->stride + 8 * j;
      dot[t] = dot_quads(dot[t], low, broadcast_quad(quads));
      dot[t] = dot_quads(dot[t], high, broadcast_quad(quads + 4));
    }
  }
}

static GUST_INLINE void q8_dots(__m256i *dot, const uint8_t *lines, const gust_activations *x,
                                size_t b, int tokens) {
  const int8_t *codes = x->codes + GUST_BLOCK_K * b;
  size_t row_blocks = x->k_padded / GUST_BLOCK_K;
  for (int t = 0; t < tokens; t++)
    dot[t] = _mm256_set1_epi32(-Q8_BIAS * x->sums[(size_t)t * row_blocks + b]);
  for (size_t j = 0; j < 8; j++) {
    __m256i w = q8_weights(load_half(lines + j * GUST_LINE));
    for (int t = 0; t < tokens; t++)
      dot[t] = q8_dot_quads(dot[t], w, broadcast_quad(codes + (size_t)t * x->stride + 4 * j));
  }
}

static GUST_INLINE void add_block(vf *acc, int bits, const uint8_t *tile, size_t b,
                                  const gust_activations *x, int tokens) {
  size_t in_tile = b % GUST_TILE_BLOCKS, row_blocks = x->k_padded / GUST_BLOCK_K;
  const uint8_t *lines = tile + GUST_LINE + in_tile * (size_t)bits * GUST_LINE;
  if (in_tile == 0) PREFETCH_LINE(tile);
  for (int j = 0; j < bits; j++) PREFETCH_LINE(lines + (size_t)j * GUST_LINE);
  block_scales s = load_block_scales(tile + GUST_PANEL_ROWS * in_tile, bits);
  __m256i dot[2][TILE_OF_FEW];
  for (size_t half = 0; half < 2; half++) {
    if (bits == 4)
      q4_dots(dot[half], lines + 32 * half, s.shift[half], x, b, tokens);
    else
      q8_dots(dot[half], lines + 32 * half, x, b, tokens);
  }
  vf scale = V_PAIR(_mm256_cvtepi32_ps(s.scale[0]), _mm256_cvtepi32_ps(s.scale[1]));
  for (int t = 0; t < tokens; t++) {
    vf scaled = v_mul(V_PAIR(_mm256_cvtepi32_ps(dot[0][t]), _mm256_cvtepi32_ps(dot[1][t])), scale);
    acc[t] = v_fma(scaled, v_set1(x->scales[(size_t)t * row_blocks + b]), acc[t]);
  }
}

/* --- the products ------------------------------------------------------------------ */

static void matmul_q4_256(float *dst, size_t dst_stride, const uint8_t *panels,
                          const uint8_t *row_codes, size_t panel_count, const gust_activations *x,
                          size_t tokens) {
  if (tokens <= MOST_FEW)
    multiply_few(dst, dst_stride, 4, panels, row_codes, panel_count, x, tokens);
  else
    multiply_many(dst, dst_stride, 4, panels, row_codes, panel_count, x, tokens);
}

static void matmul_q8_256(float *dst, size_t dst_stride, const uint8_t *panels,
                          const uint8_t *row_codes, size_t panel_count, const gust_activations *x,
                          size_t tokens) {
  if (tokens <= MOST_FEW)
    multiply_few(dst, dst_stride, 8, panels, row_codes, panel_count, x, tokens);
  else
    multiply_many(dst, dst_stride, 8, panels, row_codes, panel_count, x, tokens);
}

#endif

/* AVX-512 F, BW, VL, DQ and VNNI: Ice Lake (2019), Zen 4 (2022) and since. */
#if !defined(__AVX512F__) || !defined(__AVX512BW__) || !defined(__AVX512VL__) || \
    !defined(__AVX512DQ__) || !defined(__AVX512VNNI__)
#error "avx512.c needs -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni"
#endif

#include "lanes_avx512.h"
/* Before kernels.h, which float_kernels.h includes. */
#include "calibration_kernels.h"
#include "float_kernels.h"
#include "levels.h"
#include "weight_kernels.h"
#include "weights_512.h"

static inline __m512i broadcast_quad(const int8_t *p) {
  int32_t quad;
  memcpy(&quad, p, 4);
  return _mm512_set1_epi32(quad);
}
/* --- many tokens ------------------------------------------------------------------ */

#define TILE_TOKENS 12
#define GROUP_TOKENS 128u
#define GROUP_PANELS 8u
#define USES_STARTS 1
#define Q4_BIAS GUST_Q4_LEVEL_BIAS
#define Q8_BIAS 128
#include "blocked_product.h"

static GUST_INLINE void expand_block(weight_chunk *chunk, size_t b, const uint8_t *tile,
                                     size_t in_tile, int bits) {
  expand_block_512(chunk->codes[b], chunk->scales[b], tile, in_tile, bits,
                   bits == 4 ? Q4_BIAS : Q8_BIAS);
  _mm512_storeu_ps(chunk->offsets[b],
                   _mm512_mul_ps(_mm512_loadu_ps(chunk->scales[b]), _mm512_set1_ps(-START_VALUE)));
}

/* `tokens` is a constant. */
static GUST_INLINE void multiply_tokens(float (*sums)[GUST_PANEL_ROWS], const weight_chunk *chunk,
                                        const token_tile *x, size_t blocks, int tokens) {
  __m512 acc[TILE_TOKENS];
  for (int t = 0; t < tokens; t++) acc[t] = _mm512_loadu_ps(sums[t]);
  for (size_t b = 0; b < blocks; b++) {
    __m512i dot[TILE_TOKENS];
    for (int t = 0; t < tokens; t++)
      dot[t] = _mm512_set1_epi32(x->starts[(size_t)t * CHUNK_BLOCKS + b]);
    for (size_t j = 0; j < 8; j++) {
      __m512i w = load_line(chunk->codes[b] + j * GUST_LINE);
      /* Tokens inside: neighbouring dot products are independent. */
      for (int t = 0; t < tokens; t++)
        dot[t] = _mm512_dpbusd_epi32(
            dot[t], w, broadcast_quad(x->codes + (size_t)t * x->stride + 32 * b + 4 * j));
    }
    __m512 scale = _mm512_loadu_ps(chunk->scales[b]), offset = _mm512_loadu_ps(chunk->offsets[b]);
    for (int t = 0; t < tokens; t++)
      acc[t] = _mm512_fmadd_ps(_mm512_fmadd_ps(_mm512_castsi512_ps(dot[t]), scale, offset),
                               _mm512_set1_ps(x->scales[(size_t)t * x->scale_stride + b]), acc[t]);
  }
  for (int t = 0; t < tokens; t++) _mm512_storeu_ps(sums[t], acc[t]);
}

/* Tiles of nearly the same size. */
static inline size_t tile_tokens(size_t left) {
  size_t tiles = (left + TILE_TOKENS - 1) / TILE_TOKENS;
  return left / tiles;
}

static GUST_INLINE void multiply_tile(float (*sums)[GUST_PANEL_ROWS], const weight_chunk *chunk,
                                      const token_tile *x, size_t blocks, int bits, size_t tokens) {
  (void)bits; /* expanded, both are bytes with a bias */
#define TOKENS(n) \
  case n: multiply_tokens(sums, chunk, x, blocks, n); break;
  switch (tokens) {
    TOKENS(1)
    TOKENS(2)
    TOKENS(3)
    TOKENS(4) TOKENS(5) TOKENS(6) TOKENS(7) TOKENS(8) TOKENS(9) TOKENS(10) TOKENS(11) TOKENS(12)
  }
#undef TOKENS
}

/* --- a few tokens ----------------------------------------------------------------- */

#define TILE_OF_FEW 8
#define MOST_FEW 24
#include "few_tokens_product.h"

/* A block's integer dot products with each token. For few of them the sums start at -64
 * (-62 where the row's shift bit is set) times the sum of the activations, which takes the
 * bias out and the shift in; for more it costs less to add the shift to the weights. */
static GUST_INLINE void q4_dots(__m512i *dot, const uint8_t *lines, __mmask16 shifted,
                                const gust_activations *x, size_t b, int tokens) {
  const __m512i levels = q4_levels(GUST_Q4_LEVEL_BIAS);
  const bool shift_weights = tokens > DECODE_TOKENS;
  const __m512i shift = _mm512_maskz_mov_epi32(shifted, _mm512_set1_epi8(2));
  const int8_t *codes = x->codes + GUST_BLOCK_K * b;
  size_t row_blocks = x->k_padded / GUST_BLOCK_K;
  for (int t = 0; t < tokens; t++) {
    int32_t sum = x->sums[(size_t)t * row_blocks + b];
    dot[t] = _mm512_set1_epi32(-GUST_Q4_LEVEL_BIAS * sum);
    if (!shift_weights)
      dot[t] =
          _mm512_mask_mov_epi32(dot[t], shifted, _mm512_set1_epi32((2 - GUST_Q4_LEVEL_BIAS) * sum));
  }
  for (size_t j = 0; j < 4; j++) {
    __m512i line = load_line(lines + j * GUST_LINE);
    __m512i low = low_weights(line, levels), high = high_weights(line, levels);
    if (shift_weights) low = _mm512_add_epi8(low, shift), high = _mm512_add_epi8(high, shift);
    for (int t = 0; t < tokens; t++) {
      const int8_t *quads = codes + (size_t)t * x->stride + 8 * j;
      dot[t] = _mm512_dpbusd_epi32(dot[t], low, broadcast_quad(quads));
    }
    for (int t = 0; t < tokens; t++) {
      const int8_t *quads = codes + (size_t)t * x->stride + 8 * j;
      dot[t] = _mm512_dpbusd_epi32(dot[t], high, broadcast_quad(quads + 4));
    }
  }
}

/* The codes plus 128 are the unsigned operand; the sums start at -128 times the
 * sum of the activations. */
static GUST_INLINE void q8_dots(__m512i *dot, const uint8_t *lines, const gust_activations *x,
                                size_t b, int tokens) {
  const __m512i flip = _mm512_set1_epi8(-128);
  const int8_t *codes = x->codes + GUST_BLOCK_K * b;
  size_t row_blocks = x->k_padded / GUST_BLOCK_K;
  for (int t = 0; t < tokens; t++)
    dot[t] = _mm512_set1_epi32(-128 * x->sums[(size_t)t * row_blocks + b]);
  for (size_t j = 0; j < 8; j++) {
    __m512i w = _mm512_xor_si512(load_line(lines + j * GUST_LINE), flip);
    for (int t = 0; t < tokens; t++)
      dot[t] =
          _mm512_dpbusd_epi32(dot[t], w, broadcast_quad(codes + (size_t)t * x->stride + 4 * j));
  }
}

static GUST_INLINE void add_block(vf *acc, int bits, const uint8_t *tile, size_t b,
                                  const gust_activations *x, int tokens) {
  size_t in_tile = b % GUST_TILE_BLOCKS, row_blocks = x->k_padded / GUST_BLOCK_K;
  const uint8_t *lines = tile + GUST_LINE + in_tile * (size_t)bits * GUST_LINE;
  if (in_tile == 0) PREFETCH_LINE(tile);
  for (int j = 0; j < bits; j++) PREFETCH_LINE(lines + (size_t)j * GUST_LINE);
  __m128i packed = load_scale_bytes(tile + GUST_PANEL_ROWS * in_tile);
  __m512i dot[TILE_OF_FEW], scales;
  if (bits == 4) {
    __m512i bytes = _mm512_cvtepi8_epi32(packed);
    scales = _mm512_srai_epi32(bytes, 1);
    q4_dots(dot, lines, _mm512_test_epi32_mask(bytes, _mm512_set1_epi32(1)), x, b, tokens);
  } else {
    scales = _mm512_cvtepu8_epi32(packed);
    q8_dots(dot, lines, x, b, tokens);
  }
  __m512 scale = _mm512_cvtepi32_ps(scales);
  for (int t = 0; t < tokens; t++)
    acc[t] = _mm512_fmadd_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(dot[t]), scale),
                             _mm512_set1_ps(x->scales[(size_t)t * row_blocks + b]), acc[t]);
}

/* --- the products ----------------------------------------------------------------- */

void gust_matmul_q4_avx512(float *dst, size_t dst_stride, const uint8_t *panels,
                           const uint8_t *row_codes, size_t panel_count, const gust_activations *x,
                           size_t tokens) {
  if (tokens <= MOST_FEW)
    multiply_few(dst, dst_stride, 4, panels, row_codes, panel_count, x, tokens);
  else
    multiply_many(dst, dst_stride, 4, panels, row_codes, panel_count, x, tokens);
}

void gust_matmul_q8_avx512(float *dst, size_t dst_stride, const uint8_t *panels,
                           const uint8_t *row_codes, size_t panel_count, const gust_activations *x,
                           size_t tokens) {
  if (tokens <= MOST_FEW)
    multiply_few(dst, dst_stride, 8, panels, row_codes, panel_count, x, tokens);
  else
    multiply_many(dst, dst_stride, 8, panels, row_codes, panel_count, x, tokens);
}

void gust_kernels_fill_avx512(gust_kernels *kernels) {
  kernels->level = "avx512";
  fill_float_kernels(kernels);
  fill_weight_kernels(kernels);
  fill_calibration_kernels(kernels);
  kernels->matmul_q4 = gust_matmul_q4_avx512;
  kernels->matmul_q8 = gust_matmul_q8_avx512;
}

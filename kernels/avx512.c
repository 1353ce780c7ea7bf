/* AVX-512 F, BW, VL, DQ and VNNI: Ice Lake (2019), Zen 4 (2022) and since. */
#if !defined(__AVX512F__) || !defined(__AVX512BW__) || !defined(__AVX512VL__) || \
    !defined(__AVX512DQ__) || !defined(__AVX512VNNI__)
#error "avx512.c needs -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni"
#endif

#include "lanes_avx512.h"
/* Before kernels.h, which float_kernels.h includes. */
#include "float_kernels.h"
#include "levels.h"
#include "calibration_kernels.h"
#include "weight_kernels.h"

/* Bytes ahead of the current tile at which a decoding thread prefetches. */
#define PREFETCH_AHEAD 2176

/* Accumulators for P panels times T tokens: decoding walks four panels at
 * once, which keeps enough cache lines under way; prefill expands a panel's
 * codes once for eight tokens. */
#define MOST_SUMS 8

static inline __m512i load_line(const uint8_t *p) {
  return _mm512_load_si512(p);
}
static inline __m512i broadcast_quad(const int8_t *p) {
  int32_t quad;
  memcpy(&quad, p, 4);
  return _mm512_set1_epi32(quad);
}
static inline void prefetch_line(const uint8_t *p) {
  _mm_prefetch((const char *)p + PREFETCH_AHEAD, _MM_HINT_T0);
}

/* --- blocks ---------------------------------------------------------------------- */

/* The levels plus 64: the unsigned operand of vpdpbusd. */
static inline __m512i biased_levels(void) {
  static const int8_t levels[16] = GUST_Q4_LEVELS;
  __m128i v = _mm_loadu_si128((const __m128i *)(const void *)levels);
  return _mm512_broadcast_i32x4(_mm_add_epi8(v, _mm_set1_epi8(GUST_Q4_LEVEL_BIAS)));
}

/* A block's integer dot products with `tokens` tokens; `x` and `act_sums` are
 * the first token's. They start at -64 (-62 where the row's shift bit is set)
 * times the sum of the activations, which takes the bias out and the shift in. */
static GUST_INLINE void q4_block(__m512i *sums, const uint8_t *lines, __mmask16 shift,
                                 const int8_t *x, const int32_t *act_sums, size_t k_padded,
                                 int tokens) {
  const __m512i levels = biased_levels(), nibble = _mm512_set1_epi8(15);
  for (int t = 0; t < tokens; t++) {
    int32_t s = act_sums[(size_t)t * (k_padded / GUST_BLOCK_K)];
    sums[t] = _mm512_mask_mov_epi32(_mm512_set1_epi32(-GUST_Q4_LEVEL_BIAS * s), shift,
                                    _mm512_set1_epi32((2 - GUST_Q4_LEVEL_BIAS) * s));
  }
  for (size_t j = 0; j < 4; j++) {
    __m512i line = load_line(lines + j * GUST_LINE);
    __m512i low = _mm512_shuffle_epi8(levels, _mm512_and_si512(line, nibble));
    __m512i high =
        _mm512_shuffle_epi8(levels, _mm512_and_si512(_mm512_srli_epi16(line, 4), nibble));
    /* Quads outside, tokens inside: neighbouring dot products are independent. */
    for (int t = 0; t < tokens; t++)
      sums[t] = _mm512_dpbusd_epi32(sums[t], low, broadcast_quad(x + (size_t)t * k_padded + 8 * j));
    for (int t = 0; t < tokens; t++)
      sums[t] =
          _mm512_dpbusd_epi32(sums[t], high, broadcast_quad(x + (size_t)t * k_padded + 8 * j + 4));
  }
}

/* The codes plus 128 are the unsigned operand; the sums start at -128 times the
 * sum of the activations. */
static GUST_INLINE void q8_block(__m512i *sums, const uint8_t *lines, const int8_t *x,
                                 const int32_t *act_sums, size_t k_padded, int tokens) {
  const __m512i flip = _mm512_set1_epi8(-128);
  for (int t = 0; t < tokens; t++)
    sums[t] = _mm512_set1_epi32(-128 * act_sums[(size_t)t * (k_padded / GUST_BLOCK_K)]);
  for (size_t j = 0; j < 8; j++) {
    __m512i w = _mm512_xor_si512(load_line(lines + j * GUST_LINE), flip);
    for (int t = 0; t < tokens; t++)
      sums[t] = _mm512_dpbusd_epi32(sums[t], w, broadcast_quad(x + (size_t)t * k_padded + 4 * j));
  }
}

/* acc[t] += block's dot product * its scale * the activation's scale, as the
 * reference rounds it. `bits` is 4 or 8; block b of the row, `tile` its tile,
 * `token` the first token's number. */
static GUST_INLINE void add_block(__m512 *acc, int bits, const uint8_t *tile, size_t b,
                                  const gust_activations *x, size_t token, int tokens) {
  size_t k_padded = x->k_padded, blocks = k_padded / GUST_BLOCK_K, in_tile = b % GUST_TILE_BLOCKS;
  const int8_t *codes = x->codes + token * k_padded + GUST_BLOCK_K * b;
  const int32_t *act_sums = x->sums + token * blocks + b;
  const uint8_t *lines = tile + GUST_LINE + in_tile * (size_t)bits * GUST_LINE;
  if (tokens == 1) {
    if (in_tile == 0) prefetch_line(tile);
    for (int j = 0; j < bits; j++) prefetch_line(lines + (size_t)j * GUST_LINE);
  }
  __m128i packed =
      _mm_load_si128((const __m128i *)(const void *)(tile + GUST_PANEL_ROWS * in_tile));
  __m512i sums[MOST_SUMS], scales;
  if (bits == 4) {
    __m512i bytes = _mm512_cvtepi8_epi32(packed);
    scales = _mm512_srai_epi32(bytes, 1);
    q4_block(sums, lines, _mm512_test_epi32_mask(bytes, _mm512_set1_epi32(1)), codes, act_sums,
             k_padded, tokens);
  } else {
    scales = _mm512_cvtepu8_epi32(packed);
    q8_block(sums, lines, codes, act_sums, k_padded, tokens);
  }
  __m512 scale = _mm512_cvtepi32_ps(scales);
  for (int t = 0; t < tokens; t++) {
    float act_scale = x->scales[(token + (size_t)t) * blocks + b];
    acc[t] = _mm512_fmadd_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(sums[t]), scale),
                             _mm512_set1_ps(act_scale), acc[t]);
  }
}

/* --- matrices ---------------------------------------------------------------------- */

/* `panels` panels, block by block in turn, times `tokens` tokens. */
static GUST_INLINE void multiply_panels(float *dst, size_t dst_stride, int bits,
                                        const uint8_t *panel, const uint8_t *row_codes,
                                        const gust_activations *x, size_t token, int panels,
                                        int tokens) {
  size_t blocks = x->k_padded / GUST_BLOCK_K;
  size_t tile_bytes = bits == 4 ? GUST_Q4_TILE_BYTES : GUST_Q8_TILE_BYTES;
  size_t panel_bytes = x->k_padded / GUST_TILE_K * tile_bytes;
  __m512 acc[MOST_SUMS];
  for (int i = 0; i < panels * tokens; i++) acc[i] = _mm512_setzero_ps();
  for (size_t b = 0; b < blocks; b++)
    for (int p = 0; p < panels; p++)
      add_block(acc + p * tokens, bits,
                panel + (size_t)p * panel_bytes + b / GUST_TILE_BLOCKS * tile_bytes, b, x, token,
                tokens);
  for (int p = 0; p < panels; p++) {
    const uint8_t *codes = row_codes + (size_t)p * GUST_PANEL_ROWS;
    __m512i exponents = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)codes));
    __m512 scale = _mm512_castsi512_ps(_mm512_slli_epi32(exponents, GUST_ROW_SCALE_SHIFT));
    for (int t = 0; t < tokens; t++)
      _mm512_storeu_ps(dst + (size_t)t * dst_stride + (size_t)p * GUST_PANEL_ROWS,
                       _mm512_mul_ps(acc[p * tokens + t], scale));
  }
}

static GUST_INLINE void multiply(float *dst, size_t dst_stride, int bits, const uint8_t *panels,
                                 const uint8_t *row_codes, size_t panel_count,
                                 const gust_activations *x, size_t tokens) {
  size_t bytes = bits == 4 ? gust_q4_panel_bytes(x->k_padded) : gust_q8_panel_bytes(x->k_padded);
  size_t p = 0;
  if (tokens == 1)
    for (; p + 4 <= panel_count; p += 4)
      multiply_panels(dst + p * GUST_PANEL_ROWS, dst_stride, bits, panels + p * bytes,
                      row_codes + p * GUST_PANEL_ROWS, x, 0, 4, 1);
  for (; p < panel_count; p++) {
    float *rows = dst + p * GUST_PANEL_ROWS;
    const uint8_t *panel = panels + p * bytes, *codes = row_codes + p * GUST_PANEL_ROWS;
    size_t t = 0;
    for (; t + 8 <= tokens; t += 8)
      multiply_panels(rows + t * dst_stride, dst_stride, bits, panel, codes, x, t, 1, 8);
    for (; t + 4 <= tokens; t += 4)
      multiply_panels(rows + t * dst_stride, dst_stride, bits, panel, codes, x, t, 1, 4);
    for (; t < tokens; t++)
      multiply_panels(rows + t * dst_stride, dst_stride, bits, panel, codes, x, t, 1, 1);
  }
}

static void matmul_q4_avx512(float *dst, size_t dst_stride, const uint8_t *panels,
                             const uint8_t *row_codes, size_t panel_count,
                             const gust_activations *x, size_t tokens) {
  multiply(dst, dst_stride, 4, panels, row_codes, panel_count, x, tokens);
}

static void matmul_q8_avx512(float *dst, size_t dst_stride, const uint8_t *panels,
                             const uint8_t *row_codes, size_t panel_count,
                             const gust_activations *x, size_t tokens) {
  multiply(dst, dst_stride, 8, panels, row_codes, panel_count, x, tokens);
}

void gust_kernels_fill_avx512(gust_kernels *kernels) {
  kernels->level = "avx512";
  fill_float_kernels(kernels);
  fill_weight_kernels(kernels);
  fill_calibration_kernels(kernels);
  kernels->matmul_q4 = matmul_q4_avx512;
  kernels->matmul_q8 = matmul_q8_avx512;
}

/* AVX-512 F, BW, VL, DQ and VNNI: Ice Lake (2019), Zen 4 (2022) and since. */
#if !defined(__AVX512F__) || !defined(__AVX512BW__) || !defined(__AVX512VL__) || \
    !defined(__AVX512DQ__) || !defined(__AVX512VNNI__)
#error "avx512.c needs -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni"
#endif

#include "lanes_avx512.h"
/* Before kernels.h, which float_kernels.h includes. */
#include "float_kernels.h"
#include "levels.h"

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

/* acc += sum * block scale * activation scale, as the reference rounds it. */
static inline __m512 accumulate(__m512 acc, __m512i sum, __m512 scale, float act_scale) {
  return _mm512_fmadd_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(sum), scale), _mm512_set1_ps(act_scale),
                         acc);
}

/* Writes panels times tokens accumulators, times the row scales. */
static GUST_INLINE void store_rows(float *dst, size_t dst_stride, const __m512 *acc,
                                   const uint8_t *row_codes, int panels, int tokens) {
  for (int p = 0; p < panels; p++) {
    __m128i codes = _mm_loadu_si128((const __m128i *)(const void *)(row_codes + 16 * p));
    __m512 scale =
        _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu8_epi32(codes), GUST_ROW_SCALE_SHIFT));
    for (int t = 0; t < tokens; t++)
      _mm512_storeu_ps(dst + (size_t)t * dst_stride + 16 * p,
                       _mm512_mul_ps(acc[p * tokens + t], scale));
  }
}

/* --- q4 ------------------------------------------------------------------------ */

static inline __m512i biased_levels(void) {
  static const int8_t levels[16] = GUST_Q4_LEVELS;
  __m128i v = _mm_loadu_si128((const __m128i *)(const void *)levels);
  return _mm512_broadcast_i32x4(_mm_add_epi8(v, _mm_set1_epi8(GUST_Q4_LEVEL_BIAS)));
}

/* The integer dot products of one block of one panel with `tokens` tokens. They
 * start at -64 (-62 where the row's shift bit is set) times the sum of the
 * activations, which takes the bias out and the shift in. */
static GUST_INLINE void q4_block(__m512i *sums, const uint8_t *lines, __mmask16 shift,
                                 const int8_t *codes, size_t code_stride, const int32_t *act_sums,
                                 size_t sum_stride, int tokens) {
  const __m512i levels = biased_levels(), nibble = _mm512_set1_epi8(15);
  for (int t = 0; t < tokens; t++) {
    int32_t s = act_sums[(size_t)t * sum_stride];
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
      sums[t] = _mm512_dpbusd_epi32(sums[t], low,
                                    broadcast_quad(codes + (size_t)t * code_stride + 8 * j));
    for (int t = 0; t < tokens; t++)
      sums[t] = _mm512_dpbusd_epi32(sums[t], high,
                                    broadcast_quad(codes + (size_t)t * code_stride + 8 * j + 4));
  }
}

static GUST_INLINE void q4_panels(float *dst, size_t dst_stride, const uint8_t *panel,
                                  const uint8_t *row_codes, const gust_activations *x, size_t token,
                                  int panels, int tokens) {
  size_t k_padded = x->k_padded, blocks = k_padded / GUST_BLOCK_K;
  const int8_t *codes = x->codes + token * k_padded;
  const float *scales = x->scales + token * blocks;
  const int32_t *act_sums = x->sums + token * blocks;
  size_t panel_bytes = gust_q4_panel_bytes(k_padded);
  __m512 acc[MOST_SUMS];
  for (int i = 0; i < panels * tokens; i++) acc[i] = _mm512_setzero_ps();
  for (size_t b = 0; b < blocks; b++) {
    size_t in_tile = b % GUST_TILE_BLOCKS;
    size_t tile_offset = b / GUST_TILE_BLOCKS * GUST_Q4_TILE_BYTES;
    for (int p = 0; p < panels; p++) {
      const uint8_t *tile = panel + (size_t)p * panel_bytes + tile_offset;
      const uint8_t *lines = tile + GUST_LINE + in_tile * 4 * GUST_LINE;
      if (tokens == 1) {
        if (in_tile == 0) prefetch_line(tile);
        for (size_t j = 0; j < 4; j++) prefetch_line(lines + j * GUST_LINE);
      }
      __m512i bytes = _mm512_cvtepi8_epi32(
          _mm_load_si128((const __m128i *)(const void *)(tile + 16 * in_tile)));
      __m512i sums[MOST_SUMS];
      q4_block(sums, lines, _mm512_test_epi32_mask(bytes, _mm512_set1_epi32(1)), codes + 32 * b,
               k_padded, act_sums + b, blocks, tokens);
      __m512 scale = _mm512_cvtepi32_ps(_mm512_srai_epi32(bytes, 1));
      for (int t = 0; t < tokens; t++)
        acc[p * tokens + t] =
            accumulate(acc[p * tokens + t], sums[t], scale, scales[(size_t)t * blocks + b]);
    }
  }
  store_rows(dst, dst_stride, acc, row_codes, panels, tokens);
}

static void matmul_q4_avx512(float *dst, size_t dst_stride, const uint8_t *panels,
                             const uint8_t *row_codes, size_t panel_count,
                             const gust_activations *x, size_t tokens) {
  size_t bytes = gust_q4_panel_bytes(x->k_padded), p = 0;
  if (tokens == 1)
    for (; p + 4 <= panel_count; p += 4)
      q4_panels(dst + p * GUST_PANEL_ROWS, dst_stride, panels + p * bytes,
                row_codes + p * GUST_PANEL_ROWS, x, 0, 4, 1);
  for (; p < panel_count; p++) {
    float *rows = dst + p * GUST_PANEL_ROWS;
    const uint8_t *panel = panels + p * bytes, *codes = row_codes + p * GUST_PANEL_ROWS;
    size_t t = 0;
    for (; t + 8 <= tokens; t += 8)
      q4_panels(rows + t * dst_stride, dst_stride, panel, codes, x, t, 1, 8);
    for (; t + 4 <= tokens; t += 4)
      q4_panels(rows + t * dst_stride, dst_stride, panel, codes, x, t, 1, 4);
    for (; t < tokens; t++) q4_panels(rows + t * dst_stride, dst_stride, panel, codes, x, t, 1, 1);
  }
}

/* --- q8 ------------------------------------------------------------------------ */

/* The codes plus 128 are the unsigned operand; the sums start at -128 times the
 * sum of the activations. */
static GUST_INLINE void q8_block(__m512i *sums, const uint8_t *lines, const int8_t *codes,
                                 size_t code_stride, const int32_t *act_sums, size_t sum_stride,
                                 int tokens) {
  const __m512i flip = _mm512_set1_epi8(-128);
  for (int t = 0; t < tokens; t++)
    sums[t] = _mm512_set1_epi32(-128 * act_sums[(size_t)t * sum_stride]);
  for (size_t j = 0; j < 8; j++) {
    __m512i w = _mm512_xor_si512(load_line(lines + j * GUST_LINE), flip);
    for (int t = 0; t < tokens; t++)
      sums[t] =
          _mm512_dpbusd_epi32(sums[t], w, broadcast_quad(codes + (size_t)t * code_stride + 4 * j));
  }
}

static GUST_INLINE void q8_panels(float *dst, size_t dst_stride, const uint8_t *panel,
                                  const uint8_t *row_codes, const gust_activations *x, size_t token,
                                  int panels, int tokens) {
  size_t k_padded = x->k_padded, blocks = k_padded / GUST_BLOCK_K;
  const int8_t *codes = x->codes + token * k_padded;
  const float *scales = x->scales + token * blocks;
  const int32_t *act_sums = x->sums + token * blocks;
  size_t panel_bytes = gust_q8_panel_bytes(k_padded);
  __m512 acc[MOST_SUMS];
  for (int i = 0; i < panels * tokens; i++) acc[i] = _mm512_setzero_ps();
  for (size_t b = 0; b < blocks; b++) {
    size_t in_tile = b % GUST_TILE_BLOCKS;
    size_t tile_offset = b / GUST_TILE_BLOCKS * GUST_Q8_TILE_BYTES;
    for (int p = 0; p < panels; p++) {
      const uint8_t *tile = panel + (size_t)p * panel_bytes + tile_offset;
      const uint8_t *lines = tile + GUST_LINE + in_tile * 8 * GUST_LINE;
      if (tokens == 1) {
        if (in_tile == 0) prefetch_line(tile);
        for (size_t j = 0; j < 8; j++) prefetch_line(lines + j * GUST_LINE);
      }
      __m512i sums[MOST_SUMS];
      q8_block(sums, lines, codes + 32 * b, k_padded, act_sums + b, blocks, tokens);
      __m512 scale = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(
          _mm_load_si128((const __m128i *)(const void *)(tile + 16 * in_tile))));
      for (int t = 0; t < tokens; t++)
        acc[p * tokens + t] =
            accumulate(acc[p * tokens + t], sums[t], scale, scales[(size_t)t * blocks + b]);
    }
  }
  store_rows(dst, dst_stride, acc, row_codes, panels, tokens);
}

static void matmul_q8_avx512(float *dst, size_t dst_stride, const uint8_t *panels,
                             const uint8_t *row_codes, size_t panel_count,
                             const gust_activations *x, size_t tokens) {
  size_t bytes = gust_q8_panel_bytes(x->k_padded), p = 0;
  if (tokens == 1)
    for (; p + 4 <= panel_count; p += 4)
      q8_panels(dst + p * GUST_PANEL_ROWS, dst_stride, panels + p * bytes,
                row_codes + p * GUST_PANEL_ROWS, x, 0, 4, 1);
  for (; p < panel_count; p++) {
    float *rows = dst + p * GUST_PANEL_ROWS;
    const uint8_t *panel = panels + p * bytes, *codes = row_codes + p * GUST_PANEL_ROWS;
    size_t t = 0;
    for (; t + 8 <= tokens; t += 8)
      q8_panels(rows + t * dst_stride, dst_stride, panel, codes, x, t, 1, 8);
    for (; t + 4 <= tokens; t += 4)
      q8_panels(rows + t * dst_stride, dst_stride, panel, codes, x, t, 1, 4);
    for (; t < tokens; t++) q8_panels(rows + t * dst_stride, dst_stride, panel, codes, x, t, 1, 1);
  }
}

void gust_kernels_fill_avx512(gust_kernels *kernels) {
  kernels->level = "avx512";
  fill_float_kernels(kernels);
  kernels->matmul_q4 = matmul_q4_avx512;
  kernels->matmul_q8 = matmul_q8_avx512;
}

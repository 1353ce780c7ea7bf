/* AVX2 + FMA + F16C: Haswell (2013), Zen (2017) and everything since. */
#if !defined(__AVX2__) || !defined(__FMA__) || !defined(__F16C__)
#error "avx2.c needs -mavx2 -mfma -mf16c"
#endif

#include "lanes_avx2.h"
/* Before kernels.h, which float_kernels.h includes. */
#include "float_kernels.h"
#include "levels.h"
#include "calibration_kernels.h"
#include "weight_kernels.h"

#ifndef DECODE_PANELS
/* Panels a decoding thread walks at once, and how far ahead of its lines it
 * prefetches: both by measurement (docs/BENCHMARKS.md). */
#define DECODE_PANELS 2
#endif
#ifndef PREFETCH_AHEAD
#define PREFETCH_AHEAD 2176
#endif

static inline __m256i load_line_half(const uint8_t *p) {
  return _mm256_load_si256((const __m256i *)(const void *)p);
}
static inline __m256i broadcast_quad(const int8_t *p) {
  int32_t quad;
  memcpy(&quad, p, 4);
  return _mm256_set1_epi32(quad);
}
/* Sixteen scale bytes of a block, widened to two registers of eight rows. */
static inline void load_scale_bytes(const uint8_t *p, __m256i bytes[2]) {
  __m128i packed = _mm_load_si128((const __m128i *)(const void *)p);
  bytes[0] = _mm256_cvtepi8_epi32(packed);
  bytes[1] = _mm256_cvtepi8_epi32(_mm_srli_si128(packed, 8));
}
/* The lines that lie PREFETCH_AHEAD past these. */
static inline void prefetch_lines(const uint8_t *lines, int count) {
  for (int i = 0; i < count; i++)
    _mm_prefetch((const char *)lines + PREFETCH_AHEAD + i * (int)GUST_LINE, _MM_HINT_T0);
}

/* --- blocks ---------------------------------------------------------------------- */

/* The levels plus 64, so that they are the unsigned operand of maddubs, twice. */
static inline __m256i biased_levels(void) {
  static const int8_t levels[16] = GUST_Q4_LEVELS;
  __m128i v = _mm_loadu_si128((const __m128i *)(const void *)levels);
  return _mm256_broadcastsi128_si256(_mm_add_epi8(v, _mm_set1_epi8(GUST_Q4_LEVEL_BIAS)));
}

/* A block's integer dot products with `tokens` tokens: sums[t][half] for rows
 * 8 half + lane. `x` and `act_sums` are the first token's.
 *
 * They start at -64 (or, where the row's shift bit is set, -62) times the sum
 * of the activations, which takes the bias out and the shift in. */
static GUST_INLINE void q4_block(__m256i sums[][2], const uint8_t *lines, const __m256i shift[2],
                                 const int8_t *x, const int32_t *act_sums, size_t k_padded,
                                 int tokens) {
  const __m256i levels = biased_levels(), nibble = _mm256_set1_epi8(15);
  const __m256i ones = _mm256_set1_epi16(1);
  for (int t = 0; t < tokens; t++) {
    int32_t s = act_sums[(size_t)t * (k_padded / GUST_BLOCK_K)];
    __m256i bias = _mm256_set1_epi32(-GUST_Q4_LEVEL_BIAS * s), twice = _mm256_set1_epi32(2 * s);
    for (int half = 0; half < 2; half++)
      sums[t][half] = _mm256_add_epi32(bias, _mm256_and_si256(shift[half], twice));
  }
  for (size_t j = 0; j < 4; j++) {
    __m256i low[2], high[2];
    for (int half = 0; half < 2; half++) {
      __m256i line = load_line_half(lines + j * GUST_LINE + 32 * (size_t)half);
      low[half] = _mm256_shuffle_epi8(levels, _mm256_and_si256(line, nibble));
      high[half] =
          _mm256_shuffle_epi8(levels, _mm256_and_si256(_mm256_srli_epi16(line, 4), nibble));
    }
    for (int t = 0; t < tokens; t++) {
      const int8_t *a = x + (size_t)t * k_padded + 8 * j;
      __m256i a0 = broadcast_quad(a), a1 = broadcast_quad(a + 4);
      for (int half = 0; half < 2; half++) {
        __m256i d0 = _mm256_madd_epi16(_mm256_maddubs_epi16(low[half], a0), ones);
        __m256i d1 = _mm256_madd_epi16(_mm256_maddubs_epi16(high[half], a1), ones);
        sums[t][half] = _mm256_add_epi32(sums[t][half], _mm256_add_epi32(d0, d1));
      }
    }
  }
}

/* maddubs wants one unsigned operand: |w| times a with w's sign. 2 * 128 * 127
 * does not saturate. */
static GUST_INLINE void q8_block(__m256i sums[][2], const uint8_t *lines, const int8_t *x,
                                 size_t k_padded, int tokens) {
  const __m256i ones = _mm256_set1_epi16(1);
  for (int t = 0; t < tokens; t++) sums[t][0] = sums[t][1] = _mm256_setzero_si256();
  for (size_t j = 0; j < 8; j++) {
    __m256i w[2], magnitude[2];
    for (int half = 0; half < 2; half++) {
      w[half] = load_line_half(lines + j * GUST_LINE + 32 * (size_t)half);
      magnitude[half] = _mm256_abs_epi8(w[half]);
    }
    for (int t = 0; t < tokens; t++) {
      __m256i a = broadcast_quad(x + (size_t)t * k_padded + 4 * j);
      for (int half = 0; half < 2; half++) {
        __m256i pairs = _mm256_maddubs_epi16(magnitude[half], _mm256_sign_epi8(a, w[half]));
        sums[t][half] = _mm256_add_epi32(sums[t][half], _mm256_madd_epi16(pairs, ones));
      }
    }
  }
}

/* acc[t][half] += block's dot product * its scale * the activation's scale, as
 * the reference rounds it. `bits` is 4 or 8; block b of the row, `tile` its
 * tile, `token` the first token's number. */
static GUST_INLINE void add_block(__m256 acc[][2], int bits, const uint8_t *tile, size_t b,
                                  const gust_activations *x, size_t token, int tokens) {
  size_t k_padded = x->k_padded, blocks = k_padded / GUST_BLOCK_K, in_tile = b % GUST_TILE_BLOCKS;
  const int8_t *codes = x->codes + token * k_padded + GUST_BLOCK_K * b;
  const uint8_t *lines = tile + GUST_LINE + in_tile * (size_t)bits * GUST_LINE;
  __m256i bytes[2], sums[4][2];
  load_scale_bytes(tile + GUST_PANEL_ROWS * in_tile, bytes);
  if (tokens == 1) prefetch_lines(lines, in_tile == 0 ? bits + 1 : bits);
  if (bits == 4) {
    __m256i shift[2];
    for (int half = 0; half < 2; half++) {
      shift[half] = _mm256_srai_epi32(_mm256_slli_epi32(bytes[half], 31), 31);
      bytes[half] = _mm256_srai_epi32(bytes[half], 1);
    }
    q4_block(sums, lines, shift, codes, x->sums + token * blocks + b, k_padded, tokens);
  } else {
    for (int half = 0; half < 2; half++)
      bytes[half] = _mm256_and_si256(bytes[half], _mm256_set1_epi32(255));
    q8_block(sums, lines, codes, k_padded, tokens);
  }
  for (int half = 0; half < 2; half++) {
    __m256 scale = _mm256_cvtepi32_ps(bytes[half]);
    for (int t = 0; t < tokens; t++) {
      const float *act_scale = x->scales + (token + (size_t)t) * blocks + b;
      __m256 scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(sums[t][half]), scale);
      acc[t][half] = _mm256_fmadd_ps(scaled, _mm256_broadcast_ss(act_scale), acc[t][half]);
    }
  }
}

/* --- matrices ---------------------------------------------------------------------- */

static GUST_INLINE void store_rows(float *dst, size_t dst_stride, __m256 acc[][2],
                                   const uint8_t *row_codes, int tokens) {
  for (int half = 0; half < 2; half++) {
    __m128i codes = _mm_loadl_epi64((const __m128i *)(const void *)(row_codes + 8 * half));
    __m256 scale =
        _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu8_epi32(codes), GUST_ROW_SCALE_SHIFT));
    for (int t = 0; t < tokens; t++)
      _mm256_storeu_ps(dst + (size_t)t * dst_stride + 8 * half, _mm256_mul_ps(acc[t][half], scale));
  }
}

/* `panels` panels, block by block in turn, times `tokens` tokens; at most four
 * pairs of them. */
static GUST_INLINE void multiply_panels(float *dst, size_t dst_stride, int bits,
                                        const uint8_t *panel, const uint8_t *row_codes,
                                        const gust_activations *x, size_t token, int panels,
                                        int tokens) {
  size_t blocks = x->k_padded / GUST_BLOCK_K;
  size_t tile_bytes = bits == 4 ? GUST_Q4_TILE_BYTES : GUST_Q8_TILE_BYTES;
  size_t panel_bytes = x->k_padded / GUST_TILE_K * tile_bytes;
  __m256 acc[4][2];
  for (int i = 0; i < panels * tokens; i++) acc[i][0] = acc[i][1] = _mm256_setzero_ps();
  for (size_t b = 0; b < blocks; b++)
    for (int p = 0; p < panels; p++)
      add_block(acc + p * tokens, bits,
                panel + (size_t)p * panel_bytes + b / GUST_TILE_BLOCKS * tile_bytes, b, x, token,
                tokens);
  for (int p = 0; p < panels; p++)
    store_rows(dst + (size_t)p * GUST_PANEL_ROWS, dst_stride, acc + p * tokens,
               row_codes + (size_t)p * GUST_PANEL_ROWS, tokens);
}

/* A lone token (decoding) walks several panels at once; of many tokens, four
 * share the unpacking of a panel. */
static GUST_INLINE void multiply(float *dst, size_t dst_stride, int bits, const uint8_t *panels,
                                 const uint8_t *row_codes, size_t panel_count,
                                 const gust_activations *x, size_t tokens) {
  size_t bytes = bits == 4 ? gust_q4_panel_bytes(x->k_padded) : gust_q8_panel_bytes(x->k_padded);
  size_t p = 0;
  if (tokens == 1)
    for (; p + DECODE_PANELS <= panel_count; p += DECODE_PANELS)
      multiply_panels(dst + p * GUST_PANEL_ROWS, dst_stride, bits, panels + p * bytes,
                      row_codes + p * GUST_PANEL_ROWS, x, 0, DECODE_PANELS, 1);
  for (; p < panel_count; p++) {
    float *rows = dst + p * GUST_PANEL_ROWS;
    const uint8_t *panel = panels + p * bytes, *codes = row_codes + p * GUST_PANEL_ROWS;
    size_t t = 0;
    for (; t + 4 <= tokens; t += 4)
      multiply_panels(rows + t * dst_stride, dst_stride, bits, panel, codes, x, t, 1, 4);
    for (; t < tokens; t++)
      multiply_panels(rows + t * dst_stride, dst_stride, bits, panel, codes, x, t, 1, 1);
  }
}

static void matmul_q4_avx2(float *dst, size_t dst_stride, const uint8_t *panels,
                           const uint8_t *row_codes, size_t panel_count, const gust_activations *x,
                           size_t tokens) {
  multiply(dst, dst_stride, 4, panels, row_codes, panel_count, x, tokens);
}

static void matmul_q8_avx2(float *dst, size_t dst_stride, const uint8_t *panels,
                           const uint8_t *row_codes, size_t panel_count, const gust_activations *x,
                           size_t tokens) {
  multiply(dst, dst_stride, 8, panels, row_codes, panel_count, x, tokens);
}

void gust_kernels_fill_avx2(gust_kernels *kernels) {
  kernels->level = "avx2";
  fill_float_kernels(kernels);
  fill_weight_kernels(kernels);
  fill_calibration_kernels(kernels);
  kernels->matmul_q4 = matmul_q4_avx2;
  kernels->matmul_q8 = matmul_q8_avx2;
}

/* AMX with 8-bit integers: Sapphire Rapids (2023) and since. Products with many
 * tokens only; everything else is the AVX-512 level's. */
#if !(defined(__AMX_TILE__) && defined(__AMX_INT8__)) && \
    !(defined(__AMXTILE__) && defined(__AMXINT8__)) /* clang before 15 */
#error "amx.c needs -mamx-tile -mamx-int8"
#endif
#if !defined(__AVX512F__) || !defined(__AVX512BW__) || !defined(__AVX512VL__) || \
    !defined(__AVX512DQ__)
#error "amx.c needs -mamx-tile -mamx-int8 and AVX-512 F, BW, VL and DQ"
#endif

#include "lanes_avx512.h"
#include "levels.h"
#include "weights_512.h"

/* Fewer tokens leave the tiles too empty to pay, and the AVX-512 level takes up to eight
 * in one pass over the weights. */
#define LEAST_TOKENS 9u

/* A tile of activations is 16 tokens by 32 columns, a block. */
#define ROWS 16u
#define GROUP_TOKENS 256u
#define GROUP_PANELS 4u
#define USES_STARTS 0
#include "blocked_product.h"

static GUST_INLINE void expand_block(weight_chunk *chunk, size_t b, const uint8_t *tile,
                                     size_t in_tile, int bits) {
  expand_block_512(chunk->codes[b], chunk->scales[b], tile, in_tile, bits, 0);
}

/* --- tiles ------------------------------------------------------------------------- */

/* Of 16 tokens two of each, so that a block need not wait for the one before it: 0, 1
 * dot products; 2, 3 activations; 4, 7 weights, four columns of 16 rows in a tile's row,
 * as panels have them. 5, 6: dot products and activations of fewer tokens. */

/* The compilers' tile intrinsics do not say that they read memory: what they read
 * must have been written before this. */
static inline void before_tiles_read(const void *written) {
  __asm__ volatile("" ::"r"(written) : "memory");
}

static inline void begin_group(size_t tokens) {
  struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
  } config = {
      .palette = 1,
      .row_bytes = {GUST_LINE, GUST_LINE, GUST_BLOCK_K, GUST_BLOCK_K, GUST_LINE, 0, 0, GUST_LINE},
      .rows = {ROWS, ROWS, ROWS, ROWS, GUST_BLOCK_K / 4, 0, 0, GUST_BLOCK_K / 4}};
  uint8_t fewer = (uint8_t)(tokens % ROWS);
  if (fewer) {
    config.row_bytes[5] = GUST_LINE;
    config.row_bytes[6] = GUST_BLOCK_K;
    config.rows[5] = config.rows[6] = fewer;
  }
  before_tiles_read(&config);
  _tile_loadconfig(&config);
}

/* Block `at` of the chunk: dots[t][r], by way of the tiles `sum`, `acts` and `weights`,
 * whose numbers the instructions hold. */
#define MULTIPLY_BLOCK(sum, acts, weights, dots, at)            \
  do {                                                          \
    _tile_loadd(weights, chunk->codes[at], GUST_LINE);          \
    _tile_loadd(acts, x->codes + (at)*GUST_BLOCK_K, x->stride); \
    _tile_zero(sum);                                            \
    _tile_dpbssd(sum, acts, weights);                           \
    _tile_stored(sum, dots, GUST_LINE);                         \
  } while (0)

/* --- sixteen tokens ------------------------------------------------------------------ */

/* The tiles work so many blocks ahead of the vector units, so that dot products have
 * reached the cache when they are read: they are not forwarded to loads. */
#define LEAD 4u
#define RING 8u

/* Scales of 16 tokens side by side, of each block: 16 broadcasts from one address. */
static inline void turn_scales(float (*turned)[TURNED_TOKENS], const float *scales, size_t stride,
                               size_t blocks) {
  for (size_t t = 0; t < TURNED_TOKENS; t += 4)
    for (size_t b = 0; b < blocks; b += 4) {
      const float *from = scales + t * stride + b;
      __m128 r0 = _mm_loadu_ps(from), r1 = _mm_loadu_ps(from + stride);
      __m128 r2 = _mm_loadu_ps(from + 2 * stride), r3 = _mm_loadu_ps(from + 3 * stride);
      _MM_TRANSPOSE4_PS(r0, r1, r2, r3);
      _mm_storeu_ps(turned[b] + t, r0);
      _mm_storeu_ps(turned[b + 1] + t, r1);
      _mm_storeu_ps(turned[b + 2] + t, r2);
      _mm_storeu_ps(turned[b + 3] + t, r3);
    }
}

static inline void begin_chunk(product_group *g, const gust_activations *x, size_t token,
                               size_t tokens, size_t block, size_t blocks, int bits) {
  (void)bits;
  size_t row_blocks = x->k_padded / GUST_BLOCK_K;
  const float *scales = x->scales + token * row_blocks + block;
  for (size_t t = 0; t + TURNED_TOKENS <= tokens; t += TURNED_TOKENS)
    turn_scales(g->turned[t / TURNED_TOKENS], scales + t * row_blocks, row_blocks, blocks);
}

/* A block's dot products * its scales * a token's scale, as the reference rounds it. */
static GUST_INLINE __m512 add_scaled(__m512 sum, const int32_t *dots, __m512 scale,
                                     float act_scale) {
  __m512 scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_load_si512(dots)), scale);
  return _mm512_fmadd_ps(scaled, _mm512_set1_ps(act_scale), sum);
}

static GUST_INLINE void add_block(__m512 *sums, int32_t (*dots)[GUST_PANEL_ROWS],
                                  const weight_chunk *chunk, const token_tile *x, size_t b) {
  __m512 scale = _mm512_loadu_ps(chunk->scales[b]);
  for (size_t t = 0; t < ROWS; t++) sums[t] = add_scaled(sums[t], dots[t], scale, x->turned[b][t]);
}

/* The sums stay in registers: compilers unroll loops of 16 rounds without being told.
 * A chunk has a multiple of four blocks. */
static GUST_INLINE void multiply_sixteen(float (*sums)[GUST_PANEL_ROWS], const weight_chunk *chunk,
                                         const token_tile *x, size_t blocks) {
  _Alignas(64) int32_t dots[RING][ROWS][GUST_PANEL_ROWS];
  __m512 acc[ROWS];
  MULTIPLY_BLOCK(0, 2, 4, dots[0], 0);
  MULTIPLY_BLOCK(1, 3, 7, dots[1], 1);
  MULTIPLY_BLOCK(0, 2, 4, dots[2], 2);
  MULTIPLY_BLOCK(1, 3, 7, dots[3], 3);
  for (size_t t = 0; t < ROWS; t++) acc[t] = _mm512_loadu_ps(sums[t]);
  for (size_t b = 0; b < blocks; b += 2) {
    size_t next = b + LEAD;
    if (next < blocks) MULTIPLY_BLOCK(0, 2, 4, dots[next % RING], next);
    add_block(acc, dots[b % RING], chunk, x, b);
    if (next < blocks) MULTIPLY_BLOCK(1, 3, 7, dots[(next + 1) % RING], next + 1);
    add_block(acc, dots[(b + 1) % RING], chunk, x, b + 1);
  }
  for (size_t t = 0; t < ROWS; t++) _mm512_storeu_ps(sums[t], acc[t]);
}

/* --- fewer tokens ---------------------------------------------------------------------- */

/* The tiles work on a block while the vector units scale the one before it. */
static GUST_INLINE void multiply_fewer(float (*sums)[GUST_PANEL_ROWS], const weight_chunk *chunk,
                                       const token_tile *x, size_t blocks, size_t tokens) {
  _Alignas(64) int32_t dots[2][ROWS][GUST_PANEL_ROWS];
  MULTIPLY_BLOCK(5, 6, 4, dots[0], 0);
  for (size_t b = 0; b < blocks; b++) {
    if (b + 1 < blocks) MULTIPLY_BLOCK(5, 6, 4, dots[(b + 1) % 2], b + 1);
    __m512 scale = _mm512_loadu_ps(chunk->scales[b]);
    for (size_t t = 0; t < tokens; t++)
      _mm512_storeu_ps(sums[t], add_scaled(_mm512_loadu_ps(sums[t]), dots[b % 2][t], scale,
                                           x->scales[t * x->scale_stride + b]));
  }
}

static inline size_t tile_tokens(size_t left) {
  return left < ROWS ? left : ROWS;
}

static GUST_INLINE void multiply_tile(float (*sums)[GUST_PANEL_ROWS], const weight_chunk *chunk,
                                      const token_tile *x, size_t blocks, int bits, size_t tokens) {
  (void)bits; /* expanded, both are signed bytes */
  before_tiles_read(chunk);
  if (tokens == ROWS)
    multiply_sixteen(sums, chunk, x, blocks);
  else
    multiply_fewer(sums, chunk, x, blocks, tokens);
}

/* --- the products ------------------------------------------------------------------- */

static void matmul_q4_amx(float *dst, size_t dst_stride, const uint8_t *panels,
                          const uint8_t *row_codes, size_t panel_count, const gust_activations *x,
                          size_t tokens) {
  if (tokens < LEAST_TOKENS) {
    gust_matmul_q4_avx512(dst, dst_stride, panels, row_codes, panel_count, x, tokens);
    return;
  }
  multiply_many(dst, dst_stride, 4, panels, row_codes, panel_count, x, tokens);
  _tile_release();
}

static void matmul_q8_amx(float *dst, size_t dst_stride, const uint8_t *panels,
                          const uint8_t *row_codes, size_t panel_count, const gust_activations *x,
                          size_t tokens) {
  if (tokens < LEAST_TOKENS) {
    gust_matmul_q8_avx512(dst, dst_stride, panels, row_codes, panel_count, x, tokens);
    return;
  }
  multiply_many(dst, dst_stride, 8, panels, row_codes, panel_count, x, tokens);
  _tile_release();
}

void gust_kernels_fill_amx(gust_kernels *kernels) {
  kernels->level = "amx";
  kernels->matmul_q4 = matmul_q4_amx;
  kernels->matmul_q8 = matmul_q8_amx;
}

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

/* One tile of activations is 16 tokens by 32 columns, a block. */
#define ROWS 16u
#define TILE_TOKENS (2 * ROWS)
#define GROUP_TOKENS 256u
#define GROUP_PANELS 4u
#define USES_STARTS 0
#define Q4_BIAS 0
#define Q8_BIAS 0
#include "blocked_product.h"

static GUST_INLINE void expand_block(weight_chunk *chunk, size_t b, const uint8_t *tile,
                                     size_t in_tile, int bits) {
  expand_block_512(chunk->codes[b], chunk->scales[b], tile, in_tile, bits, 0);
}

/* --- tiles ------------------------------------------------------------------------- */

/* The compilers' tile intrinsics do not say that they read memory: what they read
 * must have been written before this. */
static inline void before_tiles_read(const void *written) {
  __asm__ volatile("" ::"r"(written) : "memory");
}

/* Tiles 0, 1: dot products; 2, 3: activations, of the first 16 and the other
 * tokens; 4: weights, four columns of 16 rows in a tile's row, as panels have them. */
static void configure_tiles(size_t tokens) {
  struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
  } config = {.palette = 1};
  uint8_t first = (uint8_t)(tokens < ROWS ? tokens : ROWS);
  uint8_t second = (uint8_t)(tokens > ROWS ? tokens - ROWS : 1);
  const struct {
    uint16_t row_bytes;
    uint8_t rows;
  } tiles[] = {{GUST_LINE, first},
               {GUST_LINE, second},
               {GUST_BLOCK_K, first},
               {GUST_BLOCK_K, second},
               {GUST_LINE, GUST_BLOCK_K / 4}};
  for (size_t i = 0; i < sizeof tiles / sizeof *tiles; i++) {
    config.row_bytes[i] = tiles[i].row_bytes;
    config.rows[i] = tiles[i].rows;
  }
  before_tiles_read(&config);
  _tile_loadconfig(&config);
}

/* dots[t][r] of block b. */
static inline void multiply_block(int32_t (*dots)[GUST_PANEL_ROWS], const weight_chunk *chunk,
                                  const token_tile *x, size_t b, size_t tokens) {
  const int8_t *codes = x->codes + b * GUST_BLOCK_K;
  _tile_loadd(4, chunk->codes[b], GUST_LINE);
  _tile_zero(0);
  _tile_loadd(2, codes, x->stride);
  _tile_dpbssd(0, 2, 4);
  _tile_stored(0, dots, GUST_LINE);
  if (tokens <= ROWS) return;
  _tile_zero(1);
  _tile_loadd(3, codes + ROWS * x->stride, x->stride);
  _tile_dpbssd(1, 3, 4);
  _tile_stored(1, dots[ROWS], GUST_LINE);
}

/* sums += block b's dot products * its scales * the activations' scales, as the
 * reference rounds it. */
static inline void add_block(float (*sums)[GUST_PANEL_ROWS], int32_t (*dots)[GUST_PANEL_ROWS],
                             const weight_chunk *chunk, const token_tile *x, size_t b,
                             size_t tokens) {
  __m512 scale = _mm512_loadu_ps(chunk->scales[b]);
  for (size_t t = 0; t < tokens; t++) {
    __m512 scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_load_si512(dots[t])), scale);
    __m512 act_scale = _mm512_set1_ps(x->scales[t * x->scale_stride + b]);
    _mm512_storeu_ps(sums[t], _mm512_fmadd_ps(scaled, act_scale, _mm512_loadu_ps(sums[t])));
  }
}

static inline size_t tile_tokens(size_t left) {
  return left < TILE_TOKENS ? left : TILE_TOKENS;
}

/* The tiles work on a block while the vector units scale the one before it. */
static GUST_INLINE void multiply_tile(float (*sums)[GUST_PANEL_ROWS], const weight_chunk *chunk,
                                      const token_tile *x, size_t blocks, int bits, size_t tokens) {
  (void)bits; /* expanded, both are signed bytes */
  _Alignas(64) int32_t dots[2][TILE_TOKENS][GUST_PANEL_ROWS];
  configure_tiles(tokens);
  before_tiles_read(chunk);
  multiply_block(dots[0], chunk, x, 0, tokens);
  for (size_t b = 0; b < blocks; b++) {
    if (b + 1 < blocks) multiply_block(dots[(b + 1) % 2], chunk, x, b + 1, tokens);
    add_block(sums, dots[b % 2], chunk, x, b, tokens);
  }
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

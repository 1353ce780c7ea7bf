/* Products of a quantized matrix with many tokens (prefill), cut into blocks;
 * the x86 levels share this text.
 *
 * Columns are cut into chunks, tokens into groups. The weights of one panel and
 * chunk are expanded once into bytes (first-level cache), then multiplied with
 * the chunk of all tokens of the group (second-level cache), a register tile of
 * some tokens by 16 rows at a time. Sums wait in memory between chunks, which
 * rounds nothing: every row and token still adds its blocks in order.
 *
 * Before including this a level defines
 *   GROUP_TOKENS        tokens of a group
 *   GROUP_PANELS        panels a chunk of activations is used for while it is near
 *   Q4_BIAS, Q8_BIAS    what its dot products are too large by, in units of the
 *                       sum of the activations: weights it makes unsigned
 *   USES_STARTS         1: its dot products begin at token_tile's starts; 0: at 0, and
 *                       what it does before a group and a chunk it defines itself
 * and after it the functions declared below. */
#ifndef GUST_BLOCKED_PRODUCT_H
#define GUST_BLOCKED_PRODUCT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels.h"

/* By measurement (docs/BENCHMARKS.md): 10 KiB of expanded weights, and for 128
 * tokens 64 KiB of activations and 8 KiB of sums for each panel. */
#define CHUNK_BLOCKS 16u

/* Adding an integer below 2^22 to these bits makes the float 1.5 * 2^23 + integer:
 * a sum that starts here is converted by looking at it as a float, and taking
 * the 1.5 * 2^23 away again is part of the fma that scales it:
 *   fma(float, scale, -1.5 * 2^23 * scale)
 * has the exact integer times scale for its only unrounded value, so it rounds
 * as float(integer) * scale does. |integer| <= 32 * 128 * 127 < 2^22, and the
 * offset needs 10 bits of mantissa. A zero may come out with the other sign, which
 * the sum it is added to, never a negative zero, does not show. */
#define START_BITS 0x4b400000
#define START_VALUE 12582912.0f

/* A panel's weights of one chunk. codes[b][j]: four columns from 4 j of block b,
 * as in a q8 panel, plus the bias. */
typedef struct weight_chunk {
  _Alignas(64) uint8_t codes[CHUNK_BLOCKS][8 * GUST_LINE];
  float scales[CHUNK_BLOCKS][GUST_PANEL_ROWS];
  float offsets[CHUNK_BLOCKS][GUST_PANEL_ROWS]; /* -START_VALUE * scale */
} weight_chunk;

/* So many tokens' scales of one block lie side by side where they are turned. */
#define TURNED_TOKENS 16u

/* Some tokens' activations of one chunk. */
typedef struct token_tile {
  const int8_t *codes;
  const float *scales; /* one per block */
  size_t stride, scale_stride;
  /* What the level uses of these two. */
  const int32_t *starts; /* [tokens][CHUNK_BLOCKS]: START_BITS - bias * sum of codes */
  const float (*turned)[TURNED_TOKENS]; /* [CHUNK_BLOCKS], from a multiple of so many tokens on */
} token_tile;

/* Expands block `b` of the chunk from `tile` (its tile of the panel) and block
 * `in_tile` there. `bits` is 4 or 8. */
static GUST_INLINE void expand_block(weight_chunk *chunk, size_t b, const uint8_t *tile,
                                     size_t in_tile, int bits);

/* How many of `left` tokens the next register tile takes. */
static inline size_t tile_tokens(size_t left);

/* sums[t][r] += the chunk's products, for as many tokens as tile_tokens said. */
static GUST_INLINE void multiply_tile(float (*sums)[GUST_PANEL_ROWS], const weight_chunk *chunk,
                                      const token_tile *x, size_t blocks, int bits, size_t tokens);

/* A chunk's worth of one panel. */
static GUST_INLINE void expand_chunk(weight_chunk *chunk, const uint8_t *tiles, size_t blocks,
                                     int bits) {
  size_t tile_bytes = bits == 4 ? GUST_Q4_TILE_BYTES : GUST_Q8_TILE_BYTES;
  for (size_t b = 0; b < blocks; b++)
    expand_block(chunk, b, tiles + b / GUST_TILE_BLOCKS * tile_bytes, b % GUST_TILE_BLOCKS, bits);
}

typedef struct product_group {
  float sums[GROUP_PANELS][GROUP_TOKENS][GUST_PANEL_ROWS];
  union {
    int32_t starts[GROUP_TOKENS][CHUNK_BLOCKS];
    float turned[GROUP_TOKENS / TURNED_TOKENS][CHUNK_BLOCKS][TURNED_TOKENS];
  };
  weight_chunk weights;
} product_group;

/* Before the first chunk of a group of `tokens`. */
static inline void begin_group(size_t tokens);
/* Before a chunk of the group: fills its starts or its turned scales, of tokens
 * [token, token + tokens) of x. */
static inline void begin_chunk(product_group *g, const gust_activations *x, size_t token,
                               size_t tokens, size_t block, size_t blocks, int bits);

#if USES_STARTS
static inline void begin_group(size_t tokens) {
  (void)tokens;
}
static inline void begin_chunk(product_group *g, const gust_activations *x, size_t token,
                               size_t tokens, size_t block, size_t blocks, int bits) {
  const int32_t bias = bits == 4 ? Q4_BIAS : Q8_BIAS;
  const int32_t *sums = x->sums + token * (x->k_padded / GUST_BLOCK_K) + block;
  for (size_t t = 0; t < tokens; t++, sums += x->k_padded / GUST_BLOCK_K)
    for (size_t b = 0; b < blocks; b++) g->starts[t][b] = START_BITS - bias * sums[b];
}
#endif

/* One panel and chunk times all tokens of the group. Meanwhile what is expanded
 * next, `next_bytes` at `next`, comes from memory: some lines with each tile, as
 * all at once would hold up the loads. */
static GUST_INLINE void multiply_chunk(float (*sums)[GUST_PANEL_ROWS], const product_group *g,
                                       const gust_activations *x, size_t token, size_t tokens,
                                       size_t block, size_t blocks, const uint8_t *next,
                                       size_t next_bytes, int bits) {
  size_t row_blocks = x->k_padded / GUST_BLOCK_K, ahead = 0;
  for (size_t t = 0, count; t < tokens; t += count) {
    count = tile_tokens(tokens - t);
    /* NOLINTNEXTLINE(clang-analyzer-core.DivideZero): t < tokens */
    for (; ahead < next_bytes * (t + count) / tokens; ahead += GUST_LINE)
      _mm_prefetch((const char *)next + ahead, _MM_HINT_T0);
    token_tile tile = {.codes = x->codes + (token + t) * x->stride + block * GUST_BLOCK_K,
                       .scales = x->scales + (token + t) * row_blocks + block,
                       .stride = x->stride,
                       .scale_stride = row_blocks,
                       .starts = g->starts[t],
                       .turned = g->turned[t / TURNED_TOKENS]};
    multiply_tile(sums + t, &g->weights, &tile, blocks, bits, count);
  }
}

static void store_group(float *dst, size_t dst_stride, const product_group *g,
                        const uint8_t *row_codes, size_t panels, size_t tokens) {
  for (size_t p = 0; p < panels; p++) {
    vf scale = load_row_scales(row_codes + p * GUST_PANEL_ROWS);
    for (size_t t = 0; t < tokens; t++)
      v_store(dst + t * dst_stride + p * GUST_PANEL_ROWS, v_mul(v_load(g->sums[p][t]), scale));
  }
}

/* At most GROUP_PANELS panels times at most GROUP_TOKENS tokens. */
static GUST_INLINE void multiply_group(float *dst, size_t dst_stride, int bits,
                                       const uint8_t *panels, const uint8_t *row_codes,
                                       size_t panel_count, const gust_activations *x, size_t token,
                                       size_t tokens) {
  product_group g;
  size_t row_blocks = x->k_padded / GUST_BLOCK_K;
  size_t tile_bytes = bits == 4 ? GUST_Q4_TILE_BYTES : GUST_Q8_TILE_BYTES;
  size_t panel_bytes = row_blocks / GUST_TILE_BLOCKS * tile_bytes;
  begin_group(tokens);
  for (size_t p = 0; p < panel_count; p++) memset(g.sums[p], 0, tokens * sizeof g.sums[p][0]);
  for (size_t block = 0; block < row_blocks; block += CHUNK_BLOCKS) {
    size_t blocks = row_blocks - block < CHUNK_BLOCKS ? row_blocks - block : CHUNK_BLOCKS;
    const uint8_t *tiles = panels + block / GUST_TILE_BLOCKS * tile_bytes;
    size_t chunk_bytes = blocks / GUST_TILE_BLOCKS * tile_bytes;
    begin_chunk(&g, x, token, tokens, block, blocks, bits);
    for (size_t p = 0; p < panel_count; p++) {
      bool last = p + 1 == panel_count, end = last && block + blocks == row_blocks;
      const uint8_t *next = last ? tiles + chunk_bytes : tiles + (p + 1) * panel_bytes;
      expand_chunk(&g.weights, tiles + p * panel_bytes, blocks, bits);
      multiply_chunk(g.sums[p], &g, x, token, tokens, block, blocks, next, end ? 0 : chunk_bytes,
                     bits);
    }
  }
  store_group(dst, dst_stride, &g, row_codes, panel_count, tokens);
}

static GUST_INLINE void multiply_many(float *dst, size_t dst_stride, int bits,
                                      const uint8_t *panels, const uint8_t *row_codes,
                                      size_t panel_count, const gust_activations *x,
                                      size_t tokens) {
  size_t bytes = bits == 4 ? gust_q4_panel_bytes(x->k_padded) : gust_q8_panel_bytes(x->k_padded);
  size_t groups = (tokens + GROUP_TOKENS - 1) / GROUP_TOKENS;
  for (size_t i = 0, t = 0; i < groups; i++) {
    size_t count = (tokens - t) / (groups - i);
    for (size_t p = 0; p < panel_count; p += GROUP_PANELS)
      multiply_group(dst + t * dst_stride + p * GUST_PANEL_ROWS, dst_stride, bits,
                     panels + p * bytes, row_codes + p * GUST_PANEL_ROWS,
                     panel_count - p < GROUP_PANELS ? panel_count - p : GROUP_PANELS, x, t, count);
    t += count;
  }
}

#endif

/* The product of a quantized matrix with one token (decoding) or a few, which is bound
 * by reading the weights; the x86 levels share this text.
 *
 * Before including this a level defines
 *   TILE_OF_FEW   tokens that share a pass over the weights: 4 or 8
 *   MOST_FEW      up to how many tokens this is faster than a blocked product
 * and after it add_block. */
#ifndef GUST_FEW_TOKENS_PRODUCT_H
#define GUST_FEW_TOKENS_PRODUCT_H

#include <stddef.h>
#include <stdint.h>

#include "kernels.h"
#include "unroll.h"

/* Panels a thread walks at once, since several streams keep more cache lines under
 * way; up to how many tokens it does; and how far ahead of its lines it prefetches
 * (docs/BENCHMARKS.md). */
#define DECODE_PANELS 4
#define DECODE_TOKENS 4
#define PREFETCH_AHEAD 2176
/* Up to this many tokens have registers for all panels' sums. gcc leaves the loop over
 * the panels as it is and the sums in memory, unless told; for more tokens that is faster. */
#define UNROLLED_TOKENS 2

/* A macro: gcc 12 takes a function that only prefetches for one without effect and
 * drops calls of it. */
#define PREFETCH_LINE(p) _mm_prefetch((const char *)(p) + PREFETCH_AHEAD, _MM_HINT_T0)

/* acc[t] += what block b of a panel's rows adds for each of `tokens` (a constant)
 * tokens, rounded as the reference rounds it; `tile` is the block's tile. Reads
 * the weights once, and prefetches the lines that lie ahead of those it reads. */
static GUST_INLINE void add_block(vf *acc, int bits, const uint8_t *tile, size_t b,
                                  const gust_activations *x, int tokens);

/* `panels` and `tokens` (constants): block by block of each panel in turn. */
static GUST_INLINE void multiply_panels(float *dst, size_t dst_stride, int bits,
                                        const uint8_t *panel, const uint8_t *row_codes,
                                        const gust_activations *x, int panels, int tokens) {
  size_t blocks = x->k_padded / GUST_BLOCK_K;
  size_t tile_bytes = bits == 4 ? GUST_Q4_TILE_BYTES : GUST_Q8_TILE_BYTES;
  size_t panel_bytes = blocks / GUST_TILE_BLOCKS * tile_bytes;
  vf acc[DECODE_PANELS][TILE_OF_FEW];
  for (int p = 0; p < panels; p++)
    for (int t = 0; t < tokens; t++) acc[p][t] = v_set1(0);
  for (size_t b = 0; b < blocks; b++) {
    const uint8_t *tile = panel + b / GUST_TILE_BLOCKS * tile_bytes;
    if (tokens <= UNROLLED_TOKENS) {
      GUST_UNROLL
      for (int p = 0; p < panels; p++)
        add_block(acc[p], bits, tile + (size_t)p * panel_bytes, b, x, tokens);
    } else {
      for (int p = 0; p < panels; p++)
        add_block(acc[p], bits, tile + (size_t)p * panel_bytes, b, x, tokens);
    }
  }
  for (int p = 0; p < panels; p++) {
    vf scale = load_row_scales(row_codes + (size_t)p * GUST_PANEL_ROWS);
    for (int t = 0; t < tokens; t++)
      v_store(dst + (size_t)t * dst_stride + (size_t)p * GUST_PANEL_ROWS, v_mul(acc[p][t], scale));
  }
}

static GUST_INLINE void multiply_tokens_of_panels(float *dst, size_t dst_stride, int bits,
                                                  const uint8_t *panels, const uint8_t *row_codes,
                                                  size_t panel_count, const gust_activations *x,
                                                  int tokens) {
  size_t bytes = bits == 4 ? gust_q4_panel_bytes(x->k_padded) : gust_q8_panel_bytes(x->k_padded);
  size_t p = 0;
  if (tokens <= DECODE_TOKENS)
    for (; p + DECODE_PANELS <= panel_count; p += DECODE_PANELS)
      multiply_panels(dst + p * GUST_PANEL_ROWS, dst_stride, bits, panels + p * bytes,
                      row_codes + p * GUST_PANEL_ROWS, x, DECODE_PANELS, tokens);
  for (; p < panel_count; p++)
    multiply_panels(dst + p * GUST_PANEL_ROWS, dst_stride, bits, panels + p * bytes,
                    row_codes + p * GUST_PANEL_ROWS, x, 1, tokens);
}

/* `tokens` from `token` on, at most TILE_OF_FEW, with some panels. */
static GUST_INLINE void multiply_tile_of_few(float *dst, size_t dst_stride, int bits,
                                             const uint8_t *panels, const uint8_t *row_codes,
                                             size_t panel_count, const gust_activations *x,
                                             size_t token, size_t tokens) {
  size_t row_blocks = x->k_padded / GUST_BLOCK_K;
  const gust_activations part = {.codes = x->codes + token * x->stride,
                                 .scales = x->scales + token * row_blocks,
                                 .sums = x->sums + token * row_blocks,
                                 .k_padded = x->k_padded,
                                 .stride = x->stride};
  float *to = dst + token * dst_stride;
#define TOKENS(n)                                                                              \
  case n:                                                                                      \
    multiply_tokens_of_panels(to, dst_stride, bits, panels, row_codes, panel_count, &part, n); \
    break;
  switch (tokens) {
    TOKENS(1)
    TOKENS(2)
    TOKENS(3)
    TOKENS(4)
#if TILE_OF_FEW == 8
    TOKENS(5)
    TOKENS(6)
    TOKENS(7)
    TOKENS(8)
#endif
  }
#undef TOKENS
}

/* Up to MOST_FEW tokens, in tiles of nearly the same size. What one tile has read of a
 * panel is near for the next. */
static GUST_INLINE void multiply_few(float *dst, size_t dst_stride, int bits, const uint8_t *panels,
                                     const uint8_t *row_codes, size_t panel_count,
                                     const gust_activations *x, size_t tokens) {
  size_t bytes = bits == 4 ? gust_q4_panel_bytes(x->k_padded) : gust_q8_panel_bytes(x->k_padded);
  size_t tiles = (tokens + TILE_OF_FEW - 1) / TILE_OF_FEW, at_once = tiles > 1 ? 1 : panel_count;
  for (size_t p = 0; p < panel_count; p += at_once) {
    for (size_t i = 0, t = 0, count; i < tiles; i++, t += count) {
      count = (tokens - t) / (tiles - i);
      multiply_tile_of_few(dst + p * GUST_PANEL_ROWS, dst_stride, bits, panels + p * bytes,
                           row_codes + p * GUST_PANEL_ROWS, at_once, x, t, count);
    }
  }
}

#endif

/* The product of a quantized matrix with one token (decoding), which is bound by
 * reading the weights; the x86 levels share this text.
 *
 * After including this a level defines add_block. */
#ifndef GUST_LONE_TOKEN_PRODUCT_H
#define GUST_LONE_TOKEN_PRODUCT_H

#include <stddef.h>
#include <stdint.h>

#include "kernels.h"

/* Panels a thread walks at once, since several streams keep more cache lines under
 * way, and how far ahead of its lines it prefetches (docs/BENCHMARKS.md). */
#define DECODE_PANELS 4
#define PREFETCH_AHEAD 2176

/* A macro: gcc 12 takes a function that only prefetches for one without effect and
 * drops calls of it. */
#define PREFETCH_LINE(p) _mm_prefetch((const char *)(p) + PREFETCH_AHEAD, _MM_HINT_T0)

/* acc + what block b of a panel's rows adds to it, rounded as the reference rounds it;
 * `tile` is the block's tile. Prefetches the lines that lie ahead of those it reads. */
static GUST_INLINE vf add_block(vf acc, int bits, const uint8_t *tile, size_t b,
                                const gust_activations *x);

/* `panels` (a constant) panels, block by block in turn. */
static GUST_INLINE void multiply_panels(float *dst, int bits, const uint8_t *panel,
                                        const uint8_t *row_codes, const gust_activations *x,
                                        int panels) {
  size_t blocks = x->k_padded / GUST_BLOCK_K;
  size_t tile_bytes = bits == 4 ? GUST_Q4_TILE_BYTES : GUST_Q8_TILE_BYTES;
  size_t panel_bytes = blocks / GUST_TILE_BLOCKS * tile_bytes;
  vf acc[DECODE_PANELS];
  for (int p = 0; p < panels; p++) acc[p] = v_set1(0);
  for (size_t b = 0; b < blocks; b++)
    for (int p = 0; p < panels; p++)
      acc[p] = add_block(acc[p], bits,
                         panel + (size_t)p * panel_bytes + b / GUST_TILE_BLOCKS * tile_bytes, b, x);
  for (int p = 0; p < panels; p++)
    v_store(dst + (size_t)p * GUST_PANEL_ROWS,
            v_mul(acc[p], load_row_scales(row_codes + (size_t)p * GUST_PANEL_ROWS)));
}

static GUST_INLINE void multiply_one(float *dst, int bits, const uint8_t *panels,
                                     const uint8_t *row_codes, size_t panel_count,
                                     const gust_activations *x) {
  size_t bytes = bits == 4 ? gust_q4_panel_bytes(x->k_padded) : gust_q8_panel_bytes(x->k_padded);
  size_t p = 0;
  for (; p + DECODE_PANELS <= panel_count; p += DECODE_PANELS)
    multiply_panels(dst + p * GUST_PANEL_ROWS, bits, panels + p * bytes,
                    row_codes + p * GUST_PANEL_ROWS, x, DECODE_PANELS);
  for (; p < panel_count; p++)
    multiply_panels(dst + p * GUST_PANEL_ROWS, bits, panels + p * bytes,
                    row_codes + p * GUST_PANEL_ROWS, x, 1);
}

#endif

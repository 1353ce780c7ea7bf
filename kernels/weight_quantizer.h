/* Quantizing weights: the loops a conversion's time goes into, one table per
 * quantized type. They work on sixteen rows at a time, one per lane, in the
 * order of an f32 panel: `values` holds value (r, k) at 16 k + r. So a column is
 * sixteen numbers in a row, and an algorithm that rounds column by column and
 * passes the errors on needs no other layout.
 *
 * Like all kernels these have the same bits on every level (docs/NUMERICS.md),
 * never fail and never allocate. Arrays need only their natural alignment.
 * Values are finite. */
#ifndef GUST_WEIGHT_QUANTIZER_H
#define GUST_WEIGHT_QUANTIZER_H

#include <stddef.h>
#include <stdint.h>

#include "panel.h"

typedef struct gust_weight_quantizer {
  /* The row codes for `columns` columns: the least power of two on whose grid
   * the block of each row's largest magnitude can be expressed. 0 for a row of
   * zeros. */
  void (*row_codes)(uint8_t *row_codes, const float *values, size_t columns);

  /* The scale bytes of one block of 32 columns: those with the least sum of
   * importance[k] (w - w')^2 that a search over candidates with refinement by
   * least squares finds, w' being the nearest a scale can express. importance:
   * 32 numbers in [0, 2^40], one of them above 2^-40; NULL: all one. */
  void (*block_scales)(uint8_t *scales, const float *values, const float *importance,
                       const uint8_t *row_codes);

  /* Rounds `columns` columns of one block to the nearest its scales can
   * express: codes[16 i + r], as they stand in the panel (q4: 0 to 15; q8: two's
   * complement), and, unless NULL, what they stand for, rounded[16 i + r].
   * `rounded` may be `values`. */
  void (*round)(uint8_t *codes, float *rounded, const float *values, size_t columns,
                const uint8_t *scales, const uint8_t *row_codes);
} gust_weight_quantizer;

/* The least row code whose scale is at least `scale`, which is finite and not
 * negative: 0 for 0 alone, 254 at most. */
static inline uint8_t gust_row_code_for(float scale) {
  uint32_t bits;
  memcpy(&bits, &scale, sizeof bits);
  /* The exponent of the float, one more where there is a fraction. */
  uint32_t code = (bits + (1u << GUST_ROW_SCALE_SHIFT) - 1) >> GUST_ROW_SCALE_SHIFT;
  return (uint8_t)(code < 254 ? code : 254);
}

#endif

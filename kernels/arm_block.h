/* What the Arm levels' products are made of: a block of 32 columns, sixteen rows
 * and some tokens. A level's file includes this, defines its own arithmetic (see
 * arm_products.h) and then includes that.
 *
 * ARM_PAIRS, defined before: 1 when the level multiplies pairs of rows by pairs
 * of tokens (smmla), 0 when it multiplies rows by one token. It decides how
 * codes, scales and sums lie below. */
#ifndef GUST_ARM_BLOCK_H
#define GUST_ARM_BLOCK_H

#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels.h"
#include "unroll.h"

/* Most tokens that share one expansion of a panel's codes, and most panels that
 * share one arrangement of the tokens' codes. */
#define ARM_GROUP_TOKENS 64u
#define ARM_GROUP_PANELS 4u

/* Eight lines of 64 bytes: a block of a panel, one byte a code. Of line j the
 * bytes 16 q .. 16 q + 15 are
 *   rows: rows 4 q .. 4 q + 3, of each the columns 4 j .. 4 j + 3 (the order of
 *     a q8 panel);
 *   pairs: rows 4 q + 2 (j % 2) and the next, of each the columns 8 (j / 2) ..
 *     8 (j / 2) + 7. */
#define ARM_BLOCK_BYTES (8 * GUST_LINE)

/* How often each scale stands in a row of scales: pairs multiply two rows by two
 * tokens, so that a register of sums is (t, r) (t, r + 1) (t + 1, r)
 * (t + 1, r + 1). Rows' scales are then r, r + 1, r, r + 1, tokens' t, t, t + 1,
 * t + 1. */
#define ARM_COPIES (ARM_PAIRS ? 2 : 1)

/* The part of a panel that lies in a tile of 128 columns. */
typedef struct arm_weights {
  const int8_t *lines; /* block b's eight at lines + b * ARM_BLOCK_BYTES */
  float scales[GUST_TILE_BLOCKS][GUST_PANEL_ROWS * ARM_COPIES];
  float offsets[GUST_TILE_BLOCKS][GUST_PANEL_ROWS * ARM_COPIES]; /* see ARM_SUM_START */
} arm_weights;

/* The part of some tokens' activations that lies in it. */
typedef struct arm_tokens {
  const int8_t *codes; /* token t's 128 at codes + t * stride; pairs: see arrange_pair */
  size_t stride;
  float scales[GUST_TILE_BLOCKS][ARM_GROUP_TOKENS * ARM_COPIES];
} arm_tokens;

/* Integer sums start at the bits of 1.5 * 2^23 as a float. A block's dot product
 * d is below 32 * 128 * 127 < 2^22 in magnitude, so adding it to the bits makes
 * them those of 1.5 * 2^23 + d, without a conversion. And with offset =
 * -1.5 * 2^23 * scale, which is exact for a scale byte,
 *   fma(1.5 * 2^23 + d, scale, offset)
 * rounds the exact d * scale once, as the reference does; only a zero may have
 * the other sign, which is lost when it is added to a sum that began as +0. */
#define ARM_SUM_START 0x4b400000
#define ARM_SUM_FLOAT 12582912.0f

/* The dot products whose sums `dots` holds, times the scale. */
static GUST_INLINE float32x4_t scale_dots(int32x4_t dots, float32x4_t scale, float32x4_t offset) {
  return vfmaq_f32(offset, vreinterpretq_f32_s32(dots), scale);
}

#endif

/* One token's block with four rows by sdot: sixteen multiply-adds an instruction. */
#ifndef GUST_ARM_SDOT_H
#define GUST_ARM_SDOT_H

#include <arm_neon.h>

#include "kernels.h"
#include "unroll.h"

typedef struct lone_block {
  int8x16_t codes[2];
} lone_block;

static GUST_INLINE lone_block load_lone(const int8_t *codes) {
  return (lone_block){{vld1q_s8(codes), vld1q_s8(codes + 16)}};
}

/* sums + rows . columns 4 j .. 4 j + 3 of the token; j is constant wherever this
 * is inlined. */
static GUST_INLINE int32x4_t add_quad(int32x4_t sums, int8x16_t rows, lone_block a, int j) {
  switch (j % 4) {
    case 0: return vdotq_laneq_s32(sums, rows, a.codes[j / 4], 0);
    case 1: return vdotq_laneq_s32(sums, rows, a.codes[j / 4], 1);
    case 2: return vdotq_laneq_s32(sums, rows, a.codes[j / 4], 2);
    default: return vdotq_laneq_s32(sums, rows, a.codes[j / 4], 3);
  }
}

/* sums + w . a; w[j]: columns 4 j .. 4 j + 3 of four rows. */
static GUST_INLINE int32x4_t dot_rows(int32x4_t sums, const int8x16_t w[8], lone_block a,
                                      int bits) {
  (void)bits;
  GUST_UNROLL
  for (int j = 0; j < 8; j++) sums = add_quad(sums, w[j], a, j);
  return sums;
}

#endif

/* One token's block with four rows by sdot: sixteen multiply-adds an instruction. */
#ifndef GUST_ARM_SDOT_H
#define GUST_ARM_SDOT_H

#include <arm_neon.h>

#include "force_inline.h"

typedef struct lone_block {
  int8x16_t codes[2];
} lone_block;

static GUST_INLINE lone_block load_lone(const int8_t *codes) {
  return (lone_block){{vld1q_s8(codes), vld1q_s8(codes + 16)}};
}

/* sums + w . a; w[j]: columns 4 j .. 4 j + 3 of four rows. */
static GUST_INLINE int32x4_t dot_rows(int32x4_t sums, const int8x16_t w[8], lone_block a,
                                      int bits) {
  (void)bits;
  sums = vdotq_laneq_s32(sums, w[0], a.codes[0], 0);
  sums = vdotq_laneq_s32(sums, w[1], a.codes[0], 1);
  sums = vdotq_laneq_s32(sums, w[2], a.codes[0], 2);
  sums = vdotq_laneq_s32(sums, w[3], a.codes[0], 3);
  sums = vdotq_laneq_s32(sums, w[4], a.codes[1], 0);
  sums = vdotq_laneq_s32(sums, w[5], a.codes[1], 1);
  sums = vdotq_laneq_s32(sums, w[6], a.codes[1], 2);
  return vdotq_laneq_s32(sums, w[7], a.codes[1], 3);
}

#endif

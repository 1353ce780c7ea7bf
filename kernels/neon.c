/* AArch64's own SIMD, which every such processor has. */
#if !defined(__aarch64__) || !defined(__ARM_NEON)
#error "neon.c needs an AArch64 compiler with SIMD"
#endif

#define ARM_PAIRS 0
#define ARM_TILE_TOKENS 2
#define ARM_DECODE_PANELS 2

#include "lanes_neon.h"
/* Before kernels.h, which these include. */
#include "calibration_kernels.h"
#include "float_kernels.h"
#include "weight_kernels.h"
/* After ARM_PAIRS. */
#include "arm_block.h"
#include "levels.h"

/* Each quad of a token's columns, four times over. */
typedef struct lone_block {
  int8x16_t quads[8];
} lone_block;

static GUST_INLINE lone_block load_lone(const int8_t *codes) {
  lone_block a;
  GUST_UNROLL
  for (int j = 0; j < 8; j++) {
    int32_t quad;
    memcpy(&quad, codes + 4 * j, sizeof quad);
    a.quads[j] = vreinterpretq_s8_s32(vdupq_n_s32(quad));
  }
  return a;
}

/* Products of `terms` quads from j with two of four rows, added up in 16 bits: of
 * q4, whose levels are within [-64, 59], four, 4 * 64 * 127 = 32512; of q8, whose
 * codes may be -128, two, 2 * 128 * 127 = 32512; both below 2^15. */
static GUST_INLINE int16x8_t low_products(const int8x16_t w[8], lone_block a, int j, int terms) {
  int16x8_t sums = vmull_s8(vget_low_s8(w[j]), vget_low_s8(a.quads[j]));
  GUST_UNROLL
  for (int i = 1; i < terms; i++)
    sums = vmlal_s8(sums, vget_low_s8(w[j + i]), vget_low_s8(a.quads[j + i]));
  return sums;
}
static GUST_INLINE int16x8_t high_products(const int8x16_t w[8], lone_block a, int j, int terms) {
  int16x8_t sums = vmull_high_s8(w[j], a.quads[j]);
  GUST_UNROLL
  for (int i = 1; i < terms; i++) sums = vmlal_high_s8(sums, w[j + i], a.quads[j + i]);
  return sums;
}

/* sums + w . a; w[j]: columns 4 j .. 4 j + 3 of four rows. Widening adds
 * neighbours up: a register holds two parts of two rows' products, so that one
 * more pairwise addition ends the block. */
static GUST_INLINE int32x4_t dot_rows(int32x4_t sums, const int8x16_t w[8], lone_block a,
                                      int bits) {
  const int terms = bits == 4 ? 4 : 2;
  int32x4_t low = vpaddlq_s16(low_products(w, a, 0, terms));
  int32x4_t high = vpaddlq_s16(high_products(w, a, 0, terms));
  GUST_UNROLL
  for (int j = terms; j < 8; j += terms) {
    low = vpadalq_s16(low, low_products(w, a, j, terms));
    high = vpadalq_s16(high, high_products(w, a, j, terms));
  }
  return vaddq_s32(sums, vpaddq_s32(low, high));
}

static GUST_INLINE void multiply_tile(float *sums, const arm_weights *w, const arm_tokens *x,
                                      size_t b, size_t t, int tokens, int bits) {
  lone_block a[ARM_TILE_TOKENS];
  for (int i = 0; i < tokens; i++)
    a[i] = load_lone(x->codes + (t + (size_t)i) * x->stride + b * GUST_BLOCK_K);
  for (size_t q = 0; q < 4; q++) {
    int8x16_t rows[8];
    for (size_t j = 0; j < 8; j++)
      rows[j] = vld1q_s8(w->lines + b * ARM_BLOCK_BYTES + j * GUST_LINE + 16 * q);
    float32x4_t scale = vld1q_f32(w->scales[b] + 4 * q), offset = vld1q_f32(w->offsets[b] + 4 * q);
    for (int i = 0; i < tokens; i++) {
      float *sum = sums + (size_t)i * GUST_PANEL_ROWS + 4 * q;
      int32x4_t dots = dot_rows(vdupq_n_s32(ARM_SUM_START), rows, a[i], bits);
      vst1q_f32(sum, vfmaq_n_f32(vld1q_f32(sum), scale_dots(dots, scale, offset),
                                 x->scales[b][t + (size_t)i]));
    }
  }
}

#include "arm_products.h"

void gust_kernels_fill_neon(gust_kernels *kernels) {
  kernels->level = "neon";
  fill_float_kernels(kernels);
  fill_weight_kernels(kernels);
  fill_calibration_kernels(kernels);
  kernels->matmul_q4 = matmul_q4_arm;
  kernels->matmul_q8 = matmul_q8_arm;
}

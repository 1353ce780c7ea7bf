/* FEAT_DotProd: Cortex-A75, A55 (2017), Neoverse N1, Apple A11 (2017) and since.
 * Only the integer products gain from it; the rest is that of the level neon. */
#if !defined(__aarch64__) || !defined(__ARM_FEATURE_DOTPROD)
#error "dotprod.c needs -march=armv8.2-a+dotprod"
#endif

#define ARM_PAIRS 0
#define ARM_TILE_TOKENS 8
#define ARM_DECODE_PANELS 4

#include "arm_sdot.h"
/* After ARM_PAIRS. */
#include "arm_block.h"
#include "levels.h"

/* sum + x * by[lane]; the lane is constant wherever this is inlined. */
static GUST_INLINE float32x4_t add_times_lane(float32x4_t sum, float32x4_t x, float32x4_t by,
                                              int lane) {
  switch (lane) {
    case 0: return vfmaq_laneq_f32(sum, x, by, 0);
    case 1: return vfmaq_laneq_f32(sum, x, by, 1);
    case 2: return vfmaq_laneq_f32(sum, x, by, 2);
    default: return vfmaq_laneq_f32(sum, x, by, 3);
  }
}

/* Of a tile's tokens their activations' scales, four to a register. */
static GUST_INLINE void load_act_scales(float32x4_t scales[2], const float *from, int tokens) {
  if (tokens < 4) {
    float32x2_t two = tokens == 2 ? vld1_f32(from) : vld1_dup_f32(from);
    scales[0] = vcombine_f32(two, two);
  }
  for (int i = 0; i < tokens / 4; i++) scales[i] = vld1q_f32(from + 4 * i);
}

/* The tokens' codes stay in registers while the rows pass by, four at a time. */
static GUST_INLINE void multiply_tile(float *sums, const arm_weights *w, const arm_tokens *x,
                                      size_t b, size_t t, int tokens, int bits) {
  (void)bits;
  lone_block a[ARM_TILE_TOKENS];
  float32x4_t act_scales[2];
  GUST_UNROLL
  for (int i = 0; i < tokens; i++)
    a[i] = load_lone(x->codes + (t + (size_t)i) * x->stride + b * GUST_BLOCK_K);
  load_act_scales(act_scales, x->scales[b] + t, tokens);
  for (size_t q = 0; q < 4; q++) {
    const int8_t *lines = w->lines + b * ARM_BLOCK_BYTES + 16 * q;
    int32x4_t dots[ARM_TILE_TOKENS];
    GUST_UNROLL
    for (int i = 0; i < tokens; i++) dots[i] = vdupq_n_s32(ARM_SUM_START);
    /* Quads outside, tokens inside: neighbouring products are independent. */
    GUST_UNROLL
    for (int j = 0; j < 8; j++) {
      int8x16_t rows = vld1q_s8(lines + (size_t)j * GUST_LINE);
      GUST_UNROLL
      for (int i = 0; i < tokens; i++) dots[i] = add_quad(dots[i], rows, a[i], j);
    }
    float32x4_t scale = vld1q_f32(w->scales[b] + 4 * q), offset = vld1q_f32(w->offsets[b] + 4 * q);
    GUST_UNROLL
    for (int i = 0; i < tokens; i++) {
      float *sum = sums + (size_t)i * GUST_PANEL_ROWS + 4 * q;
      float32x4_t scaled = scale_dots(dots[i], scale, offset);
      vst1q_f32(sum, add_times_lane(vld1q_f32(sum), scaled, act_scales[i / 4], i % 4));
    }
  }
}

#include "arm_products.h"

void gust_kernels_fill_dotprod(gust_kernels *kernels) {
  kernels->level = "dotprod";
  kernels->matmul_q4 = matmul_q4_arm;
  kernels->matmul_q8 = matmul_q8_arm;
}

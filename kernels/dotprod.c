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

/* The tokens' codes stay in registers while the rows pass by, four at a time. */
static GUST_INLINE void multiply_tile(float *sums, const arm_weights *w, const arm_tokens *x,
                                      size_t b, size_t t, int tokens, int bits) {
  (void)bits;
  lone_block a[ARM_TILE_TOKENS];
  for (int i = 0; i < tokens; i++)
    a[i] = load_lone(x->codes + (t + (size_t)i) * x->stride + b * GUST_BLOCK_K);
  for (size_t q = 0; q < 4; q++) {
    const int8_t *lines = w->lines + b * ARM_BLOCK_BYTES + 16 * q;
    int32x4_t dots[ARM_TILE_TOKENS];
    for (int i = 0; i < tokens; i++) dots[i] = vdupq_n_s32(ARM_SUM_START);
      /* Quads outside, tokens inside: neighbouring products are independent. */
#define ADD_QUAD(j)                                                           \
  do {                                                                        \
    int8x16_t rows = vld1q_s8(lines + (j)*GUST_LINE);                         \
    for (int i = 0; i < tokens; i++)                                          \
      dots[i] = vdotq_laneq_s32(dots[i], rows, a[i].codes[(j) / 4], (j) % 4); \
  } while (0)
    ADD_QUAD(0);
    ADD_QUAD(1);
    ADD_QUAD(2);
    ADD_QUAD(3);
    ADD_QUAD(4);
    ADD_QUAD(5);
    ADD_QUAD(6);
    ADD_QUAD(7);
#undef ADD_QUAD
    float32x4_t scale = vld1q_f32(w->scales[b] + 4 * q), offset = vld1q_f32(w->offsets[b] + 4 * q);
    for (int i = 0; i < tokens; i++)
      add_scaled(sums + (size_t)i * GUST_PANEL_ROWS + 4 * q, dots[i], scale, offset,
                 vdupq_n_f32(x->scales[b][t + (size_t)i]));
  }
}

#include "arm_products.h"

void gust_kernels_fill_dotprod(gust_kernels *kernels) {
  kernels->level = "dotprod";
  kernels->matmul_q4 = matmul_q4_arm;
  kernels->matmul_q8 = matmul_q8_arm;
}

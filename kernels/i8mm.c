/* FEAT_I8MM: Armv8.6, such as Neoverse V1 and N2, Cortex-A510, Apple M2 (2022). A
 * lone token gains nothing from multiplying pairs and goes by sdot. */
#if !defined(__aarch64__) || !defined(__ARM_FEATURE_DOTPROD) || !defined(__ARM_FEATURE_MATMUL_INT8)
#error "i8mm.c needs -march=armv8.2-a+dotprod+i8mm"
#endif

#define ARM_PAIRS 1
#define ARM_TILE_TOKENS 8
#define ARM_DECODE_PANELS 4

#include "arm_sdot.h"
/* After ARM_PAIRS. */
#include "arm_block.h"
#include "levels.h"

/* smmla multiplies two rows of eight columns by two tokens of eight columns. The
 * pairs of tokens stay in registers while the rows pass by, four at a time. */
static GUST_INLINE void multiply_tile(float *sums, const arm_weights *w, const arm_tokens *x,
                                      size_t b, size_t t, int tokens, int bits) {
  (void)bits;
  const int pairs = tokens / 2;
  int8x16_t a[ARM_TILE_TOKENS / 2][4];
  for (int i = 0; i < pairs; i++)
    for (size_t j = 0; j < 4; j++)
      a[i][j] =
          vld1q_s8(x->codes + (t + 2 * (size_t)i) * x->stride + b * 2 * GUST_BLOCK_K + 16 * j);
  for (size_t q = 0; q < 4; q++) {
    const int8_t *lines = w->lines + b * ARM_BLOCK_BYTES + 16 * q;
    int32x4_t dots[ARM_TILE_TOKENS / 2][2];
    for (int i = 0; i < pairs; i++) dots[i][0] = dots[i][1] = vdupq_n_s32(ARM_SUM_START);
    GUST_UNROLL
    for (size_t j = 0; j < 8; j++) {
      int8x16_t rows = vld1q_s8(lines + j * GUST_LINE);
      GUST_UNROLL
      for (int i = 0; i < pairs; i++)
        dots[i][j % 2] = vmmlaq_s32(dots[i][j % 2], a[i][j / 2], rows);
    }
    GUST_UNROLL
    for (size_t h = 0; h < 2; h++) {
      float32x4_t scale = vld1q_f32(w->scales[b] + 8 * q + 4 * h);
      float32x4_t offset = vld1q_f32(w->offsets[b] + 8 * q + 4 * h);
      GUST_UNROLL
      for (int i = 0; i < pairs; i++) {
        float *sum = sums + (size_t)i * 2 * GUST_PANEL_ROWS + 8 * q + 4 * h;
        float32x4_t act_scale = vld1q_f32(x->scales[b] + 2 * t + 4 * (size_t)i);
        vst1q_f32(sum, vfmaq_f32(vld1q_f32(sum), scale_dots(dots[i][h], scale, offset), act_scale));
      }
    }
  }
}

#include "arm_products.h"

void gust_kernels_fill_i8mm(gust_kernels *kernels) {
  kernels->level = "i8mm";
  kernels->matmul_q4 = matmul_q4_arm;
  kernels->matmul_q8 = matmul_q8_arm;
}

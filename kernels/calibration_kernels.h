/* The kernels of calibration, written once over sixteen lanes; included like
 * float_kernels.h, after a level's lanes. */
#include <stddef.h>
#include <stdint.h>

#include "kernels.h"

/* --- panel products ---------------------------------------------------------------- */

/* `rows` is a constant: so many sums stay in registers on every level. */
static GUST_INLINE void product_rows(float *dst, size_t dst_stride, const float *panel,
                                     const float *x, size_t x_stride, size_t n, int rows,
                                     int subtract) {
  vf sum[6];
  for (int t = 0; t < rows; t++) sum[t] = v_set1(0);
  for (size_t j = 0; j < n; j++) {
    vf w = v_load(panel + 16 * j);
    for (int t = 0; t < rows; t++) sum[t] = v_fma(w, v_set1(x[(size_t)t * x_stride + j]), sum[t]);
  }
  for (int t = 0; t < rows; t++, dst += dst_stride) {
    vf old = v_load(dst);
    v_store(dst, subtract ? v_sub(old, sum[t]) : v_add(old, sum[t]));
  }
}

static GUST_INLINE void panel_product(float *dst, size_t dst_stride, const float *panel,
                                      const float *x, size_t x_stride, size_t n, size_t rows,
                                      int subtract) {
  size_t t = 0;
  for (; t + 6 <= rows; t += 6)
    product_rows(dst + t * dst_stride, dst_stride, panel, x + t * x_stride, x_stride, n, 6,
                 subtract);
  for (; t + 2 <= rows; t += 2)
    product_rows(dst + t * dst_stride, dst_stride, panel, x + t * x_stride, x_stride, n, 2,
                 subtract);
  if (t < rows)
    product_rows(dst + t * dst_stride, dst_stride, panel, x + t * x_stride, x_stride, n, 1,
                 subtract);
}

static void panel_add_lanes(float *dst, size_t dst_stride, const float *panel, const float *x,
                            size_t x_stride, size_t n, size_t rows) {
  panel_product(dst, dst_stride, panel, x, x_stride, n, rows, 0);
}

static void panel_subtract_lanes(float *dst, size_t dst_stride, const float *panel, const float *x,
                                 size_t x_stride, size_t n, size_t rows) {
  panel_product(dst, dst_stride, panel, x, x_stride, n, rows, 1);
}

/* --- rounding with feedback ----------------------------------------------------------- */

/* levels[t] for the aims of all trials; see v_q4_levels for the half steps. */
static GUST_INLINE void nearest_of_trials(vf *levels, const vf *aims, const vf *inverse,
                                          const vf *lift, int trials, int is_q4) {
  if (!is_q4) {
    for (int t = 0; t < trials; t++)
      levels[t] = v_rint(v_min(v_max(v_mul(aims[t], inverse[t]), v_set1(-127.0f)), v_set1(127.0f)));
    return;
  }
  vf steps[GUST_TRIALS], first, second;
  for (int t = 0; t < trials; t++)
    steps[t] = v_add(v_mul(aims[t], v_add(inverse[t], inverse[t])),
                     v_sub(v_set1(128.0f), v_add(lift[t], lift[t])));
  for (int t = 0; t < trials; t += 2) {
    v_q4_levels(&first, &second, steps[t], steps[t + 1 < trials ? t + 1 : t]);
    levels[t] = v_add(first, lift[t]);
    if (t + 1 < trials) levels[t + 1] = v_add(second, lift[t + 1]);
  }
}

/* `trials` (a constant) ways to scale a block at once, so that the chains of
 * columns of one hide those of the others. all_levels may be NULL. */
static GUST_INLINE void round_trials(float *cost, float *all_levels, const gust_feedback_block *b,
                                     const float *scales, const float *lifts, int trials,
                                     int is_q4) {
  vf error[GUST_BLOCK_K][GUST_TRIALS], sum[GUST_TRIALS], aim[GUST_TRIALS], level[GUST_TRIALS];
  vf scale[GUST_TRIALS], inverse[GUST_TRIALS], lift[GUST_TRIALS];
  for (int t = 0; t < trials; t++) {
    sum[t] = v_set1(0);
    scale[t] = v_load(scales + 16 * t);
    lift[t] = v_load(lifts + 16 * t);
    inverse[t] = v_div(v_set1(1.0f), scale[t]);
  }
  for (size_t i = GUST_BLOCK_K; i-- > 0;) {
    vf weight = v_load(b->weights + 16 * i), price = v_set1(b->costs[i]);
    for (int t = 0; t < trials; t++) aim[t] = v_load(b->targets + 16 * i);
    for (size_t j = GUST_BLOCK_K - 1; j > i; j--) {
      vf share = v_set1(b->shares[i * b->share_stride + j]);
      for (int t = 0; t < trials; t++) aim[t] = v_fma(error[j][t], share, aim[t]);
    }
    nearest_of_trials(level, aim, inverse, lift, trials, is_q4);
    for (int t = 0; t < trials; t++) {
      vf rounded = v_mul(scale[t], level[t]), off = v_sub(aim[t], rounded);
      sum[t] = v_fma(v_mul(off, price), off, sum[t]);
      error[i][t] = v_sub(weight, rounded);
    }
    if (all_levels) v_store(all_levels + 16 * i, level[0]);
  }
  for (int t = 0; t < trials; t++) v_store(cost + 16 * t, sum[t]);
}

static void try_q4_lanes(float *cost, const gust_feedback_block *b, const float *scales,
                         const float *lifts) {
  round_trials(cost, NULL, b, scales, lifts, GUST_TRIALS, 1);
}
static void try_q8_lanes(float *cost, const gust_feedback_block *b, const float *scales,
                         const float *lifts) {
  round_trials(cost, NULL, b, scales, lifts, GUST_TRIALS, 0);
}
static void round_q4_lanes(float *cost, float *levels, const gust_feedback_block *b,
                           const float *scales, const float *lifts) {
  round_trials(cost, levels, b, scales, lifts, 1, 1);
}
static void round_q8_lanes(float *cost, float *levels, const gust_feedback_block *b,
                           const float *scales, const float *lifts) {
  round_trials(cost, levels, b, scales, lifts, 1, 0);
}

static void fill_calibration_kernels(gust_kernels *kernels) {
  kernels->panel_add = panel_add_lanes;
  kernels->panel_subtract = panel_subtract_lanes;
  kernels->try_q4 = try_q4_lanes;
  kernels->try_q8 = try_q8_lanes;
  kernels->round_q4 = round_q4_lanes;
  kernels->round_q8 = round_q8_lanes;
}

/* The kernels of calibration (quantize/), over the sixteen virtual lanes of
 * float_kernels.h, which includes this file. */

/* --- panel products ---------------------------------------------------------------- */

static GUST_INLINE void panel_rows(float *dst, size_t dst_stride, const float *panel,
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
    panel_rows(dst + t * dst_stride, dst_stride, panel, x + t * x_stride, x_stride, n, 6, subtract);
  for (; t + 2 <= rows; t += 2)
    panel_rows(dst + t * dst_stride, dst_stride, panel, x + t * x_stride, x_stride, n, 2, subtract);
  if (t < rows)
    panel_rows(dst + t * dst_stride, dst_stride, panel, x + t * x_stride, x_stride, n, 1, subtract);
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

/* The level next to y: the lowest one plus every step whose border y passes.
 * Levels and borders are small multiples of a half, so the sums are exact. */
static GUST_INLINE vf nearest_level_q4(vf y) {
  static const int8_t levels[16] = GUST_Q4_LEVELS;
  vf level = v_set1((float)levels[0]);
  for (int i = 0; i < 15; i++) {
    float border = 0.5f * (float)(levels[i] + levels[i + 1]);
    float step = (float)(levels[i + 1] - levels[i]);
    level = v_add(level, v_zero_unless_lt(v_set1(border), y, v_set1(step)));
  }
  return level;
}

static GUST_INLINE vf nearest_level_q8(vf y) {
  return v_rint(v_min(v_max(y, v_set1(-127.0f)), v_set1(127.0f)));
}

/* `trials` (a constant) ways to scale a block at once; levels may be NULL. */
static GUST_INLINE void round_block(float *cost, float *levels, const gust_feedback_block *b,
                                    const float *scales, const float *lifts, int trials,
                                    int is_q4) {
  vf error[GUST_BLOCK_K][GUST_TRIALS], sum[GUST_TRIALS], inverse[GUST_TRIALS];
  for (int t = 0; t < trials; t++) {
    sum[t] = v_set1(0);
    inverse[t] = v_div(v_set1(1.0f), v_load(scales + 16 * t));
  }
  for (size_t i = GUST_BLOCK_K; i-- > 0;) {
    vf target[GUST_TRIALS], weight = v_load(b->weights + 16 * i), d = v_set1(b->costs[i]);
    for (int t = 0; t < trials; t++) target[t] = v_load(b->targets + 16 * i);
    for (size_t j = GUST_BLOCK_K - 1; j > i; j--) {
      vf share = v_set1(b->shares[i * b->share_stride + j]);
      for (int t = 0; t < trials; t++) target[t] = v_fma(error[j][t], share, target[t]);
    }
    for (int t = 0; t < trials; t++) {
      vf lift = v_load(lifts + 16 * t), y = v_mul(target[t], inverse[t]);
      vf level = is_q4 ? v_add(nearest_level_q4(v_sub(y, lift)), lift) : nearest_level_q8(y);
      vf rounded = v_mul(v_load(scales + 16 * t), level), off = v_sub(target[t], rounded);
      sum[t] = v_fma(v_mul(off, d), off, sum[t]);
      error[i][t] = v_sub(weight, rounded);
      if (levels) v_store(levels + 16 * i, level);
    }
  }
  for (int t = 0; t < trials; t++) v_store(cost + 16 * t, sum[t]);
}

static void try_q4_lanes(float *cost, const gust_feedback_block *b, const float *scales,
                         const float *lifts) {
  round_block(cost, NULL, b, scales, lifts, GUST_TRIALS, 1);
}
static void try_q8_lanes(float *cost, const gust_feedback_block *b, const float *scales,
                         const float *lifts) {
  round_block(cost, NULL, b, scales, lifts, GUST_TRIALS, 0);
}
static void round_q4_lanes(float *cost, float *levels, const gust_feedback_block *b,
                           const float *scales, const float *lifts) {
  round_block(cost, levels, b, scales, lifts, 1, 1);
}
static void round_q8_lanes(float *cost, float *levels, const gust_feedback_block *b,
                           const float *scales, const float *lifts) {
  round_block(cost, levels, b, scales, lifts, 1, 0);
}

static void fill_calibration_kernels(gust_kernels *kernels) {
  kernels->panel_add = panel_add_lanes;
  kernels->panel_subtract = panel_subtract_lanes;
  kernels->try_q4 = try_q4_lanes;
  kernels->try_q8 = try_q8_lanes;
  kernels->round_q4 = round_q4_lanes;
  kernels->round_q8 = round_q8_lanes;
}

/* The weight quantizers (weight_quantizer.h), written once over sixteen lanes
 * that are the rows of a panel; included like float_kernels.h, after a level's
 * lanes. No fused operations: plain C has none, and this is where plain C has
 * most to do.
 *
 * Within, weights are divided by their row's scale, a power of two and so
 * without error: "units". */
#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "weight_quantizer.h"

#define WEIGHT_BLOCK_FLOATS (GUST_BLOCK_K * GUST_PANEL_ROWS)

/* --- rows ---------------------------------------------------------------------- */

static vf row_largest(const float *values, size_t columns) {
  vf most = v_set1(0);
  for (size_t k = 0; k < columns; k++) most = v_max(most, v_abs(v_load(values + 16 * k)));
  return most;
}

/* Row codes that put a row's largest magnitude at most `reach` units from 0. */
static void row_codes_for(uint8_t *row_codes, const float *values, size_t columns, float reach) {
  float largest[GUST_PANEL_ROWS];
  v_store(largest, row_largest(values, columns));
  for (size_t r = 0; r < GUST_PANEL_ROWS; r++) row_codes[r] = gust_row_code_for(largest[r] / reach);
}

static vf row_scales(const uint8_t *row_codes) {
  float scales[GUST_PANEL_ROWS];
  for (size_t r = 0; r < GUST_PANEL_ROWS; r++) scales[r] = gust_row_scale(row_codes[r]);
  return v_load(scales);
}

/* One by the row scale: 2^(127 - code), 0 for code 0. Above code 253 it would be
 * subnormal, but no float needs a row scale that large. */
static vf row_inverses(const uint8_t *row_codes) {
  float inverses[GUST_PANEL_ROWS];
  for (size_t r = 0; r < GUST_PANEL_ROWS; r++)
    inverses[r] = row_codes[r] ? gust_row_scale((uint8_t)(254 - row_codes[r])) : 0.0f;
  return v_load(inverses);
}

/* A block in units, ready for trials. */
typedef struct weight_block {
  float x[WEIGHT_BLOCK_FLOATS];  /* weights */
  float wx[WEIGHT_BLOCK_FLOATS]; /* times their importance */
  float w[GUST_BLOCK_K];         /* importance */
  vf energy;                     /* sum w x^2 */
  vf high, low;                  /* the largest and the least weight, and 0 */
} weight_block;

static void load_block(weight_block *b, const float *values, const float *importance,
                       const uint8_t *row_codes) {
  vf inverse = row_inverses(row_codes);
  b->energy = b->high = b->low = v_set1(0);
  for (size_t k = 0; k < GUST_BLOCK_K; k++) {
    b->w[k] = importance ? importance[k] : 1.0f;
    vf x = v_mul(v_load(values + 16 * k), inverse), wx = v_mul(v_set1(b->w[k]), x);
    v_store(b->x + 16 * k, x);
    v_store(b->wx + 16 * k, wx);
    b->energy = v_add(b->energy, v_mul(wx, x));
    b->high = v_max(x, b->high);
    b->low = v_min(x, b->low);
  }
}

/* --- q4 ---------------------------------------------------------------------------
 *
 * For every block both signs of the scale (the codebook is lopsided), both
 * shifts and some scales around the one that just covers the largest weight are
 * tried. Each trial assigns the nearest levels, then takes the scale that fits
 * those best by least squares, rounded to the row's grid; the trial with the
 * least error stays, and is assigned and fitted anew while that helps. */

#define Q4_MAX_SCALE 63.0f
#define Q4_MIN_SCALE (-64.0f)
/* Where a row's largest weight may lie, in units: at level 60 of the largest
 * scale. */
#define Q4_REACH (60.0f * Q4_MAX_SCALE)

typedef struct q4_fit {
  vf error; /* sum w (x - x')^2 with the scale below */
  vf scale; /* whole numbers */
  vf shift; /* 0 or 1 */
} q4_fit;

/* Levels of weights for slope = 2 / scale; see v_q4_levels. */
static inline void q4_levels_of(vf *first, vf *second, const float *x, vf slope, vf zero) {
  v_q4_levels(first, second, v_add(v_mul(v_load(x), slope), zero),
              v_add(v_mul(v_load(x + 16), slope), zero));
}

/* The zero of v_q4_levels' half steps for a shift. */
static inline vf q4_zero(vf shift) {
  return v_sub(v_set1(128.0f), v_mul(v_set1(4.0f), shift));
}

/* Assigns levels for `inverse` = 1 / scale, fits the scale to them and keeps the
 * outcome where it is better. */
static inline void q4_try(q4_fit *best, const weight_block *b, vf inverse, vf shift) {
  vf slope = v_add(inverse, inverse), zero = q4_zero(shift), lift = v_add(shift, shift);
  vf xl = v_set1(0), ll = v_set1(0);
  for (size_t k = 0; k < GUST_BLOCK_K; k += 2) {
    vf l0, l1;
    q4_levels_of(&l0, &l1, b->x + 16 * k, slope, zero);
    l0 = v_add(l0, lift);
    l1 = v_add(l1, lift);
    xl = v_add(xl, v_mul(v_load(b->wx + 16 * k), l0));
    ll = v_add(ll, v_mul(v_mul(v_set1(b->w[k]), l0), l0));
    xl = v_add(xl, v_mul(v_load(b->wx + 16 * k + 16), l1));
    ll = v_add(ll, v_mul(v_mul(v_set1(b->w[k + 1]), l1), l1));
  }
  vf scale = v_rint(v_max(v_min(v_div(xl, ll), v_set1(Q4_MAX_SCALE)), v_set1(Q4_MIN_SCALE)));
  /* Levels that are all 0 give 0 / 0, which is held at a scale that leaves all of the
   * energy: never less. */
  vf error = v_sub(b->energy, v_mul(scale, v_sub(v_add(xl, xl), v_mul(scale, ll))));
  best->scale = v_select_lt(error, best->error, scale, best->scale);
  best->shift = v_select_lt(error, best->error, shift, best->shift);
  best->error = v_select_lt(error, best->error, error, best->error);
}

/* 1 / x, and 0 for 0. */
static inline vf inverse_or_zero(vf x) {
  vf zero = v_set1(0);
  return v_select_lt(zero, v_abs(x), v_div(v_set1(1.0f), x), zero);
}

/* Where the largest weight is put, relative to the codebook's end on its side.
 * The last two clip it, which pays where it matters little. Trials, refits and
 * the trials of q8 by what they leave above the least error there is
 * (test_weight_kernels) for their time. */
#define Q4_TRIALS 5
static const float q4_reach[Q4_TRIALS] = {0.85f, 0.95f, 1.05f, 1.2f, 1.45f};
#define Q4_REFITS 1

static void q4_block_scales(uint8_t *scales, const float *values, const float *importance,
                            const uint8_t *row_codes) {
  static const float ends[2] = {-64.0f, 57.0f};
  weight_block b;
  load_block(&b, values, importance, row_codes);
  vf extreme = v_select_lt(v_neg(b.low), b.high, b.high, b.low);
  vf inverse = inverse_or_zero(extreme);
  q4_fit best = {b.energy, v_set1(0), v_set1(0)};
  for (int shift = 0; shift < 2; shift++)
    for (int end = 0; end < 2; end++)
      for (int i = 0; i < Q4_TRIALS; i++)
        q4_try(&best, &b, v_mul(v_set1((ends[end] + 2.0f * (float)shift) * q4_reach[i]), inverse),
               v_set1((float)shift));
  for (int i = 0; i < Q4_REFITS; i++) q4_try(&best, &b, inverse_or_zero(best.scale), best.shift);
  float scale[16], shift[16];
  v_store(scale, best.scale);
  v_store(shift, best.shift);
  for (size_t r = 0; r < GUST_PANEL_ROWS; r++)
    scales[r] = (uint8_t)((unsigned)(int)scale[r] << 1 | (unsigned)shift[r]);
}

static void q4_row_codes(uint8_t *row_codes, const float *values, size_t columns) {
  row_codes_for(row_codes, values, columns, Q4_REACH);
}

static void q4_round(uint8_t *codes, float *rounded, const float *values, size_t columns,
                     const uint8_t *scales, const uint8_t *row_codes) {
  float scale[16], shift[16];
  for (size_t r = 0; r < GUST_PANEL_ROWS; r++) {
    scale[r] = (float)(((int)(scales[r] >> 1) ^ 64) - 64);
    shift[r] = (float)(scales[r] & 1);
  }
  vf whole = v_load(scale), shifts = v_load(shift), lift = v_add(shifts, shifts);
  vf inverse = inverse_or_zero(whole), zero = q4_zero(shifts), unit = row_inverses(row_codes);
  vf slope = v_mul(v_add(inverse, inverse), unit), back = row_scales(row_codes);
  for (size_t k = 0; k < columns; k++) {
    vf l, same;
    vf bin = v_add(v_mul(v_load(values + 16 * k), slope), zero);
    v_q4_levels(&l, &same, bin, bin);
    v_store_i8((int8_t *)codes + 16 * k, v_q4_codes(l));
    if (rounded) v_store(rounded + 16 * k, v_mul(v_mul(v_add(l, lift), whole), back));
  }
}

/* --- q8 --------------------------------------------------------------------------- */

#define Q8_MAX_CODE 127.0f
#define Q8_MAX_SCALE 255.0f
#define Q8_TRIALS 24
#define Q8_CLIPPED 3 /* trials below the scale that reaches the largest weight */

static inline vf q8_codes_of(vf x, vf inverse) {
  return v_rint(v_max(v_min(v_mul(x, inverse), v_set1(Q8_MAX_CODE)), v_set1(-Q8_MAX_CODE)));
}

static void q8_row_codes(uint8_t *row_codes, const float *values, size_t columns) {
  row_codes_for(row_codes, values, columns, Q8_MAX_CODE * Q8_MAX_SCALE);
}

/* The grid of scales is fine enough to try what lies on it, from some that clip
 * the largest weight upwards. A larger scale costs little, and among many the
 * roundings of 32 weights happen to fall well. */
static void q8_block_scales(uint8_t *scales, const float *values, const float *importance,
                            const uint8_t *row_codes) {
  weight_block b;
  load_block(&b, values, importance, row_codes);
  vf zero = v_set1(0), one = v_set1(1.0f);
  vf need = v_div(v_max(b.high, v_neg(b.low)), v_set1(Q8_MAX_CODE));
  vf scale = v_max(v_rint(v_sub(need, v_set1(Q8_CLIPPED - 0.5f))), zero);
  vf best = zero, least = b.energy;
  for (int i = 0; i < Q8_TRIALS; i++) {
    scale = v_min(scale, v_set1(Q8_MAX_SCALE));
    vf inverse = inverse_or_zero(scale), error = zero;
    for (size_t k = 0; k < GUST_BLOCK_K; k++) {
      vf x = v_load(b.x + 16 * k);
      vf d = v_sub(x, v_mul(scale, q8_codes_of(x, inverse)));
      error = v_add(error, v_mul(v_mul(v_set1(b.w[k]), d), d));
    }
    best = v_select_lt(error, least, scale, best);
    least = v_select_lt(error, least, error, least);
    scale = v_add(scale, one);
  }
  float whole[16];
  v_store(whole, best);
  for (size_t r = 0; r < GUST_PANEL_ROWS; r++) scales[r] = (uint8_t)whole[r];
}

static void q8_round(uint8_t *codes, float *rounded, const float *values, size_t columns,
                     const uint8_t *scales, const uint8_t *row_codes) {
  float scale[16];
  for (size_t r = 0; r < GUST_PANEL_ROWS; r++) scale[r] = scales[r];
  vf whole = v_load(scale), unit = row_inverses(row_codes), back = row_scales(row_codes);
  vf inverse = inverse_or_zero(whole);
  for (size_t k = 0; k < columns; k++) {
    vf code = q8_codes_of(v_mul(v_load(values + 16 * k), unit), inverse);
    v_store_i8((int8_t *)codes + 16 * k, code);
    if (rounded) v_store(rounded + 16 * k, v_mul(v_mul(code, whole), back));
  }
}

static void fill_weight_kernels(gust_kernels *kernels) {
  kernels->weights_q4 = (gust_weight_quantizer){q4_row_codes, q4_block_scales, q4_round};
  kernels->weights_q8 = (gust_weight_quantizer){q8_row_codes, q8_block_scales, q8_round};
}

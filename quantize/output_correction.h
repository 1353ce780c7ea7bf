/* Moving a layer's weights, before they are rounded, so that its outputs on the
 * inputs it will get, from layers already rounded, come closer to those the source
 * model's layer gives on the source's inputs.
 *
 * With inputs X of the rounded model, X + D those of the source, and weights W, the
 * least squares solution of (W + Z) X = W (X + D) + R is
 *
 *   Z = (W D + R) X^T H^-1,   H = X X^T, damped (covariance.h),
 *
 * where R may stand for what the residual stream lags behind already, so that the
 * layer that adds to it makes up for it. (Li et al. 2025, "GPTAQ", round with the
 * first term.) Damping keeps Z from fitting the text at hand alone. */
#ifndef GUST_OUTPUT_CORRECTION_H
#define GUST_OUTPUT_CORRECTION_H

#include "covariance.h"

/* Panels corrected together. */
#define CORRECTION_PANELS 4u

typedef struct output_correction {
  const covariance *input; /* of X, factored */
  const float *x;          /* X: [tokens][k] */
  const float *difference; /* D: [tokens][k] */
  const float *lag;        /* R: [tokens][lag_stride], or NULL: 0 */
  size_t lag_stride;
  size_t tokens;
} output_correction;

/* Floats of scratch memory for panels of k_padded columns. */
size_t output_correction_floats(size_t k_padded, size_t tokens);

/* values: [count][k][16], panels first_panel .. of the matrix, count at most
 * CORRECTION_PANELS; 64-byte aligned. */
void output_correct(const output_correction *c, float *values, size_t first_panel, size_t count,
                    float *scratch);

#endif

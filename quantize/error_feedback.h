/* Rounding with error feedback: weights are rounded one column after the other,
 * and each column still to come is moved so that it makes up for what the inputs
 * it is correlated with have lost.
 *
 * This is GPTQ (Frantar et al. 2022) in the form of LDLQ (Chee et al. 2023),
 * which needs no inverse. With H = U^T U (covariance.h) and columns rounded from
 * the last place to the first, the column at place i aims at
 *
 *   aim[i] = w[i] + sum over j > i of (w[j] - w'[j]) U[i][j] / U[i][i]
 *
 * and the error of the outputs is the sum of U[i][i]^2 (aim[i] - w'[i])^2. By just
 * that sum a block's scale is chosen: the block is rounded with every candidate. */
#ifndef GUST_ERROR_FEEDBACK_H
#define GUST_ERROR_FEEDBACK_H

#include "covariance.h"
#include "format.h"

/* Panels rounded together, so that the factor is read once for all. */
#define FEEDBACK_PANELS 4u

/* Floats of scratch memory that rounding panels of k_padded columns needs. */
static inline size_t feedback_scratch_floats(size_t k_padded) {
  return FEEDBACK_PANELS * GUST_PANEL_ROWS * (2 * k_padded + GUST_BLOCK_K);
}

/* Rounds `count` panels, at most FEEDBACK_PANELS, to `type`, q4 or q8, and returns
 * tr((W - W') H (W - W')^T), damping included. values: [count][k_padded][16] as in
 * quantizers.h, overwritten with the rounded weights. `panels` and `row_codes` get
 * the panels' bytes. `input` has been factored. */
double feedback_round(gust_type type, const covariance *input, float *values, size_t count,
                      float *scratch, uint8_t *panels, uint8_t *row_codes);
/* tr(W H W^T) of the same panels, damping included; `values` stay. */
double feedback_energy(const covariance *input, const float *values, size_t count, float *scratch);

#endif

/* Rounding with error feedback: weights are rounded one column after the other,
 * and each column still to come is moved so that it makes up for what the inputs
 * it is correlated with have lost.
 *
 * The method is GPTQ's (Frantar et al. 2022) in the form of LDLQ (Chee et al.
 * 2023), which needs no inverse: with H = U^T U (covariance.h), u[i][j] =
 * U[i][j] / U[i][i] and columns rounded from the last to the first, column i
 * aims at
 *   w[i] + sum over j > i of (w[j] - w'[j]) u[i][j]
 * and the output error is the sum of U[i][i]^2 (aim - w'[i])^2: that sum is what
 * the block scales are chosen by, rounding the whole block with every candidate.
 */
#ifndef GUST_ERROR_FEEDBACK_H
#define GUST_ERROR_FEEDBACK_H

#include "covariance.h"
#include "format.h"

/* Panels rounded together, so that the factor is read once for all. */
#define FEEDBACK_PANELS 4u

/* Floats of scratch memory one call needs. */
static inline size_t feedback_scratch_floats(size_t k_padded) {
  return FEEDBACK_PANELS * 16 * (2 * k_padded + 2 * GUST_BLOCK_K);
}

typedef struct feedback_result {
  double cost, energy; /* tr(dW H dW^T), tr(W H W^T) of the panels */
} feedback_result;

/* Rounds `count` panels, at most FEEDBACK_PANELS, to `type`, q4 or q8.
 * weights: [count][k_padded][16], columns in their own order; overwritten with the
 * rounded weights. `panels` and `row_codes` as in quantizers.h. `factor` has been
 * factored. The bytes depend on the weights and the factor alone. */
feedback_result feedback_round(gust_type type, const covariance *factor, float *weights,
                               size_t count, float *scratch, uint8_t *panels, uint8_t *row_codes);

#endif

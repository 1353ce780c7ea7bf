/* Second moments of a linear layer's inputs: what its rounding errors cost.
 *
 * With rows x of inputs, weights W and rounded weights W', the squared error of
 * the layer's outputs summed over the inputs is tr((W - W') H (W - W')^T), H the
 * sum of x^T x. Error feedback (error_feedback.h) needs H factored. */
#ifndef GUST_COVARIANCE_H
#define GUST_COVARIANCE_H

#include "kernels.h"
#include "pool.h"
#include "status.h"

/* Most inputs added at a time. */
#define COVARIANCE_ROWS 512u

typedef struct covariance {
  const gust_kernels *kernels;
  gust_pool *pool;
  size_t columns, k; /* the true number and the one padded to 128 */
  size_t rows;       /* inputs added */
  uint32_t *order;   /* [k]: the column at each place of the matrix */
  float *matrix;     /* [k][k]; the upper triangle, both once factored */
  size_t matrix_bytes;
  float *costs; /* [k], after factoring */
  float *panels, *transposed;
} covariance;

/* Room for up to `most` columns, padded; `most` squared floats and 4 KiB for each
 * column. *c is to be destroyed in every case. */
gust_status covariance_create(covariance *c, size_t most, const gust_kernels *kernels,
                              gust_pool *pool, gust_error *err);
void covariance_destroy(covariance *c);

/* Starts anew for inputs of `columns` columns. `moments`, k of them, decide the
 * order: in blocks of 32 columns and within them by ascending moment, so that
 * what is rounded first, from the end, is what weighs most. They are finite, as is all
 * that is added. */
gust_status covariance_begin(covariance *c, size_t columns, const double *moments, gust_error *err);

/* Adds `rows`, at most COVARIANCE_ROWS, rows of inputs, `stride` apart. */
void covariance_add(covariance *c, const float *x, size_t stride, size_t rows);

/* Added to the diagonal in any case, relative to its median: columns that hardly ever
 * hold anything must not make up for the others' errors. */
#define COVARIANCE_FLOOR 0.01f

/* Divides by the rows added, adds COVARIANCE_FLOOR times the median of the
 * diagonal to it, then multiplies it by 1 + damping, which takes correlations for so
 * much weaker than the text shows them; and factors: H = U^T U, costs[i] = U[i][i]^2, and
 * matrix[i][j] = matrix[j][i] = U[i][j] / U[i][i] for j > i; indices are places, not columns. So
 * costs[i] is what a squared error of column i costs once it has taken over its share,
 * matrix[i][j], of the errors of columns j > i. Padding costs 0. damping: above 0. progress
 * may stop it (cholesky.h). */
gust_status covariance_factor(covariance *c, float damping,
                              bool (*progress)(void *user, uint64_t bytes), void *user,
                              gust_error *err);

#endif

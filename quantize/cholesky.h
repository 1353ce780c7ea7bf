/* Cholesky factorization of a large positive definite matrix, blocked and on all
 * threads; the bits do not depend on their number or on the CPU level. */
#ifndef GUST_CHOLESKY_H
#define GUST_CHOLESKY_H

#include "kernels.h"
#include "pool.h"
#include "status.h"

/* a [n][n], row-major, n a multiple of 128, of which only the upper triangle is
 * read, becomes U with U^T U = a; what lies below the diagonal is left alone. A
 * pivot (the square of a diagonal element) that rounding brought below
 * `least_pivot`, above 0, is lifted to it: the least eigenvalue of a is a lower
 * bound of all pivots, so its known bound should be given.
 *
 * Takes n^3 / 3 multiply-adds and 2.1 KiB of memory per column; may run out of
 * memory. Every 128 rows `progress`, unless NULL, is called with 0; where it returns true
 * the status is GUST_E_CANCELLED. */
gust_status cholesky_factor(float *a, size_t n, float least_pivot, const gust_kernels *kernels,
                            gust_pool *pool, bool (*progress)(void *user, uint64_t bytes),
                            void *user, gust_error *err);

#endif

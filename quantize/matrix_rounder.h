/* Rounds the matrices that share one input, on all threads: correction of the
 * outputs, then error feedback, a group of panels at a time. */
#ifndef GUST_MATRIX_ROUNDER_H
#define GUST_MATRIX_ROUNDER_H

#include "covariance.h"
#include "layer_matrix.h"
#include "output_correction.h"
#include "tensor_types.h"

typedef struct matrix_rounder {
  gust_pool *pool;
  covariance input;
  output_correction correction;
  size_t tokens, lag_stride;
  uint8_t **scratch; /* per worker */
  size_t scratch_bytes;
  bool (*progress)(void *user, uint64_t bytes); /* bytes of source; true stops */
  void *user;
} matrix_rounder;

/* For inputs of up to `widest` padded columns and `tokens` rows. *r is to be
 * destroyed in every case. */
gust_status matrix_rounder_create(matrix_rounder *r, size_t widest, size_t tokens,
                                  size_t lag_stride, const gust_kernels *kernels, gust_pool *pool,
                                  bool (*progress)(void *user, uint64_t bytes), void *user,
                                  gust_error *err);
void matrix_rounder_destroy(matrix_rounder *r);

/* Asks progress, between two pieces of long work, whether to go on. */
gust_status matrix_rounder_pause(const matrix_rounder *r, gust_error *err);

/* For `m` and the matrices that share its inputs takes in these, x [tokens][columns padded to 128]
 * and, for the correction (output_correction.h), their difference from the source's, and what the
 * residual stream lags behind [tokens][lag_stride] (NULL: does not matter). They must stay until
 * the last matrix is rounded. Refuses, with the name of `m`, numbers that float32 cannot hold. */
gust_status matrix_rounder_begin(matrix_rounder *r, const layer_matrix *m, const float *x,
                                 const float *difference, const float *lag, gust_error *err);

/* Rounds `m` to its target's type, q4 or q8, into m->packed, for which there is
 * room; sets its error and energy. */
gust_status matrix_rounder_run(matrix_rounder *r, layer_matrix *m, gust_error *err);

/* How much `m` suffers from either type, with error feedback but without correction;
 * m->packed stays NULL. */
gust_status matrix_rounder_measure(matrix_rounder *r, const layer_matrix *m,
                                   tensor_sensitivity *sensitivity, gust_error *err);

#endif

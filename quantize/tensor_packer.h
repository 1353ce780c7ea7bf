/* Packs one tensor after the other, a group of panels at a time, on all threads
 * of a pool. The bytes do not depend on the number of threads. */
#ifndef GUST_TENSOR_PACKER_H
#define GUST_TENSOR_PACKER_H

#include "checksum.h"
#include "file_writer.h"
#include "format.h"
#include "kernels.h"
#include "pool.h"
#include "safetensors.h"
#include "sha256.h"

/* What one panel came to; summed in the order of panels, so that sums too are
 * the same for any number of threads. */
typedef struct panel_result {
  double error, energy;       /* sum (w - w')^2, sum w^2 */
  size_t bad_row, bad_column; /* the first weight that is not finite */
  bool bad;
} panel_result;

/* Called after every group with the bytes of source handled; true stops. */
typedef bool packer_progress_fn(void *user, uint64_t bytes);

/* Packs a panel as gust_panel_pack does, in some other way: the panel'th of its
 * tensor, in the tensor's type, on thread `worker` of the pool. `values` may be
 * overwritten. Panels of one tensor are packed at once on several threads, in
 * any order. */
typedef double panel_pack_fn(void *user, size_t panel, unsigned worker, float *values,
                             size_t k_padded, uint8_t *packed, uint8_t *row_codes);

/* How a matrix is packed; all zero: every weight counts alike. */
typedef struct tensor_recipe {
  const float *importance; /* of the columns, k_padded numbers; see quantizers.h */
  panel_pack_fn *pack;     /* instead of gust_panel_pack; NULL: that */
  void *user;              /* for pack */
} tensor_recipe;

typedef struct tensor_packer {
  gust_kernels kernels;
  gust_pool *pool;
  file_writer *writer;
  packer_progress_fn *progress;
  void *user;
  float **scratch; /* per worker: one row, then a panel's values, of k_padded columns */
  size_t scratch_bytes;
  uint8_t *out; /* one group of panels */
  size_t out_bytes;
  uint8_t *row_codes; /* of the whole tensor, which ends with them */
  size_t row_code_bytes;
  panel_result *results; /* one per panel of a group */
  size_t result_count;
} tensor_packer;

/* The pool and the writer must outlive the packer. */
gust_status tensor_packer_create(tensor_packer *packer, const gust_kernels *kernels,
                                 gust_pool *pool, file_writer *writer, packer_progress_fn *progress,
                                 void *user, gust_error *err);
void tensor_packer_destroy(tensor_packer *packer);

/* Reads `source`, whose shape is the target's, packs it in the target's type by
 * `recipe` (NULL: all zero), writes it at the target's offset and sets the
 * target's checksum. `hash` takes in the source's bytes; *error and
 * *energy grow by the tensor's sums. */
gust_status tensor_packer_run(tensor_packer *packer, const safetensors_file *file,
                              const safetensors_tensor *source, const tensor_recipe *recipe,
                              gust_tensor *target, gust_sha256 *hash, double *error, double *energy,
                              gust_error *err);

#endif

/* Packs one tensor after the other, a group of panels at a time, on all threads
 * of a pool. The bytes do not depend on the number of threads. */
#ifndef GUST_TENSOR_PACKER_H
#define GUST_TENSOR_PACKER_H

#include "checksum.h"
#include "file_writer.h"
#include "format.h"
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

typedef struct tensor_packer {
  gust_pool *pool;
  file_writer *writer;
  packer_progress_fn *progress;
  void *user;
  float **scratch; /* per worker: [16][k_padded] */
  size_t scratch_bytes;
  uint8_t *out; /* one group of panels */
  size_t out_bytes;
  uint8_t *row_codes; /* of the whole tensor, which ends with them */
  size_t row_code_bytes;
  panel_result *results; /* one per panel of a group */
  size_t result_count;
} tensor_packer;

/* The pool and the writer must outlive the packer. */
gust_status tensor_packer_create(tensor_packer *packer, gust_pool *pool, file_writer *writer,
                                 packer_progress_fn *progress, void *user, gust_error *err);
void tensor_packer_destroy(tensor_packer *packer);

/* Reads `source`, whose shape is the target's, writes the target's bytes at its
 * offset and sets its checksum. `hash` takes in the source's bytes; *error and
 * *energy grow by the tensor's sums. */
gust_status tensor_packer_run(tensor_packer *packer, const safetensors_file *file,
                              const safetensors_tensor *source, gust_tensor *target,
                              gust_sha256 *hash, double *error, double *energy, gust_error *err);

#endif

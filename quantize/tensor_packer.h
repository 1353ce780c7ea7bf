/* Packs one tensor after the other, a group of panels at a time, on all threads
 * of a pool. While a group is packed, the one before it is written and the next
 * one read ahead. The bytes do not depend on the number of threads. */
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
  size_t bad_row, bad_column; /* a weight that is not finite */
  bool bad;
} panel_result;

/* What became of a tensor. */
typedef struct packed_tensor {
  gust_tensor *target;    /* its checksum is set */
  double error, energy;   /* sums over its panels */
  gust_sha256_state hash; /* the source's, after this tensor; zeros without one */
} packed_tensor;

typedef struct packer_calls {
  /* After every group, with the bytes of source handled; true stops. */
  bool (*progress)(void *user, uint64_t bytes);
  /* After a tensor's last byte was written, in the order of the calls to
   * tensor_packer_run, from the thread that calls the packer. */
  gust_status (*finished)(void *user, const packed_tensor *tensor, gust_error *err);
  void *user;
} packer_calls;

/* A packed group on its way to the file. */
typedef struct packed_group {
  uint8_t *bytes; /* panels, and after a quantized tensor's last its row codes */
  size_t room, count;
  uint64_t offset;
  bool first, last; /* of its tensor */
  gust_status status;
} packed_group;

typedef struct tensor_packer {
  gust_kernels kernels;
  gust_pool *pool;
  const file_writer *writer;
  packer_calls calls;
  float **scratch; /* per worker: a panel's values, of k_padded columns */
  size_t scratch_bytes;
  packed_group groups[2]; /* one that is filled, one that is written */
  unsigned filling;       /* index of the first of these */
  bool waiting;           /* whether the other waits to be written */
  packed_tensor written;  /* the tensor that waiting group belongs to */
  gust_xxh64 sum;         /* of that tensor's bytes so far */
  gust_error write_error;
  uint8_t *row_codes; /* of the whole tensor, which ends with them */
  size_t row_code_bytes;
  panel_result *results; /* one per panel of a group */
  size_t result_count;
} tensor_packer;

/* The pool and the writer must outlive the packer. */
gust_status tensor_packer_create(tensor_packer *packer, const gust_kernels *kernels,
                                 gust_pool *pool, const file_writer *writer,
                                 const packer_calls *calls, gust_error *err);
void tensor_packer_destroy(tensor_packer *packer);

/* Reads `source`, whose shape is the target's, packs it in the target's type and
 * writes it at the target's offset. `hash`, which may be NULL, takes in the
 * source's bytes. The tensor's last group may still be unwritten afterwards:
 * target must stay where it is until then. */
gust_status tensor_packer_run(tensor_packer *packer, const safetensors_file *file,
                              const safetensors_tensor *source, gust_tensor *target,
                              gust_sha256 *hash, gust_error *err);

/* Writes what is still unwritten. */
gust_status tensor_packer_flush(tensor_packer *packer, gust_error *err);

#endif

/* Calibration: a text runs through the source model, layer by layer, and every
 * linear layer is rounded so that its outputs on that text change least. */
#ifndef GUST_CALIBRATION_H
#define GUST_CALIBRATION_H

#include "checkpoint.h"
#include "file_writer.h"
#include "format.h"
#include "kernels.h"
#include "pool.h"

/* What became of one tensor of the header. */
typedef struct calibrated_tensor {
  bool done;            /* its bytes are written and its checksum is set */
  double error, energy; /* sum (w - w')^2, sum w^2 */
} calibrated_tensor;

typedef struct calibration {
  const checkpoint *source;
  gust_header *header; /* tensors have types and offsets; gets checksums */
  const gust_kernels *kernels;
  gust_pool *pool;
  file_writer *writer;
  const char *text; /* what to calibrate on; parsed with special tokens */
  size_t text_bytes;
  gust_progress_fn *progress; /* bytes of source weights; may be NULL */
  void *user;
  calibrated_tensor *tensors; /* [header->tensor_count], filled in */
} calibration;

/* Rounds and writes the matrices of all layers and the head, those of type q4 and
 * q8; other tensors are left to the caller. The bytes depend on checkpoint, types
 * and text alone. */
gust_status calibration_run(const calibration *job, gust_error *err);

#endif

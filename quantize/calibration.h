/* Calibration: a text runs through the source model, layer by layer, and every
 * linear layer is rounded so that what the rounded model computes from the text
 * stays close to what the source model does.
 *
 * Two passes go side by side, one through the source's weights and one through
 * those already rounded. A layer's weights are first moved so that its outputs
 * follow the source's in spite of inputs that went astray (output_correction.h),
 * then rounded with error feedback (error_feedback.h).
 *
 * Memory: 4 bytes times the square of the widest layer's inputs, activations of
 * at most CALIBRATION_ACTIVATION_BYTES, the rounded weights of one layer, 5 KiB
 * for each column, and for each thread 2 KiB for each column and 0.3 KiB for each
 * token. */
#ifndef GUST_CALIBRATION_H
#define GUST_CALIBRATION_H

#include "calibration_text.h"
#include "checkpoint.h"
#include "file_writer.h"
#include "format.h"
#include "kernels.h"
#include "pool.h"
#include "tensor_types.h"

typedef struct calibration {
  const checkpoint *source;
  gust_header *header; /* tensors have types and offsets; gets checksums */
  const gust_kernels *kernels;
  gust_pool *pool;
  file_writer *writer;
  const calibration_ids *ids;
  /* After some of a matrix was rounded, with its bytes of source, and with 0 between
   * two pieces of other long work; true stops. */
  bool (*progress)(void *user, uint64_t bytes);
  /* Gives what an interrupted run left of tensor `index` of the header, with its
   * checksum set; false: nothing. */
  bool (*restore)(void *user, size_t index, uint8_t *bytes, double *error, double *energy);
  /* The tensor's bytes are written, or were restored, and its checksum is set;
   * error and energy: sum (w - w')^2, sum w^2. */
  gust_status (*finished)(void *user, size_t index, double error, double energy, gust_error *err);
  void *user;
} calibration;

/* Whether calibration has a say in this tensor: a q4 or q8 one that is no embedding. */
bool calibration_rounds(const gust_tensor *t);

/* Rounds and writes all matrices of type q4 and q8 but the embedding; what else
 * there is is left to the caller. The bytes depend on checkpoint, types and text
 * alone. */
gust_status calibration_run(const calibration *job, gust_error *err);

/* Instead of rounding anything, fills in how much those matrices suffer from q4 and
 * q8 of which kept[i] is false: one number pair for each tensor of the header, which
 * needs no offsets yet. `restore`, `finished` and `writer` are not used. */
gust_status calibration_measure(const calibration *job, const bool *kept,
                                tensor_sensitivity *sensitivities, gust_error *err);

#endif

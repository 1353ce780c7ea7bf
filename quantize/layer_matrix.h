/* A matrix of the checkpoint while its layer is being calibrated: as the source
 * has it, and, once rounded, as the file will. */
#ifndef GUST_LAYER_MATRIX_H
#define GUST_LAYER_MATRIX_H

#include "format.h"
#include "panel.h"
#include "pool.h"
#include "safetensors.h"

typedef struct layer_matrix {
  const safetensors_file *file;
  const safetensors_tensor *source;
  gust_tensor *target;
  size_t rows, columns, k_padded, panel_count, panel_bytes;
  uint8_t *packed; /* panels, then row codes, as in the file; NULL: not rounded yet */
  size_t packed_bytes;
  bool restored;        /* packed was in the file already */
  double error, energy; /* of what was rounded: sum (w - w')^2, sum w^2 */
} layer_matrix;

layer_matrix layer_matrix_of(const safetensors_file *file, const safetensors_tensor *source,
                             gust_tensor *target);
/* Refuses a NaN or infinity in the source by its place. */
gust_status layer_matrix_check(const layer_matrix *m, gust_pool *pool, gust_error *err);
/* Room for what is rounded. */
gust_status layer_matrix_reserve(layer_matrix *m, gust_error *err);
/* Frees what was rounded. */
void layer_matrix_clear(layer_matrix *m);

static inline uint8_t *layer_matrix_row_codes(const layer_matrix *m) {
  return m->packed + m->panel_count * m->panel_bytes;
}

/* Panel `panel` as floats [k_padded][16], zeros where the matrix is padded, of the
 * source or of what it was rounded to. `row`: scratch of k_padded floats. */
void layer_matrix_load(const layer_matrix *m, bool rounded, size_t panel, float *row,
                       float *values);

#endif

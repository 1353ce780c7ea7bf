#include "layer_matrix.h"

#include <stdlib.h>
#include <string.h>

#include "quantizers.h"

layer_matrix layer_matrix_of(const safetensors_file *file, const safetensors_tensor *source,
                             gust_tensor *target) {
  layer_matrix m = {.file = file, .source = source, .target = target};
  m.rows = (size_t)target->shape[0];
  m.columns = (size_t)target->shape[1];
  m.k_padded = gust_round_up(m.columns, GUST_TILE_K);
  m.panel_count = (m.rows + GUST_PANEL_ROWS - 1) / GUST_PANEL_ROWS;
  m.panel_bytes = gust_type_panel_bytes(target->type, m.k_padded);
  return m;
}

/* --- checking ------------------------------------------------------------------------- */

typedef struct check_job {
  const layer_matrix *m;
  size_t *bad_columns; /* per row: the first that is not finite, or `columns` */
} check_job;

static void check_rows(void *arg, size_t begin, size_t end, unsigned worker) {
  (void)worker;
  const check_job *job = arg;
  const layer_matrix *m = job->m;
  size_t element = safetensors_element_bytes(m->source->dtype);
  const uint8_t *data = m->file->map.data + m->source->offset;
  for (size_t r = begin; r < end; r++) {
    size_t k = 0, finite;
    do {
      float part[GUST_TILE_K];
      size_t n = m->columns - k < GUST_TILE_K ? m->columns - k : GUST_TILE_K;
      finite =
          safetensors_to_floats(m->source->dtype, data + (r * m->columns + k) * element, n, part);
      k += finite;
      if (finite < n) break;
    } while (k < m->columns);
    job->bad_columns[r] = k;
  }
}

gust_status layer_matrix_check(const layer_matrix *m, gust_pool *pool, gust_error *err) {
  check_job job = {m, malloc(m->rows * sizeof *job.bad_columns)};
  if (!job.bad_columns)
    return gust_fail_memory(err, "rows of a matrix", m->rows * sizeof *job.bad_columns);
  gust_pool_run(pool, check_rows, &job, m->rows, 64);
  gust_status status = GUST_OK;
  for (size_t r = 0; r < m->rows && !status; r++)
    if (job.bad_columns[r] < m->columns)
      status = gust_fail(err, GUST_E_FORMAT,
                         "%s: tensor '%s': expected finite weights, found NaN or infinity in row "
                         "%zu, column %zu; the checkpoint is damaged",
                         m->file->path, m->source->name, r, job.bad_columns[r]);
  free(job.bad_columns);
  return status;
}

gust_status layer_matrix_reserve(layer_matrix *m, gust_error *err) {
  m->packed_bytes = (size_t)m->target->bytes;
  m->packed = calloc(1, m->packed_bytes);
  return m->packed ? GUST_OK : gust_fail_memory(err, "a rounded matrix", m->packed_bytes);
}

void layer_matrix_clear(layer_matrix *m) {
  free(m->packed);
  m->packed = NULL;
}

/* --- loading -------------------------------------------------------------------------- */

static void load_source(const layer_matrix *m, size_t panel, float *row, float *values) {
  size_t first = panel * GUST_PANEL_ROWS;
  size_t row_bytes = m->columns * safetensors_element_bytes(m->source->dtype);
  const uint8_t *data = m->file->map.data + m->source->offset;
  for (size_t r = 0; r < GUST_PANEL_ROWS; r++) {
    size_t columns = first + r < m->rows ? m->columns : 0;
    if (columns)
      safetensors_to_floats(m->source->dtype, data + (first + r) * row_bytes, columns, row);
    for (size_t k = 0; k < columns; k++) values[GUST_PANEL_ROWS * k + r] = row[k];
    for (size_t k = columns; k < m->k_padded; k++) values[GUST_PANEL_ROWS * k + r] = 0;
  }
}

void layer_matrix_load(const layer_matrix *m, bool rounded, size_t panel, float *row,
                       float *values) {
  if (rounded && m->packed)
    gust_panel_unpack(m->target->type, m->packed + panel * m->panel_bytes,
                      layer_matrix_row_codes(m) + panel * GUST_PANEL_ROWS, m->k_padded, values);
  else
    load_source(m, panel, row, values);
}

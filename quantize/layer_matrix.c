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

void layer_matrix_clear(layer_matrix *m) {
  free(m->packed);
  m->packed = NULL;
}

static void load_source(const layer_matrix *m, size_t panel, float *rows) {
  size_t first = panel * GUST_PANEL_ROWS;
  size_t row_bytes = m->columns * safetensors_element_bytes(m->source->dtype);
  const uint8_t *data = m->file->map.data + m->source->offset;
  for (size_t r = 0; r < GUST_PANEL_ROWS; r++) {
    float *row = rows + r * m->k_padded;
    size_t columns = first + r < m->rows ? m->columns : 0;
    if (columns)
      safetensors_to_floats(m->source->dtype, data + (first + r) * row_bytes, columns, row);
    memset(row + columns, 0, (m->k_padded - columns) * sizeof *row);
  }
}

void layer_matrix_load(const layer_matrix *m, bool rounded, size_t panel, float *rows,
                       float *floats) {
  if (rounded && m->packed)
    gust_panel_unpack(m->target->type, m->packed + panel * m->panel_bytes,
                      layer_matrix_row_codes(m) + panel * GUST_PANEL_ROWS, m->k_padded, rows);
  else
    load_source(m, panel, rows);
  gust_f32_pack(rows, m->k_padded, (uint8_t *)floats);
}

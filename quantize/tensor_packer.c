#include "tensor_packer.h"

#include <stdlib.h>
#include <string.h>

#include "quantizers.h"

/* Source bytes a group aims at: enough panels for all threads to share, little
 * enough to stay a small part of memory. */
#define GROUP_BYTES ((size_t)16 << 20)

/* --- memory ------------------------------------------------------------------------ */

gust_status tensor_packer_create(tensor_packer *packer, const gust_kernels *kernels,
                                 gust_pool *pool, file_writer *writer, packer_progress_fn *progress,
                                 void *user, gust_error *err) {
  *packer = (tensor_packer){
      .kernels = *kernels, .pool = pool, .writer = writer, .progress = progress, .user = user};
  size_t bytes = gust_pool_threads(pool) * sizeof *packer->scratch;
  packer->scratch = calloc(1, bytes);
  return packer->scratch ? GUST_OK : gust_fail_memory(err, "converter", bytes);
}

void tensor_packer_destroy(tensor_packer *packer) {
  if (packer->scratch)
    for (unsigned i = 0; i < gust_pool_threads(packer->pool); i++) free(packer->scratch[i]);
  free(packer->scratch);
  free(packer->out);
  free(packer->row_codes);
  free(packer->results);
  memset(packer, 0, sizeof *packer);
}

static bool grow(void **memory, size_t *have, size_t need) {
  if (*have >= need) return true;
  free(*memory);
  *memory = malloc(need);
  *have = *memory ? need : 0;
  return *memory != NULL;
}

/* Room for a group of `panels` panels, and the row codes of all of them. */
static gust_status reserve(tensor_packer *packer, size_t k_padded, size_t panels,
                           size_t panel_bytes, size_t code_bytes, gust_error *err) {
  size_t rows_bytes = (GUST_PANEL_ROWS + 1) * k_padded * sizeof(float);
  if (packer->scratch_bytes < rows_bytes) {
    packer->scratch_bytes = 0;
    for (unsigned i = 0; i < gust_pool_threads(packer->pool); i++) {
      size_t none = 0;
      if (!grow((void **)&packer->scratch[i], &none, rows_bytes))
        return gust_fail_memory(err, "rows of a matrix", rows_bytes);
    }
    packer->scratch_bytes = rows_bytes;
  }
  size_t result_bytes = packer->result_count * sizeof *packer->results;
  bool enough = grow((void **)&packer->out, &packer->out_bytes, panels * panel_bytes) &&
                grow((void **)&packer->row_codes, &packer->row_code_bytes, code_bytes) &&
                grow((void **)&packer->results, &result_bytes, panels * sizeof *packer->results);
  packer->result_count = result_bytes / sizeof *packer->results;
  return enough ? GUST_OK : gust_fail_memory(err, "a group of panels", panels * panel_bytes);
}

/* --- one group ----------------------------------------------------------------------- */

typedef struct group_job {
  tensor_packer *packer;
  const safetensors_tensor *source;
  const tensor_recipe *recipe;
  size_t first_panel;  /* the group's, in the tensor */
  const uint8_t *data; /* the group's first row */
  size_t data_bytes;
  size_t rows, columns, k_padded; /* rows: true ones of the group */
  gust_type type;
  size_t panel_bytes;
  uint8_t *row_codes; /* the group's first panel's */
  gust_sha256 *hash;
} group_job;

/* Rows past the last and columns past the width are zeros. `row` is room for
 * one. */
static void load_values(const group_job *job, size_t panel, float *row, float *values,
                        panel_result *result) {
  size_t first = panel * GUST_PANEL_ROWS, columns = job->columns;
  size_t element_bytes = safetensors_element_bytes(job->source->dtype);
  memset(values, 0, GUST_PANEL_ROWS * job->k_padded * sizeof *values);
  for (size_t r = 0; r < GUST_PANEL_ROWS && first + r < job->rows; r++) {
    const uint8_t *data = job->data + (first + r) * columns * element_bytes;
    size_t finite = safetensors_to_floats(job->source->dtype, data, columns, row);
    if (finite < columns) {
      *result = (panel_result){.bad = true, .bad_row = first + r, .bad_column = finite};
      return;
    }
    for (size_t k = 0; k < columns; k++) values[GUST_PANEL_ROWS * k + r] = row[k];
  }
}

static void pack_panel(const group_job *job, size_t panel, unsigned worker) {
  tensor_packer *packer = job->packer;
  panel_result *result = &packer->results[panel];
  float *row = packer->scratch[worker], *values = row + job->k_padded;
  *result = (panel_result){0};
  load_values(job, panel, row, values, result);
  if (result->bad) return;
  size_t count = GUST_PANEL_ROWS * job->k_padded;
  for (size_t i = 0; i < count; i++) result->energy += (double)values[i] * (double)values[i];
  uint8_t *packed = packer->out + panel * job->panel_bytes;
  uint8_t *row_codes = job->row_codes + panel * GUST_PANEL_ROWS;
  const tensor_recipe *recipe = job->recipe;
  result->error = recipe->pack
                      ? recipe->pack(recipe->user, job->first_panel + panel, worker, values,
                                     job->k_padded, packed, row_codes)
                      : gust_panel_pack(&packer->kernels, job->type, values, recipe->importance,
                                        job->k_padded, packed, row_codes);
}

/* Item 0 hashes the source, which only one thread can do; it goes first, while
 * the others begin with the panels. */
static void group_items(void *arg, size_t begin, size_t end, unsigned worker) {
  const group_job *job = arg;
  for (size_t i = begin; i < end; i++) {
    if (i == 0)
      gust_sha256_update(job->hash, job->data, job->data_bytes);
    else
      pack_panel(job, i - 1, worker);
  }
}

/* --- one tensor ---------------------------------------------------------------------- */

static gust_status take_results(const tensor_packer *packer, size_t panels, size_t first_row,
                                const safetensors_file *file, const safetensors_tensor *source,
                                double *error, double *energy, gust_error *err) {
  for (size_t i = 0; i < panels; i++) {
    const panel_result *result = &packer->results[i];
    if (result->bad)
      return gust_fail(err, GUST_E_FORMAT,
                       "%s: tensor '%s': expected finite weights, found NaN or infinity in row "
                       "%zu, column %zu; the checkpoint is damaged",
                       file->path, source->name, first_row + result->bad_row, result->bad_column);
    *error += result->error;
    *energy += result->energy;
  }
  return GUST_OK;
}

static gust_status pack_matrix(tensor_packer *packer, const safetensors_file *file,
                               const safetensors_tensor *source, const tensor_recipe *recipe,
                               gust_tensor *target, gust_sha256 *hash, double *error,
                               double *energy, gust_error *err) {
  size_t rows = (size_t)target->shape[0], columns = (size_t)target->shape[1];
  size_t k_padded = gust_round_up(columns, GUST_TILE_K);
  size_t row_bytes = columns * safetensors_element_bytes(source->dtype);
  size_t panel_bytes = gust_type_panel_bytes(target->type, k_padded);
  size_t panels = (rows + GUST_PANEL_ROWS - 1) / GUST_PANEL_ROWS;
  size_t code_bytes = gust_row_code_bytes(panels);
  size_t per_group = GROUP_BYTES / (row_bytes * GUST_PANEL_ROWS);
  if (per_group == 0) per_group = 1;
  if (per_group > panels) per_group = panels;
  gust_status status = reserve(packer, k_padded, per_group, panel_bytes, code_bytes, err);
  if (status) return status;
  memset(packer->row_codes, 0, code_bytes);

  gust_xxh64 sum;
  gust_xxh64_begin(&sum, 0);
  uint64_t offset = target->offset;
  for (size_t panel = 0; panel < panels; panel += per_group) {
    size_t count = panels - panel < per_group ? panels - panel : per_group;
    size_t first_row = panel * GUST_PANEL_ROWS, group_rows = count * GUST_PANEL_ROWS;
    if (group_rows > rows - first_row) group_rows = rows - first_row;
    size_t at = source->offset + first_row * row_bytes, bytes = group_rows * row_bytes;
    group_job job = {.packer = packer,
                     .source = source,
                     .recipe = recipe,
                     .first_panel = panel,
                     .data = file->map.data + at,
                     .data_bytes = bytes,
                     .rows = group_rows,
                     .columns = columns,
                     .k_padded = k_padded,
                     .type = target->type,
                     .panel_bytes = panel_bytes,
                     .row_codes = packer->row_codes + first_row,
                     .hash = hash};
    gust_pool_run(packer->pool, group_items, &job, count + 1, 1);
    status = take_results(packer, count, first_row, file, source, error, energy, err);
    if (status) return status;
    gust_xxh64_update(&sum, packer->out, count * panel_bytes);
    status = file_writer_put(packer->writer, packer->out, count * panel_bytes, offset, err);
    if (status) return status;
    offset += count * panel_bytes;
    os_dont_need(&file->map, at, bytes);
    if (packer->progress(packer->user, bytes))
      return gust_fail(err, GUST_E_CANCELLED,
                       "%s: the conversion was stopped; nothing is left of it",
                       packer->writer->target);
  }
  if (target->type == GUST_TYPE_Q8 || target->type == GUST_TYPE_Q4) {
    gust_xxh64_update(&sum, packer->row_codes, code_bytes);
    status = file_writer_put(packer->writer, packer->row_codes, code_bytes, offset, err);
  }
  target->checksum = gust_xxh64_end(&sum);
  return status;
}

/* Norms are small: one thread, one piece. */
static gust_status pack_vector(tensor_packer *packer, const safetensors_file *file,
                               const safetensors_tensor *source, gust_tensor *target,
                               gust_sha256 *hash, double *energy, gust_error *err) {
  size_t count = (size_t)target->shape[0], padded = gust_round_up(count, GUST_TILE_K);
  float *values = calloc(padded, sizeof *values);
  if (!values) return gust_fail_memory(err, "vector", padded * sizeof *values);
  const uint8_t *data = file->map.data + source->offset;
  gust_sha256_update(hash, data, source->bytes);
  size_t finite = safetensors_to_floats(source->dtype, data, count, values);
  gust_status status = GUST_OK;
  if (finite < count)
    status = gust_fail(err, GUST_E_FORMAT,
                       "%s: tensor '%s': expected finite weights, found NaN or infinity in row 0, "
                       "column %zu; the checkpoint is damaged",
                       file->path, source->name, finite);
  for (size_t i = 0; i < count; i++) *energy += (double)values[i] * (double)values[i];
  size_t bytes = padded * sizeof *values;
  target->checksum = gust_xxh64_of(values, bytes, 0);
  if (!status) status = file_writer_put(packer->writer, values, bytes, target->offset, err);
  if (!status && packer->progress(packer->user, source->bytes))
    status =
        gust_fail(err, GUST_E_CANCELLED, "%s: the conversion was stopped; nothing is left of it",
                  packer->writer->target);
  free(values);
  return status;
}

gust_status tensor_packer_run(tensor_packer *packer, const safetensors_file *file,
                              const safetensors_tensor *source, const tensor_recipe *recipe,
                              gust_tensor *target, gust_sha256 *hash, double *error, double *energy,
                              gust_error *err) {
  static const tensor_recipe plain = {0};
  if (target->rank == 1) return pack_vector(packer, file, source, target, hash, energy, err);
  return pack_matrix(packer, file, source, recipe ? recipe : &plain, target, hash, error, energy,
                     err);
}

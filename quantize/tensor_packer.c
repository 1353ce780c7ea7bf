#include "tensor_packer.h"

#include <stdlib.h>
#include <string.h>

#include "quantizers.h"

/* Source bytes a group aims at: enough panels for all threads to share, little
 * enough to stay a small part of memory. */
#define GROUP_BYTES ((size_t)16 << 20)

/* --- memory ------------------------------------------------------------------------ */

gust_status tensor_packer_create(tensor_packer *packer, const gust_kernels *kernels,
                                 gust_pool *pool, const file_writer *writer,
                                 const packer_calls *calls, gust_error *err) {
  *packer = (tensor_packer){.kernels = *kernels, .pool = pool, .writer = writer, .calls = *calls};
  size_t bytes = gust_pool_threads(pool) * sizeof *packer->scratch;
  packer->scratch = calloc(1, bytes);
  return packer->scratch ? GUST_OK : gust_fail_memory(err, "converter", bytes);
}

void tensor_packer_destroy(tensor_packer *packer) {
  if (packer->scratch)
    for (unsigned i = 0; i < gust_pool_threads(packer->pool); i++) free(packer->scratch[i]);
  free(packer->scratch);
  for (int i = 0; i < 2; i++) free(packer->groups[i].bytes);
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

static gust_status reserve_scratch(tensor_packer *packer, size_t bytes, gust_error *err) {
  if (packer->scratch_bytes >= bytes) return GUST_OK;
  packer->scratch_bytes = 0;
  for (unsigned i = 0; i < gust_pool_threads(packer->pool); i++) {
    size_t none = 0;
    if (!grow((void **)&packer->scratch[i], &none, bytes))
      return gust_fail_memory(err, "rows of a matrix", bytes);
  }
  packer->scratch_bytes = bytes;
  return GUST_OK;
}

/* Room in the group that is to be filled. */
static gust_status reserve_group(tensor_packer *packer, size_t bytes, gust_error *err) {
  packed_group *group = &packer->groups[packer->filling];
  return grow((void **)&group->bytes, &group->room, bytes)
             ? GUST_OK
             : gust_fail_memory(err, "a group of panels", bytes);
}

/* Results for a group of `panels` panels, row codes for a whole tensor. */
static gust_status reserve_results(tensor_packer *packer, size_t panels, size_t code_bytes,
                                   gust_error *err) {
  size_t result_bytes = packer->result_count * sizeof *packer->results;
  bool enough = grow((void **)&packer->row_codes, &packer->row_code_bytes, code_bytes) &&
                grow((void **)&packer->results, &result_bytes, panels * sizeof *packer->results);
  packer->result_count = result_bytes / sizeof *packer->results;
  return enough ? GUST_OK : gust_fail_memory(err, "row codes", code_bytes);
}

/* --- writing ----------------------------------------------------------------------- */

static packed_group *waiting_group(tensor_packer *packer) {
  return &packer->groups[!packer->filling];
}

/* On any thread, while the next group is packed. */
static void write_waiting(tensor_packer *packer) {
  packed_group *group = waiting_group(packer);
  if (group->first) gust_xxh64_begin(&packer->sum, 0);
  gust_xxh64_update(&packer->sum, group->bytes, group->count);
  group->status = file_writer_put(packer->writer, group->bytes, group->count, group->offset,
                                  &packer->write_error);
}

/* After write_waiting. */
static gust_status take_written(tensor_packer *packer, gust_error *err) {
  packed_group *group = waiting_group(packer);
  packer->waiting = false;
  if (group->status) {
    if (err) *err = packer->write_error;
    return group->status;
  }
  if (!group->last) return GUST_OK;
  packer->written.target->checksum = gust_xxh64_end(&packer->sum);
  return packer->calls.finished(packer->calls.user, &packer->written, err);
}

gust_status tensor_packer_flush(tensor_packer *packer, gust_error *err) {
  if (!packer->waiting) return GUST_OK;
  write_waiting(packer);
  return take_written(packer, err);
}

/* The filled group is now the one that waits. */
static void hand_over(tensor_packer *packer, size_t count, uint64_t offset, bool first, bool last) {
  packed_group *group = &packer->groups[packer->filling];
  group->count = count;
  group->offset = offset;
  group->first = first;
  group->last = last;
  packer->filling = !packer->filling;
  packer->waiting = true;
}

static gust_status report(const tensor_packer *packer, uint64_t bytes, gust_error *err) {
  if (!packer->calls.progress(packer->calls.user, bytes)) return GUST_OK;
  return gust_fail(err, GUST_E_CANCELLED, "%s: the conversion was stopped", packer->writer->target);
}

/* --- one group ----------------------------------------------------------------------- */

typedef struct group_job {
  tensor_packer *packer;
  const safetensors_file *file;
  const safetensors_tensor *source;
  size_t first_panel;             /* the group's, in the tensor */
  size_t at, bytes, ahead;        /* of the group in the source, and of the next to be read */
  size_t rows, columns, k_padded; /* rows: true ones of the group */
  gust_type type;
  size_t panel_bytes;
  uint8_t *row_codes; /* the group's first panel's */
  gust_sha256 *hash;
} group_job;

/* Columns that are turned from rows into a panel's order at a time: small enough
 * for the panel's part to stay in the first-level cache. */
#define LOAD_COLUMNS 64u

/* Rows past the last and columns past the width are zeros. */
static void load_values(const group_job *job, size_t panel, float *values, panel_result *result) {
  size_t first = panel * GUST_PANEL_ROWS, columns = job->columns;
  size_t element_bytes = safetensors_element_bytes(job->source->dtype);
  size_t rows = job->rows - first < GUST_PANEL_ROWS ? job->rows - first : GUST_PANEL_ROWS;
  const uint8_t *data = job->file->map.data + job->at + first * columns * element_bytes;
  if (rows < GUST_PANEL_ROWS) memset(values, 0, GUST_PANEL_ROWS * columns * sizeof *values);
  for (size_t k = 0; k < columns; k += LOAD_COLUMNS) {
    size_t count = columns - k < LOAD_COLUMNS ? columns - k : LOAD_COLUMNS;
    for (size_t r = 0; r < rows; r++) {
      float row[LOAD_COLUMNS], *to = values + GUST_PANEL_ROWS * k + r;
      size_t finite = safetensors_to_floats(job->source->dtype,
                                            data + (r * columns + k) * element_bytes, count, row);
      if (finite < count && !result->bad)
        *result = (panel_result){.bad = true, .bad_row = first + r, .bad_column = k + finite};
      for (size_t i = 0; i < count; i++) to[GUST_PANEL_ROWS * i] = row[i];
    }
  }
  memset(values + GUST_PANEL_ROWS * columns, 0,
         GUST_PANEL_ROWS * (job->k_padded - columns) * sizeof *values);
}

/* sum w^2, in sixteen lanes. */
static double energy_of(const float *values, size_t k_padded) {
  double lanes[GUST_PANEL_ROWS] = {0}, energy = 0;
  for (size_t k = 0; k < k_padded; k++)
    for (size_t r = 0; r < GUST_PANEL_ROWS; r++)
      lanes[r] += (double)values[GUST_PANEL_ROWS * k + r] * (double)values[GUST_PANEL_ROWS * k + r];
  for (size_t r = 0; r < GUST_PANEL_ROWS; r++) energy += lanes[r];
  return energy;
}

static void pack_panel(const group_job *job, size_t panel, unsigned worker) {
  tensor_packer *packer = job->packer;
  panel_result *result = &packer->results[panel];
  float *values = packer->scratch[worker];
  *result = (panel_result){0};
  load_values(job, panel, values, result);
  if (result->bad) return;
  result->energy = energy_of(values, job->k_padded);
  uint8_t *packed = packer->groups[packer->filling].bytes + panel * job->panel_bytes;
  uint8_t *row_codes = job->row_codes + panel * GUST_PANEL_ROWS;
  result->error =
      gust_panel_pack(&packer->kernels, job->type, values, NULL, job->k_padded, packed, row_codes);
}

/* What only one thread can do goes first, while the others begin with panels. */
enum { ITEM_HASH, ITEM_WRITE, ITEM_PANELS };

static void group_items(void *arg, size_t begin, size_t end, unsigned worker) {
  const group_job *job = arg;
  for (size_t i = begin; i < end; i++) {
    if (i >= ITEM_PANELS) {
      pack_panel(job, i - ITEM_PANELS, worker);
    } else if (i == ITEM_WRITE) {
      if (job->packer->waiting) write_waiting(job->packer);
    } else {
      os_will_need(&job->file->map, job->at + job->bytes, job->ahead);
      if (job->hash) gust_sha256_update(job->hash, job->file->map.data + job->at, job->bytes);
    }
  }
}

/* --- one tensor ---------------------------------------------------------------------- */

static gust_status take_results(const group_job *job, size_t panels, packed_tensor *tensor,
                                gust_error *err) {
  for (size_t i = 0; i < panels; i++) {
    const panel_result *result = &job->packer->results[i];
    if (result->bad)
      return gust_fail(err, GUST_E_FORMAT,
                       "%s: tensor '%s': expected finite weights, found NaN or infinity in row "
                       "%zu, column %zu; the checkpoint is damaged",
                       job->file->path, job->source->name,
                       job->first_panel * GUST_PANEL_ROWS + result->bad_row, result->bad_column);
    tensor->error += result->error;
    tensor->energy += result->energy;
  }
  return GUST_OK;
}

/* Packs `count` panels from job->first_panel, of `panels`, while the group before
 * them is written. */
static gust_status pack_group(group_job *job, size_t count, size_t panels, packed_tensor *tensor,
                              gust_error *err) {
  tensor_packer *packer = job->packer;
  size_t code_bytes = gust_type_is_quantized(job->type) ? gust_row_code_bytes(panels) : 0;
  size_t bytes = count * job->panel_bytes;
  bool first = job->first_panel == 0, last = job->first_panel + count == panels;
  gust_status status = reserve_group(packer, bytes + code_bytes, err);
  if (status) return status;
  gust_pool_run(packer->pool, group_items, job, count + ITEM_PANELS, 1);
  os_dont_need(&job->file->map, job->at, job->bytes);
  if (packer->waiting) status = take_written(packer, err);
  if (!status) status = safetensors_check(job->file, err);
  if (!status) status = take_results(job, count, tensor, err);
  if (status) return status;
  uint8_t *out = packer->groups[packer->filling].bytes;
  if (last && code_bytes) {
    memcpy(out + bytes, packer->row_codes, code_bytes);
    bytes += code_bytes;
  }
  if (last) {
    if (job->hash) tensor->hash = job->hash->state;
    packer->written = *tensor;
  }
  hand_over(packer, bytes, tensor->target->offset + job->first_panel * job->panel_bytes, first,
            last);
  return report(packer, job->bytes, err);
}

static gust_status pack_matrix(tensor_packer *packer, const safetensors_file *file,
                               const safetensors_tensor *source, gust_tensor *target,
                               gust_sha256 *hash, gust_error *err) {
  size_t rows = (size_t)target->shape[0], columns = (size_t)target->shape[1];
  size_t row_bytes = columns * safetensors_element_bytes(source->dtype);
  size_t panels = (rows + GUST_PANEL_ROWS - 1) / GUST_PANEL_ROWS;
  size_t per_group = GROUP_BYTES / (row_bytes * GUST_PANEL_ROWS);
  if (per_group == 0) per_group = 1;
  if (per_group > panels) per_group = panels;
  group_job job = {.packer = packer,
                   .file = file,
                   .source = source,
                   .columns = columns,
                   .k_padded = gust_round_up(columns, GUST_TILE_K),
                   .type = target->type,
                   .hash = hash};
  job.panel_bytes = gust_type_panel_bytes(target->type, job.k_padded);
  packed_tensor tensor = {.target = target};
  size_t scratch = GUST_PANEL_ROWS * job.k_padded * sizeof(float);
  size_t code_bytes = gust_row_code_bytes(panels);
  gust_status status = reserve_scratch(packer, scratch, err);
  if (!status) status = reserve_results(packer, per_group, code_bytes, err);
  if (status) return status;
  memset(packer->row_codes, 0, code_bytes);
  for (size_t panel = 0; panel < panels && !status; panel += per_group) {
    size_t count = panels - panel < per_group ? panels - panel : per_group;
    size_t first_row = panel * GUST_PANEL_ROWS;
    job.first_panel = panel;
    job.rows = count * GUST_PANEL_ROWS;
    if (job.rows > rows - first_row) job.rows = rows - first_row;
    job.at = source->offset + first_row * row_bytes;
    job.bytes = job.rows * row_bytes;
    job.ahead = per_group * GUST_PANEL_ROWS * row_bytes;
    job.row_codes = packer->row_codes + first_row;
    status = pack_group(&job, count, panels, &tensor, err);
  }
  return status;
}

/* Norms are small: one thread, one piece. */
static gust_status pack_vector(tensor_packer *packer, const safetensors_file *file,
                               const safetensors_tensor *source, gust_tensor *target,
                               gust_sha256 *hash, gust_error *err) {
  size_t count = (size_t)target->shape[0];
  size_t bytes = gust_round_up(count, GUST_TILE_K) * sizeof(float);
  const uint8_t *data = file->map.data + source->offset;
  gust_status status = tensor_packer_flush(packer, err);
  if (!status) status = reserve_group(packer, bytes, err);
  if (status) return status;
  float *values = (float *)(void *)packer->groups[packer->filling].bytes;
  memset(values, 0, bytes);
  size_t finite = safetensors_to_floats(source->dtype, data, count, values);
  if (hash) gust_sha256_update(hash, data, source->bytes);
  status = safetensors_check(file, err);
  if (status) return status;
  if (finite < count)
    return gust_fail(err, GUST_E_FORMAT,
                     "%s: tensor '%s': expected finite weights, found NaN or infinity in row 0, "
                     "column %zu; the checkpoint is damaged",
                     file->path, source->name, finite);
  packer->written = (packed_tensor){.target = target};
  for (size_t i = 0; i < count; i++)
    packer->written.energy += (double)values[i] * (double)values[i];
  if (hash) packer->written.hash = hash->state;
  hand_over(packer, bytes, target->offset, true, true);
  return report(packer, source->bytes, err);
}

gust_status tensor_packer_run(tensor_packer *packer, const safetensors_file *file,
                              const safetensors_tensor *source, gust_tensor *target,
                              gust_sha256 *hash, gust_error *err) {
  if (target->rank == 1) return pack_vector(packer, file, source, target, hash, err);
  return pack_matrix(packer, file, source, target, hash, err);
}

#include "sensitivity.h"

#include <stdlib.h>

#include "layer_matrix.h"
#include "os.h"
#include "quantizers.h"

typedef struct panel_error {
  double q4, q8, energy;
} panel_error;

typedef struct measuring {
  const layer_matrix *m;
  const gust_kernels *kernels;
  uint8_t *scratch; /* per worker */
  size_t scratch_bytes, values_bytes;
  panel_error *errors;
} measuring;

static void measure_panels(void *arg, size_t begin, size_t end, unsigned worker) {
  const measuring *job = arg;
  const layer_matrix *m = job->m;
  float *values = (float *)(void *)(job->scratch + worker * job->scratch_bytes);
  float *row = values + GUST_PANEL_ROWS * m->k_padded;
  uint8_t *packed = (uint8_t *)values + job->values_bytes, row_codes[GUST_PANEL_ROWS];
  for (size_t p = begin; p < end; p++) {
    panel_error *e = &job->errors[p];
    layer_matrix_load(m, false, p, row, values);
    e->energy = 0;
    for (size_t i = 0; i < GUST_PANEL_ROWS * m->k_padded; i++)
      e->energy += (double)values[i] * (double)values[i];
    e->q4 =
        gust_panel_pack(job->kernels, GUST_TYPE_Q4, values, NULL, m->k_padded, packed, row_codes);
    e->q8 =
        gust_panel_pack(job->kernels, GUST_TYPE_Q8, values, NULL, m->k_padded, packed, row_codes);
  }
}

static gust_status measure(const layer_matrix *m, const gust_kernels *kernels, gust_pool *pool,
                           tensor_sensitivity *s, gust_error *err) {
  gust_status status = layer_matrix_check(m, pool, err);
  if (status) return status;
  measuring job = {.m = m, .kernels = kernels};
  job.values_bytes = (GUST_PANEL_ROWS + 1) * m->k_padded * sizeof(float);
  job.scratch_bytes =
      gust_round_up(job.values_bytes + gust_type_panel_bytes(GUST_TYPE_Q8, m->k_padded), 64);
  job.scratch = malloc(gust_pool_threads(pool) * job.scratch_bytes);
  job.errors = calloc(m->panel_count, sizeof *job.errors);
  if (job.scratch && job.errors) {
    panel_error sum = {0, 0, 0};
    gust_pool_run(pool, measure_panels, &job, m->panel_count, 1);
    for (size_t p = 0; p < m->panel_count; p++) {
      sum.q4 += job.errors[p].q4;
      sum.q8 += job.errors[p].q8;
      sum.energy += job.errors[p].energy;
    }
    if (sum.energy > 0) *s = (tensor_sensitivity){sum.q4 / sum.energy, sum.q8 / sum.energy};
  } else {
    status = gust_fail_memory(err, "sensitivity", job.scratch_bytes);
  }
  free(job.scratch);
  free(job.errors);
  return status;
}

gust_status sensitivity_measure(const checkpoint *source, const tensor_map *map,
                                gust_header *header, const bool *kept, const gust_kernels *kernels,
                                gust_pool *pool, bool (*progress)(void *user, uint64_t bytes),
                                void *user, tensor_sensitivity *sensitivities, gust_error *err) {
  for (size_t s = 0; s < source->shard_count; s++) {
    const safetensors_file *file = &source->shards[s].file;
    for (size_t t = 0; t < file->tensor_count; t++) {
      size_t i = map->targets[s][t];
      if (i == TENSOR_MAP_NONE || kept[i]) continue;
      layer_matrix m = layer_matrix_of(file, &file->tensors[t], &header->tensors[i]);
      if (!tensor_types_is_quantized(m.target)) continue;
      gust_status status = measure(&m, kernels, pool, &sensitivities[i], err);
      os_dont_need(&file->map, file->tensors[t].offset, file->tensors[t].bytes);
      if (!status && progress(user, m.source->bytes))
        status = gust_fail(err, GUST_E_CANCELLED, "measuring was stopped");
      if (status) return status;
    }
  }
  return GUST_OK;
}

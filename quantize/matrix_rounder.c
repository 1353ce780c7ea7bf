#include "matrix_rounder.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "error_feedback.h"
#include "os.h"

/* How much weaker than the text shows them correlations of inputs are taken to be
 * (covariance.h); docs/CALIBRATION.md has the measurements. */
#define DAMPING 1.0f

/* Groups of panels between two calls of progress, for each thread. */
#define GROUPS_PER_CALL 8u

/* A worker's memory for panels of k columns. */
typedef struct group_memory {
  float *values;   /* [FEEDBACK_PANELS][k][16] */
  float *original; /* one panel, as the source has it */
  float *row;      /* [k] */
  float *scratch;
} group_memory;

static size_t scratch_floats(size_t k, size_t tokens) {
  size_t feedback = feedback_scratch_floats(k), correction = output_correction_floats(k, tokens);
  return feedback > correction ? feedback : correction;
}

static group_memory memory_of(const matrix_rounder *r, unsigned worker, size_t k) {
  group_memory m;
  m.values = (float *)(void *)r->scratch[worker];
  m.original = m.values + FEEDBACK_PANELS * GUST_PANEL_ROWS * k;
  m.row = m.original + GUST_PANEL_ROWS * k;
  m.scratch = m.row + k;
  return m;
}

gust_status matrix_rounder_create(matrix_rounder *r, size_t widest, size_t tokens,
                                  size_t lag_stride, const gust_kernels *kernels, gust_pool *pool,
                                  bool (*progress)(void *user, uint64_t bytes), void *user,
                                  gust_error *err) {
  *r = (matrix_rounder){
      .pool = pool, .tokens = tokens, .lag_stride = lag_stride, .progress = progress, .user = user};
  gust_status status = covariance_create(&r->input, widest, kernels, pool, err);
  if (status) return status;
  unsigned threads = gust_pool_threads(pool);
  r->scratch_bytes = sizeof(float) * ((FEEDBACK_PANELS + 1) * GUST_PANEL_ROWS * widest + widest +
                                      scratch_floats(widest, tokens));
  r->scratch = calloc(threads, sizeof *r->scratch);
  if (!r->scratch) return gust_fail_memory(err, "calibration", threads * sizeof *r->scratch);
  for (unsigned i = 0; i < threads; i++) {
    r->scratch[i] = os_reserve(r->scratch_bytes);
    if (!r->scratch[i] || !os_commit(r->scratch[i], 0, r->scratch_bytes))
      return gust_fail_memory(err, "calibration", r->scratch_bytes);
  }
  return GUST_OK;
}

void matrix_rounder_destroy(matrix_rounder *r) {
  if (r->scratch)
    for (unsigned i = 0; i < gust_pool_threads(r->pool); i++)
      if (r->scratch[i]) os_release(r->scratch[i], r->scratch_bytes);
  free(r->scratch);
  covariance_destroy(&r->input);
  memset(r, 0, sizeof *r);
}

gust_status matrix_rounder_pause(const matrix_rounder *r, gust_error *err) {
  if (!r->progress(r->user, 0)) return GUST_OK;
  return gust_fail(err, GUST_E_CANCELLED, "calibration was stopped");
}

/* --- inputs ------------------------------------------------------------------------------- */

static gust_status fail_inputs(const layer_matrix *m, gust_error *err) {
  return gust_fail(err, GUST_E_FORMAT,
                   "%s: tensor '%s': expected inputs whose squares float32 can hold, found NaN, "
                   "infinity or too large a number; the checkpoint is damaged or not made for the "
                   "calibration text",
                   m->file->path, m->source->name);
}

typedef struct check_job {
  const float *values;
  size_t stride;
  bool *bad; /* per row */
} check_job;

static void check_rows(void *arg, size_t begin, size_t end, unsigned worker) {
  (void)worker;
  const check_job *job = arg;
  for (size_t t = begin; t < end; t++) {
    const float *row = job->values + t * job->stride;
    size_t i = 0;
    while (i < job->stride && isfinite(row[i])) i++;
    job->bad[t] = i < job->stride;
  }
}

/* Whether all of values [tokens][stride] are finite. */
static gust_status check_finite(const matrix_rounder *r, const layer_matrix *m, const float *values,
                                size_t stride, gust_error *err) {
  if (!values) return GUST_OK;
  check_job job = {values, stride, calloc(r->tokens, sizeof *job.bad)};
  if (!job.bad) return gust_fail_memory(err, "check of activations", r->tokens);
  gust_pool_run(r->pool, check_rows, &job, r->tokens, 16);
  size_t t = 0;
  while (t < r->tokens && !job.bad[t]) t++;
  free(job.bad);
  return t == r->tokens ? GUST_OK : fail_inputs(m, err);
}

/* Sums of squares by column. They bound all sums of products there will be. */
static gust_status find_moments(const matrix_rounder *r, const layer_matrix *m, const float *x,
                                double *moments, gust_error *err) {
  size_t k = m->k_padded;
  for (size_t t = 0; t < r->tokens; t++)
    for (size_t i = 0; i < m->columns; i++)
      moments[i] += (double)x[t * k + i] * (double)x[t * k + i];
  for (size_t i = 0; i < m->columns; i++)
    if (!(moments[i] <= (double)FLT_MAX / 2)) return fail_inputs(m, err);
  return GUST_OK;
}

gust_status matrix_rounder_begin(matrix_rounder *r, const layer_matrix *m, const float *x,
                                 const float *difference, const float *lag, gust_error *err) {
  size_t k = m->k_padded;
  double *moments = calloc(k, sizeof *moments);
  if (!moments) return gust_fail_memory(err, "moments of a layer's inputs", k * sizeof *moments);
  gust_status status = find_moments(r, m, x, moments, err);
  if (!status) status = check_finite(r, m, difference, k, err);
  if (!status) status = check_finite(r, m, lag, r->lag_stride, err);
  if (!status) status = covariance_begin(&r->input, m->columns, moments, err);
  free(moments);
  for (size_t t = 0; t < r->tokens && !status; t += COVARIANCE_ROWS) {
    covariance_add(&r->input, x + t * k, k,
                   r->tokens - t < COVARIANCE_ROWS ? r->tokens - t : COVARIANCE_ROWS);
    status = matrix_rounder_pause(r, err);
  }
  r->correction = (output_correction){.input = &r->input,
                                      .x = x,
                                      .difference = difference,
                                      .lag = lag,
                                      .lag_stride = r->lag_stride,
                                      .tokens = r->tokens};
  return status ? status : covariance_factor(&r->input, DAMPING, r->progress, r->user, err);
}

/* --- rounding ----------------------------------------------------------------------------- */

/* Sums of one group, added up in the order of groups. */
typedef struct group_result {
  double error, energy;     /* rounding: sum (w - w')^2, sum w^2 */
  double q4, q8, of_output; /* measuring: tr(dW H dW^T) of either type, tr(W H W^T) */
} group_result;

typedef struct matrix_job {
  const matrix_rounder *r;
  const layer_matrix *m;
  size_t first;    /* group of item 0 */
  uint8_t *packed; /* measuring: room for the matrix in q8 */
  group_result *results;
} matrix_job;

/* Loads a group's panels; returns how many. */
static size_t load_group(const layer_matrix *m, size_t group, const group_memory *memory) {
  size_t panel = group * FEEDBACK_PANELS, left = m->panel_count - panel;
  size_t count = left < FEEDBACK_PANELS ? left : FEEDBACK_PANELS;
  for (size_t p = 0; p < count; p++)
    layer_matrix_load(m, false, panel + p, memory->row,
                      memory->values + p * GUST_PANEL_ROWS * m->k_padded);
  return count;
}

static void add_error(group_result *result, const float *original, const float *rounded,
                      size_t count) {
  for (size_t i = 0; i < count; i++) {
    double d = (double)original[i] - (double)rounded[i];
    result->error += d * d;
    result->energy += (double)original[i] * (double)original[i];
  }
}

/* Items: groups of panels. */
static void round_groups(void *arg, size_t begin, size_t end, unsigned worker) {
  const matrix_job *job = arg;
  const layer_matrix *m = job->m;
  size_t floats = GUST_PANEL_ROWS * m->k_padded;
  group_memory memory = memory_of(job->r, worker, m->k_padded);
  for (size_t group = job->first + begin; group < job->first + end; group++) {
    size_t panel = group * FEEDBACK_PANELS, count = load_group(m, group, &memory);
    output_correct(&job->r->correction, memory.values, panel, count, memory.scratch);
    feedback_round(m->target->type, &job->r->input, memory.values, count, memory.scratch,
                   m->packed + panel * m->panel_bytes,
                   layer_matrix_row_codes(m) + panel * GUST_PANEL_ROWS);
    for (size_t p = 0; p < count; p++) {
      layer_matrix_load(m, false, panel + p, memory.row, memory.original);
      add_error(&job->results[group], memory.original, memory.values + p * floats, floats);
    }
  }
}

static void measure_groups(void *arg, size_t begin, size_t end, unsigned worker) {
  const matrix_job *job = arg;
  const layer_matrix *m = job->m;
  const covariance *input = &job->r->input;
  size_t bytes = FEEDBACK_PANELS * gust_type_panel_bytes(GUST_TYPE_Q8, m->k_padded);
  uint8_t row_codes[FEEDBACK_PANELS * GUST_PANEL_ROWS];
  group_memory memory = memory_of(job->r, worker, m->k_padded);
  for (size_t group = job->first + begin; group < job->first + end; group++) {
    group_result *result = &job->results[group];
    uint8_t *packed = job->packed + group * bytes;
    size_t count = load_group(m, group, &memory);
    result->of_output = feedback_energy(input, memory.values, count, memory.scratch);
    result->q4 = feedback_round(GUST_TYPE_Q4, input, memory.values, count, memory.scratch, packed,
                                row_codes);
    load_group(m, group, &memory);
    result->q8 = feedback_round(GUST_TYPE_Q8, input, memory.values, count, memory.scratch, packed,
                                row_codes);
  }
}

/* Runs over all groups, with calls of progress in between. Results to be freed. */
static gust_status run_groups(matrix_rounder *r, matrix_job *job, gust_pool_fn *fn,
                              group_result *sum, gust_error *err) {
  const layer_matrix *m = job->m;
  size_t groups = (m->panel_count + FEEDBACK_PANELS - 1) / FEEDBACK_PANELS;
  size_t step = (size_t)GROUPS_PER_CALL * gust_pool_threads(r->pool), told = 0;
  job->results = calloc(groups, sizeof *job->results);
  if (!job->results) return gust_fail_memory(err, "calibration", groups * sizeof *job->results);
  gust_status status = GUST_OK;
  for (job->first = 0; job->first < groups && !status; job->first += step) {
    size_t count = groups - job->first < step ? groups - job->first : step;
    gust_pool_run(r->pool, fn, job, count, 1);
    size_t done = job->first + count == groups ? m->source->bytes
                                               : m->source->bytes / groups * (job->first + count);
    if (r->progress(r->user, done - told))
      status = gust_fail(err, GUST_E_CANCELLED, "calibration was stopped");
    told = done;
  }
  *sum = (group_result){0, 0, 0, 0, 0};
  for (size_t i = 0; i < groups; i++) {
    sum->error += job->results[i].error;
    sum->energy += job->results[i].energy;
    sum->q4 += job->results[i].q4;
    sum->q8 += job->results[i].q8;
    sum->of_output += job->results[i].of_output;
  }
  free(job->results);
  return status;
}

gust_status matrix_rounder_run(matrix_rounder *r, layer_matrix *m, gust_error *err) {
  matrix_job job = {.r = r, .m = m};
  group_result sum;
  gust_status status = run_groups(r, &job, round_groups, &sum, err);
  if (status) return status;
  m->error = sum.error;
  m->energy = sum.energy;
  return GUST_OK;
}

gust_status matrix_rounder_measure(matrix_rounder *r, const layer_matrix *m,
                                   tensor_sensitivity *sensitivity, gust_error *err) {
  size_t panels = gust_round_up(m->panel_count, FEEDBACK_PANELS);
  size_t bytes = panels * gust_type_panel_bytes(GUST_TYPE_Q8, m->k_padded);
  matrix_job job = {.r = r, .m = m, .packed = malloc(bytes)};
  if (!job.packed) return gust_fail_memory(err, "sensitivity of a matrix", bytes);
  group_result sum;
  gust_status status = run_groups(r, &job, measure_groups, &sum, err);
  free(job.packed);
  if (!status && sum.of_output > 0)
    *sensitivity = (tensor_sensitivity){sum.q4 / sum.of_output, sum.q8 / sum.of_output};
  return status;
}

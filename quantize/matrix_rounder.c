#include "matrix_rounder.h"

#include <stdlib.h>
#include <string.h>

#include "error_feedback.h"
#include "os.h"

/* Added to the covariance's diagonal, relative to its mean; how much of a
 * correction is taken, and how much of the stream's lag it is to make up for.
 * docs/QUALITY.md has the measurements. */
#define DAMPING 0.1f
#define STRENGTH 0.5f
#define LAG_SHARE 0.5f

/* Groups of panels between two calls of progress, for each thread. */
#define GROUPS_PER_CALL 8u

static float knob(const char *n, float d) {
  return getenv(n) ? (float)atof(getenv(n)) : d;
}

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

gust_status matrix_rounder_begin(matrix_rounder *r, size_t columns, const float *x,
                                 const float *difference, const float *lag, gust_error *err) {
  size_t k = gust_round_up(columns, GUST_TILE_K);
  double *moments = calloc(k, sizeof *moments);
  if (!moments) return gust_fail_memory(err, "moments of a layer's inputs", k * sizeof *moments);
  for (size_t t = 0; t < r->tokens; t++)
    for (size_t i = 0; i < columns; i++) moments[i] += (double)x[t * k + i] * (double)x[t * k + i];
  gust_status status = covariance_begin(&r->input, columns, moments, err);
  free(moments);
  if (status) return status;
  for (size_t t = 0; t < r->tokens; t += COVARIANCE_ROWS)
    covariance_add(&r->input, x + t * k, k,
                   r->tokens - t < COVARIANCE_ROWS ? r->tokens - t : COVARIANCE_ROWS);
  r->correction = (output_correction){.input = &r->input,
                                      .x = x,
                                      .difference = difference,
                                      .lag = lag,
                                      .lag_stride = r->lag_stride,
                                      .lag_share = knob("RES", LAG_SHARE),
                                      .strength = knob("ALPHA", STRENGTH),
                                      .tokens = r->tokens};
  return covariance_factor(&r->input, knob("DAMP", DAMPING), err);
}

/* --- one matrix ----------------------------------------------------------------------------- */

/* Sums of one group, added in the order of groups. */
typedef struct group_result {
  double error, energy;
} group_result;

typedef struct matrix_job {
  const matrix_rounder *r;
  const layer_matrix *m;
  size_t first; /* group of item 0 */
  group_result *results;
} matrix_job;

static void add_error(group_result *result, const float *original, const float *rounded,
                      size_t count) {
  for (size_t i = 0; i < count; i++) {
    double d = (double)original[i] - (double)rounded[i];
    result->error += d * d;
    result->energy += (double)original[i] * (double)original[i];
  }
}

static void round_groups(void *arg, size_t begin, size_t end, unsigned worker) {
  const matrix_job *job = arg;
  const layer_matrix *m = job->m;
  size_t floats = GUST_PANEL_ROWS * m->k_padded;
  group_memory memory = memory_of(job->r, worker, m->k_padded);
  for (size_t group = job->first + begin; group < job->first + end; group++) {
    size_t panel = group * FEEDBACK_PANELS, left = m->panel_count - panel;
    size_t count = left < FEEDBACK_PANELS ? left : FEEDBACK_PANELS;
    for (size_t p = 0; p < count; p++)
      layer_matrix_load(m, false, panel + p, memory.row, memory.values + p * floats);
    output_correct(&job->r->correction, memory.values, panel, count, memory.scratch);
    feedback_round(m->target->type, &job->r->input, memory.values, count, memory.scratch,
                   m->packed + panel * m->panel_bytes,
                   layer_matrix_row_codes(m) + panel * GUST_PANEL_ROWS);
    job->results[group] = (group_result){0, 0};
    for (size_t p = 0; p < count; p++) {
      layer_matrix_load(m, false, panel + p, memory.row, memory.original);
      add_error(&job->results[group], memory.original, memory.values + p * floats, floats);
    }
  }
}

static gust_status round_all(matrix_rounder *r, const layer_matrix *m, group_result *results,
                             size_t groups, gust_error *err) {
  size_t step = GROUPS_PER_CALL * gust_pool_threads(r->pool);
  size_t group_bytes = m->source->bytes / groups;
  for (size_t first = 0; first < groups; first += step) {
    size_t count = groups - first < step ? groups - first : step;
    matrix_job job = {r, m, first, results};
    gust_pool_run(r->pool, round_groups, &job, count, 1);
    size_t bytes = count * group_bytes;
    if (first + count == groups) bytes += m->source->bytes % groups;
    if (r->progress(r->user, bytes))
      return gust_fail(err, GUST_E_CANCELLED, "calibration was stopped; nothing is left of it");
  }
  return GUST_OK;
}

gust_status matrix_rounder_run(matrix_rounder *r, layer_matrix *m, gust_error *err) {
  size_t groups = (m->panel_count + FEEDBACK_PANELS - 1) / FEEDBACK_PANELS;
  group_result *results = calloc(groups, sizeof *results);
  if (!results) return gust_fail_memory(err, "calibration", groups * sizeof *results);
  gust_status status = round_all(r, m, results, groups, err);
  m->error = m->energy = 0;
  for (size_t i = 0; i < groups; i++) {
    m->error += results[i].error;
    m->energy += results[i].energy;
  }
  free(results);
  return status;
}

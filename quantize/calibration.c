#include "calibration.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calibration_forward.h"
#include "checksum.h"
#include "covariance.h"
#include "error_feedback.h"
#include "tokenizer.h"

#define NAME_BYTES 96
#define DAMPING 0.01f

typedef enum layer_part {
  PART_Q,
  PART_K,
  PART_V,
  PART_O,
  PART_GATE,
  PART_UP,
  PART_DOWN,
  PARTS
} layer_part;

static const char *const part_names[PARTS] = {
    "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
    "mlp.gate_proj",    "mlp.up_proj",      "mlp.down_proj"};

typedef struct run {
  const calibration *job;
  const gust_config *config;
  int32_t *ids;
  size_t tokens;
  calibration_forward forward;
  calibration_stream exact, rounded;
  covariance input;
  float **scratch; /* per worker */
  float *norm;
  layer_matrix parts[PARTS], head;
  uint64_t done, total;
} run;

/* --- tensors ------------------------------------------------------------------------------ */

static layer_matrix find_matrix(const run *r, const char *name) {
  const checkpoint_entry *entry = checkpoint_find(r->job->source, name);
  size_t i = 0;
  while (strcmp(r->job->header->tensors[i].name, name) != 0) i++;
  return layer_matrix_of(&r->job->source->shards[entry->shard].file,
                         checkpoint_tensor(r->job->source, entry), &r->job->header->tensors[i]);
}

static void load_norm(run *r, const char *name) {
  layer_matrix m = find_matrix(r, name);
  safetensors_to_floats(m.source->dtype, m.file->map.data + m.source->offset, m.rows, r->norm);
}

/* --- rounding ------------------------------------------------------------------------------- */

typedef struct rounding_job {
  run *r;
  layer_matrix *m;
  feedback_result *results; /* per group */
  double *errors, *energies;
} rounding_job;

static void round_groups(void *arg, size_t begin, size_t end, unsigned worker) {
  const rounding_job *job = arg;
  const layer_matrix *m = job->m;
  size_t floats = GUST_PANEL_ROWS * m->k_padded;
  float *rows = job->r->scratch[worker], *weights = rows + floats;
  float *scratch = weights + FEEDBACK_PANELS * floats;
  for (size_t item = begin; item < end; item++) {
    size_t first = item * FEEDBACK_PANELS, left = m->panel_count - first;
    size_t count = left < FEEDBACK_PANELS ? left : FEEDBACK_PANELS;
    double error = 0, energy = 0;
    for (size_t p = 0; p < count; p++)
      layer_matrix_load(m, false, first + p, rows, weights + p * floats);
    for (size_t i = 0; i < count * floats; i++) energy += (double)weights[i] * (double)weights[i];
    job->results[item] = feedback_round(
        m->target->type, &job->r->input, weights, count, scratch, m->packed + first * m->panel_bytes,
        layer_matrix_row_codes(m) + first * GUST_PANEL_ROWS);
    for (size_t p = 0; p < count; p++) {
      layer_matrix_load(m, false, first + p, rows, scratch);
      for (size_t i = 0; i < floats; i++) {
        double d = (double)scratch[i] - (double)weights[p * floats + i];
        error += d * d;
      }
    }
    job->errors[item] = error;
    job->energies[item] = energy;
  }
}

static gust_status round_matrix(run *r, layer_matrix *m, gust_error *err) {
  gust_type type = m->target->type;
  if (type != GUST_TYPE_Q4 && type != GUST_TYPE_Q8) return GUST_OK;
  size_t groups = (m->panel_count + FEEDBACK_PANELS - 1) / FEEDBACK_PANELS;
  m->packed_bytes = (size_t)m->target->bytes;
  m->packed = calloc(1, m->packed_bytes);
  rounding_job job = {r, m, calloc(groups, sizeof(feedback_result)), calloc(groups, sizeof(double)),
                      calloc(groups, sizeof(double))};
  gust_status status = GUST_OK;
  if (m->packed && job.results && job.errors && job.energies) {
    gust_pool_run(r->job->pool, round_groups, &job, groups, 1);
    calibrated_tensor *t = &r->job->tensors[m->target - r->job->header->tensors];
    double cost = 0;
    for (size_t i = 0; i < groups; i++) {
      t->error += job.errors[i];
      t->energy += job.energies[i];
      cost += job.results[i].cost;
    }
    if (getenv("VERB"))
      fprintf(stderr, "%s cost %g rms %g\n", m->target->name, cost, sqrt(t->error / t->energy));
  } else {
    status = gust_fail_memory(err, "rounded matrix", m->packed_bytes);
  }
  free(job.results);
  free(job.errors);
  free(job.energies);
  return status;
}

static gust_status factor_input(run *r, const float *x, size_t columns, gust_error *err) {
  size_t k = gust_round_up(columns, GUST_TILE_K);
  double *moments = calloc(k, sizeof *moments);
  if (!moments) return gust_fail_memory(err, "moments", k * sizeof *moments);
  for (size_t t = 0; t < r->tokens; t++)
    for (size_t i = 0; i < columns; i++)
      moments[i] += (double)x[t * k + i] * (double)x[t * k + i];
  covariance_begin(&r->input, columns, moments);
  free(moments);
  for (size_t t = 0; t < r->tokens; t += COVARIANCE_ROWS) {
    size_t n = r->tokens - t < COVARIANCE_ROWS ? r->tokens - t : COVARIANCE_ROWS;
    covariance_add(&r->input, x + t * k, k, n);
  }
  return covariance_factor(&r->input, getenv("DAMP") ? (float)atof(getenv("DAMP")) : DAMPING, err);
}

static gust_status round_parts(run *r, const float *x, layer_part first, layer_part last,
                               gust_error *err) {
  gust_status status = factor_input(r, x, r->parts[first].columns, err);
  for (layer_part i = first; i <= last && !status; i++) status = round_matrix(r, &r->parts[i], err);
  return status;
}

static gust_status put_matrix(run *r, layer_matrix *m, gust_error *err) {
  gust_status status = GUST_OK;
  if (m->packed) {
    m->target->checksum = gust_xxh64_of(m->packed, m->packed_bytes, 0);
    status = file_writer_put(r->job->writer, m->packed, m->packed_bytes, m->target->offset, err);
    r->job->tensors[m->target - r->job->header->tensors].done = true;
  }
  layer_matrix_clear(m);
  return status;
}

/* --- layers ----------------------------------------------------------------------------------- */

static void norm_both(run *r, const char *name) {
  load_norm(r, name);
  calibration_norm(&r->forward, &r->exact, r->norm);
  calibration_norm(&r->forward, &r->rounded, r->norm);
}

static gust_status run_layer(run *r, uint32_t layer, gust_error *err) {
  char name[NAME_BYTES];
  const calibration_forward *f = &r->forward;
  calibration_stream *streams[2] = {&r->exact, &r->rounded};
  layer_matrix *p = r->parts;
  for (int i = 0; i < PARTS; i++) {
    snprintf(name, sizeof name, "model.layers.%u.%s.weight", layer, part_names[i]);
    p[i] = find_matrix(r, name);
  }
  snprintf(name, sizeof name, "model.layers.%u.input_layernorm.weight", layer);
  norm_both(r, name);
  gust_status status = round_parts(r, r->rounded.normed, PART_Q, PART_V, err);
  if (status) return status;
  for (int i = 0; i < 2; i++)
    calibration_attend(f, streams[i], &p[PART_Q], &p[PART_K], &p[PART_V]);
  status = round_parts(r, r->rounded.attended, PART_O, PART_O, err);
  if (status) return status;
  for (int i = 0; i < 2; i++)
    calibration_project(f, streams[i], &p[PART_O], streams[i]->attended);
  snprintf(name, sizeof name, "model.layers.%u.post_attention_layernorm.weight", layer);
  norm_both(r, name);
  status = round_parts(r, r->rounded.normed, PART_GATE, PART_UP, err);
  if (status) return status;
  for (int i = 0; i < 2; i++) calibration_gate(f, streams[i], &p[PART_GATE], &p[PART_UP]);
  status = round_parts(r, r->rounded.gated, PART_DOWN, PART_DOWN, err);
  if (status) return status;
  for (int i = 0; i < 2; i++) calibration_project(f, streams[i], &p[PART_DOWN], streams[i]->gated);
  for (int i = 0; i < PARTS && !status; i++) status = put_matrix(r, &p[i], err);
  return status;
}

static gust_status run_head(run *r, gust_error *err) {
  if (r->config->tied_head) return GUST_OK;
  norm_both(r, "model.norm.weight");
  r->head = find_matrix(r, "lm_head.weight");
  gust_status status = factor_input(r, r->rounded.normed, r->head.columns, err);
  if (!status) status = round_matrix(r, &r->head, err);
  return status ? status : put_matrix(r, &r->head, err);
}

/* --- set up -------------------------------------------------------------------------------------- */

static gust_status tokenize(run *r, gust_error *err) {
  const gust_header *header = r->job->header;
  gust_tokenizer *tokenizer;
  gust_status status = gust_tokenizer_create(&tokenizer, header->tokenizer,
                                             header->tokenizer_bytes, "tokenizer", err);
  if (status) return status;
  int32_t *ids;
  size_t count;
  status = gust_tokenizer_text_to_ids(tokenizer, r->job->text, r->job->text_bytes, false, true,
                                      NULL, 0, &ids, &count, err);
  gust_tokenizer_destroy(tokenizer);
  if (status) return status;
  bool bos = r->config->bos_id >= 0;
  size_t body = CALIBRATION_SEQUENCE - (bos ? 1 : 0);
  size_t most = count + count / body + 1;
  r->ids = malloc(most * sizeof *r->ids);
  if (!r->ids) {
    free(ids);
    return gust_fail_memory(err, "ids", most * sizeof *r->ids);
  }
  for (size_t i = 0; i < count; i++) {
    if (bos && i % body == 0) r->ids[r->tokens++] = r->config->bos_id;
    r->ids[r->tokens++] = ids[i];
  }
  free(ids);
  return GUST_OK;
}

static gust_status set_up(run *r, gust_error *err) {
  const calibration *job = r->job;
  gust_status status = tokenize(r, err);
  if (!status)
    status = calibration_forward_create(&r->forward, r->config, r->ids, r->tokens, job->kernels,
                                        job->pool, err);
  if (!status) status = calibration_stream_create(&r->exact, &r->forward, false, err);
  if (!status) status = calibration_stream_create(&r->rounded, &r->forward, true, err);
  if (status) return status;
  size_t k = r->forward.hidden_stride;
  if (r->forward.q_stride > k) k = r->forward.q_stride;
  if (r->forward.ffn_stride > k) k = r->forward.ffn_stride;
  status = covariance_create(&r->input, k, job->kernels, job->pool, err);
  if (status) return status;
  unsigned threads = gust_pool_threads(job->pool);
  size_t bytes = ((1 + FEEDBACK_PANELS) * GUST_PANEL_ROWS * k + feedback_scratch_floats(k)) *
                 sizeof(float);
  r->scratch = calloc(threads, sizeof *r->scratch);
  r->norm = calloc(k, sizeof *r->norm);
  if (!r->scratch || !r->norm) return gust_fail_memory(err, "calibration", bytes);
  for (unsigned i = 0; i < threads; i++) {
    r->scratch[i] = malloc(bytes);
    if (!r->scratch[i]) return gust_fail_memory(err, "calibration", bytes);
  }
  return GUST_OK;
}

static void tear_down(run *r) {
  for (int i = 0; i < PARTS; i++) layer_matrix_clear(&r->parts[i]);
  layer_matrix_clear(&r->head);
  if (r->scratch)
    for (unsigned i = 0; i < gust_pool_threads(r->job->pool); i++) free(r->scratch[i]);
  free(r->scratch);
  free(r->norm);
  covariance_destroy(&r->input);
  calibration_stream_destroy(&r->exact);
  calibration_stream_destroy(&r->rounded);
  calibration_forward_destroy(&r->forward);
  free(r->ids);
}

gust_status calibration_run(const calibration *job, gust_error *err) {
  run r = {.job = job, .config = &job->header->config};
  gust_status status = set_up(&r, err);
  if (!status) {
    layer_matrix embedding = find_matrix(&r, "model.embed_tokens.weight");
    calibration_embed(&r.forward, &r.exact, &embedding);
    calibration_embed(&r.forward, &r.rounded, &embedding);
  }
  for (uint32_t i = 0; i < r.config->layers && !status; i++) status = run_layer(&r, i, err);
  if (!status) status = run_head(&r, err);
  tear_down(&r);
  return status;
}

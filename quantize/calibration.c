#include "calibration.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calibration_forward.h"
#include "checksum.h"
#include "covariance.h"
#include "matrix_rounder.h"
#include "os.h"
#include "tensor_map.h"

#define NAME_BYTES 96

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
  tensor_sensitivity *sensitivities; /* to be measured, of the matrices not kept, and */
  const bool *kept;                  /* nothing to be rounded; or NULL */
  const gust_config *config;
  calibration_forward forward;
  calibration_stream exact, rounded; /* through the source's weights, the rounded ones */
  matrix_rounder rounder;
  float *norm;
  layer_matrix parts[PARTS], head;
} run;

/* --- tensors ------------------------------------------------------------------------------ */

bool calibration_rounds(const gust_tensor *t) {
  return tensor_types_is_quantized(t) && strcmp(t->name, EMBEDDING_NAME) != 0;
}

static gust_status find_tensor(const run *r, const char *name, layer_matrix *m, gust_error *err) {
  const gust_header *header = r->job->header;
  const checkpoint_entry *entry = checkpoint_find(r->job->source, name);
  size_t i = 0;
  while (i < header->tensor_count && strcmp(header->tensors[i].name, name) != 0) i++;
  if (!entry || i == header->tensor_count)
    return gust_fail(err, GUST_E_FORMAT, "%s: expected a tensor '%s', found none",
                     r->job->source->folder, name);
  *m = layer_matrix_of(&r->job->source->shards[entry->shard].file,
                       checkpoint_tensor(r->job->source, entry), &header->tensors[i]);
  return layer_matrix_check(m, r->job->pool, err);
}

static gust_status norm_both(run *r, const char *name, gust_error *err) {
  layer_matrix m;
  gust_status status = find_tensor(r, name, &m, err);
  if (status) return status;
  safetensors_to_floats(m.source->dtype, m.file->map.data + m.source->offset, m.rows, r->norm);
  calibration_norm(&r->forward, &r->exact, r->norm);
  calibration_norm(&r->forward, &r->rounded, r->norm);
  return GUST_OK;
}

static gust_status find_parts(run *r, uint32_t layer, gust_error *err) {
  gust_status status = GUST_OK;
  for (int i = 0; i < PARTS && !status; i++) {
    char name[NAME_BYTES];
    snprintf(name, sizeof name, "model.layers.%u.%s.weight", layer, part_names[i]);
    status = find_tensor(r, name, &r->parts[i], err);
  }
  return status;
}

static size_t index_of(const run *r, const layer_matrix *m) {
  return (size_t)(m->target - r->job->header->tensors);
}

/* Writes what was rounded, if it is not in the file already, and lets go of it and of
 * the source's pages. */
static gust_status put_matrix(run *r, layer_matrix *m, gust_error *err) {
  const calibration *job = r->job;
  gust_status status = checkpoint_check(job->source, err);
  if (m->packed && !m->restored && !status) {
    m->target->checksum = gust_xxh64_of(m->packed, m->packed_bytes, 0);
    status = file_writer_put(job->writer, m->packed, m->packed_bytes, m->target->offset, err);
  }
  if (m->packed && !status)
    status = job->finished(job->user, index_of(r, m), m->error, m->energy, err);
  layer_matrix_clear(m);
  os_dont_need(&m->file->map, m->source->offset, m->source->bytes);
  return status;
}

/* --- rounding ------------------------------------------------------------------------------- */

/* Whether all of these matrices need no rounding: they are dense, or an interrupted
 * run has left them. */
static gust_status restore_matrices(run *r, layer_matrix *matrices, size_t count, bool *all,
                                    gust_error *err) {
  *all = true;
  for (size_t i = 0; i < count; i++) {
    layer_matrix *m = &matrices[i];
    if (!tensor_types_is_quantized(m->target)) continue;
    gust_status status = layer_matrix_reserve(m, err);
    if (status) return status;
    m->restored = r->job->restore(r->job->user, index_of(r, m), m->packed, &m->error, &m->energy);
    if (!m->restored) {
      memset(m->packed, 0, m->packed_bytes); /* of what may have been read */
      *all = false;
    }
    if (m->restored && r->job->progress(r->job->user, m->source->bytes))
      return gust_fail(err, GUST_E_CANCELLED, "calibration was stopped");
  }
  return GUST_OK;
}

static gust_status measure_matrices(run *r, const layer_matrix *matrices, size_t count,
                                    const float *x, gust_error *err) {
  gust_status status = matrix_rounder_begin(&r->rounder, &matrices[0], x, NULL, NULL, err);
  for (size_t i = 0; i < count && !status; i++) {
    size_t index = index_of(r, &matrices[i]);
    if (tensor_types_is_quantized(matrices[i].target) && !r->kept[index])
      status = matrix_rounder_measure(&r->rounder, &matrices[i], &r->sensitivities[index], err);
  }
  return status;
}

/* Rounds `count` matrices that share their inputs: `x` in the rounded model, and x +
 * difference in the source's. */
static gust_status round_matrices(run *r, layer_matrix *matrices, size_t count, const float *x,
                                  const float *difference, const float *lag, gust_error *err) {
  bool all;
  if (r->sensitivities) return measure_matrices(r, matrices, count, x, err);
  gust_status status = restore_matrices(r, matrices, count, &all, err);
  if (!status && !all)
    status = matrix_rounder_begin(&r->rounder, &matrices[0], x, difference, lag, err);
  for (size_t i = 0; i < count && !status; i++)
    if (tensor_types_is_quantized(matrices[i].target) && !matrices[i].restored)
      status = matrix_rounder_run(&r->rounder, &matrices[i], err);
  return status;
}

/* The residual streams' difference, kept where nothing else is needed just now. */
static const float *lag_of(run *r) {
  calibration_difference(&r->forward, r->rounded.normed, r->exact.x, r->rounded.x,
                         r->forward.hidden_stride);
  return r->rounded.normed;
}

static gust_status round_attention(run *r, gust_error *err) {
  const calibration_forward *f = &r->forward;
  calibration_stream *exact = &r->exact, *rounded = &r->rounded;
  layer_matrix *p = r->parts;
  calibration_attend(f, exact, &p[PART_Q], &p[PART_K], &p[PART_V]);
  calibration_difference(f, exact->normed, exact->normed, rounded->normed, f->hidden_stride);
  gust_status status = matrix_rounder_pause(&r->rounder, err);
  if (!status) status = round_matrices(r, &p[PART_Q], 3, rounded->normed, exact->normed, NULL, err);
  if (status) return status;
  calibration_attend(f, rounded, &p[PART_Q], &p[PART_K], &p[PART_V]);
  const float *lag = lag_of(r);
  status = matrix_rounder_pause(&r->rounder, err);
  if (status) return status;
  calibration_project(f, exact, &p[PART_O], exact->attended);
  calibration_difference(f, exact->attended, exact->attended, rounded->attended, f->q_stride);
  status = round_matrices(r, &p[PART_O], 1, rounded->attended, exact->attended, lag, err);
  if (status) return status;
  calibration_project(f, rounded, &p[PART_O], rounded->attended);
  return matrix_rounder_pause(&r->rounder, err);
}

static gust_status round_feed_forward(run *r, gust_error *err) {
  const calibration_forward *f = &r->forward;
  calibration_stream *exact = &r->exact, *rounded = &r->rounded;
  layer_matrix *p = r->parts;
  calibration_gate(f, exact, &p[PART_GATE], &p[PART_UP]);
  calibration_difference(f, exact->normed, exact->normed, rounded->normed, f->hidden_stride);
  gust_status status = matrix_rounder_pause(&r->rounder, err);
  if (!status)
    status = round_matrices(r, &p[PART_GATE], 2, rounded->normed, exact->normed, NULL, err);
  if (status) return status;
  calibration_gate(f, rounded, &p[PART_GATE], &p[PART_UP]);
  const float *lag = lag_of(r);
  status = matrix_rounder_pause(&r->rounder, err);
  if (status) return status;
  calibration_project(f, exact, &p[PART_DOWN], exact->gated);
  calibration_difference(f, exact->gated, exact->gated, rounded->gated, f->ffn_stride);
  status = round_matrices(r, &p[PART_DOWN], 1, rounded->gated, exact->gated, lag, err);
  if (status) return status;
  calibration_project(f, rounded, &p[PART_DOWN], rounded->gated);
  return matrix_rounder_pause(&r->rounder, err);
}

static gust_status run_layer(run *r, uint32_t layer, gust_error *err) {
  char name[NAME_BYTES];
  gust_status status = find_parts(r, layer, err);
  snprintf(name, sizeof name, "model.layers.%u.input_layernorm.weight", layer);
  if (!status) status = norm_both(r, name, err);
  if (!status) status = round_attention(r, err);
  snprintf(name, sizeof name, "model.layers.%u.post_attention_layernorm.weight", layer);
  if (!status) status = norm_both(r, name, err);
  if (!status) status = round_feed_forward(r, err);
  for (int i = 0; i < PARTS && !status; i++) status = put_matrix(r, &r->parts[i], err);
  return status;
}

static gust_status run_head(run *r, gust_error *err) {
  calibration_stream *exact = &r->exact, *rounded = &r->rounded;
  if (r->config->tied_head) return GUST_OK;
  gust_status status = find_tensor(r, HEAD_NAME, &r->head, err);
  if (!status) status = norm_both(r, "model.norm.weight", err);
  if (status) return status;
  calibration_difference(&r->forward, exact->normed, exact->normed, rounded->normed,
                         r->forward.hidden_stride);
  status = round_matrices(r, &r->head, 1, rounded->normed, exact->normed, NULL, err);
  return status ? status : put_matrix(r, &r->head, err);
}

/* --- set up --------------------------------------------------------------------------------------
 */

static gust_status set_up(run *r, gust_error *err) {
  const calibration *job = r->job;
  const gust_config *config = r->config;
  gust_status status = calibration_forward_create(&r->forward, config, job->ids->ids,
                                                  job->ids->count, job->kernels, job->pool, err);
  if (!status) status = calibration_stream_create(&r->exact, &r->forward, false, err);
  if (!status) status = calibration_stream_create(&r->rounded, &r->forward, true, err);
  if (status) return status;
  const calibration_forward *f = &r->forward;
  size_t widest = f->hidden_stride > f->q_stride ? f->hidden_stride : f->q_stride;
  if (f->ffn_stride > widest) widest = f->ffn_stride;
  r->norm = calloc(f->hidden_stride, sizeof *r->norm);
  if (!r->norm) return gust_fail_memory(err, "norm", f->hidden_stride * sizeof *r->norm);
  return matrix_rounder_create(&r->rounder, widest, f->tokens, f->hidden_stride, job->kernels,
                               job->pool, job->progress, job->user, err);
}

static void tear_down(run *r) {
  for (int i = 0; i < PARTS; i++) layer_matrix_clear(&r->parts[i]);
  layer_matrix_clear(&r->head);
  matrix_rounder_destroy(&r->rounder);
  calibration_stream_destroy(&r->exact);
  calibration_stream_destroy(&r->rounded);
  calibration_forward_destroy(&r->forward);
  free(r->norm);
}

/* From the embedding to the head. */
static gust_status run_model(run *r, gust_error *err) {
  layer_matrix embedding;
  gust_status status = set_up(r, err);
  if (!status) status = find_tensor(r, EMBEDDING_NAME, &embedding, err);
  if (!status) {
    calibration_embed(&r->forward, &r->exact, &embedding);
    calibration_embed(&r->forward, &r->rounded, &embedding);
  }
  for (uint32_t i = 0; i < r->config->layers && !status; i++) status = run_layer(r, i, err);
  return status ? status : run_head(r, err);
}

gust_status calibration_run(const calibration *job, gust_error *err) {
  run r = {.job = job, .config = &job->header->config};
  gust_status status = run_model(&r, err);
  tear_down(&r);
  return status;
}

gust_status calibration_measure(const calibration *job, const bool *kept,
                                tensor_sensitivity *sensitivities, gust_error *err) {
  run r = {
      .job = job, .config = &job->header->config, .sensitivities = sensitivities, .kept = kept};
  gust_status status = run_model(&r, err);
  tear_down(&r);
  return status;
}

/* The forward pass of the source model, layer by layer, over all tokens of a
 * calibration text at once: stages with the inputs of the linear layers between
 * them. docs/NUMERICS.md holds here too: neither threads nor CPU level change a
 * bit.
 *
 * A stream is the state of one such pass. Calibration runs two of them side by
 * side: one through the source's weights, one through those already rounded. */
#ifndef GUST_CALIBRATION_FORWARD_H
#define GUST_CALIBRATION_FORWARD_H

#include "checkpoint.h"
#include "kernels.h"
#include "layer_matrix.h"
#include "pool.h"

/* The text is cut into sequences of this many tokens. */
#define CALIBRATION_SEQUENCE 512u

typedef struct calibration_forward {
  const gust_config *config;
  const gust_kernels *kernels;
  gust_pool *pool;
  const int32_t *ids; /* sequences one after the other, the last may be shorter */
  size_t tokens;
  size_t hidden_stride, q_stride, kv_stride, ffn_stride;
  float *cos, *sin;     /* [CALIBRATION_SEQUENCE][head_dim / 2] */
  uint8_t **scratch;    /* per worker */
  size_t scratch_bytes; /* of each */
} calibration_forward;

/* Rows are tokens, zeros where padded. */
typedef struct calibration_stream {
  bool rounded;    /* through the rounded weights, where there are */
  float *x;        /* residual stream [tokens][hidden_stride] */
  float *normed;   /* input of q, k, v, and of gate, up [tokens][hidden_stride] */
  float *attended; /* input of o [tokens][q_stride] */
  float *gated;    /* input of down [tokens][ffn_stride] */
  float *k, *v;    /* [tokens][kv_stride] */
} calibration_stream;

/* Bytes that one token takes in one stream. */
size_t calibration_token_bytes(const gust_config *config);

/* The pool, kernels, config and ids must outlive *f, which is to be destroyed in
 * every case. */
gust_status calibration_forward_create(calibration_forward *f, const gust_config *config,
                                       const int32_t *ids, size_t tokens,
                                       const gust_kernels *kernels, gust_pool *pool,
                                       gust_error *err);
void calibration_forward_destroy(calibration_forward *f);
gust_status calibration_stream_create(calibration_stream *s, const calibration_forward *f,
                                      bool rounded, gust_error *err);
void calibration_stream_destroy(calibration_stream *s);

/* x = embedding[id]. */
void calibration_embed(const calibration_forward *f, calibration_stream *s,
                       const layer_matrix *embedding);
/* normed = norm(x); weight is hidden_stride floats. */
void calibration_norm(const calibration_forward *f, calibration_stream *s, const float *weight);
/* attended = attention of normed's q, k, v. */
void calibration_attend(const calibration_forward *f, calibration_stream *s, const layer_matrix *q,
                        const layer_matrix *k, const layer_matrix *v);
/* gated = silu(gate normed) * (up normed). */
void calibration_gate(const calibration_forward *f, calibration_stream *s, const layer_matrix *gate,
                      const layer_matrix *up);
/* x += matrix input; overwrites normed. */
void calibration_project(const calibration_forward *f, calibration_stream *s,
                         const layer_matrix *matrix, const float *input);
/* dst = a - b, [tokens][stride]; dst may be either. */
void calibration_difference(const calibration_forward *f, float *dst, const float *a,
                            const float *b, size_t stride);

#endif

/* A token sequence, its key-value cache, and the scratch memory, kernels and
 * threads that extend it. Internal to src: context.c owns it, forward.c
 * computes in it. */
#ifndef GUST_CONTEXT_H
#define GUST_CONTEXT_H

#include "key_value_cache.h"
#include "model.h"
#include "pool.h"

struct gust_context {
  const gust_model *model;
  gust_kernels kernels;
  gust_pool *pool;
  unsigned threads;
  int kv_type;
  gust_kv_cache cache;

  int32_t *ids; /* [capacity], `length` of them in use */
  size_t length, capacity;
  bool has_logits;

  /* One reservation, cut into the arrays below; rows are `batch` many and zero
   * wherever nothing is written. Strides are in floats, padded to 128. */
  uint8_t *scratch;
  size_t scratch_bytes;
  size_t batch;
  size_t hidden_stride, q_stride, kv_stride, ffn_stride, vocab_stride;
  float *x;                   /* [batch][hidden_stride] the residual stream */
  float *normed;              /* [batch][hidden_stride] */
  float *projected;           /* [batch][hidden_stride] what a block adds to x */
  float *q, *k, *v;           /* [batch][q_stride], [batch][kv_stride] twice */
  float *attended;            /* [batch][q_stride] */
  float *gate, *up;           /* [batch][ffn_stride] */
  float *cos, *sin;           /* [batch][head_dim / 2] */
  float *logits;              /* [GUST_LOGIT_ROWS][vocab_stride] */
  float *partials;            /* [heads][ring_chunks][state floats] of a lone token */
  float *states;              /* [threads][GUST_ATTENTION_ROWS][state floats] */
  gust_activations quantized; /* [batch] rows as wide as the widest input */
  float *frequencies;         /* [head_dim / 2] */
};

/* Rows of logits computed at once when every position's are wanted. */
#define GUST_LOGIT_ROWS 16u

/* Runs `count` (<= batch) ids at positions [position, position + count) through
 * all layers, storing their keys and values; the last norm's input is left in
 * x. The cache has room. */
void gust_forward(gust_context *context, const int32_t *ids, size_t position, size_t count);

/* Logits of rows [first, first + count) of x, count <= GUST_LOGIT_ROWS, into
 * logits[0 .. count). */
void gust_forward_logits(gust_context *context, size_t first, size_t count);

#endif

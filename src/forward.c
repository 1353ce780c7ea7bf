/* The forward pass of a Mistral- or Llama-shaped model.
 *
 *   x = embedding[id]
 *   for each layer:
 *     q, k, v = attention_norm(x) times their matrices; rotate q, k; store k, v
 *     x += o times attention(q, cache)
 *     x += down times (silu(gate h) * (up h)), h = ffn_norm(x)
 *   logits = head times final_norm(x)
 *
 * What a thread computes never depends on how the work was cut: a row of a
 * product belongs to one thread, and attention goes over fixed chunks of
 * positions merged in order (docs/NUMERICS.md). */
#include <string.h>

#include "attention.h"
#include "float_state.h"

/* Panels one thread takes at a time: of a lone token four keep enough reads under
 * way, of many tokens eight share what was read of them. */
#define DECODE_GRAIN 4u
#define PREFILL_GRAIN 8u

/* --- stages over tokens ---------------------------------------------------------- */

typedef struct token_stage {
  gust_context *c;
  const int32_t *ids;
  size_t position;
  const gust_layer *layer;
  size_t layer_index;
  const float *norm; /* of the block that follows, NULL after the last layer */
  bool quantize;
} token_stage;

static bool is_quantized(const gust_matrix *m) {
  return gust_type_is_quantized(m->type);
}

/* A lone token's small stages are cheaper done at once than handed out. */
static void run_tokens(gust_context *c, gust_pool_fn *fn, token_stage *stage, size_t count) {
  if (count == 1)
    fn(stage, 0, 1, 0);
  else
    gust_pool_run(c->pool, fn, stage, count, 1);
}

/* The products that follow read inputs of k_padded columns. */
static void expect_columns(gust_context *c, size_t k_padded) {
  c->quantized.k_padded = k_padded;
  c->quantized.stride = gust_activation_stride(k_padded);
}

static void quantize_row(gust_context *c, size_t t, const float *row, size_t k_padded) {
  expect_columns(c, k_padded);
  c->kernels.quantize(&c->quantized, t, row);
}

static void norm_row(const token_stage *s, size_t t) {
  gust_context *c = s->c;
  const gust_config *config = &c->model->header.config;
  float *row = c->normed + t * c->hidden_stride;
  c->kernels.rmsnorm(row, c->x + t * c->hidden_stride, s->norm, config->hidden_size,
                     config->norm_eps);
  if (s->quantize) c->kernels.quantize(&c->quantized, t, row);
}

static void embed_tokens(void *arg, size_t begin, size_t end, unsigned worker) {
  (void)worker;
  const token_stage *s = arg;
  gust_context *c = s->c;
  const gust_matrix *m = &c->model->embedding;
  for (size_t t = begin; t < end; t++) {
    float *row = c->x + t * c->hidden_stride;
    size_t id = (size_t)s->ids[t];
    switch (m->type) {
      case GUST_TYPE_Q4: gust_panel_row_q4(row, m->panels, m->row_codes, id, m->k_padded); break;
      case GUST_TYPE_Q8: gust_panel_row_q8(row, m->panels, m->row_codes, id, m->k_padded); break;
      case GUST_TYPE_BF16: gust_panel_row_bf16(row, m->panels, id, m->k_padded); break;
      case GUST_TYPE_F32: gust_panel_row_f32(row, m->panels, id, m->k_padded); break;
    }
    /* A padded column may share a q4 block whose codebook lacks 0. */
    size_t hidden = c->model->header.config.hidden_size;
    memset(row + hidden, 0, (c->hidden_stride - hidden) * sizeof *row);
    size_t half = c->model->header.config.head_dim / 2;
    gust_rope_table(c->cos + t * half, c->sin + t * half, c->frequencies, half,
                    (uint32_t)(s->position + t));
    norm_row(s, t);
  }
}

static void quantize_attended(void *arg, size_t begin, size_t end, unsigned worker) {
  (void)worker;
  const token_stage *s = arg;
  for (size_t t = begin; t < end; t++)
    s->c->kernels.quantize(&s->c->quantized, t, s->c->attended + t * s->c->q_stride);
}

static void quantize_gated(void *arg, size_t begin, size_t end, unsigned worker) {
  (void)worker;
  const token_stage *s = arg;
  for (size_t t = begin; t < end; t++)
    s->c->kernels.quantize(&s->c->quantized, t, s->c->gate + t * s->c->ffn_stride);
}

/* x += what the block projected, and on to the next block's norm. */
static void add_and_norm(void *arg, size_t begin, size_t end, unsigned worker) {
  (void)worker;
  const token_stage *s = arg;
  gust_context *c = s->c;
  for (size_t t = begin; t < end; t++) {
    c->kernels.add(c->x + t * c->hidden_stride, c->projected + t * c->hidden_stride,
                   c->hidden_stride);
    if (s->norm) norm_row(s, t);
  }
}

/* --- matrix products --------------------------------------------------------------- */

typedef struct product {
  const gust_matrix *matrix;
  float *dst;
  size_t stride;
} product;

typedef struct product_stage {
  gust_context *c;
  const float *x; /* dense input, rows k_padded apart */
  size_t tokens;
  product products[3]; /* of the same input; items are their panels, in order */
  size_t count;
  bool swiglu; /* products are gate and up, panel by panel, then combined */
} product_stage;

static void multiply(const product_stage *s, const product *p, size_t panel, size_t panels) {
  const gust_matrix *m = p->matrix;
  const gust_kernels *k = &s->c->kernels;
  const uint8_t *weights = m->panels + panel * m->panel_bytes;
  float *dst = p->dst + panel * GUST_PANEL_ROWS;
  switch (m->type) {
    case GUST_TYPE_Q4:
      k->matmul_q4(dst, p->stride, weights, m->row_codes + panel * GUST_PANEL_ROWS, panels,
                   &s->c->quantized, s->tokens);
      break;
    case GUST_TYPE_Q8:
      k->matmul_q8(dst, p->stride, weights, m->row_codes + panel * GUST_PANEL_ROWS, panels,
                   &s->c->quantized, s->tokens);
      break;
    case GUST_TYPE_BF16:
      k->matmul_bf16(dst, p->stride, weights, panels, s->x, m->k_padded, s->tokens);
      break;
    case GUST_TYPE_F32:
      k->matmul_f32(dst, p->stride, weights, panels, s->x, m->k_padded, s->tokens);
      break;
  }
}

static void run_panels(void *arg, size_t begin, size_t end, unsigned worker) {
  (void)worker;
  const product_stage *s = arg;
  if (s->swiglu) {
    multiply(s, &s->products[0], begin, end - begin);
    multiply(s, &s->products[1], begin, end - begin);
    for (size_t t = 0; t < s->tokens; t++) {
      size_t at = t * s->products[0].stride + begin * GUST_PANEL_ROWS;
      s->c->kernels.swiglu(s->products[0].dst + at, s->products[1].dst + at,
                           (end - begin) * GUST_PANEL_ROWS);
    }
    return;
  }
  size_t base = 0;
  for (size_t i = 0; i < s->count; i++) {
    size_t panels = s->products[i].matrix->panel_count;
    size_t from = begin > base ? begin : base, to = end < base + panels ? end : base + panels;
    if (from < to) multiply(s, &s->products[i], from - base, to - from);
    base += panels;
  }
}

static void run_products(product_stage *s) {
  size_t panels = 0;
  for (size_t i = 0; i < s->count; i++) panels += s->products[i].matrix->panel_count;
  if (s->swiglu) panels = s->products[0].matrix->panel_count;
  expect_columns(s->c, s->products[0].matrix->k_padded);
  gust_pool_run(s->c->pool, run_panels, s, panels, s->tokens == 1 ? DECODE_GRAIN : PREFILL_GRAIN);
}

/* --- the pass ----------------------------------------------------------------------------- */

static void attention_block(gust_context *c, token_stage *s, size_t count) {
  const gust_layer *layer = s->layer;
  product_stage qkv = {.c = c,
                       .x = c->normed,
                       .tokens = count,
                       .products = {{&layer->q, c->q, c->q_stride},
                                    {&layer->k, c->k, c->kv_stride},
                                    {&layer->v, c->v, c->kv_stride}},
                       .count = 3};
  run_products(&qkv);
  gust_attention(c, s->layer_index, s->position, count);
  if (is_quantized(&layer->o)) {
    expect_columns(c, layer->o.k_padded);
    run_tokens(c, quantize_attended, s, count);
  }
  product_stage out = {.c = c,
                       .x = c->attended,
                       .tokens = count,
                       .products = {{&layer->o, c->projected, c->hidden_stride}},
                       .count = 1};
  run_products(&out);
}

static void feed_forward_block(gust_context *c, token_stage *s, size_t count) {
  const gust_layer *layer = s->layer;
  product_stage gate_up = {
      .c = c,
      .x = c->normed,
      .tokens = count,
      .products = {{&layer->gate, c->gate, c->ffn_stride}, {&layer->up, c->up, c->ffn_stride}},
      .count = 2,
      .swiglu = true};
  run_products(&gate_up);
  if (is_quantized(&layer->down)) {
    expect_columns(c, layer->down.k_padded);
    run_tokens(c, quantize_gated, s, count);
  }
  product_stage down = {.c = c,
                        .x = c->gate,
                        .tokens = count,
                        .products = {{&layer->down, c->projected, c->hidden_stride}},
                        .count = 1};
  run_products(&down);
}

/* The norm that comes next, and whether any product of it wants integers. */
static void aim_at_attention(token_stage *s, size_t layer_index) {
  gust_context *c = s->c;
  if (layer_index == c->model->header.config.layers) {
    s->norm = NULL;
    return;
  }
  s->layer_index = layer_index;
  s->layer = &c->model->layers[layer_index];
  s->norm = s->layer->attention_norm;
  s->quantize =
      is_quantized(&s->layer->q) || is_quantized(&s->layer->k) || is_quantized(&s->layer->v);
  expect_columns(c, s->layer->q.k_padded);
}

static void aim_at_feed_forward(token_stage *s) {
  s->norm = s->layer->ffn_norm;
  s->quantize = is_quantized(&s->layer->gate) || is_quantized(&s->layer->up);
  expect_columns(s->c, s->layer->gate.k_padded);
}

void gust_forward(gust_context *c, const int32_t *ids, size_t position, size_t count) {
  token_stage s = {.c = c, .ids = ids, .position = position};
  gust_float_state caller = gust_float_state_set_default();
  aim_at_attention(&s, 0);
  run_tokens(c, embed_tokens, &s, count);
  for (size_t layer = 0; layer < c->model->header.config.layers; layer++) {
    attention_block(c, &s, count);
    aim_at_feed_forward(&s);
    run_tokens(c, add_and_norm, &s, count);
    feed_forward_block(c, &s, count);
    aim_at_attention(&s, layer + 1);
    run_tokens(c, add_and_norm, &s, count);
  }
  gust_float_state_restore(caller);
}

void gust_forward_logits(gust_context *c, size_t first, size_t count) {
  const gust_config *config = &c->model->header.config;
  const gust_matrix *head = &c->model->head;
  gust_float_state caller = gust_float_state_set_default();
  for (size_t t = 0; t < count; t++) {
    float *row = c->normed + t * c->hidden_stride;
    c->kernels.rmsnorm(row, c->x + (first + t) * c->hidden_stride, c->model->final_norm,
                       config->hidden_size, config->norm_eps);
    if (is_quantized(head)) quantize_row(c, t, row, head->k_padded);
  }
  product_stage logits = {.c = c,
                          .x = c->normed,
                          .tokens = count,
                          .products = {{head, c->logits, c->vocab_stride}},
                          .count = 1};
  run_products(&logits);
  gust_float_state_restore(caller);
}

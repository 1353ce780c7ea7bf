/* Attention over the cache (src/attention.h), of models that are nothing but a
 * shape: every way of feeding, number of threads and level gives the bits that
 * the reference gives token by token, whatever number of heads share a key head
 * and wherever a window cuts chunks; and those bits are near plain attention
 * computed in double. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attention.h"
#include "check.h"

#define MOST_TOKENS 330u

static size_t tokens = MOST_TOKENS; /* past every window below */

typedef struct shape {
  uint32_t heads, kv_heads, head_dim, window;
  gust_kv kv;
} shape;

static const shape shapes[] = {
    {4, 4, 64, 0, GUST_KV_F16},   {8, 2, 64, 100, GUST_KV_F16}, {16, 2, 32, 64, GUST_KV_F16},
    {6, 2, 20, 5, GUST_KV_F32},   {7, 1, 16, 0, GUST_KV_Q8},    {64, 1, 32, 130, GUST_KV_F16},
    {10, 2, 48, 128, GUST_KV_Q8}, {3, 3, 128, 1, GUST_KV_F32},
};

static char spelled[128];

static const char *spell(const shape *s) {
  snprintf(spelled, sizeof spelled, "%u heads on %u of %u, window %u, cache %d", s->heads,
           s->kv_heads, s->head_dim, s->window, (int)s->kv);
  return spelled;
}

/* Row `position` of queries (0), keys (1) or values (2). */
static void draw_row(float *row, size_t n, size_t position, unsigned which) {
  unsigned long long state = position * 3 + which + 1;
  for (size_t i = 0; i < n; i++)
    row[i] = (float)((double)(check_random(&state) >> 11) * 0x1p-52 - 1);
}

static gust_context *make_context(gust_model *model, const shape *s, const char *cpu,
                                  unsigned threads) {
  model->header.config = (gust_config){.vocab_size = 16,
                                       .hidden_size = 16,
                                       .intermediate_size = 16,
                                       .layers = 2,
                                       .heads = s->heads,
                                       .kv_heads = s->kv_heads,
                                       .head_dim = s->head_dim,
                                       .max_positions = MOST_TOKENS,
                                       .sliding_window = s->window,
                                       .rope_theta = 10000};
  gust_context_options options = {
      .kv = s->kv, .cpu = cpu, .threads = threads, .batch = MOST_TOKENS};
  gust_context *context;
  gust_error err;
  if (gust_context_create(&context, model, &options, &err)) check_fatal("context", err.text);
  return context;
}

/* What layer 1 attends to, fed `step` tokens at a time: [tokens][heads * head_dim],
 * to be freed. */
static float *attend(const shape *s, const char *cpu, unsigned threads, size_t step) {
  gust_model model = {0};
  gust_error err;
  gust_context *c = make_context(&model, s, cpu, threads);
  size_t q_row = (size_t)s->heads * s->head_dim, kv_row = (size_t)s->kv_heads * s->head_dim;
  size_t half = s->head_dim / 2;
  float *all = malloc(tokens * q_row * sizeof *all);
  if (!all) check_fatal("out of memory", "rows");
  for (size_t at = 0, n; at < tokens; at += n) {
    n = tokens - at < step ? tokens - at : step;
    for (size_t t = 0; t < n; t++) {
      draw_row(c->q + t * c->q_stride, q_row, at + t, 0);
      draw_row(c->k + t * c->kv_stride, kv_row, at + t, 1);
      draw_row(c->v + t * c->kv_stride, kv_row, at + t, 2);
      gust_rope_table(c->cos + t * half, c->sin + t * half, c->frequencies, half,
                      (uint32_t)(at + t));
    }
    if (gust_kv_cache_grow(&c->cache, at + n, &err)) check_fatal("cache", err.text);
    gust_kv_cache_store_up_to(&c->cache, at + n);
    gust_attention(c, 1, at, n);
    for (size_t t = 0; t < n; t++)
      memcpy(all + (at + t) * q_row, c->attended + t * c->q_stride, q_row * sizeof *all);
  }
  gust_context_destroy(c);
  return all;
}

/* --- plain attention ----------------------------------------------------------------- */

static void rotate(double *x, size_t dim, const float *frequencies, size_t position) {
  for (size_t i = 0; i < dim / 2; i++) {
    double angle = (double)((float)position * frequencies[i]), c = cos(angle), s = sin(angle);
    double a = x[i], b = x[i + dim / 2];
    x[i] = a * c - b * s;
    x[i + dim / 2] = b * c + a * s;
  }
}

typedef struct plain {
  double *q, *k, *v; /* rotated, [tokens][row] */
} plain;

static double *plain_rows(size_t row, size_t dim, unsigned which, const float *frequencies) {
  double *rows = malloc(tokens * row * sizeof *rows);
  float *one = malloc(row * sizeof *one);
  if (!rows || !one) check_fatal("out of memory", "rows");
  for (size_t t = 0; t < tokens; t++) {
    draw_row(one, row, t, which);
    for (size_t i = 0; i < row; i++) rows[t * row + i] = one[i];
    for (size_t h = 0; h < row && which < 2; h += dim)
      rotate(rows + t * row + h, dim, frequencies, t);
  }
  free(one);
  return rows;
}

/* The largest difference of one head of one token to what plain attention gives. */
static double head_error(const shape *s, const plain *p, const float *found, size_t t, size_t h) {
  size_t dim = s->head_dim, kv_row = s->kv_heads * dim;
  size_t kv = h / (s->heads / s->kv_heads) * dim;
  size_t first = s->window && t + 1 > s->window ? t + 1 - s->window : 0;
  const double *q = p->q + t * s->heads * dim + h * dim;
  double sum = 0, out[128] = {0}, worst = 0;
  for (size_t i = first; i <= t; i++) {
    double score = 0;
    for (size_t d = 0; d < dim; d++) score += q[d] * p->k[i * kv_row + kv + d];
    double weight = exp(score / sqrt((double)dim));
    sum += weight;
    for (size_t d = 0; d < dim; d++) out[d] += weight * p->v[i * kv_row + kv + d];
  }
  for (size_t d = 0; d < dim; d++) {
    double error = fabs(out[d] / sum - found[d]);
    if (!(error <= worst)) worst = error;
  }
  return worst;
}

static void check_near(const shape *s, const float *found) {
  float frequencies[64];
  size_t dim = s->head_dim, q_row = (size_t)s->heads * dim;
  gust_rope_frequencies(frequencies, dim, 10000);
  plain p = {plain_rows(q_row, dim, 0, frequencies),
             plain_rows(s->kv_heads * dim, dim, 1, frequencies),
             plain_rows(s->kv_heads * dim, dim, 2, frequencies)};
  double worst = 0;
  for (size_t t = 0; t < tokens; t += t < 70 ? 1 : 13)
    for (size_t h = 0; h < s->heads; h++) {
      double error = head_error(s, &p, found + t * q_row + h * dim, t, h);
      if (!(error <= worst)) worst = error;
    }
  double bound = s->kv == GUST_KV_F32 ? 1e-5 : s->kv == GUST_KV_F16 ? 2e-3 : 3e-2;
  if (!CHECK(worst < bound)) fprintf(stderr, "  %s: off by %g\n", spell(s), worst);
  free(p.q);
  free(p.k);
  free(p.v);
}

/* --- the ways ------------------------------------------------------------------------- */

static void check_way(const shape *s, const float *expected, const char *cpu, unsigned threads,
                      size_t step) {
  float *found = attend(s, cpu, threads, step);
  if (!CHECK(memcmp(expected, found, tokens * s->heads * s->head_dim * sizeof *found) == 0))
    fprintf(stderr, "  %s: level %s, %u threads, %zu at a time\n", spell(s), cpu, threads, step);
  free(found);
}

static void check_shape(const shape *s) {
  const size_t steps[] = {2, 17, 64, 97, tokens};
  float *expected = attend(s, "c", 1, 1);
  check_near(s, expected);
  check_way(s, expected, "c", 2, tokens);
  const char *level;
  for (size_t i = 1; (level = gust_kernels_level(i)) != NULL; i++) {
    /* Lone tokens: heads on one thread and on as many as divide them, chunks on
     * others. */
    for (unsigned threads = 1; threads <= 5; threads += 2)
      check_way(s, expected, level, threads, 1);
    for (size_t k = 0; k < sizeof steps / sizeof *steps; k++)
      check_way(s, expected, level, 1 + (unsigned)k % 3, steps[k]);
  }
  free(expected);
}

int main(void) {
  if (check_emulated()) tokens = 150;
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) check_shape(&shapes[i]);
  return check_finish();
}

/* Sampling against probabilities computed here in double: each filter keeps
 * exactly the ids it should, and draws come in proportion. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "context.h"
#include "demo_model.h"

#define DRAWS 4000

static const gust_model *model;
static gust_context *context;
static size_t vocab;

static gust_sampler *make(gust_sampling s) {
  gust_sampler *sampler;
  gust_error err;
  if (gust_sampler_create(&sampler, model, &s, &err)) check_fatal("sampler", err.text);
  return sampler;
}

/* How often each id is drawn. */
static unsigned *draw_counts(gust_sampling s) {
  unsigned *counts = calloc(vocab, sizeof *counts);
  gust_sampler *sampler = make(s);
  for (int i = 0; i < DRAWS && counts; i++) {
    int32_t id = -1;
    CHECK_EQ_INT(gust_sampler_draw(sampler, context, &id, NULL), GUST_OK);
    if (id >= 0 && (size_t)id < vocab) counts[id]++;
  }
  gust_sampler_destroy(sampler);
  if (!counts) check_fatal("out of memory", "");
  return counts;
}

typedef struct candidate {
  double p;
  int32_t id;
} candidate;

static int falling(const void *a, const void *b) {
  const candidate *x = a, *y = b;
  return x->p > y->p ? -1 : x->p < y->p ? 1 : x->id - y->id;
}

/* Ids and probabilities, likeliest first; to be freed. */
static candidate *candidates(float temperature) {
  const float *logits = gust_context_logits(context);
  candidate *c = malloc(vocab * sizeof *c);
  if (!c) check_fatal("out of memory", "");
  double top = -INFINITY, sum = 0;
  for (size_t i = 0; i < vocab; i++)
    if ((double)logits[i] > top) top = (double)logits[i];
  for (size_t i = 0; i < vocab; i++) {
    c[i] = (candidate){exp(((double)logits[i] - top) / (double)temperature), (int32_t)i};
    sum += c[i].p;
  }
  for (size_t i = 0; i < vocab; i++) c[i].p /= sum;
  qsort(c, vocab, sizeof *c, falling);
  return c;
}

/* Draws come from the first `kept` candidates alone, each about as often as its
 * share says (within five standard deviations). */
static void check_kept(const unsigned *counts, const candidate *c, size_t kept) {
  double whole = 0;
  unsigned drawn = 0;
  for (size_t i = 0; i < kept; i++) whole += c[i].p;
  for (size_t i = 0; i < kept; i++) {
    double share = c[i].p / whole, sigma = sqrt(DRAWS * share * (1 - share)) + 1;
    drawn += counts[c[i].id];
    CHECK(fabs(counts[c[i].id] - DRAWS * share) <= 5 * sigma);
  }
  CHECK_EQ_INT(drawn, DRAWS);
}

static void check_filters(void) {
  candidate *c = candidates(1.5f);
  gust_sampling s = {.temperature = 1.5f, .top_p = 1, .repeat_penalty = 1, .seed = 5};
  unsigned *counts = draw_counts(s);
  check_kept(counts, c, vocab);
  free(counts);

  s.top_k = 7;
  counts = draw_counts(s);
  check_kept(counts, c, 7);
  free(counts);

  /* The fewest whose sum reaches top_p of what top_k leaves. */
  s.top_p = 0.8f;
  double seven = 0, sum = 0;
  size_t kept = 0;
  for (size_t i = 0; i < 7; i++) seven += c[i].p;
  while (sum < (double)s.top_p * seven) sum += c[kept++].p;
  CHECK(kept > 1 && kept < 7);
  counts = draw_counts(s);
  check_kept(counts, c, kept);
  free(counts);

  s = (gust_sampling){.temperature = 1.5f, .top_p = 0.6f, .repeat_penalty = 1, .seed = 6};
  for (kept = 0, sum = 0; sum < (double)s.top_p;) sum += c[kept++].p;
  counts = draw_counts(s);
  check_kept(counts, c, kept);
  free(counts);

  s = (gust_sampling){.temperature = 1.5f, .top_p = 1, .min_p = 0.1f, .repeat_penalty = 1};
  for (kept = 0; c[kept].p >= (double)s.min_p * c[0].p;) kept++;
  CHECK(kept > 1);
  counts = draw_counts(s);
  check_kept(counts, c, kept);
  free(counts);
  free(c);
}

/* --- against a sort --- */

static float *sorted_weights;
static int by_weight(const void *a, const void *b) {
  int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
  float p = sorted_weights[x], q = sorted_weights[y];
  return p > q ? -1 : p < q ? 1 : x - y;
}

/* Uniform in [0, 1) from the sampler's state, as it draws it. */
static double unit_of(uint64_t state) {
  uint64_t z = state + 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

/* What a sampler in this state draws, by sorting all ids. */
static int32_t draw_by_sort(const gust_sampling *s, uint64_t state) {
  int32_t *order = malloc(vocab * sizeof *order);
  sorted_weights = malloc(vocab * sizeof *sorted_weights);
  if (!order || !sorted_weights) check_fatal("out of memory", "");
  double whole = (double)context->kernels.softmax(sorted_weights, context->logits, vocab,
                                                  1.0f / s->temperature);
  for (size_t i = 0; i < vocab; i++) order[i] = (int32_t)i;
  qsort(order, vocab, sizeof *order, by_weight);
  size_t k = s->top_k && s->top_k < vocab ? s->top_k : vocab, kept = 0;
  if (k < vocab) whole = 0;
  for (size_t i = 0; i < k && k < vocab; i++) whole += (double)sorted_weights[order[i]];
  double sum = 0, enough = s->top_p < 1 ? (double)s->top_p * whole : INFINITY;
  for (; kept < k; kept++) {
    double weight = (double)sorted_weights[order[kept]];
    if (kept && (sum >= enough || weight < (double)s->min_p)) break;
    sum += weight;
  }
  double target = unit_of(state) * sum;
  size_t at = 0;
  while (at + 1 < kept && (target -= (double)sorted_weights[order[at]]) >= 0) at++;
  int32_t id = order[at];
  free(order);
  free(sorted_weights);
  return id;
}

/* Overwrites the logits: many equal ones, all equal, flat, peaked. */
static void set_logits(int kind, unsigned long long *random) {
  for (size_t i = 0; i < vocab; i++) {
    double u = (double)(check_random(random) >> 11) * 0x1p-53;
    context->logits[i] = kind == 0   ? (float)(int)(u * 6)
                         : kind == 1 ? 2.0f
                         : kind == 2 ? (float)u
                                     : (float)(-3 * log(u + 1e-12));
  }
}

static void check_against_sort(void) {
  static const gust_sampling settings[] = {
      {.top_k = 50, .top_p = 0.95f},
      {.top_k = 1, .top_p = 1},
      {.top_k = 1000000, .top_p = 1},
      {.top_p = 0.9f},
      {.top_p = 1e-6f},
      {.top_p = 1, .min_p = 0.05f},
      {.top_p = 1, .min_p = 1},
      {.top_p = 0.7f, .min_p = 0.4f},
      {.top_k = 300, .top_p = 0.8f, .min_p = 0.2f},
  };
  unsigned long long random = 11;
  for (size_t n = 0; n < 4 * sizeof settings / sizeof *settings; n++) {
    gust_sampling s = settings[n / 4];
    s.temperature = 0.9f;
    s.repeat_penalty = 1;
    s.seed = 100 + n;
    gust_sampler *sampler = make(s);
    set_logits(n % 4, &random);
    for (int i = 0; i < 25; i++) {
      int32_t id = -1, expected = draw_by_sort(&s, gust_sampler_get_state(sampler));
      CHECK_EQ_INT(gust_sampler_draw(sampler, context, &id, NULL), GUST_OK);
      CHECK_EQ_INT(id, expected);
    }
    gust_sampler_destroy(sampler);
  }
}

/* No weights can be made of these: still an id, the largest. */
static void check_broken_logits(void) {
  gust_sampling s = {.temperature = 1, .top_k = 5, .top_p = 0.9f, .repeat_penalty = 1};
  gust_sampler *sampler = make(s);
  for (int kind = 0; kind < 2; kind++) {
    int32_t id = -1;
    for (size_t i = 0; i < vocab; i++) context->logits[i] = kind ? (float)i : NAN;
    context->logits[7] = kind ? INFINITY : NAN;
    CHECK_EQ_INT(gust_sampler_draw(sampler, context, &id, NULL), GUST_OK);
    CHECK_EQ_INT(id, kind ? 7 : 0);
  }
  /* NaN after the largest does not hide it: in its lane, in all, to the end. */
  const size_t broken[][2] = {{21, 22}, {16, 32}, {16, vocab}};
  for (size_t n = 0; n < sizeof broken / sizeof *broken; n++) {
    for (size_t i = 0; i < vocab; i++) context->logits[i] = i == 5 ? 90 : -90;
    for (size_t i = broken[n][0]; i < broken[n][1]; i++) context->logits[i] = NAN;
    for (int i = 0; i < 20; i++) {
      int32_t id = -1;
      CHECK_EQ_INT(gust_sampler_draw(sampler, context, &id, NULL), GUST_OK);
      CHECK_EQ_INT(id, 5);
    }
  }
  gust_sampler_destroy(sampler);
}

static void check_greedy_and_penalty(void) {
  candidate *c = candidates(1);
  gust_sampling s = {.temperature = 0, .top_p = 1, .repeat_penalty = 1};
  gust_sampler *sampler = make(s);
  int32_t id;
  CHECK_EQ_INT(gust_sampler_draw(sampler, context, &id, NULL), GUST_OK);
  CHECK_EQ_INT(id, c[0].id);
  gust_sampler_destroy(sampler);

  /* By hand: ids of the sequence have logits divided (or multiplied). */
  const float *logits = gust_context_logits(context);
  float *penalized = malloc(vocab * sizeof *penalized);
  size_t best = 0;
  if (!penalized) check_fatal("out of memory", "");
  memcpy(penalized, logits, vocab * sizeof *penalized);
  for (size_t i = 0; i < gust_context_length(context); i++) {
    size_t at = (size_t)gust_context_ids(context)[i];
    penalized[at] = logits[at] < 0 ? logits[at] * 8 : logits[at] / 8;
  }
  for (size_t i = 1; i < vocab; i++)
    if (penalized[i] > penalized[best]) best = i;
  s.repeat_penalty = 8;
  sampler = make(s);
  CHECK_EQ_INT(gust_sampler_draw(sampler, context, &id, NULL), GUST_OK);
  CHECK_EQ_INT(id, best);
  gust_sampler_destroy(sampler);
  free(penalized);
  free(c);
}

/* On either side of 0 and of 1; an id that occurs twice is lowered once. */
static void check_penalty_signs(void) {
  static const struct {
    float repeated, other;
    bool repeated_wins;
  } cases[] = {{4, 2.1f, false},      {4, 1.9f, true},      {0.5f, 0.3f, false}, {0.5f, 0.2f, true},
               {-0.5f, -0.9f, false}, {-0.5f, -1.1f, true}, {-3, -5.9f, false},  {-3, -6.1f, true}};
  const int32_t *ids = gust_context_ids(context);
  int32_t repeated = ids[1], other = 3, id = -1;
  size_t times = 0;
  for (size_t i = 0; i < gust_context_length(context); i++) {
    CHECK(ids[i] != other);
    times += ids[i] == repeated;
  }
  CHECK_EQ_INT(times, 2);
  gust_sampler *sampler = make((gust_sampling){.top_p = 1, .repeat_penalty = 2});
  for (size_t n = 0; n < sizeof cases / sizeof *cases; n++) {
    for (size_t i = 0; i < vocab; i++) context->logits[i] = -100;
    context->logits[repeated] = cases[n].repeated;
    context->logits[other] = cases[n].other;
    CHECK_EQ_INT(gust_sampler_draw(sampler, context, &id, NULL), GUST_OK);
    CHECK_EQ_INT(id, cases[n].repeated_wins ? repeated : other);
  }
  gust_sampler_destroy(sampler);
}

/* So close to 0 that its inverse is infinite: greedy, not nothing. */
static void check_tiny_temperature(void) {
  candidate *c = candidates(1);
  gust_sampling s = {.temperature = 1e-39f, .top_p = 1, .repeat_penalty = 1};
  gust_sampler *sampler = make(s);
  int32_t id;
  CHECK_EQ_INT(gust_sampler_draw(sampler, context, &id, NULL), GUST_OK);
  CHECK_EQ_INT(id, c[0].id);
  gust_sampler_destroy(sampler);
  free(c);
}

static void check_seeds(void) {
  gust_sampling s = {.temperature = 1, .top_p = 0.95f, .repeat_penalty = 1, .seed = 42};
  gust_sampler *a = make(s), *b = make(s);
  s.seed = 43;
  gust_sampler *other = make(s);
  int differ = 0;
  for (int i = 0; i < 100; i++) {
    int32_t x, y, z;
    gust_sampler_draw(a, context, &x, NULL);
    gust_sampler_draw(b, context, &y, NULL);
    gust_sampler_draw(other, context, &z, NULL);
    CHECK_EQ_INT(x, y);
    differ += x != z;
  }
  CHECK(differ > 0);
  gust_sampler_destroy(a);
  gust_sampler_destroy(b);
  gust_sampler_destroy(other);
}

static void check_errors(void) {
  gust_error err;
  gust_sampler *sampler;
  gust_sampling s = {.temperature = NAN, .top_p = 1, .repeat_penalty = 1};
  CHECK_EQ_INT(gust_sampler_create(&sampler, model, &s, &err), GUST_E_ARGUMENT);
  CHECK_CONTAINS(err.text, "expected temperature in [0, 100]");
  s = (gust_sampling){.temperature = 1, .top_p = 0, .repeat_penalty = 1};
  CHECK_EQ_INT(gust_sampler_create(&sampler, model, &s, &err), GUST_E_ARGUMENT);
  s = gust_model_sampling(model);
  CHECK(s.temperature == 0.7f && s.top_k == 50 && s.top_p == 0.95f && s.repeat_penalty == 1);
  CHECK_EQ_INT(gust_model_max_new_tokens(model), 512);
  gust_context *empty = context_or_die(model, NULL);
  int32_t id;
  sampler = make(s);
  CHECK_EQ_INT(gust_sampler_draw(sampler, empty, &id, &err), GUST_E_ARGUMENT);
  CHECK_CONTAINS(err.text, "feed the context first");
  gust_sampler_destroy(sampler);
  gust_context_destroy(empty);
}

/* A sampler's arrays are as long as its own model's vocabulary. */
static void check_other_vocabulary(void) {
  gust_error err;
  gust_sampler *sampler;
  gust_model smaller = *model;
  smaller.header.config.vocab_size = (uint32_t)vocab - 1;
  const gust_sampling s = {.temperature = 1, .top_p = 1, .repeat_penalty = 2};
  if (gust_sampler_create(&sampler, &smaller, &s, &err)) check_fatal("sampler", err.text);
  char sizes[64];
  snprintf(sizes, sizeof sizes, "vocabulary of %zu ids, found one of %zu;", vocab - 1, vocab);
  int32_t id = -1;
  CHECK_EQ_INT(gust_sampler_draw(sampler, context, &id, &err), GUST_E_ARGUMENT);
  CHECK_CONTAINS(err.text, sizes);
  CHECK_EQ_INT(id, -1);
  gust_sampler_destroy(sampler);
}

/* Most of its vocabulary has no piece of text: a padding whose logits mean nothing. */
static void check_padded_vocabulary(void) {
  gust_model *padded;
  gust_error err;
  if (gust_model_create_synthetic(&padded, "demo", "q4", NULL, NULL, &err))
    check_fatal("synthetic model", err.text);
  uint32_t pieces = gust_tokenizer_size(padded->tokenizer);
  CHECK(pieces < gust_model_get_info(padded)->vocab_size / 2);
  gust_context *c = context_or_die(padded, NULL);
  const int32_t bos = 1;
  CHECK_EQ_INT(gust_context_feed(c, &bos, 1, NULL, NULL, &err), GUST_OK);
  const float *logits = gust_context_logits(c);
  size_t likeliest = 0;
  for (size_t i = 0; i < gust_model_get_info(padded)->vocab_size; i++)
    if (logits[i] > logits[likeliest]) likeliest = i;
  CHECK(likeliest >= pieces);
  static const float temperatures[] = {0, 1, 1, 1}, top_p[] = {1, 1, 0.9f, 1};
  static const uint32_t top_k[] = {0, 0, 0, 4000};
  for (int i = 0; i < 4; i++) {
    const gust_sampling s = {.temperature = temperatures[i],
                             .top_p = top_p[i],
                             .top_k = top_k[i],
                             .repeat_penalty = 1.5f};
    gust_sampler *sampler;
    if (gust_sampler_create(&sampler, padded, &s, &err)) check_fatal("sampler", err.text);
    for (int n = 0; n < 200; n++) {
      int32_t id = -1;
      CHECK_EQ_INT(gust_sampler_draw(sampler, c, &id, &err), GUST_OK);
      CHECK(id >= 0 && (uint32_t)id < pieces);
    }
    gust_sampler_destroy(sampler);
  }
  gust_context_destroy(c);
  gust_model_close(padded);
}

int main(void) {
  gust_model *opened = demo_model_open("q8");
  model = opened;
  vocab = gust_model_get_info(model)->vocab_size;
  context = context_or_die(model, NULL);
  int32_t *ids;
  size_t count;
  static const char text[] = "Once upon a time, there was a";
  if (gust_tokenize(model, text, strlen(text), GUST_TOKENIZE_BOS, &ids, &count, NULL) ||
      gust_context_feed(context, ids, count, NULL, NULL, NULL))
    check_fatal("cannot feed", text);
  check_filters();
  check_greedy_and_penalty();
  check_tiny_temperature();
  check_seeds();
  check_errors();
  check_other_vocabulary();
  check_padded_vocabulary();
  if (gust_context_feed(context, ids, count, NULL, NULL, NULL)) check_fatal("cannot feed", text);
  check_penalty_signs(); /* from here on the logits are others */
  check_against_sort();
  check_broken_logits();
  gust_free(ids);
  gust_context_destroy(context);
  gust_model_close(opened);
  return check_finish();
}

/* Drawing the next id: repetition penalty (Keskar et al. 2019), temperature,
 * top-k, top-p (Holtzman et al. 2020), min-p (Nguyen et al. 2024), in the order
 * of Hugging Face's generate, each seeing what the ones before it left. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "context.h"

struct gust_sampler {
  gust_sampling sampling;
  uint64_t random;
  size_t vocab;
  float *logits;  /* [vocab] penalized copy */
  float *weights; /* [vocab] exp((logit - largest) / temperature) */
  uint32_t *heap; /* [vocab] ids, a max-heap by weight, then by lower id */
  uint8_t *seen;  /* [vocab] ids that are penalized already */
};

gust_status gust_sampler_create(gust_sampler **out, const gust_model *model,
                                const gust_sampling *sampling, gust_error *err) {
  *out = NULL;
  const gust_sampling *s = sampling;
  /* Written so that NaN fails too. */
  if (!(s->temperature >= 0 && s->temperature <= 100) || !(s->top_p > 0 && s->top_p <= 1) ||
      !(s->min_p >= 0 && s->min_p <= 1) || !(s->repeat_penalty > 0 && s->repeat_penalty <= 100))
    return gust_fail(
        err, GUST_E_ARGUMENT,
        "sampling: expected temperature in [0, 100], top_p in (0, 1], min_p in [0, 1], "
        "repeat_penalty in (0, 100], found %g, %g, %g, %g",
        (double)s->temperature, (double)s->top_p, (double)s->min_p, (double)s->repeat_penalty);
  gust_sampler *sampler = calloc(1, sizeof *sampler);
  if (!sampler) return gust_fail_memory(err, "a sampler", sizeof *sampler);
  size_t n = sampler->vocab = model->header.config.vocab_size;
  sampler->sampling = *s;
  sampler->random = s->seed;
  sampler->logits = malloc(n * sizeof *sampler->logits);
  sampler->weights = malloc(n * sizeof *sampler->weights);
  sampler->heap = malloc(n * sizeof *sampler->heap);
  sampler->seen = malloc(n);
  if (!sampler->logits || !sampler->weights || !sampler->heap || !sampler->seen) {
    gust_sampler_destroy(sampler);
    return gust_fail_memory(err, "a sampler", 13 * n);
  }
  *out = sampler;
  return GUST_OK;
}

void gust_sampler_destroy(gust_sampler *sampler) {
  if (!sampler) return;
  free(sampler->logits);
  free(sampler->weights);
  free(sampler->heap);
  free(sampler->seen);
  free(sampler);
}

uint64_t gust_sampler_get_state(const gust_sampler *sampler) {
  return sampler->random;
}

void gust_sampler_set_state(gust_sampler *sampler, uint64_t state) {
  sampler->random = state;
}

/* Uniform in [0, 1): the upper bits of splitmix64 (Steele et al. 2014). */
static double draw_unit(gust_sampler *s) {
  uint64_t z = (s->random += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

static void penalize(gust_sampler *s, const gust_context *context) {
  memset(s->seen, 0, s->vocab);
  const int32_t *ids = gust_context_ids(context);
  for (size_t i = 0; i < gust_context_length(context); i++) {
    size_t id = (size_t)ids[i];
    if (s->seen[id]) continue;
    s->seen[id] = 1;
    float *logit = &s->logits[id];
    *logit = *logit < 0 ? *logit * s->sampling.repeat_penalty : *logit / s->sampling.repeat_penalty;
  }
}

static int32_t argmax(const float *logits, size_t n) {
  size_t best = 0;
  for (size_t i = 1; i < n; i++)
    if (logits[i] > logits[best]) best = i;
  return (int32_t)best;
}

static bool precedes(const gust_sampler *s, uint32_t a, uint32_t b) {
  return s->weights[a] > s->weights[b] || (s->weights[a] == s->weights[b] && a < b);
}

static void sift_down(gust_sampler *s, size_t at, size_t count) {
  uint32_t id = s->heap[at];
  for (;;) {
    size_t child = 2 * at + 1;
    if (child >= count) break;
    if (child + 1 < count && precedes(s, s->heap[child + 1], s->heap[child])) child++;
    if (!precedes(s, s->heap[child], id)) break;
    s->heap[at] = s->heap[child];
    at = child;
  }
  s->heap[at] = id;
}

/* Moves the largest of the heap's first `left` ids to its end, place left - 1. */
static uint32_t pop_largest(gust_sampler *s, size_t left) {
  uint32_t id = s->heap[0];
  s->heap[0] = s->heap[left - 1];
  sift_down(s, 0, left - 1);
  return s->heap[left - 1] = id;
}

/* Draws among the ids that pass top-k, top-p and min-p; `whole` is the sum of
 * all weights. Ids leave the heap in falling order, so no more are sorted than
 * are looked at; they gather at the heap's end, the largest last. */
static int32_t draw_filtered(gust_sampler *s, double whole) {
  const gust_sampling *o = &s->sampling;
  size_t n = s->vocab, k = n, popped = 0, kept = 0;
  for (size_t i = 0; i < n; i++) s->heap[i] = (uint32_t)i;
  for (size_t i = n / 2; i-- > 0;) sift_down(s, i, n);
  double least = (double)o->min_p * (double)s->weights[s->heap[0]], sum = 0;
  if (o->top_k && o->top_k < n) { /* top-p is a share of what top-k leaves */
    for (k = o->top_k, whole = 0; popped < k; popped++)
      whole += s->weights[pop_largest(s, n - popped)];
  }
  for (double enough = (double)o->top_p * whole; kept < k; kept++) {
    if (kept == popped) pop_largest(s, n - popped++);
    double weight = s->weights[s->heap[n - 1 - kept]];
    if (kept && (sum >= enough || weight < least)) break;
    sum += weight;
  }
  double target = draw_unit(s) * sum;
  for (size_t i = 0; i < kept; i++) {
    target -= s->weights[s->heap[n - 1 - i]];
    if (target < 0) return (int32_t)s->heap[n - 1 - i];
  }
  return (int32_t)s->heap[n - kept]; /* rounding left a trace of the target */
}

static int32_t draw_from_all(gust_sampler *s, double whole) {
  double target = draw_unit(s) * whole;
  size_t last = 0;
  for (size_t i = 0; i < s->vocab; i++) {
    if (s->weights[i] <= 0) continue;
    last = i;
    target -= s->weights[i];
    if (target < 0) break;
  }
  return (int32_t)last;
}

gust_status gust_sampler_draw(gust_sampler *s, const gust_context *context, int32_t *id,
                              gust_error *err) {
  const float *logits = gust_context_logits(context);
  if (!logits)
    return gust_fail(err, GUST_E_ARGUMENT,
                     "there are no logits to draw from: feed the context first");
  memcpy(s->logits, logits, s->vocab * sizeof *logits);
  const gust_sampling *o = &s->sampling;
  if (o->repeat_penalty != 1) penalize(s, context);
  float sharpness = 1.0f / o->temperature;
  if (isinf(sharpness)) { /* temperature 0, or next to it */
    *id = argmax(s->logits, s->vocab);
    return GUST_OK;
  }
  double whole = context->kernels.softmax(s->weights, s->logits, s->vocab, sharpness);
  bool filtered = o->top_k || o->top_p < 1 || o->min_p > 0;
  *id = filtered ? draw_filtered(s, whole) : draw_from_all(s, whole);
  return GUST_OK;
}

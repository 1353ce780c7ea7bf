/* Drawing the next id: repetition penalty (Keskar et al. 2019), temperature,
 * top-k, top-p (Holtzman et al. 2020), min-p (Nguyen et al. 2024), in the order
 * of Hugging Face's generate, each seeing what the ones before it left. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "float_state.h"
#include "random64.h"

struct gust_sampler {
  gust_sampling sampling;
  uint64_t random;
  size_t vocab;                 /* of the model */
  size_t count;                 /* ids to draw from: those that have a piece of text */
  float *logits;                /* [vocab] penalized copy */
  float *weights;               /* [count] exp((logit - largest) / temperature) */
  uint8_t *seen;                /* [vocab] ids that are penalized already */
  float least;                  /* weights below are left out of: */
  gust_bin first[GUST_BINS];    /* weights by their highest bits */
  gust_bin detailed[GUST_BINS]; /* those of one bin by further bits */
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
  /* The rows past the pieces pad a matrix to a round size: nothing taught them a logit. */
  sampler->count = gust_tokenizer_size(model->tokenizer);
  sampler->sampling = *s;
  sampler->random = s->seed;
  sampler->logits = malloc(n * sizeof *sampler->logits);
  sampler->weights = malloc(n * sizeof *sampler->weights);
  sampler->seen = malloc(n);
  if (!sampler->logits || !sampler->weights || !sampler->seen) {
    gust_sampler_destroy(sampler);
    return gust_fail_memory(err, "a sampler", 9 * n);
  }
  *out = sampler;
  return GUST_OK;
}

void gust_sampler_destroy(gust_sampler *sampler) {
  if (!sampler) return;
  free(sampler->logits);
  free(sampler->weights);
  free(sampler->seen);
  free(sampler);
}

uint64_t gust_sampler_get_state(const gust_sampler *sampler) {
  return sampler->random;
}

void gust_sampler_set_state(gust_sampler *sampler, uint64_t state) {
  sampler->random = state;
}

/* Uniform in [0, 1): the upper bits of the next number. */
static double draw_unit(gust_sampler *s) {
  return (double)(gust_random64(&s->random) >> 11) * 0x1p-53;
}

/* A copy of the logits, those of the sequence's ids lowered. */
static const float *penalize(gust_sampler *s, const gust_context *context, const float *logits) {
  memcpy(s->logits, logits, s->vocab * sizeof *logits);
  memset(s->seen, 0, s->vocab);
  const int32_t *ids = gust_context_ids(context);
  for (size_t i = 0; i < gust_context_length(context); i++) {
    size_t id = (size_t)ids[i];
    if (s->seen[id]) continue;
    s->seen[id] = 1;
    float *logit = &s->logits[id];
    *logit = *logit < 0 ? *logit * s->sampling.repeat_penalty : *logit / s->sampling.repeat_penalty;
  }
  return s->logits;
}

/* The first ids in falling order of weight, of equal ones the lower id first, up to
 * the last, which is one of `ties` with the weight `last`. */
typedef struct prefix {
  float last;
  size_t ties;
  uint64_t sum; /* of their weights, in the kernels' units */
} prefix;

static float float_of_bits(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/* Goes down the bins until `most` ids or the sum `enough` are reached, or to the last
 * that is not empty: returns the bin where that is, and adds those above it. */
static size_t walk_bins(const gust_bin *bins, size_t most, uint64_t enough, size_t *count,
                        uint64_t *sum) {
  size_t at = GUST_BINS;
  for (size_t b = GUST_BINS; b-- > 0;) {
    if (bins[b].count == 0) continue;
    if (at < GUST_BINS) {
      *count += bins[at].count;
      *sum += bins[at].sum;
    }
    at = b;
    if (*count + bins[b].count >= most || *sum + bins[b].sum >= enough) break;
  }
  return at;
}

/* Leaves ids whose weight is below `least` out of the prefixes to follow. */
static void leave_out_below(gust_sampler *s, const gust_kernels *k, float least) {
  s->least = least;
  memset(s->first, 0, sizeof s->first);
  k->bin_weights(s->first, s->weights, s->count, least, INFINITY, 2 * GUST_BIN_BITS);
}

/* The shortest prefix that has `most` ids or a sum of `enough`; all that are not left
 * out, when they are fewer; one id at least. As if they were sorted; but ten bits of
 * the weights at a time, only the bin where the prefix ends is looked into. */
static prefix shortest_prefix(gust_sampler *s, const gust_kernels *k, size_t most,
                              uint64_t enough) {
  prefix p = {0};
  size_t count = 0;
  const gust_bin *bins = s->first;
  size_t bin = walk_bins(bins, most, enough, &count, &p.sum);
  uint32_t bits = (uint32_t)bin << 2 * GUST_BIN_BITS;
  for (int shift = GUST_BIN_BITS; shift >= 0; shift -= GUST_BIN_BITS) {
    float low = float_of_bits(bits), high = float_of_bits(bits + (GUST_BINS << shift));
    memset(s->detailed, 0, sizeof s->detailed);
    bins = s->detailed;
    k->bin_weights(s->detailed, s->weights, s->count, low > s->least ? low : s->least, high, shift);
    bin = walk_bins(bins, most, enough, &count, &p.sum);
    bits |= (uint32_t)bin << shift;
  }
  /* What is left in the bin has one and the same weight. */
  uint64_t each = gust_weight_units(float_of_bits(bits));
  size_t ties = (size_t)bins[bin].count;
  if (ties > most - count) ties = most - count;
  if (each && p.sum + ties * each > enough) ties = (size_t)((enough - p.sum + each - 1) / each);
  p.last = float_of_bits(bits);
  p.ties = ties ? ties : 1;
  p.sum += p.ties * each;
  return p;
}

/* Draws among the ids that pass top-k, top-p and min-p; `whole` is the sum of
 * all weights. */
static int32_t draw_filtered(gust_sampler *s, const gust_kernels *kernels, float whole) {
  const gust_sampling *o = &s->sampling;
  size_t k = o->top_k && o->top_k < s->count ? o->top_k : s->count;
  uint64_t enough = UINT64_MAX;
  double sum = (double)whole * (double)GUST_WEIGHT_ONE;
  bool limited = k < s->count && o->top_p < 1;
  leave_out_below(s, kernels, limited ? 0 : o->min_p);
  if (limited) sum = (double)shortest_prefix(s, kernels, k, UINT64_MAX).sum;
  if (o->top_p < 1) enough = (uint64_t)((double)o->top_p * sum); /* of what top-k leaves */
  if (s->least < o->min_p) leave_out_below(s, kernels, o->min_p);
  prefix kept = shortest_prefix(s, kernels, k, enough);
  uint64_t target = (uint64_t)(draw_unit(s) * (double)kept.sum);
  if (target >= kept.sum) target = kept.sum - 1; /* rounded up */
  prefix drawn = shortest_prefix(s, kernels, k, target + 1);
  float next = nextafterf(drawn.last, 2);
  return (int32_t)kernels->find_weight(s->weights, s->count, drawn.last, next, drawn.ties - 1);
}

static int32_t draw_from_all(gust_sampler *s, double whole) {
  double target = draw_unit(s) * whole;
  size_t last = 0;
  for (size_t i = 0; i < s->count; i++) {
    if (s->weights[i] <= 0) continue;
    last = i;
    target -= s->weights[i];
    if (target < 0) break;
  }
  return (int32_t)last;
}

static void draw(gust_sampler *s, const gust_context *context, const float *logits, int32_t *id) {
  const gust_kernels *kernels = &context->kernels;
  const gust_sampling *o = &s->sampling;
  if (o->repeat_penalty != 1) logits = penalize(s, context, logits);
  float sharpness = 1.0f / o->temperature;
  float whole = 0;
  /* Not at temperature 0, or next to it. */
  if (!isinf(sharpness)) whole = kernels->softmax(s->weights, logits, s->count, sharpness);
  bool filtered = o->top_k || o->top_p < 1 || o->min_p > 0;
  if (!(whole >= 1)) /* or when there is no largest logit, but NaN or infinities */
    *id = (int32_t)kernels->argmax(logits, s->count);
  else
    *id = filtered ? draw_filtered(s, kernels, whole) : draw_from_all(s, (double)whole);
}

gust_status gust_sampler_draw(gust_sampler *s, const gust_context *context, int32_t *id,
                              gust_error *err) {
  size_t vocab = context->model->header.config.vocab_size;
  if (vocab != s->vocab)
    return gust_fail(err, GUST_E_ARGUMENT,
                     "sampler: expected a context of the same vocabulary of %zu ids, found one of "
                     "%zu; make the sampler for the context's model",
                     s->vocab, vocab);
  const float *logits = gust_context_logits(context);
  if (!logits)
    return gust_fail(err, GUST_E_ARGUMENT,
                     "there are no logits to draw from: feed the context first");
  gust_float_state caller = gust_float_state_set_default();
  draw(s, context, logits, id);
  gust_float_state_restore(caller);
  return GUST_OK;
}

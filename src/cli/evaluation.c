#include "evaluation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "feed_pace.h"
#include "os.h"
#include "portable_math.h"

/* Positions that both models compute before they are compared: as many logits
 * of the reference are kept at most. As large as a context's batch, so that both
 * walk their weights as seldom as they can. */
#define BLOCK 256u

typedef struct evaluator {
  const evaluation_input *input;
  evaluation *result;
  size_t chunk_index;
  int32_t *chunk;    /* the current chunk's ids */
  float *reference;  /* [BLOCK][vocab] logits */
  double *terms;     /* [vocab] exp(logit - largest) of the reference */
  size_t scored;     /* tokens */
  bool not_finite;   /* a logit was infinite or NaN ... */
  size_t bad_place;  /* ... here in the text */
  bool of_reference; /* ... of the reference */
  feed_pace model_pace, reference_pace;
  uint64_t done, total; /* positions computed, for the progress */
} evaluator;

/* A row of logits as a distribution: ln p(i) = logits[i] - log_sum. */
typedef struct distribution {
  double log_sum; /* ln sum exp(logit) */
  double sum;     /* sum of exp(logit - largest) */
  size_t best;    /* the first of the largest */
} distribution;

/* False when a logit is not finite. `terms` may be NULL. */
static bool distribute(distribution *d, const float *logits, size_t count, double *terms) {
  size_t best = 0;
  double magnitude = 0; /* becomes infinite or NaN with any of them */
  for (size_t i = 0; i < count; i++) {
    magnitude += (double)fabsf(logits[i]);
    if (logits[i] > logits[best]) best = i;
  }
  if (!isfinite(magnitude)) return false;
  double largest = (double)logits[best], sum = 0;
  for (size_t i = 0; i < count; i++) {
    double term = portable_exp((double)logits[i] - largest);
    if (terms) terms[i] = term;
    sum += term;
  }
  *d = (distribution){largest + portable_log(sum), sum, best};
  return true;
}

static double divergence(const float *p, const distribution *of_p, const double *terms,
                         const float *q, const distribution *of_q, size_t count) {
  double sum = 0;
  for (size_t i = 0; i < count; i++)
    sum += terms[i] * (((double)p[i] - of_p->log_sum) - ((double)q[i] - of_q->log_sum));
  return sum > 0 ? sum / of_p->sum : 0;
}

static evaluation_guess guess(const float *logits, const distribution *d) {
  return (evaluation_guess){(int32_t)d->best, (double)logits[d->best] - d->log_sum};
}

static bool keep_reference(void *user, size_t position, const float *logits) {
  evaluator *run = user;
  size_t vocab = run->input->vocab;
  if (position >= run->input->chunk / 2)
    memcpy(run->reference + position % BLOCK * vocab, logits, vocab * sizeof *logits);
  return false;
}

static bool fail_finite(evaluator *run, size_t place, bool of_reference) {
  run->not_finite = true;
  run->bad_place = place;
  run->of_reference = of_reference;
  return true;
}

static bool score_model(void *user, size_t position, const float *logits) {
  evaluator *run = user;
  const evaluation_input *input = run->input;
  if (position < input->chunk / 2) return false;
  int32_t next = run->chunk[position + 1];
  evaluation_token *token = &run->result->tokens[run->scored];
  *token = (evaluation_token){.place = run->chunk_index * input->chunk + position + 1};
  distribution of_model, of_reference;
  if (!distribute(&of_model, logits, input->vocab, NULL))
    return fail_finite(run, token->place, false);
  token->logprob = (double)logits[next] - of_model.log_sum;
  token->best = guess(logits, &of_model);
  if (input->reference) {
    const float *reference = run->reference + position % BLOCK * input->vocab;
    if (!distribute(&of_reference, reference, input->vocab, run->terms))
      return fail_finite(run, token->place, true);
    token->reference_logprob = (double)reference[next] - of_reference.log_sum;
    token->reference_best = guess(reference, &of_reference);
    token->kl = divergence(reference, &of_reference, run->terms, logits, &of_model, input->vocab);
  }
  run->scored++;
  return false;
}

/* Scores `count` ids from `at` of the chunk, in pieces. */
static gust_status score_block(evaluator *run, gust_context *context, feed_pace *pace, size_t at,
                               size_t count, gust_logits_fn *fn, gust_error *err) {
  const evaluation_input *input = run->input;
  for (size_t n; count > 0; at += n, count -= n) {
    n = feed_pace_next(pace, count);
    uint64_t begin = os_now_ns();
    gust_status status = gust_context_score(context, run->chunk + at, n, fn, run, err);
    if (status != GUST_OK) return status;
    feed_pace_learn(pace, n, (double)(os_now_ns() - begin) * 1e-9);
    run->done += n;
    if (input->progress && input->progress(input->user, run->done, run->total) &&
        run->done < run->total)
      return command_error(err, GUST_E_CANCELLED,
                           "evaluating was cancelled after %llu of %llu tokens",
                           (unsigned long long)run->done, (unsigned long long)run->total);
  }
  return GUST_OK;
}

static gust_status run_chunk(evaluator *run, size_t index, gust_error *err) {
  const evaluation_input *input = run->input;
  run->chunk_index = index;
  memcpy(run->chunk, input->ids + index * input->chunk, input->chunk * sizeof *run->chunk);
  run->chunk[0] = input->bos_id;
  gust_context_truncate(input->model, 0);
  if (input->reference) gust_context_truncate(input->reference, 0);
  /* The last id is predicted, never fed. */
  for (size_t at = 0; at < input->chunk - 1; at += BLOCK) {
    size_t left = input->chunk - 1 - at, count = left < BLOCK ? left : BLOCK;
    gust_status status = GUST_OK;
    if (input->reference)
      status =
          score_block(run, input->reference, &run->reference_pace, at, count, keep_reference, err);
    if (status == GUST_OK)
      status = score_block(run, input->model, &run->model_pace, at, count, score_model, err);
    if (run->not_finite)
      return command_error(err, GUST_E_FORMAT,
                           "token %zu of the text: expected finite logits%s, found infinity or "
                           "NaN; the file's weights are damaged or too large",
                           run->bad_place, run->of_reference ? " of the reference" : "");
    if (status != GUST_OK) return status;
  }
  return GUST_OK;
}

static gust_status allocate(evaluator *run, gust_error *err) {
  const evaluation_input *input = run->input;
  evaluation *result = run->result;
  size_t block = input->chunk < BLOCK ? input->chunk : BLOCK;
  result->compared = input->reference != NULL;
  result->chunks = input->chunks;
  result->per_chunk = input->chunk - 1 - input->chunk / 2;
  result->tokens = calloc(input->chunks, result->per_chunk * sizeof *result->tokens);
  run->chunk = calloc(input->chunk, sizeof *run->chunk);
  bool enough = result->tokens && run->chunk;
  if (input->reference) {
    run->reference = calloc(input->vocab, block * sizeof *run->reference);
    run->terms = calloc(input->vocab, sizeof *run->terms);
    enough = enough && run->reference && run->terms;
  }
  run->total = (uint64_t)input->chunks * (input->chunk - 1) * (input->reference ? 2 : 1);
  if (enough) return GUST_OK;
  return command_error(err, GUST_E_MEMORY, "no memory to score %zu chunks of %zu tokens",
                       input->chunks, input->chunk);
}

gust_status evaluation_run(evaluation *result, const evaluation_input *input, gust_error *err) {
  evaluator run = {.input = input, .result = result};
  memset(result, 0, sizeof *result);
  gust_status status = allocate(&run, err);
  for (size_t i = 0; i < input->chunks && status == GUST_OK; i++) status = run_chunk(&run, i, err);
  free(run.chunk);
  free(run.reference);
  free(run.terms);
  if (status != GUST_OK) evaluation_clear(result);
  return status;
}

void evaluation_clear(evaluation *result) {
  free(result->tokens);
  memset(result, 0, sizeof *result);
}

#include "evaluation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Positions that both models compute before they are compared: as many logits
 * of the reference are kept. */
#define BLOCK 128u

typedef struct evaluator_state {
  const evaluation_input *input;
  int32_t *chunk;   /* the current chunk's ids */
  float *reference; /* [BLOCK][vocab] logits */
  double *kl;       /* per scored position */
  size_t scored, agreed;
  double nll_sum;
  uint64_t done, total; /* tokens computed, for the progress */
} evaluator;

/* log(sum(exp(x))) and the first of the largest. */
static double log_sum_exp(const float *x, size_t count, size_t *best) {
  size_t top = 0;
  for (size_t i = 1; i < count; i++)
    if (x[i] > x[top]) top = i;
  double largest = x[top], sum = 0;
  for (size_t i = 0; i < count; i++) sum += exp(x[i] - largest);
  *best = top;
  return largest + log(sum);
}

/* sum of p (log p - log q), where p, q are softmax of the two rows. */
static double divergence(const float *p, double p_norm, const float *q, double q_norm,
                         size_t count) {
  double sum = 0;
  for (size_t i = 0; i < count; i++) {
    double log_p = p[i] - p_norm;
    sum += exp(log_p) * (log_p - (q[i] - q_norm));
  }
  return sum;
}

static bool advance(evaluator *run) {
  run->done++;
  const evaluation_input *input = run->input;
  return input->progress && input->progress(input->user, run->done, run->total);
}

static bool keep_reference(void *user, size_t position, const float *logits) {
  evaluator *run = user;
  size_t vocab = run->input->vocab;
  if (position >= run->input->chunk / 2)
    memcpy(run->reference + position % BLOCK * vocab, logits, vocab * sizeof *logits);
  return advance(run);
}

static bool score_model(void *user, size_t position, const float *logits) {
  evaluator *run = user;
  const evaluation_input *input = run->input;
  if (position >= input->chunk / 2) {
    size_t best, reference_best;
    double norm = log_sum_exp(logits, input->vocab, &best);
    run->nll_sum += norm - logits[run->chunk[position + 1]];
    if (input->reference) {
      const float *reference = run->reference + position % BLOCK * input->vocab;
      double reference_norm = log_sum_exp(reference, input->vocab, &reference_best);
      run->kl[run->scored] = divergence(reference, reference_norm, logits, norm, input->vocab);
      run->agreed += best == reference_best;
    }
    run->scored++;
  }
  return advance(run);
}

static gust_status run_chunk(evaluator *run, size_t index, gust_error *err) {
  const evaluation_input *input = run->input;
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
          gust_context_score(input->reference, run->chunk + at, count, keep_reference, run, err);
    if (status == GUST_OK)
      status = gust_context_score(input->model, run->chunk + at, count, score_model, run, err);
    if (status != GUST_OK) return status;
  }
  return GUST_OK;
}

static int compare_doubles(const void *a, const void *b) {
  double left, right;
  memcpy(&left, a, sizeof left);
  memcpy(&right, b, sizeof right);
  return (left > right) - (left < right);
}

double evaluation_quantile(const double *sorted, size_t count, double q) {
  double place = q * (double)(count - 1);
  size_t below = (size_t)place;
  if (below + 1 >= count) return sorted[count - 1];
  return sorted[below] + (place - (double)below) * (sorted[below + 1] - sorted[below]);
}

static void summarize(evaluation *result, evaluator *run) {
  double count = (double)run->scored, sum = 0;
  memset(result, 0, sizeof *result);
  result->tokens = run->scored;
  result->nll = run->nll_sum / count;
  result->ppl = exp(result->nll);
  result->compared = run->input->reference != NULL;
  if (!result->compared) return;
  for (size_t i = 0; i < run->scored; i++) sum += run->kl[i];
  result->kl_mean = sum / count;
  qsort(run->kl, run->scored, sizeof *run->kl, compare_doubles);
  result->kl_median = evaluation_quantile(run->kl, run->scored, 0.5);
  result->kl_p99 = evaluation_quantile(run->kl, run->scored, 0.99);
  result->top1_agree = (double)run->agreed / count;
}

gust_status evaluation_run(evaluation *result, const evaluation_input *input, gust_error *err) {
  size_t scored_per_chunk = input->chunk - 1 - input->chunk / 2;
  evaluator run = {.input = input};
  run.total = (uint64_t)input->chunks * (input->chunk - 1) * (input->reference ? 2 : 1);
  run.chunk = calloc(input->chunk, sizeof *run.chunk);
  if (input->reference) {
    run.reference = calloc(input->vocab, BLOCK * sizeof *run.reference);
    run.kl = calloc(input->chunks, scored_per_chunk * sizeof *run.kl);
  }
  gust_status status = GUST_OK;
  if (!run.chunk || (input->reference && (!run.reference || !run.kl)))
    status = command_error(err, GUST_E_MEMORY, "no memory to compare %zu chunks", input->chunks);
  for (size_t i = 0; i < input->chunks && status == GUST_OK; i++) status = run_chunk(&run, i, err);
  if (status == GUST_OK) summarize(result, &run);
  free(run.chunk);
  free(run.reference);
  free(run.kl);
  return status;
}

#include "evaluation_summary.h"

#include <math.h>
#include <stdlib.h>

#include "ascending.h"
#include "portable_math.h"

double evaluation_quantile(const double *sorted, size_t count, double q) {
  double place = q * (double)(count - 1);
  size_t below = (size_t)place;
  if (below + 1 >= count) return sorted[count - 1];
  return sorted[below] + (place - (double)below) * (sorted[below + 1] - sorted[below]);
}

evaluation_mean evaluation_mean_of(const double *values, size_t chunks, size_t per_chunk) {
  double sum = 0, squares = 0;
  for (size_t i = 0; i < chunks * per_chunk; i++) sum += values[i];
  double mean = sum / (double)(chunks * per_chunk);
  for (size_t c = 0; c < chunks; c++) {
    double of_chunk = 0;
    for (size_t i = 0; i < per_chunk; i++) of_chunk += values[c * per_chunk + i];
    double off = of_chunk / (double)per_chunk - mean;
    squares += off * off;
  }
  double se = chunks > 1 ? sqrt(squares / ((double)chunks * (double)(chunks - 1))) : (double)NAN;
  return (evaluation_mean){mean, se};
}

typedef double token_value(const evaluation_token *token);

static double value_nll(const evaluation_token *token) {
  return -token->logprob;
}

static double value_reference_nll(const evaluation_token *token) {
  return -token->reference_logprob;
}

static double value_nll_difference(const evaluation_token *token) {
  return token->reference_logprob - token->logprob;
}

static double value_agreement(const evaluation_token *token) {
  return token->best.id == token->reference_best.id;
}

static double value_p_difference(const evaluation_token *token) {
  double difference = portable_exp(token->logprob) - portable_exp(token->reference_logprob);
  return difference * difference;
}

static double value_kl(const evaluation_token *token) {
  return token->kl;
}

static evaluation_mean mean_of(const evaluation *result, token_value *value, double *scratch) {
  for (size_t i = 0; i < evaluation_count(result); i++) scratch[i] = value(&result->tokens[i]);
  return evaluation_mean_of(scratch, result->chunks, result->per_chunk);
}

static evaluation_mean perplexity(evaluation_mean nll) {
  double ppl = portable_exp(nll.mean);
  return (evaluation_mean){ppl, ppl * nll.se};
}

static void summarize_reference(evaluation_summary *s, const evaluation *result, double *scratch) {
  s->reference_nll = mean_of(result, value_reference_nll, scratch);
  s->reference_ppl = perplexity(s->reference_nll);
  s->nll_difference = mean_of(result, value_nll_difference, scratch);
  s->top1_agree = mean_of(result, value_agreement, scratch);
  s->p_difference_rms = sqrt(mean_of(result, value_p_difference, scratch).mean);
  s->kl = mean_of(result, value_kl, scratch);
  qsort(scratch, s->tokens, sizeof *scratch, ascending);
  s->kl_median = evaluation_quantile(scratch, s->tokens, 0.5);
  s->kl_p90 = evaluation_quantile(scratch, s->tokens, 0.9);
  s->kl_p99 = evaluation_quantile(scratch, s->tokens, 0.99);
  s->kl_p999 = evaluation_quantile(scratch, s->tokens, 0.999);
  s->kl_max = scratch[s->tokens - 1];
  s->sorted_kl = scratch;
}

gust_status evaluation_summarize(evaluation_summary *summary, const evaluation *result,
                                 gust_error *err) {
  const double none = (double)NAN;
  const evaluation_mean no_mean = {none, none};
  *summary = (evaluation_summary){.tokens = evaluation_count(result),
                                  .chunks = result->chunks,
                                  .reference_nll = no_mean,
                                  .reference_ppl = no_mean,
                                  .nll_difference = no_mean,
                                  .kl = no_mean,
                                  .kl_median = none,
                                  .kl_p90 = none,
                                  .kl_p99 = none,
                                  .kl_p999 = none,
                                  .kl_max = none,
                                  .top1_agree = no_mean,
                                  .p_difference_rms = none};
  double *scratch = calloc(summary->tokens, sizeof *scratch);
  if (!scratch)
    return command_error(err, GUST_E_MEMORY, "no memory for the figures of %zu tokens",
                         summary->tokens);
  summary->nll = mean_of(result, value_nll, scratch);
  summary->ppl = perplexity(summary->nll);
  if (result->compared) {
    summarize_reference(summary, result, scratch);
  } else {
    free(scratch);
  }
  return GUST_OK;
}

void evaluation_summary_clear(evaluation_summary *summary) {
  free(summary->sorted_kl);
  memset(summary, 0, sizeof *summary);
}

/* --- the worst tokens -------------------------------------------------------------- */

typedef struct ranked_token {
  double badness;
  size_t index;
} ranked_token;

static int compare_ranked(const void *a, const void *b) {
  const ranked_token *left = a, *right = b;
  if (left->badness != right->badness) return left->badness < right->badness ? 1 : -1;
  return (left->index > right->index) - (left->index < right->index);
}

gust_status evaluation_worst(const evaluation *result, size_t *places, size_t most, size_t *count,
                             gust_error *err) {
  size_t tokens = evaluation_count(result);
  *count = 0;
  ranked_token *ranked = calloc(tokens, sizeof *ranked);
  if (!ranked) return command_error(err, GUST_E_MEMORY, "no memory to rank %zu tokens", tokens);
  token_value *badness = result->compared ? value_kl : value_nll;
  for (size_t i = 0; i < tokens; i++) ranked[i] = (ranked_token){badness(&result->tokens[i]), i};
  qsort(ranked, tokens, sizeof *ranked, compare_ranked);
  for (; *count < most && *count < tokens && ranked[*count].badness > 0; ++*count)
    places[*count] = ranked[*count].index;
  free(ranked);
  return GUST_OK;
}

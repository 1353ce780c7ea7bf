/* An evaluation's tokens as a few figures.
 *
 * Standard errors are those of the mean over texts like this one. Tokens of one
 * chunk share their context, so they are no independent draws; chunks are nearly
 * so. With m_c the mean of chunk c of C, all of one length, and m their mean:
 *
 *   se(m) = sqrt(sum (m_c - m)^2 / (C (C - 1)))
 *
 * and NaN for a single chunk. The perplexity's is ppl * se(nll), to first order. */
#ifndef GUST_CLI_EVALUATION_SUMMARY_H
#define GUST_CLI_EVALUATION_SUMMARY_H

#include "evaluation.h"

typedef struct evaluation_mean {
  double mean, se;
} evaluation_mean;

/* Without a reference everything about one is NaN. Quantiles are by linear
 * interpolation between order statistics. */
typedef struct evaluation_summary {
  size_t tokens, chunks;
  evaluation_mean nll, ppl; /* negative log-likelihood, nats per token; exp of it */
  evaluation_mean reference_nll, reference_ppl;
  evaluation_mean nll_difference; /* nll - reference_nll, paired by token */
  evaluation_mean kl;             /* nats */
  double kl_median, kl_p90, kl_p99, kl_p999, kl_max;
  evaluation_mean top1_agree; /* share of tokens with the same likeliest id */
  double p_difference_rms;    /* of the probability of the id that follows */
  double *sorted_kl;          /* `tokens` of them, ascending; NULL without a reference */
} evaluation_summary;

/* Fails with GUST_E_MEMORY only. */
gust_status evaluation_summarize(evaluation_summary *summary, const evaluation *result,
                                 gust_error *err);
void evaluation_summary_clear(evaluation_summary *summary);

/* The q-quantile (0 to 1) of count >= 1 ascending values. */
double evaluation_quantile(const double *sorted, size_t count, double q);

/* The mean of chunks * per_chunk values, and its standard error as above. */
evaluation_mean evaluation_mean_of(const double *values, size_t chunks, size_t per_chunk);

/* Indices of the `most` tokens with the largest divergence, or without a
 * reference the least likely ones; the largest first, among equals the first of
 * the text. Those without any divergence are left out. Fills places[most]; *count says how many
 * there are. Fails with GUST_E_MEMORY only. */
gust_status evaluation_worst(const evaluation *result, size_t *places, size_t most, size_t *count,
                             gust_error *err);

#endif

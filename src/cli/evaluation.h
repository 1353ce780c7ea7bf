/* How well a model predicts a text, and how far it is from a reference.
 *
 * The ids are cut into chunks of `chunk` tokens, each scored by itself: its
 * first id is replaced by the begin-of-sequence id, and the logits at positions
 * chunk/2 .. chunk-2 predict the ids at chunk/2 + 1 .. chunk-1. All sums are in
 * double precision, in the order of the text. */
#ifndef GUST_CLI_EVALUATION_H
#define GUST_CLI_EVALUATION_H

#include "command.h"

typedef struct evaluation_input {
  gust_context *model;     /* both hold at least `chunk` positions */
  gust_context *reference; /* NULL: no comparison */
  size_t vocab;
  const int32_t *ids; /* chunks * chunk of them */
  size_t chunk, chunks;
  int32_t bos_id;
  gust_progress_fn *progress; /* in tokens computed */
  void *user;
} evaluation_input;

typedef struct evaluation {
  uint64_t tokens; /* scored */
  double nll;      /* mean negative log-likelihood, nats per token */
  double ppl;      /* exp(nll) */
  bool compared;   /* the rest holds */
  /* KL(reference || model) per scored position, in nats; quantiles by linear
   * interpolation between order statistics. */
  double kl_mean, kl_median, kl_p99;
  double top1_agree; /* share of positions with the same likeliest id */
} evaluation;

/* Needs chunk >= 4 and chunks >= 1. Leaves the contexts with some sequence. */
gust_status evaluation_run(evaluation *result, const evaluation_input *input, gust_error *err);

/* The q-quantile (0 to 1) of count >= 1 ascending values. */
double evaluation_quantile(const double *sorted, size_t count, double q);

#endif

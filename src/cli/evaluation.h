/* How well a model predicts a text, and how far it is from a reference, token by
 * token.
 *
 * The ids are cut into chunks of `chunk` tokens, each scored by itself: its
 * first id is replaced by the begin-of-sequence id, and the logits at positions
 * chunk/2 .. chunk-2 predict the ids at chunk/2 + 1 .. chunk-1.
 *
 * With p the reference's probabilities and q the model's, both the softmax of
 * float logits computed in double precision (largest logit subtracted, terms
 * added in the order of ids), the divergence of a token is
 * KL = sum p (ln p - ln q). It cannot be negative; where rounding leaves
 * something below 0 (some 1e-16) it is set to 0. Of equal logits it is exactly
 * 0. exp and log are those of portable_math.h, so that one file and one text
 * give one set of figures, to the bit, wherever they are computed. */
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
  gust_progress_fn *progress; /* in tokens computed, of both models; may be NULL */
  void *user;
} evaluation_input;

/* The likeliest id at a place, the lowest of several, and its ln p. */
typedef struct evaluation_guess {
  int32_t id;
  double logprob;
} evaluation_guess;

/* One predicted id. Natural logarithms; the reference's part is 0 without one. */
typedef struct evaluation_token {
  size_t place; /* of the id, among all ids of the text */
  double logprob, reference_logprob;
  evaluation_guess best, reference_best;
  double kl; /* KL(reference || model), nats */
} evaluation_token;

typedef struct evaluation {
  bool compared;            /* there was a reference */
  size_t chunks, per_chunk; /* tokens: chunks * per_chunk, in the order of the text */
  evaluation_token *tokens;
} evaluation;

/* Needs chunk >= 4 and chunks >= 1. Leaves the contexts with some sequence.
 * GUST_E_FORMAT when a logit is not finite. Fails with an empty *result, which
 * needs no clearing. */
gust_status evaluation_run(evaluation *result, const evaluation_input *input, gust_error *err);
void evaluation_clear(evaluation *result);

static inline size_t evaluation_count(const evaluation *result) {
  return result->chunks * result->per_chunk;
}

#endif

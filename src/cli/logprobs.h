/* The log-probabilities of an answer's tokens: of those drawn and of the likeliest
 * ones at each place. They are the model's own, before penalties, temperature and
 * whatever else the sampler does, as natural logarithms. */
#ifndef GUST_CLI_LOGPROBS_H
#define GUST_CLI_LOGPROBS_H

#include "command.h"
#include "json_out.h"

#define LOGPROBS_MAX_TOP 100u

typedef struct logprobs logprobs;

/* `top` (at most LOGPROBS_MAX_TOP) likeliest ids are kept at each place. The
 * context and the model must live as long. */
gust_status logprobs_create(logprobs **list, const gust_model *model, const gust_context *context,
                            size_t top, gust_error *err);
void logprobs_destroy(logprobs *list);

/* An answer_token_fn whose `user` is the list. */
gust_status logprobs_add(void *list, int32_t id, const char *text, size_t bytes, gust_error *err);

/* A member "logprobs" of an open object: for each token id, text, logprob and
 * top, the likeliest first, the lower id first among equals. */
void logprobs_json(const logprobs *list, json_out *json);

/* log(sum of exp(logits)), computed in double; count >= 1. */
double logprobs_log_sum(const float *logits, size_t count);

#endif

/* From the paths of a file, its reference and a text to an evaluation: opens both,
 * checks that they are one model, and runs them. */
#ifndef GUST_CLI_EVALUATION_PAIR_H
#define GUST_CLI_EVALUATION_PAIR_H

#include "evaluation.h"
#include "model_options.h"

/* One of the two models; any part may be missing. */
typedef struct evaluation_side {
  gust_model *model;
  gust_context *context;
  int32_t *ids; /* of the text */
  size_t count;
} evaluation_side;

/* Filled in by the caller but for the sides, which are zero. */
typedef struct evaluation_pair {
  const cli_command *command; /* whose messages these are */
  const model_values *values;
  const char *text_name, *text;
  size_t bytes;
  size_t chunk;         /* tokens */
  uint64_t chunks;      /* at most; 0: all there are */
  uint64_t model_bytes; /* of the file, when something else follows it; else 0. Given,
                           both files are mapped, without a word */
  bool note_fewer;      /* say it when the text has fewer than --chunks */
  evaluation_side model, reference;
} evaluation_pair;

/* `against` may be NULL. The pair is to be closed in any case, *result to be cleared
 * after success. */
gust_status evaluation_pair_run(evaluation_pair *pair, const char *path, const char *against,
                                evaluation *result, gust_error *err);
void evaluation_pair_close(evaluation_pair *pair);

#endif

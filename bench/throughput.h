/* Tokens per second of a context: reading a prompt, and going on one token at a
 * time. Drawing tokens is left out: the ids are random numbers of a fixed seed,
 * since what a token costs does not depend on which it is. */
#ifndef GUST_BENCH_THROUGHPUT_H
#define GUST_BENCH_THROUGHPUT_H

#include "gust.h"

typedef enum throughput_part { THROUGHPUT_PREFILL, THROUGHPUT_DECODE } throughput_part;

/* Measures what the machine allows at this moment, in a unit of its own. */
typedef gust_status throughput_limit_fn(void *user, throughput_part part, double *limit,
                                        gust_error *err);

typedef struct throughput_plan {
  size_t prompt;              /* tokens fed at once; 0: leave out */
  size_t gen;                 /* tokens fed one by one; 0: leave out */
  size_t depth;               /* tokens in the context before these */
  size_t window;              /* the model's sliding window; 0: none */
  size_t repetitions;         /* at least 1; one more of each goes before, uncounted */
  throughput_limit_fn *limit; /* called around every repetition; may be NULL */
  void *limit_user;
  gust_progress_fn *progress; /* in tokens; not NULL */
  void *user;
} throughput_plan;

/* Over the repetitions; all NaN where nothing was measured. */
typedef struct throughput_spread {
  double median, least, most; /* tokens per second */
  double limit;               /* median of the larger of the limits found right before and
                                 right after a repetition; NaN without a function */
} throughput_spread;

typedef struct throughput {
  throughput_spread prefill, decode;
} throughput;

/* The positions a context needs for a plan. */
size_t throughput_positions(const throughput_plan *plan);

/* Leaves the context with some sequence. vocab >= 1. A depth of a whole window or
 * more is not gone back to: the repetitions follow each other, since a token
 * costs the same wherever it sees a window full. */
gust_status throughput_measure(throughput *result, gust_context *context, uint32_t vocab,
                               const throughput_plan *plan, gust_error *err);

#endif

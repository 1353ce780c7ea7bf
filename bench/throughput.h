/* Tokens per second of a context: reading a prompt, and going on one token at a
 * time. Drawing tokens is left out: the ids are random numbers of a fixed seed,
 * since what a token costs does not depend on which it is. */
#ifndef GUST_BENCH_THROUGHPUT_H
#define GUST_BENCH_THROUGHPUT_H

#include "gust.h"

typedef struct throughput_plan {
  size_t prompt;              /* tokens fed at once into an empty context; 0: leave out */
  size_t gen;                 /* tokens fed one by one; 0: leave out */
  size_t depth;               /* tokens in the context before these */
  size_t repetitions;         /* at least 1; one more of each goes before, uncounted */
  gust_progress_fn *progress; /* in tokens; not NULL */
  void *user;
} throughput_plan;

/* Over the repetitions; all NaN where nothing was measured. */
typedef struct throughput_spread {
  double median, least, most;
} throughput_spread;

typedef struct throughput {
  throughput_spread prefill, decode; /* tokens per second */
} throughput;

/* The positions a context needs for a plan. */
size_t throughput_positions(const throughput_plan *plan);

/* Leaves the context with some sequence. vocab >= 1. */
gust_status throughput_measure(throughput *result, gust_context *context, uint32_t vocab,
                               const throughput_plan *plan, gust_error *err);

#endif

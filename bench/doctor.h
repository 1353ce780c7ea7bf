/* What gust doctor finds out: the machine, its limits, and what they allow. */
#ifndef GUST_BENCH_DOCTOR_H
#define GUST_BENCH_DOCTOR_H

#include "bandwidth_probe.h"
#include "cpu_name.h"
#include "machine_facts.h"
#include "prediction.h"

#define DOCTOR_SHAPE "mistral-7b"
#define DOCTOR_MODELS 2u
#define DOCTOR_ADVICE_MOST 8u
#define DOCTOR_ADVICE_BYTES 200u

typedef struct doctor_model {
  const char *type; /* "q4", "q8" */
  model_cost cost;
  prediction prediction;
} doctor_model;

typedef struct doctor_findings {
  char cpu_model[CPU_NAME_BYTES];
  machine_facts facts;
  const char *level; /* of the kernels gust would use */
  unsigned threads;
  double bandwidth, bandwidth_least, bandwidth_best; /* bytes per second; the first is
                                                        the median of some in a row */
  char bandwidth_way[BANDWIDTH_WAY_BYTES];
  double multiply_peak; /* multiply-adds per second; 0: no probe for this level */
  double huge_share;    /* of the probe's buffer in huge pages; NaN: unknown */
  doctor_model models[DOCTOR_MODELS];
} doctor_findings;

/* `cpu` caps the level (NULL: the best); threads 0: gust_default_threads().
 * Progress in bytes of the bandwidth probe. */
gust_status doctor_examine(doctor_findings *findings, const char *cpu, unsigned threads,
                           gust_progress_fn *progress, void *user, gust_error *err);

/* What would help, one line each; returns how many. Depends on nothing but the
 * findings. */
size_t doctor_advise(const doctor_findings *findings,
                     char lines[DOCTOR_ADVICE_MOST][DOCTOR_ADVICE_BYTES]);

/* "memory bandwidth" and the like: what limits decoding. */
const char *doctor_limit_name(prediction_limit limit);

void doctor_print_text(const doctor_findings *findings);
void doctor_print_json(const doctor_findings *findings);

#endif

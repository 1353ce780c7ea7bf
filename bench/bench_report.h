/* One benchmark's results, as a table for people, JSON, CSV or Markdown, all to
 * stdout. */
#ifndef GUST_BENCH_REPORT_H
#define GUST_BENCH_REPORT_H

#include "cpu_name.h"
#include "throughput.h"

typedef struct bench_report {
  const char *model; /* path, or name of the shape */
  const char *type;  /* of a synthetic model; NULL: what the file holds */
  char cpu_model[CPU_NAME_BYTES];
  const char *cpu; /* level */
  unsigned threads;
  const char *kv, *load;
  throughput_plan plan;
  throughput speed;
  uint64_t weight_bytes_per_token;
  double bandwidth;     /* bytes per second, the probe's */
  double multiply_adds; /* of 8-bit integers per second in prefill; NaN: none */
  double multiply_peak; /* the probe's; NaN: none for this level */
} bench_report;

/* Decoding's bytes per second over the probe's. */
double bench_report_bandwidth_fraction(const bench_report *report);

void bench_report_text(const bench_report *report);
void bench_report_json(const bench_report *report);
void bench_report_csv(const bench_report *report); /* a line of names, a line of values */
void bench_report_markdown(const bench_report *report);

#endif

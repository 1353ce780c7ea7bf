/* One benchmark's results, as a table for people, JSON, CSV or Markdown, all to
 * stdout. */
#ifndef GUST_BENCH_REPORT_H
#define GUST_BENCH_REPORT_H

#include "bandwidth_probe.h"
#include "cpu_name.h"
#include "throughput.h"

/* One prompt and one answer at one depth. */
typedef struct bench_row {
  size_t prompt, gen, depth;
  throughput speed;     /* limits: multiply-adds and bytes per second */
  double bandwidth;     /* bytes per second, the probe's, around decoding if there was any */
  double multiply_adds; /* of 8-bit integers per second in prefill; NaN: none */
  double multiply_peak; /* the probe's; NaN: none for this level */
} bench_row;

typedef struct bench_report {
  const char *model; /* path, or name of the shape */
  const char *type;  /* of a synthetic model; NULL: what the file holds */
  char cpu_model[CPU_NAME_BYTES];
  const char *cpu; /* level */
  unsigned threads;
  const char *kv, *load;
  size_t repetitions;
  uint64_t weight_bytes_per_token;
  double bandwidth_best; /* bytes per second, of the whole run */
  char bandwidth_way[BANDWIDTH_WAY_BYTES];
  bench_row *rows;
  size_t row_count; /* at least 1 */
} bench_report;

/* Decoding's bytes per second over the probe's. */
double bench_report_bandwidth_fraction(const bench_report *report, const bench_row *row);

void bench_report_text(const bench_report *report);
void bench_report_json(const bench_report *report); /* an object; of several rows an array */
void bench_report_csv(const bench_report *report);  /* a line of names, a line of values a row */
void bench_report_markdown(const bench_report *report);

#endif

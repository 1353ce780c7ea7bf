/* What gust bench measures: every row of a benchmark, beside the machine's
 * limits at that moment. */
#ifndef GUST_BENCH_RUN_H
#define GUST_BENCH_RUN_H

#include "bench_report.h"
#include "cli/model_options.h"
#include "count_list.h"

typedef struct bench_request {
  const char *path;  /* of the model; NULL: synthetic */
  const char *shape; /* of a synthetic model, and its type */
  const char *type;
  count_list prompts, gens, depths; /* tokens */
  size_t repetitions;
  const model_values *running;
} bench_request;

/* At every depth the first prompt goes with the first answer, the second with the
 * second, and so on; where one list is shorter, the other goes on alone. */
size_t bench_row_count(const bench_request *request);

/* Fills in the report, whose texts point into the request and the model; *model is
 * for the caller to close, and report->rows to free, also after a failure. */
gust_status bench_run(bench_report *report, gust_model **model, const cli_command *command,
                      const bench_request *request, gust_error *err);

#endif

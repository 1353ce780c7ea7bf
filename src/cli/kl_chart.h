/* The distribution of an evaluation's divergences as an SVG picture: a histogram
 * with a logarithmic axis of nats, the quantiles marked. Readable on a light and
 * on a dark page; the same figures give the same bytes. */
#ifndef GUST_CLI_KL_CHART_H
#define GUST_CLI_KL_CHART_H

#include "evaluation_summary.h"

/* Writes the picture beside `path` and renames it there. The summary is one with
 * a reference; `model` and `reference` are the names to print. */
gust_status kl_chart_write(const char *path, const evaluation_summary *summary, const char *model,
                           const char *reference, gust_error *err);

#endif

/* What gust eval prints: an evaluation's figures and its worst tokens, as a
 * table or as JSON. */
#ifndef GUST_CLI_EVALUATION_REPORT_H
#define GUST_CLI_EVALUATION_REPORT_H

#include "evaluation_summary.h"
#include "json_out.h"

/* The members of an open object: the figures. Those there are none of are null. */
void evaluation_report_json(json_out *json, const evaluation_summary *summary, size_t chunk);

void evaluation_report_table(const evaluation_summary *summary, size_t chunk);

/* Where the worst tokens stand in the text. */
typedef struct evaluation_places {
  const gust_model *model; /* spells the ids */
  const int32_t *ids;      /* of the text */
  size_t chunk;
  const size_t *places; /* evaluation_worst */
  size_t count;
} evaluation_places;

/* The array "worst" of an open object. */
gust_status evaluation_report_worst_json(json_out *json, const evaluation *result,
                                         const evaluation_places *worst, gust_error *err);

gust_status evaluation_report_worst_table(const evaluation *result, const evaluation_places *worst,
                                          gust_error *err);

#endif

/* What is in a .gust file, as a table or JSON: shared by inspect and convert. */
#ifndef GUST_CLI_MODEL_REPORT_H
#define GUST_CLI_MODEL_REPORT_H

#include "command.h"
#include "json_out.h"

#define MODEL_REPORT_TYPES 8

/* The tensors of one type taken together. */
typedef struct model_type_total {
  const char *type;
  uint64_t tensors, parameters, bytes;
} model_type_total;

/* Sums up the tensors by type, in order of first appearance; returns how many
 * types there are. */
size_t model_report_totals(const gust_model *model, model_type_total totals[MODEL_REPORT_TYPES]);

/* 8 bytes / parameters, 0 without parameters. */
double model_report_bits(const model_type_total *total);

/* Members of an open object. */
void model_report_json_header(json_out *json, const gust_model *model);
void model_report_json_tensors(json_out *json, const gust_model *model);

/* The member "receipt": null when the file has none. */
void model_report_json_receipt(json_out *json, const gust_model *model);

/* The logits hash and, where it was measured, the quality. */
void model_report_receipt_rows(const gust_receipt_info *receipt);

void model_report_table(const gust_model *model);

#endif

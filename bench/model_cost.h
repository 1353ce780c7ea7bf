/* What a model asks of a machine, from its tensor table alone. */
#ifndef GUST_BENCH_MODEL_COST_H
#define GUST_BENCH_MODEL_COST_H

#include "format.h"

typedef struct model_cost {
  uint64_t file_bytes;
  uint64_t weight_bytes_per_token; /* read to decode one token */
  double layer_multiply_adds;      /* of weights per token; NaN: some are no integers */
  double head_multiply_adds;       /* for the last token of a prompt, or each decoded one */
} model_cost;

model_cost model_cost_of(const gust_header *header);

/* What a context of so many positions takes, with f16 keys and values: the figure by which
 * gust_context_create refuses one. */
gust_status model_context_bytes(const gust_header *header, size_t positions, unsigned threads,
                                uint64_t *bytes, gust_error *err);

#endif

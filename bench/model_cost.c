#include "model_cost.h"

#include <math.h>
#include <string.h>

#include "model.h"

/* Of the embedding one row is read, unless it is the head as well. */
model_cost model_cost_of(const gust_header *header) {
  const gust_config *c = &header->config;
  model_cost cost = {.file_bytes = header->file_bytes,
                     .head_multiply_adds = (double)c->vocab_size * c->hidden_size};
  for (size_t i = 0; i < header->tensor_count; i++) {
    const gust_tensor *t = &header->tensors[i];
    bool embedding = strcmp(t->name, "model.embed_tokens.weight") == 0;
    if (!embedding || c->tied_head) cost.weight_bytes_per_token += t->bytes;
    if (t->rank != 2) continue;
    if (!gust_type_is_quantized(t->type)) cost.layer_multiply_adds = (double)NAN;
    if (strncmp(t->name, "model.layers.", 13) == 0)
      cost.layer_multiply_adds += (double)t->shape[0] * (double)t->shape[1];
  }
  return cost;
}

gust_status model_context_bytes(const gust_header *header, size_t positions, unsigned threads,
                                uint64_t *bytes, gust_error *err) {
  const gust_model weightless = {.header = *header}; /* sizes depend on no more */
  const gust_context_options options = {
      .positions = positions, .kv = GUST_KV_F16, .threads = threads};
  gust_context_memory memory;
  gust_status status = gust_context_measure(&weightless, &options, &memory, err);
  if (!status) *bytes = memory.cache + memory.scratch;
  return status;
}

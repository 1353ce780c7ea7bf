#include "model_cost.h"

#include <math.h>
#include <string.h>

#include "kernels.h"

static uint64_t kv_bytes(const gust_config *c) {
  size_t chunk = gust_key_tile_bytes(GUST_KV_TILE_F16, c->head_dim) +
                 gust_value_tile_bytes(GUST_KV_TILE_F16, c->head_dim);
  return (uint64_t)c->layers * c->kv_heads * (chunk / GUST_CHUNK);
}

/* Of the embedding one row is read, unless it is the head as well. */
model_cost model_cost_of(const gust_header *header) {
  const gust_config *c = &header->config;
  model_cost cost = {.file_bytes = header->file_bytes,
                     .head_multiply_adds = (double)c->vocab_size * c->hidden_size,
                     .kv_bytes_per_position = kv_bytes(c)};
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

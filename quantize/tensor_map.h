/* Which tensors a model has, in the order of the .gust file, and where each
 * comes from in the checkpoint. */
#ifndef GUST_TENSOR_MAP_H
#define GUST_TENSOR_MAP_H

#include "checkpoint.h"
#include "format.h"

/* What the two matrices outside of the layers are called, here and there. */
#define EMBEDDING_NAME "model.embed_tokens.weight"
#define HEAD_NAME "lm_head.weight"

/* The file's tensor that a checkpoint's tensor becomes. */
#define TENSOR_MAP_NONE SIZE_MAX

typedef struct tensor_map {
  /* targets[s][t]: index into header->tensors of tensor t of shard s, or
   * TENSOR_MAP_NONE for one that is left out (rotary_emb.inv_freq, a tied
   * lm_head). */
  size_t **targets;
  size_t shard_count;
} tensor_map;

/* Fills header->tensors (name, rank, shape; tensor_types.h chooses the types)
 * from header->config and checks that the checkpoint has just these, in these shapes: one that is
 * missing, surplus or of another shape is refused by name. With a tied head there
 * is no lm_head.weight in the file; one in the checkpoint is left out when it is
 * the embedding byte for byte, and refused otherwise. *map is to be cleared in
 * every case. */
gust_status tensor_map_build(tensor_map *map, gust_header *header, const checkpoint *source,
                             gust_error *err);
void tensor_map_clear(tensor_map *map);

#endif

/* The weights of a checkpoint folder: model.safetensors, or the shards that
 * model.safetensors.index.json names. */
#ifndef GUST_CHECKPOINT_H
#define GUST_CHECKPOINT_H

#include "safetensors.h"

typedef struct checkpoint_shard {
  char *name; /* within the folder */
  safetensors_file file;
} checkpoint_shard;

/* A tensor by name, and where it lies. */
typedef struct checkpoint_entry {
  const char *name;
  size_t shard, tensor;
  bool listed; /* in the index */
} checkpoint_entry;

typedef struct checkpoint {
  const char *folder;
  checkpoint_shard *shards; /* by name */
  size_t shard_count;
  checkpoint_entry *entries; /* by name */
  size_t entry_count;
} checkpoint;

/* Opens all files; index and shards must agree on every tensor, and no name may
 * occur twice. `folder` must outlive *c, which is to be closed in every case. */
gust_status checkpoint_open(checkpoint *c, const char *folder, gust_error *err);
/* safetensors_check of all shards. */
gust_status checkpoint_check(const checkpoint *c, gust_error *err);
void checkpoint_close(checkpoint *c);

/* NULL: no such tensor. */
const checkpoint_entry *checkpoint_find(const checkpoint *c, const char *name);

static inline const safetensors_tensor *checkpoint_tensor(const checkpoint *c,
                                                          const checkpoint_entry *entry) {
  return &c->shards[entry->shard].file.tensors[entry->tensor];
}

#endif

/* Writes small Hugging Face checkpoints for tests: whole ones, whose values the
 * test knows, and text patches that break them in one place. */
#ifndef GUST_CHECKPOINT_MAKER_H
#define GUST_CHECKPOINT_MAKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct maker_tensor {
  char name[96];
  unsigned rank;
  size_t shape[2]; /* rank 1: [n, 1] */
  float *values;   /* multiples of 1/64 below 2: exact in every float type */
} maker_tensor;

typedef struct maker_model {
  unsigned vocab, hidden, ffn, layers, heads, kv_heads, head_dim;
  bool tied, with_head; /* what config.json says; whether there is lm_head */
  maker_tensor *tensors;
  size_t tensor_count;
} maker_model;

/* Two layers with widths that are no multiple of 16. */
maker_model maker_small(bool tied, bool with_head);
/* One layer, as little in it as the tokenizer allows: for tests that convert thousands
 * of times. */
maker_model maker_tiny(void);
void maker_free(maker_model *model);

/* Writes config.json, tokenizer.json and the weights into `folder`, which is
 * made, or emptied of what an earlier call wrote. dtype: "F32", "BF16" or
 * "F16"; shards: 1 (model.safetensors) or more (with an index). */
void maker_write(const maker_model *model, const char *folder, const char *dtype, unsigned shards);

/* Replaces the one place where `from` stands in FOLDER/NAME; in a .safetensors
 * file within its header, whose length is set anew. */
void maker_patch(const char *folder, const char *name, const char *from, const char *to);

/* Overwrites `bytes` bytes of tensor `name`, from element `index` of
 * `element_bytes` each, in FOLDER/model.safetensors. */
void maker_poke(const maker_model *model, const char *folder, const char *name, size_t index,
                const void *data, size_t element_bytes);

const maker_tensor *maker_find(const maker_model *model, const char *name);

#endif

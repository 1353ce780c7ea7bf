#include "tensor_map.h"

#include <stdlib.h>
#include <string.h>

typedef struct map_builder {
  tensor_map *map;
  gust_header *header;
  const checkpoint *source;
  gust_error *err;
} map_builder;

/* --- expected tensors ------------------------------------------------------------ */

static gust_status check_shape(map_builder *b, const gust_tensor *t, const checkpoint_entry *e) {
  const safetensors_tensor *found = checkpoint_tensor(b->source, e);
  bool same = found->rank == t->rank;
  for (uint32_t i = 0; i < t->rank && same; i++) same = found->shape[i] == t->shape[i];
  if (same) return GUST_OK;
  char expected_text[SAFETENSORS_SHAPE_TEXT], found_text[SAFETENSORS_SHAPE_TEXT];
  return gust_fail(b->err, GUST_E_FORMAT,
                   "%s: tensor '%s': expected shape %s as config.json says, found %s; weights and "
                   "config.json must belong together",
                   b->source->shards[e->shard].file.path, t->name,
                   safetensors_shape_text(t->shape, t->rank, expected_text),
                   safetensors_shape_text(found->shape, found->rank, found_text));
}

static gust_status add_tensor(map_builder *b, const gust_tensor_spec *spec) {
  gust_tensor *t = &b->header->tensors[b->header->tensor_count];
  size_t bytes = strlen(spec->name) + 1;
  *t = (gust_tensor){.name = malloc(bytes), .rank = spec->rank};
  if (!t->name) return gust_fail_memory(b->err, "tensor name", bytes);
  memcpy(t->name, spec->name, bytes);
  memcpy(t->shape, spec->shape, sizeof t->shape);
  size_t index = b->header->tensor_count++;
  const checkpoint_entry *entry = checkpoint_find(b->source, t->name);
  if (!entry)
    return gust_fail(b->err, GUST_E_FORMAT,
                     "%s: expected a tensor '%s', found none; download the checkpoint again",
                     b->source->folder, t->name);
  b->map->targets[entry->shard][entry->tensor] = index;
  return check_shape(b, t, entry);
}

/* Some exports spell a tied head out once more. One that differs contradicts
 * config.json, and which of the two is right cannot be told. */
static gust_status check_tied_head(map_builder *b) {
  const checkpoint_entry *head = checkpoint_find(b->source, HEAD_NAME);
  if (!head) return GUST_OK;
  const checkpoint_entry *embedding = checkpoint_find(b->source, EMBEDDING_NAME);
  const safetensors_file *head_file = &b->source->shards[head->shard].file;
  const safetensors_file *embedding_file = &b->source->shards[embedding->shard].file;
  const safetensors_tensor *h = checkpoint_tensor(b->source, head);
  const safetensors_tensor *e = checkpoint_tensor(b->source, embedding);
  bool same = h->dtype == e->dtype && h->rank == e->rank && h->bytes == e->bytes;
  for (uint32_t i = 0; i < e->rank && same; i++) same = h->shape[i] == e->shape[i];
  if (same &&
      memcmp(head_file->map.data + h->offset, embedding_file->map.data + e->offset, e->bytes) == 0)
    return GUST_OK;
  return gust_fail(b->err, GUST_E_UNSUPPORTED,
                   "%s: tensor '" HEAD_NAME "': expected none, or the bytes of '" EMBEDDING_NAME
                   "', as config.json says tie_word_embeddings, found another; if the head is the "
                   "model's own, set tie_word_embeddings to false",
                   head_file->path);
}

/* The checkpoint calls them as the file does. */
static gust_status add_all(map_builder *b) {
  const gust_config *c = &b->header->config;
  size_t count = gust_config_tensor_count(c);
  gust_status status = GUST_OK;
  b->header->tensors = calloc(count, sizeof *b->header->tensors);
  if (!b->header->tensors)
    return gust_fail_memory(b->err, "tensor list", count * sizeof *b->header->tensors);
  for (size_t i = 0; i < count && !status; i++) {
    gust_tensor_spec spec = gust_config_tensor(c, i);
    status = add_tensor(b, &spec);
  }
  return !status && c->tied_head ? check_tied_head(b) : status;
}

/* --- surplus tensors --------------------------------------------------------------- */

static bool name_ends(const char *name, const char *end) {
  size_t a = strlen(name), b = strlen(end);
  return a >= b && strcmp(name + a - b, end) == 0;
}

/* What the file does without: rotary_emb.inv_freq of old exports, which
 * rope_theta says already, and a head that is the embedding. */
static bool may_be_left_out(const map_builder *b, const char *name) {
  return name_ends(name, ".rotary_emb.inv_freq") ||
         (b->header->config.tied_head && strcmp(name, HEAD_NAME) == 0);
}

static gust_status check_surplus(map_builder *b) {
  for (size_t s = 0; s < b->source->shard_count; s++) {
    const safetensors_file *file = &b->source->shards[s].file;
    for (size_t t = 0; t < file->tensor_count; t++) {
      const char *name = file->tensors[t].name;
      if (b->map->targets[s][t] != TENSOR_MAP_NONE || may_be_left_out(b, name)) continue;
      return gust_fail(b->err, GUST_E_UNSUPPORTED,
                       "%s: tensor '%s': expected only the tensors of config.json's architecture, "
                       "found this one too; gust cannot run this checkpoint",
                       file->path, name);
    }
  }
  return GUST_OK;
}

/* --- the map ------------------------------------------------------------------------- */

static gust_status start_targets(map_builder *b) {
  size_t shards = b->source->shard_count;
  b->map->targets = calloc(shards, sizeof *b->map->targets);
  if (!b->map->targets) return gust_fail_memory(b->err, "tensor map", shards * sizeof(size_t *));
  b->map->shard_count = shards;
  for (size_t s = 0; s < shards; s++) {
    size_t count = b->source->shards[s].file.tensor_count;
    size_t bytes = (count ? count : 1) * sizeof(size_t);
    b->map->targets[s] = malloc(bytes);
    if (!b->map->targets[s]) return gust_fail_memory(b->err, "tensor map", bytes);
    for (size_t t = 0; t < count; t++) b->map->targets[s][t] = TENSOR_MAP_NONE;
  }
  return GUST_OK;
}

gust_status tensor_map_build(tensor_map *map, gust_header *header, const checkpoint *source,
                             gust_error *err) {
  memset(map, 0, sizeof *map);
  map_builder b = {map, header, source, err};
  gust_status status = start_targets(&b);
  if (!status) status = add_all(&b);
  return status ? status : check_surplus(&b);
}

void tensor_map_clear(tensor_map *map) {
  for (size_t s = 0; s < map->shard_count; s++) free(map->targets[s]);
  free(map->targets);
  memset(map, 0, sizeof *map);
}

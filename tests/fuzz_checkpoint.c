/* libFuzzer: the input is an index of shards (empty: there is none) and the headers of
 * up to two .safetensors files, with a NUL byte between two; zeros follow the headers.
 * What opens and has the tensors of a small model is mapped one to one. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "fuzz_support.h"
#include "tensor_map.h"

#define LENGTH_BYTES 8u
#define MOST_DATA 4096u

/* Where the last tensor ends is the largest number in the header, as long as it is not
 * absurd: so that what is behind can be made to fit. */
static size_t data_bytes(fuzz_part header) {
  size_t largest = 0, number = 0;
  for (size_t i = 0; i < header.bytes; i++) {
    bool digit = header.data[i] >= '0' && header.data[i] <= '9';
    number = digit ? number * 10 + (size_t)(header.data[i] - '0') : 0;
    if (number > MOST_DATA) number = 0;
    if (number > largest) largest = number;
  }
  return largest;
}

static void write_shard(const char *name, fuzz_part header) {
  size_t begin = LENGTH_BYTES + header.bytes;
  uint8_t *bytes = malloc(begin);
  fuzz_require(bytes != NULL);
  fuzz_put64(bytes, header.bytes);
  if (header.bytes) memcpy(bytes + LENGTH_BYTES, header.data, header.bytes);
  fuzz_write_long_file(name, bytes, begin, begin + data_bytes(header));
  free(bytes);
}

static void check_opened(const checkpoint *c) {
  size_t count = 0;
  for (size_t s = 0; s < c->shard_count; s++) {
    const safetensors_file *file = &c->shards[s].file;
    for (size_t t = 0; t < file->tensor_count; t++, count++) {
      const checkpoint_entry *entry = checkpoint_find(c, file->tensors[t].name);
      fuzz_require(entry && entry->shard == s && entry->tensor == t);
    }
  }
  fuzz_require(count == c->entry_count && !checkpoint_find(c, "no such tensor"));
}

static void check_mapped(const tensor_map *map, const gust_header *header, const checkpoint *c) {
  bool *seen = calloc(header->tensor_count, sizeof *seen);
  size_t targets = 0;
  fuzz_require(seen != NULL);
  for (size_t s = 0; s < c->shard_count; s++)
    for (size_t t = 0; t < c->shards[s].file.tensor_count; t++) {
      size_t index = map->targets[s][t];
      if (index == TENSOR_MAP_NONE) continue;
      fuzz_require(index < header->tensor_count && !seen[index]);
      seen[index] = true;
      targets++;
    }
  fuzz_require(targets == header->tensor_count);
  free(seen);
}

static void map_small_model(const checkpoint *c, bool tied) {
  gust_header header = {.config = {.arch = GUST_ARCH_LLAMA,
                                   .vocab_size = 4,
                                   .hidden_size = 2,
                                   .intermediate_size = 3,
                                   .layers = 1,
                                   .heads = 1,
                                   .kv_heads = 1,
                                   .head_dim = 2,
                                   .tied_head = tied}};
  tensor_map map;
  gust_error err = {0};
  if (tensor_map_build(&map, &header, c, &err) == GUST_OK)
    check_mapped(&map, &header, c);
  else
    fuzz_require_line(&err);
  tensor_map_clear(&map);
  gust_header_clear(&header);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fuzz_part rest = {data, size}, index = fuzz_take_part(&rest);
  fuzz_write_part("model.safetensors.index.json", index);
  fuzz_write_part("model.safetensors", (fuzz_part){0});
  write_shard(index.bytes ? "a.safetensors" : "model.safetensors", fuzz_take_part(&rest));
  write_shard("b.safetensors", fuzz_take_part(&rest));
  checkpoint c;
  gust_error err = {0};
  if (checkpoint_open(&c, check_temp(), &err) == GUST_OK) {
    check_opened(&c);
    map_small_model(&c, false);
    map_small_model(&c, true);
  } else {
    fuzz_require_line(&err);
  }
  checkpoint_close(&c);
  return 0;
}

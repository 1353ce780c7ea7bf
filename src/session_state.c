/* A context's key-value cache as bytes, and the number that says to which model
 * they belong.
 *
 * A saved position is, for every layer and key-value head, its key and then its
 * value; each is head_dim elements (f16, f32), or for q8 the float scales of its
 * blocks of 32 and then head_dim codes. Padding is not saved. */
#include <string.h>

#include "checksum.h"
#include "context.h"

/* --- bytes of one position --------------------------------------------------------- */

/* What one head of one position consists of. */
typedef struct vector_shape {
  size_t blocks;       /* scales; 0 unless q8 */
  size_t dim, element; /* codes, and bytes of one */
} vector_shape;

static vector_shape shape_of(const gust_context *c) {
  size_t dim = c->model->header.config.head_dim;
  switch (c->kv_type) {
    case GUST_KV_TILE_F32: return (vector_shape){0, dim, sizeof(float)};
    case GUST_KV_TILE_F16: return (vector_shape){0, dim, sizeof(uint16_t)};
    default: return (vector_shape){(dim + 31) / 32, dim, 1};
  }
}

static size_t vector_bytes(vector_shape shape) {
  return shape.blocks * sizeof(float) + shape.dim * shape.element;
}

static size_t position_bytes(const gust_context *c) {
  const gust_config *config = &c->model->header.config;
  return 2 * vector_bytes(shape_of(c)) * config->kv_heads * config->layers;
}

/* Machine order to little-endian or back: the same step. Strides in bytes. */
static inline void copy_elements(uint8_t *to, size_t to_stride, const uint8_t *from,
                                 size_t from_stride, size_t count, size_t size) {
  const uint16_t one = 1;
  uint8_t first;
  memcpy(&first, &one, 1);
  for (size_t i = 0; i < count; i++, to += to_stride, from += from_stride) {
    if (first)
      memcpy(to, from, size);
    else
      for (size_t b = 0; b < size; b++) to[b] = from[size - 1 - b];
  }
}

/* Saves `count` elements that lie `stride` elements apart at `place`, or loads them
 * when there is something to load from; either way moves on behind them. */
typedef struct state_cursor {
  uint8_t *saved;        /* NULL when loading */
  const uint8_t *loaded; /* NULL when saving */
} state_cursor;

static inline void move_sized(state_cursor *at, uint8_t *place, size_t stride, size_t count,
                              size_t size) {
  if (at->loaded) {
    copy_elements(place, stride * size, at->loaded, size, count, size);
    at->loaded += count * size;
  } else {
    copy_elements(at->saved, size, place, stride * size, count, size);
    at->saved += count * size;
  }
}

/* With the size a constant in each case the copies become plain loads and stores. */
static void move(state_cursor *at, uint8_t *place, size_t stride, size_t count, size_t size) {
  switch (size) {
    case 1: move_sized(at, place, stride, count, 1); break;
    case 2: move_sized(at, place, stride, count, 2); break;
    default: move_sized(at, place, stride, count, 4); break;
  }
}

/* One head of one position; the tiles are laid out as kernels.h says. */
static void move_head(state_cursor *at, uint8_t *key, uint8_t *value, size_t slot,
                      vector_shape shape) {
  size_t scales = shape.blocks * GUST_CHUNK * sizeof(float);
  size_t row = gust_round_up(shape.dim, 16) * shape.element;
  move(at, key + slot * sizeof(float), GUST_CHUNK, shape.blocks, sizeof(float));
  move(at, key + scales + slot * shape.element, GUST_CHUNK, shape.dim, shape.element);
  move(at, value + slot * shape.blocks * sizeof(float), 1, shape.blocks, sizeof(float));
  move(at, value + gust_round_up(scales, 64) + slot * row, 1, shape.dim, shape.element);
}

/* All positions of one chunk head by head, so that a tile stays in the first cache
 * while its positions, which it holds interleaved, are taken apart. */
static void move_chunk(const gust_context *c, size_t begin, size_t end, state_cursor base) {
  const gust_config *config = &c->model->header.config;
  vector_shape shape = shape_of(c);
  size_t chunk = begin / GUST_CHUNK, step = position_bytes(c), offset = 0;
  for (size_t layer = 0; layer < config->layers; layer++) {
    for (size_t head = 0; head < config->kv_heads; head++, offset += 2 * vector_bytes(shape)) {
      uint8_t *key = gust_kv_cache_key(&c->cache, layer, head, chunk);
      uint8_t *value = gust_kv_cache_value(&c->cache, layer, head, chunk);
      for (size_t position = begin; position < end; position++) {
        size_t from = (position - begin) * step + offset;
        state_cursor at = {base.saved ? base.saved + from : NULL,
                           base.loaded ? base.loaded + from : NULL};
        move_head(&at, key, value, position % GUST_CHUNK, shape);
      }
    }
  }
}

static void move_positions(const gust_context *c, size_t begin, size_t end, state_cursor base) {
  size_t step = position_bytes(c);
  while (begin < end) {
    size_t chunk_end = (begin / GUST_CHUNK + 1) * GUST_CHUNK;
    if (chunk_end > end) chunk_end = end;
    move_chunk(c, begin, chunk_end, base);
    size_t bytes = (chunk_end - begin) * step;
    if (base.saved) base.saved += bytes;
    if (base.loaded) base.loaded += bytes;
    begin = chunk_end;
  }
}

/* --- the interface ------------------------------------------------------------------- */

gust_kv gust_context_kv(const gust_context *context) {
  return (gust_kv)context->kv_type;
}

size_t gust_context_state_first(const gust_context *context) {
  size_t first = gust_kv_cache_oldest(&context->cache);
  return first < context->length ? first : context->length;
}

size_t gust_context_state_bytes(const gust_context *context, size_t begin, size_t end) {
  size_t step = position_bytes(context);
  if (end < begin || end - begin > SIZE_MAX / step) return 0;
  return (end - begin) * step;
}

static gust_status check_count(const gust_context *c, size_t begin, size_t end, size_t count,
                               gust_error *err) {
  size_t expected = gust_context_state_bytes(c, begin, end);
  if (count == expected) return GUST_OK;
  return gust_fail(err, GUST_E_ARGUMENT,
                   "state of positions %zu to %zu: expected %zu bytes, found %zu", begin, end,
                   expected, count);
}

gust_status gust_context_save_state(const gust_context *context, size_t begin, size_t end,
                                    void *bytes, size_t count, gust_error *err) {
  size_t first = gust_context_state_first(context);
  if (begin < first || end < begin || end > context->length)
    return gust_fail(err, GUST_E_ARGUMENT,
                     "state to save: expected positions from %zu to %zu, found %zu to %zu", first,
                     context->length, begin, end);
  gust_status status = check_count(context, begin, end, count, err);
  if (status) return status;
  if (begin < end) move_positions(context, begin, end, (state_cursor){.saved = bytes});
  return GUST_OK;
}

static gust_status check_load(const gust_context *c, const int32_t *ids, size_t begin, size_t end,
                              size_t count, gust_error *err) {
  uint32_t vocab = c->model->header.config.vocab_size;
  bool later = c->length == 0 && c->cache.window > 0;
  if (end < begin || begin < c->length || (begin > c->length && !later))
    return gust_fail(err, GUST_E_ARGUMENT,
                     "state to load: expected positions from %zu on, found %zu to %zu", c->length,
                     begin, end);
  if (end > c->capacity)
    return gust_fail(err, GUST_E_CONTEXT_FULL,
                     "state to load: the context has %zu positions, %zu are needed; use a larger "
                     "--ctx",
                     c->capacity, end);
  for (size_t i = 0; i < end; i++)
    if (ids[i] < 0 || (uint32_t)ids[i] >= vocab)
      return gust_fail(err, GUST_E_ARGUMENT, "state to load: id %zu: expected 0 to %u, found %d",
                       i + 1, vocab - 1, ids[i]);
  if (c->length && memcmp(ids, c->ids, c->length * sizeof *ids) != 0)
    return gust_fail(err, GUST_E_ARGUMENT,
                     "state to load: its first %zu ids are not those of the context", c->length);
  return check_count(c, begin, end, count, err);
}

gust_status gust_context_load_state(gust_context *context, const int32_t *ids, size_t begin,
                                    size_t end, const void *bytes, size_t count, gust_error *err) {
  gust_context *c = context;
  gust_status status = check_load(c, ids, begin, end, count, err);
  if (status || begin == end) return status;
  status = gust_kv_cache_grow(&c->cache, end, err);
  if (status) return status;
  /* Of more than the ring holds only the end would stay, and the begin would be
   * written where the end is going to lie: harmless, in this order. */
  gust_kv_cache_store_up_to(&c->cache, end);
  move_positions(c, begin, end, (state_cursor){.loaded = bytes});
  if (begin > c->length) c->cache.first_stored = begin;
  memcpy(c->ids + c->length, ids + c->length, (end - c->length) * sizeof *ids);
  c->length = end;
  c->has_logits = false;
  return GUST_OK;
}

/* --- which model ------------------------------------------------------------------------ */

static void hash_number(gust_xxh64 *hash, uint64_t value) {
  uint8_t bytes[8];
  for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)(value >> (8 * i));
  gust_xxh64_update(hash, bytes, sizeof bytes);
}

/* The length first: no two lists of texts look the same when joined. */
static void hash_text(gust_xxh64 *hash, const void *text, size_t bytes) {
  hash_number(hash, bytes);
  gust_xxh64_update(hash, text, bytes);
}

static void hash_config(gust_xxh64 *hash, const gust_config *c) {
  uint64_t theta;
  uint32_t eps;
  memcpy(&theta, &c->rope_theta, sizeof theta);
  memcpy(&eps, &c->norm_eps, sizeof eps);
  const uint64_t numbers[] = {
      c->arch,  c->vocab_size, c->hidden_size, c->intermediate_size, c->layers,
      c->heads, c->kv_heads,   c->head_dim,    c->max_positions,     c->sliding_window,
      theta,    eps,           c->tied_head,   (uint32_t)c->bos_id,  c->eos_count,
  };
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) hash_number(hash, numbers[i]);
  for (uint32_t i = 0; i < c->eos_count; i++) hash_number(hash, (uint32_t)c->eos_ids[i]);
}

uint64_t gust_model_fingerprint(const gust_model *model) {
  const gust_header *header = &model->header;
  const char *template = header->chat_template ? header->chat_template : "";
  gust_xxh64 hash;
  gust_xxh64_begin(&hash, 0);
  hash_config(&hash, &header->config);
  hash_text(&hash, header->tokenizer, header->tokenizer_bytes);
  hash_number(&hash, header->chat_template != NULL);
  hash_text(&hash, template, strlen(template));
  hash_number(&hash, header->tensor_count);
  for (size_t i = 0; i < header->tensor_count; i++) {
    const gust_tensor *tensor = &header->tensors[i];
    hash_text(&hash, tensor->name, strlen(tensor->name));
    const uint64_t numbers[] = {tensor->type, tensor->rank, tensor->shape[0], tensor->shape[1],
                                tensor->checksum};
    for (size_t n = 0; n < sizeof numbers / sizeof *numbers; n++) hash_number(&hash, numbers[n]);
  }
  return gust_xxh64_end(&hash);
}

uint64_t gust_checksum(const void *bytes, size_t count, uint64_t seed) {
  return gust_xxh64_of(bytes, count, seed);
}

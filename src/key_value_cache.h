/* Keys and values of the positions a token may look back to.
 *
 * The cache is cut into chunks of 64 positions (GUST_CHUNK); a chunk holds, for
 * every layer and key-value head, one key tile and one value tile
 * (kernels/kernels.h). Chunk c of the sequence lies at place c % ring_chunks, so
 * with sliding-window attention new positions overwrite those no token can see
 * any more. Address space is reserved at once; memory is committed chunk by
 * chunk as the sequence grows. */
#ifndef GUST_KEY_VALUE_CACHE_H
#define GUST_KEY_VALUE_CACHE_H

#include "format.h"
#include "kernels.h"

typedef struct gust_kv_cache {
  uint8_t *base;
  size_t reserved;
  size_t key_bytes, value_bytes; /* of one tile */
  size_t layer_bytes, chunk_bytes;
  size_t kv_heads;
  size_t ring_chunks, committed_chunks;
  size_t newest_chunk; /* the highest ever stored since the cache was empty */
  size_t first_stored; /* positions before it never were; 0 unless loaded so */
  size_t window;       /* 0: none */
} gust_kv_cache;

/* Sizes for `positions`, fed in batches of at most `batch`, without memory yet. Returns
 * the bytes that gust_kv_cache_reserve will take for all of them; where size_t cannot
 * hold those, the cache is not to be reserved. */
uint64_t gust_kv_cache_plan(gust_kv_cache *cache, const gust_config *config, int kv_type,
                            size_t positions, size_t batch);
gust_status gust_kv_cache_reserve(gust_kv_cache *cache, gust_error *err);
void gust_kv_cache_destroy(gust_kv_cache *cache);

/* Commits memory for positions [0, end). */
gust_status gust_kv_cache_grow(gust_kv_cache *cache, size_t end, gust_error *err);

/* Notes that positions below `end` (> 0) are stored or about to be: with a
 * window, what they overwrite is gone. */
void gust_kv_cache_store_up_to(gust_kv_cache *cache, size_t end);

/* The first position that is stored and was not overwritten. */
size_t gust_kv_cache_oldest(const gust_kv_cache *cache);

/* Forgets all positions. */
void gust_kv_cache_empty(gust_kv_cache *cache);

/* Whether a sequence cut to `length` could go on: everything its next token
 * sees is still stored. */
bool gust_kv_cache_can_truncate(const gust_kv_cache *cache, size_t length);

/* First position that a token at `position` sees. */
static inline size_t gust_kv_cache_first(const gust_kv_cache *cache, size_t position) {
  return cache->window && position + 1 > cache->window ? position + 1 - cache->window : 0;
}

static inline uint8_t *gust_kv_cache_key(const gust_kv_cache *cache, size_t layer, size_t head,
                                         size_t chunk) {
  return cache->base + chunk % cache->ring_chunks * cache->chunk_bytes +
         layer * cache->layer_bytes + head * (cache->key_bytes + cache->value_bytes);
}
static inline uint8_t *gust_kv_cache_value(const gust_kv_cache *cache, size_t layer, size_t head,
                                           size_t chunk) {
  return gust_kv_cache_key(cache, layer, head, chunk) + cache->key_bytes;
}

#endif

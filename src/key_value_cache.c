#include "key_value_cache.h"

#include <string.h>

#include "os.h"

#define CACHE_MEMORY "the key-value cache (fewer positions or a smaller type need less)"

uint64_t gust_kv_cache_plan(gust_kv_cache *cache, const gust_config *config, int kv_type,
                            size_t positions, size_t batch) {
  memset(cache, 0, sizeof *cache);
  cache->kv_heads = config->kv_heads;
  cache->window = config->sliding_window;
  cache->key_bytes = gust_round_up(gust_key_tile_bytes(kv_type, config->head_dim), 64);
  cache->value_bytes = gust_round_up(gust_value_tile_bytes(kv_type, config->head_dim), 64);
  size_t chunks = (positions + GUST_CHUNK - 1) / GUST_CHUNK;
  /* A batch stores all its positions before its first token looks back a whole
   * window; both ends may cut a chunk. */
  size_t ring = cache->window ? (cache->window + batch + GUST_CHUNK - 1) / GUST_CHUNK + 1 : chunks;
  cache->ring_chunks = ring < chunks ? ring : chunks;
  /* By the ranges of a configuration at most 2^30, 2^42 and 2^60. */
  uint64_t layer = (uint64_t)(cache->key_bytes + cache->value_bytes) * config->kv_heads;
  uint64_t chunk = layer * config->layers, bytes = chunk * cache->ring_chunks;
  cache->layer_bytes = (size_t)layer;
  cache->chunk_bytes = (size_t)chunk;
  cache->reserved = (size_t)bytes;
  return bytes;
}

gust_status gust_kv_cache_reserve(gust_kv_cache *cache, gust_error *err) {
  cache->base = os_reserve(cache->reserved);
  return cache->base ? GUST_OK : gust_fail_memory(err, CACHE_MEMORY, cache->reserved);
}

void gust_kv_cache_destroy(gust_kv_cache *cache) {
  if (cache->base) os_release(cache->base, cache->reserved);
  memset(cache, 0, sizeof *cache);
}

gust_status gust_kv_cache_grow(gust_kv_cache *cache, size_t end, gust_error *err) {
  size_t chunks = (end + GUST_CHUNK - 1) / GUST_CHUNK;
  if (chunks > cache->ring_chunks) chunks = cache->ring_chunks;
  if (chunks <= cache->committed_chunks) return GUST_OK;
  size_t from = cache->committed_chunks * cache->chunk_bytes;
  if (!os_commit(cache->base, from, chunks * cache->chunk_bytes - from))
    return gust_fail_memory(err, CACHE_MEMORY, chunks * cache->chunk_bytes);
  cache->committed_chunks = chunks;
  return GUST_OK;
}

void gust_kv_cache_store_up_to(gust_kv_cache *cache, size_t end) {
  size_t chunk = (end - 1) / GUST_CHUNK;
  if (chunk > cache->newest_chunk) cache->newest_chunk = chunk;
}

size_t gust_kv_cache_oldest(const gust_kv_cache *cache) {
  size_t chunks = cache->newest_chunk + 1;
  size_t oldest = chunks > cache->ring_chunks ? (chunks - cache->ring_chunks) * GUST_CHUNK : 0;
  return oldest > cache->first_stored ? oldest : cache->first_stored;
}

void gust_kv_cache_empty(gust_kv_cache *cache) {
  cache->newest_chunk = 0;
  cache->first_stored = 0;
}

bool gust_kv_cache_can_truncate(const gust_kv_cache *cache, size_t length) {
  return gust_kv_cache_first(cache, length) >= gust_kv_cache_oldest(cache);
}

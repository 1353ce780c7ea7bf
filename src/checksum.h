/* XXH64 (xxHash specification by Yann Collet), streaming and at once. It finds
 * damage, not malice: names of sources are hashed with SHA-256. */
#ifndef GUST_CHECKSUM_H
#define GUST_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

typedef struct gust_xxh64 {
  uint64_t lane[4];
  uint64_t total;
  uint8_t rest[32];
  size_t rest_bytes;
  uint64_t seed;
} gust_xxh64;

void gust_xxh64_begin(gust_xxh64 *state, uint64_t seed);
void gust_xxh64_update(gust_xxh64 *state, const void *data, size_t bytes);
uint64_t gust_xxh64_end(const gust_xxh64 *state);
uint64_t gust_xxh64_of(const void *data, size_t bytes, uint64_t seed);

#endif

/* SHA-256 (FIPS 180-4), streaming: names the files a model was made from. */
#ifndef GUST_SHA256_H
#define GUST_SHA256_H

#include <stddef.h>
#include <stdint.h>

typedef struct gust_sha256 {
  uint32_t word[8];
  uint64_t total;
  uint8_t rest[64];
  size_t rest_bytes;
} gust_sha256;

void gust_sha256_begin(gust_sha256 *state);
void gust_sha256_update(gust_sha256 *state, const void *data, size_t bytes);
/* Writes the digest; the state is used up. */
void gust_sha256_end(gust_sha256 *state, uint8_t digest[32]);

#endif

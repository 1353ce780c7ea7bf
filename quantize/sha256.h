/* SHA-256 (FIPS 180-4), streaming: names the files a model was made from. */
#ifndef GUST_SHA256_H
#define GUST_SHA256_H

#include <stddef.h>
#include <stdint.h>

/* A message so far; may be copied, stored and gone on with. */
typedef struct gust_sha256_state {
  uint32_t word[8];
  uint64_t total;   /* bytes */
  uint8_t rest[64]; /* the last total mod 64 of them, then zeros */
} gust_sha256_state;

/* Takes whole blocks of 64 bytes into the eight words. */
typedef void gust_sha256_blocks_fn(uint32_t word[8], const uint8_t *blocks, size_t count);

typedef struct gust_sha256 {
  gust_sha256_state state;
  gust_sha256_blocks_fn *take;
} gust_sha256;

/* Begins, with the processor's own instructions for it where it has them. */
void gust_sha256_begin(gust_sha256 *hash);
void gust_sha256_update(gust_sha256 *hash, const void *data, size_t bytes);
/* Writes the digest; the hash is used up. */
void gust_sha256_end(gust_sha256 *hash, uint8_t digest[32]);

/* The definition in plain C, and the fastest there is here. */
void gust_sha256_blocks_c(uint32_t word[8], const uint8_t *blocks, size_t count);
gust_sha256_blocks_fn *gust_sha256_fastest(void);

/* --- for the implementations --- */
extern const uint32_t gust_sha256_constants[64];
void gust_sha256_blocks_shani(uint32_t word[8], const uint8_t *blocks, size_t count);

#endif

#include "sha256.h"

#include <stdbool.h>
#include <string.h>

#define BLOCK 64u

const uint32_t gust_sha256_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static inline uint32_t rotate(uint32_t x, unsigned bits) {
  return x >> bits | x << (32 - bits);
}

static inline uint32_t read_big(const uint8_t *p) {
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void take_block(uint32_t word[8], const uint8_t *p) {
  uint32_t w[64];
  for (int i = 0; i < 16; i++) w[i] = read_big(p + 4 * i);
  for (int i = 16; i < 64; i++) {
    uint32_t a = w[i - 15], b = w[i - 2];
    w[i] = w[i - 16] + w[i - 7] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) +
           (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
  }
  uint32_t a = word[0], b = word[1], c = word[2], d = word[3];
  uint32_t e = word[4], f = word[5], g = word[6], h = word[7];
  for (int i = 0; i < 64; i++) {
    uint32_t choose = (e & f) ^ (~e & g), majority = (a & b) ^ (a & c) ^ (b & c);
    uint32_t t = h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + choose +
                 gust_sha256_constants[i] + w[i];
    uint32_t u = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + majority;
    h = g, g = f, f = e, e = d + t;
    d = c, c = b, b = a, a = t + u;
  }
  word[0] += a, word[1] += b, word[2] += c, word[3] += d;
  word[4] += e, word[5] += f, word[6] += g, word[7] += h;
}

void gust_sha256_blocks_c(uint32_t word[8], const uint8_t *blocks, size_t count) {
  for (; count > 0; count--, blocks += BLOCK) take_block(word, blocks);
}

#ifdef GUST_HAVE_SHANI
#include <cpuid.h>

/* The instructions work on SSE registers, which every 64-bit system saves. */
static bool has_shani(void) {
  unsigned a, b, c, d, b7;
  return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_SSE4_1) && (c & bit_SSSE3) &&
         __get_cpuid_count(7, 0, &a, &b7, &c, &d) && (b7 & bit_SHA);
}
#endif

gust_sha256_blocks_fn *gust_sha256_fastest(void) {
#ifdef GUST_HAVE_SHANI
  if (has_shani()) return gust_sha256_blocks_shani;
#endif
  return gust_sha256_blocks_c;
}

void gust_sha256_begin(gust_sha256 *hash) {
  static const uint32_t first[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  memset(hash, 0, sizeof *hash);
  memcpy(hash->state.word, first, sizeof first);
  hash->take = gust_sha256_fastest();
}

void gust_sha256_update(gust_sha256 *hash, const void *data, size_t bytes) {
  const uint8_t *p = data;
  gust_sha256_state *s = &hash->state;
  if (!bytes) return;
  size_t have = s->total % BLOCK;
  s->total += bytes;
  if (have) {
    size_t take = bytes < BLOCK - have ? bytes : BLOCK - have;
    memcpy(s->rest + have, p, take);
    p += take;
    bytes -= take;
    if (have + take < BLOCK) return;
    hash->take(s->word, s->rest, 1);
    memset(s->rest, 0, BLOCK);
  }
  hash->take(s->word, p, bytes / BLOCK);
  if (bytes % BLOCK) memcpy(s->rest, p + bytes / BLOCK * BLOCK, bytes % BLOCK);
}

void gust_sha256_end(gust_sha256 *hash, uint8_t digest[32]) {
  uint64_t bits = hash->state.total * 8;
  uint8_t padding[BLOCK + 8] = {0x80};
  /* To 56 modulo 64, then the message's length in bits, big-endian. */
  size_t bytes = 1 + (size_t)(BLOCK + 55 - hash->state.total % BLOCK) % BLOCK;
  for (int i = 0; i < 8; i++) padding[bytes + (size_t)i] = (uint8_t)(bits >> (56 - 8 * i));
  gust_sha256_update(hash, padding, bytes + 8);
  for (size_t i = 0; i < 32; i++)
    digest[i] = (uint8_t)(hash->state.word[i / 4] >> (24 - 8 * (i % 4)));
}

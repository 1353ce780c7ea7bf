#include "checksum.h"

#include <string.h>

#define PRIME_1 0x9e3779b185ebca87u
#define PRIME_2 0xc2b2ae3d27d4eb4fu
#define PRIME_3 0x165667b19e3779f9u
#define PRIME_4 0x85ebca77c2b2ae63u
#define PRIME_5 0x27d4eb2f165667c5u

#define STRIPE 32u

static inline uint64_t rotate(uint64_t x, unsigned bits) {
  return x << bits | x >> (64 - bits);
}

/* Bytes put together by hand: the sum is the same on a big-endian machine, and
 * compilers turn this into one load where they can. */
static inline uint64_t read64(const uint8_t *p) {
  return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 |
         (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 | (uint64_t)p[7] << 56;
}

static inline uint64_t read32(const uint8_t *p) {
  return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24;
}

static inline uint64_t mix(uint64_t lane, uint64_t input) {
  return rotate(lane + input * PRIME_2, 31) * PRIME_1;
}

static inline uint64_t merge(uint64_t hash, uint64_t lane) {
  return (hash ^ mix(0, lane)) * PRIME_1 + PRIME_4;
}

static void take_stripes(uint64_t lane[4], const uint8_t *p, size_t stripes) {
  uint64_t a = lane[0], b = lane[1], c = lane[2], d = lane[3];
  for (; stripes; stripes--, p += STRIPE) {
    a = mix(a, read64(p));
    b = mix(b, read64(p + 8));
    c = mix(c, read64(p + 16));
    d = mix(d, read64(p + 24));
  }
  lane[0] = a, lane[1] = b, lane[2] = c, lane[3] = d;
}

void gust_xxh64_begin(gust_xxh64 *state, uint64_t seed) {
  memset(state, 0, sizeof *state);
  state->seed = seed;
  state->lane[0] = seed + PRIME_1 + PRIME_2;
  state->lane[1] = seed + PRIME_2;
  state->lane[2] = seed;
  state->lane[3] = seed - PRIME_1;
}

void gust_xxh64_update(gust_xxh64 *state, const void *data, size_t bytes) {
  const uint8_t *p = data;
  if (!bytes) return;
  state->total += bytes;
  if (state->rest_bytes) {
    size_t take = STRIPE - state->rest_bytes;
    if (take > bytes) take = bytes;
    memcpy(state->rest + state->rest_bytes, p, take);
    state->rest_bytes += take;
    p += take;
    bytes -= take;
    if (state->rest_bytes < STRIPE) return;
    take_stripes(state->lane, state->rest, 1);
    state->rest_bytes = 0;
  }
  take_stripes(state->lane, p, bytes / STRIPE);
  size_t rest = bytes % STRIPE;
  if (rest) memcpy(state->rest, p + (bytes - rest), rest);
  state->rest_bytes = rest;
}

uint64_t gust_xxh64_end(const gust_xxh64 *state) {
  const uint64_t *lane = state->lane;
  uint64_t hash = state->seed + PRIME_5;
  if (state->total >= STRIPE) {
    hash = rotate(lane[0], 1) + rotate(lane[1], 7) + rotate(lane[2], 12) + rotate(lane[3], 18);
    for (int i = 0; i < 4; i++) hash = merge(hash, lane[i]);
  }
  hash += state->total;
  const uint8_t *p = state->rest, *end = p + state->rest_bytes;
  for (; end - p >= 8; p += 8) hash = rotate(hash ^ mix(0, read64(p)), 27) * PRIME_1 + PRIME_4;
  if (end - p >= 4) {
    hash = rotate(hash ^ read32(p) * PRIME_1, 23) * PRIME_2 + PRIME_3;
    p += 4;
  }
  for (; p < end; p++) hash = rotate(hash ^ *p * PRIME_5, 11) * PRIME_1;
  hash = (hash ^ hash >> 33) * PRIME_2;
  hash = (hash ^ hash >> 29) * PRIME_3;
  return hash ^ hash >> 32;
}

uint64_t gust_xxh64_of(const void *data, size_t bytes, uint64_t seed) {
  gust_xxh64 state;
  gust_xxh64_begin(&state, seed);
  gust_xxh64_update(&state, data, bytes);
  return gust_xxh64_end(&state);
}

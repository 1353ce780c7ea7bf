/* splitmix64 (Steele, Lea and Flood 2014): reproducible numbers, the same everywhere. */
#ifndef GUST_RANDOM64_H
#define GUST_RANDOM64_H

#include <stdint.h>

/* Near numbers become far ones. */
static inline uint64_t gust_mix64(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

/* The next number of the stream that begins with any *state. */
static inline uint64_t gust_random64(uint64_t *state) {
  return gust_mix64(*state += 0x9e3779b97f4a7c15u);
}

#endif

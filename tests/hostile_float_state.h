/* What a host may have made of the state of floating-point arithmetic: rounding towards
 * zero, subnormal numbers taken and given as zeros. */
#ifndef GUST_HOSTILE_FLOAT_STATE_H
#define GUST_HOSTILE_FLOAT_STATE_H

#include <stdbool.h>

#include "float_state.h"

#if defined(__SSE__)
#define HOSTILE_FLOAT_BITS (0x1f80u | 0x6000u | 0x8000u | 0x40u) /* RC, FTZ, DAZ */
#elif defined(__aarch64__)
#define HOSTILE_FLOAT_BITS ((3u << 22) | (1u << 24)) /* RMode, FZ */
#else
#define HOSTILE_FLOAT_BITS 0u
#endif

/* Returns what the processor keeps of it: valgrind's drops all but the rounding. */
static inline uint64_t set_hostile_float_state(void) {
  gust_float_state_restore((gust_float_state){HOSTILE_FLOAT_BITS});
  gust_float_state kept = gust_float_state_set_default();
  gust_float_state_restore(kept);
  return kept.bits;
}

/* Sets the default; whether `bits` were there, apart from exceptions there have been. */
static inline bool end_float_state(uint64_t bits) {
  uint64_t flags = 0;
#if defined(__SSE__)
  flags = 0x3f;
#endif
  return (gust_float_state_set_default().bits & ~flags) == bits;
}

/* Back to the default; whether the hostile state was still there. */
static inline bool end_hostile_float_state(void) {
  return end_float_state(HOSTILE_FLOAT_BITS);
}

#endif

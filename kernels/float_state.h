/* The state that floating-point arithmetic of a thread depends on: how it rounds,
 * whether it flushes subnormal numbers, whether it traps. It is a thread's own and
 * inherited by those it starts; programs change it, and so do libraries they load (what
 * gcc links with -ffast-math sets flushing). docs/NUMERICS.md asks for IEEE 754's
 * default, so whoever computes on a thread that is not ours sets that before and gives
 * back what it found, exception flags included. */
#ifndef GUST_FLOAT_STATE_H
#define GUST_FLOAT_STATE_H

#include <stdint.h>

/* MXCSR or FPCR; nothing where neither is. */
typedef struct gust_float_state {
  uint64_t bits;
} gust_float_state;

#if defined(__SSE__)
#define GUST_FLOAT_DEFAULT 0x1f80u /* to nearest even, all exceptions masked */
#else
#define GUST_FLOAT_DEFAULT 0u
#endif

/* In assembly, for "memory": no compiler knows of a state arithmetic depends on, but none
 * moves arithmetic on what it loads and stores across this. */
static inline void gust_float_state_restore(gust_float_state state) {
#if defined(__SSE__)
  uint32_t mxcsr = (uint32_t)state.bits;
  __asm__ volatile("ldmxcsr %0" ::"m"(mxcsr) : "memory");
#elif defined(__aarch64__)
  __asm__ volatile("msr fpcr, %0" ::"r"(state.bits) : "memory");
#else
  (void)state;
#endif
}

/* Sets the default; returns what was there. */
static inline gust_float_state gust_float_state_set_default(void) {
  gust_float_state before = {0};
#if defined(__SSE__)
  uint32_t mxcsr;
  __asm__ volatile("stmxcsr %0" : "=m"(mxcsr)::"memory");
  before.bits = mxcsr;
#elif defined(__aarch64__)
  __asm__ volatile("mrs %0, fpcr" : "=r"(before.bits)::"memory");
#endif
  gust_float_state_restore((gust_float_state){GUST_FLOAT_DEFAULT});
  return before;
}

#endif

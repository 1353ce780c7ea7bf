/* For functions whose arguments are constants wherever they are called, so that
 * each call becomes a kernel of its own, and for loops of up to eight rounds over
 * what has to stay in registers. */
#ifndef GUST_FORCE_INLINE_H
#define GUST_FORCE_INLINE_H

#if defined(__GNUC__)
#define GUST_INLINE inline __attribute__((always_inline))
#else
#define GUST_INLINE inline
#endif

/* clang unrolls early enough for registers only what it unrolls in full. */
#if defined(__clang__)
#define GUST_UNROLL _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define GUST_UNROLL _Pragma("GCC unroll 8")
#else
#define GUST_UNROLL
#endif

#endif

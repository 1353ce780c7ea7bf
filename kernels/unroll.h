/* GUST_UNROLL goes before a loop of at most eight rounds, known when compiled,
 * over arrays that are to stay in registers. */
#ifndef GUST_UNROLL_H
#define GUST_UNROLL_H

/* clang unrolls early enough for registers only what it unrolls in full. */
#if defined(__clang__)
#define GUST_UNROLL _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define GUST_UNROLL _Pragma("GCC unroll 8")
#else
#define GUST_UNROLL
#endif

#endif

/* How fast the machine's threads multiply and add 8-bit integers at best: the
 * limit of prefill. */
#ifndef GUST_BENCH_MULTIPLY_PROBE_H
#define GUST_BENCH_MULTIPLY_PROBE_H

#include "pool.h"

/* Multiply-adds of 8-bit integers per second that the pool's threads together
 * reach with the instructions that do them at a CPU level, in registers alone:
 *   avx2     vpmaddubsw, vpmaddwd, vpaddd on 32 pairs
 *   avxvnni  vpdpbusd on 32        avx512  vpdpbusd on 64
 *   amx      tdpbssd on 16 x 16 x 64
 *   neon     smull, smlal2, sadalp on 16
 *   dotprod  sdot on 16            i8mm    smmla on 32
 * Whatever a kernel does besides (unpacking codes, scaling) is not in it. 0 for a
 * level without a probe. The processor must have the level. */
double probe_multiply_adds(gust_pool *pool, const char *level);

/* The same of 32-bit floats, fused: what limits attention. */
double probe_float_multiply_adds(gust_pool *pool, const char *level);

#endif

/* What the machine can do at best, measured without gust's kernels: the limits
 * that benchmark results are held against. */
#ifndef GUST_BENCH_PROBES_H
#define GUST_BENCH_PROBES_H

#include "pool.h"
#include "status.h"

/* Bytes per second that the pool's threads together read from memory: the best
 * of several loops, walking one stream or four per thread, over a buffer in huge
 * pages. `bytes` is the buffer's size, rounded up to 4 MiB; 0: 1 GiB, or a
 * quarter of the available memory if that is less. Every load is accounted for:
 * the sum of what was read is checked. Progress in bytes written and read, between
 * the loops; may be NULL. GUST_E_MEMORY when there is no room. */
gust_status probe_read_bandwidth(double *bytes_per_second, gust_pool *pool, size_t bytes,
                                 gust_progress_fn *progress, void *user, gust_error *err);

/* Multiply-adds of 8-bit integers per second that the pool's threads together
 * reach with the instructions that do them at a CPU level, in registers alone:
 * avx2 vpmaddubsw, vpmaddwd, vpaddd on 32 pairs; avx512 vpdpbusd on 64. Whatever
 * a kernel does besides (unpacking codes, scaling) is not in it. 0 for a level
 * without a probe. The processor must have the level. */
double probe_multiply_adds(gust_pool *pool, const char *level);

#endif

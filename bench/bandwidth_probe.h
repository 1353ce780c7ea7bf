/* How fast the machine's threads read memory at best: the limit of decoding,
 * which reads every weight once per token. */
#ifndef GUST_BENCH_BANDWIDTH_PROBE_H
#define GUST_BENCH_BANDWIDTH_PROBE_H

#include "pool.h"
#include "status.h"

/* A buffer in huge pages and the ways of reading it that were fastest here. */
typedef struct bandwidth_probe bandwidth_probe;

/* Reads the buffer on all of the pool's threads in every way there is: by each
 * vector width the processor has, in 1 to 8 streams per thread, with and without
 * prefetching, each thread a half (third, ...) of its own or grains in turn. What
 * was fastest in two short trials is then timed over the whole buffer.
 *
 * `bytes`: of the buffer, rounded up to 2 MiB; 0: bandwidth_probe_bytes(0). Takes some 24 bytes of
 * reading per byte of the buffer, or two seconds, whichever is less, beside writing it once.
 * Progress is in bytes written and read; `progress` may be NULL. The pool must live as long as the
 * probe. Every load is accounted for: GUST_E_MEMORY when the sum of what was read
 * is not that of what was written, and when there is no room. */
gust_status bandwidth_probe_create(bandwidth_probe **probe, gust_pool *pool, size_t bytes,
                                   gust_progress_fn *progress, void *user, gust_error *err);
void bandwidth_probe_destroy(bandwidth_probe *probe); /* accepts NULL */

/* 4 GiB, or half of the available memory if that is less. `spared` bytes of what the
 * system counts as available are left alone: a mapped file's pages are among it. */
size_t bandwidth_probe_bytes(uint64_t spared);

/* Bytes per second, the best found so far. */
double bandwidth_probe_best(const bandwidth_probe *probe);

/* Reads for some tenths of a second in the fastest ways: the best of those. What
 * other machines on the same memory leave to this one changes within
 * seconds, so a measurement is to be held against what was possible then. */
gust_status bandwidth_probe_again(bandwidth_probe *probe, double *bytes_per_second,
                                  gust_error *err);

/* The fastest way in words: "256-bit loads, 2 streams, no prefetch, a range per
 * thread". */
#define BANDWIDTH_WAY_BYTES 96
char *bandwidth_probe_way(const bandwidth_probe *probe, char text[BANDWIDTH_WAY_BYTES]);

/* Where the buffer lies. */
const void *bandwidth_probe_buffer(const bandwidth_probe *probe, size_t *bytes);

/* The same in one call: *bytes_per_second is the best. */
gust_status probe_read_bandwidth(double *bytes_per_second, gust_pool *pool, size_t bytes,
                                 gust_progress_fn *progress, void *user, gust_error *err);

#endif

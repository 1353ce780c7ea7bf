/* Loops that do nothing but read memory, for the bandwidth probe: one for each
 * vector width. What reads fastest differs between processors: a narrow load
 * takes up more of the queue of loads under way, several streams keep more of
 * them under way, a prefetch may help the processor's own or be in its way. */
#ifndef GUST_BENCH_READ_LOOPS_H
#define GUST_BENCH_READ_LOOPS_H

#include <stddef.h>
#include <stdint.h>

/* The sum of `bytes` (whole cache lines of 64) of 64-bit words at `data`, which
 * is aligned to a line, modulo 2^64. They are read by whole lines from `streams`
 * (1, 2, 4 or 8) places at once; ahead > 0: the line so many bytes further on is
 * prefetched into the first-level cache. Prefetches may pass the end. */
typedef uint64_t read_loop_fn(const uint8_t *data, size_t bytes, unsigned streams, size_t ahead);

typedef struct read_loop {
  unsigned bits; /* of one load */
  read_loop_fn *sum;
} read_loop;

#define READ_LOOP_LINE 64u

/* Those this processor runs, narrowest first; NULL past the end. */
const read_loop *read_loop_get(size_t index);

#endif

/* A thread pool for loops over independent items.
 *
 * Workers take grains of items from a shared counter, so a slow core never
 * gates a fast one; they spin briefly between loops and then sleep, so an idle
 * or oversubscribed pool costs nothing. One thread at a time may call
 * pool_run on a pool; it works along as worker 0. Items are handled in the default
 * state of floating-point arithmetic (float_state.h), whatever the caller's is. */
#ifndef GUST_POOL_H
#define GUST_POOL_H

#include <stddef.h>
#include <stdint.h>

typedef struct gust_pool gust_pool;

/* Handles items [begin, end). `worker` is in [0, threads): index of scratch
 * that belongs to one thread for the duration of the call. */
typedef void gust_pool_fn(void *arg, size_t begin, size_t end, unsigned worker);

/* A pool of `threads` workers in all (>= 1); NULL when out of memory or
 * threads. */
gust_pool *gust_pool_create(unsigned threads);
void gust_pool_destroy(gust_pool *pool); /* accepts NULL */
/* The bytes of the stacks of such a pool's threads, without the caller's. */
uint64_t gust_pool_stack_bytes(unsigned threads);
unsigned gust_pool_threads(const gust_pool *pool);

/* Runs fn over [0, items) in grains of `grain` (>= 1) and returns when all is
 * done; what the workers wrote is visible to the caller. */
void gust_pool_run(gust_pool *pool, gust_pool_fn *fn, void *arg, size_t items, size_t grain);

#endif

/* Times every kernel on every level of this machine, on one thread, one line each:
 *   bench_kernels [LEVEL]
 * with the share of what the machine could do at best of the same kind (see
 * kernel_cases.h): read memory or the first-level cache, multiply and add 8-bit
 * integers or floats. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bandwidth_probe.h"
#include "cli/ascending.h"
#include "kernel_cases.h"
#include "multiply_probe.h"
#include "os.h"
#include "read_loops.h"

#define PROBE_BYTES ((size_t)512 << 20)
/* Lies in any first-level cache. */
#define CACHE_BYTES ((size_t)16 << 10)
#define CACHE_ROUNDS 2000
#define REPETITIONS 7
#define REPETITION_NS 20000000u

/* Seconds of one run: the median of some repetitions. */
static double time_case(const kernel_case *one, const gust_kernels *kernels,
                        const kernel_data *data, double *spread) {
  double seconds[REPETITIONS];
  for (int r = 0; r < REPETITIONS; r++) {
    uint64_t start = os_now_ns(), end;
    long runs = 0;
    do {
      one->run(kernels, data, one);
      runs++;
      end = os_now_ns();
    } while (end - start < REPETITION_NS);
    seconds[r] = (double)(end - start) * 1e-9 / (double)runs;
  }
  qsort(seconds, REPETITIONS, sizeof *seconds, ascending);
  *spread = (seconds[REPETITIONS - 1] - seconds[0]) / seconds[REPETITIONS / 2];
  return seconds[REPETITIONS / 2];
}

/* Bytes per second out of the cache, by the best read loop. What was read goes to
 * *read_sum, so that reading is needed. */
static double probe_cache(const uint8_t *bytes, uint64_t *read_sum) {
  const read_loop *loop;
  double best = 0;
  for (size_t l = 0; (loop = read_loop_get(l)) != NULL; l++)
    for (int r = 0; r < 4 * REPETITIONS; r++) {
      uint64_t begun = os_now_ns();
      uint64_t sum = 0;
      for (int i = 0; i < CACHE_ROUNDS; i++) sum += loop->sum(bytes, CACHE_BYTES, 1u << r % 4, 0);
      *read_sum += sum;
      double rate = (double)CACHE_BYTES * CACHE_ROUNDS / ((double)(os_now_ns() - begun) * 1e-9);
      if (rate > best) best = rate;
    }
  return best;
}

typedef struct bench {
  gust_pool *pool;
  bandwidth_probe *memory;
  kernel_data *data;
  double cache;
  uint64_t read_sum; /* of the cache probe */
} bench;

/* The limit of this kind at this moment; 0: there is no probe for the level. */
static double limit_now(bench *b, kernel_bound bound, const char *level) {
  double rate = 0;
  gust_error err;
  switch (bound) {
    case BOUND_MEMORY: return bandwidth_probe_again(b->memory, &rate, &err) ? 0 : rate;
    case BOUND_CACHE: return b->cache;
    case BOUND_INTEGERS: return probe_multiply_adds(b->pool, level);
    case BOUND_FLOATS: return probe_float_multiply_adds(b->pool, level);
  }
  return 0;
}

static void print_line(const char *level, const kernel_case *one, double rate, double limit,
                       double spread) {
  static const char *const units[] = {"GB/s", "GB/s", "G multiply-adds/s", "G multiply-adds/s"};
  static const char *const probes[] = {"memory", "cache", "integers", "floats"};
  printf("%-8s %-20s %8.2f %-18s", level, one->name, rate * 1e-9, units[one->bound]);
  if (limit > 0) printf("%6.1f %% of %-9s", 100 * rate / limit, probes[one->bound]);
  printf(" spread %.0f %%\n", spread * 100);
  fflush(stdout);
}

/* Limits are taken before and after a kernel, since others on the same machine
 * take their share of it at times; the larger one counts. */
static void bench_level(bench *b, const char *level) {
  gust_kernels kernels;
  gust_kernels_select(&kernels, level);
  kernel_data_prepare(b->data, &kernels);
  for (const kernel_case *one = kernel_cases; one->name; one++) {
    double spread, before = limit_now(b, one->bound, level);
    double rate = one->work / time_case(one, &kernels, b->data, &spread);
    double after = limit_now(b, one->bound, level);
    print_line(level, one, rate, before > after ? before : after, spread);
  }
}

/* Whether the machine has the level; says which it has where it has not. */
static bool check_level(const char *name) {
  const char *level;
  for (size_t l = 0; (level = gust_kernels_level(l)) != NULL; l++)
    if (strcmp(name, level) == 0) return true;
  fprintf(stderr, "bench_kernels: expected a level of this machine, found %s; it has:", name);
  for (size_t l = 0; (level = gust_kernels_level(l)) != NULL; l++) fprintf(stderr, " %s", level);
  fprintf(stderr, "\n");
  return false;
}

int main(int argc, char **argv) {
  const char *only = argc > 1 ? argv[1] : NULL, *level;
  if (only && !check_level(only)) return 2;
  gust_error err = {.text = "out of memory"};
  bench b = {.pool = gust_pool_create(1), .data = kernel_data_create()};
  if (!b.pool || !b.data ||
      bandwidth_probe_create(&b.memory, b.pool, PROBE_BYTES, NULL, NULL, &err)) {
    fprintf(stderr, "bench_kernels: %s\n", err.text);
    return 1;
  }
  size_t bytes;
  b.cache = probe_cache(bandwidth_probe_buffer(b.memory, &bytes), &b.read_sum);
  char way[BANDWIDTH_WAY_BYTES];
  printf("one thread; memory %.1f GB/s (%s), cache %.1f GB/s\n",
         bandwidth_probe_best(b.memory) * 1e-9, bandwidth_probe_way(b.memory, way), b.cache * 1e-9);
  for (size_t l = 0; (level = gust_kernels_level(l)) != NULL; l++)
    if (!only || strcmp(only, level) == 0) bench_level(&b, level);
  bandwidth_probe_destroy(b.memory);
  kernel_data_destroy(b.data);
  gust_pool_destroy(b.pool);
  return 0;
}

#include "multiply_probe.h"

#include <stdint.h>
#include <string.h>

#include "multiply_loops.h"
#include "os.h"

#define RUNS_PER_THREAD 16u
#define PASSES 8

static void run_loop(void *arg, size_t begin, size_t end, unsigned worker) {
  (void)worker;
  const multiply_loop *const *loop = arg;
  for (size_t i = begin; i < end; i++) (*loop)->run();
}

static double best_rate(gust_pool *pool, const multiply_loop *loop, const char *level) {
  while (loop->level && strcmp(loop->level, level) != 0) loop++;
  if (!loop->level) return 0;
  size_t runs = (size_t)gust_pool_threads(pool) * RUNS_PER_THREAD;
  double best = 0;
  for (int i = 0; i < PASSES; i++) {
    uint64_t begun = os_now_ns();
    gust_pool_run(pool, run_loop, &loop, runs, 1);
    double seconds = (double)(os_now_ns() - begun) * 1e-9;
    double rate = seconds > 0 ? (double)runs * loop->multiply_adds / seconds : 0;
    if (rate > best) best = rate;
  }
  return best;
}

double probe_multiply_adds(gust_pool *pool, const char *level) {
  return best_rate(pool, multiply_loops, level);
}

double probe_float_multiply_adds(gust_pool *pool, const char *level) {
  return best_rate(pool, float_loops, level);
}

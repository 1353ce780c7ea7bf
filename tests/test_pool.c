/* The thread pool: every item exactly once, in grains, by a worker that is alone
 * with its index, for any number of threads; and no run is lost or late for
 * ever, however the threads happen to sleep. */
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "host.h"
#include "hostile_float_state.h"
#include "os.h"
#include "pool.h"

#define MOST_THREADS 64

typedef struct job {
  size_t items, grain;
  unsigned threads;
  unsigned *visits;               /* per item; plain: each belongs to one worker */
  atomic_bool busy[MOST_THREADS]; /* worker index in use */
  atomic_uint wrong;              /* broken promises */
} job;

static void visit(void *arg, size_t begin, size_t end, unsigned worker) {
  job *j = arg;
  bool fits = begin < end && end <= j->items && begin % j->grain == 0 &&
              (end - begin == j->grain || end == j->items) && worker < j->threads;
  if (!fits) {
    atomic_fetch_add(&j->wrong, 1);
    return;
  }
  if (atomic_exchange(&j->busy[worker], true)) atomic_fetch_add(&j->wrong, 1);
  for (size_t i = begin; i < end; i++) j->visits[i]++;
  atomic_store(&j->busy[worker], false);
}

static void each_item_once(gust_pool *pool, size_t items, size_t grain) {
  job j = {.items = items, .grain = grain, .threads = gust_pool_threads(pool)};
  j.visits = calloc(items + 1, sizeof *j.visits);
  if (!j.visits) check_fatal("out of memory", "visits");
  gust_pool_run(pool, visit, &j, items, grain);
  size_t bad = 0;
  for (size_t i = 0; i < items; i++) bad += j.visits[i] != 1;
  if (!CHECK(bad == 0) || !CHECK(j.wrong == 0))
    fprintf(stderr, "  %u threads, %zu items in grains of %zu\n", j.threads, items, grain);
  free(j.visits);
}

static void covers_everything(void) {
  static const size_t items[] = {0, 1, 2, 3, 7, 64, 1000, 4099};
  static const size_t grains[] = {1, 2, 3, 64, 5000, SIZE_MAX};
  for (unsigned threads = 1; threads <= 9; threads += threads < 4 ? 1 : 5) {
    gust_pool *pool = gust_pool_create(threads);
    if (!CHECK(pool != NULL)) return;
    CHECK_EQ_INT(gust_pool_threads(pool), threads);
    for (size_t i = 0; i < sizeof items / sizeof *items; i++)
      for (size_t g = 0; g < sizeof grains / sizeof *grains; g++)
        each_item_once(pool, items[i], grains[g]);
    gust_pool_destroy(pool);
  }
}

/* A chain of runs, each reading what the one before wrote through plain memory:
 * a missing release or acquire is a wrong sum, or a report of ThreadSanitizer. */
typedef struct chain {
  uint64_t from[32], to[32];
} chain;

static void link_items(void *arg, size_t begin, size_t end, unsigned worker) {
  (void)worker;
  chain *c = arg;
  for (size_t i = begin; i < end; i++) c->to[i] = c->from[(i + 1) % 32] + i;
}

static void results_are_visible(unsigned threads, int runs) {
  gust_pool *pool = gust_pool_create(threads);
  if (!CHECK(pool != NULL)) return;
  chain c = {{0}, {0}};
  uint64_t expected[32] = {0}, next[32];
  for (int run = 0; run < runs; run++) {
    gust_pool_run(pool, link_items, &c, 32, 1);
    memcpy(c.from, c.to, sizeof c.from);
    for (size_t i = 0; i < 32; i++) next[i] = expected[(i + 1) % 32] + i;
    memcpy(expected, next, sizeof expected);
  }
  CHECK(memcmp(c.from, expected, sizeof expected) == 0);
  gust_pool_destroy(pool);
}

static void wait_ns(uint64_t ns) {
  uint64_t begin = os_now_ns();
  while (os_now_ns() - begin < ns) continue;
}

/* Pauses around the time after which workers go to sleep, so that runs begin at
 * every stage of it. */
static void sleepers_wake(unsigned threads) {
  gust_pool *pool = gust_pool_create(threads);
  if (!CHECK(pool != NULL)) return;
  for (unsigned i = 0; i < 400; i++) {
    each_item_once(pool, 8, 1);
    wait_ns(i % 40 * 2500);
  }
  gust_pool_destroy(pool);
}

/* Two items that wait for each other can only end when two threads take part:
 * a sleeping worker must join a run that is long enough. */
typedef struct meeting {
  atomic_uint arrived, met;
  atomic_uint hostile; /* threads that are not in the default state of arithmetic */
} meeting;

/* Gives up after a minute, so that a pool that keeps a worker asleep fails the
 * test instead of hanging it. */
static void meet(void *arg, size_t begin, size_t end, unsigned worker) {
  (void)worker;
  meeting *m = arg;
  if (!end_float_state(GUST_FLOAT_DEFAULT)) atomic_fetch_add(&m->hostile, 1);
  atomic_fetch_add(&m->arrived, (unsigned)(end - begin));
  uint64_t start = os_now_ns();
  while (atomic_load(&m->arrived) < 2 && os_now_ns() - start < 60000000000u) host_yield();
  if (end - begin == 1 && atomic_load(&m->arrived) == 2) atomic_fetch_add(&m->met, 1);
}

/* Nor do they compute in the state of arithmetic of the one that started them. */
static void workers_join(unsigned threads) {
  uint64_t hostile = set_hostile_float_state();
  gust_pool *pool = gust_pool_create(threads);
  if (!CHECK(pool != NULL)) return;
  for (int i = 0; i < 20; i++) {
    meeting m = {0};
    gust_pool_run(pool, meet, &m, 2, 1);
    if (!CHECK_EQ_INT(atomic_load(&m.met), 2)) break;
    CHECK_EQ_INT(atomic_load(&m.hostile), 0);
    wait_ns(i % 2 ? 200000 : 0);
  }
  CHECK(HOSTILE_FLOAT_BITS == 0 || hostile != GUST_FLOAT_DEFAULT);
  CHECK(end_float_state(hostile));
  gust_pool_destroy(pool);
}

static void many_pools(void) {
  for (unsigned i = 0; i < 50; i++) {
    gust_pool *pool = gust_pool_create(1 + i % 5);
    if (!CHECK(pool != NULL)) return;
    if (i % 3) each_item_once(pool, 5, 2);
    gust_pool_destroy(pool);
  }
  CHECK(gust_pool_create(0) == NULL);
  gust_pool_destroy(NULL);
}

/* Not a check: what a run costs, for whoever reads the log. */
static void nothing(void *arg, size_t begin, size_t end, unsigned worker) {
  (void)arg, (void)begin, (void)end, (void)worker;
}

static void report_cost(unsigned runs) {
  for (unsigned threads = 1; threads <= 8; threads += threads < 3 ? 1 : 5) {
    gust_pool *pool = gust_pool_create(threads);
    if (!CHECK(pool != NULL)) return;
    uint64_t begin = os_now_ns();
    for (unsigned i = 0; i < runs; i++) gust_pool_run(pool, nothing, NULL, 16, 1);
    uint64_t ns = os_now_ns() - begin;
    printf("%u runs of 16 empty items, %u threads on %u cores: %.3f us each\n", runs, threads,
           os_physical_cores(), (double)ns / 1000 / runs);
    gust_pool_destroy(pool);
  }
}

int main(int argc, char **argv) {
  covers_everything();
  for (unsigned threads = 1; threads <= 8; threads *= 2) results_are_visible(threads, 2000);
  sleepers_wake(2);
  sleepers_wake(8);
  workers_join(2);
  workers_join(6);
  many_pools();
  report_cost(argc > 1 ? (unsigned)atoi(argv[1]) : 2000);
  return check_finish();
}

#include "pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "float_state.h"
#include "os.h"

/* How the pool works.
 *
 * One 64-bit word, `state`, says whether a run is open, which one it is and how
 * many workers are inside. The caller publishes the run, opens it, works along
 * and, when no grain is left, closes it; then it waits for those inside only.
 * A worker that is late finds the run closed and never looks at it, so a run
 * never waits for a thread that has not been scheduled yet: that is what keeps
 * eight threads on two cores from collapsing. The run's fields change only
 * while it is closed and nobody is inside. */
#define STATE_INSIDE 0xffffffffu                /* workers inside the run */
#define STATE_OPEN ((uint64_t)1 << 32)          /* workers may enter */
#define STATE_CALLER_SLEEPS ((uint64_t)1 << 33) /* the last one out wakes the caller */
#define STATE_STOP ((uint64_t)1 << 34)          /* the pool is being destroyed */
#define STATE_GENERATION ((uint64_t)1 << 35)    /* number of the run, in the bits above */
#define STATE_FLAGS (STATE_GENERATION - 1)      /* everything below the number */
#define NO_GENERATION STATE_FLAGS               /* equals no run's number */

/* Longer than the serial stages between two loops of one token; far shorter
 * than the time between two tokens. */
#define SPIN_NS 50000u
/* With more threads than cores, whoever spins keeps another from working. */
#define SPIN_CROWDED_NS 1000u
#define SPINS_PER_CLOCK 16

/* Threads woken by the caller, and by each one that was woken: a tree, so that
 * neither a long row of sleepers nor waking all for a tiny run delays anyone. */
#define WAKE_FANOUT 2

#define LINE 64

typedef struct pool_worker {
  gust_pool *pool;
  unsigned index;
  pthread_t thread;
} pool_worker;

struct gust_pool {
  /* The run. */
  gust_pool_fn *fn;
  void *arg;
  size_t items, grain, grains;

  /* Constant while workers live. */
  unsigned threads;
  unsigned started;
  unsigned spin_ns;
  pool_worker *workers;

  /* What every thread writes has a cache line of its own. */
  char line0[LINE];
  _Atomic uint64_t state;
  char line1[LINE];
  atomic_size_t next_grain;
  char line2[LINE];
  atomic_uint sleepers;
  pthread_mutex_t mutex; /* held only around going to sleep */
  pthread_cond_t opened;
  pthread_cond_t left;
};

static inline void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
  __asm__ volatile("yield");
#endif
}

/* --- waiting ---------------------------------------------------------------- */

/* Whether a worker that has been through run `seen` has a reason to wake up. */
static bool has_news(uint64_t state, uint64_t seen) {
  return (state & STATE_STOP) || ((state & STATE_OPEN) && (state & ~STATE_FLAGS) != seen);
}

/* The state word once it has news, or as it is when the time to spin is over. */
static uint64_t spin_for_news(gust_pool *pool, uint64_t seen) {
  uint64_t state = atomic_load_explicit(&pool->state, memory_order_acquire);
  if (has_news(state, seen)) return state;
  uint64_t begin = os_now_ns();
  do {
    for (int i = 0; i < SPINS_PER_CLOCK; i++) {
      relax();
      state = atomic_load_explicit(&pool->state, memory_order_acquire);
      if (has_news(state, seen)) return state;
    }
  } while (os_now_ns() - begin < pool->spin_ns);
  return state;
}

/* `sleepers` and `state` are written and read in opposite order by this thread
 * and the caller, both sequentially consistent: either the sleeper sees the run
 * or the caller sees the sleeper. */
static uint64_t sleep_for_news(gust_pool *pool, uint64_t seen) {
  pthread_mutex_lock(&pool->mutex);
  atomic_fetch_add(&pool->sleepers, 1);
  uint64_t state = atomic_load(&pool->state);
  while (!has_news(state, seen)) {
    pthread_cond_wait(&pool->opened, &pool->mutex);
    state = atomic_load(&pool->state);
  }
  atomic_fetch_sub(&pool->sleepers, 1);
  pthread_mutex_unlock(&pool->mutex);
  return state;
}

static void wake_some(gust_pool *pool, size_t most) {
  if (most > WAKE_FANOUT) most = WAKE_FANOUT;
  if (atomic_load(&pool->sleepers) == 0) return;
  /* Passing through the mutex lets a sleeper that has just looked at the old
   * state reach its condvar. Signals go out unlocked, so nobody wakes only to
   * wait for the mutex. */
  pthread_mutex_lock(&pool->mutex);
  pthread_mutex_unlock(&pool->mutex);
  while (most--) pthread_cond_signal(&pool->opened);
}

/* --- working ----------------------------------------------------------------- */

static void work(gust_pool *pool, unsigned index) {
  size_t grain = pool->grain, items = pool->items, grains = pool->grains;
  for (;;) {
    size_t i = atomic_fetch_add_explicit(&pool->next_grain, 1, memory_order_relaxed);
    if (i >= grains) return;
    size_t begin = i * grain;
    size_t end = items - begin < grain ? items : begin + grain;
    pool->fn(pool->arg, begin, end, index);
  }
}

/* Items see the same state of arithmetic, whichever thread takes them. */
static void work_as_caller(gust_pool *pool) {
  gust_float_state before = gust_float_state_set_default();
  work(pool, 0);
  gust_float_state_restore(before);
}

/* Counts the worker in when the run is (still) open. */
static bool enter(gust_pool *pool, uint64_t *state) {
  while (*state & STATE_OPEN)
    if (atomic_compare_exchange_weak_explicit(&pool->state, state, *state + 1, memory_order_acq_rel,
                                              memory_order_acquire))
      return true;
  return false;
}

static void leave(gust_pool *pool) {
  uint64_t before = atomic_fetch_sub_explicit(&pool->state, 1, memory_order_acq_rel);
  if ((before & STATE_INSIDE) != 1 || !(before & STATE_CALLER_SLEEPS)) return;
  pthread_mutex_lock(&pool->mutex);
  pthread_mutex_unlock(&pool->mutex);
  pthread_cond_signal(&pool->left);
}

static void *worker_main(void *arg) {
  pool_worker *worker = arg;
  gust_pool *pool = worker->pool;
  uint64_t seen = NO_GENERATION;
  gust_float_state_set_default(); /* not what was inherited */
  for (;;) {
    uint64_t state = spin_for_news(pool, seen);
    bool slept = !has_news(state, seen);
    if (slept) state = sleep_for_news(pool, seen);
    if (state & STATE_STOP) return NULL;
    if (!enter(pool, &state)) continue;
    seen = state & ~STATE_FLAGS;
    size_t taken = atomic_load_explicit(&pool->next_grain, memory_order_relaxed);
    if (slept && taken < pool->grains) wake_some(pool, pool->grains - taken);
    work(pool, worker->index);
    leave(pool);
  }
}

/* The caller's wait for those inside a closed run. */
static void wait_until_left(gust_pool *pool) {
  uint64_t begin = os_now_ns();
  do {
    for (int i = 0; i < SPINS_PER_CLOCK; i++) {
      if (!(atomic_load_explicit(&pool->state, memory_order_acquire) & STATE_INSIDE)) return;
      relax();
    }
  } while (os_now_ns() - begin < pool->spin_ns);

  pthread_mutex_lock(&pool->mutex);
  atomic_fetch_or(&pool->state, STATE_CALLER_SLEEPS);
  while (atomic_load(&pool->state) & STATE_INSIDE) pthread_cond_wait(&pool->left, &pool->mutex);
  atomic_fetch_and(&pool->state, ~STATE_CALLER_SLEEPS);
  pthread_mutex_unlock(&pool->mutex);
}

void gust_pool_run(gust_pool *pool, gust_pool_fn *fn, void *arg, size_t items, size_t grain) {
  if (items == 0) return;
  pool->fn = fn;
  pool->arg = arg;
  pool->items = items;
  pool->grain = grain;
  pool->grains = items / grain + (items % grain != 0);
  atomic_store_explicit(&pool->next_grain, 0, memory_order_relaxed);
  if (pool->started == 0 || pool->grains == 1) {
    work_as_caller(pool);
    return;
  }
  /* Closed and empty: adding cannot carry into a flag. */
  atomic_fetch_add(&pool->state, STATE_GENERATION + STATE_OPEN);
  wake_some(pool, pool->grains - 1);
  work_as_caller(pool);
  uint64_t state = atomic_fetch_and_explicit(&pool->state, ~STATE_OPEN, memory_order_acq_rel);
  if (state & STATE_INSIDE) wait_until_left(pool);
}

/* --- life --------------------------------------------------------------------- */

/* What kernels keep on a worker's stack (blocked products above all) and room to
 * spare: the smallest default of a C library, 128 KiB, is too little. */
#define STACK_BYTES ((size_t)1 << 20)

uint64_t gust_pool_stack_bytes(unsigned threads) {
  return threads > 1 ? (uint64_t)(threads - 1) * (STACK_BYTES + os_page_bytes()) : 0;
}

static bool start_worker(gust_pool *pool, unsigned index) {
  pool_worker *worker = &pool->workers[pool->started];
  worker->pool = pool;
  worker->index = index;
  bool started = os_start_thread(&worker->thread, STACK_BYTES, worker_main, worker);
  if (started) pool->started++;
  return started;
}

static bool create_locks(gust_pool *pool) {
  if (pthread_mutex_init(&pool->mutex, NULL) != 0) return false;
  if (pthread_cond_init(&pool->opened, NULL) == 0) {
    if (pthread_cond_init(&pool->left, NULL) == 0) return true;
    pthread_cond_destroy(&pool->opened);
  }
  pthread_mutex_destroy(&pool->mutex);
  return false;
}

gust_pool *gust_pool_create(unsigned threads) {
  if (threads == 0) return NULL;
  gust_pool *pool = calloc(1, sizeof *pool);
  if (!pool) return NULL;
  pool->threads = threads;
  pool->spin_ns = threads > 1 && threads > os_physical_cores() ? SPIN_CROWDED_NS : SPIN_NS;
  pool->workers = calloc(threads, sizeof *pool->workers);
  if (!pool->workers || !create_locks(pool)) {
    free(pool->workers);
    free(pool);
    return NULL;
  }
  for (unsigned i = 1; i < threads; i++)
    if (!start_worker(pool, i)) {
      gust_pool_destroy(pool);
      return NULL;
    }
  return pool;
}

void gust_pool_destroy(gust_pool *pool) {
  if (!pool) return;
  pthread_mutex_lock(&pool->mutex);
  atomic_fetch_or(&pool->state, STATE_STOP);
  pthread_cond_broadcast(&pool->opened);
  pthread_mutex_unlock(&pool->mutex);
  for (unsigned i = 0; i < pool->started; i++) pthread_join(pool->workers[i].thread, NULL);
  pthread_cond_destroy(&pool->left);
  pthread_cond_destroy(&pool->opened);
  pthread_mutex_destroy(&pool->mutex);
  free(pool->workers);
  free(pool);
}

unsigned gust_pool_threads(const gust_pool *pool) {
  return pool->threads;
}

#include "throughput.h"

#include <math.h>
#include <stdlib.h>

#include "os.h"
#include "status.h"

typedef struct measurement {
  gust_context *context;
  const throughput_plan *plan;
  int32_t *ids;         /* as many as the context's positions */
  double *rates;        /* one per repetition */
  uint64_t done, total; /* tokens */
  bool stopped;         /* the progress function's last word */
} measurement;

/* splitmix64 (Steele, Lea and Flood 2014). */
static void draw_ids(int32_t *ids, size_t count, uint32_t vocab) {
  uint64_t state = 0;
  for (size_t i = 0; i < count; i++) {
    uint64_t z = (state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    ids[i] = (int32_t)((z ^ (z >> 31)) % vocab);
  }
}

static bool report(void *user, uint64_t done, uint64_t total) {
  measurement *m = user;
  (void)total;
  m->stopped = m->plan->progress(m->plan->user, m->done + done, m->total);
  return m->stopped;
}

/* Feeds the next `count` ids of the sequence. */
static gust_status feed(measurement *m, size_t count, gust_error *err) {
  const int32_t *ids = m->ids + gust_context_length(m->context);
  gust_status status = gust_context_feed(m->context, ids, count, report, m, err);
  m->done += count;
  /* A feed that is done does not heed the request to stop. */
  if (m->stopped && (!status || status == GUST_E_CANCELLED))
    status = gust_fail(err, GUST_E_CANCELLED, "the benchmark was stopped; nothing was measured");
  return status;
}

static gust_status time_prefill(measurement *m, double *rate, gust_error *err) {
  gust_context_truncate(m->context, 0);
  uint64_t begun = os_now_ns();
  gust_status status = feed(m, m->plan->prompt, err);
  *rate = (double)m->plan->prompt / ((double)(os_now_ns() - begun) * 1e-9);
  return status;
}

static gust_status time_decode(measurement *m, double *rate, gust_error *err) {
  gust_status status = GUST_OK;
  size_t depth = m->plan->depth, kept = gust_context_truncate(m->context, depth);
  if (kept < depth) {
    m->total += depth - kept;
    status = feed(m, depth - kept, err);
  }
  uint64_t begun = os_now_ns();
  for (size_t i = 0; i < m->plan->gen && !status; i++) status = feed(m, 1, err);
  *rate = (double)m->plan->gen / ((double)(os_now_ns() - begun) * 1e-9);
  return status;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static throughput_spread spread_of(double *rates, size_t count) {
  qsort(rates, count, sizeof *rates, ascending);
  double median = (rates[(count - 1) / 2] + rates[count / 2]) / 2;
  return (throughput_spread){median, rates[0], rates[count - 1]};
}

typedef gust_status time_fn(measurement *m, double *rate, gust_error *err);

/* The first run touches memory for the first time and wakes the processor: it
 * does not count. */
static gust_status repeat(measurement *m, time_fn *run, throughput_spread *spread,
                          gust_error *err) {
  gust_status status = run(m, &m->rates[0], err);
  for (size_t i = 0; i < m->plan->repetitions && !status; i++) status = run(m, &m->rates[i], err);
  if (!status) *spread = spread_of(m->rates, m->plan->repetitions);
  return status;
}

size_t throughput_positions(const throughput_plan *plan) {
  size_t deepest = plan->gen ? plan->depth + plan->gen : 0;
  return plan->prompt > deepest ? plan->prompt : deepest;
}

gust_status throughput_measure(throughput *result, gust_context *context, uint32_t vocab,
                               const throughput_plan *plan, gust_error *err) {
  const throughput_spread none = {(double)NAN, (double)NAN, (double)NAN};
  size_t positions = throughput_positions(plan), count = positions ? positions : 1;
  measurement m = {.context = context,
                   .plan = plan,
                   .ids = malloc(count * sizeof *m.ids),
                   .rates = malloc(plan->repetitions * sizeof *m.rates),
                   .total = (uint64_t)(plan->repetitions + 1) * (plan->prompt + plan->gen)};
  gust_status status = GUST_OK;
  *result = (throughput){none, none};
  if (!m.ids || !m.rates) {
    status = gust_fail_memory(err, "a benchmark", count * sizeof *m.ids);
  } else {
    draw_ids(m.ids, positions, vocab);
    if (plan->prompt) status = repeat(&m, time_prefill, &result->prefill, err);
    if (plan->gen && !status) status = repeat(&m, time_decode, &result->decode, err);
  }
  free(m.ids);
  free(m.rates);
  return status;
}

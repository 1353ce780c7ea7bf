#include "throughput.h"

#include <math.h>
#include <stdlib.h>

#include "cli/ascending.h"
#include "os.h"
#include "random64.h"
#include "status.h"

typedef struct measurement {
  gust_context *context;
  const throughput_plan *plan;
  int32_t *ids;         /* as many as the context's positions */
  double *rates;        /* one per repetition */
  double *limits;       /* and one more: before each of them, and after the last */
  uint64_t done, total; /* tokens */
  bool stopped;         /* the progress function's last word */
} measurement;

static void draw_ids(int32_t *ids, size_t count, uint32_t vocab) {
  uint64_t state = 0;
  for (size_t i = 0; i < count; i++) ids[i] = (int32_t)(gust_random64(&state) % vocab);
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

/* Whether a token costs the same at every position from the depth on. */
static bool sees_window(const throughput_plan *plan) {
  return plan->window && plan->depth >= plan->window;
}

/* What a repetition begins with: `depth` tokens, or more once they are a window. */
static gust_status go_to_depth(measurement *m, gust_error *err) {
  const throughput_plan *plan = m->plan;
  if (sees_window(plan) && gust_context_length(m->context) >= plan->depth) return GUST_OK;
  size_t kept = gust_context_truncate(m->context, plan->depth);
  if (kept >= plan->depth) return GUST_OK;
  m->total += plan->depth - kept;
  return feed(m, plan->depth - kept, err);
}

static gust_status time_prefill(measurement *m, double *rate, gust_error *err) {
  gust_status status = go_to_depth(m, err);
  uint64_t begun = os_now_ns();
  if (!status) status = feed(m, m->plan->prompt, err);
  *rate = (double)m->plan->prompt / ((double)(os_now_ns() - begun) * 1e-9);
  return status;
}

static gust_status time_decode(measurement *m, double *rate, gust_error *err) {
  gust_status status = go_to_depth(m, err);
  uint64_t begun = os_now_ns();
  for (size_t i = 0; i < m->plan->gen && !status; i++) status = feed(m, 1, err);
  *rate = (double)m->plan->gen / ((double)(os_now_ns() - begun) * 1e-9);
  return status;
}

static double median_of(double *values, size_t count) {
  qsort(values, count, sizeof *values, ascending);
  return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

static throughput_spread spread_of(const measurement *m) {
  size_t count = m->plan->repetitions;
  throughput_spread spread = {.median = median_of(m->rates, count), .limit = (double)NAN};
  spread.least = m->rates[0];
  spread.most = m->rates[count - 1];
  if (!m->plan->limit) return spread;
  for (size_t i = 0; i < count; i++)
    if (m->limits[i + 1] > m->limits[i]) m->limits[i] = m->limits[i + 1];
  spread.limit = median_of(m->limits, count);
  return spread;
}

static gust_status find_limit(measurement *m, throughput_part part, size_t index, gust_error *err) {
  const throughput_plan *plan = m->plan;
  return plan->limit ? plan->limit(plan->limit_user, part, &m->limits[index], err) : GUST_OK;
}

/* The first run touches memory for the first time and wakes the processor: it
 * does not count. */
static gust_status repeat(measurement *m, throughput_part part, throughput_spread *spread,
                          gust_error *err) {
  gust_status (*run)(measurement *, double *, gust_error *) =
      part == THROUGHPUT_PREFILL ? time_prefill : time_decode;
  gust_status status = run(m, &m->rates[0], err);
  if (!status) status = find_limit(m, part, 0, err);
  for (size_t i = 0; i < m->plan->repetitions && !status; i++) {
    status = run(m, &m->rates[i], err);
    if (!status) status = find_limit(m, part, i + 1, err);
  }
  if (!status) *spread = spread_of(m);
  return status;
}

size_t throughput_positions(const throughput_plan *plan) {
  if (sees_window(plan)) return plan->depth + (plan->repetitions + 1) * (plan->prompt + plan->gen);
  return plan->depth + (plan->prompt > plan->gen ? plan->prompt : plan->gen);
}

gust_status throughput_measure(throughput *result, gust_context *context, uint32_t vocab,
                               const throughput_plan *plan, gust_error *err) {
  const throughput_spread none = {(double)NAN, (double)NAN, (double)NAN, (double)NAN};
  size_t positions = throughput_positions(plan), count = positions ? positions : 1;
  measurement m = {.context = context,
                   .plan = plan,
                   .ids = malloc(count * sizeof *m.ids),
                   .rates = malloc(plan->repetitions * sizeof *m.rates),
                   .limits = malloc((plan->repetitions + 1) * sizeof *m.limits),
                   .total = (uint64_t)(plan->repetitions + 1) * (plan->prompt + plan->gen)};
  gust_status status = GUST_OK;
  *result = (throughput){none, none};
  if (!m.ids || !m.rates || !m.limits) {
    status = gust_fail_memory(err, "a benchmark", count * sizeof *m.ids);
  } else {
    draw_ids(m.ids, positions, vocab);
    gust_context_truncate(context, 0);
    if (plan->prompt) status = repeat(&m, THROUGHPUT_PREFILL, &result->prefill, err);
    if (plan->gen && !status) status = repeat(&m, THROUGHPUT_DECODE, &result->decode, err);
  }
  free(m.ids);
  free(m.rates);
  free(m.limits);
  return status;
}

#include "bandwidth_probe.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os.h"
#include "read_loops.h"

#define PART_BYTES ((size_t)2 << 20) /* the buffer is whole huge pages */
#define LINE_WORDS (READ_LOOP_LINE / sizeof(uint64_t))
#define DEFAULT_BYTES ((uint64_t)4 << 30)
#define LEAST_BYTES ((uint64_t)64 << 20)
/* Parts written between two reports: the system clears the pages of a new buffer,
 * which takes longer than reading it. */
#define WRITE_STEP 32u

/* A trial reads a piece that no trial shortly before has read, so that it is in
 * no cache. */
#define TRIAL_BYTES ((size_t)64 << 20)
#define TRIAL_ROUNDS 2u
#define FINAL_WAYS 5u
#define FINAL_ROUNDS 4u
#define FINAL_NS 2000000000u
/* For measuring again: the best of those, and about how long each takes. */
#define AGAIN_WAYS 3u
#define AGAIN_SECONDS 0.1
/* About what a decoding thread takes at a time. */
#define GRAIN_BYTES ((size_t)512 << 10)

static const unsigned stream_counts[] = {1, 2, 4, 8};
static const size_t prefetch_distances[] = {0, 1024, 2048, 4096};
#define MOST_WAYS 96u

typedef struct read_way {
  const read_loop *loop;
  unsigned streams;
  size_t ahead;
  bool grains;  /* taken from a common counter; else a range per thread */
  double trial; /* bytes per second at best over a piece */
  double best;  /* over the whole buffer; 0: not tried */
} read_way;

struct bandwidth_probe {
  gust_pool *pool;
  uint8_t *data;
  size_t bytes;
  uint64_t *sums; /* one per worker, a line apart */
  read_way ways[MOST_WAYS];
  size_t way_count;
};

/* --- reading ----------------------------------------------------------------------------- */

typedef struct read_job {
  const read_way *way;
  const uint8_t *data;
  size_t bytes, step; /* of an item; the last one may be shorter */
  uint64_t *sums;
} read_job;

static void read_items(void *arg, size_t begin, size_t end, unsigned worker) {
  const read_job *job = arg;
  const read_way *way = job->way;
  for (size_t i = begin; i < end; i++) {
    size_t left = job->bytes - i * job->step, bytes = left < job->step ? left : job->step;
    job->sums[worker * LINE_WORDS] +=
        way->loop->sum(job->data + i * job->step, bytes, way->streams, way->ahead);
  }
}

/* Bytes per second of one pass over [offset, offset + bytes). Each word is 1, so
 * that the sum says how many were read. */
static gust_status read_once(bandwidth_probe *probe, const read_way *way, size_t offset,
                             size_t bytes, double *rate, gust_error *err) {
  unsigned threads = gust_pool_threads(probe->pool);
  size_t lines = bytes / READ_LOOP_LINE;
  size_t step = way->grains ? GRAIN_BYTES : (lines + threads - 1) / threads * READ_LOOP_LINE;
  read_job job = {way, probe->data + offset, bytes, step, probe->sums};
  memset(probe->sums, 0, (size_t)threads * READ_LOOP_LINE);
  uint64_t begun = os_now_ns();
  gust_pool_run(probe->pool, read_items, &job, (bytes + step - 1) / step, 1);
  uint64_t took = os_now_ns() - begun, sum = 0;
  for (unsigned i = 0; i < threads; i++) sum += probe->sums[i * LINE_WORDS];
  *rate = (double)bytes / ((double)(took ? took : 1) * 1e-9);
  if (sum == bytes / sizeof(uint64_t)) return GUST_OK;
  return gust_fail(err, GUST_E_MEMORY,
                   "bandwidth probe: expected a sum of %llu, read %llu; the memory is faulty",
                   (unsigned long long)(bytes / sizeof(uint64_t)), (unsigned long long)sum);
}

/* --- writing ----------------------------------------------------------------------------- */

static void write_parts(void *arg, size_t begin, size_t end, unsigned worker) {
  uint64_t *words = arg;
  (void)worker;
  for (size_t i = begin * (PART_BYTES / 8); i < end * (PART_BYTES / 8); i++) words[i] = 1;
}

typedef struct probe_progress {
  gust_progress_fn *fn;
  void *user;
  uint64_t done, total; /* bytes */
} probe_progress;

static gust_status report_done(probe_progress *progress, uint64_t bytes, gust_error *err) {
  progress->done += bytes;
  if (!progress->fn || !progress->fn(progress->user, progress->done, progress->total))
    return GUST_OK;
  return gust_fail(err, GUST_E_CANCELLED, "measuring the memory was cancelled");
}

static gust_status write_all(bandwidth_probe *probe, probe_progress *progress, gust_error *err) {
  gust_status status = GUST_OK;
  size_t parts = probe->bytes / PART_BYTES;
  for (size_t first = 0; first < parts && !status; first += WRITE_STEP) {
    size_t step = parts - first < WRITE_STEP ? parts - first : WRITE_STEP;
    gust_pool_run(probe->pool, write_parts, probe->data + first * PART_BYTES, step, 1);
    status = report_done(progress, step * PART_BYTES, err);
  }
  return status;
}

/* --- which way is fastest ------------------------------------------------------------------ */

static void list_ways(bandwidth_probe *probe) {
  const read_loop *loop;
  for (size_t l = 0; (loop = read_loop_get(l)) != NULL; l++)
    for (size_t s = 0; s < sizeof stream_counts / sizeof *stream_counts; s++)
      for (size_t a = 0; a < sizeof prefetch_distances / sizeof *prefetch_distances; a++)
        for (int grains = 0; grains < 2 && probe->way_count < MOST_WAYS; grains++)
          probe->ways[probe->way_count++] = (read_way){.loop = loop,
                                                       .streams = stream_counts[s],
                                                       .ahead = prefetch_distances[a],
                                                       .grains = grains};
}

static size_t trial_bytes(const bandwidth_probe *probe) {
  return probe->bytes < TRIAL_BYTES ? probe->bytes : TRIAL_BYTES;
}

static size_t next_piece(const bandwidth_probe *probe, size_t offset, size_t bytes) {
  return probe->bytes - offset < 2 * bytes ? 0 : offset + bytes;
}

/* Two rounds, since the machine may be disturbed for the time of one. */
static gust_status try_ways(bandwidth_probe *probe, probe_progress *progress, gust_error *err) {
  size_t bytes = trial_bytes(probe), offset = 0;
  for (size_t i = 0; i < TRIAL_ROUNDS * probe->way_count; i++) {
    read_way *way = &probe->ways[i % probe->way_count];
    double rate;
    gust_status status = read_once(probe, way, offset, bytes, &rate, err);
    if (!status) status = report_done(progress, bytes, err);
    if (status) return status;
    if (rate > way->trial) way->trial = rate;
    offset = next_piece(probe, offset, bytes);
  }
  return GUST_OK;
}

/* By what the whole buffer gave, then by the trials. */
static int faster_first(const void *a, const void *b) {
  const read_way *x = a, *y = b;
  if (x->best != y->best) return x->best > y->best ? -1 : 1;
  return x->trial > y->trial ? -1 : x->trial < y->trial;
}

static size_t final_ways(const bandwidth_probe *probe) {
  return probe->way_count < FINAL_WAYS ? probe->way_count : FINAL_WAYS;
}

/* The finalists' turns over the whole buffer, for a while. */
static gust_status time_finalists(bandwidth_probe *probe, probe_progress *progress,
                                  gust_error *err) {
  size_t ways = final_ways(probe);
  uint64_t begun = os_now_ns();
  gust_status status = GUST_OK;
  for (size_t i = 0; i < FINAL_ROUNDS * ways && !status; i++) {
    if (i > 0 && os_now_ns() - begun > FINAL_NS) break;
    read_way *way = &probe->ways[i % ways];
    double rate;
    status = read_once(probe, way, 0, probe->bytes, &rate, err);
    if (!status && rate > way->best) way->best = rate;
    if (!status) status = report_done(progress, probe->bytes, err);
  }
  if (!status && progress->done < progress->total)
    status = report_done(progress, progress->total - progress->done, err);
  return status;
}

static const read_way *best_way(const bandwidth_probe *probe) {
  const read_way *best = &probe->ways[0];
  for (size_t i = 1; i < final_ways(probe); i++)
    if (probe->ways[i].best > best->best) best = &probe->ways[i];
  return best;
}

/* --- the probe ------------------------------------------------------------------------------ */

size_t bandwidth_probe_bytes(uint64_t spared) {
  uint64_t available = os_available_memory();
  uint64_t half = available > spared ? (available - spared) / 2 : 0;
  return half > DEFAULT_BYTES ? DEFAULT_BYTES : half > LEAST_BYTES ? half : LEAST_BYTES;
}

static size_t buffer_bytes(size_t wanted) {
  size_t bytes = wanted ? wanted : bandwidth_probe_bytes(0);
  if (bytes > SIZE_MAX - PART_BYTES) return 0;
  return (bytes + PART_BYTES - 1) / PART_BYTES * PART_BYTES;
}

static gust_status fill(bandwidth_probe *probe, gust_progress_fn *fn, void *user, gust_error *err) {
  list_ways(probe);
  probe_progress progress = {.fn = fn, .user = user};
  progress.total = probe->bytes * (uint64_t)(1 + FINAL_ROUNDS * final_ways(probe)) +
                   trial_bytes(probe) * (uint64_t)(TRIAL_ROUNDS * probe->way_count);
  gust_status status = write_all(probe, &progress, err);
  if (!status) status = try_ways(probe, &progress, err);
  qsort(probe->ways, probe->way_count, sizeof *probe->ways, faster_first);
  if (!status) status = time_finalists(probe, &progress, err);
  qsort(probe->ways, final_ways(probe), sizeof *probe->ways, faster_first);
  return status;
}

gust_status bandwidth_probe_create(bandwidth_probe **probe, gust_pool *pool, size_t bytes,
                                   gust_progress_fn *progress, void *user, gust_error *err) {
  *probe = NULL;
  bandwidth_probe *p = calloc(1, sizeof *p);
  if (!p) return gust_fail_memory(err, "the bandwidth probe", sizeof *p);
  p->pool = pool;
  p->bytes = buffer_bytes(bytes);
  p->sums = malloc((size_t)gust_pool_threads(pool) * READ_LOOP_LINE);
  if (p->bytes) p->data = os_reserve(p->bytes);
  gust_status status;
  if (!p->data || !p->sums || !os_commit(p->data, 0, p->bytes))
    status = gust_fail_memory(err, "the bandwidth probe", p->bytes ? p->bytes : bytes);
  else
    status = fill(p, progress, user, err);
  if (status)
    bandwidth_probe_destroy(p);
  else
    *probe = p;
  return status;
}

void bandwidth_probe_destroy(bandwidth_probe *probe) {
  if (!probe) return;
  os_release(probe->data, probe->bytes);
  free(probe->sums);
  free(probe);
}

double bandwidth_probe_best(const bandwidth_probe *probe) {
  return best_way(probe)->best;
}

/* Whole parts, as many as can be read in the time. */
static size_t again_bytes(const bandwidth_probe *probe) {
  double bytes = bandwidth_probe_best(probe) * AGAIN_SECONDS;
  size_t least = trial_bytes(probe);
  if (bytes >= (double)probe->bytes) return probe->bytes;
  return bytes > (double)least ? (size_t)bytes / PART_BYTES * PART_BYTES : least;
}

gust_status bandwidth_probe_again(bandwidth_probe *probe, double *bytes_per_second,
                                  gust_error *err) {
  size_t ways = final_ways(probe), bytes = again_bytes(probe), offset = 0;
  *bytes_per_second = 0;
  for (size_t i = 0; i < ways && i < AGAIN_WAYS; i++) {
    read_way *way = &probe->ways[i];
    double rate;
    gust_status status = read_once(probe, way, offset, bytes, &rate, err);
    if (status) return status;
    if (rate > way->best) way->best = rate;
    if (rate > *bytes_per_second) *bytes_per_second = rate;
    offset = next_piece(probe, offset, bytes);
  }
  return GUST_OK;
}

char *bandwidth_probe_way(const bandwidth_probe *probe, char text[BANDWIDTH_WAY_BYTES]) {
  const read_way *way = best_way(probe);
  char prefetch[48] = "no prefetch";
  if (way->ahead) snprintf(prefetch, sizeof prefetch, "prefetch %zu bytes ahead", way->ahead);
  snprintf(text, BANDWIDTH_WAY_BYTES, "%u-bit loads, %u stream%s, %s, %s", way->loop->bits,
           way->streams, way->streams == 1 ? "" : "s", prefetch,
           way->grains ? "grains in turn" : "a range per thread");
  return text;
}

const void *bandwidth_probe_buffer(const bandwidth_probe *probe, size_t *bytes) {
  *bytes = probe->bytes;
  return probe->data;
}

gust_status probe_read_bandwidth(double *bytes_per_second, gust_pool *pool, size_t bytes,
                                 gust_progress_fn *progress, void *user, gust_error *err) {
  bandwidth_probe *probe;
  gust_status status = bandwidth_probe_create(&probe, pool, bytes, progress, user, err);
  if (status) return status;
  *bytes_per_second = bandwidth_probe_best(probe);
  bandwidth_probe_destroy(probe);
  return GUST_OK;
}

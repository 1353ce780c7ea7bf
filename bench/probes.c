#include "probes.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "os.h"

/* --- reading memory ---------------------------------------------------------------- */

/* What a thread takes at a time, and what it reads by: a cache line is four
 * pairs, and any processor adds up a pair in one instruction. */
typedef uint64_t word_pair __attribute__((vector_size(16)));
#define PART_BYTES ((size_t)4 << 20)
#define PART_PAIRS (PART_BYTES / sizeof(word_pair))
#define LINE_PAIRS 4u
#define LINE_WORDS 8u
#define MOST_STREAMS 4
/* Far enough ahead to cover the latency of memory, little enough to stay in the
 * first-level cache. */
#define PREFETCH_BYTES 2048
#define READ_LOOPS 6
/* Parts written between two reports: the system clears the pages of a new buffer,
 * which takes longer than reading it. */
#define WRITE_STEP 16u
#define DEFAULT_BYTES ((uint64_t)1 << 30)
#define LEAST_BYTES ((uint64_t)64 << 20)

typedef struct read_job {
  word_pair *pairs;
  uint64_t *sums; /* one per worker, a line apart */
  int streams;
  size_t first; /* part the writing of a step begins with */
  gust_progress_fn *progress;
  void *user;
  uint64_t done, total; /* bytes */
} read_job;

/* Each word is 1, so that a sum says how many were read. */
static void write_parts(void *arg, size_t begin, size_t end, unsigned worker) {
  (void)worker;
  const read_job *job = arg;
  word_pair *pairs = job->pairs + job->first * PART_PAIRS;
  for (size_t i = begin * PART_PAIRS; i < end * PART_PAIRS; i++) pairs[i] = (word_pair){1, 1};
}

static gust_status report_done(read_job *job, size_t parts, gust_error *err) {
  job->done += (uint64_t)parts * PART_BYTES;
  if (!job->progress || !job->progress(job->user, job->done, job->total)) return GUST_OK;
  return gust_fail(err, GUST_E_CANCELLED, "measuring the memory was cancelled");
}

static gust_status write_all(gust_pool *pool, read_job *job, size_t parts, gust_error *err) {
  gust_status status = GUST_OK;
  for (job->first = 0; job->first < parts && status == GUST_OK; job->first += WRITE_STEP) {
    size_t step = parts - job->first < WRITE_STEP ? parts - job->first : WRITE_STEP;
    gust_pool_run(pool, write_parts, job, step, 1);
    status = report_done(job, step, err);
  }
  return status;
}

/* Adds up a part by whole cache lines, in `streams` places of it at once, which
 * is constant wherever this is inlined. */
static inline uint64_t sum_part(const word_pair *part, size_t streams) {
  const size_t pairs = PART_PAIRS / streams;
  word_pair sums[LINE_PAIRS] = {{0}};
  for (size_t i = 0; i < pairs; i += LINE_PAIRS)
    for (size_t s = 0; s < streams; s++) {
      const word_pair *line = part + s * pairs + i;
      if (streams > 1) __builtin_prefetch((const char *)line + PREFETCH_BYTES);
      for (size_t j = 0; j < LINE_PAIRS; j++) sums[j] += line[j];
    }
  word_pair total = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  return total[0] + total[1];
}

static void read_parts(void *arg, size_t begin, size_t end, unsigned worker) {
  const read_job *job = arg;
  for (size_t i = begin; i < end; i++) {
    const word_pair *part = job->pairs + i * PART_PAIRS;
    job->sums[worker * LINE_WORDS] +=
        job->streams == 1 ? sum_part(part, 1) : sum_part(part, MOST_STREAMS);
  }
}

/* Seconds of one loop over the buffer; *sum: of all words. */
static double read_once(gust_pool *pool, read_job *job, size_t parts, uint64_t *sum) {
  unsigned threads = gust_pool_threads(pool);
  memset(job->sums, 0, threads * LINE_WORDS * sizeof *job->sums);
  uint64_t begun = os_now_ns();
  gust_pool_run(pool, read_parts, job, parts, 1);
  uint64_t ended = os_now_ns();
  *sum = 0;
  for (unsigned i = 0; i < threads; i++) *sum += job->sums[i * LINE_WORDS];
  return (double)(ended > begun ? ended - begun : 1) * 1e-9;
}

static gust_status read_loops(double *rate, gust_pool *pool, read_job *job, size_t parts,
                              gust_error *err) {
  const uint64_t words = (uint64_t)parts * (PART_BYTES / sizeof(uint64_t));
  *rate = 0;
  job->total = (2 * READ_LOOPS + 1) * (uint64_t)parts * PART_BYTES;
  gust_status status = write_all(pool, job, parts, err);
  for (int i = 0; i < 2 * READ_LOOPS && status == GUST_OK; i++) {
    uint64_t sum;
    job->streams = i % 2 ? MOST_STREAMS : 1;
    double seconds = read_once(pool, job, parts, &sum);
    if (sum != words)
      return gust_fail(err, GUST_E_MEMORY,
                       "bandwidth probe: expected a sum of %llu, read %llu; the memory is faulty",
                       (unsigned long long)words, (unsigned long long)sum);
    double found = (double)parts * (double)PART_BYTES / seconds;
    if (found > *rate) *rate = found;
    status = report_done(job, parts, err);
  }
  return status;
}

static uint64_t default_bytes(void) {
  uint64_t quarter = os_available_memory() / 4;
  if (quarter >= DEFAULT_BYTES) return DEFAULT_BYTES;
  return quarter > LEAST_BYTES ? quarter : LEAST_BYTES;
}

gust_status probe_read_bandwidth(double *bytes_per_second, gust_pool *pool, size_t bytes,
                                 gust_progress_fn *progress, void *user, gust_error *err) {
  if (bytes == 0) bytes = (size_t)default_bytes();
  size_t parts = bytes / PART_BYTES + (bytes % PART_BYTES != 0);
  size_t sum_bytes = gust_pool_threads(pool) * LINE_WORDS * sizeof(uint64_t);
  if (parts > SIZE_MAX / PART_BYTES) return gust_fail_memory(err, "the bandwidth probe", bytes);
  read_job job = {.pairs = os_reserve(parts * PART_BYTES),
                  .sums = malloc(sum_bytes),
                  .progress = progress,
                  .user = user};
  gust_status status;
  if (!job.pairs || !job.sums || !os_commit(job.pairs, 0, parts * PART_BYTES))
    status = gust_fail_memory(err, "the bandwidth probe", bytes);
  else
    status = read_loops(bytes_per_second, pool, &job, parts, err);
  if (job.pairs) os_release(job.pairs, parts * PART_BYTES);
  free(job.sums);
  return status;
}

/* --- multiplying integers -------------------------------------------------------------- */

typedef void multiply_fn(void);

typedef struct multiply_probe {
  const char *level;
  multiply_fn *run;
  double multiply_adds; /* of one run */
} multiply_probe;

#define MULTIPLY_ROUNDS 50000u
#define MULTIPLY_RUNS_PER_THREAD 16u
#define MULTIPLY_LOOPS 8

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

/* Independent sums: more than the longest chain's latency times its rate. The
 * empty asm makes the operand a new unknown each time, so that no product is
 * computed once for all. */
#define AVX2_SUMS 10
#define AVX512_SUMS 16

__attribute__((target("avx2"))) static void multiply_avx2(void) {
  __m256i sums[AVX2_SUMS], weights = _mm256_set1_epi8(57), values = _mm256_set1_epi8(-127);
  const __m256i ones = _mm256_set1_epi16(1);
  for (int i = 0; i < AVX2_SUMS; i++) sums[i] = _mm256_setzero_si256();
  for (unsigned r = 0; r < MULTIPLY_ROUNDS; r++)
    for (int i = 0; i < AVX2_SUMS; i++) {
      __asm__ volatile("" : "+x"(values));
      sums[i] =
          _mm256_add_epi32(sums[i], _mm256_madd_epi16(_mm256_maddubs_epi16(weights, values), ones));
    }
  for (int i = 0; i < AVX2_SUMS; i++) __asm__ volatile("" ::"x"(sums[i]));
}

__attribute__((target("avx512f,avx512vnni"))) static void multiply_avx512(void) {
  __m512i sums[AVX512_SUMS], weights = _mm512_set1_epi8(57), values = _mm512_set1_epi8(-127);
  for (int i = 0; i < AVX512_SUMS; i++) sums[i] = _mm512_setzero_si512();
  for (unsigned r = 0; r < MULTIPLY_ROUNDS; r++)
    for (int i = 0; i < AVX512_SUMS; i++) {
      __asm__ volatile("" : "+v"(values));
      sums[i] = _mm512_dpbusd_epi32(sums[i], weights, values);
    }
  for (int i = 0; i < AVX512_SUMS; i++) __asm__ volatile("" ::"v"(sums[i]));
}

static const multiply_probe multiply_probes[] = {
    {"avx2", multiply_avx2, 32.0 * AVX2_SUMS *MULTIPLY_ROUNDS},
    {"avx512", multiply_avx512, 64.0 * AVX512_SUMS *MULTIPLY_ROUNDS},
    {NULL, NULL, 0},
};
#else
static const multiply_probe multiply_probes[] = {{NULL, NULL, 0}};
#endif

static void run_multiply(void *arg, size_t begin, size_t end, unsigned worker) {
  (void)worker;
  const multiply_probe *probe = arg;
  for (size_t i = begin; i < end; i++) probe->run();
}

double probe_multiply_adds(gust_pool *pool, const char *level) {
  const multiply_probe *found = multiply_probes;
  while (found->level && strcmp(found->level, level) != 0) found++;
  if (!found->level) return 0;
  multiply_probe probe = *found;
  size_t runs = (size_t)gust_pool_threads(pool) * MULTIPLY_RUNS_PER_THREAD;
  double best = 0;
  for (int i = 0; i < MULTIPLY_LOOPS; i++) {
    uint64_t begun = os_now_ns();
    gust_pool_run(pool, run_multiply, &probe, runs, 1);
    double seconds = (double)(os_now_ns() - begun) * 1e-9;
    double rate = seconds > 0 ? (double)runs * probe.multiply_adds / seconds : 0;
    if (rate > best) best = rate;
  }
  return best;
}

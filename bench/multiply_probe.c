#include "multiply_probe.h"

#include <stdint.h>
#include <string.h>

#include "os.h"

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

/* Times every kernel on every level of this machine, one line each:
 *   bench_kernels [LEVEL]
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels.h"
#include "os.h"

/* One thread; weights larger than any cache for the matrix-vector products, so
 * that their limit is the memory's; everything else stays in cache. */
#define DEPTH 4096u
#define WEIGHT_BYTES ((size_t)256 << 20)
#define PREFILL_PANELS 32u
#define TOKENS 64u
#define HEAD_DIM 128u
#define REPETITIONS 7

static struct {
  uint8_t *weights;
  gust_activations x;
  float *dst, *floats, *more;
  uint8_t *key_tile, *value_tile;
} data;

typedef struct bench_case {
  const char *name;
  void (*run)(const gust_kernels *kernels);
  double bytes; /* touched by one run; 0: count multiply-adds */
  double multiply_adds;
} bench_case;

/* Panels that fill the weights. The row codes are any bytes: the weights' first. */
static size_t whole(size_t panel_bytes) {
  return WEIGHT_BYTES / panel_bytes;
}

static void run_q4(const gust_kernels *k) {
  k->matmul_q4(data.dst, 0, data.weights, data.weights, whole(gust_q4_panel_bytes(DEPTH)), &data.x,
               1);
}
static void run_q8(const gust_kernels *k) {
  k->matmul_q8(data.dst, 0, data.weights, data.weights, whole(gust_q8_panel_bytes(DEPTH)), &data.x,
               1);
}
static void run_bf16(const gust_kernels *k) {
  k->matmul_bf16(data.dst, 0, data.weights, whole(gust_bf16_panel_bytes(DEPTH)), data.floats, DEPTH,
                 1);
}
static void run_f32(const gust_kernels *k) {
  k->matmul_f32(data.dst, 0, data.weights, whole(gust_f32_panel_bytes(DEPTH)), data.floats, DEPTH,
                1);
}
static void run_q4_prefill(const gust_kernels *k) {
  k->matmul_q4(data.dst, PREFILL_PANELS * 16, data.weights, data.weights, PREFILL_PANELS, &data.x,
               TOKENS);
}
static void run_q8_prefill(const gust_kernels *k) {
  k->matmul_q8(data.dst, PREFILL_PANELS * 16, data.weights, data.weights, PREFILL_PANELS, &data.x,
               TOKENS);
}
static void run_quantize(const gust_kernels *k) {
  k->quantize(&data.x, 0, data.floats);
}
static void run_rmsnorm(const gust_kernels *k) {
  k->rmsnorm(data.dst, data.floats, data.more, DEPTH, 1e-5f);
}
static void run_rope(const gust_kernels *k) {
  k->rope(data.dst, DEPTH / HEAD_DIM, HEAD_DIM, data.floats, data.more);
}
static void run_swiglu(const gust_kernels *k) {
  memcpy(data.dst, data.floats, DEPTH * sizeof(float));
  k->swiglu(data.dst, data.more, DEPTH);
}
static void run_add(const gust_kernels *k) {
  k->add(data.dst, data.more, DEPTH);
}
static void run_softmax(const gust_kernels *k) {
  k->softmax(data.dst, data.floats, DEPTH, 1.0f);
}
static void attend(const gust_kernels *k, int type) {
  k->attend[type](data.dst, data.floats, 4, data.key_tile, data.value_tile, 0, GUST_CHUNK, HEAD_DIM,
                  0.1f);
}
static void run_attend_f16(const gust_kernels *k) {
  attend(k, GUST_KV_TILE_F16);
}
static void run_attend_f32(const gust_kernels *k) {
  attend(k, GUST_KV_TILE_F32);
}
static void run_attend_q8(const gust_kernels *k) {
  attend(k, GUST_KV_TILE_Q8);
}

static const double macs = 2.0 * 4 * GUST_CHUNK * HEAD_DIM;

/* Seconds of one run: the median of some repetitions of at least 20 ms. */
static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}
static double time_case(const bench_case *one, const gust_kernels *kernels, double *spread) {
  double seconds[REPETITIONS];
  for (int r = 0; r < REPETITIONS; r++) {
    uint64_t start = os_now_ns(), end;
    long runs = 0;
    do {
      one->run(kernels);
      runs++;
      end = os_now_ns();
    } while (end - start < 20000000u);
    seconds[r] = (double)(end - start) * 1e-9 / (double)runs;
  }
  qsort(seconds, REPETITIONS, sizeof *seconds, by_size);
  *spread = (seconds[REPETITIONS - 1] - seconds[0]) / seconds[REPETITIONS / 2];
  return seconds[REPETITIONS / 2];
}

/* Reads the weights eight bytes at a time: what one thread can get. */
static double probe_bandwidth(size_t bytes) {
  double best = 0;
  volatile uint64_t sink = 0; /* keeps the reads */
  for (int r = 0; r < 5; r++) {
    uint64_t start = os_now_ns(), sum[8] = {0};
    for (size_t i = 0; i < bytes; i += 64)
      for (size_t j = 0; j < 8; j++)
        sum[j] += *(const uint64_t *)(const void *)(data.weights + i + 8 * j);
    sink += sum[0] + sum[1] + sum[2] + sum[3] + sum[4] + sum[5] + sum[6] + sum[7];
    double rate = (double)bytes / (double)(os_now_ns() - start);
    (void)sink;
    if (rate > best) best = rate;
  }
  return best;
}

/* splitmix64 */
static uint64_t draw(void) {
  static uint64_t state = 1;
  uint64_t z = (state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

int main(int argc, char **argv) {
  const char *only = argc > 1 ? argv[1] : NULL;
  size_t weight_bytes = WEIGHT_BYTES;
  data.weights = os_reserve(weight_bytes);
  if (!data.weights || !os_commit(data.weights, 0, weight_bytes)) {
    fprintf(stderr, "bench_kernels: out of memory: needs %zu bytes\n", weight_bytes);
    return 1;
  }
  for (size_t i = 0; i < weight_bytes; i += 8) {
    uint64_t r = draw() & 0x3f7f3f7f3f7f3f7fu; /* tame as floats too */
    memcpy(data.weights + i, &r, 8);
  }
  static uint8_t arena[24 << 20];
  uint8_t *next = arena + (64 - (uintptr_t)arena % 64) % 64;
#define TAKE(bytes) (next += gust_round_up(bytes, 64), next - gust_round_up(bytes, 64))
  data.x = (gust_activations){(int8_t *)TAKE(TOKENS * DEPTH), NULL, NULL, DEPTH};
  data.x.scales = (float *)(void *)TAKE(TOKENS * DEPTH / 8);
  data.x.sums = (int32_t *)(void *)TAKE(TOKENS * DEPTH / 8);
  data.dst = (float *)(void *)TAKE(whole(gust_q4_panel_bytes(DEPTH)) * 16 * 4);
  data.floats = (float *)(void *)TAKE(DEPTH * 4);
  data.more = (float *)(void *)TAKE(DEPTH * 4);
  data.key_tile = TAKE(gust_key_tile_bytes(GUST_KV_TILE_F32, HEAD_DIM));
  data.value_tile = TAKE(gust_value_tile_bytes(GUST_KV_TILE_F32, HEAD_DIM));
  for (size_t i = 0; i < DEPTH; i++) {
    data.floats[i] = (float)(int)(draw() % 2001) * 0.001f - 1;
    data.more[i] = (float)(int)(draw() % 2001) * 0.001f - 1;
  }
  const double product = (double)DEPTH * PREFILL_PANELS * 16 * TOKENS,
               weights = (double)WEIGHT_BYTES;
  const bench_case cases[] = {
      {"matmul_q4 1 token", run_q4, weights, 0},
      {"matmul_q8 1 token", run_q8, weights, 0},
      {"matmul_bf16 1 token", run_bf16, weights, 0},
      {"matmul_f32 1 token", run_f32, weights, 0},
      {"matmul_q4 64 tokens", run_q4_prefill, 0, product},
      {"matmul_q8 64 tokens", run_q8_prefill, 0, product},
      {"quantize", run_quantize, DEPTH * 4, 0},
      {"rmsnorm", run_rmsnorm, DEPTH * 12, 0},
      {"rope", run_rope, DEPTH * 8, 0},
      {"swiglu", run_swiglu, DEPTH * 12, 0},
      {"add", run_add, DEPTH * 12, 0},
      {"softmax", run_softmax, DEPTH * 8, 0},
      {"attend_f16 4 heads", run_attend_f16, 0, macs},
      {"attend_f32 4 heads", run_attend_f32, 0, macs},
      {"attend_q8 4 heads", run_attend_q8, 0, macs},
  };
  double probe = probe_bandwidth(weight_bytes);
  printf("one thread; read bandwidth probe %.1f GB/s\n", probe);
  gust_kernels kernels;
  const char *level;
  for (size_t l = 0; (level = gust_kernels_level(l)) != NULL; l++) {
    if (only && strcmp(only, level) != 0) continue;
    gust_kernels_select(&kernels, level);
    for (size_t i = 0; i < TOKENS; i++) kernels.quantize(&data.x, i, data.floats);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
      double spread, seconds = time_case(&cases[i], &kernels, &spread);
      if (cases[i].bytes > 0)
        printf("%-8s %-22s %8.2f GB/s   %5.1f %% of probe   spread %2.0f %%\n", level,
               cases[i].name, cases[i].bytes / seconds * 1e-9,
               cases[i].bytes / seconds * 1e-7 / probe, spread * 100);
      else
        printf("%-8s %-22s %8.2f G multiply-adds/s   spread %2.0f %%\n", level, cases[i].name,
               cases[i].multiply_adds / seconds * 1e-9, spread * 100);
      fflush(stdout);
    }
  }
  os_release(data.weights, weight_bytes);
  return 0;
}

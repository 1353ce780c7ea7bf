/* Times every kernel on every level of this machine, one line each:
 *   bench_kernels [LEVEL]
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bandwidth_probe.h"
#include "kernels.h"
#include "multiply_probe.h"
#include "os.h"
#include "pool.h"

/* One thread; weights larger than any cache for the matrix-vector products, so
 * that their limit is the memory's; everything else stays in cache. */
#define DEPTH 4096u
#define WEIGHT_BYTES ((size_t)256 << 20)
#define ARENA_BYTES ((size_t)16 << 20)
#define PROBE_BYTES ((size_t)512 << 20)
#define PREFILL_PANELS 32u
#define TOKENS 256u
#define HEAD_DIM 128u
#define ATTEND_ROWS 48u
#define STORE_TOKENS 16u
#define MERGED 16u
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
/* A block of sixteen rows: bytes are those of its floats. */
#define BLOCK_FLOATS ((size_t)GUST_BLOCK_K * GUST_PANEL_ROWS)

static void search(const gust_weight_quantizer *q) {
  uint8_t rows[GUST_PANEL_ROWS], scales[GUST_PANEL_ROWS];
  q->row_codes(rows, data.floats, GUST_BLOCK_K);
  q->block_scales(scales, data.floats, NULL, rows);
}
static void round_weights(const gust_weight_quantizer *q) {
  uint8_t rows[GUST_PANEL_ROWS], scales[GUST_PANEL_ROWS], codes[BLOCK_FLOATS];
  memset(rows, 127 - 8, sizeof rows);
  memset(scales, 9, sizeof scales);
  q->round(codes, data.dst, data.floats, GUST_BLOCK_K, scales, rows);
}
static void run_search_q4(const gust_kernels *k) {
  search(&k->weights_q4);
}
static void run_search_q8(const gust_kernels *k) {
  search(&k->weights_q8);
}
static void run_round_q4(const gust_kernels *k) {
  round_weights(&k->weights_q4);
}
static void run_round_q8(const gust_kernels *k) {
  round_weights(&k->weights_q8);
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
/* Query heads of one token, and as many rows as reading a prompt takes at once. */
static void attend(const gust_kernels *k, int type, size_t count) {
  gust_attend_row rows[ATTEND_ROWS];
  for (size_t i = 0; i < count; i++)
    rows[i] = (gust_attend_row){.q = data.floats + i % 8 * HEAD_DIM,
                                .state = data.dst + i * gust_attention_state_floats(HEAD_DIM),
                                .last = GUST_CHUNK};
  k->attend[type](rows, count, data.key_tile, data.value_tile, NULL, HEAD_DIM, 0.1f);
}
static void run_attend_f16(const gust_kernels *k) {
  attend(k, GUST_KV_TILE_F16, 4);
}
static void run_attend_f32(const gust_kernels *k) {
  attend(k, GUST_KV_TILE_F32, 4);
}
static void run_attend_q8(const gust_kernels *k) {
  attend(k, GUST_KV_TILE_Q8, 4);
}
static void run_attend_f16_rows(const gust_kernels *k) {
  attend(k, GUST_KV_TILE_F16, ATTEND_ROWS);
}
static void run_attend_f32_rows(const gust_kernels *k) {
  attend(k, GUST_KV_TILE_F32, ATTEND_ROWS);
}
static void run_attend_q8_rows(const gust_kernels *k) {
  attend(k, GUST_KV_TILE_Q8, ATTEND_ROWS);
}

static void store(const gust_kernels *k, int type) {
  k->kv_store[type](data.key_tile, data.value_tile, 16, STORE_TOKENS, data.floats, data.more,
                    HEAD_DIM, HEAD_DIM);
}
static void run_store_f16(const gust_kernels *k) {
  store(k, GUST_KV_TILE_F16);
}
static void run_store_f32(const gust_kernels *k) {
  store(k, GUST_KV_TILE_F32);
}
static void run_store_q8(const gust_kernels *k) {
  store(k, GUST_KV_TILE_Q8);
}
static void run_merge(const gust_kernels *k) {
  k->attend_merge(data.dst, data.floats, 0, MERGED, HEAD_DIM);
}
static void run_finish(const gust_kernels *k) {
  k->attend_finish(data.dst, data.more, HEAD_DIM);
}

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

/* splitmix64 */
static uint64_t draw(uint64_t *state) {
  uint64_t z = (*state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

static void *take(uint8_t **next, size_t bytes) {
  uint8_t *start = *next;
  *next += gust_round_up(bytes, 64);
  return start;
}

/* All of one reservation, whose first part are the weights. */
static bool make_data(void) {
  size_t bytes = WEIGHT_BYTES + ARENA_BYTES;
  uint64_t state = 1;
  data.weights = os_reserve(bytes);
  if (!data.weights || !os_commit(data.weights, 0, bytes)) return false;
  for (size_t i = 0; i < WEIGHT_BYTES; i += 8) {
    uint64_t r = draw(&state) & 0x3f7f3f7f3f7f3f7fu; /* tame as floats too */
    memcpy(data.weights + i, &r, 8);
  }
  uint8_t *next = data.weights + WEIGHT_BYTES;
  data.x.k_padded = DEPTH;
  data.x.stride = gust_activation_stride(DEPTH);
  data.x.codes = take(&next, TOKENS * data.x.stride);
  data.x.scales = take(&next, TOKENS * DEPTH / 8);
  data.x.sums = take(&next, TOKENS * DEPTH / 8);
  data.dst = take(&next, whole(gust_q4_panel_bytes(DEPTH)) * 16 * 4);
  data.floats = take(&next, DEPTH * 4);
  data.more = take(&next, DEPTH * 4);
  data.key_tile = take(&next, gust_key_tile_bytes(GUST_KV_TILE_F32, HEAD_DIM));
  data.value_tile = take(&next, gust_value_tile_bytes(GUST_KV_TILE_F32, HEAD_DIM));
  for (size_t i = 0; i < DEPTH; i++) {
    data.floats[i] = (float)(int)(draw(&state) % 2001) * 0.001f - 1;
    data.more[i] = (float)(int)(draw(&state) % 2001) * 0.001f - 1;
  }
  return next <= data.weights + bytes;
}

static const double weights = (double)WEIGHT_BYTES;
static const double prefill_macs = (double)DEPTH * PREFILL_PANELS * 16 * TOKENS;
static const double attend_macs = 2.0 * GUST_CHUNK * HEAD_DIM; /* of one row */

static const bench_case cases[] = {
    {"matmul_q4 1 token", run_q4, weights, 0},
    {"matmul_q8 1 token", run_q8, weights, 0},
    {"matmul_bf16 1 token", run_bf16, weights, 0},
    {"matmul_f32 1 token", run_f32, weights, 0},
    {"matmul_q4 256 tokens", run_q4_prefill, 0, prefill_macs},
    {"matmul_q8 256 tokens", run_q8_prefill, 0, prefill_macs},
    {"quantize", run_quantize, DEPTH * 4, 0},
    {"search q4 scales", run_search_q4, BLOCK_FLOATS * 4, 0},
    {"search q8 scales", run_search_q8, BLOCK_FLOATS * 4, 0},
    {"round to q4", run_round_q4, BLOCK_FLOATS * 4, 0},
    {"round to q8", run_round_q8, BLOCK_FLOATS * 4, 0},
    {"rmsnorm", run_rmsnorm, DEPTH * 12, 0},
    {"rope", run_rope, DEPTH * 8, 0},
    {"swiglu", run_swiglu, DEPTH * 12, 0},
    {"add", run_add, DEPTH * 12, 0},
    {"softmax", run_softmax, DEPTH * 8, 0},
    {"kv_store_f16 16 tokens", run_store_f16, STORE_TOKENS *HEAD_DIM * 8, 0},
    {"kv_store_f32 16 tokens", run_store_f32, STORE_TOKENS *HEAD_DIM * 8, 0},
    {"kv_store_q8 16 tokens", run_store_q8, STORE_TOKENS *HEAD_DIM * 8, 0},
    {"attend_f16 4 rows", run_attend_f16, 0, 4 * attend_macs},
    {"attend_f16 48 rows", run_attend_f16_rows, 0, ATTEND_ROWS *attend_macs},
    {"attend_f32 4 rows", run_attend_f32, 0, 4 * attend_macs},
    {"attend_f32 48 rows", run_attend_f32_rows, 0, ATTEND_ROWS *attend_macs},
    {"attend_q8 4 rows", run_attend_q8, 0, 4 * attend_macs},
    {"attend_q8 48 rows", run_attend_q8_rows, 0, ATTEND_ROWS *attend_macs},
    {"attend_merge 16", run_merge, MERGED *HEAD_DIM * 4, 0},
    {"attend_finish", run_finish, HEAD_DIM * 8, 0},
};

/* One line per kernel; percent of the probe that limits it (small ones live in
 * cache and pass the memory's). */
static void bench_level(const char *level, gust_pool *pool, double bandwidth) {
  gust_kernels kernels;
  gust_kernels_select(&kernels, level);
  double peak = probe_multiply_adds(pool, level);
  for (size_t i = 0; i < TOKENS; i++) kernels.quantize(&data.x, i, data.floats);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    double spread, seconds = time_case(&cases[i], &kernels, &spread);
    bool bytes = cases[i].bytes > 0;
    double rate = (bytes ? cases[i].bytes : cases[i].multiply_adds) / seconds;
    double limit = bytes ? bandwidth : peak;
    printf("%-8s %-20s %8.2f %-18s", level, cases[i].name, rate * 1e-9,
           bytes ? "GB/s" : "G multiply-adds/s");
    if (limit > 0) printf(" %6.1f %% of probe", 100 * rate / limit);
    printf("   spread %.0f %%\n", spread * 100);
    fflush(stdout);
  }
}

int main(int argc, char **argv) {
  const char *only = argc > 1 ? argv[1] : NULL, *level;
  gust_pool *pool = gust_pool_create(1);
  gust_error err = {.text = "out of memory"};
  double bandwidth = 0;
  if (!pool || !make_data() ||
      probe_read_bandwidth(&bandwidth, pool, PROBE_BYTES, NULL, NULL, &err)) {
    fprintf(stderr, "bench_kernels: %s\n", err.text);
    return 1;
  }
  printf("one thread; read bandwidth probe %.1f GB/s\n", bandwidth * 1e-9);
  for (size_t l = 0; (level = gust_kernels_level(l)) != NULL; l++)
    if (!only || strcmp(only, level) == 0) bench_level(level, pool, bandwidth);
  os_release(data.weights, WEIGHT_BYTES + ARENA_BYTES);
  gust_pool_destroy(pool);
  return 0;
}

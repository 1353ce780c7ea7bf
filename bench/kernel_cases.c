#include "kernel_cases.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "os.h"
#include "random64.h"

/* Weights larger than any cache for a few tokens, so that their limit is the
 * memory's; for many, the rows a thread takes at a time. */
#define WEIGHT_BYTES ((size_t)256 << 20)
#define DEPTH 4096u
#define PROMPT_PANELS 32u
#define MOST_TOKENS 256u
#define FEW_TOKENS 4u
#define HEAD_DIM 128u
#define MOST_ROWS 48u
#define STORED 16u
#define MERGED 16u

typedef enum weight_type { WEIGHT_Q4, WEIGHT_Q8, WEIGHT_BF16, WEIGHT_F32 } weight_type;

struct kernel_data {
  uint8_t *weights; /* and all that follows, in one reservation */
  size_t bytes;
  gust_activations x;
  float *dst;           /* a row of the largest product for each of a few tokens */
  float *floats, *more; /* DEPTH */
  float *rows;          /* FEW_TOKENS of DEPTH */
  uint8_t *key_tile, *value_tile;
};

/* --- runs ------------------------------------------------------------------------------ */

static size_t panel_bytes(int type) {
  switch (type) {
    case WEIGHT_Q4: return gust_q4_panel_bytes(DEPTH);
    case WEIGHT_Q8: return gust_q8_panel_bytes(DEPTH);
    case WEIGHT_BF16: return gust_bf16_panel_bytes(DEPTH);
    default: return gust_f32_panel_bytes(DEPTH);
  }
}

/* Row codes may be any bytes: the weights' first. */
static void multiply(const gust_kernels *k, const kernel_data *d, int type, size_t panels,
                     size_t tokens) {
  size_t rows = panels * GUST_PANEL_ROWS;
  switch (type) {
    case WEIGHT_Q4:
      k->matmul_q4(d->dst, rows, d->weights, d->weights, panels, &d->x, tokens);
      break;
    case WEIGHT_Q8:
      k->matmul_q8(d->dst, rows, d->weights, d->weights, panels, &d->x, tokens);
      break;
    case WEIGHT_BF16:
      k->matmul_bf16(d->dst, rows, d->weights, panels, d->rows, DEPTH, tokens);
      break;
    default: k->matmul_f32(d->dst, rows, d->weights, panels, d->rows, DEPTH, tokens);
  }
}

static void run_few(const gust_kernels *k, const kernel_data *d, const kernel_case *one) {
  multiply(k, d, one->variant, WEIGHT_BYTES / panel_bytes(one->variant), one->count);
}
static void run_prompt(const gust_kernels *k, const kernel_data *d, const kernel_case *one) {
  multiply(k, d, one->variant, PROMPT_PANELS, one->count);
}
static void run_quantize(const gust_kernels *k, const kernel_data *d, const kernel_case *one) {
  gust_activations x = d->x;
  (void)one;
  k->quantize(&x, 0, d->floats);
}
/* A block of sixteen rows of weights. */
#define BLOCK_FLOATS (GUST_BLOCK_K * GUST_PANEL_ROWS)

static const gust_weight_quantizer *quantizer_of(const gust_kernels *k, int type) {
  return type == WEIGHT_Q4 ? &k->weights_q4 : &k->weights_q8;
}
static void run_search(const gust_kernels *k, const kernel_data *d, const kernel_case *one) {
  const gust_weight_quantizer *q = quantizer_of(k, one->variant);
  uint8_t rows[GUST_PANEL_ROWS], scales[GUST_PANEL_ROWS];
  q->row_codes(rows, d->floats, GUST_BLOCK_K);
  q->block_scales(scales, d->floats, NULL, rows);
}
static void run_round(const gust_kernels *k, const kernel_data *d, const kernel_case *one) {
  uint8_t rows[GUST_PANEL_ROWS], scales[GUST_PANEL_ROWS], codes[BLOCK_FLOATS];
  memset(rows, 127 - 8, sizeof rows); /* row scale 1 / 256 */
  memset(scales, 9, sizeof scales);
  quantizer_of(k, one->variant)->round(codes, d->dst, d->floats, GUST_BLOCK_K, scales, rows);
}

/* Calibration: a panel as deep as the data holds, the rows of one product. */
enum { PRODUCT_DEPTH = DEPTH / GUST_PANEL_ROWS };
#define PRODUCT_ROWS 48u
/* Each of a block's columns with those after it. */
enum { SHARES = GUST_BLOCK_K * (GUST_BLOCK_K - 1) / 2 };

static void run_panel_add(const gust_kernels *k, const kernel_data *d, const kernel_case *one) {
  k->panel_add(d->dst, GUST_PANEL_ROWS, d->floats, d->rows, PRODUCT_DEPTH, PRODUCT_DEPTH,
               one->count);
}
static void run_panel_subtract(const gust_kernels *k, const kernel_data *d,
                               const kernel_case *one) {
  k->panel_subtract(d->dst, GUST_PANEL_ROWS, d->floats, d->rows, PRODUCT_DEPTH, PRODUCT_DEPTH,
                    one->count);
}

static gust_feedback_block feedback_block(const kernel_data *d) {
  return (gust_feedback_block){.weights = d->floats,
                               .targets = d->more,
                               .shares = d->rows,
                               .share_stride = GUST_BLOCK_K,
                               .costs = d->more};
}
/* For any number of trials up to GUST_TRIALS. */
static void fill_trials(float *scales, float *lifts, int type) {
  for (size_t i = 0; i < GUST_TRIALS * GUST_PANEL_ROWS; i++) {
    scales[i] = 0.01f + 0.0001f * (float)i;
    lifts[i] = type == WEIGHT_Q4 && i % 2 ? 2.0f : 0.0f;
  }
}
static void run_try(const gust_kernels *k, const kernel_data *d, const kernel_case *one) {
  float scales[GUST_TRIALS * GUST_PANEL_ROWS], lifts[GUST_TRIALS * GUST_PANEL_ROWS];
  gust_feedback_block block = feedback_block(d);
  fill_trials(scales, lifts, one->variant);
  (one->variant == WEIGHT_Q4 ? k->try_q4 : k->try_q8)(d->dst, &block, scales, lifts);
}
static void run_round_block(const gust_kernels *k, const kernel_data *d, const kernel_case *one) {
  float scales[GUST_TRIALS * GUST_PANEL_ROWS], lifts[GUST_TRIALS * GUST_PANEL_ROWS];
  gust_feedback_block block = feedback_block(d);
  fill_trials(scales, lifts, one->variant);
  float *levels = d->dst + GUST_PANEL_ROWS;
  (one->variant == WEIGHT_Q4 ? k->round_q4 : k->round_q8)(d->dst, levels, &block, scales, lifts);
}

static void run_rmsnorm(const gust_kernels *k, const kernel_data *d, const kernel_case *one) {
  (void)one;
  k->rmsnorm(d->dst, d->floats, d->more, DEPTH, 1e-5f);
}
static void run_rope(const gust_kernels *k, const kernel_data *d, const kernel_case *one) {
  (void)one;
  /* Turned in place again and again, by what is no rotation, they would come to nothing. */
  memcpy(d->dst, d->floats, DEPTH * sizeof(float));
  k->rope(d->dst, DEPTH / HEAD_DIM, HEAD_DIM, d->floats, d->more);
}
static void run_swiglu(const gust_kernels *k, const kernel_data *d, const kernel_case *one) {
  (void)one;
  memcpy(d->dst, d->floats, DEPTH * sizeof(float));
  k->swiglu(d->dst, d->more, DEPTH);
}
static void run_add(const gust_kernels *k, const kernel_data *d, const kernel_case *one) {
  (void)one;
  k->add(d->dst, d->more, DEPTH);
}
static void run_softmax(const gust_kernels *k, const kernel_data *d, const kernel_case *one) {
  (void)one;
  k->softmax(d->dst, d->floats, DEPTH, 1.0f);
}
static void run_argmax(const gust_kernels *k, const kernel_data *d, const kernel_case *one) {
  (void)one;
  d->dst[0] = (float)k->argmax(d->floats, DEPTH);
}
/* Half of the numbers, those from 0 to 1, are weights, all of them binned or none. */
static void run_bins(const gust_kernels *k, const kernel_data *d, const kernel_case *one) {
  float low = one->variant ? 2.0f : 0.0f;
  k->bin_weights((gust_bin *)(void *)d->dst, d->floats, DEPTH, low, INFINITY, 2 * GUST_BIN_BITS);
}
static void run_find(const gust_kernels *k, const kernel_data *d, const kernel_case *one) {
  (void)one;
  d->dst[0] = (float)k->find_weight(d->floats, DEPTH, 2.0f, INFINITY, 0);
}
static void run_attend(const gust_kernels *k, const kernel_data *d, const kernel_case *one) {
  gust_attend_row rows[MOST_ROWS];
  for (size_t i = 0; i < one->count; i++)
    rows[i] = (gust_attend_row){.q = d->floats + i % 8 * HEAD_DIM,
                                .state = d->dst + i * gust_attention_state_floats(HEAD_DIM),
                                .last = GUST_CHUNK};
  k->attend[one->variant](rows, one->count, d->key_tile, d->value_tile, NULL, HEAD_DIM, 0.1f);
}
static void run_store(const gust_kernels *k, const kernel_data *d, const kernel_case *one) {
  k->kv_store[one->variant](d->key_tile, d->value_tile, 16, one->count, d->floats, d->more,
                            HEAD_DIM, HEAD_DIM);
}
static void run_merge(const gust_kernels *k, const kernel_data *d, const kernel_case *one) {
  k->attend_merge(d->dst, d->floats, 0, one->count, HEAD_DIM);
}
static void run_finish(const gust_kernels *k, const kernel_data *d, const kernel_case *one) {
  (void)one;
  k->attend_finish(d->dst, d->more, HEAD_DIM);
}

/* --- the table --------------------------------------------------------------------------- */

#define FEW(name, type, tokens) \
  { name, run_few, type, tokens, BOUND_MEMORY, (double)WEIGHT_BYTES }
#define PROMPT(name, type)                                         \
  {                                                                \
    name, run_prompt, type, MOST_TOKENS, BOUND_INTEGERS,           \
        (double)DEPTH *PROMPT_PANELS *GUST_PANEL_ROWS *MOST_TOKENS \
  }
#define ATTEND(name, tile, rows) \
  { name, run_attend, tile, rows, BOUND_FLOATS, 2.0 * GUST_CHUNK *HEAD_DIM *(rows) }
#define STORE(name, tile) \
  { name, run_store, tile, STORED, BOUND_CACHE, STORED *HEAD_DIM * 8.0 }
#define CACHED(name, run, count, bytes) \
  { name, run, 0, count, BOUND_CACHE, bytes }
#define PRODUCT(name, run) \
  { name, run, 0, PRODUCT_ROWS, BOUND_FLOATS, (double)PRODUCT_DEPTH *GUST_PANEL_ROWS *PRODUCT_ROWS }
#define FEEDBACK(name, run, type, trials) \
  { name, run, type, trials, BOUND_FLOATS, (double)SHARES *GUST_PANEL_ROWS *(trials) }

const kernel_case kernel_cases[] = {
    FEW("matmul_q4 1 token", WEIGHT_Q4, 1),
    FEW("matmul_q4 2 tokens", WEIGHT_Q4, 2),
    FEW("matmul_q4 3 tokens", WEIGHT_Q4, 3),
    FEW("matmul_q4 4 tokens", WEIGHT_Q4, 4),
    FEW("matmul_q8 1 token", WEIGHT_Q8, 1),
    FEW("matmul_q8 2 tokens", WEIGHT_Q8, 2),
    FEW("matmul_q8 4 tokens", WEIGHT_Q8, 4),
    FEW("matmul_bf16 1 token", WEIGHT_BF16, 1),
    FEW("matmul_f32 1 token", WEIGHT_F32, 1),
    PROMPT("matmul_q4 256 tokens", WEIGHT_Q4),
    PROMPT("matmul_q8 256 tokens", WEIGHT_Q8),
    /* One token's heads of a key-value head, and as many rows as a prompt's tile has. */
    ATTEND("attend_f16 4 rows", GUST_KV_TILE_F16, 4),
    ATTEND("attend_f16 48 rows", GUST_KV_TILE_F16, 48),
    ATTEND("attend_f32 4 rows", GUST_KV_TILE_F32, 4),
    ATTEND("attend_f32 48 rows", GUST_KV_TILE_F32, 48),
    ATTEND("attend_q8 4 rows", GUST_KV_TILE_Q8, 4),
    ATTEND("attend_q8 48 rows", GUST_KV_TILE_Q8, 48),
    STORE("kv_store_f16 16", GUST_KV_TILE_F16),
    STORE("kv_store_f32 16", GUST_KV_TILE_F32),
    STORE("kv_store_q8 16", GUST_KV_TILE_Q8),
    CACHED("attend_merge 16", run_merge, MERGED, MERGED *HEAD_DIM * 4.0),
    CACHED("attend_finish", run_finish, 1, HEAD_DIM * 8.0),
    CACHED("quantize", run_quantize, 1, DEPTH * 5.0),
    {"search q4 scales", run_search, WEIGHT_Q4, 1, BOUND_CACHE, BLOCK_FLOATS * 4.0},
    {"search q8 scales", run_search, WEIGHT_Q8, 1, BOUND_CACHE, BLOCK_FLOATS * 4.0},
    {"round to q4", run_round, WEIGHT_Q4, 1, BOUND_CACHE, BLOCK_FLOATS * 4.0},
    {"round to q8", run_round, WEIGHT_Q8, 1, BOUND_CACHE, BLOCK_FLOATS * 4.0},
    PRODUCT("panel_add 48", run_panel_add),
    PRODUCT("panel_subtract 48", run_panel_subtract),
    FEEDBACK("try_q4 4 trials", run_try, WEIGHT_Q4, GUST_TRIALS),
    FEEDBACK("try_q8 4 trials", run_try, WEIGHT_Q8, GUST_TRIALS),
    FEEDBACK("round_q4", run_round_block, WEIGHT_Q4, 1),
    FEEDBACK("round_q8", run_round_block, WEIGHT_Q8, 1),
    CACHED("rmsnorm", run_rmsnorm, 1, DEPTH * 12.0),
    CACHED("rope", run_rope, 1, DEPTH * 16.0), /* the copy included */
    CACHED("swiglu", run_swiglu, 1, DEPTH * 12.0),
    CACHED("add", run_add, 1, DEPTH * 12.0),
    CACHED("softmax", run_softmax, 1, DEPTH * 8.0),
    CACHED("argmax", run_argmax, 1, DEPTH * 4.0),
    {"bin half of weights", run_bins, 0, 1, BOUND_CACHE, DEPTH * 4.0},
    {"bin no weight", run_bins, 1, 1, BOUND_CACHE, DEPTH * 4.0},
    CACHED("find weight", run_find, 1, DEPTH * 4.0),
    {NULL, NULL, 0, 0, BOUND_CACHE, 0},
};

/* --- data ---------------------------------------------------------------------------------- */

/* The next `bytes` of the reservation; while there is none, they are counted. */
static void *take(kernel_data *d, size_t bytes) {
  uint8_t *start = d->weights ? d->weights + d->bytes : NULL;
  d->bytes += gust_round_up(bytes, GUST_LINE);
  return start;
}

static void place(kernel_data *d) {
  size_t most_rows = WEIGHT_BYTES / gust_q4_panel_bytes(DEPTH) * GUST_PANEL_ROWS;
  d->bytes = 0;
  take(d, WEIGHT_BYTES);
  d->x.k_padded = DEPTH;
  d->x.stride = gust_activation_stride(DEPTH);
  d->x.codes = take(d, MOST_TOKENS * d->x.stride);
  d->x.scales = take(d, MOST_TOKENS * DEPTH / GUST_BLOCK_K * sizeof(float));
  d->x.sums = take(d, MOST_TOKENS * DEPTH / GUST_BLOCK_K * sizeof(int32_t));
  d->dst = take(d, FEW_TOKENS * most_rows * sizeof(float));
  d->floats = take(d, DEPTH * sizeof(float));
  d->more = take(d, DEPTH * sizeof(float));
  d->rows = take(d, FEW_TOKENS * DEPTH * sizeof(float));
  d->key_tile = take(d, gust_key_tile_bytes(GUST_KV_TILE_F32, HEAD_DIM));
  d->value_tile = take(d, gust_value_tile_bytes(GUST_KV_TILE_F32, HEAD_DIM));
}

static void fill_floats(float *floats, size_t count, uint64_t *state) {
  for (size_t i = 0; i < count; i++)
    floats[i] = (float)(int)(gust_random64(state) % 2001) * 0.001f - 1;
}

static void fill(kernel_data *d) {
  uint64_t state = 1;
  for (size_t i = 0; i < WEIGHT_BYTES; i += 8) {
    uint64_t r = gust_random64(&state) & 0x3f7f3f7f3f7f3f7fu; /* tame as floats too */
    memcpy(d->weights + i, &r, 8);
  }
  fill_floats(d->floats, DEPTH, &state);
  fill_floats(d->more, DEPTH, &state);
  fill_floats(d->rows, FEW_TOKENS * DEPTH, &state);
}

kernel_data *kernel_data_create(void) {
  kernel_data *d = calloc(1, sizeof *d);
  if (!d) return NULL;
  place(d);
  d->weights = os_reserve(d->bytes);
  if (!d->weights || !os_commit(d->weights, 0, d->bytes)) {
    kernel_data_destroy(d);
    return NULL;
  }
  place(d);
  fill(d);
  return d;
}

void kernel_data_destroy(kernel_data *data) {
  if (!data) return;
  if (data->weights) os_release(data->weights, data->bytes);
  free(data);
}

void kernel_data_prepare(kernel_data *data, const gust_kernels *kernels) {
  for (size_t i = 0; i < MOST_TOKENS; i++) kernels->quantize(&data->x, i, data->floats);
}

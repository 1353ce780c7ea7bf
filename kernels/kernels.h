/* The kernels: every loop that a token's cost is made of, one C reference of
 * each and one faster version per instruction-set level, all with the same
 * bits (docs/NUMERICS.md). A table of pointers is filled by
 * gust_kernels_select; whoever computes holds its own copy, so there is no
 * global state. Kernels never fail and never allocate.
 *
 * Alignment: weights, activations and tiles are 64-byte aligned; other float
 * arrays need only their natural alignment. Lengths called "padded" are
 * multiples of 128 and the padding holds zeros. Arrays never overlap unless
 * said. */
#ifndef GUST_KERNELS_H
#define GUST_KERNELS_H

#include <float.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "panel.h"
#include "weight_quantizer.h"

#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__) || \
    defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__)
#error "compile without -Ofast, -ffast-math and parts of it: they change bits (docs/NUMERICS.md)"
#endif
_Static_assert(sizeof(size_t) == 8, "a model's parts are larger than 32 bits count");
_Static_assert(FLT_EVAL_METHOD == 0, "a float has to be computed as a float");

/* For functions that are to become part of their callers, whose arguments are
 * then constants. */
#if defined(__GNUC__)
#define GUST_INLINE inline __attribute__((always_inline))
#else
#define GUST_INLINE inline
#endif

/* Activations of `tokens` rows quantized in blocks of 32 along k: code * scale.
 * Row t begins at codes + t * stride and at scales, sums + t * k_padded / 32. */
typedef struct gust_activations {
  int8_t *codes; /* in [-127, 127] */
  float *scales; /* one per block */
  int32_t *sums; /* sum of a block's codes */
  size_t k_padded;
  size_t stride; /* at least k_padded, a multiple of 64 */
} gust_activations;

/* The stride rows of k_padded codes should have. Rows a power of two apart would
 * meet in the same few sets of a cache, and a product reads many rows at once:
 * one line more keeps them apart. */
static inline size_t gust_activation_stride(size_t k_padded) {
  return k_padded + GUST_LINE;
}

/* dst[t * dst_stride + 16 p + r] = sum over k of weight(16 p + r, k) * x(t, k)
 * for panels p in [0, panel_count) and tokens t in [0, tokens). `panels` points
 * to the first panel, `row_codes` to its 16 row codes; the next follow directly. */
typedef void gust_matmul_quantized_fn(float *dst, size_t dst_stride, const uint8_t *panels,
                                      const uint8_t *row_codes, size_t panel_count,
                                      const gust_activations *x, size_t tokens);
/* The same for bf16 and f32 weights; x is [tokens][k_padded] floats. */
typedef void gust_matmul_dense_fn(float *dst, size_t dst_stride, const uint8_t *panels,
                                  size_t panel_count, const float *x, size_t k_padded,
                                  size_t tokens);

/* --- attention ------------------------------------------------------------ */

/* Positions attended to at a time: chunk c holds positions [64 c, 64 c + 64). */
#define GUST_CHUNK 64u
/* head_dim up to this. */
#define GUST_MAX_HEAD_DIM 512u

/* How keys and values are stored; the order of gust_kv in gust.h. */
enum { GUST_KV_TILE_F16, GUST_KV_TILE_F32, GUST_KV_TILE_Q8, GUST_KV_TILES };

/* One chunk of one key-value head is a key tile and a value tile:
 *   f32, f16: key [head_dim][64], value [64][head_dim rounded up to 16]
 *   q8: key: float scales [blocks][64], then int8 codes [head_dim][64];
 *       value: float scales [64][blocks] rounded up to 64 bytes, then int8 codes
 *       [64][head_dim rounded up to 16]; a block is 32 dimensions.
 * Keys lie position-minor so that lanes of a score are positions; values lie
 * dimension-minor so that lanes of a sum are dimensions. */
size_t gust_key_tile_bytes(int kv_type, size_t head_dim);
size_t gust_value_tile_bytes(int kv_type, size_t head_dim);

/* A running softmax-weighted sum of one head: largest score, sum of weights,
 * then at float 16 the weighted sum of values. */
#define GUST_ATTENTION_SUM 16u
static inline size_t gust_attention_state_floats(size_t head_dim) {
  return GUST_ATTENTION_SUM + gust_round_up(head_dim, 16);
}

/* Stores `count` positions' keys and values at slots [slot, slot + count) of a
 * chunk. Position i's head_dim floats begin at keys, values + i * stride. */
typedef void gust_kv_store_fn(void *key_tile, void *value_tile, size_t slot, size_t count,
                              const float *keys, const float *values, size_t stride,
                              size_t head_dim);

/* A query head of one token, on its way through the chunks it sees. */
typedef struct gust_attend_row {
  const float *q;      /* head_dim floats */
  float *state;        /* gust_attention_state_floats(head_dim) floats */
  uint8_t first, last; /* slots it sees of this chunk, [first, last), not empty */
  bool begins;         /* with this chunk: state is overwritten, not merged into */
} gust_attend_row;

/* Attends from `count` rows that share one key-value head to one chunk. Scores
 * are multiplied by `scale`. What a row gets does not depend on the others; many
 * at once share the work of reading the tiles. `next`, when not NULL, is the
 * key tile of the call to follow. */
typedef void gust_attend_fn(const gust_attend_row *rows, size_t count, const void *key_tile,
                            const void *value_tile, const void *next, size_t head_dim, float scale);

/* --- sampling --------------------------------------------------------------- */

/* Weights, in [0, 1], are counted by ten of their bits at a time: floats that are not
 * negative are ordered as their bits are, so a bin is a range of weights. Bits 30 and
 * 31 of a weight are 0. */
#define GUST_BIN_BITS 10
#define GUST_BINS 1024u
typedef struct gust_bin {
  uint64_t count;
  uint64_t sum; /* of their gust_weight_units */
} gust_bin;

/* A weight in units of 2^-39, rounded down: an integer, so that sums are exact in any
 * order. 2^24 weights of 1 do not overflow one. */
#define GUST_WEIGHT_ONE 0x1p39f
static inline uint64_t gust_weight_units(float weight) {
  return (uint64_t)(int64_t)(weight * GUST_WEIGHT_ONE);
}

/* --- calibration ------------------------------------------------------------ */

/* dst[t * dst_stride + r] += (panel_subtract: -=) the sum over j in [0, n) of
 * panel[16 j + r] * x[t * x_stride + j], for t in [0, rows) and r in [0, 16): a
 * running fma over j, then one addition to dst. */
typedef void gust_panel_product_fn(float *dst, size_t dst_stride, const float *panel,
                                   const float *x, size_t x_stride, size_t n, size_t rows);

/* A block of 32 columns of 16 rows, to be rounded one column after the other,
 * from the last to the first. A column takes its share of the errors of those
 * rounded before it: column i aims at targets[i] + sum over j > i of error[j] *
 * shares[i * share_stride + j], where error[j] = weights[j] - the rounded value
 * (quantize/error_feedback.h says why). */
typedef struct gust_feedback_block {
  const float *weights; /* [32][16] */
  const float *targets; /* [32][16]: weights plus what blocks before this one left */
  const float *shares;  /* [32][share_stride], of which those above the diagonal count */
  size_t share_stride;
  const float *costs; /* [32]: what a squared error of each column costs */
} gust_feedback_block;

/* cost[16 t + r] = the sum over the columns of costs[i] * (aim - rounded)^2 for
 * trials t in [0, GUST_TRIALS) of the scales[16 t + r] and lifts[16 t + r] (added
 * to each q4 level: 0 or 2; q8 has none). */
#define GUST_TRIALS 4
typedef void gust_try_block_fn(float *cost, const gust_feedback_block *block, const float *scales,
                               const float *lifts);
/* One trial, and the levels it gives, lift included: rounded value [32][16] =
 * scale * levels. With a scale of 0 the levels mean nothing. */
typedef void gust_round_block_fn(float *cost, float *levels, const gust_feedback_block *block,
                                 const float *scales, const float *lifts);

/* --- the table ---------------------------------------------------------------- */

typedef struct gust_kernels {
  const char *level;

  gust_matmul_quantized_fn *matmul_q4, *matmul_q8;
  gust_matmul_dense_fn *matmul_bf16, *matmul_f32;

  /* Quantizes row `token`; x is k_padded floats. A block whose largest magnitude is
   * below 2^-119 or above 2^120, infinity included, counts as zeros. What a block
   * with a NaN counts as depends on where in it the NaN is. */
  void (*quantize)(gust_activations *dst, size_t token, const float *x);

  /* dst = x / sqrt(mean(x^2) + eps) * weight (Zhang & Sennrich 2019). n true
   * elements; all three are zero-padded to a multiple of 16. dst may be x. */
  void (*rmsnorm)(float *dst, const float *x, const float *weight, size_t n, float eps);

  /* Rotates `heads` heads in place (Su et al. 2021, in Hugging Face's order:
   * dimension i pairs with i + head_dim / 2); cos, sin: head_dim / 2 floats. */
  void (*rope)(float *x, size_t heads, size_t head_dim, const float *cos, const float *sin);

  /* gate = silu(gate) * up (Shazeer 2020); n a multiple of 16. */
  void (*swiglu)(float *gate, const float *up, size_t n);

  /* x += y; n a multiple of 16. */
  void (*add)(float *x, const float *y, size_t n);

  gust_kv_store_fn *kv_store[GUST_KV_TILES];
  gust_attend_fn *attend[GUST_KV_TILES];
  /* Merges `count` partials, of later chunks and in their order, into `state`;
   * they lie `stride` floats apart. */
  void (*attend_merge)(float *state, const float *partials, size_t stride, size_t count,
                       size_t head_dim);
  /* dst[0, head_dim) = weighted sum / sum of weights. */
  void (*attend_finish)(float *dst, const float *state, size_t head_dim);

  /* p[i] = exp((x[i] - max x) * scale); returns the sum of p. NaN counts as less than
   * everything and has p 0. n >= 1. p may be x. */
  float (*softmax)(float *p, const float *x, size_t n, float scale);

  /* The index of the largest of x, the first of equal ones; NaN counts as less than
   * everything. n in [1, 2^24]. */
  size_t (*argmax)(const float *x, size_t n);
  /* Adds each p[i] with low <= p[i] < high to bins[(its bits >> shift) % GUST_BINS]. */
  void (*bin_weights)(gust_bin *bins, const float *p, size_t n, float low, float high, int shift);
  /* The index of the nth (from 0) p[i] with low <= p[i] < high; n if there is none. */
  size_t (*find_weight)(const float *p, size_t n, float low, float high, size_t nth);

  /* What a conversion takes. */
  gust_weight_quantizer weights_q4, weights_q8;
  gust_panel_product_fn *panel_add, *panel_subtract;
  gust_try_block_fn *try_q4, *try_q8;
  gust_round_block_fn *round_q4, *round_q8;
} gust_kernels;

/* The names a cap may have, for messages. */
#define GUST_KERNEL_LEVELS "c, avx2, avxvnni, avx512, amx, neon, dotprod or i8mm"

/* Fills the table with the fastest kernels this processor has, up to the level
 * named `cap` (NULL: no cap). False when no such level is known; a known level
 * the processor lacks counts as a cap. */
bool gust_kernels_select(gust_kernels *kernels, const char *cap);

/* Names of the levels this processor runs, slowest first; NULL past the end. */
const char *gust_kernels_level(size_t index);

/* --- what needs no level: exact tables of rotary embedding ---------------------- */

/* frequencies[i] = 1 / theta^(2 i / head_dim), i < head_dim / 2, rounded as
 * Hugging Face's float32 code does. */
void gust_rope_frequencies(float *frequencies, size_t head_dim, double theta);
/* cos, sin of float(position * frequencies[i]), correctly rounded but for
 * about one in a million. */
void gust_rope_table(float *cos, float *sin, const float *frequencies, size_t half,
                     uint32_t position);

/* Row `row` of a packed matrix as k_padded floats (embedding look-up); panels
 * and row_codes of the whole matrix. */
void gust_panel_row_q4(float *dst, const uint8_t *panels, const uint8_t *row_codes, size_t row,
                       size_t k_padded);
void gust_panel_row_q8(float *dst, const uint8_t *panels, const uint8_t *row_codes, size_t row,
                       size_t k_padded);
void gust_panel_row_bf16(float *dst, const uint8_t *panels, size_t row, size_t k_padded);
void gust_panel_row_f32(float *dst, const uint8_t *panels, size_t row, size_t k_padded);

#endif

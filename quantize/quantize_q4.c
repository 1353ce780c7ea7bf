/* q4: 4-bit codes of a fixed non-linear codebook in blocks of 32 that share a
 * signed 7-bit scale and a bit that shifts the codebook by two, times one power
 * of two per row.
 *
 * Rounding each weight to the nearest level of the scale that just covers the
 * block's largest weight has, on bell-shaped weights, a quarter more squared
 * error. So for every block both signs of the scale (the codebook is lopsided),
 * both shifts and some scales around the covering one are tried. Each trial
 * assigns the nearest levels, then takes the scale that fits those best by least
 * squares, rounded to the row's grid of 7-bit scales; the trial with the least
 * error stays.
 *
 * All weights of a block count alike. Counting large ones more (by the square
 * root of mean x^2 + x^2, or by all of it) was tried on the demo checkpoint: the
 * divergence from float32 stayed within half a percent or grew. */
#include <math.h>
#include <string.h>

#include "quantizers.h"

#define LANES 8u /* partial sums; part of the written order */
#define BINS 512 /* half steps of the codebook, -128 to 127.5 */
#define BIN_ZERO 256
#define MIN_SCALE (-64)
#define MAX_SCALE 63
#define CODE_ZERO 8
/* Where a row's largest weight may lie, in steps of its grid: at level 60 of
 * the largest scale. */
#define REACH (60.0f * MAX_SCALE)

static const int8_t levels[16] = GUST_Q4_LEVELS;

/* By bin and shift: the nearest code and its level. Between integer levels the
 * borders lie on half steps, so the bins are exact. */
typedef struct level_table {
  float level[2][BINS];
  uint8_t code[BINS];
} level_table;

typedef struct block_input {
  float x[GUST_BLOCK_K]; /* scaled to a row maximum in [0.5, 1) */
  float energy;          /* sum x^2 */
  float extreme;         /* the x of largest magnitude, signed */
} block_input;

typedef struct block_fit {
  float error; /* with the scale below */
  int scale, shift;
} block_fit;

static void fill_table(level_table *table) {
  int code = 0;
  for (int bin = 0; bin < BINS; bin++) {
    while (code < 15 && bin - BIN_ZERO >= levels[code] + levels[code + 1]) code++;
    table->code[bin] = (uint8_t)code;
    table->level[0][bin] = levels[code];
    table->level[1][bin] = (float)(levels[code] + 2);
  }
}

/* bins[i] = floor(2 (x / scale - 2 shift)) + BIN_ZERO. A scale far too small
 * wraps around to senseless levels, whose error then speaks against it: the
 * search needs no clamp, only codes_of does. */
static void bins_of(const float *x, float inverse, int shift, int *bins) {
  float slope = 2.0f * inverse, zero = (float)(BIN_ZERO - 4 * shift);
  for (size_t i = 0; i < GUST_BLOCK_K; i++) bins[i] = (int)(x[i] * slope + zero) & (BINS - 1);
}

static void codes_of(const float *x, float inverse, int shift, const level_table *table,
                     uint8_t *codes) {
  float slope = 2.0f * inverse, zero = (float)(BIN_ZERO - 4 * shift);
  for (size_t i = 0; i < GUST_BLOCK_K; i++) {
    float bin = x[i] * slope + zero;
    bin = bin > 0.0f ? bin : 0.0f;
    bin = bin < BINS - 1 ? bin : BINS - 1;
    codes[i] = table->code[(int)bin];
  }
}

static float sum_lanes(const float *lane) {
  return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

/* Assigns levels for `inverse` = 1 / scale and sums up how they lie. */
static void assign(const block_input *b, const level_table *table, float inverse, int shift,
                   float *xl, float *ll) {
  int bins[GUST_BLOCK_K];
  float level[GUST_BLOCK_K], xl_lane[LANES] = {0}, ll_lane[LANES] = {0};
  bins_of(b->x, inverse, shift, bins);
  for (size_t i = 0; i < GUST_BLOCK_K; i++) level[i] = table->level[shift][bins[i]];
  for (size_t i = 0; i < GUST_BLOCK_K; i += LANES) {
    for (size_t j = 0; j < LANES; j++) {
      xl_lane[j] += b->x[i + j] * level[i + j];
      ll_lane[j] += level[i + j] * level[i + j];
    }
  }
  *xl = sum_lanes(xl_lane);
  *ll = sum_lanes(ll_lane);
}

static int clamp_scale(float scale) {
  float whole = rintf(scale);
  return whole > MAX_SCALE ? MAX_SCALE : whole < MIN_SCALE ? MIN_SCALE : (int)whole;
}

/* Assigns levels for a scale, refits it on the grid of `step` and keeps the
 * outcome when it is better. */
static void try_scale(const block_input *b, const level_table *table, float step, float scale,
                      int shift, block_fit *best) {
  float xl, ll;
  assign(b, table, 1.0f / scale, shift, &xl, &ll);
  if (!(ll > 0.0f)) return;
  int whole = clamp_scale(xl / (ll * step));
  float s = (float)whole * step;
  float error = b->energy - s * (2.0f * xl - s * ll);
  if (error < best->error) *best = (block_fit){error, whole, shift};
}

/* Where the extreme weight is put, relative to the codebook's end on its side. */
static const float reach[] = {0.87f, 0.97f, 1.07f};
#define REACHES (sizeof reach / sizeof *reach)

static block_fit search_block(const block_input *b, const level_table *table, float step) {
  block_fit best = {b->energy, 0, 0};
  if (b->extreme == 0.0f) return best;
  for (int shift = 0; shift < 2; shift++) {
    for (int end = 0; end < 16; end += 15) {
      float level = (float)(levels[end] + 2 * shift);
      for (size_t i = 0; i < REACHES; i++)
        try_scale(b, table, step, b->extreme / (level * reach[i]), shift, &best);
    }
  }
  return best;
}

static float extreme_of(const float *x) {
  float high[LANES] = {0}, low[LANES] = {0};
  for (size_t i = 0; i < GUST_BLOCK_K; i += LANES) {
    for (size_t j = 0; j < LANES; j++) {
      high[j] = x[i + j] > high[j] ? x[i + j] : high[j];
      low[j] = x[i + j] < low[j] ? x[i + j] : low[j];
    }
  }
  for (size_t j = 1; j < LANES; j++) {
    high[0] = high[j] > high[0] ? high[j] : high[0];
    low[0] = low[j] < low[0] ? low[j] : low[0];
  }
  return high[0] > -low[0] ? high[0] : low[0];
}

static void load_block(block_input *b, const float *x, int exponent) {
  float lane[LANES] = {0};
  for (size_t i = 0; i < GUST_BLOCK_K; i++) b->x[i] = ldexpf(x[i], -exponent);
  for (size_t i = 0; i < GUST_BLOCK_K; i += LANES)
    for (size_t j = 0; j < LANES; j++) lane[j] += b->x[i + j] * b->x[i + j];
  b->energy = sum_lanes(lane);
  b->extreme = extreme_of(b->x);
}

/* --- panels ----------------------------------------------------------------- */

static uint8_t *scale_at(uint8_t *panel, size_t k, size_t r) {
  size_t tile = k / GUST_TILE_K, block = k % GUST_TILE_K / GUST_BLOCK_K;
  return panel + tile * GUST_Q4_TILE_BYTES + GUST_PANEL_ROWS * block + r;
}

/* Codes k .. k + 3 (low halves) and k + 4 .. k + 7 (high halves) of row r. */
static uint8_t *codes_at(uint8_t *panel, size_t k, size_t r) {
  size_t tile = k / GUST_TILE_K, line = 1 + k % GUST_TILE_K / 8;
  return panel + tile * GUST_Q4_TILE_BYTES + line * GUST_LINE + 4 * r;
}

static uint8_t scale_byte(int scale, int shift) {
  return (uint8_t)((unsigned)scale << 1 | (unsigned)shift);
}

static int scale_of(uint8_t byte) {
  return ((int)(byte >> 1) ^ 64) - 64;
}
static int shift_of(uint8_t byte) {
  return byte & 1;
}

static void write_codes(const block_input *b, const level_table *table, float step, uint8_t scale,
                        uint8_t *panel, size_t k, size_t r) {
  uint8_t code[GUST_BLOCK_K];
  if (scale_of(scale) == 0) {
    memset(code, CODE_ZERO, sizeof code);
  } else {
    codes_of(b->x, 1.0f / ((float)scale_of(scale) * step), shift_of(scale), table, code);
  }
  for (size_t i = 0; i < GUST_BLOCK_K; i += 8) {
    uint8_t *out = codes_at(panel, k + i, r);
    for (size_t j = 0; j < 4; j++) out[j] = (uint8_t)(code[i + j] | code[i + 4 + j] << 4);
  }
}

static void unpack_eight(const uint8_t *panel, uint8_t row_code, size_t k, size_t r, float *x) {
  uint8_t *in = (uint8_t *)panel; /* only read; the helpers serve both ways */
  uint8_t byte = *scale_at(in, k, r);
  const uint8_t *codes = codes_at(in, k, r);
  float scale = gust_row_scale(row_code) * (float)scale_of(byte);
  int lift = 2 * shift_of(byte);
  for (size_t j = 0; j < 4; j++) {
    x[j] = scale * (float)(levels[codes[j] & 15] + lift);
    x[4 + j] = scale * (float)(levels[codes[j] >> 4] + lift);
  }
}

static double row_error(const float *row, size_t k_padded, const uint8_t *panel, uint8_t row_code,
                        size_t r) {
  double lane[8] = {0}, error = 0;
  for (size_t k = 0; k < k_padded; k += 8) {
    float stored[8];
    unpack_eight(panel, row_code, k, r, stored);
    for (size_t j = 0; j < 8; j++) {
      double d = (double)row[k + j] - (double)stored[j];
      lane[j] += d * d;
    }
  }
  for (size_t j = 0; j < 8; j++) error += lane[j];
  return error;
}

static float row_max(const float *row, size_t k_padded) {
  float lane[LANES] = {0}, most = 0;
  for (size_t k = 0; k < k_padded; k += LANES) {
    for (size_t j = 0; j < LANES; j++) {
      float magnitude = fabsf(row[k + j]);
      lane[j] = magnitude > lane[j] ? magnitude : lane[j];
    }
  }
  for (size_t j = 0; j < LANES; j++) most = lane[j] > most ? lane[j] : most;
  return most;
}

static uint8_t pack_row(const float *row, size_t k_padded, const level_table *table, uint8_t *panel,
                        size_t r) {
  float most = row_max(row, k_padded);
  uint8_t row_code = gust_row_code_for(most / REACH);
  /* A power of two, so that scaling is exact and squares stay in range. */
  int exponent;
  frexpf(most, &exponent);
  float step = ldexpf(gust_row_scale(row_code), -exponent);
  block_input b;
  for (size_t k = 0; k < k_padded; k += GUST_BLOCK_K) {
    load_block(&b, row + k, exponent);
    block_fit fit = {0, 0, 0};
    if (step > 0) fit = search_block(&b, table, step);
    *scale_at(panel, k, r) = scale_byte(fit.scale, fit.shift);
    write_codes(&b, table, step, *scale_at(panel, k, r), panel, k, r);
  }
  return row_code;
}

double gust_q4_pack(const float *rows, size_t k_padded, uint8_t *panel, uint8_t *row_codes) {
  level_table table;
  fill_table(&table);
  double error = 0;
  for (size_t r = 0; r < GUST_PANEL_ROWS; r++) {
    const float *row = rows + r * k_padded;
    row_codes[r] = pack_row(row, k_padded, &table, panel, r);
    error += row_error(row, k_padded, panel, row_codes[r], r);
  }
  return error;
}

void gust_q4_unpack(const uint8_t *panel, const uint8_t *row_codes, size_t k_padded, float *rows) {
  for (size_t r = 0; r < GUST_PANEL_ROWS; r++)
    for (size_t k = 0; k < k_padded; k += 8)
      unpack_eight(panel, row_codes[r], k, r, rows + r * k_padded + k);
}

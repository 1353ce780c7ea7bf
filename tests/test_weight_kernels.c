/* The weight quantizers: every level of this machine against the C reference by
 * memcmp; the reference against the definition of what it rounds to, and its
 * search against trying everything. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "guarded.h"
#include "kernels.h"

#define ROWS GUST_PANEL_ROWS
#define BLOCK (GUST_BLOCK_K * ROWS)

static unsigned long long seed = 5;

static double uniform(void) {
  return (double)(check_random(&seed) >> 11) * 0x1p-53;
}

/* Bell-shaped, with tails; now and then something else. */
static float draw_weight(int kind) {
  double sum = -6;
  for (int i = 0; i < 12; i++) sum += uniform();
  double x = sum * (uniform() < 0.02 ? 0.15 : 0.02);
  switch (kind) {
    case 1: return (float)(x * 1e30);
    case 2: return (float)(x * 1e-36); /* among subnormals */
    case 3: return uniform() < 0.9 ? 0.0f : (float)x;
    case 4: return uniform() < 0.3 ? -0.0f : (float)(x * (uniform() < 0.1 ? 1e4 : 1e-4));
    case 5: return (float)(1.0 - 2.0 * (uniform() < 0.5));
    default: return (float)x;
  }
}

static float *draw_values(size_t count, int kind) {
  float *values = guarded(count * sizeof *values);
  for (size_t i = 0; i < count; i++) values[i] = draw_weight(kind);
  return values;
}

static float *draw_importance(void) {
  float *w = guarded(GUST_BLOCK_K * sizeof *w);
  for (size_t k = 0; k < GUST_BLOCK_K; k++) w[k] = (float)exp(6 * uniform() - 3);
  w[uniform() < 0.5 ? 0 : 7] = 0;
  return w;
}

/* --- levels ----------------------------------------------------------------------- */

static void check_same(const gust_weight_quantizer *c, const gust_weight_quantizer *k) {
  for (int round = 0; round < 60; round++) {
    float *values = draw_values(BLOCK, round % 6);
    if (round % 7 == 0)
      for (size_t i = 0; i < GUST_BLOCK_K; i++) values[ROWS * i + 3] = 0; /* a row of zeros */
    float *w = round % 2 ? draw_importance() : NULL;
    uint8_t *rows[2] = {guarded(ROWS), guarded(ROWS)}, *scales[2] = {guarded(ROWS), guarded(ROWS)};
    uint8_t *codes[2] = {guarded(BLOCK), guarded(BLOCK)};
    float *rounded[2] = {guarded(BLOCK * 4), guarded(BLOCK * 4)};
    const gust_weight_quantizer *q[2] = {c, k};
    for (int i = 0; i < 2; i++) {
      q[i]->row_codes(rows[i], values, GUST_BLOCK_K);
      q[i]->block_scales(scales[i], values, w, rows[i]);
      q[i]->round(codes[i], rounded[i], values, GUST_BLOCK_K, scales[i], rows[i]);
    }
    CHECK(memcmp(rows[0], rows[1], ROWS) == 0);
    CHECK(memcmp(scales[0], scales[1], ROWS) == 0);
    CHECK(memcmp(codes[0], codes[1], BLOCK) == 0);
    CHECK(memcmp(rounded[0], rounded[1], BLOCK * 4) == 0);
    guarded_free_all();
  }
}

/* Values far beyond what the scales were chosen for, as error feedback may make
 * them, column by column and in place. */
static void check_rounding(const gust_weight_quantizer *c, const gust_weight_quantizer *k) {
  for (int round = 0; round < 40; round++) {
    float *values = draw_values(ROWS, round % 6), *other = guarded(ROWS * 4);
    uint8_t *rows = guarded(ROWS), *scales = guarded(ROWS);
    uint8_t *codes[2] = {guarded(ROWS), guarded(ROWS)};
    for (size_t r = 0; r < ROWS; r++) {
      rows[r] = (uint8_t)(uniform() * 254);
      scales[r] = (uint8_t)(uniform() * 256);
    }
    float *rounded = guarded(ROWS * 4);
    memcpy(other, values, ROWS * 4);
    c->round(codes[0], rounded, values, 1, scales, rows);
    k->round(codes[1], other, other, 1, scales, rows);
    CHECK(memcmp(codes[0], codes[1], ROWS) == 0);
    CHECK(memcmp(rounded, other, ROWS * 4) == 0);
    k->round(codes[1], NULL, values, 1, scales, rows);
    CHECK(memcmp(codes[0], codes[1], ROWS) == 0);
    guarded_free_all();
  }
}

/* --- the definition ---------------------------------------------------------------- */

static const int levels[16] = GUST_Q4_LEVELS;

static int nearest(double x) {
  int code = 0;
  while (code < 15 && 2 * x >= levels[code] + levels[code + 1]) code++;
  return code;
}

/* All half steps, their neighbourhood, and beyond both ends. */
static void check_nearest(const gust_weight_quantizer *q) {
  uint8_t rows[ROWS], scales[ROWS], codes[ROWS];
  float values[ROWS];
  memset(rows, 127, sizeof rows); /* row scale 1 */
  for (int step = -400; step <= 400; step++) {
    for (size_t r = 0; r < ROWS; r++) {
      values[r] = 0.5f * (float)step + 0.03f * (float)r;
      scales[r] = (uint8_t)(1 << 1 | (int)(r & 1)); /* scale 1, both shifts */
    }
    float rounded[ROWS];
    q->round(codes, rounded, values, 1, scales, rows);
    for (size_t r = 0; r < ROWS; r++) {
      int shift = (int)(r & 1), code = nearest((double)values[r] - 2 * shift);
      CHECK_EQ_INT(codes[r], code);
      CHECK(rounded[r] == (float)(levels[code] + 2 * shift));
    }
  }
}

static double block_error(const gust_weight_quantizer *q, const float *values, const float *w,
                          const uint8_t *scales, const uint8_t *rows, size_t r) {
  uint8_t codes[BLOCK];
  float rounded[BLOCK];
  double error = 0;
  q->round(codes, rounded, values, GUST_BLOCK_K, scales, rows);
  for (size_t k = 0; k < GUST_BLOCK_K; k++) {
    double d = (double)values[ROWS * k + r] - (double)rounded[ROWS * k + r];
    error += (w ? (double)w[k] : 1) * d * d;
  }
  return error;
}

/* How much more error the search leaves than the best of all 256 scale bytes. */
static double search_excess(const gust_weight_quantizer *q, bool weighted) {
  double found = 0, best_sum = 0;
  for (int round = 0; round < 20; round++) {
    float *values = draw_values(BLOCK, 0), *w = weighted ? draw_importance() : NULL;
    uint8_t rows[ROWS], scales[ROWS], all[ROWS];
    double best[ROWS];
    q->row_codes(rows, values, GUST_BLOCK_K);
    q->block_scales(scales, values, w, rows);
    for (size_t r = 0; r < ROWS; r++) {
      found += block_error(q, values, w, scales, rows, r);
      best[r] = INFINITY;
    }
    for (int byte = 0; byte < 256; byte++) {
      memset(all, byte, sizeof all);
      for (size_t r = 0; r < ROWS; r++) {
        double error = block_error(q, values, w, all, rows, r);
        best[r] = error < best[r] ? error : best[r];
      }
    }
    for (size_t r = 0; r < ROWS; r++) best_sum += best[r];
    guarded_free_all();
  }
  return found / best_sum - 1;
}

static void check_search(const gust_kernels *c) {
  const struct {
    const char *name;
    const gust_weight_quantizer *quantizer;
    double most[2]; /* plain, weighted */
  } types[] = {{"q4", &c->weights_q4, {0.10, 0.10}}, {"q8", &c->weights_q8, {0.05, 0.15}}};
  for (size_t i = 0; i < 2; i++) {
    for (int weighted = 0; weighted < 2; weighted++) {
      double excess = search_excess(types[i].quantizer, weighted);
      printf("%s%s: %.4f above the least error\n", types[i].name, weighted ? ", weighted" : "",
             excess);
      CHECK(excess >= -1e-9 && excess < types[i].most[weighted]);
    }
  }
}

/* No importance is importance one; a common factor changes nothing. */
static void check_importance(const gust_weight_quantizer *q) {
  float *values = draw_values(BLOCK, 0), ones[GUST_BLOCK_K], eights[GUST_BLOCK_K];
  uint8_t rows[ROWS], scales[3][ROWS];
  for (size_t k = 0; k < GUST_BLOCK_K; k++) ones[k] = 1, eights[k] = 8;
  q->row_codes(rows, values, GUST_BLOCK_K);
  q->block_scales(scales[0], values, NULL, rows);
  q->block_scales(scales[1], values, ones, rows);
  q->block_scales(scales[2], values, eights, rows);
  CHECK(memcmp(scales[0], scales[1], ROWS) == 0);
  CHECK(memcmp(scales[0], scales[2], ROWS) == 0);
  guarded_free_all();
}

int main(void) {
  gust_kernels c, k;
  CHECK(gust_kernels_select(&c, "c"));
  check_nearest(&c.weights_q4);
  check_search(&c);
  check_importance(&c.weights_q4);
  check_importance(&c.weights_q8);
  for (size_t i = 0; gust_kernels_level(i); i++) {
    gust_kernels_select(&k, gust_kernels_level(i));
    printf("%s\n", k.level);
    check_same(&c.weights_q4, &k.weights_q4);
    check_same(&c.weights_q8, &k.weights_q8);
    check_rounding(&c.weights_q4, &k.weights_q4);
    check_rounding(&c.weights_q8, &k.weights_q8);
    check_nearest(&k.weights_q4);
  }
  return check_finish();
}

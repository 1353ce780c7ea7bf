/* The kernels of calibration: every level of this machine against the C reference by
 * memcmp, between guard pages; the reference against its definition in doubles. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "guarded.h"
#include "kernels.h"

#define BLOCK GUST_BLOCK_K
#define SIZE (BLOCK * 16)

static unsigned long long seed = 9;

static float uniform(void) {
  return (float)((double)(check_random(&seed) >> 11) * 0x1p-52 - 1);
}

static float *draw(size_t count, float scale) {
  float *p = guarded(count * sizeof *p);
  for (size_t i = 0; i < count; i++)
    p[i] = uniform() * scale * (check_random(&seed) % 16 ? 1.0f : 8.0f);
  return p;
}

/* --- panel products --------------------------------------------------------------------- */

static void check_products(const gust_kernels *c, const gust_kernels *k) {
  for (int round = 0; round < 60; round++) {
    size_t rows = 1 + check_random(&seed) % 20, n = check_random(&seed) % 90;
    size_t dst_stride = 16 + check_random(&seed) % 40, x_stride = n + check_random(&seed) % 9;
    size_t floats = (rows - 1) * dst_stride + 16;
    float *panel = draw(16 * n + 1, 1), *x = draw((rows - 1) * x_stride + n + 1, 1);
    float *start = draw(floats, 4), *expected = guarded(floats * 4), *found = guarded(floats * 4);
    for (int subtract = 0; subtract < 2; subtract++) {
      memcpy(expected, start, floats * 4);
      memcpy(found, start, floats * 4);
      /* Off by one float: the arrays need no alignment, and end at the guard page. */
      (subtract ? c->panel_subtract : c->panel_add)(expected, dst_stride, panel + 1, x + 1,
                                                    x_stride, n, rows);
      (subtract ? k->panel_subtract : k->panel_add)(found, dst_stride, panel + 1, x + 1, x_stride,
                                                    n, rows);
      CHECK(memcmp(expected, found, floats * 4) == 0);
      for (size_t t = 0; t < rows; t++)
        for (size_t r = 0; r < 16; r++) {
          double sum = 0, size = 1;
          for (size_t j = 0; j < n; j++) {
            double term = (double)panel[1 + 16 * j + r] * (double)x[1 + t * x_stride + j];
            sum += subtract ? -term : term;
            size += fabs(term);
          }
          double exact = (double)start[t * dst_stride + r] + sum;
          CHECK(fabs((double)expected[t * dst_stride + r] - exact) < 1e-6 * size);
        }
    }
    guarded_free_all();
  }
}

/* --- blocks ------------------------------------------------------------------------------ */

typedef struct trial_input {
  gust_feedback_block block;
  float *scales, *lifts; /* [GUST_TRIALS][16] */
} trial_input;

static trial_input draw_input(int is_q4) {
  trial_input in;
  size_t stride = BLOCK + check_random(&seed) % 20;
  float *costs = draw(BLOCK, 1);
  for (size_t i = 0; i < BLOCK; i++) costs[i] = costs[i] * costs[i];
  in.block = (gust_feedback_block){draw(SIZE, 1), draw(SIZE, 1),
                                   draw((BLOCK - 1) * stride + BLOCK, 0.2f), stride, costs};
  in.scales = draw(GUST_TRIALS * 16, is_q4 ? 0.02f : 0.01f);
  in.lifts = guarded(GUST_TRIALS * 16 * sizeof(float));
  for (size_t i = 0; i < GUST_TRIALS * 16; i++) {
    in.lifts[i] = is_q4 && check_random(&seed) % 2 ? 2.0f : 0.0f;
    if (!is_q4) in.scales[i] = fabsf(in.scales[i]);
    if (check_random(&seed) % 24 == 0) in.scales[i] = 0;
  }
  return in;
}

/* The definition, for lane r: levels by trying all, sums in double. Compares as far as
 * no aim lies so near the middle of two levels that rounding decides. */
static void check_lane(const trial_input *in, int is_q4, const float *levels, const float *cost,
                       size_t r) {
  static const int8_t q4[16] = GUST_Q4_LEVELS;
  double error[BLOCK], sum = 0, scale = (double)in->scales[r];
  if (scale == 0) return;
  for (size_t i = BLOCK; i-- > 0;) {
    double aim = (double)in->block.targets[16 * i + r], best = INFINITY, second = INFINITY;
    double found = (double)levels[16 * i + r], nearest = 0;
    for (size_t j = i + 1; j < BLOCK; j++)
      aim += error[j] * (double)in->block.shares[i * in->block.share_stride + j];
    for (int code = is_q4 ? 0 : -127; code < (is_q4 ? 16 : 128); code++) {
      double level = is_q4 ? q4[code] + (double)in->lifts[r] : code;
      double off = fabs(aim / scale - level);
      if (off < best) {
        second = best;
        best = off;
        nearest = level;
      } else if (off < second) {
        second = off;
      }
    }
    CHECK(nearest == found || second - best < 1e-2);
    double off = aim - found * scale;
    sum += (double)in->block.costs[i] * off * off;
    error[i] = (double)in->block.weights[16 * i + r] - found * scale;
  }
  CHECK(fabs((double)cost[r] - sum) < 1e-3 * sum + 1e-9);
}

static void check_blocks(const gust_kernels *c, const gust_kernels *k, int is_q4) {
  for (int round = 0; round < 40; round++) {
    trial_input in = draw_input(is_q4);
    size_t tried = GUST_TRIALS * 16 * sizeof(float);
    float *costs[2] = {guarded(tried), guarded(tried)}, *levels[2], *one[2];
    (is_q4 ? c->try_q4 : c->try_q8)(costs[0], &in.block, in.scales, in.lifts);
    (is_q4 ? k->try_q4 : k->try_q8)(costs[1], &in.block, in.scales, in.lifts);
    CHECK(memcmp(costs[0], costs[1], tried) == 0);
    for (int i = 0; i < 2; i++) {
      levels[i] = guarded(SIZE * sizeof(float));
      one[i] = guarded(16 * sizeof(float));
      const gust_kernels *kernels = i ? k : c;
      (is_q4 ? kernels->round_q4 : kernels->round_q8)(one[i], levels[i], &in.block, in.scales,
                                                      in.lifts);
    }
    CHECK(memcmp(levels[0], levels[1], SIZE * sizeof(float)) == 0);
    CHECK(memcmp(one[0], one[1], 16 * sizeof(float)) == 0);
    CHECK(memcmp(one[0], costs[0], 16 * sizeof(float)) == 0); /* the first of the trials */
    for (size_t r = 0; r < 16; r++) check_lane(&in, is_q4, levels[0], one[0], r);
    guarded_free_all();
  }
}

int main(void) {
  gust_kernels c, k;
  CHECK(gust_kernels_select(&c, "c"));
  for (size_t i = 0; gust_kernels_level(i); i++) {
    gust_kernels_select(&k, gust_kernels_level(i));
    printf("%s\n", k.level);
    check_products(&c, &k);
    check_blocks(&c, &k, 1);
    check_blocks(&c, &k, 0);
  }
  return check_finish();
}

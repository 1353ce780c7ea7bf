#include "error_feedback.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "quantizers.h"

#define ROWS GUST_PANEL_ROWS
/* Terms of a feedback sum that are added up before they join the rest. */
#define SUM_TERMS 512u

static const int8_t q4_levels[16] = GUST_Q4_LEVELS;

/* A scale as a multiple of the row scale, and whether the codebook is shifted. */
typedef struct block_scale {
  int scale, shift;
} block_scale;

typedef struct rounding {
  gust_type type;
  const covariance *factor;
  size_t k, count;
  float *weights, *errors; /* [count][k][16], by places */
  float *targets;          /* [count][32][16] */
  uint8_t *panels, *row_codes;
  size_t panel_bytes;
} rounding;

/* --- panel bytes ---------------------------------------------------------------------- */

static void put_scale(const rounding *g, uint8_t *panel, size_t column, size_t r, block_scale s) {
  bool q4 = g->type == GUST_TYPE_Q4;
  size_t tile_bytes = q4 ? GUST_Q4_TILE_BYTES : GUST_Q8_TILE_BYTES;
  size_t block = column % GUST_TILE_K / GUST_BLOCK_K;
  panel[column / GUST_TILE_K * tile_bytes + ROWS * block + r] =
      q4 ? (uint8_t)((unsigned)s.scale << 1 | (unsigned)s.shift) : (uint8_t)s.scale;
}

/* `level` without lift; a q4 panel is zeros before. */
static void put_code(const rounding *g, uint8_t *panel, size_t column, size_t r, int level) {
  size_t tile = column / GUST_TILE_K, k = column % GUST_TILE_K;
  if (g->type == GUST_TYPE_Q8) {
    panel[tile * GUST_Q8_TILE_BYTES + (1 + k / 4) * GUST_LINE + 4 * r + k % 4] =
        (uint8_t)(int8_t)level;
    return;
  }
  unsigned code = 0;
  while (code < 15 && q4_levels[code] < level) code++;
  panel[tile * GUST_Q4_TILE_BYTES + (1 + k / 8) * GUST_LINE + 4 * r + k % 4] |=
      (uint8_t)(k % 8 < 4 ? code : code << 4);
}

/* --- scales ------------------------------------------------------------------------------ */

static float extreme_of(const float *x, size_t r) {
  float extreme = 0;
  for (size_t i = 0; i < GUST_BLOCK_K; i++)
    if (fabsf(x[ROWS * i + r]) > fabsf(extreme)) extreme = x[ROWS * i + r];
  return extreme;
}

static int whole_scale(float scale, float least, float most) {
  if (!(scale > least)) return (int)least;
  return scale < most ? (int)rintf(scale) : (int)most;
}

#define Q4_REACHES 12
#define Q8_REACHES 8
#define MOST_CANDIDATES (4 * Q4_REACHES)

/* The scales worth trying: those that put the extreme target near either end of
 * the codebook, straight and shifted. */
static size_t list_q4(float extreme, float step, block_scale *list) {
  size_t n = 0;
  for (int shift = 0; shift < 2; shift++)
    for (int end = 0; end < 16; end += 15)
      for (int i = 0; i < Q4_REACHES; i++) {
        float reach = 0.80f + 0.03f * (float)i;
        float level = (float)(q4_levels[end] + 2 * shift) * reach;
        list[n++] = (block_scale){whole_scale(extreme / level / step, -64, 63), shift};
      }
  return n;
}
static size_t list_q8(float extreme, float step, block_scale *list) {
  for (int i = 0; i < Q8_REACHES; i++) {
    float reach = 0.97f + 0.01f * (float)i;
    list[i] = (block_scale){whole_scale(fabsf(extreme) / (127.0f * reach) / step, 0, 255), 0};
  }
  return Q8_REACHES;
}

/* Tries all candidates of every row and leaves each row's best in `best`. */
static void search_scales(const rounding *g, const gust_feedback_block *b, const float *steps,
                          block_scale best[ROWS]) {
  block_scale lists[ROWS][MOST_CANDIDATES];
  float least[ROWS];
  size_t candidates = 0;
  for (size_t r = 0; r < ROWS; r++) {
    float extreme = extreme_of(b->targets, r);
    memset(lists[r], 0, sizeof lists[r]);
    least[r] = INFINITY;
    best[r] = (block_scale){0, 0};
    candidates = g->type == GUST_TYPE_Q4 ? 4 * Q4_REACHES : Q8_REACHES;
    if (!(steps[r] > 0) || extreme == 0) continue;
    if (g->type == GUST_TYPE_Q4)
      list_q4(extreme, steps[r], lists[r]);
    else
      list_q8(extreme, steps[r], lists[r]);
  }
  const gust_kernels *kernels = g->factor->kernels;
  for (size_t c = 0; c < candidates; c += GUST_TRIALS) {
    float scales[GUST_TRIALS * ROWS], lifts[GUST_TRIALS * ROWS], cost[GUST_TRIALS * ROWS];
    for (size_t t = 0; t < GUST_TRIALS; t++)
      for (size_t r = 0; r < ROWS; r++) {
        scales[ROWS * t + r] = steps[r] * (float)lists[r][c + t].scale;
        lifts[ROWS * t + r] = 2.0f * (float)lists[r][c + t].shift;
      }
    (g->type == GUST_TYPE_Q4 ? kernels->try_q4 : kernels->try_q8)(cost, b, scales, lifts);
    for (size_t t = 0; t < GUST_TRIALS; t++)
      for (size_t r = 0; r < ROWS; r++)
        if (cost[ROWS * t + r] < least[r]) {
          least[r] = cost[ROWS * t + r];
          best[r] = lists[r][c + t];
        }
  }
}

/* --- blocks ------------------------------------------------------------------------------ */

/* The block at place `first` of panel `p`; its targets are there. */
static double round_block(const rounding *g, size_t p, size_t first) {
  const covariance *f = g->factor;
  uint8_t *panel = g->panels + p * g->panel_bytes;
  float *weights = g->weights + (p * g->k + first) * ROWS;
  float *errors = g->errors + (p * g->k + first) * ROWS;
  gust_feedback_block b = {weights, g->targets + p * GUST_BLOCK_K * ROWS,
                           f->matrix + first * g->k + first, g->k, f->costs + first};
  float steps[ROWS], scales[ROWS], lifts[ROWS], cost[ROWS], levels[GUST_BLOCK_K * ROWS];
  block_scale best[ROWS];
  for (size_t r = 0; r < ROWS; r++) steps[r] = gust_row_scale(g->row_codes[p * ROWS + r]);
  search_scales(g, &b, steps, best);
  for (size_t r = 0; r < ROWS; r++) {
    scales[r] = steps[r] * (float)best[r].scale;
    lifts[r] = 2.0f * (float)best[r].shift;
    put_scale(g, panel, f->order[first], r, best[r]);
  }
  (g->type == GUST_TYPE_Q4 ? f->kernels->round_q4 : f->kernels->round_q8)(cost, levels, &b, scales,
                                                                         lifts);
  double sum = 0;
  for (size_t r = 0; r < ROWS; r++) sum += (double)cost[r];
  for (size_t i = 0; i < GUST_BLOCK_K; i++)
    for (size_t r = 0; r < ROWS; r++) {
      float level = best[r].scale ? levels[ROWS * i + r] : 0.0f;
      float rounded = scales[r] * level;
      put_code(g, panel, f->order[first + i], r, best[r].scale ? (int)(level - lifts[r]) : 0);
      errors[ROWS * i + r] = weights[ROWS * i + r] - rounded;
      weights[ROWS * i + r] = rounded;
    }
  return sum;
}

/* targets = weights + what the places from first + 32 on have left to these. */
static void aim(const rounding *g, size_t first) {
  const covariance *f = g->factor;
  for (size_t p = 0; p < g->count; p++)
    memcpy(g->targets + p * GUST_BLOCK_K * ROWS, g->weights + (p * g->k + first) * ROWS,
           GUST_BLOCK_K * ROWS * sizeof(float));
  for (size_t j = first + GUST_BLOCK_K; j < g->k; j += SUM_TERMS) {
    size_t n = g->k - j < SUM_TERMS ? g->k - j : SUM_TERMS;
    for (size_t p = 0; p < g->count; p++)
      f->kernels->panel_add(g->targets + p * GUST_BLOCK_K * ROWS, ROWS,
                            g->errors + (p * g->k + j) * ROWS, f->matrix + first * g->k + j, g->k,
                            n, GUST_BLOCK_K);
  }
}

static uint8_t row_code_of(const rounding *g, const float *weights, size_t r) {
  float most = 0;
  for (size_t i = 0; i < g->k; i++)
    if (fabsf(weights[ROWS * i + r]) > most) most = fabsf(weights[ROWS * i + r]);
  return gust_row_code_for(most / (g->type == GUST_TYPE_Q4 ? 60.0f * 63 : 127.0f * 255));
}

feedback_result feedback_round(gust_type type, const covariance *factor, float *weights,
                               size_t count, float *scratch, uint8_t *panels, uint8_t *row_codes) {
  size_t k = factor->k, floats = FEEDBACK_PANELS * ROWS * k;
  rounding g = {type,   factor,    k, count, scratch, scratch + floats, scratch + 2 * floats,
                panels, row_codes, 0};
  g.panel_bytes = gust_type_panel_bytes(type, k);
  memset(panels, 0, count * g.panel_bytes);
  for (size_t p = 0; p < count; p++) {
    const float *from = weights + p * k * ROWS;
    float *to = g.weights + p * k * ROWS;
    for (size_t r = 0; r < ROWS; r++) row_codes[p * ROWS + r] = row_code_of(&g, from, r);
    for (size_t i = 0; i < k; i++)
      memcpy(to + ROWS * i, from + ROWS * factor->order[i], ROWS * sizeof(float));
  }
  feedback_result result = {0, 0};
  for (size_t first = k; first > 0;) {
    first -= GUST_BLOCK_K;
    aim(&g, first);
    for (size_t p = 0; p < count; p++) result.cost += round_block(&g, p, first);
  }
  for (size_t p = 0; p < count; p++)
    for (size_t i = 0; i < k; i++)
      memcpy(weights + (p * k + factor->order[i]) * ROWS, g.weights + (p * k + i) * ROWS,
             ROWS * sizeof(float));
  return result;
}

#include "error_feedback.h"

#include <math.h>
#include <string.h>

#include "quantizers.h"

#define ROWS GUST_PANEL_ROWS
#define BLOCK GUST_BLOCK_K
/* Terms of a feedback sum that are added up before they join the rest. */
#define SUM_TERMS 512u

typedef struct rounding {
  gust_type type;
  const covariance *input;
  size_t k, count;
  float *weights, *errors; /* [count][k][16], by places */
  float *targets;          /* [count][32][16] */
  uint8_t *panels, *row_codes;
  size_t panel_bytes;
} rounding;

/* --- candidates --------------------------------------------------------------------------- */

/* Scales worth trying: those that put the largest target, relative to the end of
 * the codebook, at 0.80, 0.83 ... 1.13; at either end, straight and shifted. */
#define Q4_REACHES 12
#define Q4_CANDIDATES (4 * Q4_REACHES)
#define Q4_LEAST (-64.0f)
#define Q4_MOST 63.0f
/* A q8 block is hardly worse where its largest target is clipped a little. */
#define Q8_CANDIDATES 8
#define Q8_MOST 255.0f

/* Whole multiples of the row scales, and the shifts that go with them. */
typedef struct candidates {
  float scale[Q4_CANDIDATES][ROWS], shift[Q4_CANDIDATES][ROWS];
  size_t count;
} candidates;

static float whole_scale(float scale, float least, float most) {
  if (!(scale > least)) return least;
  return scale < most ? rintf(scale) : most;
}

static void list_q4(candidates *c, size_t r, float extreme) {
  static const float ends[2] = {-64.0f, 57.0f};
  size_t n = 0;
  for (int shift = 0; shift < 2; shift++)
    for (int end = 0; end < 2; end++)
      for (int i = 0; i < Q4_REACHES; i++, n++) {
        float level = (ends[end] + 2.0f * (float)shift) * (0.80f + 0.03f * (float)i);
        c->scale[n][r] = whole_scale(extreme / level, Q4_LEAST, Q4_MOST);
        c->shift[n][r] = (float)shift;
      }
}

static void list_q8(candidates *c, size_t r, float extreme) {
  for (int i = 0; i < Q8_CANDIDATES; i++) {
    float level = 127.0f * (0.97f + 0.01f * (float)i);
    c->scale[i][r] = whole_scale(fabsf(extreme) / level, 0.0f, Q8_MOST);
    c->shift[i][r] = 0.0f;
  }
}

/* extreme: of each row the target of largest magnitude, as a multiple of the
 * row's scale. */
static void list_candidates(candidates *c, gust_type type, const float *extreme) {
  c->count = type == GUST_TYPE_Q4 ? Q4_CANDIDATES : Q8_CANDIDATES;
  for (size_t r = 0; r < ROWS; r++) {
    if (type == GUST_TYPE_Q4)
      list_q4(c, r, extreme[r]);
    else
      list_q8(c, r, extreme[r]);
  }
}

/* --- a block's scales ------------------------------------------------------------------------ */

/* What a block is rounded with: as multiples of the row scales, and multiplied. */
typedef struct block_scales {
  float whole[ROWS], shift[ROWS];
  float scale[ROWS], lift[ROWS];
} block_scales;

static void find_extremes(float *extreme, const float *targets, const float *row_scales) {
  for (size_t r = 0; r < ROWS; r++) {
    float most = 0;
    for (size_t i = 0; i < BLOCK; i++)
      if (fabsf(targets[ROWS * i + r]) > fabsf(most)) most = targets[ROWS * i + r];
    extreme[r] = row_scales[r] > 0 ? most / row_scales[r] : 0.0f;
  }
}

/* The candidates with the least cost, each row its own. */
static void search_scales(const rounding *g, const gust_feedback_block *b, const float *row_scales,
                          block_scales *best) {
  const gust_kernels *kernels = g->input->kernels;
  float extreme[ROWS], least[ROWS];
  candidates c;
  find_extremes(extreme, b->targets, row_scales);
  list_candidates(&c, g->type, extreme);
  for (size_t r = 0; r < ROWS; r++) {
    least[r] = INFINITY;
    best->whole[r] = best->shift[r] = 0;
  }
  for (size_t n = 0; n < c.count; n += GUST_TRIALS) {
    float scale[GUST_TRIALS * ROWS], lift[GUST_TRIALS * ROWS], cost[GUST_TRIALS * ROWS];
    for (size_t i = 0; i < GUST_TRIALS * ROWS; i++) {
      scale[i] = row_scales[i % ROWS] * c.scale[n + i / ROWS][i % ROWS];
      lift[i] = 2.0f * c.shift[n + i / ROWS][i % ROWS];
    }
    (g->type == GUST_TYPE_Q4 ? kernels->try_q4 : kernels->try_q8)(cost, b, scale, lift);
    for (size_t i = 0; i < GUST_TRIALS * ROWS; i++) {
      size_t r = i % ROWS;
      if (!(cost[i] < least[r])) continue;
      least[r] = cost[i];
      best->whole[r] = c.scale[n + i / ROWS][r];
      best->shift[r] = c.shift[n + i / ROWS][r];
    }
  }
  for (size_t r = 0; r < ROWS; r++) {
    best->scale[r] = row_scales[r] * best->whole[r];
    best->lift[r] = 2.0f * best->shift[r];
  }
}

/* --- blocks ------------------------------------------------------------------------------------
 */

static uint8_t scale_byte(gust_type type, float whole, float shift) {
  return type == GUST_TYPE_Q4 ? (uint8_t)((unsigned)(int)whole << 1 | (unsigned)shift)
                              : (uint8_t)whole;
}

static uint8_t code_of(gust_type type, float level) {
  static const int8_t levels[16] = GUST_Q4_LEVELS;
  if (type == GUST_TYPE_Q8) return (uint8_t)(int8_t)level;
  uint8_t code = 0;
  while (code < 15 && (float)levels[code] < level) code++;
  return code;
}

/* Rounds the block at places first .. first + 31 of panel p, whose targets are
 * known, leaves its errors, and returns its cost. */
static double round_block(const rounding *g, size_t p, size_t first) {
  const covariance *in = g->input;
  float *weights = g->weights + (p * g->k + first) * ROWS;
  float *errors = g->errors + (p * g->k + first) * ROWS;
  gust_feedback_block b = {weights, g->targets + p * BLOCK * ROWS,
                           in->matrix + first * g->k + first, g->k, in->costs + first};
  float row_scales[ROWS], cost[ROWS], levels[BLOCK * ROWS];
  uint8_t scales[ROWS], codes[BLOCK * ROWS];
  block_scales s;
  for (size_t r = 0; r < ROWS; r++) row_scales[r] = gust_row_scale(g->row_codes[p * ROWS + r]);
  search_scales(g, &b, row_scales, &s);
  (g->type == GUST_TYPE_Q4 ? in->kernels->round_q4 : in->kernels->round_q8)(cost, levels, &b,
                                                                            s.scale, s.lift);
  double sum = 0;
  for (size_t r = 0; r < ROWS; r++) {
    sum += (double)cost[r];
    scales[r] = scale_byte(g->type, s.whole[r], s.shift[r]);
  }
  for (size_t i = 0; i < BLOCK; i++) {
    uint8_t *column = codes + in->order[first + i] % BLOCK * ROWS;
    for (size_t r = 0; r < ROWS; r++) {
      float level = s.whole[r] != 0 ? levels[ROWS * i + r] : s.lift[r];
      float rounded = s.scale[r] * level;
      column[r] = code_of(g->type, level - s.lift[r]);
      errors[ROWS * i + r] = weights[ROWS * i + r] - rounded;
      weights[ROWS * i + r] = rounded;
    }
  }
  gust_panel_store_block(g->type, g->panels + p * g->panel_bytes, in->order[first] / BLOCK * BLOCK,
                         scales, codes);
  return sum;
}

/* targets = weights + what the places from first + 32 on have left to these. */
static void aim_block(const rounding *g, size_t first) {
  const covariance *in = g->input;
  for (size_t p = 0; p < g->count; p++)
    memcpy(g->targets + p * BLOCK * ROWS, g->weights + (p * g->k + first) * ROWS,
           BLOCK * ROWS * sizeof(float));
  for (size_t j = first + BLOCK; j < g->k; j += SUM_TERMS) {
    size_t n = g->k - j < SUM_TERMS ? g->k - j : SUM_TERMS;
    for (size_t p = 0; p < g->count; p++)
      in->kernels->panel_add(g->targets + p * BLOCK * ROWS, ROWS, g->errors + (p * g->k + j) * ROWS,
                             in->matrix + first * g->k + j, g->k, n, BLOCK);
  }
}

/* Weights from the order of columns to that of places, or back. */
static void gather_places(const rounding *g, const float *values) {
  for (size_t p = 0; p < g->count; p++)
    for (size_t i = 0; i < g->k; i++)
      memcpy(g->weights + (p * g->k + i) * ROWS, values + (p * g->k + g->input->order[i]) * ROWS,
             ROWS * sizeof(float));
}
static void scatter_places(const rounding *g, float *values) {
  for (size_t p = 0; p < g->count; p++)
    for (size_t i = 0; i < g->k; i++)
      memcpy(values + (p * g->k + g->input->order[i]) * ROWS, g->weights + (p * g->k + i) * ROWS,
             ROWS * sizeof(float));
}

static rounding lay_out(const covariance *input, size_t count, float *scratch) {
  size_t floats = FEEDBACK_PANELS * ROWS * input->k;
  return (rounding){.input = input,
                    .k = input->k,
                    .count = count,
                    .weights = scratch,
                    .errors = scratch + floats,
                    .targets = scratch + 2 * floats};
}

double feedback_round(gust_type type, const covariance *input, float *values, size_t count,
                      float *scratch, uint8_t *panels, uint8_t *row_codes) {
  rounding g = lay_out(input, count, scratch);
  g.type = type;
  g.panels = panels;
  g.row_codes = row_codes;
  g.panel_bytes = gust_type_panel_bytes(type, g.k);
  for (size_t p = 0; p < count; p++)
    gust_weight_quantizer_of(input->kernels, type)
        ->row_codes(row_codes + p * ROWS, values + p * g.k * ROWS, g.k);
  gather_places(&g, values);
  double cost = 0;
  for (size_t first = g.k; first > 0;) {
    first -= BLOCK;
    aim_block(&g, first);
    for (size_t p = 0; p < count; p++) cost += round_block(&g, p, first);
  }
  scatter_places(&g, values);
  return cost;
}

/* Columns first .. first + 31 of panel p, all of whose weights count as errors. */
static double block_energy(const rounding *g, size_t p, size_t first) {
  const covariance *in = g->input;
  double sum = 0;
  for (size_t i = 0; i < BLOCK; i++) {
    float *target = g->targets + (p * BLOCK + i) * ROWS;
    in->kernels->panel_add(target, ROWS, g->errors + (p * g->k + first + i + 1) * ROWS,
                           in->matrix + (first + i) * g->k + first + i + 1, g->k, BLOCK - 1 - i, 1);
    for (size_t r = 0; r < ROWS; r++)
      sum += (double)in->costs[first + i] * (double)target[r] * (double)target[r];
  }
  return sum;
}

double feedback_energy(const covariance *input, const float *values, size_t count, float *scratch) {
  rounding g = lay_out(input, count, scratch);
  g.errors = g.weights;
  gather_places(&g, values);
  double energy = 0;
  for (size_t first = 0; first < g.k; first += BLOCK) {
    aim_block(&g, first);
    for (size_t p = 0; p < count; p++) energy += block_energy(&g, p, first);
  }
  return energy;
}

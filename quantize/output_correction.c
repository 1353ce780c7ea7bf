#include "output_correction.h"

#include <string.h>

#define ROWS GUST_PANEL_ROWS
#define BLOCK GUST_BLOCK_K
#define TOKEN_BLOCK 16u
/* Terms of a sum that are added up before they join the rest. */
#define SUM_TERMS 512u

/* Distance of the rows of what is missing; not a multiple of a cache's set size. */
static size_t missing_stride(size_t tokens) {
  return gust_round_up(tokens, 16) + 16;
}

typedef struct workspace {
  float *product; /* [TOKEN_BLOCK][rows] */
  float *missing; /* W D + R: [rows][missing_stride] */
  float *inputs;  /* sixteen columns of X: [SUM_TERMS][16] */
  float *right;   /* (W D + R) X^T: [rows][k] */
  float *shift;   /* one panel's Z by places: [k][16] */
} workspace;

static size_t lay_out(workspace *w, float *base, size_t k, size_t tokens) {
  const size_t rows = CORRECTION_PANELS * ROWS;
  w->product = base;
  w->missing = w->product + TOKEN_BLOCK * rows;
  w->inputs = w->missing + rows * missing_stride(tokens);
  w->right = w->inputs + SUM_TERMS * ROWS;
  w->shift = w->right + rows * k;
  return (size_t)(w->shift + k * ROWS - base);
}

size_t output_correction_floats(size_t k_padded, size_t tokens) {
  const size_t rows = CORRECTION_PANELS * ROWS;
  return TOKEN_BLOCK * rows + rows * missing_stride(tokens) + SUM_TERMS * ROWS + rows * k_padded +
         k_padded * ROWS;
}

/* missing = W D + R of `count` panels, transposed. */
static void find_missing(const output_correction *c, const workspace *w, const float *values,
                         size_t first_panel, size_t count) {
  size_t k = c->input->k, rows = count * ROWS, stride = missing_stride(c->tokens);
  for (size_t t = 0; t < c->tokens; t += TOKEN_BLOCK) {
    size_t n = c->tokens - t < TOKEN_BLOCK ? c->tokens - t : TOKEN_BLOCK;
    c->input->kernels->matmul_f32(w->product, rows, (const uint8_t *)values, count,
                                  c->difference + t * k, k, n);
    for (size_t i = 0; i < n; i++) {
      const float *lag = c->lag ? c->lag + (t + i) * c->lag_stride + first_panel * ROWS : NULL;
      for (size_t r = 0; r < rows; r++) {
        float behind = lag ? lag[r] : 0.0f;
        w->missing[r * stride + t + i] = w->product[i * rows + r] + behind;
      }
    }
  }
}

/* right = missing X^T / tokens, as H is a mean too. */
static void multiply_by_inputs(const output_correction *c, const workspace *w, size_t count) {
  size_t k = c->input->k, rows = count * ROWS, stride = missing_stride(c->tokens);
  float mean = 1.0f / (float)c->tokens;
  memset(w->right, 0, rows * k * sizeof(float));
  for (size_t t = 0; t < c->tokens; t += SUM_TERMS) {
    size_t n = c->tokens - t < SUM_TERMS ? c->tokens - t : SUM_TERMS;
    for (size_t column = 0; column < k; column += 16) {
      for (size_t i = 0; i < n; i++)
        memcpy(w->inputs + 16 * i, c->x + (t + i) * k + column, 16 * sizeof(float));
      c->input->kernels->panel_add(w->right + column, k, w->inputs, w->missing + t, stride, n,
                                   rows);
    }
  }
  for (size_t i = 0; i < rows * k; i++) w->right[i] *= mean;
}

/* z (H) = z in place, z: [k][16] by places. With H = u^T D u, D the costs, first y u =
 * z from the first place on, then z u^T = y D^-1 from the last. */
static void solve(const covariance *in, float *z) {
  size_t k = in->k;
  for (size_t first = 0; first < k; first += BLOCK) {
    float *block = z + first * ROWS;
    for (size_t j = 0; j < first; j += SUM_TERMS)
      in->kernels->panel_subtract(block, ROWS, z + j * ROWS, in->matrix + first * k + j, k,
                                  first - j < SUM_TERMS ? first - j : SUM_TERMS, BLOCK);
    for (size_t i = 1; i < BLOCK; i++)
      in->kernels->panel_subtract(block + i * ROWS, ROWS, block,
                                  in->matrix + (first + i) * k + first, k, i, 1);
  }
  for (size_t i = 0; i < k; i++) {
    float inverse = in->costs[i] > 0 ? 1.0f / in->costs[i] : 0.0f;
    for (size_t r = 0; r < ROWS; r++) z[i * ROWS + r] *= inverse;
  }
  for (size_t last = k; last > 0; last -= BLOCK) {
    size_t first = last - BLOCK;
    for (size_t j = last; j < k; j += SUM_TERMS)
      in->kernels->panel_subtract(z + first * ROWS, ROWS, z + j * ROWS, in->matrix + first * k + j,
                                  k, k - j < SUM_TERMS ? k - j : SUM_TERMS, BLOCK);
    for (size_t i = last - 1; i-- > first;)
      in->kernels->panel_subtract(z + i * ROWS, ROWS, z + (i + 1) * ROWS,
                                  in->matrix + i * k + i + 1, k, last - 1 - i, 1);
  }
}

void output_correct(const output_correction *c, float *values, size_t first_panel, size_t count,
                    float *scratch) {
  const covariance *in = c->input;
  size_t k = in->k;
  workspace w;
  lay_out(&w, scratch, k, c->tokens);
  find_missing(c, &w, values, first_panel, count);
  multiply_by_inputs(c, &w, count);
  for (size_t p = 0; p < count; p++) {
    for (size_t i = 0; i < k; i++)
      for (size_t r = 0; r < ROWS; r++)
        w.shift[i * ROWS + r] = w.right[(p * ROWS + r) * k + in->order[i]];
    solve(in, w.shift);
    for (size_t i = 0; i < k; i++) {
      float *column = values + (p * k + in->order[i]) * ROWS;
      for (size_t r = 0; r < ROWS; r++) column[r] += w.shift[i * ROWS + r];
    }
  }
}

#include "cholesky.h"

#include <math.h>
#include <stdlib.h>

/* Rows finished at a time. */
#define STEP 128u
/* Columns one thread takes at a time, and the rows it goes over with them while
 * both stay in its cache. */
#define GROUP_PANELS 4u
#define ROW_BLOCK 64u
/* Distance of the rows below; not a multiple of a cache's set size. */
#define TRANSPOSED_STRIDE (STEP + 16u)

/* One step: rows [first, first + STEP) are finished, then taken out of what lies
 * below and to the right. */
typedef struct step {
  float *a;
  size_t n, first;
  const gust_kernels *kernels;
  float *panels;     /* the finished rows, by panels of 16 columns: [n / 16][STEP][16] */
  float *transposed; /* the same, [n][TRANSPOSED_STRIDE] */
  float inverse[STEP];
} step;

/* The block on the diagonal, row by row. */
static void factor_diagonal(step *s, float least_pivot) {
  for (size_t i = 0; i < STEP; i++) {
    float *row = s->a + (s->first + i) * s->n + s->first;
    for (size_t p = 0; p < i; p++) {
      const float *above = s->a + (s->first + p) * s->n + s->first;
      float factor = above[i];
      for (size_t j = i; j < STEP; j++) row[j] -= factor * above[j];
    }
    float pivot = row[i] > least_pivot ? row[i] : least_pivot;
    row[i] = sqrtf(pivot);
    s->inverse[i] = 1.0f / row[i];
    for (size_t j = i + 1; j < STEP; j++) row[j] *= s->inverse[i];
  }
}

/* Items: panels of 16 columns right of the diagonal block. Solves U_diagonal^T
 * times the rows = a, and keeps them in the two forms the products want. */
static void solve_panels(void *arg, size_t begin, size_t end, unsigned worker) {
  (void)worker;
  const step *s = arg;
  const float *diagonal = s->a + s->first * s->n + s->first;
  for (size_t item = begin; item < end; item++) {
    size_t column = s->first + STEP + item * 16;
    float *panel = s->panels + column * STEP;
    for (size_t i = 0; i < STEP; i++) {
      float *row = panel + 16 * i, *place = s->a + (s->first + i) * s->n + column;
      for (size_t r = 0; r < 16; r++) row[r] = place[r];
      for (size_t p = 0; p < i; p++) {
        float factor = diagonal[p * s->n + i];
        for (size_t r = 0; r < 16; r++) row[r] -= factor * panel[16 * p + r];
      }
      for (size_t r = 0; r < 16; r++) {
        row[r] *= s->inverse[i];
        place[r] = row[r];
        s->transposed[(column + r) * TRANSPOSED_STRIDE + i] = row[r];
      }
    }
  }
}

/* Items: groups of panels, the last, which reach down farthest, first. */
static void update_groups(void *arg, size_t begin, size_t end, unsigned worker) {
  (void)worker;
  const step *s = arg;
  size_t below = s->first + STEP;
  for (size_t item = begin; item < end; item++) {
    size_t last = s->n - item * GROUP_PANELS * 16;
    size_t first = last - below > GROUP_PANELS * 16 ? last - GROUP_PANELS * 16 : below;
    for (size_t i = below; i < last; i += ROW_BLOCK) {
      for (size_t column = first; column < last; column += 16) {
        if (column + 16 <= i) continue;
        size_t rows = column + 16 - i < ROW_BLOCK ? column + 16 - i : ROW_BLOCK;
        s->kernels->panel_subtract(s->a + i * s->n + column, s->n, s->panels + column * STEP,
                                   s->transposed + i * TRANSPOSED_STRIDE, TRANSPOSED_STRIDE, STEP,
                                   rows);
      }
    }
  }
}

gust_status cholesky_factor(float *a, size_t n, float least_pivot, const gust_kernels *kernels,
                            gust_pool *pool, bool (*progress)(void *user, uint64_t bytes),
                            void *user, gust_error *err) {
  size_t bytes = n * (STEP + TRANSPOSED_STRIDE) * sizeof(float);
  float *panels = malloc(bytes);
  if (!panels) return gust_fail_memory(err, "factorization", bytes);
  step s = {.a = a, .n = n, .kernels = kernels, .panels = panels, .transposed = panels + n * STEP};
  gust_status status = GUST_OK;
  for (s.first = 0; s.first < n && !status; s.first += STEP) {
    size_t right = n - s.first - STEP, group = GROUP_PANELS * 16;
    factor_diagonal(&s, least_pivot);
    if (right == 0) break;
    gust_pool_run(pool, solve_panels, &s, right / 16, 1);
    gust_pool_run(pool, update_groups, &s, (right + group - 1) / group, 1);
    if (progress && progress(user, 0))
      status = gust_fail(err, GUST_E_CANCELLED, "factorization was stopped");
  }
  free(panels);
  return status;
}

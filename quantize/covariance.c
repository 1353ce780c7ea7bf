#include "covariance.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cholesky.h"
#include "os.h"

/* Distance of the transposed rows; not a multiple of a cache's set size. */
#define TRANSPOSED_STRIDE (COVARIANCE_ROWS + 16u)
/* Columns one thread takes at a time, and the rows it goes over with them while
 * both stay in its cache. */
#define GROUP_PANELS 4u
#define ROW_BLOCK 64u

gust_status covariance_create(covariance *c, size_t most, const gust_kernels *kernels,
                              gust_pool *pool, gust_error *err) {
  *c = (covariance){.kernels = kernels, .pool = pool};
  if (most > SIZE_MAX / sizeof(float) / most)
    return gust_fail(err, GUST_E_MEMORY, "calibration: expected at most %zu columns, found %zu",
                     (size_t)1 << 22, most);
  c->matrix_bytes = most * most * sizeof(float);
  c->matrix = os_reserve(c->matrix_bytes);
  if (!c->matrix || !os_commit(c->matrix, 0, c->matrix_bytes))
    return gust_fail_memory(err, "covariance of a layer's inputs", c->matrix_bytes);
  c->order = malloc(most * sizeof *c->order);
  c->costs = malloc(most * sizeof *c->costs);
  c->panels = malloc(most * COVARIANCE_ROWS * sizeof(float));
  c->transposed = malloc(most * TRANSPOSED_STRIDE * sizeof(float));
  if (!c->order || !c->costs || !c->panels || !c->transposed)
    return gust_fail_memory(err, "covariance", most * TRANSPOSED_STRIDE * sizeof(float));
  return GUST_OK;
}

void covariance_destroy(covariance *c) {
  if (c->matrix) os_release(c->matrix, c->matrix_bytes);
  free(c->order);
  free(c->costs);
  free(c->panels);
  free(c->transposed);
  memset(c, 0, sizeof *c);
}

/* --- order --------------------------------------------------------------------------- */

typedef struct ranked {
  double moment;
  uint32_t index;
} ranked;

static int by_moment(const void *a, const void *b) {
  const ranked *x = a, *y = b;
  if (x->moment != y->moment) return x->moment < y->moment ? -1 : 1;
  return x->index < y->index ? -1 : x->index > y->index;
}

static double block_moment(const double *moments, size_t block) {
  double sum = 0;
  for (size_t i = 0; i < GUST_BLOCK_K; i++) sum += moments[block * GUST_BLOCK_K + i];
  return sum;
}

gust_status covariance_begin(covariance *c, size_t columns, const double *moments,
                             gust_error *err) {
  c->columns = columns;
  c->k = gust_round_up(columns, GUST_TILE_K);
  c->rows = 0;
  size_t blocks = c->k / GUST_BLOCK_K;
  ranked *list = malloc(blocks * sizeof *list), in_block[GUST_BLOCK_K];
  if (!list) return gust_fail_memory(err, "order of columns", blocks * sizeof *list);
  for (size_t b = 0; b < blocks; b++) list[b] = (ranked){block_moment(moments, b), (uint32_t)b};
  qsort(list, blocks, sizeof *list, by_moment);
  for (size_t b = 0; b < blocks; b++) {
    for (uint32_t i = 0; i < GUST_BLOCK_K; i++) {
      uint32_t column = list[b].index * GUST_BLOCK_K + i;
      in_block[i] = (ranked){moments[column], column};
    }
    qsort(in_block, GUST_BLOCK_K, sizeof *in_block, by_moment);
    for (size_t i = 0; i < GUST_BLOCK_K; i++) c->order[b * GUST_BLOCK_K + i] = in_block[i].index;
  }
  free(list);
  memset(c->matrix, 0, c->k * c->k * sizeof(float));
  return GUST_OK;
}

/* --- sums ----------------------------------------------------------------------------- */

typedef struct addition {
  covariance *c;
  const float *x;
  size_t stride, rows;
} addition;

/* Items: panels of 16 places. */
static void gather_panels(void *arg, size_t begin, size_t end, unsigned worker) {
  (void)worker;
  const addition *a = arg;
  for (size_t p = begin; p < end; p++) {
    const uint32_t *order = a->c->order + 16 * p;
    float *panel = a->c->panels + p * 16 * COVARIANCE_ROWS;
    float *transposed = a->c->transposed + p * 16 * TRANSPOSED_STRIDE;
    for (size_t t = 0; t < a->rows; t++) {
      for (size_t r = 0; r < 16; r++) {
        float value = a->x[t * a->stride + order[r]];
        panel[16 * t + r] = value;
        transposed[r * TRANSPOSED_STRIDE + t] = value;
      }
    }
  }
}

/* Items: groups of panels, the last, which have most rows above them, first. */
static void add_groups(void *arg, size_t begin, size_t end, unsigned worker) {
  (void)worker;
  const addition *a = arg;
  covariance *c = a->c;
  for (size_t item = begin; item < end; item++) {
    size_t last = c->k - item * GROUP_PANELS * 16;
    size_t first = last > GROUP_PANELS * 16 ? last - GROUP_PANELS * 16 : 0;
    for (size_t i = 0; i < last; i += ROW_BLOCK) {
      for (size_t column = first; column < last; column += 16) {
        if (column + 16 <= i) continue;
        size_t rows = column + 16 - i < ROW_BLOCK ? column + 16 - i : ROW_BLOCK;
        c->kernels->panel_add(
            c->matrix + i * c->k + column, c->k, c->panels + column * COVARIANCE_ROWS,
            c->transposed + i * TRANSPOSED_STRIDE, TRANSPOSED_STRIDE, a->rows, rows);
      }
    }
  }
}

void covariance_add(covariance *c, const float *x, size_t stride, size_t rows) {
  addition a = {c, x, stride, rows};
  size_t group = GROUP_PANELS * 16;
  gust_pool_run(c->pool, gather_panels, &a, c->k / 16, 1);
  gust_pool_run(c->pool, add_groups, &a, (c->k + group - 1) / group, 1);
  c->rows += rows;
}

/* --- factor ----------------------------------------------------------------------------- */

/* Items: blocks of rows. What stands above the diagonal goes below it as well. */
static void mirror_rows(void *arg, size_t begin, size_t end, unsigned worker) {
  (void)worker;
  covariance *c = arg;
  for (size_t block = begin; block < end; block++) {
    size_t first = block * GUST_BLOCK_K, last = first + GUST_BLOCK_K;
    for (size_t j = 0; j < last; j++) /* row j is read along, column j written down */
      for (size_t i = j < first ? first : j + 1; i < last; i++)
        c->matrix[i * c->k + j] = c->matrix[j * c->k + i];
  }
}

static int by_size(const void *a, const void *b) {
  const float *x = a, *y = b;
  return *x < *y ? -1 : *x > *y;
}

/* Of the true columns. Uses costs as scratch memory. */
static float median_of_diagonal(covariance *c) {
  size_t count = 0;
  for (size_t i = 0; i < c->k; i++)
    if (c->order[i] < c->columns) c->costs[count++] = c->matrix[i * c->k + i];
  qsort(c->costs, count, sizeof *c->costs, by_size);
  return c->costs[count / 2];
}

/* Leaves in costs[i] the square root of H[i][i] and scales H to a diagonal of ones,
 * in which form float32 serves columns of any size alike. */
static void normalize(covariance *c) {
  size_t k = c->k;
  float mean = 1.0f / (float)(c->rows ? c->rows : 1);
  float floor = median_of_diagonal(c) * mean * COVARIANCE_FLOOR;
  if (!(floor > 0x1p-100f)) floor = 0x1p-100f;
  for (size_t i = 0; i < k; i++) c->costs[i] = sqrtf(c->matrix[i * k + i] * mean + floor);
  for (size_t i = 0; i < k; i++) {
    float *row = c->matrix + i * k, factor = mean / c->costs[i];
    for (size_t j = i + 1; j < k; j++) row[j] = row[j] * factor / c->costs[j];
    row[i] = 1.0f;
  }
}

gust_status covariance_factor(covariance *c, float damping,
                              bool (*progress)(void *user, uint64_t bytes), void *user,
                              gust_error *err) {
  size_t k = c->k;
  normalize(c);
  for (size_t i = 0; i < k; i++) c->matrix[i * k + i] += damping;
  gust_status status =
      cholesky_factor(c->matrix, k, damping, c->kernels, c->pool, progress, user, err);
  if (status) return status;
  for (size_t i = 0; i < k; i++) {
    float *row = c->matrix + i * k, factor = 1.0f / (row[i] * c->costs[i]);
    for (size_t j = i + 1; j < k; j++) row[j] = row[j] * c->costs[j] * factor;
  }
  for (size_t i = 0; i < k; i++) {
    float root = c->matrix[i * k + i] * c->costs[i];
    c->costs[i] = c->order[i] < c->columns ? root * root : 0.0f;
  }
  gust_pool_run(c->pool, mirror_rows, c, k / GUST_BLOCK_K, 1);
  return GUST_OK;
}

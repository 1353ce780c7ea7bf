/* q8: int8 codes in blocks of 32 that share an 8-bit scale, times one power of
 * two per row. A block's scale is rounded up, so that no code needs more than
 * 127. */
#include <math.h>
#include <string.h>

#include "quantizers.h"

#define MAX_CODE 127.0f
#define MAX_SCALE 255.0f

static float block_max(const float *x) {
  float most = 0;
  for (size_t i = 0; i < GUST_BLOCK_K; i++) most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
  return most;
}

/* The least row scale that, 255 times, reaches the row's largest block scale. */
static uint8_t row_code_of(const float *row, size_t k_padded) {
  float most = 0;
  for (size_t k = 0; k < k_padded; k += GUST_BLOCK_K) {
    float m = block_max(row + k);
    most = m > most ? m : most;
  }
  return gust_row_code_for(most / MAX_CODE / MAX_SCALE);
}

static uint8_t *scale_at(uint8_t *panel, size_t k, size_t r) {
  size_t tile = k / GUST_TILE_K, block = k % GUST_TILE_K / GUST_BLOCK_K;
  return panel + tile * GUST_Q8_TILE_BYTES + GUST_PANEL_ROWS * block + r;
}

/* Codes k .. k + 3 of row r. */
static uint8_t *codes_at(uint8_t *panel, size_t k, size_t r) {
  size_t tile = k / GUST_TILE_K, line = 1 + k % GUST_TILE_K / 4;
  return panel + tile * GUST_Q8_TILE_BYTES + line * GUST_LINE + 4 * r;
}

static double pack_block(const float *x, float row_scale, uint8_t *panel, size_t k, size_t r) {
  float steps = row_scale > 0 ? ceilf(block_max(x) / MAX_CODE / row_scale) : 0;
  if (steps > MAX_SCALE) steps = MAX_SCALE; /* the division may have rounded up */
  *scale_at(panel, k, r) = (uint8_t)steps;
  float scale = row_scale * steps, inverse = scale > 0 ? 1.0f / scale : 0.0f;
  double error = 0;
  for (size_t i = 0; i < GUST_BLOCK_K; i += 4) {
    uint8_t *out = codes_at(panel, k + i, r);
    for (size_t j = 0; j < 4; j++) {
      float code = rintf(x[i + j] * inverse);
      code = code > MAX_CODE ? MAX_CODE : code < -MAX_CODE ? -MAX_CODE : code;
      out[j] = (uint8_t)(int8_t)code;
      double d = (double)x[i + j] - (double)(scale * code);
      error += d * d;
    }
  }
  return error;
}

double gust_q8_pack(const float *rows, size_t k_padded, uint8_t *panel, uint8_t *row_codes) {
  double error = 0;
  for (size_t r = 0; r < GUST_PANEL_ROWS; r++) {
    const float *row = rows + r * k_padded;
    row_codes[r] = row_code_of(row, k_padded);
    float row_scale = gust_row_scale(row_codes[r]);
    for (size_t k = 0; k < k_padded; k += GUST_BLOCK_K)
      error += pack_block(row + k, row_scale, panel, k, r);
  }
  return error;
}

void gust_q8_unpack(const uint8_t *panel, const uint8_t *row_codes, size_t k_padded, float *rows) {
  uint8_t *in = (uint8_t *)panel; /* only read; the helpers serve both ways */
  for (size_t r = 0; r < GUST_PANEL_ROWS; r++) {
    float row_scale = gust_row_scale(row_codes[r]);
    for (size_t k = 0; k < k_padded; k += 4) {
      float scale = row_scale * (float)*scale_at(in, k, r);
      const uint8_t *codes = codes_at(in, k, r);
      for (size_t j = 0; j < 4; j++) rows[r * k_padded + k + j] = scale * (float)(int8_t)codes[j];
    }
  }
}

/* Panels of every type, from floats and back. */
#include <string.h>

#include "quantizers.h"

#define ROWS GUST_PANEL_ROWS

/* --- dense ---------------------------------------------------------------------- */

uint16_t gust_bf16_from_float(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  /* Rounding up may carry into the exponent of infinity. */
  if ((rounded & 0x7f80) == 0x7f80) rounded = (rounded & 0x8000) | 0x7f7f;
  return (uint16_t)rounded;
}

static float float_from_bf16(uint16_t half) {
  uint32_t bits = (uint32_t)half << 16;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static double pack_bf16(const float *values, size_t k_padded, uint8_t *panel) {
  double error = 0;
  for (size_t i = 0; i < ROWS * k_padded; i++) {
    uint16_t half = gust_bf16_from_float(values[i]);
    memcpy(panel + 2 * i, &half, sizeof half);
    double d = (double)values[i] - (double)float_from_bf16(half);
    error += d * d;
  }
  return error;
}

static void unpack_bf16(const uint8_t *panel, size_t k_padded, float *values) {
  for (size_t i = 0; i < ROWS * k_padded; i++) {
    uint16_t half;
    memcpy(&half, panel + 2 * i, sizeof half);
    values[i] = float_from_bf16(half);
  }
}

/* --- q4, q8: where scales and codes stand in a panel -------------------------------- */

static size_t tile_bytes(gust_type type) {
  return type == GUST_TYPE_Q4 ? GUST_Q4_TILE_BYTES : GUST_Q8_TILE_BYTES;
}

/* The 16 scale bytes of the block that column k begins. */
static uint8_t *scales_at(gust_type type, uint8_t *panel, size_t k) {
  return panel + k / GUST_TILE_K * tile_bytes(type) + k % GUST_TILE_K / GUST_BLOCK_K * ROWS;
}

/* Columns per line of codes. */
static size_t line_columns(gust_type type) {
  return type == GUST_TYPE_Q4 ? 8 : 4;
}

static uint8_t *line_at(gust_type type, uint8_t *panel, size_t k) {
  size_t line = 1 + k % GUST_TILE_K / line_columns(type);
  return panel + k / GUST_TILE_K * tile_bytes(type) + line * GUST_LINE;
}

void gust_panel_store_block(gust_type type, uint8_t *panel, size_t k, const uint8_t *scales,
                            const uint8_t *codes) {
  memcpy(scales_at(type, panel, k), scales, ROWS);
  size_t columns = line_columns(type);
  for (size_t i = 0; i < GUST_BLOCK_K; i += columns) {
    uint8_t *line = line_at(type, panel, k + i);
    const uint8_t *low = codes + ROWS * i, *high = low + ROWS * 4;
    for (size_t r = 0; r < ROWS; r++)
      for (size_t j = 0; j < 4; j++)
        line[4 * r + j] = type == GUST_TYPE_Q4
                              ? (uint8_t)(low[ROWS * j + r] | high[ROWS * j + r] << 4)
                              : low[ROWS * j + r];
  }
}

/* --- q4, q8: unpacking ---------------------------------------------------------------- */

/* The weight of a code, without the row's scale. */
static float q4_units(uint8_t scale_byte, unsigned code) {
  static const int8_t levels[16] = GUST_Q4_LEVELS;
  int scale = ((int)(scale_byte >> 1) ^ 64) - 64;
  return (float)(scale * (levels[code] + 2 * (scale_byte & 1)));
}

static float q8_units(uint8_t scale_byte, uint8_t code) {
  return (float)(scale_byte * (int8_t)code);
}

static void unpack_quantized(gust_type type, const uint8_t *panel, const uint8_t *row_codes,
                             size_t k_padded, float *values) {
  uint8_t *in = (uint8_t *)panel; /* only read; the helpers serve both ways */
  for (size_t k = 0; k < k_padded; k++) {
    const uint8_t *scales = scales_at(type, in, k / GUST_BLOCK_K * GUST_BLOCK_K);
    const uint8_t *line = line_at(type, in, k) + k % 4;
    unsigned nibble = k % 8 < 4 ? 0 : 4;
    for (size_t r = 0; r < ROWS; r++) {
      float units = type == GUST_TYPE_Q4 ? q4_units(scales[r], line[4 * r] >> nibble & 15)
                                         : q8_units(scales[r], line[4 * r]);
      values[ROWS * k + r] = units * gust_row_scale(row_codes[r]);
    }
  }
}

/* --- q4, q8: packing ------------------------------------------------------------------ */

/* sum (a - b)^2 over a block, in sixteen lanes. */
static void add_error(double *lanes, const float *a, const float *b) {
  for (size_t i = 0; i < GUST_BLOCK_K * ROWS; i += ROWS) {
    for (size_t r = 0; r < ROWS; r++) {
      double d = (double)a[i + r] - (double)b[i + r];
      lanes[r] += d * d;
    }
  }
}

static double pack_quantized(const gust_weight_quantizer *quantizer, gust_type type,
                             const float *values, const float *importance, size_t k_padded,
                             uint8_t *panel, uint8_t *row_codes) {
  uint8_t scales[ROWS], codes[GUST_BLOCK_K * ROWS];
  float rounded[GUST_BLOCK_K * ROWS];
  double lanes[ROWS] = {0}, error = 0;
  quantizer->row_codes(row_codes, values, k_padded);
  for (size_t k = 0; k < k_padded; k += GUST_BLOCK_K, values += GUST_BLOCK_K * ROWS) {
    quantizer->block_scales(scales, values, importance ? importance + k : NULL, row_codes);
    quantizer->round(codes, rounded, values, GUST_BLOCK_K, scales, row_codes);
    gust_panel_store_block(type, panel, k, scales, codes);
    add_error(lanes, values, rounded);
  }
  for (size_t r = 0; r < ROWS; r++) error += lanes[r];
  return error;
}

/* --- any type ------------------------------------------------------------------------- */

const gust_weight_quantizer *gust_weight_quantizer_of(const gust_kernels *kernels, gust_type type) {
  return type == GUST_TYPE_Q4 ? &kernels->weights_q4 : &kernels->weights_q8;
}

double gust_panel_pack(const gust_kernels *kernels, gust_type type, const float *values,
                       const float *importance, size_t k_padded, uint8_t *panel,
                       uint8_t *row_codes) {
  switch (type) {
    case GUST_TYPE_F32: memcpy(panel, values, gust_f32_panel_bytes(k_padded)); return 0;
    case GUST_TYPE_BF16: return pack_bf16(values, k_padded, panel);
    case GUST_TYPE_Q8:
    case GUST_TYPE_Q4: break;
  }
  return pack_quantized(gust_weight_quantizer_of(kernels, type), type, values, importance, k_padded,
                        panel, row_codes);
}

void gust_panel_unpack(gust_type type, const uint8_t *panel, const uint8_t *row_codes,
                       size_t k_padded, float *values) {
  switch (type) {
    case GUST_TYPE_F32: memcpy(values, panel, gust_f32_panel_bytes(k_padded)); return;
    case GUST_TYPE_BF16: unpack_bf16(panel, k_padded, values); return;
    case GUST_TYPE_Q8:
    case GUST_TYPE_Q4: unpack_quantized(type, panel, row_codes, k_padded, values); return;
  }
}

/* Panels of bf16 and f32: the rows interleaved, column by column. Also the
 * choice among all panel types. */
#include <string.h>

#include "quantizers.h"

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

double gust_bf16_pack(const float *rows, size_t k_padded, uint8_t *panel) {
  double error = 0;
  for (size_t k = 0; k < k_padded; k++) {
    for (size_t r = 0; r < GUST_PANEL_ROWS; r++) {
      float value = rows[r * k_padded + k];
      uint16_t half = gust_bf16_from_float(value);
      memcpy(panel + (GUST_PANEL_ROWS * k + r) * 2, &half, sizeof half);
      double d = (double)value - (double)float_from_bf16(half);
      error += d * d;
    }
  }
  return error;
}

void gust_bf16_unpack(const uint8_t *panel, size_t k_padded, float *rows) {
  for (size_t k = 0; k < k_padded; k++) {
    for (size_t r = 0; r < GUST_PANEL_ROWS; r++) {
      uint16_t half;
      memcpy(&half, panel + (GUST_PANEL_ROWS * k + r) * 2, sizeof half);
      rows[r * k_padded + k] = float_from_bf16(half);
    }
  }
}

double gust_f32_pack(const float *rows, size_t k_padded, uint8_t *panel) {
  for (size_t k = 0; k < k_padded; k++)
    for (size_t r = 0; r < GUST_PANEL_ROWS; r++)
      memcpy(panel + (GUST_PANEL_ROWS * k + r) * 4, rows + r * k_padded + k, 4);
  return 0;
}

void gust_f32_unpack(const uint8_t *panel, size_t k_padded, float *rows) {
  for (size_t k = 0; k < k_padded; k++)
    for (size_t r = 0; r < GUST_PANEL_ROWS; r++)
      memcpy(rows + r * k_padded + k, panel + (GUST_PANEL_ROWS * k + r) * 4, 4);
}

/* The exponent of the float, one more where there is a fraction. */
uint8_t gust_row_code_for(float scale) {
  uint32_t bits;
  memcpy(&bits, &scale, sizeof bits);
  uint32_t code = (bits + (1u << GUST_ROW_SCALE_SHIFT) - 1) >> GUST_ROW_SCALE_SHIFT;
  return (uint8_t)(code < 254 ? code : 254);
}

double gust_panel_pack(gust_type type, const float *rows, size_t k_padded, uint8_t *panel,
                       uint8_t *row_codes) {
  switch (type) {
    case GUST_TYPE_F32: return gust_f32_pack(rows, k_padded, panel);
    case GUST_TYPE_BF16: return gust_bf16_pack(rows, k_padded, panel);
    case GUST_TYPE_Q8: return gust_q8_pack(rows, k_padded, panel, row_codes);
    case GUST_TYPE_Q4: return gust_q4_pack(rows, k_padded, panel, row_codes);
  }
  return 0;
}

void gust_panel_unpack(gust_type type, const uint8_t *panel, const uint8_t *row_codes,
                       size_t k_padded, float *rows) {
  switch (type) {
    case GUST_TYPE_F32: gust_f32_unpack(panel, k_padded, rows); break;
    case GUST_TYPE_BF16: gust_bf16_unpack(panel, k_padded, rows); break;
    case GUST_TYPE_Q8: gust_q8_unpack(panel, row_codes, k_padded, rows); break;
    case GUST_TYPE_Q4: gust_q4_unpack(panel, row_codes, k_padded, rows); break;
  }
}

/* The C reference of every kernel: what it computes is what every level
 * computes, bit by bit. */
#include "lanes_c.h"
/* Before kernels.h, which float_kernels.h includes. */
#include "calibration_kernels.h"
#include "float_kernels.h"
#include "levels.h"
#include "weight_kernels.h"

static const int8_t q4_levels[16] = GUST_Q4_LEVELS;

/* Code of row r, column i in [0, 32) of a block's four lines. */
static int q4_code(const uint8_t *lines, size_t r, size_t i) {
  uint8_t byte = lines[i / 8 * GUST_LINE + 4 * r + i % 4];
  return i % 8 < 4 ? byte & 15 : byte >> 4;
}

/* One row of a q4 panel times one token: per block of 32 an exact integer sum,
 * times the block scale, times the activation's scale into the accumulator. */
static float dot_q4(const uint8_t *panel, size_t r, const int8_t *codes, const float *scales,
                    size_t k_padded) {
  const uint8_t *tile = panel;
  float sum = 0;
  for (size_t k = 0; k < k_padded; k += GUST_TILE_K, tile += GUST_Q4_TILE_BYTES) {
    for (size_t b = 0; b < GUST_TILE_BLOCKS; b++) {
      const uint8_t *lines = tile + GUST_LINE + b * 4 * GUST_LINE;
      int scale_byte = (int8_t)tile[16 * b + r];
      int shift = 2 * (scale_byte & 1), dot = 0;
      for (size_t i = 0; i < GUST_BLOCK_K; i++)
        dot += (q4_levels[q4_code(lines, r, i)] + shift) * codes[k + 32 * b + i];
      float scaled = (float)dot * (float)(scale_byte >> 1);
      sum = fma_float(scaled, scales[k / 32 + b], sum);
    }
  }
  return sum;
}

static float dot_q8(const uint8_t *panel, size_t r, const int8_t *codes, const float *scales,
                    size_t k_padded) {
  const uint8_t *tile = panel;
  float sum = 0;
  for (size_t k = 0; k < k_padded; k += GUST_TILE_K, tile += GUST_Q8_TILE_BYTES) {
    for (size_t b = 0; b < GUST_TILE_BLOCKS; b++) {
      const uint8_t *lines = tile + GUST_LINE + b * 8 * GUST_LINE;
      int dot = 0;
      for (size_t i = 0; i < GUST_BLOCK_K; i++)
        dot += (int8_t)lines[i / 4 * GUST_LINE + 4 * r + i % 4] * codes[k + 32 * b + i];
      float scaled = (float)dot * (float)tile[16 * b + r];
      sum = fma_float(scaled, scales[k / 32 + b], sum);
    }
  }
  return sum;
}

static void matmul_q4_c(float *dst, size_t dst_stride, const uint8_t *panels,
                        const uint8_t *row_codes, size_t panel_count, const gust_activations *x,
                        size_t tokens) {
  size_t k = x->k_padded, bytes = gust_q4_panel_bytes(k);
  for (size_t p = 0; p < panel_count; p++)
    for (size_t t = 0; t < tokens; t++)
      for (size_t r = 0; r < GUST_PANEL_ROWS; r++)
        dst[t * dst_stride + p * GUST_PANEL_ROWS + r] =
            dot_q4(panels + p * bytes, r, x->codes + t * x->stride, x->scales + t * (k / 32), k) *
            gust_row_scale(row_codes[p * GUST_PANEL_ROWS + r]);
}

static void matmul_q8_c(float *dst, size_t dst_stride, const uint8_t *panels,
                        const uint8_t *row_codes, size_t panel_count, const gust_activations *x,
                        size_t tokens) {
  size_t k = x->k_padded, bytes = gust_q8_panel_bytes(k);
  for (size_t p = 0; p < panel_count; p++)
    for (size_t t = 0; t < tokens; t++)
      for (size_t r = 0; r < GUST_PANEL_ROWS; r++)
        dst[t * dst_stride + p * GUST_PANEL_ROWS + r] =
            dot_q8(panels + p * bytes, r, x->codes + t * x->stride, x->scales + t * (k / 32), k) *
            gust_row_scale(row_codes[p * GUST_PANEL_ROWS + r]);
}

void gust_kernels_fill_c(gust_kernels *kernels) {
  kernels->level = "c";
  fill_float_kernels(kernels);
  fill_weight_kernels(kernels);
  fill_calibration_kernels(kernels);
  kernels->matmul_q4 = matmul_q4_c;
  kernels->matmul_q8 = matmul_q8_c;
}

size_t gust_key_tile_bytes(int kv_type, size_t head_dim) {
  switch (kv_type) {
    case GUST_KV_TILE_F32: return head_dim * GUST_CHUNK * sizeof(float);
    case GUST_KV_TILE_F16: return head_dim * GUST_CHUNK * sizeof(uint16_t);
    default: return kv_blocks(head_dim) * GUST_CHUNK * sizeof(float) + head_dim * GUST_CHUNK;
  }
}

size_t gust_value_tile_bytes(int kv_type, size_t head_dim) {
  size_t padded = gust_round_up(head_dim, 16);
  switch (kv_type) {
    case GUST_KV_TILE_F32: return padded * GUST_CHUNK * sizeof(float);
    case GUST_KV_TILE_F16: return padded * GUST_CHUNK * sizeof(uint16_t);
    default:
      return gust_round_up(kv_blocks(head_dim) * GUST_CHUNK * sizeof(float), 64) +
             padded * GUST_CHUNK;
  }
}

void gust_panel_row_q4(float *dst, const uint8_t *panels, const uint8_t *row_codes, size_t row,
                       size_t k_padded) {
  const uint8_t *panel = panels + row / 16 * gust_q4_panel_bytes(k_padded);
  size_t r = row % 16;
  float row_scale = gust_row_scale(row_codes[row]);
  for (size_t k = 0; k < k_padded; k++) {
    const uint8_t *tile = panel + k / GUST_TILE_K * GUST_Q4_TILE_BYTES;
    size_t b = k % GUST_TILE_K / GUST_BLOCK_K;
    int scale_byte = (int8_t)tile[16 * b + r];
    int code = q4_code(tile + GUST_LINE + b * 4 * GUST_LINE, r, k % GUST_BLOCK_K);
    int level = q4_levels[code] + 2 * (scale_byte & 1);
    dst[k] = (float)(level * (scale_byte >> 1)) * row_scale;
  }
}

void gust_panel_row_q8(float *dst, const uint8_t *panels, const uint8_t *row_codes, size_t row,
                       size_t k_padded) {
  const uint8_t *panel = panels + row / 16 * gust_q8_panel_bytes(k_padded);
  size_t r = row % 16;
  float row_scale = gust_row_scale(row_codes[row]);
  for (size_t k = 0; k < k_padded; k++) {
    const uint8_t *tile = panel + k / GUST_TILE_K * GUST_Q8_TILE_BYTES;
    const uint8_t *line = tile + GUST_LINE + k % GUST_TILE_K / 4 * GUST_LINE;
    int scale = tile[16 * (k % GUST_TILE_K / GUST_BLOCK_K) + r];
    dst[k] = (float)((int8_t)line[4 * r + k % 4] * scale) * row_scale;
  }
}

void gust_panel_row_bf16(float *dst, const uint8_t *panels, size_t row, size_t k_padded) {
  const uint16_t *panel =
      (const uint16_t *)(const void *)(panels + row / 16 * gust_bf16_panel_bytes(k_padded));
  for (size_t k = 0; k < k_padded; k++)
    dst[k] = bits_float((uint32_t)panel[16 * k + row % 16] << 16);
}

void gust_panel_row_f32(float *dst, const uint8_t *panels, size_t row, size_t k_padded) {
  const float *panel =
      (const float *)(const void *)(panels + row / 16 * gust_f32_panel_bytes(k_padded));
  for (size_t k = 0; k < k_padded; k++) dst[k] = panel[16 * k + row % 16];
}

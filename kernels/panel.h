/* The packed layout of a matrix, the same for every instruction set.
 *
 * A matrix [rows, columns] is padded with zeros to a multiple of 16 rows and
 * 128 columns (k) and cut into panels of 16 rows, stored one after the other.
 * Lanes of a vector are rows, so no kernel ever reduces across a register.
 *
 *   q4 panel: per 128 columns a tile of 17 lines of 64 bytes:
 *     line 0: scale bytes, byte[16 b + r] for block b (32 columns) and row r:
 *             (scale << 1 | shift), scale in [-64, 63]
 *     lines 1 + 4 b + j: codes of block b, columns 8 j .. 8 j + 7:
 *             byte[4 r + i] = code(r, 8 j + i) | code(r, 8 j + 4 + i) << 4
 *     weight = row scale * scale * (gust_q4_levels[code] + 2 shift)
 *   q8 panel: per 128 columns a tile of 33 lines:
 *     line 0: scale bytes, unsigned, byte[16 b + r]
 *     lines 1 + 8 b + j: codes of block b, columns 4 j .. 4 j + 3:
 *             byte[4 r + i] = code(r, 4 j + i), int8 in [-127, 127]
 *     weight = row scale * scale * code
 *   bf16, f32 panel: for each column in order its 16 rows: value[16 k + r]
 *
 * After the panels of a quantized matrix come its row codes, one byte for each
 * padded row, filled up with zeros to a whole line: the exponent of the row
 * scale, a power of two (gust_row_scale). That is enough: the row scale only
 * places the grid on which the block scales are then fitted, and narrow matrices
 * would pay for more.
 */
#ifndef GUST_PANEL_H
#define GUST_PANEL_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define GUST_PANEL_ROWS 16u
#define GUST_TILE_K 128u
#define GUST_BLOCK_K 32u
#define GUST_TILE_BLOCKS 4u
#define GUST_LINE 64u
#define GUST_Q4_TILE_BYTES (17u * GUST_LINE)
#define GUST_Q8_TILE_BYTES (33u * GUST_LINE)

/* Non-linear 4-bit code, dense around zero where weights are. 7-bit values, so
 * that level + 64 times two activations cannot saturate 16 bits. */
#define GUST_Q4_LEVELS \
  { -64, -52, -42, -33, -25, -18, -11, -5, 0, 6, 12, 19, 26, 34, 45, 57 }
#define GUST_Q4_LEVEL_BIAS 64

static inline size_t gust_round_up(size_t n, size_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

static inline size_t gust_q4_panel_bytes(size_t k_padded) {
  return k_padded / GUST_TILE_K * GUST_Q4_TILE_BYTES;
}
static inline size_t gust_q8_panel_bytes(size_t k_padded) {
  return k_padded / GUST_TILE_K * GUST_Q8_TILE_BYTES;
}
static inline size_t gust_bf16_panel_bytes(size_t k_padded) {
  return GUST_PANEL_ROWS * k_padded * 2;
}
static inline size_t gust_f32_panel_bytes(size_t k_padded) {
  return GUST_PANEL_ROWS * k_padded * 4;
}

/* Bytes of the row codes of a matrix of `panels` panels. */
static inline size_t gust_row_code_bytes(size_t panels) {
  return gust_round_up(panels * GUST_PANEL_ROWS, GUST_LINE);
}

/* 2^(code - 127); 0 for code 0. A float with the code for an exponent. */
#define GUST_ROW_SCALE_SHIFT 23
static inline float gust_row_scale(uint8_t code) {
  uint32_t bits = (uint32_t)code << GUST_ROW_SCALE_SHIFT;
  float scale;
  memcpy(&scale, &bits, sizeof scale);
  return scale;
}

#endif

/* The quantized products of the Arm levels, written once. A level's file includes
 * arm_block.h, defines what follows and then includes this:
 *
 *   ARM_PAIRS           see arm_block.h
 *   ARM_TILE_TOKENS     tokens a register tile holds: 2 or 8
 *   ARM_DECODE_PANELS   panels a lone token walks at once, so that enough cache
 *                       lines are under way
 *   lone_block, load_lone(codes), dot_rows(sums, w, a, bits)
 *                       a block of one token, and its product with four rows
 *   multiply_tile(sums, w, x, b, t, tokens, bits)
 *                       adds block b's products with tokens t .. t + tokens - 1
 *                       to their sums, sixteen floats a token (a pair: 2 x 2 in
 *                       each register)
 *
 * All static; the level publishes matmul_q4_arm and matmul_q8_arm. */
#include <string.h>

#include "arm_block.h"

/* Bytes ahead of the current tile at which a lone token prefetches. */
#define ARM_PREFETCH_AHEAD 2176

static inline size_t arm_panel_bytes(int bits, size_t k_padded) {
  return bits == 4 ? gust_q4_panel_bytes(k_padded) : gust_q8_panel_bytes(k_padded);
}
static inline size_t arm_tile_bytes(int bits) {
  return bits == 4 ? GUST_Q4_TILE_BYTES : GUST_Q8_TILE_BYTES;
}

/* --- weights ------------------------------------------------------------------------- */

/* Sixteen scale bytes of a block as floats. */
static GUST_INLINE void widen_scales(float32x4_t scales[4], const uint8_t *bytes, int bits) {
  int16x8_t half[2];
  if (bits == 4) {
    int8x16_t scale = vshrq_n_s8(vreinterpretq_s8_u8(vld1q_u8(bytes)), 1);
    half[0] = vmovl_s8(vget_low_s8(scale));
    half[1] = vmovl_high_s8(scale);
  } else {
    uint8x16_t scale = vld1q_u8(bytes);
    half[0] = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(scale)));
    half[1] = vreinterpretq_s16_u16(vmovl_high_u8(scale));
  }
  for (int i = 0; i < 2; i++) {
    scales[2 * i] = vcvtq_f32_s32(vmovl_s16(vget_low_s16(half[i])));
    scales[2 * i + 1] = vcvtq_f32_s32(vmovl_high_s16(half[i]));
  }
}

/* The shift bits of a block's sixteen rows: 1 or 0. */
static GUST_INLINE int8x16_t shift_bits(const uint8_t *scale_bytes) {
  return vreinterpretq_s8_u8(vandq_u8(vld1q_u8(scale_bytes), vdupq_n_u8(1)));
}

static GUST_INLINE int8x16_t level_table(void) {
  static const int8_t levels[16] = GUST_Q4_LEVELS;
  return vld1q_s8(levels);
}

/* Sixteen bytes of a q4 line: the levels of two neighbouring quads of columns. */
static GUST_INLINE int8x16x2_t levels_of(uint8x16_t line, int8x16_t table) {
  return (int8x16x2_t){
      {vqtbl1q_s8(table, vandq_u8(line, vdupq_n_u8(15))), vqtbl1q_s8(table, vshrq_n_u8(line, 4))}};
}

/* Two neighbouring quads of columns, of four rows, into lines j and j + 1. */
static GUST_INLINE void store_quads(int8_t *line, int8x16x2_t quads) {
  if (ARM_PAIRS) {
    int32x4_t even = vreinterpretq_s32_s8(quads.val[0]), odd = vreinterpretq_s32_s8(quads.val[1]);
    quads.val[0] = vreinterpretq_s8_s32(vzip1q_s32(even, odd));
    quads.val[1] = vreinterpretq_s8_s32(vzip2q_s32(even, odd));
  }
  vst1q_s8(line, quads.val[0]);
  vst1q_s8(line + GUST_LINE, quads.val[1]);
}

/* A block's codes as levels, the rows' shifts added: within [-64, 59]. */
static GUST_INLINE void expand_q4(int8_t *dst, const uint8_t *lines, const uint8_t *scale_bytes) {
  static const uint8_t first_rows[16] = {0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3};
  const int8x16_t table = level_table(), shifts = vshlq_n_s8(shift_bits(scale_bytes), 1);
  uint8x16_t rows = vld1q_u8(first_rows);
  for (size_t q = 0; q < 4; q++) {
    int8x16_t shift = vqtbl1q_s8(shifts, rows);
    for (size_t j = 0; j < 4; j++) {
      int8x16x2_t quads = levels_of(vld1q_u8(lines + j * GUST_LINE + 16 * q), table);
      quads.val[0] = vaddq_s8(quads.val[0], shift);
      quads.val[1] = vaddq_s8(quads.val[1], shift);
      store_quads(dst + 2 * j * GUST_LINE + 16 * q, quads);
    }
    rows = vaddq_u8(rows, vdupq_n_u8(4));
  }
}

static GUST_INLINE void arrange_q8(int8_t *dst, const uint8_t *lines) {
  const int8_t *codes = (const int8_t *)lines;
  for (size_t j = 0; j < 8; j += 2)
    for (size_t q = 0; q < 4; q++) {
      const int8_t *even = codes + j * GUST_LINE + 16 * q;
      store_quads(dst + j * GUST_LINE + 16 * q,
                  (int8x16x2_t){{vld1q_s8(even), vld1q_s8(even + GUST_LINE)}});
    }
}

static GUST_INLINE void store_scales(float *scales, float *offsets, const uint8_t *bytes,
                                     int bits) {
  float32x4_t wide[4];
  widen_scales(wide, bytes, bits);
  for (int q = 0; q < 4; q++) {
    float32x4_t parts[2] = {wide[q], wide[q]};
    if (ARM_PAIRS) {
      parts[0] = vcombine_f32(vget_low_f32(wide[q]), vget_low_f32(wide[q]));
      parts[1] = vcombine_f32(vget_high_f32(wide[q]), vget_high_f32(wide[q]));
    }
    for (int i = 0; i < ARM_COPIES; i++) {
      vst1q_f32(scales + 4 * (q * ARM_COPIES + i), parts[i]);
      vst1q_f32(offsets + 4 * (q * ARM_COPIES + i), vmulq_n_f32(parts[i], -ARM_SUM_FLOAT));
    }
  }
}

/* `room`: for the codes of a tile, unless they serve as they lie in the panel. */
static GUST_INLINE void load_weights(arm_weights *w, int8_t *room, const uint8_t *tile, int bits) {
  const uint8_t *lines = tile + GUST_LINE;
  w->lines = room;
  if (bits == 8 && !ARM_PAIRS) w->lines = (const int8_t *)lines;
  for (size_t b = 0; b < GUST_TILE_BLOCKS; b++) {
    const uint8_t *scale_bytes = tile + GUST_PANEL_ROWS * b;
    store_scales(w->scales[b], w->offsets[b], scale_bytes, bits);
    if (bits == 4)
      expand_q4(room + b * ARM_BLOCK_BYTES, lines + b * 4 * GUST_LINE, scale_bytes);
    else if (ARM_PAIRS)
      arrange_q8(room + b * ARM_BLOCK_BYTES, lines + b * 8 * GUST_LINE);
  }
}

/* --- one token ----------------------------------------------------------------------- */

/* Where the integer sums of a block start: the shift of a row, 2 for each
 * column, adds twice the sum of the activations. At most 2 * 32 * 127, which
 * fits 16 bits. */
static GUST_INLINE void shift_sums(int32x4_t sums[4], const uint8_t *scale_bytes, int32_t act_sum,
                                   int bits) {
  for (int q = 0; q < 4; q++) sums[q] = vdupq_n_s32(0);
  if (bits == 8) return;
  int8x16_t ones = shift_bits(scale_bytes);
  int16x8_t low = vmovl_s8(vget_low_s8(ones)), high = vmovl_high_s8(ones);
  int16_t twice = (int16_t)(2 * act_sum);
  sums[0] = vmull_n_s16(vget_low_s16(low), twice);
  sums[1] = vmull_high_n_s16(low, twice);
  sums[2] = vmull_n_s16(vget_low_s16(high), twice);
  sums[3] = vmull_high_n_s16(high, twice);
}

/* Eight quads of columns of the rows 4 q .. 4 q + 3. */
static GUST_INLINE void load_quads(int8x16_t w[8], const uint8_t *lines, size_t q, int bits) {
  if (bits == 8) {
    for (size_t j = 0; j < 8; j++)
      w[j] = vreinterpretq_s8_u8(vld1q_u8(lines + j * GUST_LINE + 16 * q));
    return;
  }
  const int8x16_t table = level_table();
  for (size_t j = 0; j < 4; j++) {
    int8x16x2_t quads = levels_of(vld1q_u8(lines + j * GUST_LINE + 16 * q), table);
    w[2 * j] = quads.val[0];
    w[2 * j + 1] = quads.val[1];
  }
}

/* Adds the products of block b of a tile with one token to sixteen rows' sums. */
static GUST_INLINE void add_lone_block(float32x4_t sums[4], const uint8_t *tile, size_t b,
                                       lone_block a, int32_t act_sum, float act_scale, int bits) {
  const uint8_t *lines = tile + GUST_LINE + b * (size_t)bits * GUST_LINE;
  const uint8_t *scale_bytes = tile + GUST_PANEL_ROWS * b;
  if (b == 0) __builtin_prefetch(tile + ARM_PREFETCH_AHEAD);
  for (size_t j = 0; j < (size_t)bits; j++)
    __builtin_prefetch(lines + j * GUST_LINE + ARM_PREFETCH_AHEAD);
  float32x4_t scales[4];
  int32x4_t dots[4];
  widen_scales(scales, scale_bytes, bits);
  shift_sums(dots, scale_bytes, act_sum, bits);
  for (size_t q = 0; q < 4; q++) {
    int8x16_t w[8];
    load_quads(w, lines, q, bits);
    float32x4_t dot = vcvtq_f32_s32(dot_rows(dots[q], w, a, bits));
    sums[q] = vfmaq_n_f32(sums[q], vmulq_f32(dot, scales[q]), act_scale);
  }
}

static GUST_INLINE float32x4_t load_row_scales(const uint8_t *codes) {
  uint32_t four;
  memcpy(&four, codes, sizeof four);
  uint16x8_t wide = vmovl_u8(vcreate_u8(four));
  uint32x4_t exponents = vmovl_u16(vget_low_u16(wide));
  return vreinterpretq_f32_u32(vshlq_n_u32(exponents, GUST_ROW_SCALE_SHIFT));
}

/* `panels` panels, block by block in turn, times one token. */
static GUST_INLINE void multiply_lone(float *dst, const uint8_t *panel, const uint8_t *row_codes,
                                      const gust_activations *x, size_t panels, int bits) {
  size_t panel_bytes = arm_panel_bytes(bits, x->k_padded);
  float32x4_t sums[ARM_DECODE_PANELS][4];
  for (size_t p = 0; p < panels; p++)
    for (int q = 0; q < 4; q++) sums[p][q] = vdupq_n_f32(0);
  size_t block = 0;
  for (const uint8_t *tile = panel; block < x->k_padded / GUST_BLOCK_K;
       tile += arm_tile_bytes(bits))
    for (size_t b = 0; b < GUST_TILE_BLOCKS; b++, block++) {
      lone_block a = load_lone(x->codes + GUST_BLOCK_K * block);
      for (size_t p = 0; p < panels; p++)
        add_lone_block(sums[p], tile + p * panel_bytes, b, a, x->sums[block], x->scales[block],
                       bits);
    }
  for (size_t p = 0; p < panels; p++)
    for (size_t q = 0; q < 4; q++) {
      size_t row = p * GUST_PANEL_ROWS + 4 * q;
      vst1q_f32(dst + row, vmulq_f32(sums[p][q], load_row_scales(row_codes + row)));
    }
}

/* --- many tokens ----------------------------------------------------------------------- */

/* Two tokens' 128 codes by turns, eight of the one and eight of the other, so
 * that a register holds the same eight columns of both. */
static GUST_INLINE void arrange_pair(int8_t *dst, const int8_t *first, const int8_t *second) {
  for (size_t k = 0; k < GUST_TILE_K; k += 16) {
    int64x2_t a = vreinterpretq_s64_s8(vld1q_s8(first + k));
    int64x2_t b = vreinterpretq_s64_s8(vld1q_s8(second + k));
    vst1q_s8(dst + 2 * k, vreinterpretq_s8_s64(vzip1q_s64(a, b)));
    vst1q_s8(dst + 2 * k + 16, vreinterpretq_s8_s64(vzip2q_s64(a, b)));
  }
}

/* Tile `tile` of `tokens` tokens from `first`. Pairs: an odd last token is its
 * own partner, whose products are left out at the end. `room`: for their codes,
 * arranged in pairs. */
static GUST_INLINE void load_tokens(arm_tokens *group, int8_t *room, const gust_activations *x,
                                    size_t first, size_t tokens, size_t tile) {
  size_t blocks = x->k_padded / GUST_BLOCK_K;
  const int8_t *codes = x->codes + first * x->stride + tile * GUST_TILE_K;
  const float *scales = x->scales + first * blocks + tile * GUST_TILE_BLOCKS;
  group->codes = ARM_PAIRS ? room : codes;
  group->stride = ARM_PAIRS ? GUST_TILE_K : x->stride;
  for (size_t t = 0; t < gust_round_up(tokens, ARM_COPIES); t++) {
    size_t from = t < tokens ? t : t - 1;
    for (size_t b = 0; b < GUST_TILE_BLOCKS; b++)
      for (size_t i = 0; i < ARM_COPIES; i++)
        group->scales[b][t * ARM_COPIES + i] = scales[from * blocks + b];
    if (ARM_PAIRS && t % 2)
      arrange_pair(room + (t - 1) * GUST_TILE_K, codes + (t - 1) * x->stride,
                   codes + from * x->stride);
  }
}

/* Adds the products of a tile with `tokens` tokens, of pairs an even number. */
static void multiply_tokens(float *sums, const arm_weights *w, const arm_tokens *x, size_t tokens,
                            int bits) {
#define TILES_OF(count)                       \
  for (; t + (count) <= tokens; t += (count)) \
  multiply_tile(sums + t * GUST_PANEL_ROWS, w, x, b, t, (count), bits)
  for (size_t b = 0; b < GUST_TILE_BLOCKS; b++) {
    size_t t = 0;
#if ARM_TILE_TOKENS == 8
    TILES_OF(8);
    TILES_OF(4);
#endif
    TILES_OF(2);
#if !ARM_PAIRS
    TILES_OF(1);
#endif
  }
#undef TILES_OF
}

/* Sums, times the rows' scales, to where they belong. */
static GUST_INLINE void store_sums(float *dst, size_t dst_stride, const float *sums,
                                   const uint8_t *row_codes, size_t tokens) {
  for (size_t q = 0; q < 4; q++) {
    float32x4_t scale = load_row_scales(row_codes + 4 * q);
    for (size_t t = 0; t < tokens; t++) {
      float32x4_t sum;
      if (ARM_PAIRS) {
        const float *two = sums + (t & ~(size_t)1) * GUST_PANEL_ROWS + 8 * q + t % 2 * 2;
        sum = vcombine_f32(vld1_f32(two), vld1_f32(two + 4));
      } else {
        sum = vld1q_f32(sums + t * GUST_PANEL_ROWS + 4 * q);
      }
      vst1q_f32(dst + t * dst_stride + 4 * q, vmulq_f32(sum, scale));
    }
  }
}

/* At most ARM_GROUP_PANELS panels times at most ARM_GROUP_TOKENS tokens from
 * `first`, one tile of 128 columns after the other: 27 KiB on the stack, little
 * enough for the first-level cache. */
static GUST_INLINE void multiply_group(float *dst, size_t dst_stride, const uint8_t *panel,
                                       const uint8_t *row_codes, size_t panels,
                                       const gust_activations *x, size_t first, size_t tokens,
                                       int bits) {
  _Alignas(GUST_LINE) float sums[ARM_GROUP_PANELS][ARM_GROUP_TOKENS * GUST_PANEL_ROWS];
  _Alignas(GUST_LINE) int8_t weight_room[GUST_TILE_BLOCKS * ARM_BLOCK_BYTES];
  _Alignas(GUST_LINE) int8_t token_room[ARM_PAIRS ? ARM_GROUP_TOKENS * GUST_TILE_K : 1];
  size_t panel_bytes = arm_panel_bytes(bits, x->k_padded);
  size_t padded = gust_round_up(tokens, ARM_COPIES);
  arm_weights w;
  arm_tokens group;
  for (size_t p = 0; p < panels; p++) memset(sums[p], 0, padded * GUST_PANEL_ROWS * sizeof(float));
  for (size_t tile = 0; tile < x->k_padded / GUST_TILE_K; tile++) {
    load_tokens(&group, token_room, x, first, tokens, tile);
    for (size_t p = 0; p < panels; p++) {
      load_weights(&w, weight_room, panel + p * panel_bytes + tile * arm_tile_bytes(bits), bits);
      multiply_tokens(sums[p], &w, &group, padded, bits);
    }
  }
  for (size_t p = 0; p < panels; p++)
    store_sums(dst + p * GUST_PANEL_ROWS, dst_stride, sums[p], row_codes + p * GUST_PANEL_ROWS,
               tokens);
}

static inline size_t arm_least(size_t a, size_t b) {
  return a < b ? a : b;
}

static GUST_INLINE void multiply(float *dst, size_t dst_stride, const uint8_t *panels,
                                 const uint8_t *row_codes, size_t panel_count,
                                 const gust_activations *x, size_t tokens, int bits) {
  size_t bytes = arm_panel_bytes(bits, x->k_padded), p = 0;
  if (tokens == 1) {
    for (; p + ARM_DECODE_PANELS <= panel_count; p += ARM_DECODE_PANELS)
      multiply_lone(dst + p * GUST_PANEL_ROWS, panels + p * bytes, row_codes + p * GUST_PANEL_ROWS,
                    x, ARM_DECODE_PANELS, bits);
    for (; p < panel_count; p++)
      multiply_lone(dst + p * GUST_PANEL_ROWS, panels + p * bytes, row_codes + p * GUST_PANEL_ROWS,
                    x, 1, bits);
    return;
  }
  for (; p < panel_count; p += ARM_GROUP_PANELS)
    for (size_t t = 0; t < tokens; t += ARM_GROUP_TOKENS)
      multiply_group(dst + t * dst_stride + p * GUST_PANEL_ROWS, dst_stride, panels + p * bytes,
                     row_codes + p * GUST_PANEL_ROWS, arm_least(panel_count - p, ARM_GROUP_PANELS),
                     x, t, arm_least(tokens - t, ARM_GROUP_TOKENS), bits);
}

static void matmul_q4_arm(float *dst, size_t dst_stride, const uint8_t *panels,
                          const uint8_t *row_codes, size_t panel_count, const gust_activations *x,
                          size_t tokens) {
  multiply(dst, dst_stride, panels, row_codes, panel_count, x, tokens, 4);
}

static void matmul_q8_arm(float *dst, size_t dst_stride, const uint8_t *panels,
                          const uint8_t *row_codes, size_t panel_count, const gust_activations *x,
                          size_t tokens) {
  multiply(dst, dst_stride, panels, row_codes, panel_count, x, tokens, 8);
}

/* Sixteen float lanes in four AArch64 SIMD registers; same bits as lanes_c.h.
 * Relies on the default of the floating-point control register (float_state.h):
 * rounding to nearest, nothing flushed to zero, IEEE halves. */
#ifndef GUST_LANES_NEON_H
#define GUST_LANES_NEON_H

#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "q4_cells.h"

/* Four members rather than an array of four, so that compilers keep arrays of vf
 * in registers. */
typedef struct vf {
  float32x4_t a, b, c, d;
} vf;

#define V_EACH1(f, x) ((vf){f((x).a), f((x).b), f((x).c), f((x).d)})
#define V_EACH2(f, x, y) ((vf){f((x).a, (y).a), f((x).b, (y).b), f((x).c, (y).c), f((x).d, (y).d)})
#define V_EACH3(f, x, y, z)                                                     \
  ((vf){f((x).a, (y).a, (z).a), f((x).b, (y).b, (z).b), f((x).c, (y).c, (z).c), \
        f((x).d, (y).d, (z).d)})

static inline vf v_set1(float x) {
  float32x4_t four = vdupq_n_f32(x);
  return (vf){four, four, four, four};
}
static inline vf v_load(const float *p) {
  return (vf){vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)};
}
static inline void v_store(float *p, vf x) {
  vst1q_f32(p, x.a);
  vst1q_f32(p + 4, x.b);
  vst1q_f32(p + 8, x.c);
  vst1q_f32(p + 12, x.d);
}
static inline vf v_load_n(const float *p, size_t n) {
  float whole[16] = {0};
  memcpy(whole, p, n * sizeof(float));
  return v_load(whole);
}
static inline void v_store_n(float *p, vf x, size_t n) {
  float whole[16];
  v_store(whole, x);
  memcpy(p, whole, n * sizeof(float));
}

static inline vf v_add(vf x, vf y) {
  return V_EACH2(vaddq_f32, x, y);
}
static inline vf v_sub(vf x, vf y) {
  return V_EACH2(vsubq_f32, x, y);
}
static inline vf v_mul(vf x, vf y) {
  return V_EACH2(vmulq_f32, x, y);
}
static inline vf v_div(vf x, vf y) {
  return V_EACH2(vdivq_f32, x, y);
}
static inline vf v_fma(vf x, vf y, vf z) {
  return V_EACH3(vfmaq_f32, z, x, y);
}
static inline vf v_fnma(vf x, vf y, vf z) {
  return V_EACH3(vfmsq_f32, z, x, y);
}
/* fmax and fmin would order zeros by sign and pass NaNs on. */
static inline float32x4_t greater_of(float32x4_t x, float32x4_t y) {
  return vbslq_f32(vcgtq_f32(x, y), x, y);
}
static inline float32x4_t smaller_of(float32x4_t x, float32x4_t y) {
  return vbslq_f32(vcltq_f32(x, y), x, y);
}
static inline vf v_max(vf x, vf y) {
  return V_EACH2(greater_of, x, y);
}
static inline vf v_min(vf x, vf y) {
  return V_EACH2(smaller_of, x, y);
}
static inline vf v_abs(vf x) {
  return V_EACH1(vabsq_f32, x);
}
static inline vf v_neg(vf x) {
  return V_EACH1(vnegq_f32, x);
}
/* By adding and subtracting 1.5 * 2^23, as the reference does: frintn would keep
 * the sign of zero. */
static inline vf v_rint(vf x) {
  vf magic = v_set1(12582912.0f);
  return v_sub(v_add(x, magic), magic);
}
static inline float32x4_t pow2_quad(float32x4_t x) {
  int32x4_t e = vaddq_s32(vcvtq_s32_f32(x), vdupq_n_s32(127));
  return vreinterpretq_f32_s32(vshlq_n_s32(e, 23));
}
static inline vf v_pow2(vf x) {
  return V_EACH1(pow2_quad, x);
}
static inline float32x4_t zero_unless_lt_quad(float32x4_t x, float32x4_t y, float32x4_t z) {
  return vreinterpretq_f32_u32(vandq_u32(vcltq_f32(x, y), vreinterpretq_u32_f32(z)));
}
static inline vf v_zero_unless_lt(vf x, vf y, vf z) {
  return V_EACH3(zero_unless_lt_quad, x, y, z);
}
static inline float32x4_t select_lt_quad(float32x4_t a, float32x4_t b, float32x4_t x,
                                         float32x4_t y) {
  return vbslq_f32(vcltq_f32(a, b), x, y);
}
static inline vf v_select_lt(vf a, vf b, vf x, vf y) {
  return (vf){select_lt_quad(a.a, b.a, x.a, y.a), select_lt_quad(a.b, b.b, x.b, y.b),
              select_lt_quad(a.c, b.c, x.c, y.c), select_lt_quad(a.d, b.d, x.d, y.d)};
}
static inline unsigned range_mask_quad(float32x4_t x, float32x4_t low, float32x4_t high) {
  static const uint32_t lane_bits[4] = {1, 2, 4, 8};
  uint32x4_t within = vandq_u32(vcgeq_f32(x, low), vcltq_f32(x, high));
  return vaddvq_u32(vandq_u32(within, vld1q_u32(lane_bits)));
}
static inline unsigned v_range_mask(vf x, vf low, vf high) {
  return range_mask_quad(x.a, low.a, high.a) | range_mask_quad(x.b, low.b, high.b) << 4 |
         range_mask_quad(x.c, low.c, high.c) << 8 | range_mask_quad(x.d, low.d, high.d) << 12;
}
static inline float32x4_t keep_range_quad(float32x4_t x, int base, int first, int last,
                                          float fill) {
  static const int32_t counting[4] = {0, 1, 2, 3};
  int32x4_t lane = vaddq_s32(vdupq_n_s32(base), vld1q_s32(counting));
  uint32x4_t keep =
      vandq_u32(vcgeq_s32(lane, vdupq_n_s32(first)), vcltq_s32(lane, vdupq_n_s32(last)));
  return vbslq_f32(keep, x, vdupq_n_f32(fill));
}
static inline vf v_keep_range(vf x, size_t base, size_t first, size_t last, float fill) {
  int at = (int)base, from = (int)first, to = (int)last;
  return (vf){
      keep_range_quad(x.a, at, from, to, fill), keep_range_quad(x.b, at + 4, from, to, fill),
      keep_range_quad(x.c, at + 8, from, to, fill), keep_range_quad(x.d, at + 12, from, to, fill)};
}
static inline float v_sum(vf x) {
  float32x4_t s4 = vaddq_f32(vaddq_f32(x.a, x.c), vaddq_f32(x.b, x.d));
  float32x2_t s2 = vadd_f32(vget_low_f32(s4), vget_high_f32(s4));
  return vget_lane_f32(s2, 0) + vget_lane_f32(s2, 1);
}
static inline float v_hmax(vf x) {
  float32x4_t s4 = greater_of(greater_of(x.a, x.c), greater_of(x.b, x.d));
  float32x4_t s2 = greater_of(s4, vextq_f32(s4, s4, 2));
  float a = vgetq_lane_f32(s2, 0), b = vgetq_lane_f32(s2, 1);
  return a > b ? a : b;
}

static inline float32x4_t load_f16_quad(const uint16_t *p) {
  return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}
static inline vf v_load_f16(const uint16_t *p) {
  return (vf){load_f16_quad(p), load_f16_quad(p + 4), load_f16_quad(p + 8), load_f16_quad(p + 12)};
}
static inline void store_f16_quad(uint16_t *p, float32x4_t x) {
  vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(x)));
}
static inline void v_store_f16(uint16_t *p, vf x) {
  store_f16_quad(p, x.a);
  store_f16_quad(p + 4, x.b);
  store_f16_quad(p + 8, x.c);
  store_f16_quad(p + 12, x.d);
}
static inline float32x4_t load_bf16_quad(const uint16_t *p) {
  return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16));
}
static inline vf v_load_bf16(const uint16_t *p) {
  return (vf){load_bf16_quad(p), load_bf16_quad(p + 4), load_bf16_quad(p + 8),
              load_bf16_quad(p + 12)};
}
static inline vf float_of_bytes(int8x16_t bytes) {
  int16x8_t low = vmovl_s8(vget_low_s8(bytes)), high = vmovl_high_s8(bytes);
  return (vf){vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))), vcvtq_f32_s32(vmovl_high_s16(low)),
              vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))), vcvtq_f32_s32(vmovl_high_s16(high))};
}
static inline vf v_load_i8(const int8_t *p) {
  return float_of_bytes(vld1q_s8(p));
}
static inline int8x16_t bytes_of_float(vf x) {
  int16x8_t low = vcombine_s16(vmovn_s32(vcvtq_s32_f32(x.a)), vmovn_s32(vcvtq_s32_f32(x.b)));
  int16x8_t high = vcombine_s16(vmovn_s32(vcvtq_s32_f32(x.c)), vmovn_s32(vcvtq_s32_f32(x.d)));
  return vcombine_s8(vmovn_s16(low), vmovn_s16(high));
}
static inline void v_store_i8(int8_t *p, vf x) {
  vst1q_s8(p, bytes_of_float(x));
}
/* Half steps as bytes: narrowing with saturation makes 0 of what lies below it. */
static inline uint8x16_t half_steps(vf x) {
  vf h = v_min(x, v_set1(GUST_Q4_LAST_HALF_STEP));
  int16x8_t low = vcombine_s16(vqmovn_s32(vcvtq_s32_f32(h.a)), vqmovn_s32(vcvtq_s32_f32(h.b)));
  int16x8_t high = vcombine_s16(vqmovn_s32(vcvtq_s32_f32(h.c)), vqmovn_s32(vcvtq_s32_f32(h.d)));
  return vcombine_u8(vqmovun_s16(low), vqmovun_s16(high));
}
/* Entries of a table of 32 bytes. */
static inline uint8x16_t look_up(const uint8_t *table, uint8x16_t index) {
  const uint8x16x2_t entries = {{vld1q_u8(table), vld1q_u8(table + 16)}};
  return vqtbl2q_u8(entries, index);
}
static inline int8x16_t look_up_signed(const int8_t *table, uint8x16_t index) {
  const int8x16x2_t entries = {{vld1q_s8(table), vld1q_s8(table + 16)}};
  return vqtbl2q_s8(entries, index);
}
static inline vf nearest_levels(vf steps) {
  static const int8_t low[] = GUST_Q4_CELL_LOW, high[] = GUST_Q4_CELL_HIGH;
  static const uint8_t border[] = GUST_Q4_CELL_BORDER;
  uint8x16_t h = half_steps(steps), cell = vshrq_n_u8(h, 3);
  uint8x16_t above = vcgeq_u8(h, look_up(border, cell));
  return float_of_bytes(vbslq_s8(above, look_up_signed(high, cell), look_up_signed(low, cell)));
}
static inline void v_q4_levels(vf *first, vf *second, vf steps, vf more_steps) {
  *first = nearest_levels(steps);
  *second = nearest_levels(more_steps);
}
static inline vf v_q4_codes(vf level) {
  static const uint8_t code[] = GUST_Q4_CODE_OF_LEVEL;
  uint8x16_t biased = vaddq_u8(vreinterpretq_u8_s8(bytes_of_float(level)), vdupq_n_u8(64));
  return float_of_bytes(vreinterpretq_s8_u8(look_up(code, vshrq_n_u8(biased, 2))));
}
/* Small integers add exactly in float, so the order does not matter. */
static inline int32_t v_sum_int(vf x) {
  return (int32_t)v_sum(x);
}

#endif

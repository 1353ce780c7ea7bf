/* Sixteen float lanes in four AArch64 SIMD registers; same bits as lanes_c.h.
 * Relies on the floating-point control register as every AArch64 system starts a
 * thread with it: rounding to nearest, nothing flushed to zero, IEEE halves. */
#ifndef GUST_LANES_NEON_H
#define GUST_LANES_NEON_H

#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct vf {
  float32x4_t q[4];
} vf;

/* expression(i) in each of the four registers. */
#define V_QUADS(expression)     \
  vf r;                         \
  for (int i = 0; i < 4; i++) { \
    r.q[i] = (expression);      \
  }                             \
  return r

static inline vf v_set1(float x) {
  V_QUADS(vdupq_n_f32(x));
}
static inline vf v_load(const float *p) {
  V_QUADS(vld1q_f32(p + 4 * i));
}
static inline void v_store(float *p, vf x) {
  for (int i = 0; i < 4; i++) vst1q_f32(p + 4 * i, x.q[i]);
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
  V_QUADS(vaddq_f32(x.q[i], y.q[i]));
}
static inline vf v_sub(vf x, vf y) {
  V_QUADS(vsubq_f32(x.q[i], y.q[i]));
}
static inline vf v_mul(vf x, vf y) {
  V_QUADS(vmulq_f32(x.q[i], y.q[i]));
}
static inline vf v_div(vf x, vf y) {
  V_QUADS(vdivq_f32(x.q[i], y.q[i]));
}
static inline vf v_fma(vf x, vf y, vf z) {
  V_QUADS(vfmaq_f32(z.q[i], x.q[i], y.q[i]));
}
static inline vf v_fnma(vf x, vf y, vf z) {
  V_QUADS(vfmsq_f32(z.q[i], x.q[i], y.q[i]));
}
/* fmax and fmin would order zeros by sign and pass NaNs on. */
static inline float32x4_t greater_of(float32x4_t x, float32x4_t y) {
  return vbslq_f32(vcgtq_f32(x, y), x, y);
}
static inline vf v_max(vf x, vf y) {
  V_QUADS(greater_of(x.q[i], y.q[i]));
}
static inline vf v_min(vf x, vf y) {
  V_QUADS(vbslq_f32(vcltq_f32(x.q[i], y.q[i]), x.q[i], y.q[i]));
}
static inline vf v_abs(vf x) {
  V_QUADS(vabsq_f32(x.q[i]));
}
static inline vf v_neg(vf x) {
  V_QUADS(vnegq_f32(x.q[i]));
}
/* By adding and subtracting 1.5 * 2^23, as the reference does: frintn would keep
 * the sign of zero. */
static inline vf v_rint(vf x) {
  vf magic = v_set1(12582912.0f);
  return v_sub(v_add(x, magic), magic);
}
static inline vf v_pow2(vf x) {
  const int32x4_t bias = vdupq_n_s32(127);
  V_QUADS(vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(x.q[i]), bias), 23)));
}
static inline vf v_zero_unless_lt(vf x, vf y, vf z) {
  V_QUADS(
      vreinterpretq_f32_u32(vandq_u32(vcltq_f32(x.q[i], y.q[i]), vreinterpretq_u32_f32(z.q[i]))));
}
static inline vf v_keep_range(vf x, size_t base, size_t first, size_t last, float fill) {
  static const int32_t counting[4] = {0, 1, 2, 3};
  const int32x4_t from = vdupq_n_s32((int)first), to = vdupq_n_s32((int)last);
  vf r;
  for (int i = 0; i < 4; i++) {
    int32x4_t lane = vaddq_s32(vdupq_n_s32((int)base + 4 * i), vld1q_s32(counting));
    uint32x4_t keep = vandq_u32(vcgeq_s32(lane, from), vcltq_s32(lane, to));
    r.q[i] = vbslq_f32(keep, x.q[i], vdupq_n_f32(fill));
  }
  return r;
}
static inline float v_sum(vf x) {
  float32x4_t s4 = vaddq_f32(vaddq_f32(x.q[0], x.q[2]), vaddq_f32(x.q[1], x.q[3]));
  float32x2_t s2 = vadd_f32(vget_low_f32(s4), vget_high_f32(s4));
  return vget_lane_f32(s2, 0) + vget_lane_f32(s2, 1);
}
static inline float v_hmax(vf x) {
  float32x4_t s4 = greater_of(greater_of(x.q[0], x.q[2]), greater_of(x.q[1], x.q[3]));
  float32x4_t s2 = greater_of(s4, vextq_f32(s4, s4, 2));
  float a = vgetq_lane_f32(s2, 0), b = vgetq_lane_f32(s2, 1);
  return a > b ? a : b;
}

static inline vf v_load_f16(const uint16_t *p) {
  V_QUADS(vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p + 4 * i))));
}
static inline void v_store_f16(uint16_t *p, vf x) {
  for (int i = 0; i < 4; i++) vst1_u16(p + 4 * i, vreinterpret_u16_f16(vcvt_f16_f32(x.q[i])));
}
static inline vf v_load_bf16(const uint16_t *p) {
  V_QUADS(vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p + 4 * i), 16)));
}
static inline vf v_load_i8(const int8_t *p) {
  int8x16_t bytes = vld1q_s8(p);
  int16x8_t low = vmovl_s8(vget_low_s8(bytes)), high = vmovl_high_s8(bytes);
  vf r = {{vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))), vcvtq_f32_s32(vmovl_high_s16(low)),
           vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))), vcvtq_f32_s32(vmovl_high_s16(high))}};
  return r;
}
static inline void v_store_i8(int8_t *p, vf x) {
  int16x8_t low = vcombine_s16(vmovn_s32(vcvtq_s32_f32(x.q[0])), vmovn_s32(vcvtq_s32_f32(x.q[1])));
  int16x8_t high = vcombine_s16(vmovn_s32(vcvtq_s32_f32(x.q[2])), vmovn_s32(vcvtq_s32_f32(x.q[3])));
  vst1q_s8(p, vcombine_s8(vmovn_s16(low), vmovn_s16(high)));
}
/* Small integers add exactly in float, so the order does not matter. */
static inline int32_t v_sum_int(vf x) {
  return (int32_t)v_sum(x);
}

#endif

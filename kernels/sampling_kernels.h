/* Sampling's passes over the vocabulary (src/sampler.c), over the lanes of the level that
 * includes this. The largest logit and which weights lie in a range are found
 * sixteen at a time; what is then added is exact, so that no order matters. */
#ifndef GUST_SAMPLING_KERNELS_H
#define GUST_SAMPLING_KERNELS_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels.h"

static size_t argmax_lanes(const float *x, size_t n) {
  /* Of each lane the largest value, the first of equal ones, and how many whole
   * vectors it is away from the start, a number that floats hold exactly. */
  vf best = v_set1(-INFINITY), at = v_set1(0);
  for (size_t i = 0; i < n; i += 16) {
    size_t left = n - i, whole = i / 16;
    vf a = left >= 16 ? v_load(x + i) : v_keep_range(v_load_n(x + i, left), 0, 0, left, -INFINITY);
    at = v_select_lt(best, a, v_set1((float)whole), at);
    best = v_select_lt(best, a, a, best);
  }
  float values[16], steps[16];
  v_store(values, best);
  v_store(steps, at);
  size_t found = 16 * (size_t)steps[0];
  float largest = values[0];
  for (size_t lane = 1; lane < 16; lane++) {
    size_t index = 16 * (size_t)steps[lane] + lane;
    if (values[lane] < largest || (values[lane] == largest && index > found)) continue;
    largest = values[lane];
    found = index;
  }
  return found;
}

/* Bit i is set where low <= p[i] < high, for up to sixteen weights. */
static inline unsigned weights_in_range(const float *p, size_t n, vf low, vf high) {
  if (n >= 16) return v_range_mask(v_load(p), low, high);
  return v_range_mask(v_load_n(p, n), low, high) & ((1u << n) - 1);
}

static inline void add_to_bin(gust_bin *bins, float weight, int shift) {
  uint32_t bits;
  memcpy(&bits, &weight, sizeof bits);
  gust_bin *bin = &bins[bits >> shift & (GUST_BINS - 1)];
  bin->count++;
  bin->sum += gust_weight_units(weight);
}

static void bin_weights_lanes(gust_bin *bins, const float *p, size_t n, float low, float high,
                              int shift) {
  vf l = v_set1(low), h = v_set1(high);
  for (size_t i = 0; i < n; i += 16)
    for (unsigned mask = weights_in_range(p + i, n - i, l, h); mask; mask &= mask - 1)
      add_to_bin(bins, p[i + (size_t)__builtin_ctz(mask)], shift);
}

static size_t find_weight_lanes(const float *p, size_t n, float low, float high, size_t nth) {
  vf l = v_set1(low), h = v_set1(high);
  for (size_t i = 0; i < n; i += 16)
    for (unsigned mask = weights_in_range(p + i, n - i, l, h); mask; mask &= mask - 1)
      if (nth-- == 0) return i + (size_t)__builtin_ctz(mask);
  return n;
}

static void fill_sampling_kernels(gust_kernels *kernels) {
  kernels->argmax = argmax_lanes;
  kernels->bin_weights = bin_weights_lanes;
  kernels->find_weight = find_weight_lanes;
}

#endif

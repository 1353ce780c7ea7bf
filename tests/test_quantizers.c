/* The panel quantizers: layout, exactness, accuracy, extremes. */
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "checksum.h"
#include "quantizers.h"

#define K 384u
#define COUNT (GUST_PANEL_ROWS * K)

static float rows[COUNT], back[COUNT]; /* [16][K] */
static gust_kernels kernels;
static uint8_t panel[GUST_PANEL_ROWS * K * 4], row_codes[GUST_PANEL_ROWS];

/* A bell curve good enough for weights: the sum of 12 uniform numbers. */
static float bell(unsigned long long *seed) {
  double sum = -6;
  for (int i = 0; i < 12; i++) sum += (double)(check_random(seed) >> 11) * 0x1p-53;
  return (float)sum;
}

static void fill_bell(float scale) {
  unsigned long long seed = 11;
  for (size_t i = 0; i < COUNT; i++) rows[i] = bell(&seed) * scale;
}

static double energy(void) {
  double sum = 0;
  for (size_t i = 0; i < COUNT; i++) sum += (double)rows[i] * (double)rows[i];
  return sum;
}

/* The panel's order, and back. */
static void interleave(float *values, const float *from) {
  for (size_t r = 0; r < GUST_PANEL_ROWS; r++)
    for (size_t k = 0; k < K; k++) values[GUST_PANEL_ROWS * k + r] = from[r * K + k];
}
static void separate(float *to, const float *values) {
  for (size_t r = 0; r < GUST_PANEL_ROWS; r++)
    for (size_t k = 0; k < K; k++) to[r * K + k] = values[GUST_PANEL_ROWS * k + r];
}

/* Packs and unpacks; checks that the reported error is the real one and that
 * nothing is written past the panel. Returns the relative RMS error. */
static double pack(gust_type type) {
  size_t bytes = gust_type_panel_bytes(type, K);
  uint8_t *exact = malloc(bytes);
  if (!exact) check_fatal("out of memory", "panel");
  static float values[COUNT];
  interleave(values, rows);
  double reported = gust_panel_pack(&kernels, type, values, NULL, K, exact, row_codes), real = 0;
  gust_panel_unpack(type, exact, row_codes, K, values);
  separate(back, values);
  memcpy(panel, exact, bytes);
  free(exact);
  for (size_t i = 0; i < COUNT; i++) {
    double d = (double)rows[i] - (double)back[i];
    CHECK(isfinite(back[i]));
    real += d * d;
  }
  CHECK(fabs(real - reported) <= 1e-9 * real);
  return real > 0 ? sqrt(real / energy()) : 0;
}

/* Reads a weight straight from the bytes, by the formulas of kernels/panel.h. */
static float by_formula(gust_type type, size_t r, size_t k) {
  static const int levels[16] = GUST_Q4_LEVELS;
  size_t tile = k / 128, block = k % 128 / 32, in_block = k % 32;
  float row_scale = ldexpf(1.0f, row_codes[r] - 127);
  if (type == GUST_TYPE_Q4) {
    const uint8_t *t = panel + tile * 17 * 64;
    int scale = (int)(t[16 * block + r] >> 1), shift = t[16 * block + r] & 1;
    if (scale >= 64) scale -= 128;
    uint8_t byte = t[64 * (1 + 4 * block + in_block / 8) + 4 * r + in_block % 4];
    int code = in_block % 8 < 4 ? byte & 15 : byte >> 4;
    return row_scale * (float)scale * (float)(levels[code] + 2 * shift);
  }
  const uint8_t *t = panel + tile * 33 * 64;
  int8_t code = (int8_t)t[64 * (1 + 8 * block + in_block / 4) + 4 * r + in_block % 4];
  return row_scale * (float)t[16 * block + r] * (float)code;
}

static void layout(void) {
  fill_bell(0.02f);
  for (int type = GUST_TYPE_Q8; type <= GUST_TYPE_Q4; type++) {
    pack((gust_type)type);
    for (size_t r = 0; r < GUST_PANEL_ROWS; r++)
      for (size_t k = 0; k < K; k++) CHECK(by_formula((gust_type)type, r, k) == back[r * K + k]);
  }
  CHECK(pack(GUST_TYPE_F32) == 0);
  for (size_t r = 0; r < GUST_PANEL_ROWS; r++)
    CHECK(memcmp(panel + (16 * 5 + r) * 4, &rows[r * K + 5], 4) == 0);
  pack(GUST_TYPE_BF16);
  for (size_t r = 0; r < GUST_PANEL_ROWS; r++) {
    uint16_t half = gust_bf16_from_float(rows[r * K + 5]);
    CHECK(memcmp(panel + (16 * 5 + r) * 2, &half, 2) == 0);
  }
}

/* Rounding bell-shaped weights to the nearest level of the scale that covers
 * the block comes to 0.080 and more. */
static void accuracy(void) {
  const float scales[] = {1.0f, 0.02f, 1e-30f, 1e30f};
  for (size_t i = 0; i < sizeof scales / sizeof *scales; i++) {
    fill_bell(scales[i]);
    double q4 = pack(GUST_TYPE_Q4), q8 = pack(GUST_TYPE_Q8), bf16 = pack(GUST_TYPE_BF16);
    CHECK(q4 < 0.0735 && q4 > 0.05);
    CHECK(q8 < 0.0058 && q8 > 0.003);
    CHECK(bf16 < 0.002);
  }
  /* Powers of two change nothing but the row scales. */
  fill_bell(1.0f);
  double one = pack(GUST_TYPE_Q4);
  fill_bell(0x1p-40f);
  CHECK(pack(GUST_TYPE_Q4) == one);
}

static void bf16_rounding(void) {
  static const struct {
    uint32_t bits;
    uint16_t half;
  } cases[] = {{0x3f800000, 0x3f80}, {0x3f808000, 0x3f80}, {0x3f818000, 0x3f82},
               {0x3f808001, 0x3f81}, {0xbf818000, 0xbf82}, {0x7f7fffff, 0x7f7f},
               {0xff7fffff, 0xff7f}, {0x00000001, 0x0000}, {0x00018000, 0x0002},
               {0x80000000, 0x8000}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    float value;
    memcpy(&value, &cases[i].bits, sizeof value);
    CHECK_EQ_INT(gust_bf16_from_float(value), cases[i].half);
  }
}

static void extremes(void) {
  for (int type = GUST_TYPE_Q8; type <= GUST_TYPE_Q4; type++) {
    memset(rows, 0, sizeof rows);
    CHECK(pack((gust_type)type) == 0); /* zeros stay zeros */
    for (size_t i = 0; i < COUNT; i++) CHECK(back[i] == 0);

    for (size_t i = 0; i < COUNT; i++) rows[i] = 0.5f * FLT_MAX * (i % 3 ? -1.0f : 1.0f);
    CHECK(pack((gust_type)type) < 0.08);
    for (size_t i = 0; i < COUNT; i++) rows[i] = FLT_TRUE_MIN;
    pack((gust_type)type);
    for (size_t i = 0; i < COUNT; i++) rows[i] = 0x1p-126f * (float)(i % 7);
    pack((gust_type)type);

    memset(rows, 0, sizeof rows); /* one weight alone */
    rows[3 * K + 200] = -0.37f;
    CHECK(pack((gust_type)type) < 0.01);

    fill_bell(1e-6f); /* an outlier must not drag its neighbours' blocks to zero */
    for (size_t r = 0; r < GUST_PANEL_ROWS; r++) rows[r * K] = r % 2 ? 1.0f : -1.0f;
    CHECK(pack((gust_type)type) < 0.02);
  }
}

/* Weights that lie on the grid come back exactly. */
static void exact_codes(void) {
  for (size_t r = 0; r < GUST_PANEL_ROWS; r++)
    for (size_t k = 0; k < K; k++) rows[r * K + k] = 0.5f * (float)((int)(k * 37 % 255) - 127);
  for (size_t r = 0; r < GUST_PANEL_ROWS; r++)
    for (size_t k = 0; k < K; k += 32) rows[r * K + k] = 63.5f;
  CHECK(pack(GUST_TYPE_Q8) < 1e-6);
  static const int levels[16] = GUST_Q4_LEVELS;
  for (size_t r = 0; r < GUST_PANEL_ROWS; r++)
    for (size_t k = 0; k < K; k++) rows[r * K + k] = (float)levels[k % 16] * -0.25f;
  CHECK(pack(GUST_TYPE_Q4) < 0.004);
}

/* Accumulating in another order, a fused multiply or a wider type would show
 * here: the bytes are part of the format's promise. */
static void same_everywhere(void) {
  fill_bell(0.02f);
  pack(GUST_TYPE_Q4);
  uint64_t q4 = gust_xxh64_of(panel, gust_type_panel_bytes(GUST_TYPE_Q4, K), 0);
  pack(GUST_TYPE_Q8);
  uint64_t q8 = gust_xxh64_of(panel, gust_type_panel_bytes(GUST_TYPE_Q8, K), 0);
  printf("q4 %016llx, q8 %016llx\n", (unsigned long long)q4, (unsigned long long)q8);
  CHECK(q4 == 0xb1f68f6f11d320e5u);
  CHECK(q8 == 0xfffc51dc8247544eu);
}

int main(void) {
  gust_kernels_select(&kernels, NULL);
  layout();
  accuracy();
  bf16_rounding();
  extremes();
  exact_codes();
  same_everywhere();
  return check_finish();
}

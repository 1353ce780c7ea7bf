/* AVX2 + FMA + F16C: Haswell (2013), Zen (2017) and everything since. */
#if !defined(__AVX2__) || !defined(__FMA__) || !defined(__F16C__)
#error "avx2.c needs -mavx2 -mfma -mf16c"
#endif

#include "lanes_avx2.h"
/* Before kernels.h, which float_kernels.h includes. */
#include "calibration_kernels.h"
#include "float_kernels.h"
#include "levels.h"
#include "weight_kernels.h"

/* By measurement (docs/BENCHMARKS.md). */
#define LEVEL_HAS_VNNI 0
#define TILE_TOKENS 4
#include "products_256.h"

void gust_kernels_fill_avx2(gust_kernels *kernels) {
  kernels->level = "avx2";
  fill_float_kernels(kernels);
  fill_weight_kernels(kernels);
  fill_calibration_kernels(kernels);
  kernels->matmul_q4 = matmul_q4_256;
  kernels->matmul_q8 = matmul_q8_256;
}

/* AVX-VNNI: 256-bit integer dot products on Alder Lake (2021), Sierra Forest,
 * Zen 5 (2024) and since. Compiled a second time with AVX-512's encoding of the
 * same instruction (EVEX), so that the level runs on every processor that has
 * either; only this one instruction differs. */
#if !defined(__AVX2__) || !defined(__FMA__) || !defined(__F16C__)
#error "avxvnni.c needs -mavx2 -mfma -mf16c"
#endif

#include <immintrin.h>

#if defined(__AVXVNNI__)
#define DPBUSD_256 _mm256_dpbusd_avx_epi32
#define FILL gust_kernels_fill_avxvnni
#elif defined(__AVX512VNNI__) && defined(__AVX512VL__)
#define DPBUSD_256 _mm256_dpbusd_epi32
#define FILL gust_kernels_fill_avxvnni_evex
#else
#error "avxvnni.c needs -mavxvnni, or -mavx512vnni -mavx512vl"
#endif

#include "lanes_avx2.h"
/* Before kernels.h, which float_kernels.h includes. */
#include "float_kernels.h"
#include "levels.h"

/* By measurement (docs/BENCHMARKS.md). */
#define LEVEL_HAS_VNNI 1
#define TILE_TOKENS 6
#include "products_256.h"

void FILL(gust_kernels *kernels) {
  kernels->level = "avxvnni";
  fill_float_kernels(kernels);
  kernels->matmul_q4 = matmul_q4_256;
  kernels->matmul_q8 = matmul_q8_256;
}

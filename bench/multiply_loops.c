#include "multiply_loops.h"

#include <stddef.h>
#include <stdint.h>

#define ROUNDS 50000u

/* The build defines GUST_HAVE_ for each level the compiler knows. */
#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>
#include <immintrin.h>

/* Independent sums: more than the longest chain's latency times its rate. The
 * empty asm makes the operand a new unknown each time, so that no product is
 * computed once for all. */
#define AVX2_SUMS 10
#define VNNI_SUMS 12 /* with two operands they fit into sixteen registers */
#define AVX512_SUMS 16

__attribute__((target("avx2"))) static void multiply_avx2(void) {
  __m256i sums[AVX2_SUMS], weights = _mm256_set1_epi8(57), values = _mm256_set1_epi8(-127);
  const __m256i ones = _mm256_set1_epi16(1);
  for (int i = 0; i < AVX2_SUMS; i++) sums[i] = _mm256_setzero_si256();
  for (unsigned r = 0; r < ROUNDS; r++)
    for (int i = 0; i < AVX2_SUMS; i++) {
      __asm__ volatile("" : "+x"(values));
      sums[i] =
          _mm256_add_epi32(sums[i], _mm256_madd_epi16(_mm256_maddubs_epi16(weights, values), ones));
    }
  for (int i = 0; i < AVX2_SUMS; i++) __asm__ volatile("" ::"x"(sums[i]));
}

#ifdef GUST_HAVE_AVX512
__attribute__((target("avx512f,avx512vnni"))) static void multiply_avx512(void) {
  __m512i sums[AVX512_SUMS], weights = _mm512_set1_epi8(57), values = _mm512_set1_epi8(-127);
  for (int i = 0; i < AVX512_SUMS; i++) sums[i] = _mm512_setzero_si512();
  for (unsigned r = 0; r < ROUNDS; r++)
    for (int i = 0; i < AVX512_SUMS; i++) {
      __asm__ volatile("" : "+v"(values));
      sums[i] = _mm512_dpbusd_epi32(sums[i], weights, values);
    }
  for (int i = 0; i < AVX512_SUMS; i++) __asm__ volatile("" ::"v"(sums[i]));
}
#endif

__attribute__((target("avx2,fma"))) static void multiply_floats_avx2(void) {
  __m256 sums[VNNI_SUMS], weights = _mm256_set1_ps(0.5f), values = _mm256_set1_ps(0.25f);
  for (int i = 0; i < VNNI_SUMS; i++) sums[i] = _mm256_setzero_ps();
  for (unsigned r = 0; r < ROUNDS; r++)
    for (int i = 0; i < VNNI_SUMS; i++) {
      __asm__ volatile("" : "+x"(values));
      sums[i] = _mm256_fmadd_ps(weights, values, sums[i]);
    }
  for (int i = 0; i < VNNI_SUMS; i++) __asm__ volatile("" ::"x"(sums[i]));
}

#ifdef GUST_HAVE_AVX512
__attribute__((target("avx512f"))) static void multiply_floats_avx512(void) {
  __m512 sums[AVX512_SUMS], weights = _mm512_set1_ps(0.5f), values = _mm512_set1_ps(0.25f);
  for (int i = 0; i < AVX512_SUMS; i++) sums[i] = _mm512_setzero_ps();
  for (unsigned r = 0; r < ROUNDS; r++)
    for (int i = 0; i < AVX512_SUMS; i++) {
      __asm__ volatile("" : "+v"(values));
      sums[i] = _mm512_fmadd_ps(weights, values, sums[i]);
    }
  for (int i = 0; i < AVX512_SUMS; i++) __asm__ volatile("" ::"v"(sums[i]));
}
#endif

#ifdef GUST_HAVE_AVXVNNI
__attribute__((target("avx2,avxvnni"))) static void multiply_vnni_vex(void) {
  __m256i sums[VNNI_SUMS], weights = _mm256_set1_epi8(57), values = _mm256_set1_epi8(-127);
  for (int i = 0; i < VNNI_SUMS; i++) sums[i] = _mm256_setzero_si256();
  for (unsigned r = 0; r < ROUNDS; r++)
    for (int i = 0; i < VNNI_SUMS; i++) {
      __asm__ volatile("" : "+x"(values));
      sums[i] = _mm256_dpbusd_avx_epi32(sums[i], weights, values);
    }
  for (int i = 0; i < VNNI_SUMS; i++) __asm__ volatile("" ::"x"(sums[i]));
}

__attribute__((target("avx512vl,avx512vnni"))) static void multiply_vnni_evex(void) {
  __m256i sums[VNNI_SUMS], weights = _mm256_set1_epi8(57), values = _mm256_set1_epi8(-127);
  for (int i = 0; i < VNNI_SUMS; i++) sums[i] = _mm256_setzero_si256();
  for (unsigned r = 0; r < ROUNDS; r++)
    for (int i = 0; i < VNNI_SUMS; i++) {
      __asm__ volatile("" : "+x"(values));
      sums[i] = _mm256_dpbusd_epi32(sums[i], weights, values);
    }
  for (int i = 0; i < VNNI_SUMS; i++) __asm__ volatile("" ::"x"(sums[i]));
}

/* Processors of that level have the instruction in one encoding or in both: CPUID
 * leaf 7, its first sub-leaf, EAX bit 4. */
static void multiply_avxvnni(void) {
  unsigned a, b, c, d;
  if (__get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 4))
    multiply_vnni_vex();
  else
    multiply_vnni_evex();
}
#endif

#ifdef GUST_HAVE_AMX
/* Eight tiles of 16 rows of 64 bytes: six sums, which with 16 cycles each cover
 * the latency of 52, and two operands (Intel's optimization manual, chapter on
 * AMX). What they hold does not matter to the time; loadconfig zeroes them. */
#define AMX_ROUNDS 4000u
#define AMX_SUMS 6
#define AMX_TILE_MULTIPLY_ADDS (16.0 * 16 * 64)

/* A constant, not a local variable: gcc's _tile_loadconfig tells the compiler of
 * the first 8 of these 64 bytes only, and what is stored to the others of a local
 * variable would be left out. */
static const struct {
  uint8_t palette, start_row, reserved[14];
  uint16_t row_bytes[16];
  uint8_t rows[16];
} tile_config = {.palette = 1,
                 .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64},
                 .rows = {16, 16, 16, 16, 16, 16, 16, 16}};

__attribute__((target("amx-tile,amx-int8"))) static void multiply_amx(void) {
  _tile_loadconfig(&tile_config);
  for (unsigned r = 0; r < AMX_ROUNDS; r++) {
    _tile_dpbssd(0, 6, 7);
    _tile_dpbssd(1, 6, 7);
    _tile_dpbssd(2, 6, 7);
    _tile_dpbssd(3, 6, 7);
    _tile_dpbssd(4, 6, 7);
    _tile_dpbssd(5, 6, 7);
  }
  _tile_release();
}
#endif

const multiply_loop multiply_loops[] = {
    {"avx2", multiply_avx2, 32.0 * AVX2_SUMS *ROUNDS},
#ifdef GUST_HAVE_AVX512
    {"avx512", multiply_avx512, 64.0 * AVX512_SUMS *ROUNDS},
#endif
#ifdef GUST_HAVE_AVXVNNI
    {"avxvnni", multiply_avxvnni, 32.0 * VNNI_SUMS *ROUNDS},
#endif
#ifdef GUST_HAVE_AMX
    {"amx", multiply_amx, AMX_TILE_MULTIPLY_ADDS *AMX_SUMS *AMX_ROUNDS},
#endif
    {NULL, NULL, 0},
};

/* The levels that only add integer instructions share those of floats. */
const multiply_loop float_loops[] = {
    {"avx2", multiply_floats_avx2, 8.0 * VNNI_SUMS *ROUNDS},
    {"avxvnni", multiply_floats_avx2, 8.0 * VNNI_SUMS *ROUNDS},
#ifdef GUST_HAVE_AVX512
    {"avx512", multiply_floats_avx512, 16.0 * AVX512_SUMS *ROUNDS},
    {"amx", multiply_floats_avx512, 16.0 * AVX512_SUMS *ROUNDS},
#endif
    {NULL, NULL, 0},
};

#elif defined(__aarch64__) && defined(__GNUC__)

/* Four units of four cycles' latency at most. What the registers hold does not
 * matter to the time. */
#define SUMS 16
#define EACH_SUM ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
#define SUM_REGISTERS                                                                            \
  "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", \
      "v15"

/* Two products of at most 127 * 127 fit into 16 bits. */
static void multiply_neon(void) {
  for (unsigned r = 0; r < ROUNDS; r++)
    __asm__ volatile(EACH_SUM
                     "smull v18.8h, v16.8b, v17.8b\n\t"
                     "smlal2 v18.8h, v16.16b, v17.16b\n\t"
                     "sadalp v\\n\\().4s, v18.8h\n\t"
                     ".endr" ::
                         : SUM_REGISTERS, "v16", "v17", "v18");
}

/* By number, because compilers disagree on whether a function may use instructions
 * that the whole file is not compiled for: sdot and smmla vN, v16, v17. */
static void multiply_dotprod(void) {
  for (unsigned r = 0; r < ROUNDS; r++)
    __asm__ volatile(EACH_SUM ".inst 0x4e919600 + \\n\n\t.endr" ::: SUM_REGISTERS);
}

static void multiply_i8mm(void) {
  for (unsigned r = 0; r < ROUNDS; r++)
    __asm__ volatile(EACH_SUM ".inst 0x4e91a600 + \\n\n\t.endr" ::: SUM_REGISTERS);
}

static void multiply_floats_neon(void) {
  for (unsigned r = 0; r < ROUNDS; r++)
    __asm__ volatile("movi v16.4s, #0\n\t" EACH_SUM
                     "fmla v\\n\\().4s, v16.4s, v16.4s\n\t"
                     ".endr" ::
                         : SUM_REGISTERS, "v16");
}

const multiply_loop float_loops[] = {
    {"neon", multiply_floats_neon, 4.0 * SUMS *ROUNDS},
    {"dotprod", multiply_floats_neon, 4.0 * SUMS *ROUNDS},
    {"i8mm", multiply_floats_neon, 4.0 * SUMS *ROUNDS},
    {NULL, NULL, 0},
};

const multiply_loop multiply_loops[] = {
    {"neon", multiply_neon, 16.0 * SUMS *ROUNDS},
    {"dotprod", multiply_dotprod, 16.0 * SUMS *ROUNDS},
    {"i8mm", multiply_i8mm, 32.0 * SUMS *ROUNDS},
    {NULL, NULL, 0},
};

#else
const multiply_loop multiply_loops[] = {{NULL, NULL, 0}};
const multiply_loop float_loops[] = {{NULL, NULL, 0}};
#endif

/* Which levels this processor runs, and the table of their kernels. */
#include <stdlib.h>
#include <string.h>

#include "kernels.h"
#include "levels.h"
#include "os.h"

#if defined(__APPLE__) && (defined(GUST_HAVE_AVX512) || defined(GUST_HAVE_DOTPROD))
#include <sys/sysctl.h>

static bool has_feature(const char *name) {
  int value = 0;
  size_t bytes = sizeof value;
  return sysctlbyname(name, &value, &bytes, NULL, 0) == 0 && value != 0;
}
#endif

#ifdef GUST_HAVE_AVX2
#include <cpuid.h>

/* The operating system must save the registers too, or they change under us:
 * XCR0 says which it does. */
static uint64_t saved_registers(void) {
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return 0;
  __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
  return (uint64_t)d << 32 | a;
}

#define ALL_OF(bits, mask) (((bits) & (mask)) == (mask))

static bool has_avx2(void) {
  unsigned a, b, c, d, b7, c7;
  if (!ALL_OF(saved_registers(), 0x6u)) return false; /* XMM, YMM */
  if (!__get_cpuid(1, &a, &b, &c, &d) || !ALL_OF(c, (unsigned)(bit_AVX | bit_FMA | bit_F16C)))
    return false;
  return __get_cpuid_count(7, 0, &a, &b7, &c7, &d) && ALL_OF(b7, (unsigned)bit_AVX2);
}

#ifdef GUST_HAVE_AVXVNNI
/* CPUID leaf 7, its first sub-leaf: EAX bit 4. */
static bool has_avxvnni(void) {
  unsigned a, b, c, d;
  return has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && ALL_OF(a, 1u << 4);
}
#endif

#ifdef GUST_HAVE_AVX512
#ifdef __APPLE__
/* macOS saves these registers of a thread that has used them, and XCR0 says so only
 * then. Before Darwin 21.3 (macOS 12.2) it damages the opmask registers at times. */
static bool saves_avx512(void) {
  char release[32] = "";
  size_t bytes = sizeof release - 1;
  if (sysctlbyname("kern.osrelease", release, &bytes, NULL, 0) != 0) return false;
  char *minor;
  long major = strtol(release, &minor, 10);
  bool whole = major > 21 || (major == 21 && *minor == '.' && strtol(minor + 1, NULL, 10) >= 3);
  return whole && has_feature("hw.optional.avx512f");
}
#else
static bool saves_avx512(void) {
  return ALL_OF(saved_registers(), 0xe6u); /* + opmask, ZMM */
}
#endif

static bool has_avx512(void) {
  unsigned a, b, c, d;
  if (!has_avx2() || !saves_avx512()) return false;
  const unsigned foundation = bit_AVX512F | bit_AVX512BW | bit_AVX512VL | bit_AVX512DQ;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && ALL_OF(b, foundation) &&
         ALL_OF(c, (unsigned)bit_AVX512VNNI);
}
#endif

#ifdef GUST_HAVE_AMX
/* CPUID leaf 7: EDX bits 24 (tiles) and 25 (8-bit integers). */
static bool has_amx(void) {
  unsigned a, b, c, d;
  if (!has_avx512() || !ALL_OF(saved_registers(), 0x60000u)) return false; /* TILECFG, TILEDATA */
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && ALL_OF(d, 1u << 24 | 1u << 25) &&
         os_enable_tiles();
}
#endif
#endif

#ifdef GUST_HAVE_DOTPROD
#if defined(__linux__)
#include <sys/auxv.h>

/* Bits that Linux names HWCAP_ASIMDDP and HWCAP2_I8MM; older headers lack the
 * second. */
static bool has_dotprod(void) {
  return getauxval(AT_HWCAP) >> 20 & 1;
}
#ifdef GUST_HAVE_I8MM
static bool has_i8mm(void) {
  return has_dotprod() && (getauxval(AT_HWCAP2) >> 13 & 1);
}
#endif
#elif defined(__APPLE__)
static bool has_dotprod(void) {
  return has_feature("hw.optional.arm.FEAT_DotProd");
}
#ifdef GUST_HAVE_I8MM
static bool has_i8mm(void) {
  return has_dotprod() && has_feature("hw.optional.arm.FEAT_I8MM");
}
#endif
#else
/* No way to ask is known here. */
static bool has_dotprod(void) {
  return false;
}
#ifdef GUST_HAVE_I8MM
static bool has_i8mm(void) {
  return false;
}
#endif
#endif
#endif

static bool always(void) {
  return true;
}

/* Ascending: a later level overwrites the entries of those before it. */
static const struct {
  const char *name;
  bool (*available)(void);
  void (*fill)(gust_kernels *kernels);
} levels[] = {
    {"c", always, gust_kernels_fill_c},
#ifdef GUST_HAVE_AVX2
    {"avx2", has_avx2, gust_kernels_fill_avx2},
#endif
#ifdef GUST_HAVE_AVXVNNI
#ifdef GUST_HAVE_AVX512
    {"avxvnni", has_avx512, gust_kernels_fill_avxvnni_evex},
#endif
    {"avxvnni", has_avxvnni, gust_kernels_fill_avxvnni},
#endif
#ifdef GUST_HAVE_AVX512
    {"avx512", has_avx512, gust_kernels_fill_avx512},
#endif
#ifdef GUST_HAVE_AMX
    {"amx", has_amx, gust_kernels_fill_amx},
#endif
#ifdef GUST_HAVE_NEON
    {"neon", always, gust_kernels_fill_neon},
#endif
#ifdef GUST_HAVE_DOTPROD
    {"dotprod", has_dotprod, gust_kernels_fill_dotprod},
#endif
#ifdef GUST_HAVE_I8MM
    {"i8mm", has_i8mm, gust_kernels_fill_i8mm},
#endif
};

/* Levels of any build, so that a script may name one everywhere. */
static const char *const known_levels[] = {"c",   "avx2", "avxvnni", "avx512",
                                           "amx", "neon", "dotprod", "i8mm"};

static int level_rank(const char *name) {
  for (size_t i = 0; i < sizeof known_levels / sizeof *known_levels; i++)
    if (strcmp(known_levels[i], name) == 0) return (int)i;
  return -1;
}

bool gust_kernels_select(gust_kernels *kernels, const char *cap) {
  int highest = cap ? level_rank(cap) : (int)(sizeof known_levels / sizeof *known_levels);
  if (highest < 0) return false;
  memset(kernels, 0, sizeof *kernels);
  for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
    if (level_rank(levels[i].name) <= highest && levels[i].available()) levels[i].fill(kernels);
  return true;
}

const char *gust_kernels_level(size_t index) {
  const char *last = NULL; /* two entries may make one level */
  for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
    if ((last && strcmp(last, levels[i].name) == 0) || !levels[i].available()) continue;
    last = levels[i].name;
    if (index-- == 0) return last;
  }
  return NULL;
}

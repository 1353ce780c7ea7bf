/* Stands in for kernels/dispatch.c: the reference, and those levels that are
 * compiled against the emulated intrinsics beside this file. */
#include <string.h>

#include "kernels.h"
#include "levels.h"

static const struct {
  const char *name;
  void (*fill)(gust_kernels *kernels);
} levels[] = {
    {"c", gust_kernels_fill_c},
#ifdef GUST_HAVE_AVXVNNI
    {"avxvnni", gust_kernels_fill_avxvnni},
#endif
#ifdef GUST_HAVE_AVX512
    {"avx512", gust_kernels_fill_avx512},
#endif
#ifdef GUST_HAVE_AMX
    {"amx", gust_kernels_fill_amx},
#endif
};
#define LEVELS (sizeof levels / sizeof *levels)

bool gust_kernels_select(gust_kernels *kernels, const char *cap) {
  size_t last = 0;
  while (last < LEVELS && (!cap || strcmp(levels[last].name, cap) != 0)) last++;
  if (cap && last == LEVELS) return false;
  memset(kernels, 0, sizeof *kernels);
  for (size_t i = 0; i < LEVELS && i <= last; i++) levels[i].fill(kernels);
  return true;
}

const char *gust_kernels_level(size_t index) {
  return index < LEVELS ? levels[index].name : NULL;
}

/* Stands in for kernels/dispatch.c: the reference, and the AVX-512 level
 * compiled against the emulated intrinsics beside this file. */
#include <string.h>

#include "kernels.h"
#include "levels.h"

bool gust_kernels_select(gust_kernels *kernels, const char *cap) {
  bool emulated = !cap || strcmp(cap, "avx512") == 0;
  if (!emulated && strcmp(cap, "c") != 0) return false;
  memset(kernels, 0, sizeof *kernels);
  gust_kernels_fill_c(kernels);
  if (emulated) gust_kernels_fill_avx512(kernels);
  return true;
}

const char *gust_kernels_level(size_t index) {
  static const char *const names[] = {"c", "avx512"};
  return index < 2 ? names[index] : NULL;
}

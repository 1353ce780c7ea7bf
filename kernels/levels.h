/* What each level's file offers to dispatch.c: it overwrites the entries it
 * has a faster version of. */
#ifndef GUST_LEVELS_H
#define GUST_LEVELS_H

#include "kernels.h"

void gust_kernels_fill_c(gust_kernels *kernels);
void gust_kernels_fill_avx2(gust_kernels *kernels);
void gust_kernels_fill_avx512(gust_kernels *kernels);
void gust_kernels_fill_neon(gust_kernels *kernels);
void gust_kernels_fill_dotprod(gust_kernels *kernels);
void gust_kernels_fill_i8mm(gust_kernels *kernels);

#endif

/* What each level's file offers to dispatch.c: it overwrites the entries it
 * has a faster version of. */
#ifndef GUST_LEVELS_H
#define GUST_LEVELS_H

#include "kernels.h"

void gust_kernels_fill_c(gust_kernels *kernels);
void gust_kernels_fill_avx2(gust_kernels *kernels);
void gust_kernels_fill_avxvnni(gust_kernels *kernels);
/* The same source with AVX-512's encoding of the instruction, for processors
 * that have only that. */
void gust_kernels_fill_avxvnni_evex(gust_kernels *kernels);
void gust_kernels_fill_avx512(gust_kernels *kernels);
/* On top of avx512's table. */
void gust_kernels_fill_amx(gust_kernels *kernels);
void gust_kernels_fill_neon(gust_kernels *kernels);
void gust_kernels_fill_dotprod(gust_kernels *kernels);
void gust_kernels_fill_i8mm(gust_kernels *kernels);

/* What the AMX level uses for few tokens. */
gust_matmul_quantized_fn gust_matmul_q4_avx512, gust_matmul_q8_avx512;

#endif

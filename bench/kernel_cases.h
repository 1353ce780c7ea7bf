/* One call of every kernel, on data of the sizes a 7B model has, to be timed. */
#ifndef GUST_BENCH_KERNEL_CASES_H
#define GUST_BENCH_KERNEL_CASES_H

#include "kernels.h"

/* What a kernel can at best be limited by, and its work is counted in. */
typedef enum kernel_bound {
  BOUND_MEMORY,   /* bytes of weights larger than any cache */
  BOUND_CACHE,    /* bytes read and written in the nearest caches */
  BOUND_INTEGERS, /* 8-bit multiply-adds */
  BOUND_FLOATS    /* 32-bit multiply-adds */
} kernel_bound;

typedef struct kernel_data kernel_data;

typedef struct kernel_case {
  const char *name;
  void (*run)(const gust_kernels *kernels, const kernel_data *data, const struct kernel_case *one);
  int variant;  /* type of the weights or of the cache's tiles */
  size_t count; /* tokens or rows */
  kernel_bound bound;
  double work; /* bytes or multiply-adds of one run */
} kernel_case;

/* Ended by name NULL. */
extern const kernel_case kernel_cases[];

/* The same data for all of them; NULL when memory is short. */
kernel_data *kernel_data_create(void);
void kernel_data_destroy(kernel_data *data); /* accepts NULL */
/* Before a level's cases: quantizes the activations with its kernel. */
void kernel_data_prepare(kernel_data *data, const gust_kernels *kernels);

#endif

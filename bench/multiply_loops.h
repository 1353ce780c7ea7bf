/* Loops that do nothing but multiply and add in registers, with the instructions a
 * level's kernels have for it. */
#ifndef GUST_BENCH_MULTIPLY_LOOPS_H
#define GUST_BENCH_MULTIPLY_LOOPS_H

typedef struct multiply_loop {
  const char *level;    /* of the kernels; NULL ends the table */
  void (*run)(void);    /* the processor must have the level */
  double multiply_adds; /* of one run */
} multiply_loop;

/* Those of this architecture: 8-bit integers, and 32-bit floats, fused. */
extern const multiply_loop multiply_loops[];
extern const multiply_loop float_loops[];

#endif

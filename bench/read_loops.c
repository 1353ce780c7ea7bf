#include "read_loops.h"

#include <stdbool.h>
#include <string.h>

#include "kernels.h"

/* Independent sums, so that no addition waits for the one before. */
#define SUMS 8

/* An odd number of lines: streams a power of two apart would meet in the same
 * sets of the caches, and evict each other's lines there. What the streams leave
 * at the end is read after them. */
static inline size_t stream_bytes(size_t bytes, size_t streams) {
  size_t lines = bytes / READ_LOOP_LINE;
  if (streams > 1) lines = lines > streams ? (lines / streams - 1) | 1u : 0;
  return lines * READ_LOOP_LINE;
}

/* 128 bits: what any processor has. */
#define READ_VECTOR words128
#define READ_TARGET
#define READ_STREAMS sum_streams_128
#define READ_LOOP sum_128
typedef uint64_t words128 __attribute__((vector_size(16)));
#include "read_loop_template.h"

#if defined(__x86_64__)
#define READ_VECTOR words256
#define READ_TARGET __attribute__((target("avx2")))
#define READ_STREAMS sum_streams_256
#define READ_LOOP sum_256
typedef uint64_t words256 __attribute__((vector_size(32)));
#include "read_loop_template.h"

#define READ_VECTOR words512
#define READ_TARGET __attribute__((target("avx512f")))
#define READ_STREAMS sum_streams_512
#define READ_LOOP sum_512
typedef uint64_t words512 __attribute__((vector_size(64)));
#include "read_loop_template.h"
#endif

/* Ascending; `level` is the kernels' that has such loads, NULL: any. */
static const struct {
  const char *level;
  read_loop loop;
} loops[] = {
    {NULL, {128, sum_128}},
#if defined(__x86_64__)
    {"avx2", {256, sum_256}},
    {"avx512", {512, sum_512}},
#endif
};

static bool has_level(const char *level) {
  const char *found;
  for (size_t i = 0; (found = gust_kernels_level(i)) != NULL; i++)
    if (strcmp(found, level) == 0) return true;
  return false;
}

const read_loop *read_loop_get(size_t index) {
  for (size_t i = 0; i < sizeof loops / sizeof *loops; i++)
    if ((!loops[i].level || has_level(loops[i].level)) && index-- == 0) return &loops[i].loop;
  return NULL;
}

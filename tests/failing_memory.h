/* Memory that runs out when a test says so. Linked with --wrap (tests/meson.build), so
 * that requests of gust's and of the test come here first: malloc, calloc, realloc,
 * strdup, os_reserve, os_commit, os_map_file and pthread_create. What libc asks for itself
 * does not. */
#ifndef GUST_FAILING_MEMORY_H
#define GUST_FAILING_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

typedef enum failing_mode {
  FAILING_ONE, /* the nth request fails, alone */
  FAILING_ALL  /* and all that follow as well */
} failing_mode;

/* From here on requests are counted, from 1; 0 lets all of them succeed. */
void failing_memory_begin(failing_mode mode, unsigned long nth);
/* All succeed again. Returns how many requests there were since; to be called by the
 * thread that called failing_memory_begin, any number of times. */
unsigned long failing_memory_end(void);
/* How many bytes these requests asked for, refused or not: blocks, reservations, the stacks
 * of threads; not files that are mapped. */
uint64_t failing_memory_bytes(void);
/* Blocks and reservations that were given and not taken back. */
long failing_memory_live(void);

#endif

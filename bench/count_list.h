/* "128,512,4096": what options take that ask for several measurements. */
#ifndef GUST_BENCH_COUNT_LIST_H
#define GUST_BENCH_COUNT_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COUNT_LIST_MOST 16u

typedef struct count_list {
  size_t count; /* at least 1 */
  size_t values[COUNT_LIST_MOST];
} count_list;

/* False when the text is no list of 1 to COUNT_LIST_MOST whole numbers in [0,
 * most] with a comma between two of them. */
bool count_list_read(count_list *list, const char *text, size_t most);

#endif

/* Buffers that end right before an unreadable page, so that a kernel that reads
 * or writes one byte too many stops the test at once. */
#ifndef GUST_GUARDED_H
#define GUST_GUARDED_H

#include <stddef.h>

/* `bytes` of memory whose last byte is followed by a guard page; the page
 * before the first is one too. Aligned to the largest power of two up to 64
 * that divides `bytes`. Filled with 0xA5. Freed by guarded_free_all. */
void *guarded(size_t bytes);
void guarded_free_all(void);
/* Frees the last `count` of them. */
void guarded_free_last(size_t count);

#endif

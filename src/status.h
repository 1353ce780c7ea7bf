/* How library code fails: one call that fills in the caller's gust_error. */
#ifndef GUST_STATUS_H
#define GUST_STATUS_H

#include "gust.h"

#if defined(__GNUC__)
#define GUST_PRINTF(format_index, first) __attribute__((format(printf, format_index, first)))
#else
#define GUST_PRINTF(format_index, first)
#endif

/* Formats one line into *err (which may be NULL) and returns `status`. Control
 * characters that came in from a file are replaced by '?'. */
gust_status gust_fail(gust_error *err, gust_status status, const char *format, ...)
    GUST_PRINTF(3, 4);

/* gust_fail for a file that was mapped with `expected` bytes and changed in place
 * since; it has `found` now. */
gust_status gust_fail_changed(gust_error *err, const char *path, uint64_t expected, uint64_t found);

/* gust_fail for an allocation of `bytes` for `what`. */
gust_status gust_fail_memory(gust_error *err, const char *what, size_t bytes);

/* Threads that could not be started, for which the reason is the same. */
gust_status gust_fail_threads(gust_error *err, unsigned threads);

#endif

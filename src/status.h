/* How library code fails: one call that fills in the caller's gust_error. */
#ifndef GUST_STATUS_H
#define GUST_STATUS_H

#include "gust.h"

#if defined(__MINGW32__) && !defined(__clang__)
#define GUST_PRINTF(format_index, first) __attribute__((format(gnu_printf, format_index, first)))
#elif defined(__GNUC__)
#define GUST_PRINTF(format_index, first) __attribute__((format(printf, format_index, first)))
#else
#define GUST_PRINTF(format_index, first)
#endif

/* Bytes of the control character that NUL-terminated text begins with: one for those of
 * ASCII, two for U+0080 to U+009F, which terminals obey as well; 0 for anything else. */
size_t gust_control_bytes(const char *text);

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

/* What clang's analyzer, which sees one file at a time, cannot know: which status comes
 * back, and so that nobody goes on after a failure with what was not filled in. The
 * functions' names stand in parentheses where they are defined. */
#ifdef __clang_analyzer__
#define gust_fail(err, status, ...) ((gust_fail)(err, status, __VA_ARGS__), (status))
#define gust_fail_changed(err, path, expected, found) \
  ((gust_fail_changed)(err, path, expected, found), GUST_E_IO)
#define gust_fail_memory(err, what, bytes) ((gust_fail_memory)(err, what, bytes), GUST_E_MEMORY)
#define gust_fail_threads(err, threads) ((gust_fail_threads)(err, threads), GUST_E_MEMORY)
#endif

#endif

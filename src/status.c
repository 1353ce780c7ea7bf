#include "status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *gust_version(void) {
  return GUST_VERSION;
}

const char *gust_status_name(gust_status status) {
  switch (status) {
    case GUST_OK: return "ok";
    case GUST_E_ARGUMENT: return "invalid argument";
    case GUST_E_MEMORY: return "out of memory";
    case GUST_E_IO: return "input/output error";
    case GUST_E_FORMAT: return "damaged file";
    case GUST_E_UNSUPPORTED: return "not supported";
    case GUST_E_CONTEXT_FULL: return "context full";
    case GUST_E_CANCELLED: return "cancelled";
  }
  return "unknown status";
}

size_t gust_control_bytes(const char *text) {
  unsigned char first = (unsigned char)text[0], second;
  if (first == 0) return 0;
  if (first < 0x20 || first == 0x7f) return 1;
  second = (unsigned char)text[1];
  return first == 0xc2 && second >= 0x80 && second < 0xa0 ? 2 : 0;
}

/* Names quoted from a hostile file must not drive the terminal. */
static void spell_controls(char *text) {
  for (size_t bytes; *text; text += bytes ? bytes : 1) {
    bytes = gust_control_bytes(text);
    memset(text, '?', bytes);
  }
}

gust_status(gust_fail)(gust_error *err, gust_status status, const char *format, ...) {
  if (!err) return status;
  err->status = status;
  va_list args;
  va_start(args, format);
  vsnprintf(err->text, sizeof err->text, format, args);
  va_end(args);
  spell_controls(err->text);
  return status;
}

gust_status(gust_fail_changed)(gust_error *err, const char *path, uint64_t expected,
                               uint64_t found) {
  if (found != expected)
    return gust_fail(err, GUST_E_IO,
                     "%s: changed while in use: expected %llu bytes as when it was opened, found "
                     "%llu; put the whole file back and start again",
                     path, (unsigned long long)expected, (unsigned long long)found);
  return gust_fail(err, GUST_E_IO,
                   "%s: changed while in use: expected it as when it was opened, found it written "
                   "to or unreadable in part; put the whole file back and start again",
                   path);
}

gust_status(gust_fail_memory)(gust_error *err, const char *what, size_t bytes) {
  return gust_fail(err, GUST_E_MEMORY, "out of memory: %s needs %zu bytes; free some or use less",
                   what, bytes);
}

gust_status(gust_fail_threads)(gust_error *err, unsigned threads) {
  return gust_fail(err, GUST_E_MEMORY,
                   "out of memory or threads: expected to start %u, found no room; use fewer",
                   threads);
}

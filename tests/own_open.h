/* A test program's own open in place of the C library's; Linux. After including this it
 * defines own_open_file, which every call is handed to. */
#ifndef GUST_TEST_OWN_OPEN_H
#define GUST_TEST_OWN_OPEN_H

#include <fcntl.h>
#include <stdarg.h>

/* As open; `mode` is 0 without O_CREAT. */
static int own_open_file(const char *path, int flags, unsigned mode);

/* Under both names that off_t of 64 bits gives it. */
int own_open(const char *path, int flags, ...) __asm__("open");
int own_open64(const char *path, int flags, ...) __asm__("open64");

int own_open(const char *path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  unsigned mode = flags & O_CREAT ? va_arg(arguments, unsigned) : 0;
  va_end(arguments);
  return own_open_file(path, flags, mode);
}

int own_open64(const char *path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  unsigned mode = flags & O_CREAT ? va_arg(arguments, unsigned) : 0;
  va_end(arguments);
  return own_open_file(path, flags, mode);
}

#endif

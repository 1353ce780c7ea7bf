#include "whole_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool read_all(whole_file *file, os_file from, uint64_t bytes, size_t most) {
  file->bytes = bytes < SIZE_MAX ? (size_t)bytes : SIZE_MAX;
  if (file->bytes > most || file->bytes == SIZE_MAX) {
    errno = EFBIG;
    return false;
  }
  file->data = malloc(file->bytes + 1);
  if (!file->data) return false;
  file->data[file->bytes] = 0;
  return os_read_at(from, file->data, file->bytes, 0);
}

bool whole_file_read(whole_file *file, const char *path, size_t most) {
  uint64_t bytes;
  *file = (whole_file){0};
  os_file from = os_open_read(path, &bytes);
  if (from == -1) return false;
  bool done = read_all(file, from, bytes, most);
  int error = errno;
  if (!done) {
    free(file->data);
    file->data = NULL;
  }
  os_close(from);
  errno = error;
  return done;
}

gust_status whole_file_fail(const whole_file *file, const char *path, const char *expected,
                            const char *advice, gust_error *err) {
  if (errno == ENOMEM) return gust_fail_memory(err, path, file->bytes + 1);
  return gust_fail(err, GUST_E_IO, "%s: expected %s, found: %s%s", path, expected,
                   os_error_text(errno), advice);
}

void whole_file_free(whole_file *file) {
  free(file->data);
  *file = (whole_file){0};
}

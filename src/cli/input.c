#include "input.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 65536u

static gust_status read_stream(FILE *file, const char *name, char **text, size_t *bytes,
                               gust_error *err) {
  char *data = NULL;
  size_t used = 0, capacity = 0;
  for (;;) {
    if (used + 1 >= capacity) {
      size_t larger = capacity ? capacity * 2 : FIRST_CAPACITY;
      char *grown = larger > capacity ? realloc(data, larger) : NULL;
      if (!grown) {
        free(data);
        return command_error(err, GUST_E_MEMORY, "%s: no memory left after %zu bytes of text", name,
                             used);
      }
      data = grown;
      capacity = larger;
    }
    errno = 0;
    size_t got = fread(data + used, 1, capacity - used - 1, file);
    used += got;
    if (got == 0) break;
  }
  if (ferror(file)) {
    free(data);
    return command_error(err, GUST_E_IO, "%s: cannot read: %s", name,
                         errno ? strerror(errno) : "unknown error");
  }
  data[used] = 0;
  *text = data;
  *bytes = used;
  return GUST_OK;
}

gust_status input_read(const char *path, char **text, size_t *bytes, gust_error *err) {
  if (!path || strcmp(path, "-") == 0)
    return read_stream(stdin, "standard input", text, bytes, err);
  FILE *file = fopen(path, "rb");
  if (!file) return command_error(err, GUST_E_IO, "%s: cannot open: %s", path, strerror(errno));
  gust_status status = read_stream(file, path, text, bytes, err);
  fclose(file);
  return status;
}

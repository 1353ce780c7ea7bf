#include "input.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "interrupt.h"
#include "os.h"
#include "standard_input.h"

#define FIRST_CAPACITY 65536u

/* As many bytes as there are, from a file or, without one, standard input; 0 at the
 * end, -1 with errno or for a signal. */
static ptrdiff_t read_some(FILE *file, char *data, size_t bytes) {
  errno = 0;
  if (file) {
    size_t got = fread(data, 1, bytes, file);
    return got > 0 || !ferror(file) ? (ptrdiff_t)got : -1;
  }
  for (;;) {
    input_news news = standard_input_wait(-1);
    if (news == INPUT_TROUBLE || interrupt_signal()) return -1;
    ptrdiff_t got = standard_input_read(data, bytes);
    if (got >= 0 || errno != EINTR) return got;
  }
}

/* Standard input without a file. */
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
    ptrdiff_t got = read_some(file, data + used, capacity - used - 1);
    if (got == 0) break;
    if (got > 0) {
      used += (size_t)got;
      continue;
    }
    free(data);
    if (!file && interrupt_signal())
      return command_error(err, GUST_E_CANCELLED, "%s: reading was interrupted", name);
    return command_error(err, GUST_E_IO, "%s: cannot read: %s", name,
                         errno ? strerror(errno) : "unknown error");
  }
  data[used] = 0;
  *text = data;
  *bytes = used;
  return GUST_OK;
}

gust_status input_read(const char *path, char **text, size_t *bytes, gust_error *err) {
  if (!path || strcmp(path, "-") == 0) return read_stream(NULL, "standard input", text, bytes, err);
  if (os_is_folder(path))
    return command_error(err, GUST_E_IO, "%s: expected a file, found a folder", path);
  FILE *file = os_fopen(path, "rb");
  if (!file) return command_error(err, GUST_E_IO, "%s: cannot open: %s", path, strerror(errno));
  gust_status status = read_stream(file, path, text, bytes, err);
  fclose(file);
  return status;
}

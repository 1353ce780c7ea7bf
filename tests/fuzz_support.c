#include "fuzz_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "os.h"

void fuzz_require(bool held) {
  if (!held) abort();
}

void fuzz_require_line(const gust_error *err) {
  fuzz_require(err->text[0] && !strchr(err->text, '\n'));
}

uint64_t fuzz_get64(const uint8_t *from) {
  uint64_t value = 0;
  for (int i = 0; i < 8; i++) value |= (uint64_t)from[i] << (8 * i);
  return value;
}

void fuzz_put64(uint8_t *to, uint64_t value) {
  for (int i = 0; i < 8; i++) to[i] = (uint8_t)(value >> (8 * i));
}

fuzz_part fuzz_take_part(fuzz_part *rest) {
  const uint8_t *end = rest->bytes ? memchr(rest->data, 0, rest->bytes) : NULL;
  fuzz_part part = {rest->data, end ? (size_t)(end - rest->data) : rest->bytes};
  size_t taken = part.bytes + (end != NULL);
  rest->data += taken;
  rest->bytes -= taken;
  return part;
}

/* The path of a name, made when it is first asked for. */
static const char *find_path(const char *name) {
  static const char *paths[16];
  size_t i = 0, bytes = strlen(name);
  for (; i < sizeof paths / sizeof *paths && paths[i]; i++) {
    size_t path_bytes = strlen(paths[i]);
    if (path_bytes > bytes && paths[i][path_bytes - bytes - 1] == '/' &&
        strcmp(paths[i] + path_bytes - bytes, name) == 0)
      return paths[i];
  }
  if (i == sizeof paths / sizeof *paths) check_fatal("too many files", name);
  paths[i] = check_temp_file(name);
  return paths[i];
}

const char *fuzz_write_long_file(const char *name, const void *data, size_t bytes,
                                 size_t file_bytes) {
  const char *path = find_path(name);
  os_file file = os_open_write(path);
  bool written = file != -1 && os_write_at(file, data, bytes, 0) && os_truncate(file, file_bytes);
  if (!written) check_fatal("cannot write", path);
  os_close(file);
  return path;
}

const char *fuzz_write_file(const char *name, const void *data, size_t bytes) {
  return fuzz_write_long_file(name, data, bytes, bytes);
}

void fuzz_write_part(const char *name, fuzz_part part) {
  if (part.bytes)
    fuzz_write_file(name, part.data, part.bytes);
  else
    remove(find_path(name));
}

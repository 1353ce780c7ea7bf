/* What fuzz targets share. What a target finds wrong aborts it, which an engine and the
 * replay alike take for a failure. */
#ifndef GUST_FUZZ_SUPPORT_H
#define GUST_FUZZ_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gust.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

void fuzz_require(bool held);
/* That an error is one line with words in it. */
void fuzz_require_line(const gust_error *err);

/* Little-endian. */
uint64_t fuzz_get64(const uint8_t *from);
void fuzz_put64(uint8_t *to, uint64_t value);

/* An input of several files: a NUL byte ends each but the last, which takes the rest. */
typedef struct fuzz_part {
  const uint8_t *data;
  size_t bytes;
} fuzz_part;

/* Takes the next part off the front of *rest. */
fuzz_part fuzz_take_part(fuzz_part *rest);

/* Writes a file for the target to read, in a folder of this process alone. Returns its
 * path, valid until the program ends; a name costs one of those only once. */
const char *fuzz_write_file(const char *name, const void *data, size_t bytes);
/* The same with zeros up to a length of `file_bytes`, or cut off there. */
const char *fuzz_write_long_file(const char *name, const void *data, size_t bytes,
                                 size_t file_bytes);
/* The same for a part, of which an empty one is a file that is not there. */
void fuzz_write_part(const char *name, fuzz_part part);

#endif

/* The small files of a checkpoint are read whole rather than mapped: their parsers
 * must not see bytes change under them. */
#ifndef GUST_WHOLE_FILE_H
#define GUST_WHOLE_FILE_H

#include "os.h"
#include "status.h"

typedef struct whole_file {
  char *data; /* NUL-terminated; NULL: not read */
  size_t bytes;
} whole_file;

/* False with errno set when the file cannot be read; EFBIG, with `bytes` its length,
 * when it is longer than `most`; ENOMEM, with `bytes` its length. */
bool whole_file_read(whole_file *file, const char *path, size_t most);
/* That failure, for one that is not EFBIG: memory that ran out, or a file that cannot be
 * read, where `expected` says what was wanted of it and `advice` is empty or "; ...". */
gust_status whole_file_fail(const whole_file *file, const char *path, const char *expected,
                            const char *advice, gust_error *err);
/* Also of one that was not read. */
void whole_file_free(whole_file *file);

#endif

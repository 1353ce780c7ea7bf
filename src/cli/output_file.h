/* A result file: written under another name beside its place and renamed when
 * complete, so that what was there stays whole until then. Devices and pipes
 * cannot be replaced so and are written to directly. */
#ifndef GUST_CLI_OUTPUT_FILE_H
#define GUST_CLI_OUTPUT_FILE_H

#include <stdio.h>

#include "command.h"

typedef struct output_file {
  const char *path;
  char *temporary; /* NULL: `path` itself is open */
  FILE *file;
} output_file;

/* `path` must live as long as the output. Whether or not it succeeds,
 * output_file_close follows. */
gust_status output_file_open(output_file *output, const char *path, gust_error *err);
/* The same of a file that only its owner may read. */
gust_status output_file_open_private(output_file *output, const char *path, gust_error *err);

/* Fails as output_file_open would, and leaves nothing behind: for whoever computes for
 * long before there is something to write. A device or pipe is only looked at then. */
gust_status output_file_check(const char *path, gust_error *err);

gust_status output_file_write(output_file *output, const void *data, size_t bytes, gust_error *err);

/* With GUST_OK puts the file on the disk and in its place, else removes what there is of it.
 * Returns `status`, or what went wrong now. Accepts a zero-filled output. */
gust_status output_file_close(output_file *output, gust_status status, gust_error *err);

/* Whether something that is no regular file goes by that name: replacing it
 * would destroy a device, a pipe or a folder. */
bool output_file_is_special(const char *path);

#endif

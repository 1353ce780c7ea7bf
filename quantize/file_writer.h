/* Writes a file beside its target and puts it in the target's place when it is
 * whole and on disk. */
#ifndef GUST_FILE_WRITER_H
#define GUST_FILE_WRITER_H

#include "os.h"
#include "status.h"

typedef struct file_writer {
  char *target, *temporary;
  os_file file;
} file_writer;

/* The temporary name is TARGET.<16 hexadecimal digits>.tmp, new for every
 * writer, so that two at one target do not meet. */
gust_status file_writer_open(file_writer *writer, const char *target, gust_error *err);
/* Any offset; what is never written reads as zeros. */
gust_status file_writer_put(file_writer *writer, const void *data, size_t bytes, uint64_t offset,
                            gust_error *err);
/* Syncs, closes and renames over the target. */
gust_status file_writer_commit(file_writer *writer, gust_error *err);
/* Ends the writer. Without a commit the temporary file is removed and the
 * target stays what it was. */
void file_writer_close(file_writer *writer);

#endif

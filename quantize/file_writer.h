/* Writes a file beside its target and puts it in the target's place when it is
 * whole and on disk. */
#ifndef GUST_FILE_WRITER_H
#define GUST_FILE_WRITER_H

#include "os.h"
#include "status.h"

/* What a target is called until it is complete is its name and this. */
#define FILE_WRITER_SUFFIX ".converting"

typedef enum file_writer_stage {
  WRITER_FILLING,
  WRITER_CUT,  /* what was behind the file's own bytes is gone */
  WRITER_WHOLE /* and these are on disk: all but the name is there */
} file_writer_stage;

typedef struct file_writer {
  char *target, *partial;
  os_file file;
  file_writer_stage stage;
} file_writer;

#define FILE_WRITER_NONE \
  { NULL, NULL, (os_file)-1, WRITER_FILLING }

/* Opens TARGET.converting and holds it against other writers at this target, who are
 * refused. *found: its bytes, of an earlier writer that did not come to its end. */
gust_status file_writer_open(file_writer *writer, const char *target, uint64_t *found,
                             gust_error *err);
/* Makes it empty. */
gust_status file_writer_restart(file_writer *writer, gust_error *err);
/* Any offset; what is never written reads as zeros. May be called from several
 * threads at once. */
gust_status file_writer_put(const file_writer *writer, const void *data, size_t bytes,
                            uint64_t offset, gust_error *err);
/* Reads back; false when there is no such range or it cannot be read. */
bool file_writer_get(const file_writer *writer, void *data, size_t bytes, uint64_t offset);
/* Syncs, cuts to `bytes`, syncs, renames over the target and closes. */
gust_status file_writer_commit(file_writer *writer, uint64_t bytes, gust_error *err);
/* Ends the writer. Without a commit the target stays what it was, and the partial
 * file is removed unless it is to be kept. */
void file_writer_close(file_writer *writer, bool keep);

#endif

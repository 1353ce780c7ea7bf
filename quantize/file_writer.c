#include "file_writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NO_FILE ((os_file)-1)

/* errno into a line that says what to do about it. */
static gust_status fail_write(const file_writer *writer, const char *what, gust_error *err) {
  int error = errno;
  const char *advice = "check the folder and its permissions, or write elsewhere";
  bool full = error == ENOSPC;
#ifdef EDQUOT
  full = full || error == EDQUOT;
#endif
  if (full) advice = "the disk is full: free some space, or write to another disk";
  if (error == EFBIG)
    advice =
        "the file may not grow so large: write to another disk (FAT32 ends at 4 GiB), or raise "
        "the limit (ulimit -f)";
  return gust_fail(err, GUST_E_IO, "%s: expected to %s it, found: %s; %s", writer->target, what,
                   strerror(error), advice);
}

gust_status file_writer_open(file_writer *writer, const char *target, uint64_t *found,
                             gust_error *err) {
  *writer = (file_writer)FILE_WRITER_NONE;
  if (!*target || !os_may_replace(target))
    return gust_fail(err, GUST_E_ARGUMENT,
                     "%s: expected a regular file or a new name, found %s; give another name",
                     target, *target ? "a folder, device or pipe" : "an empty one");
  size_t bytes = strlen(target);
  writer->target = malloc(bytes + 1);
  writer->partial = malloc(bytes + sizeof FILE_WRITER_SUFFIX);
  if (!writer->target || !writer->partial) return gust_fail_memory(err, "path", bytes + 1);
  memcpy(writer->target, target, bytes + 1);
  memcpy(writer->partial, target, bytes);
  memcpy(writer->partial + bytes, FILE_WRITER_SUFFIX, sizeof FILE_WRITER_SUFFIX);
  bool busy;
  writer->file = os_open_exclusive(writer->partial, found, &busy);
  if (writer->file != NO_FILE) return GUST_OK;
  if (busy)
    return gust_fail(err, GUST_E_IO,
                     "%s: expected to be the only one that writes it, found that another "
                     "conversion does; wait for it, or give another name",
                     target);
  return fail_write(writer, "create", err);
}

gust_status file_writer_restart(file_writer *writer, gust_error *err) {
  return os_truncate(writer->file, 0) ? GUST_OK : fail_write(writer, "write", err);
}

gust_status file_writer_put(const file_writer *writer, const void *data, size_t bytes,
                            uint64_t offset, gust_error *err) {
  return os_write_at(writer->file, data, bytes, offset) ? GUST_OK
                                                        : fail_write(writer, "write", err);
}

bool file_writer_get(const file_writer *writer, void *data, size_t bytes, uint64_t offset) {
  return os_read_at(writer->file, data, bytes, offset);
}

/* Held until the name is the target's: else another writer could take up the
 * partial file just before it is renamed. What is cut off says which bytes are
 * finished: it is needed until they are on disk. */
gust_status file_writer_commit(file_writer *writer, uint64_t bytes, gust_error *err) {
  if (!os_sync(writer->file)) return fail_write(writer, "write", err);
  writer->stage = WRITER_CUT;
  if (!os_truncate(writer->file, bytes) || !os_sync(writer->file))
    return fail_write(writer, "write", err);
  writer->stage = WRITER_WHOLE;
  if (!os_rename(writer->partial, writer->target))
    return fail_write(writer, "rename the finished file to", err);
  os_close(writer->file);
  writer->file = NO_FILE;
  return GUST_OK;
}

void file_writer_close(file_writer *writer, bool keep) {
  if (writer->file != NO_FILE) {
    /* Before it is let go: whoever comes next must not have it removed. */
    if (!keep) os_remove(writer->partial);
    os_close(writer->file);
  }
  free(writer->partial);
  free(writer->target);
  *writer = (file_writer)FILE_WRITER_NONE;
}

#include "file_writer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checksum.h"

#define NO_FILE ((os_file)-1)

/* Differs between processes by the clock and by where their memory lies. */
static uint64_t unique_number(const file_writer *writer) {
  struct {
    uint64_t now, memory, stack;
  } seed = {os_now_ns(), (uint64_t)(uintptr_t)writer->target, (uint64_t)(uintptr_t)&seed};
  return gust_xxh64_of(&seed, sizeof seed, 0);
}

/* errno into a line that says what to do about it. */
static gust_status fail_write(const file_writer *writer, const char *what, gust_error *err) {
  int error = errno;
  const char *advice = "check the folder and its permissions, or write elsewhere";
  bool full = error == ENOSPC;
#ifdef EDQUOT
  full = full || error == EDQUOT;
#endif
  if (full) advice = "the disk is full: free some space, or write to another disk";
  if (error == EFBIG) advice = "the file may not grow so large here: raise the limit (ulimit -f)";
  return gust_fail(err, GUST_E_IO, "%s: expected to %s it, found: %s; %s", writer->target, what,
                   strerror(error), advice);
}

gust_status file_writer_open(file_writer *writer, const char *target, gust_error *err) {
  *writer = (file_writer){NULL, NULL, NO_FILE};
  if (!*target || !os_may_replace(target))
    return gust_fail(err, GUST_E_ARGUMENT,
                     "%s: expected a regular file or a new name, found %s; give another name",
                     target, *target ? "a folder, device or pipe" : "an empty one");
  size_t bytes = strlen(target) + 1;
  writer->target = malloc(bytes);
  writer->temporary = malloc(bytes + 21);
  if (!writer->target || !writer->temporary) return gust_fail_memory(err, "path", bytes);
  memcpy(writer->target, target, bytes);
  snprintf(writer->temporary, bytes + 21, "%s.%016" PRIx64 ".tmp", target, unique_number(writer));
  writer->file = os_open_write(writer->temporary);
  return writer->file == NO_FILE ? fail_write(writer, "create", err) : GUST_OK;
}

gust_status file_writer_put(file_writer *writer, const void *data, size_t bytes, uint64_t offset,
                            gust_error *err) {
  return os_write_at(writer->file, data, bytes, offset) ? GUST_OK
                                                        : fail_write(writer, "write", err);
}

gust_status file_writer_commit(file_writer *writer, gust_error *err) {
  bool synced = os_sync_close(writer->file);
  writer->file = NO_FILE;
  gust_status status = GUST_OK;
  if (!synced)
    status = fail_write(writer, "write", err);
  else if (!os_rename(writer->temporary, writer->target))
    status = fail_write(writer, "rename the finished file to", err);
  if (status) os_remove(writer->temporary);
  free(writer->temporary);
  writer->temporary = NULL;
  return status;
}

void file_writer_close(file_writer *writer) {
  if (writer->file != NO_FILE) {
    os_close(writer->file);
    os_remove(writer->temporary);
  }
  free(writer->temporary);
  free(writer->target);
  *writer = (file_writer){NULL, NULL, NO_FILE};
}

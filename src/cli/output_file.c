#include "output_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "os.h"

bool output_file_is_special(const char *path) {
  return !os_may_replace(path);
}

static gust_status open_as(output_file *output, const char *path, bool is_private,
                           gust_error *err) {
  const char *name = path;
  memset(output, 0, sizeof *output);
  output->path = path;
  if (!output_file_is_special(path)) {
    size_t bytes = strlen(path) + 32;
    output->temporary = malloc(bytes);
    if (!output->temporary) return command_error(err, GUST_E_MEMORY, "%s: no memory", path);
    snprintf(output->temporary, bytes, "%s.%llx.part", path, (unsigned long long)os_now_ns());
    name = output->temporary;
  }
  if (!output->temporary)
    output->file = os_fopen(name, "wb");
  else
    output->file = is_private ? os_fopen_private(name) : os_fopen(name, "wbx");
  if (output->file) return GUST_OK;
  return command_error(err, GUST_E_IO, "%s: cannot create: %s", path, strerror(errno));
}

gust_status output_file_check(const char *path, gust_error *err) {
  output_file output;
  if (output_file_is_special(path) && !os_is_folder(path)) return GUST_OK;
  gust_status status = output_file_open(&output, path, err);
  output_file_close(&output, GUST_E_CANCELLED, NULL);
  return status;
}

gust_status output_file_open(output_file *output, const char *path, gust_error *err) {
  return open_as(output, path, false, err);
}

gust_status output_file_open_private(output_file *output, const char *path, gust_error *err) {
  return open_as(output, path, true, err);
}

static gust_status write_failed(const output_file *output, gust_error *err) {
  return command_error(err, GUST_E_IO, "%s: cannot write: %s", output->path,
                       strerror(os_stream_errno()));
}

gust_status output_file_write(output_file *output, const void *data, size_t bytes,
                              gust_error *err) {
  if (fwrite(data, 1, bytes, output->file) == bytes) return GUST_OK;
  return write_failed(output, err);
}

gust_status output_file_close(output_file *output, gust_status status, gust_error *err) {
  if (output->file) {
    /* Renamed before it is on the disk, a crash could leave neither it nor what it replaced. */
    if (output->temporary && status == GUST_OK && !os_sync_stream(output->file))
      status = write_failed(output, err);
    if (fclose(output->file) != 0 && status == GUST_OK) status = write_failed(output, err);
    if (output->temporary) {
      if (status == GUST_OK && !os_rename(output->temporary, output->path))
        status = write_failed(output, err);
      if (status != GUST_OK) os_remove(output->temporary);
    }
  }
  free(output->temporary);
  memset(output, 0, sizeof *output);
  return status;
}

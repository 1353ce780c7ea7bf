#include "json_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lfs_pointer.h"

/* Configuration files are small; an index of a thousand shards is not larger. */
#define MAX_JSON_BYTES (64u << 20)

char *path_join(const char *folder, const char *name) {
  size_t a = strlen(folder), b = strlen(name);
  while (a > 1 && os_is_separator(folder[a - 1])) a--;
  char *path = malloc(a + b + 2);
  if (!path) return NULL;
  memcpy(path, folder, a);
  path[a] = '/';
  memcpy(path + a + 1, name, b + 1);
  return path;
}

bool path_exists(const char *path) {
  uint64_t bytes;
  errno = 0;
  os_file file = os_open_read(path, &bytes);
  if (file == -1) return errno != ENOENT && errno != ENOTDIR;
  os_close(file);
  return true;
}

gust_status json_file_open(json_file *file, const char *folder, const char *name, bool required,
                           gust_error *err) {
  memset(file, 0, sizeof *file);
  file->path = path_join(folder, name);
  if (!file->path) return gust_fail_memory(err, "path", strlen(folder) + strlen(name) + 2);
  if (!required && !path_exists(file->path)) return GUST_OK;
  if (!whole_file_read(&file->text, file->path, MAX_JSON_BYTES))
    return errno == EFBIG
               ? gust_fail(err, GUST_E_FORMAT, "%s: expected at most %u bytes of JSON, found %zu",
                           file->path, MAX_JSON_BYTES, file->text.bytes)
               : whole_file_fail(&file->text, file->path, "a readable file",
                                 "; give the folder of a Hugging Face checkpoint", err);
  gust_status status = lfs_pointer_refuse(file->text.data, file->text.bytes, file->path, err);
  if (status) return status;
  status =
      json_parse(&file->doc, file->text.data, file->text.bytes, file->path, JSON_UNIQUE_KEYS, err);
  if (status) return json_advise(status, err);
  const json_value *root = json_root(file->doc);
  if (!json_is(root, JSON_OBJECT))
    return json_fail(file->doc, root, GUST_E_FORMAT, err, "expected an object, found %s",
                     json_type_name(json_type_of(root)));
  file->root = root;
  return GUST_OK;
}

void json_file_close(json_file *file) {
  json_free(file->doc);
  whole_file_free(&file->text);
  free(file->path);
  memset(file, 0, sizeof *file);
}

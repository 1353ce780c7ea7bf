#define _POSIX_C_SOURCE 200809L /* strdup */

#include "state_folder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os.h"

char *state_folder_path(const char *name) {
  char *base = os_state_folder();
  if (!base) return NULL;
  size_t bytes = strlen(base) + strlen(name) + sizeof "/gust/";
  char *path = malloc(bytes);
  if (path) snprintf(path, bytes, "%s/gust/%s", base, name);
  free(base);
  return path;
}

/* A folder on the way may exist and be closed to us: only what is missing is made,
 * from the first that is there on. */
static bool make_folder(char *path) {
  if (os_is_folder(path)) return true;
  size_t end = (size_t)(os_file_name(path) - path);
  while (end > 0 && os_is_separator(path[end - 1])) end--;
  if (end > 0) {
    char separator = path[end];
    path[end] = 0;
    bool made = make_folder(path);
    path[end] = separator;
    if (!made) return false;
  }
  if (os_make_folder(path)) return true;
  if (errno != EEXIST) return false;
  if (os_is_folder(path)) return true; /* someone else was faster */
  errno = ENOTDIR;
  return false;
}

bool state_folder_make(const char *path) {
  char *folder = strdup(path);
  if (!folder) return false;
  size_t end = (size_t)(os_file_name(folder) - folder);
  while (end > 0 && os_is_separator(folder[end - 1])) end--;
  folder[end] = 0;
  bool made = end == 0 || make_folder(folder);
  int failure = errno;
  free(folder);
  errno = failure;
  return made;
}

#define _POSIX_C_SOURCE 200809L

#include "state_folder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

char *state_folder_path(const char *name) {
  const char *base = getenv("XDG_STATE_HOME"), *below = "";
  if (!base || base[0] != '/') { /* relative ones are to be ignored */
    base = getenv("HOME");
    below = "/.local/state";
  }
  if (!base || base[0] != '/') return NULL;
  size_t bytes = strlen(base) + strlen(below) + strlen(name) + sizeof "/gust/";
  char *path = malloc(bytes);
  if (path) snprintf(path, bytes, "%s%s/gust/%s", base, below, name);
  return path;
}

bool state_folder_make(const char *path) {
  char *copy = strdup(path);
  bool made = copy != NULL;
  for (char *slash = copy ? strchr(copy + 1, '/') : NULL; made && slash;
       slash = strchr(slash + 1, '/')) {
    *slash = 0;
    /* A folder on the way may exist and be closed to us. */
    struct stat info;
    if (stat(copy, &info) != 0) made = mkdir(copy, 0700) == 0 || errno == EEXIST;
    *slash = '/';
  }
  int failure = errno;
  free(copy);
  errno = failure;
  return made;
}

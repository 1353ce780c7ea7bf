#include "lfs_pointer.h"

#include <string.h>

/* The first line of every pointer, up to the version of its format. */
static const char beginning[] = "version https://git-lfs.github.com/spec/";
#define BEGINNING_BYTES (sizeof beginning - 1)

gust_status lfs_pointer_refuse(const void *bytes, size_t count, const char *path, gust_error *err) {
  if (count < BEGINNING_BYTES || memcmp(bytes, beginning, BEGINNING_BYTES) != 0) return GUST_OK;
  return gust_fail(err, GUST_E_FORMAT,
                   "%s: this is a git-lfs pointer, not the file itself: run git lfs pull in its "
                   "folder",
                   path);
}

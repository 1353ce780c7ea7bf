/* What git leaves in place of a large file until git-lfs has fetched it. */
#ifndef GUST_LFS_POINTER_H
#define GUST_LFS_POINTER_H

#include <stddef.h>

#include "status.h"

/* Fails with GUST_E_FORMAT when the `count` bytes of the file `path` are such a pointer. */
gust_status lfs_pointer_refuse(const void *bytes, size_t count, const char *path, gust_error *err);

#endif

/* Files that change while they are mapped (os.h: os_guard_maps, os_map_unchanged).
 *
 * A map's watch keeps the file open, so that it can be asked for its length and
 * for when it was last written to, and notes whether a page of it was missing when
 * somebody read it. POSIX only: elsewhere a mapped file cannot be shortened. */
#ifndef GUST_MAP_GUARD_H
#define GUST_MAP_GUARD_H

#include "os.h"

/* Watches the mapping of `bytes` > 0 at `data`, made of the file `fd`, which the
 * watch owns from then on. NULL, with errno set and fd left alone, when there is no
 * memory. */
os_map_watch *map_guard_begin(const void *data, size_t bytes, int fd);
/* Closes the file. To be called before the mapping goes; NULL is accepted. */
void map_guard_end(os_map_watch *watch);

#endif

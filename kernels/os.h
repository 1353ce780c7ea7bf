/* What differs between operating systems: memory, files, processors, time.
 * os_posix.c implements it; another system needs another such file.
 * It lives beside the kernels because it, the pool and they are the leaf that
 * src and quantize both stand on. Functions that fail return false or NULL and
 * leave errno set. */
#ifndef GUST_OS_H
#define GUST_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- memory --- */

/* Reserves address space without memory behind it, aligned to 2 MiB. */
void *os_reserve(size_t bytes);
/* Makes [offset, offset + bytes) of a reservation usable, zero-filled when
 * first touched; any offset and length. Idempotent. Asks for huge pages. */
bool os_commit(void *base, size_t offset, size_t bytes);
void os_release(void *base, size_t bytes);
/* Memory that could still be used without swapping and within this process's limits;
 * 0 when unknown. */
uint64_t os_available_memory(void);

/* --- files --- */

typedef struct os_map_watch os_map_watch;

typedef struct os_map {
  const uint8_t *data;
  size_t bytes;
  os_map_watch *watch; /* of the file behind it; NULL where the system needs none */
} os_map;

/* Maps a whole regular file for reading. An empty file maps to bytes 0. */
bool os_map_file(os_map *map, const char *path);
void os_unmap_file(os_map *map);
/* Whether what is read from the map is what the file held when it was mapped: it is
 * still as long, was not written to, and no page of it was missing. A file that was
 * replaced by another of its name, or removed, is unchanged. *bytes: its length now.
 * To be asked after reading, before what was read is used; costs one system call. */
bool os_map_unchanged(const os_map *map, uint64_t *bytes);
/* Reading a page that its file no longer has, or that its disk cannot give, ends a
 * process (SIGBUS). From this call on such a page of a map reads as zeros instead,
 * and os_map_unchanged tells. It takes over the process's handler of that signal,
 * and hands on what is no fault in a map: for a program to decide, once and early,
 * before a library's other threads run. False when the system refuses. */
bool os_guard_maps(void);
/* The pages [offset, offset + bytes) will be read soon / not again. */
void os_will_need(const os_map *map, size_t offset, size_t bytes);
void os_dont_need(const os_map *map, size_t offset, size_t bytes);
/* Waits until those pages are in memory and mapped; for several threads at once.
 * False when they cannot be read: the file has become shorter, or its disk fails.
 * Where the kernel cannot be asked (Linux before 5.14, other systems) either is a
 * SIGBUS instead, as it is for whoever reads the mapping later (os_guard_maps). */
bool os_fetch(const os_map *map, size_t offset, size_t bytes);

/* An open file read or written at offsets; -1: none. */
typedef intptr_t os_file;
os_file os_open_read(const char *path, uint64_t *bytes);
/* Creates or truncates `path` for writing. */
os_file os_open_write(const char *path);
/* Opens the regular file `path` for reading and writing, creating it when there
 * is none, and holds it for this process alone until it is closed, or the process
 * ends in whatever way. A symbolic link is refused. *busy: another has it. */
os_file os_open_exclusive(const char *path, uint64_t *bytes, bool *busy);
bool os_truncate(os_file file, uint64_t bytes);
bool os_read_at(os_file file, void *data, size_t bytes, uint64_t offset); /* short: EIO */
bool os_write_at(os_file file, const void *data, size_t bytes, uint64_t offset);
bool os_sync(os_file file); /* fsync */
/* fsync, then close; false when either failed. */
bool os_sync_close(os_file file);
void os_close(os_file file);
/* Renames over an existing target. Whether the rename was done is what it says:
 * the folder is synced as well as the system allows. */
bool os_rename(const char *from, const char *to);
bool os_remove(const char *path);
/* When the file was last changed, in nanoseconds; 0 when unknown. */
uint64_t os_changed_ns(const char *path);
/* Whether `path` is a regular file or nothing: what a rename may replace. Not
 * so a folder, a device or a pipe. */
bool os_may_replace(const char *path);
/* Bytes that can still be written to the disk on which `path` lies or would be made;
 * UINT64_MAX when unknown. */
uint64_t os_free_disk(const char *path);
/* Whether both paths lead, through links too, to one and the same file. */
bool os_same_file(const char *a, const char *b);

/* --- processors and time --- */

/* Physical cores (one per set of SMT siblings) this process may run on; >= 1. */
unsigned os_physical_cores(void);
/* Monotonic nanoseconds. */
uint64_t os_now_ns(void);

#endif

/* What differs between operating systems: memory, files, folders, processors, time.
 * os_SYSTEM.c and machine_SYSTEM.c implement it; another system needs two more of them.
 * It lives beside the kernels because it, the pool and they are the leaf that
 * src and quantize both stand on. Functions that fail return false or NULL and
 * leave errno set. Paths are UTF-8 everywhere; files larger than 4 GB are fine. */
#ifndef GUST_OS_H
#define GUST_OS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

/* --- memory --- */

size_t os_page_bytes(void);

/* Reserves address space without memory behind it, aligned to 2 MiB. */
void *os_reserve(size_t bytes);
/* What that may take beyond `bytes`, in part only for a moment. */
#define OS_RESERVE_EXTRA ((size_t)4 << 20)
/* Makes [offset, offset + bytes) of a reservation usable, zero-filled when
 * first touched; any offset and length. Idempotent. Asks for huge pages. */
bool os_commit(void *base, size_t offset, size_t bytes);
void os_release(void *base, size_t bytes);
/* Memory that could still be used without swapping and within this process's limits;
 * 0 when unknown. */
uint64_t os_available_memory(void);
/* The same with what can be swapped out for it: at least as much, and slower. */
uint64_t os_available_with_swap(void);
/* Of the machine; 0 when unknown. */
uint64_t os_total_memory(void);

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
/* Opens a regular file; EISDIR for a folder, ENOTSUP for anything else. */
os_file os_open_read(const char *path, uint64_t *bytes);
/* The same for reading and writing. */
os_file os_open_update(const char *path, uint64_t *bytes);
/* Creates or truncates `path` for writing. */
os_file os_open_write(const char *path);
/* Creates `path` for reading and writing, for its owner alone as far as the system
 * has that; EEXIST when anything goes by that name. */
os_file os_create_private(const char *path);
/* An open file for its owner alone, as os_create_private makes it. */
void os_make_private(os_file file);
/* Holds an open file until it is closed, against others who ask for that, or the
 * process ends in whatever way. Does not wait: false and *busy when another has it.
 * File systems without locks (some network ones) hold nothing, and nobody off. */
bool os_lock(os_file file, bool *busy);
/* Whether `path` leads to the open file, rather than to another or to nothing. */
bool os_is_at(os_file file, const char *path);
bool os_file_bytes(os_file file, uint64_t *bytes);
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
/* Whether `path` itself is a symbolic link, which a rename would replace. */
bool os_is_link(const char *path);
/* Bytes that can still be written to the disk on which `path` lies or would be made;
 * UINT64_MAX when unknown. */
uint64_t os_free_disk(const char *path);
/* Whether both paths lead, through links too, to one and the same file. */
bool os_same_file(const char *a, const char *b);
/* fopen; the modes are "rb", "wb" and, failing with EEXIST, "wbx". */
FILE *os_fopen(const char *path, const char *mode);
/* As "wbx", for its owner alone as far as the system has that. */
FILE *os_fopen_private(const char *path);
/* Puts on the disk what was written to the stream of a file. */
bool os_sync_stream(FILE *file);
/* The words for an errno of these functions: strerror's, but for ENOTSUP, of which it says
 * nothing that helps ("not a regular file"). */
const char *os_error_text(int error);
/* errno of a write to a stream that has just failed. Windows' C library takes a pipe that
 * nobody reads for an invalid argument; it is EPIPE here. */
int os_stream_errno(void);

/* --- folders and paths --- */

bool os_is_folder(const char *path);
/* Makes one folder, for its owner alone as far as the system has that. */
bool os_make_folder(const char *path);
/* Calls fn with the name of everything in a folder but "." and "..", in no order,
 * until it returns true. */
typedef bool os_name_fn(void *user, const char *name);
bool os_list_folder(const char *path, os_name_fn *fn, void *user);
/* Makes the name known to the disk, as well as the system allows, of a file that was
 * created: one whose folder was not written is lost in a crash. */
void os_sync_name(const char *path);
/* Whether `c` stands between the names of a path. */
bool os_is_separator(char c);
/* What follows the last separator of a path. */
const char *os_file_name(const char *path);
/* The user's folder, and the one in which programs keep what outlives them; to be
 * freed, NULL when the environment names none by an absolute path. */
char *os_home_folder(void);
char *os_state_folder(void);

/* --- threads, processors and time --- */

/* pthread_create with a stack of that size. The thread takes no signals, where there
 * are any, but those that an instruction of its own causes: os_guard_maps has a
 * handler for one, and blocked it would end the process. */
bool os_start_thread(pthread_t *thread, size_t stack_bytes, void *(*fn)(void *), void *arg);

/* Physical cores (one per set of SMT siblings) this process may run on; >= 1. */
unsigned os_physical_cores(void);
/* Logical processors of the machine that are on; 0 when unknown. */
unsigned os_processors(void);
/* Asks for the use of AMX's tile registers in this process, which the system must
 * save; false where it does not. */
bool os_enable_tiles(void);
/* Monotonic nanoseconds. */
uint64_t os_now_ns(void);
void os_sleep_ns(uint64_t nanoseconds);
/* localtime into *local. */
bool os_local_time(time_t seconds, struct tm *local);

#endif

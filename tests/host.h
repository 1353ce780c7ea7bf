/* What tests ask of the system they run on beyond os.h; host_posix.c and host_windows.c
 * implement it. Paths are UTF-8. */
#ifndef GUST_HOST_H
#define GUST_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* --- files --- */

/* Makes a fresh folder among the system's temporary ones and writes its path, in which
 * '/' separates names, to `path`. */
bool host_make_temp_folder(char *path, size_t room);
/* Removes a file, a link or an empty folder. */
bool host_remove(const char *path);
bool host_exists(const char *path);
/* Makes `path` a symbolic link to a file; false where there are none, or no right to
 * make one. */
bool host_make_link(const char *target, const char *path);
/* Makes `path` another name of a file: such a link, or a hard one where that fails. */
bool host_make_alias(const char *target, const char *path);
/* Makes `path` a named pipe; false where those do not lie in folders. */
bool host_make_fifo(const char *path);
/* Gives a file a time of change, since 1970. */
bool host_set_changed(const char *path, int64_t seconds, long nanoseconds);
/* Whether the owner and others may do with it just what `mode` says, as in chmod. Where
 * the system has no such bits, whether it is there. */
bool host_has_mode(const char *path, int mode);
/* False where it has none. */
bool host_set_mode(const char *path, int mode);
/* From now on this process can make no file longer than this, which fails with EFBIG;
 * HOST_NO_LIMIT: as long as it could before. False where there are no such limits. */
#define HOST_NO_LIMIT UINT64_MAX
bool host_limit_files(uint64_t bytes);
/* Whether what is left out when a file is written far beyond its end takes no disk: not so
 * on Windows itself. */
bool host_makes_holes(void);
/* Root has no more rights over files than anyone else, until host_resume_root; true too of
 * who is not root. False where there is no such user. */
bool host_suspend_root(void);
void host_resume_root(void);
/* A file that can be opened but never written to, its disk being full; NULL where there
 * is none. */
const char *host_full_file(void);
/* A device that is no regular file. */
const char *host_null_device(void);

/* --- memory --- */

/* Aligned to 64 bytes; freed by host_free. `bytes` is a multiple of 64. */
void *host_allocate(size_t bytes);
void host_free(void *memory);

/* `bytes` of memory that cannot be touched, a multiple of os_page_bytes(); NULL. */
void *host_map_guard(size_t bytes);
/* Makes part of it, whole pages, usable. */
bool host_unguard(void *at, size_t bytes);
void host_unmap(void *base, size_t bytes);
/* Whether the byte can be read without the process ending. */
bool host_is_readable(const volatile uint8_t *at);

/* --- the machine --- */

unsigned host_processors(void); /* 0 when unknown */
uint64_t host_memory_bytes(void);

/* --- the process --- */

/* Sets a variable of the environment, of this process and those it starts; NULL removes
 * it. */
void host_set_env(const char *name, const char *value);
/* Sends what is written to `stream` to a file, until host_restore is given the result. */
int host_redirect(FILE *stream, const char *path);
void host_restore(FILE *stream, int saved);
/* The folder from which relative paths lead; to be freed. */
char *host_working_folder(void);
void host_change_folder(const char *path);
/* Whether the terminal on standard input echoes and edits lines, as it does when no
 * program has changed it. */
bool host_terminal_edits(void);
/* Whether at least Ctrl-C interrupts there and output is treated as usual. */
bool host_terminal_interrupts(void);
/* False under wine, whose consoles drop Escape, take a typed Ctrl-C for the end of input,
 * end programs by Ctrl-Break without telling them, and keep their size. */
bool host_has_whole_terminals(void);
void host_sleep(unsigned milliseconds);
/* Lets another thread run. */
void host_yield(void);
/* Ends the process as if it were killed: nothing is flushed, no handler runs. Its exit
 * code is HOST_KILLED (run_program.h counts as a shell does). */
#define HOST_KILLED (128 + 9)
_Noreturn void host_die(void);
/* What follows may wait for ever when it is wrong: unless this is called again within 20
 * seconds, the test ends and says what it waited for. NULL: nothing any more. Does nothing
 * where there are no signals. */
void host_expect_soon(const char *what);
/* A process that ends on purpose, in a bad way, leaves no core and opens no window. */
void host_expect_crash(void);

#endif

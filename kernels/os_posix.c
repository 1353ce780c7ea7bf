/* os.h on POSIX systems, but for what it asks about the machine (machine_posix.c); what
 * Linux and macOS know beyond POSIX is used where it helps and never needed. */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64

#include "os.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "map_guard.h"

#define HUGE_PAGE ((size_t)2 << 20)
/* macOS refuses to read or write more than INT_MAX bytes at once. */
#define IO_STEP ((size_t)1 << 30)

#if !defined(MAP_ANONYMOUS) && defined(MAP_ANON)
#define MAP_ANONYMOUS MAP_ANON
#endif
#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

/* --- memory --------------------------------------------------------------- */

size_t os_page_bytes(void) {
  long bytes = sysconf(_SC_PAGESIZE);
  return bytes > 0 ? (size_t)bytes : 4096;
}

/* `n` rounded up; 0 when that overflows. Multiples are powers of two. */
static size_t round_up(size_t n, size_t multiple) {
  return n > SIZE_MAX - (multiple - 1) ? 0 : (n + multiple - 1) & ~(multiple - 1);
}

/* Whole huge pages are reserved, so that the last one, too, can be one; the
 * excess needed to align the address is given back at once. */
void *os_reserve(size_t bytes) {
  size_t size = round_up(bytes ? bytes : 1, HUGE_PAGE);
  if (size == 0 || size > SIZE_MAX - HUGE_PAGE) {
    errno = ENOMEM;
    return NULL;
  }
  char *got =
      mmap(NULL, size + HUGE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (got == MAP_FAILED) return NULL;
  size_t head = (HUGE_PAGE - ((uintptr_t)got & (HUGE_PAGE - 1))) & (HUGE_PAGE - 1);
  if (head) munmap(got, head);
  if (head < HUGE_PAGE) munmap(got + head + size, HUGE_PAGE - head);
  return got + head;
}

bool os_commit(void *base, size_t offset, size_t bytes) {
  if (bytes == 0) return true;
  size_t page = os_page_bytes();
  size_t end = bytes > SIZE_MAX - offset ? 0 : round_up(offset + bytes, page);
  if (end == 0) {
    errno = ENOMEM;
    return false;
  }
  size_t begin = offset & ~(page - 1);
  if (mprotect((char *)base + begin, end - begin, PROT_READ | PROT_WRITE) != 0) return false;
#ifdef MADV_HUGEPAGE
  /* Advice only, and for every huge page touched: it takes effect once all of
   * such a page is committed, also when that happens piece by piece. */
  size_t huge_begin = offset & ~(HUGE_PAGE - 1), huge_end = round_up(end, HUGE_PAGE);
  if (huge_end) madvise((char *)base + huge_begin, huge_end - huge_begin, MADV_HUGEPAGE);
#endif
  return true;
}

void os_release(void *base, size_t bytes) {
  if (base) munmap(base, round_up(bytes ? bytes : 1, HUGE_PAGE));
}

/* --- files ---------------------------------------------------------------- */

/* Opens a regular file. O_NONBLOCK: a FIFO must be refused, not waited for. */
static int open_regular(const char *path, int flags, uint64_t *bytes) {
  int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return -1;
  struct stat st;
  int error = 0;
  if (fstat(fd, &st) != 0)
    error = errno;
  else if (S_ISDIR(st.st_mode))
    error = EISDIR;
  else if (!S_ISREG(st.st_mode))
    error = ENOTSUP;
  if (error) {
    close(fd);
    errno = error;
    return -1;
  }
  *bytes = (uint64_t)st.st_size;
  return fd;
}

bool os_map_file(os_map *map, const char *path) {
  *map = (os_map){0};
  uint64_t bytes;
  int fd = open_regular(path, O_RDONLY, &bytes);
  if (fd < 0) return false;
  if (bytes == 0) {
    close(fd);
    return true;
  }
  void *data = MAP_FAILED;
  if (bytes > SIZE_MAX)
    errno = EFBIG;
  else
    data = mmap(NULL, (size_t)bytes, PROT_READ, MAP_SHARED, fd, 0);
  os_map_watch *watch = data == MAP_FAILED ? NULL : map_guard_begin(data, (size_t)bytes, fd);
  if (!watch) {
    int error = errno;
    if (data != MAP_FAILED) munmap(data, (size_t)bytes);
    close(fd);
    errno = error;
    return false;
  }
  *map = (os_map){data, (size_t)bytes, watch};
  return true;
}

void os_unmap_file(os_map *map) {
  map_guard_end(map->watch);
  if (map->bytes) munmap((void *)(uintptr_t)map->data, map->bytes);
  *map = (os_map){0};
}

/* madvise over the pages of the range that the map holds: all it touches
 * (outwards), or those that lie in it wholly. Advice may fail. */
static void advise(const os_map *map, size_t offset, size_t bytes, int advice, bool outwards) {
  if (offset >= map->bytes) return;
  if (bytes > map->bytes - offset) bytes = map->bytes - offset;
  size_t page = os_page_bytes(), end = offset + bytes;
  size_t begin = outwards ? offset & ~(page - 1) : round_up(offset, page);
  if (!outwards && end < map->bytes) end &= ~(page - 1);
  if (begin >= end) return;
  int before = errno;
  madvise((void *)((uintptr_t)map->data + begin), end - begin, advice);
  errno = before;
}

void os_will_need(const os_map *map, size_t offset, size_t bytes) {
  advise(map, offset, bytes, MADV_WILLNEED, true);
}

void os_dont_need(const os_map *map, size_t offset, size_t bytes) {
  advise(map, offset, bytes, MADV_DONTNEED, false);
}

bool os_fetch(const os_map *map, size_t offset, size_t bytes) {
  if (offset >= map->bytes) return true;
  if (bytes > map->bytes - offset) bytes = map->bytes - offset;
  size_t page = os_page_bytes(), begin = offset & ~(page - 1), end = offset + bytes;
#ifdef MADV_POPULATE_READ
  if (madvise((void *)((uintptr_t)map->data + begin), end - begin, MADV_POPULATE_READ) == 0)
    return true;
  if (errno == EFAULT) errno = EIO;  /* the file has become shorter, or its disk fails */
  if (errno != EINVAL) return false; /* EINVAL: a kernel before 5.14 */
#endif
  const volatile uint8_t *data = map->data;
  for (size_t at = begin; at < end; at += page) (void)data[at];
  return true;
}

os_file os_open_read(const char *path, uint64_t *bytes) {
  return open_regular(path, O_RDONLY, bytes);
}

os_file os_open_update(const char *path, uint64_t *bytes) {
  return open_regular(path, O_RDWR, bytes);
}

os_file os_create_private(const char *path) {
  return open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
}

void os_make_private(os_file file) {
  struct stat st;
  int before = errno;
  if (fstat((int)file, &st) == 0 && (st.st_mode & 077) != 0) (void)fchmod((int)file, 0600);
  errno = before;
}

bool os_lock(os_file file, bool *busy) {
  int result;
  do result = flock((int)file, LOCK_EX | LOCK_NB);
  while (result != 0 && errno == EINTR);
  *busy = result != 0 && errno == EWOULDBLOCK;
  bool none_here = result != 0 && (errno == ENOSYS || errno == EOPNOTSUPP || errno == ENOLCK);
  return result == 0 || none_here;
}

bool os_is_at(os_file file, const char *path) {
  struct stat mine, named;
  return fstat((int)file, &mine) == 0 && stat(path, &named) == 0 && named.st_ino == mine.st_ino &&
         named.st_dev == mine.st_dev;
}

bool os_file_bytes(os_file file, uint64_t *bytes) {
  struct stat st;
  if (fstat((int)file, &st) != 0) return false;
  *bytes = (uint64_t)st.st_size;
  return true;
}

os_file os_open_write(const char *path) {
  return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
}

/* One attempt; -2: the name changed hands in between. */
static int open_and_lock(const char *path, uint64_t *bytes, bool *busy) {
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
  if (fd < 0) return -1;
  struct stat mine;
  int error = 0, result = fd;
  if (fstat(fd, &mine) != 0)
    error = errno;
  else if (!S_ISREG(mine.st_mode))
    error = ENOTSUP;
  else if (!os_lock(fd, busy))
    error = errno;
  else if (!os_is_at(fd, path))
    result = -2; /* the one before us renamed or removed it */
  else if (!os_file_bytes(fd, bytes))
    error = errno;
  if (error || result == -2) close(fd);
  if (error) errno = error;
  return error ? -1 : result;
}

os_file os_open_exclusive(const char *path, uint64_t *bytes, bool *busy) {
  int fd;
  *busy = false;
  do fd = open_and_lock(path, bytes, busy);
  while (fd == -2);
  return fd;
}

bool os_truncate(os_file file, uint64_t bytes) {
  if (bytes > INT64_MAX) {
    errno = EFBIG;
    return false;
  }
  int result;
  do result = ftruncate((int)file, (off_t)bytes);
  while (result != 0 && errno == EINTR);
  return result == 0;
}

/* Whether every offset up to the end of the range is one the system knows. */
static bool in_file_range(size_t bytes, uint64_t offset) {
  if (offset <= INT64_MAX && bytes <= INT64_MAX - offset) return true;
  errno = EOVERFLOW;
  return false;
}

bool os_read_at(os_file file, void *data, size_t bytes, uint64_t offset) {
  if (!in_file_range(bytes, offset)) return false;
  char *to = data;
  while (bytes > 0) {
    ssize_t n = pread((int)file, to, bytes < IO_STEP ? bytes : IO_STEP, (off_t)offset);
    if (n < 0 && errno == EINTR) continue;
    if (n == 0) errno = EIO;
    if (n <= 0) return false;
    to += n;
    bytes -= (size_t)n;
    offset += (uint64_t)n;
  }
  return true;
}

bool os_write_at(os_file file, const void *data, size_t bytes, uint64_t offset) {
  if (!in_file_range(bytes, offset)) return false;
  const char *from = data;
  while (bytes > 0) {
    ssize_t n = pwrite((int)file, from, bytes < IO_STEP ? bytes : IO_STEP, (off_t)offset);
    if (n < 0 && errno == EINTR) continue;
    if (n == 0) errno = EIO;
    if (n <= 0) return false;
    from += n;
    bytes -= (size_t)n;
    offset += (uint64_t)n;
  }
  return true;
}

/* fsync of what has no disk behind it (a pipe, some network folders) is refused
 * and is no failure. macOS's leaves the bytes in the disk's cache, unless asked for
 * more; not every file system can do that. */
static bool sync_fd(int fd) {
  int result;
#ifdef F_FULLFSYNC
  do result = fcntl(fd, F_FULLFSYNC);
  while (result != 0 && errno == EINTR);
  if (result == 0) return true;
#endif
  do result = fsync(fd);
  while (result != 0 && errno == EINTR);
  return result == 0 || errno == EINVAL || errno == ENOTSUP || errno == EROFS;
}

bool os_sync(os_file file) {
  return sync_fd((int)file);
}

bool os_sync_close(os_file file) {
  if (file < 0) {
    errno = EBADF;
    return false;
  }
  int error = sync_fd((int)file) ? 0 : errno;
  /* After EINTR the descriptor is closed on Linux and must not be closed again. */
  if (close((int)file) != 0 && errno != EINTR && !error) error = errno;
  if (error) errno = error;
  return !error;
}

void os_close(os_file file) {
  if (file >= 0) close((int)file);
}

/* The folder `path` lies in, to be freed. */
static char *folder_of(const char *path) {
  const char *slash = strrchr(path, '/');
  size_t bytes = !slash ? 1 : slash == path ? 1 : (size_t)(slash - path);
  char *folder = malloc(bytes + 1);
  if (!folder) return NULL;
  memcpy(folder, slash ? path : ".", bytes);
  folder[bytes] = 0;
  return folder;
}

/* A folder that may be written but not read cannot be synced, and after a
 * rename it is too late to fail: the target is replaced. */
void os_sync_name(const char *path) {
  int before = errno;
  char *folder = folder_of(path);
  int fd = folder ? open(folder, O_RDONLY | O_CLOEXEC) : -1;
  if (fd >= 0) {
    sync_fd(fd);
    close(fd);
  }
  free(folder);
  errno = before;
}

bool os_rename(const char *from, const char *to) {
  if (rename(from, to) != 0) return false;
  os_sync_name(to);
  return true;
}

bool os_remove(const char *path) {
  return unlink(path) == 0;
}

uint64_t os_changed_ns(const char *path) {
  struct stat st;
  if (stat(path, &st) != 0) return 0;
#ifdef __APPLE__
  struct timespec changed = st.st_mtimespec;
#else
  struct timespec changed = st.st_mtim;
#endif
  if (changed.tv_sec < 0) return 0; /* before 1970 */
  return (uint64_t)changed.tv_sec * 1000000000u + (uint64_t)changed.tv_nsec;
}

bool os_may_replace(const char *path) {
  struct stat st;
  return stat(path, &st) != 0 || S_ISREG(st.st_mode);
}

bool os_is_link(const char *path) {
  struct stat st;
  return lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
}

uint64_t os_free_disk(const char *path) {
  struct statvfs disk;
  char *folder = folder_of(path);
  bool known = folder && statvfs(folder, &disk) == 0;
  free(folder);
  if (!known || (disk.f_frsize && disk.f_bavail > UINT64_MAX / disk.f_frsize)) return UINT64_MAX;
  return (uint64_t)disk.f_bavail * disk.f_frsize;
}

bool os_same_file(const char *a, const char *b) {
  struct stat x, y;
  return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

FILE *os_fopen(const char *path, const char *mode) {
  return fopen(path, mode);
}

const char *os_error_text(int error) {
  return error == ENOTSUP ? "not a regular file" : strerror(error);
}

int os_stream_errno(void) {
  return errno;
}

FILE *os_fopen_private(const char *path) {
  os_file fd = os_create_private(path);
  FILE *file = fd == -1 ? NULL : fdopen((int)fd, "wb");
  if (file || fd == -1) return file;
  int error = errno;
  os_close(fd);
  os_remove(path);
  errno = error;
  return NULL;
}

bool os_sync_stream(FILE *file) {
  return fflush(file) == 0 && sync_fd(fileno(file));
}

/* --- folders and paths ------------------------------------------------------ */

bool os_is_folder(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool os_make_folder(const char *path) {
  return mkdir(path, 0700) == 0;
}

bool os_list_folder(const char *path, os_name_fn *fn, void *user) {
  DIR *stream = opendir(path);
  if (!stream) return false;
  for (struct dirent *entry; (entry = readdir(stream)) != NULL;) {
    const char *name = entry->d_name;
    if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && fn(user, name)) break;
  }
  closedir(stream);
  return true;
}

bool os_is_separator(char c) {
  return c == '/';
}

const char *os_file_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

/* The folder a variable names, with `below` behind it. Relative ones are to be
 * ignored, says the XDG Base Directory Specification of its variables. */
static char *folder_from(const char *variable, const char *below) {
  const char *base = getenv(variable);
  if (!base || base[0] != '/') return NULL;
  size_t bytes = strlen(base) + strlen(below) + 1;
  char *folder = malloc(bytes);
  if (folder) snprintf(folder, bytes, "%s%s", base, below);
  return folder;
}

char *os_home_folder(void) {
  return folder_from("HOME", "");
}

char *os_state_folder(void) {
  char *folder = folder_from("XDG_STATE_HOME", "");
  return folder ? folder : folder_from("HOME", "/.local/state");
}

/* --- threads and time ------------------------------------------------------------- */

bool os_start_thread(pthread_t *thread, size_t stack_bytes, void *(*fn)(void *), void *arg) {
  static const int own_faults[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL};
  sigset_t all, before;
  pthread_attr_t attributes;
  int error = pthread_attr_init(&attributes);
  if (error) {
    errno = error;
    return false;
  }
  sigfillset(&all);
  for (size_t i = 0; i < sizeof own_faults / sizeof *own_faults; i++)
    sigdelset(&all, own_faults[i]);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  error = pthread_attr_setstacksize(&attributes, stack_bytes);
  if (!error) error = pthread_create(thread, &attributes, fn, arg);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attributes);
  if (error) errno = error;
  return !error;
}

uint64_t os_now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void os_sleep_ns(uint64_t nanoseconds) {
  struct timespec left = {.tv_sec = (time_t)(nanoseconds / 1000000000u),
                          .tv_nsec = (long)(nanoseconds % 1000000000u)};
  while (nanosleep(&left, &left) != 0 && errno == EINTR) continue;
}

bool os_local_time(time_t seconds, struct tm *local) {
  return localtime_r(&seconds, local) != NULL;
}

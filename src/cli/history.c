#define _POSIX_C_SOURCE 200809L

#include "history.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "os.h"
#include "state_folder.h"

/* Someone else's append takes well under a millisecond. */
#define LOCK_TRIES 100u
#define LOCK_PAUSE_NS 5000000L
/* A file that grew so large was not written by this program. */
#define FILE_MOST_BYTES (16u * HISTORY_MOST_BYTES)

/* --- in memory ------------------------------------------------------------------------ */

static void drop_oldest(history *list, size_t count) {
  for (size_t i = 0; i < count; i++) {
    list->bytes -= list->entries[i].bytes;
    free(list->entries[i].text);
  }
  list->count -= count;
  memmove(list->entries, list->entries + count, list->count * sizeof *list->entries);
}

static bool is_kept(const history *list, const char *text, size_t bytes) {
  size_t blank = 0;
  while (blank < bytes && (text[blank] == ' ' || text[blank] == '\t' || text[blank] == '\n'))
    blank++;
  if (blank == bytes || bytes > HISTORY_ENTRY_BYTES) return false;
  const history_entry *last = list->count > 0 ? &list->entries[list->count - 1] : NULL;
  return !last || last->bytes != bytes || memcmp(last->text, text, bytes) != 0;
}

/* False without memory. */
static bool remember(history *list, const char *text, size_t bytes) {
  if (list->count == list->capacity) {
    size_t larger = list->capacity ? list->capacity * 2 : 64;
    history_entry *grown = realloc(list->entries, larger * sizeof *grown);
    if (!grown) return false;
    list->entries = grown;
    list->capacity = larger;
  }
  char *copy = malloc(bytes + 1);
  if (!copy) return false;
  memcpy(copy, text, bytes);
  copy[bytes] = 0;
  list->entries[list->count++] = (history_entry){copy, bytes};
  list->bytes += bytes;
  size_t drop = 0, left = list->bytes;
  while (list->count - drop > HISTORY_MOST_ENTRIES || left > HISTORY_MOST_BYTES)
    left -= list->entries[drop++].bytes;
  if (drop > 0) drop_oldest(list, drop);
  return true;
}

static bool holds(const history_entry *entry, const char *part, size_t bytes) {
  if (bytes == 0) return true;
  for (size_t at = 0; at + bytes <= entry->bytes; at++)
    if (memcmp(entry->text + at, part, bytes) == 0) return true;
  return false;
}

size_t history_find(const history *list, size_t from, const char *part, size_t bytes) {
  for (size_t i = from < list->count ? from : list->count; i-- > 0;)
    if (holds(&list->entries[i], part, bytes)) return i;
  return list->count;
}

static void forget_entries(history *list) {
  for (size_t i = 0; i < list->count; i++) free(list->entries[i].text);
  free(list->entries);
  list->entries = NULL;
  list->count = list->capacity = list->bytes = 0;
}

void history_clear(history *list) {
  forget_entries(list);
  free(list->path);
  memset(list, 0, sizeof *list);
}

/* --- lines of the file ------------------------------------------------------------------ */

/* Writes the entry as a line into out, of 2 * bytes + 1; returns its length. */
static size_t encode(char *out, const char *text, size_t bytes) {
  size_t used = 0;
  for (size_t i = 0; i < bytes; i++) {
    char c = text[i];
    if (c == '\n' || c == '\r' || c == '\\' || c == 0) out[used++] = '\\';
    out[used++] = c == '\n' ? 'n' : c == '\r' ? 'r' : c == 0 ? '0' : c;
  }
  out[used++] = '\n';
  return used;
}

/* In place; returns the length. */
static size_t decode(char *line, size_t bytes) {
  size_t used = 0;
  for (size_t i = 0; i < bytes; i++) {
    char c = line[i];
    if (c == '\\' && i + 1 < bytes) {
      c = line[++i];
      c = c == 'n' ? '\n' : c == 'r' ? '\r' : c == '0' ? 0 : c;
    }
    line[used++] = c;
  }
  return used;
}

/* False without memory. */
static bool take_lines(history *list, char *data, size_t bytes) {
  for (size_t at = 0; at < bytes;) {
    const char *newline = memchr(data + at, '\n', bytes - at);
    size_t length = newline ? (size_t)(newline - data) - at : bytes - at;
    size_t text = decode(data + at, length);
    if (is_kept(list, data + at, text) && !remember(list, data + at, text)) return false;
    at += length + 1;
  }
  return true;
}

/* --- the file --------------------------------------------------------------------------- */

static gust_status trouble(const history *list, const char *what, gust_error *err) {
  return command_error(err, GUST_E_IO,
                       "%s: cannot %s the history of input lines: %s; this session's stay in "
                       "memory",
                       list->path, what, errno == EINVAL ? "not a regular file" : strerror(errno));
}

/* An open descriptor of a regular file, or -1 with errno. A FIFO must not block
 * and a device not be written to. */
static int open_regular(const char *path, int flags) {
  int file = open(path, flags | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, 0600);
  struct stat info;
  if (file < 0) return -1;
  int failure = 0;
  if (fstat(file, &info) != 0)
    failure = errno;
  else if (!S_ISREG(info.st_mode))
    failure = EINVAL;
  if (!failure) return file;
  close(file);
  errno = failure;
  return -1;
}

static bool read_fully(int file, char *data, size_t bytes, off_t offset) {
  while (bytes > 0) {
    ssize_t got = pread(file, data, bytes, offset);
    if (got < 0 && errno == EINTR) continue;
    if (got == 0) errno = EIO;
    if (got <= 0) return false;
    data += got;
    bytes -= (size_t)got;
    offset += got;
  }
  return true;
}

/* Reads the entries out of an open file; of a huge one only the end. */
static bool read_entries(history *list, int file) {
  struct stat info;
  if (fstat(file, &info) != 0) return false;
  size_t bytes = info.st_size > (off_t)FILE_MOST_BYTES ? FILE_MOST_BYTES : (size_t)info.st_size;
  char *data = malloc(bytes + 1);
  bool done = data && read_fully(file, data, bytes, info.st_size - (off_t)bytes);
  if (done && !take_lines(list, data, bytes)) {
    errno = ENOMEM;
    done = false;
  }
  int failure = errno;
  free(data);
  errno = failure;
  return done;
}

gust_status history_open(history *list, const char *path, gust_error *err) {
  list->path = strdup(path);
  if (!list->path) return command_error(err, GUST_E_MEMORY, "no memory for the history");
  int file = open_regular(path, O_RDONLY);
  if (file < 0) return errno == ENOENT ? GUST_OK : trouble(list, "read", err);
  bool done = read_entries(list, file);
  gust_status status = done ? GUST_OK : trouble(list, "read", err);
  if (!done) forget_entries(list);
  close(file);
  return status;
}

static bool lock(int file) {
  struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  for (unsigned tries = 0; tries < LOCK_TRIES; tries++) {
    if (fcntl(file, F_SETLK, &whole) == 0) return true;
    if (errno != EACCES && errno != EAGAIN && errno != EINTR) return false;
    struct timespec pause = {0, LOCK_PAUSE_NS};
    nanosleep(&pause, NULL);
  }
  errno = EBUSY;
  return false;
}

/* Whether `file` is what stands at the path now: whoever held the lock before
 * may have put another one in its place. */
static bool is_still_there(int file, const char *path) {
  struct stat held, there;
  return fstat(file, &held) == 0 && stat(path, &there) == 0 && held.st_dev == there.st_dev &&
         held.st_ino == there.st_ino;
}

/* The file, locked; -1 with errno. */
static int open_locked(const char *path) {
  for (unsigned tries = 0; tries < LOCK_TRIES; tries++) {
    int file = open_regular(path, O_RDWR | O_CREAT | O_APPEND);
    if (file < 0) return -1;
    bool locked = lock(file);
    if (locked && is_still_there(file, path)) return file;
    int failure = errno;
    close(file);
    errno = failure;
    if (!locked) return -1;
  }
  errno = EBUSY;
  return -1;
}

/* One write, and none of it when not all of it can be. */
static bool append(int file, const char *line, size_t bytes) {
  struct stat info;
  char last = '\n';
  if (fstat(file, &info) != 0) return false;
  if (info.st_size > 0 && !read_fully(file, &last, 1, info.st_size - 1)) return false;
  bool torn = last != '\n'; /* someone was killed while writing */
  ssize_t put = torn ? write(file, "\n", 1) : 0;
  if (put >= 0) put = write(file, line, bytes);
  if (put >= 0 && (size_t)put == bytes) return true;
  int failure = put < 0 ? errno : ENOSPC;
  if (put > 0 && ftruncate(file, info.st_size) != 0) failure = errno;
  errno = failure;
  return false;
}

static bool write_entries(const history *list, int file) {
  char *line = malloc(2 * HISTORY_ENTRY_BYTES + 1);
  bool done = line != NULL;
  for (size_t i = 0; done && i < list->count; i++) {
    size_t bytes = encode(line, list->entries[i].text, list->entries[i].bytes);
    ssize_t put = write(file, line, bytes);
    done = put >= 0 && (size_t)put == bytes;
  }
  free(line);
  return done && fsync(file) == 0;
}

/* Puts a file that holds only what is kept, other sessions' lines among it, in
 * the place of the locked one. Failing leaves that as it is, which is fine. */
static void shorten(const history *list, int file) {
  struct stat info;
  if (fstat(file, &info) != 0 || info.st_size <= (off_t)(2 * HISTORY_MOST_BYTES)) return;
  history kept = {0};
  size_t bytes = strlen(list->path) + sizeof ".new";
  char *beside = malloc(bytes);
  int fresh = -1;
  if (beside && read_entries(&kept, file)) {
    memcpy(beside, list->path, bytes - sizeof ".new");
    memcpy(beside + bytes - sizeof ".new", ".new", sizeof ".new");
    fresh = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
  }
  if (fresh >= 0) {
    bool done = write_entries(&kept, fresh);
    close(fresh);
    if (!done || !os_rename(beside, list->path)) os_remove(beside);
  }
  free(beside);
  history_clear(&kept);
}

static gust_status keep_line(history *list, const char *line, size_t bytes, gust_error *err) {
  int file = -1;
  if (state_folder_make(list->path)) file = open_locked(list->path);
  if (file < 0) return trouble(list, "write", err);
  struct stat info;
  if (fstat(file, &info) == 0 && (info.st_mode & 077) != 0) (void)fchmod(file, 0600);
  gust_status status = append(file, line, bytes) ? GUST_OK : trouble(list, "write", err);
  if (status == GUST_OK) shorten(list, file);
  close(file);
  return status;
}

gust_status history_add(history *list, const char *text, size_t bytes, gust_error *err) {
  if (!is_kept(list, text, bytes)) return GUST_OK;
  char *line = malloc(2 * bytes + 1);
  gust_status status = GUST_OK;
  if (!line || !remember(list, text, bytes))
    status = command_error(err, GUST_E_MEMORY, "no memory for the history of input lines");
  else if (list->path)
    status = keep_line(list, line, encode(line, text, bytes), err);
  free(line);
  return status;
}

#define _POSIX_C_SOURCE 200809L /* strdup */

#include "history.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "os.h"
#include "state_folder.h"

/* Someone else's append takes well under a millisecond. */
#define LOCK_TRIES 100u
#define LOCK_PAUSE_NS 5000000u
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
  bool odd = errno == ENOTSUP || errno == EISDIR;
  return command_error(err, GUST_E_IO,
                       "%s: cannot %s the history of input lines: %s; this session's stay in "
                       "memory",
                       list->path, what, odd ? "not a regular file" : strerror(errno));
}

/* Reads the entries out of an open file; of a huge one only the end. */
static bool read_entries(history *list, os_file file) {
  uint64_t whole;
  if (!os_file_bytes(file, &whole)) return false;
  size_t bytes = whole > FILE_MOST_BYTES ? FILE_MOST_BYTES : (size_t)whole;
  char *data = malloc(bytes + 1);
  bool done = data && os_read_at(file, data, bytes, whole - bytes);
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
  uint64_t bytes;
  os_file file = os_open_read(path, &bytes);
  if (file == -1) return errno == ENOENT ? GUST_OK : trouble(list, "read", err);
  bool done = read_entries(list, file);
  gust_status status = done ? GUST_OK : trouble(list, "read", err);
  if (!done) forget_entries(list);
  os_close(file);
  return status;
}

static bool lock(os_file file) {
  bool busy = true;
  for (unsigned tries = 0; tries < LOCK_TRIES; tries++) {
    if (os_lock(file, &busy)) return true;
    if (!busy) return false;
    os_sleep_ns(LOCK_PAUSE_NS);
  }
  errno = EBUSY;
  return false;
}

static os_file open_or_create(const char *path) {
  uint64_t bytes;
  os_file file = os_open_update(path, &bytes);
  if (file != -1 || errno != ENOENT) return file;
  file = os_create_private(path);
  /* Someone else was faster. */
  return file == -1 && errno == EEXIST ? os_open_update(path, &bytes) : file;
}

/* The file, locked, and still that which stands at the path: whoever held the lock
 * before may have put another one in its place. -1 with errno. */
static os_file open_locked(const char *path) {
  for (unsigned tries = 0; tries < LOCK_TRIES; tries++) {
    os_file file = open_or_create(path);
    if (file == -1) return -1;
    bool locked = lock(file);
    if (locked && os_is_at(file, path)) return file;
    int failure = errno;
    os_close(file);
    errno = failure;
    if (!locked) return -1;
  }
  errno = EBUSY;
  return -1;
}

/* All of the line, or nothing. */
static bool append(os_file file, const char *line, size_t bytes) {
  uint64_t before, end;
  char last = '\n';
  if (!os_file_bytes(file, &before)) return false;
  if (before > 0 && !os_read_at(file, &last, 1, before - 1)) return false;
  end = before;
  bool torn = last != '\n'; /* someone was killed while writing */
  bool done = !torn || os_write_at(file, "\n", 1, end++);
  if (done && os_write_at(file, line, bytes, end)) return true;
  int failure = errno;
  (void)os_truncate(file, before);
  errno = failure;
  return false;
}

static bool write_entries(const history *list, os_file file) {
  char *line = malloc(2 * HISTORY_ENTRY_BYTES + 1);
  bool done = line != NULL;
  uint64_t at = 0;
  for (size_t i = 0; done && i < list->count; i++) {
    size_t bytes = encode(line, list->entries[i].text, list->entries[i].bytes);
    done = os_write_at(file, line, bytes, at);
    at += bytes;
  }
  free(line);
  return done;
}

/* Puts a file that holds only what is kept, other sessions' lines among it, in
 * the place of the locked one. Failing leaves that as it is, which is fine. */
static void shorten(const history *list, os_file file) {
  uint64_t whole;
  if (!os_file_bytes(file, &whole) || whole <= 2 * HISTORY_MOST_BYTES) return;
  history kept = {0};
  size_t bytes = strlen(list->path) + sizeof ".new";
  char *beside = malloc(bytes);
  os_file fresh = -1;
  if (beside && read_entries(&kept, file)) {
    memcpy(beside, list->path, bytes - sizeof ".new");
    memcpy(beside + bytes - sizeof ".new", ".new", sizeof ".new");
    os_remove(beside); /* of one that was killed here: nobody else holds the lock */
    fresh = os_create_private(beside);
  }
  if (fresh != -1) {
    bool done = write_entries(&kept, fresh);
    done = os_sync_close(fresh) && done;
    if (!done || !os_rename(beside, list->path)) os_remove(beside);
  }
  free(beside);
  history_clear(&kept);
}

static gust_status keep_line(history *list, const char *line, size_t bytes, gust_error *err) {
  os_file file = -1;
  if (state_folder_make(list->path)) file = open_locked(list->path);
  if (file == -1) return trouble(list, "write", err);
  os_make_private(file);
  gust_status status = append(file, line, bytes) ? GUST_OK : trouble(list, "write", err);
  if (status == GUST_OK) shorten(list, file);
  os_close(file);
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

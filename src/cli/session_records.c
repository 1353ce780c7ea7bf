#include "session_records.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC "GUSTCHAT" /* 8 bytes, without the NUL */
#define VERSION 1u
#define PROLOGUE_BYTES 24u
/* A byte of the prologue that is set in a file written to replace another and 0 in all
 * others: it tells what a killed chat left beside a session from what is somebody's. It is
 * set back only when the file has its place, so that no kill leaves one without it. */
#define MARK_OFFSET 12u
#define MARK 'R'

/* Fields of a record's head. */
#define HEAD_TYPE 0
#define HEAD_PAYLOAD_BYTES 4
#define HEAD_BULK_BYTES 8
#define HEAD_PAYLOAD_CHECKSUM 16
#define HEAD_BULK_CHECKSUM 24
#define HEAD_CHECK 32 /* of the fields above, seeded with that of the record before */
#define HEAD_BYTES 40u

#define COPY_BYTES 65536u
#define MAX_KEPT 1000
#define MAX_OPEN_ATTEMPTS 100

/* --- numbers -------------------------------------------------------------------------- */

void session_put32(uint8_t *to, uint32_t value) {
  for (int i = 0; i < 4; i++) to[i] = (uint8_t)(value >> (8 * i));
}

void session_put64(uint8_t *to, uint64_t value) {
  for (int i = 0; i < 8; i++) to[i] = (uint8_t)(value >> (8 * i));
}

uint32_t session_get32(const uint8_t *from) {
  return (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 |
         (uint32_t)from[3] << 24;
}

uint64_t session_get64(const uint8_t *from) {
  return session_get32(from) | (uint64_t)session_get32(from + 4) << 32;
}

/* --- opening ---------------------------------------------------------------------------- */

static gust_status refuse(const session_file *file, const char *what, gust_error *err) {
  return command_error(err, GUST_E_FORMAT, "%s: %s; it is left as it is: give another --session",
                       file->path, what);
}

static gust_status cannot(const session_file *file, const char *what, gust_error *err) {
  return command_error(err, GUST_E_IO, "%s: cannot %s the session: %s", file->path, what,
                       strerror(errno));
}

static gust_status lock(const session_file *file, gust_error *err) {
  bool busy;
  if (os_lock(file->handle, &busy)) return GUST_OK;
  if (busy)
    return command_error(err, GUST_E_IO,
                         "%s: another chat has this session open; end that one or give another "
                         "--session",
                         file->path);
  return cannot(file, "lock", err);
}

static gust_status read_prologue(session_file *file, gust_error *err) {
  uint8_t bytes[PROLOGUE_BYTES];
  if (file->bytes < PROLOGUE_BYTES)
    return refuse(file, "this is no session of gust chat: too short", err);
  if (!os_read_at(file->handle, bytes, sizeof bytes, 0)) return cannot(file, "read", err);
  if (memcmp(bytes, MAGIC, 8) != 0) return refuse(file, "this is no session of gust chat", err);
  if (session_get32(bytes + 8) != VERSION)
    return command_error(err, GUST_E_UNSUPPORTED,
                         "%s: expected version %u of a session, found %u; a newer gust wrote it",
                         file->path, VERSION, session_get32(bytes + 8));
  file->created = session_get64(bytes + 16);
  file->has_mark = bytes[MARK_OFFSET] == MARK;
  if (file->has_mark) bytes[MARK_OFFSET] = 0; /* the chain does not know it */
  file->chain = gust_checksum(bytes, sizeof bytes, 0);
  file->end = PROLOGUE_BYTES;
  return GUST_OK;
}

static gust_status cannot_open(const session_file *file, const char *how, gust_error *err) {
  return errno == ENOTSUP ? refuse(file, "this is no regular file", err) : cannot(file, how, err);
}

/* Failing does no harm: the next chat has it gone. */
static void remove_mark(session_file *file) {
  if (file->has_mark) os_write_at(file->handle, "", 1, MARK_OFFSET);
  file->has_mark = false;
}

/* Another chat may remove the file it made between our opening and our locking it, or
 * make it between our two ways to open: then whatever has the name now is tried. */
static gust_status open_locked(session_file *file, gust_error *err) {
  for (int i = 0; i < MAX_OPEN_ATTEMPTS; i++) {
    file->handle = os_open_update(file->path, &file->bytes);
    bool is_new = file->handle == -1 && errno == ENOENT;
    /* What people say to their machine is nobody else's to read. */
    if (is_new) file->handle = os_create_private(file->path);
    if (file->handle == -1 && is_new && errno == EEXIST) continue;
    if (file->handle == -1) return cannot_open(file, "open or create", err);
    gust_status status = lock(file, err);
    if (status) return status;
    if (os_is_at(file->handle, file->path)) {
      file->is_made = is_new; /* not before it is locked: who locked it may be writing */
      return GUST_OK;
    }
    os_close(file->handle);
    file->handle = -1;
  }
  if (os_is_link(file->path)) return refuse(file, "this is a symbolic link to no file", err);
  errno = EAGAIN;
  return cannot_open(file, "open or create", err);
}

gust_status session_file_open(session_file *file, const char *path, bool to_write,
                              gust_error *err) {
  gust_status status = GUST_OK;
  *file = (session_file){.handle = -1, .path = path};
  if (to_write) {
    status = open_locked(file, err);
  } else {
    file->handle = os_open_read(path, &file->bytes);
    if (file->handle == -1) status = cannot_open(file, "open", err);
  }
  /* Its length only counts from when nobody else writes to it. */
  if (!status && !os_file_bytes(file->handle, &file->bytes)) status = cannot(file, "open", err);
  if (status) return status;
  if (file->bytes > 0 || !to_write) status = read_prologue(file, err);
  if (status || !to_write) return status;
  /* It may have been made by hand, or come from elsewhere. */
  os_make_private(file->handle);
  remove_mark(file);
  return GUST_OK;
}

void session_file_close(session_file *file) {
  if (file->handle == -1) return;
  if (file->is_made && file->end == 0 && os_is_at(file->handle, file->path)) os_remove(file->path);
  os_close(file->handle);
  file->handle = -1;
}

gust_status session_file_begin(session_file *file, uint64_t created, session_record *first,
                               gust_error *err) {
  uint8_t prologue[PROLOGUE_BYTES] = MAGIC;
  session_put32(prologue + 8, VERSION);
  session_put64(prologue + 16, created);
  file->created = created;
  file->chain = gust_checksum(prologue, sizeof prologue, 0);
  file->end = PROLOGUE_BYTES;
  if (file->has_mark) prologue[MARK_OFFSET] = MARK;
  gust_status status = GUST_OK;
  if (!os_write_at(file->handle, prologue, sizeof prologue, 0)) status = cannot(file, "write", err);
  if (!status) status = session_record_append(file, first, NULL, err);
  if (!status) status = session_file_sync(file, err);
  if (status) {
    session_file_rewind(file, 0, 0);
    return status;
  }
  os_sync_name(file->path); /* lost in a crash otherwise */
  return GUST_OK;
}

/* --- reading ---------------------------------------------------------------------------- */

/* A crash may leave a file longer than what was written of it; then it ends in
 * zeros. */
static record_result only_zeros(const session_file *file, gust_error *err) {
  uint8_t bytes[4096];
  for (uint64_t at = file->end; at < file->bytes;) {
    uint64_t left = file->bytes - at;
    size_t step = left < sizeof bytes ? (size_t)left : sizeof bytes;
    if (!os_read_at(file->handle, bytes, step, at)) {
      cannot(file, "read", err);
      return RECORD_ERROR;
    }
    for (size_t i = 0; i < step; i++)
      if (bytes[i]) return RECORD_DAMAGED;
    at += step;
  }
  return RECORD_TORN;
}

static record_result read_payload(const session_file *file, session_record *record,
                                  uint64_t checksum, gust_error *err) {
  record->payload = malloc(record->payload_bytes ? record->payload_bytes : 1);
  if (!record->payload) {
    command_error(err, GUST_E_MEMORY, "%s: no memory for a record of %zu bytes", file->path,
                  record->payload_bytes);
    return RECORD_ERROR;
  }
  record_result result = session_bulk_read(file, file->end + HEAD_BYTES, record->payload_bytes,
                                           checksum, record->payload, err);
  if (result == RECORD_GOOD) return result;
  free(record->payload);
  record->payload = NULL;
  return result;
}

record_result session_record_read(session_file *file, session_record *record, gust_error *err) {
  uint8_t head[HEAD_BYTES];
  memset(record, 0, sizeof *record);
  uint64_t left = file->bytes - file->end;
  if (left == 0) return RECORD_END;
  if (left < HEAD_BYTES) return RECORD_TORN;
  if (!os_read_at(file->handle, head, sizeof head, file->end)) {
    cannot(file, "read", err);
    return RECORD_ERROR;
  }
  uint64_t check = session_get64(head + HEAD_CHECK);
  if (gust_checksum(head, HEAD_CHECK, file->chain) != check) return only_zeros(file, err);
  record->type = session_get32(head + HEAD_TYPE);
  record->payload_bytes = session_get32(head + HEAD_PAYLOAD_BYTES);
  record->bulk_bytes = session_get64(head + HEAD_BULK_BYTES);
  record->bulk_checksum = session_get64(head + HEAD_BULK_CHECKSUM);
  left -= HEAD_BYTES;
  if (record->payload_bytes > left || record->bulk_bytes > left - record->payload_bytes)
    return RECORD_TORN;
  if (record->payload_bytes > SESSION_MAX_PAYLOAD) return RECORD_DAMAGED;
  record->bulk_offset = file->end + HEAD_BYTES + record->payload_bytes;
  record_result result =
      read_payload(file, record, session_get64(head + HEAD_PAYLOAD_CHECKSUM), err);
  /* Losing a piece of the cache costs time; losing messages from the middle would
   * make another conversation of it. */
  if (result == RECORD_DAMAGED && record->type == SESSION_CACHE) result = RECORD_SPOILED;
  if (result == RECORD_GOOD || result == RECORD_SPOILED) {
    file->end = record->bulk_offset + record->bulk_bytes;
    file->chain = check;
  }
  return result;
}

record_result session_bulk_read(const session_file *file, uint64_t offset, size_t bytes,
                                uint64_t checksum, void *data, gust_error *err) {
  if (!os_read_at(file->handle, data, bytes, offset)) {
    cannot(file, "read", err);
    return RECORD_ERROR;
  }
  return gust_checksum(data, bytes, 0) == checksum ? RECORD_GOOD : RECORD_DAMAGED;
}

/* --- writing ---------------------------------------------------------------------------- */

void session_file_rewind(session_file *file, uint64_t end, uint64_t chain) {
  int error = errno;
  file->end = end;
  file->chain = chain;
  /* Should this fail, the rest is a torn record and will be dropped as one. */
  if (os_truncate(file->handle, end)) file->bytes = end;
  errno = error;
}

gust_status session_record_append(session_file *file, session_record *record, const void *bulk,
                                  gust_error *err) {
  uint8_t head[HEAD_BYTES];
  size_t payload_bytes = record->payload_bytes, bulk_bytes = (size_t)record->bulk_bytes;
  uint64_t at = file->end, chain = file->chain;
  if (payload_bytes > SESSION_MAX_PAYLOAD)
    return command_error(err, GUST_E_ARGUMENT, "%s: expected a turn of at most %u bytes, found %zu",
                         file->path, SESSION_MAX_PAYLOAD, payload_bytes);
  record->bulk_offset = at + HEAD_BYTES + payload_bytes;
  record->bulk_checksum = gust_checksum(bulk, bulk_bytes, 0);
  session_put32(head + HEAD_TYPE, record->type);
  session_put32(head + HEAD_PAYLOAD_BYTES, (uint32_t)payload_bytes);
  session_put64(head + HEAD_BULK_BYTES, bulk_bytes);
  session_put64(head + HEAD_PAYLOAD_CHECKSUM, gust_checksum(record->payload, payload_bytes, 0));
  session_put64(head + HEAD_BULK_CHECKSUM, record->bulk_checksum);
  uint64_t check = gust_checksum(head, HEAD_CHECK, chain);
  session_put64(head + HEAD_CHECK, check);
  /* The head comes first: it tells how much is missing, should we end here. */
  if (!os_write_at(file->handle, head, sizeof head, at) ||
      !os_write_at(file->handle, record->payload, payload_bytes, at + HEAD_BYTES) ||
      !os_write_at(file->handle, bulk, bulk_bytes, record->bulk_offset)) {
    session_file_rewind(file, at, chain);
    return cannot(file, "write", err);
  }
  file->end = file->bytes = record->bulk_offset + bulk_bytes;
  file->chain = check;
  return GUST_OK;
}

gust_status session_file_sync(const session_file *file, gust_error *err) {
  return os_sync(file->handle) ? GUST_OK : cannot(file, "write", err);
}

/* What a process that is killed, or a machine that stops, while it writes a file to replace
 * another may leave of it: nothing, zeros, or what begins with the marked prologue. */
static bool is_left_over(os_file handle, uint64_t bytes) {
  static const uint8_t head[MARK_OFFSET + 1] = {'G', 'U', 'S', 'T',     'C',
                                                'H', 'A', 'T', VERSION, [MARK_OFFSET] = MARK};
  uint8_t found[sizeof head];
  gust_error err;
  size_t count = bytes < sizeof head ? (size_t)bytes : sizeof head;
  const session_file whole = {.handle = handle, .path = "", .bytes = bytes};
  return (os_read_at(handle, found, count, 0) && memcmp(found, head, count) == 0) ||
         only_zeros(&whole, &err) == RECORD_TORN;
}

void session_file_remove_left(const char *path) {
  uint64_t bytes;
  bool busy;
  os_file handle = os_is_link(path) ? -1 : os_open_update(path, &bytes);
  if (handle == -1) return;
  if (os_lock(handle, &busy) && os_file_bytes(handle, &bytes) && is_left_over(handle, bytes) &&
      os_is_at(handle, path))
    os_remove(path);
  os_close(handle);
}

gust_status session_file_create(session_file *fresh, const char *path, gust_error *err) {
  session_file_remove_left(path);
  *fresh = (session_file){.handle = os_create_private(path), .path = path, .has_mark = true};
  if (fresh->handle == -1) return cannot(fresh, "create", err);
  return lock(fresh, err);
}

void session_file_drop(session_file *fresh) {
  if (fresh->handle == -1) return;
  os_close(fresh->handle);
  os_remove(fresh->path);
  fresh->handle = -1;
}

gust_status session_file_replace(session_file *file, session_file *fresh, gust_error *err) {
  gust_status status = session_file_sync(fresh, err);
  if (!status && !os_rename(fresh->path, file->path)) status = cannot(file, "replace", err);
  if (status) {
    session_file_drop(fresh);
    return status;
  }
  const char *path = file->path;
  os_close(file->handle);
  *file = *fresh;
  file->path = path;
  fresh->handle = -1;
  remove_mark(file);
  return GUST_OK;
}

/* Copies the bytes from file->end on; false leaves errno. */
static bool copy_tail(const session_file *file, os_file target) {
  uint8_t bytes[COPY_BYTES];
  for (uint64_t at = file->end; at < file->bytes;) {
    uint64_t left = file->bytes - at;
    size_t step = left < sizeof bytes ? (size_t)left : sizeof bytes;
    if (!os_read_at(file->handle, bytes, step, at) ||
        !os_write_at(target, bytes, step, at - file->end))
      return false;
    at += step;
  }
  return true;
}

static gust_status keep_tail(const session_file *file, char *kept, size_t size, gust_error *err) {
  os_file target = -1;
  for (int i = 1; target == -1 && i <= MAX_KEPT; i++) {
    int used = i == 1 ? snprintf(kept, size, "%s.damaged", file->path)
                      : snprintf(kept, size, "%s.damaged.%d", file->path, i);
    errno = ENAMETOOLONG;
    if (used < 0 || (size_t)used >= size) break;
    target = os_create_private(kept);
    if (target == -1 && errno != EEXIST) break;
  }
  bool done = target != -1 && copy_tail(file, target);
  int error = errno;
  if (target != -1 && !os_sync_close(target)) {
    error = done ? errno : error;
    done = false;
  }
  if (done) return GUST_OK;
  if (target != -1) os_remove(kept);
  return command_error(err, GUST_E_IO,
                       "%s: damaged from byte %llu on, and that part cannot be copied to "
                       "%s.damaged: %s; the session is left as it is",
                       file->path, (unsigned long long)file->end, file->path, strerror(error));
}

gust_status session_file_cut(session_file *file, bool keep, char *kept, size_t size,
                             gust_error *err) {
  gust_status status = keep ? keep_tail(file, kept, size, err) : GUST_OK;
  if (status) return status;
  if (!os_truncate(file->handle, file->end)) return cannot(file, "write", err);
  file->bytes = file->end;
  return session_file_sync(file, err);
}

/* The frame of a session file: a prologue and checksummed records, each chained to
 * the one before it. What the records say is the business of session_content.h and
 * session_cache.h; docs/SESSIONS.md gives the bytes. */
#ifndef GUST_CLI_SESSION_RECORDS_H
#define GUST_CLI_SESSION_RECORDS_H

#include "command.h"
#include "os.h"

#define SESSION_MAX_PAYLOAD (512u << 20)

typedef enum session_record_type { SESSION_EVENTS = 1, SESSION_CACHE = 2 } session_record_type;

typedef struct session_file {
  os_file handle; /* -1: none */
  const char *path;
  bool has_mark;    /* of a file written to replace another, until it has its place */
  bool is_made;     /* there was no such file before; only of one that is locked */
  uint64_t bytes;   /* of the file, when it was opened */
  uint64_t end;     /* behind the last good record */
  uint64_t chain;   /* check number of that record */
  uint64_t created; /* seconds since 1970, from the prologue */
} session_file;

typedef struct session_record {
  uint32_t type;
  uint8_t *payload; /* freed with free; NULL when payload_bytes is 0 */
  size_t payload_bytes;
  /* What a record carries beside its payload is read only when it is wanted. */
  uint64_t bulk_offset, bulk_bytes, bulk_checksum;
} session_record;

typedef enum record_result {
  RECORD_GOOD,
  RECORD_END,     /* of the file */
  RECORD_TORN,    /* it was not written to its end */
  RECORD_DAMAGED, /* and so nothing behind it can be found */
  RECORD_SPOILED, /* the payload is damaged, what follows can be read */
  RECORD_ERROR    /* err says what */
} record_result;

/* --- opening ----------------------------------------------------------------------- */

/* Opens a file and reads its prologue. To write: creates it when there is none, and
 * locks it; an empty file is new (end 0). Whether or not it succeeds,
 * session_file_close follows. `path` must live as long. */
gust_status session_file_open(session_file *file, const char *path, bool to_write, gust_error *err);
/* Also unlocks. Removes a new file into which nothing was written. */
void session_file_close(session_file *file);

/* Writes the prologue of an empty file and its first record, on the disk. */
gust_status session_file_begin(session_file *file, uint64_t created, session_record *first,
                               gust_error *err);

/* --- reading ------------------------------------------------------------------------ */

/* Reads the record at file->end and moves that behind it when it is good or spoiled.
 * Only a good one has a payload. */
record_result session_record_read(session_file *file, session_record *record, gust_error *err);

/* Reads a bulk into data[record->bulk_bytes]; RECORD_DAMAGED when its checksum says so. */
record_result session_bulk_read(const session_file *file, uint64_t offset, size_t bytes,
                                uint64_t checksum, void *data, gust_error *err);

/* --- writing ------------------------------------------------------------------------- */

/* Appends a record of the given type, payload and bulk_bytes, and fills in the rest of it;
 * session_file_sync makes it last. On failure the file ends where it did. */
gust_status session_record_append(session_file *file, session_record *record, const void *bulk,
                                  gust_error *err);
gust_status session_file_sync(const session_file *file, gust_error *err);

/* The end and the chain as they were at some time: the way back. */
void session_file_rewind(session_file *file, uint64_t end, uint64_t chain);

/* A second file, to be written in place of one that is open for writing: creates and
 * locks it, removing what a process that was killed left under that name. Anything else that
 * has the name stays, and that is an error. Whether or not it succeeds, session_file_drop or
 * session_file_replace follows. */
gust_status session_file_create(session_file *fresh, const char *path, gust_error *err);
void session_file_drop(session_file *fresh);
/* Puts `fresh` on the disk and under the name of `file`, which it then is: at no instant is
 * that name without a whole file, or the file without its lock. On failure `file` is as
 * before and `fresh` is dropped. */
gust_status session_file_replace(session_file *file, session_file *fresh, gust_error *err);

/* Removes what a process that was killed left under the name of such a second file, and
 * nothing else: it bears a mark that is taken from it when it has its place. */
void session_file_remove_left(const char *path);

/* Cuts off what lies behind the last good record; with `keep` after copying it to a new
 * file beside it, whose name is put into kept[size]. */
gust_status session_file_cut(session_file *file, bool keep, char *kept, size_t size,
                             gust_error *err);

/* --- numbers in records ------------------------------------------------------------------ */

void session_put32(uint8_t *to, uint32_t value);
void session_put64(uint8_t *to, uint64_t value);
uint32_t session_get32(const uint8_t *from);
uint64_t session_get64(const uint8_t *from);

#endif

/* What a session file holds of the key-value cache: for each key-value type the ids
 * of a sequence and the pieces of state saved of it. */
#ifndef GUST_CLI_SESSION_CACHE_H
#define GUST_CLI_SESSION_CACHE_H

#include "session_records.h"

#define SESSION_KV_TYPES 3 /* gust_kv */

typedef struct session_piece {
  size_t begin, end;      /* positions that still count */
  size_t saved_end;       /* positions [begin, saved_end) were saved */
  uint64_t offset, bytes; /* where they lie */
  uint64_t checksum;
} session_piece;

/* Zero-filled: nothing. Pieces are in ascending order and do not overlap. */
typedef struct session_cache {
  int32_t *ids;
  size_t length, capacity;
  session_piece *pieces;
  size_t piece_count, piece_capacity;
} session_cache;

/* Takes a good record of type SESSION_CACHE in: `caches` has one for each key-value type.
 * A record of another model or state version, or one that does not go on from what is
 * there (what it built on was damaged), is passed over. *valid is false when it makes no
 * sense at all. */
gust_status session_cache_take(session_cache caches[SESSION_KV_TYPES], const session_record *record,
                               uint64_t fingerprint, bool *valid, gust_error *err);

/* Loads what the next token needs, and as much before it as is likely to be asked for,
 * into an empty context. *positions: so many are there now. *spoiled counts the pieces that were
 * found damaged; the cache is cut before them. */
gust_status session_cache_load(session_cache *cache, const session_file *file,
                               gust_context *context, uint32_t window, size_t *positions,
                               size_t *spoiled, gust_error *err);

/* Appends what the context holds beyond the cache to the file, unsynced. On failure the
 * pieces that were written count. */
gust_status session_cache_append(session_cache *cache, session_file *file,
                                 const gust_context *context, uint32_t window, uint64_t fingerprint,
                                 gust_error *err);

/* Of the state in the file, what still counts. */
uint64_t session_cache_bytes(const session_cache *cache);

void session_cache_clear(session_cache *cache);

#endif

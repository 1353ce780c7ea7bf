#include "session_cache.h"

#include <stdlib.h>
#include <string.h>

/* Payload of a record; the ids of positions [ids_begin, end) follow. Its bulk is the
 * state of positions [begin, end). */
#define CACHE_FINGERPRINT 0
#define CACHE_KV 8
#define CACHE_VERSION 12
#define CACHE_IDS_BEGIN 16
#define CACHE_BEGIN 24
#define CACHE_END 32
#define CACHE_PREFIX 40 /* hash of the ids before ids_begin: what this builds on */
#define CACHE_BYTES 48u

#define MAX_POSITIONS ((uint64_t)1 << 24)
/* So much state goes into one record, and through memory at once. */
#define PIECE_BYTES ((size_t)16 << 20)
/* Positions loaded beyond a sliding window, so that taking back a short turn need not
 * read everything again. */
#define WINDOW_SLACK 256u

static gust_status no_memory(size_t bytes, gust_error *err) {
  return command_error(err, GUST_E_MEMORY, "no memory for %zu bytes of the session's cache", bytes);
}

/* --- the ids and pieces in memory --------------------------------------------------------- */

static uint64_t hash_ids(const int32_t *ids, size_t count) {
  uint8_t bytes[4 * 256];
  uint64_t hash = count;
  for (size_t at = 0; at < count;) {
    size_t step = count - at < 256 ? count - at : 256;
    for (size_t i = 0; i < step; i++) session_put32(bytes + 4 * i, (uint32_t)ids[at + i]);
    hash = gust_checksum(bytes, 4 * step, hash);
    at += step;
  }
  return hash;
}

static gust_status reserve(session_cache *cache, size_t ids, gust_error *err) {
  if (ids > cache->capacity) {
    size_t larger = cache->capacity ? cache->capacity : 1024;
    while (larger < ids) larger *= 2;
    int32_t *grown = realloc(cache->ids, larger * sizeof *grown);
    if (!grown) return no_memory(larger * sizeof *grown, err);
    cache->ids = grown;
    cache->capacity = larger;
  }
  if (cache->piece_count == cache->piece_capacity) {
    size_t larger = cache->piece_capacity ? cache->piece_capacity * 2 : 16;
    session_piece *grown =
        larger > SIZE_MAX / sizeof *grown ? NULL : realloc(cache->pieces, larger * sizeof *grown);
    if (!grown) return no_memory(larger * sizeof *grown, err);
    cache->pieces = grown;
    cache->piece_capacity = larger;
  }
  return GUST_OK;
}

static void cut(session_cache *cache, size_t length) {
  cache->length = length;
  while (cache->piece_count && cache->pieces[cache->piece_count - 1].begin >= length)
    cache->piece_count--;
  if (cache->piece_count && cache->pieces[cache->piece_count - 1].end > length)
    cache->pieces[cache->piece_count - 1].end = length;
}

/* reserve made room. */
static void add_piece(session_cache *cache, size_t begin, size_t end,
                      const session_record *record) {
  cache->pieces[cache->piece_count++] = (session_piece){.begin = begin,
                                                        .end = end,
                                                        .saved_end = end,
                                                        .offset = record->bulk_offset,
                                                        .bytes = record->bulk_bytes,
                                                        .checksum = record->bulk_checksum};
}

uint64_t session_cache_bytes(const session_cache *cache) {
  uint64_t bytes = 0;
  for (size_t i = 0; i < cache->piece_count; i++) {
    const session_piece *piece = &cache->pieces[i];
    bytes += piece->bytes / (piece->saved_end - piece->begin) * (piece->end - piece->begin);
  }
  return bytes;
}

void session_cache_clear(session_cache *cache) {
  free(cache->ids);
  free(cache->pieces);
  memset(cache, 0, sizeof *cache);
}

/* --- records ------------------------------------------------------------------------------- */

gust_status session_cache_take(session_cache caches[SESSION_KV_TYPES], const session_record *record,
                               uint64_t fingerprint, bool *valid, gust_error *err) {
  const uint8_t *payload = record->payload;
  *valid = false;
  if (record->payload_bytes < CACHE_BYTES) return GUST_OK;
  uint64_t ids_begin = session_get64(payload + CACHE_IDS_BEGIN);
  uint64_t begin = session_get64(payload + CACHE_BEGIN), end = session_get64(payload + CACHE_END);
  uint32_t kv = session_get32(payload + CACHE_KV);
  if (ids_begin > begin || begin >= end || end > MAX_POSITIONS ||
      record->payload_bytes != CACHE_BYTES + 4 * (size_t)(end - ids_begin))
    return GUST_OK;
  *valid = true;
  if (session_get64(payload + CACHE_FINGERPRINT) != fingerprint || kv >= SESSION_KV_TYPES ||
      session_get32(payload + CACHE_VERSION) != GUST_STATE_VERSION)
    return GUST_OK;
  session_cache *cache = &caches[kv];
  size_t first = (size_t)ids_begin;
  if (first > cache->length || hash_ids(cache->ids, first) != session_get64(payload + CACHE_PREFIX))
    return GUST_OK;
  gust_status status = reserve(cache, (size_t)end, err);
  if (status) return status;
  cut(cache, first);
  for (size_t i = first; i < end; i++)
    cache->ids[i] = (int32_t)session_get32(payload + CACHE_BYTES + 4 * (i - first));
  cache->length = (size_t)end;
  add_piece(cache, (size_t)begin, (size_t)end, record);
  return GUST_OK;
}

/* The payload of the record of positions [begin, end), whose ids begin at ids_begin. */
static uint8_t *encode(const gust_context *context, uint64_t fingerprint, size_t ids_begin,
                       size_t begin, size_t end, size_t *bytes) {
  const int32_t *ids = gust_context_ids(context);
  *bytes = CACHE_BYTES + 4 * (end - ids_begin);
  uint8_t *payload = malloc(*bytes);
  if (!payload) return NULL;
  session_put64(payload + CACHE_FINGERPRINT, fingerprint);
  session_put32(payload + CACHE_KV, (uint32_t)gust_context_kv(context));
  session_put32(payload + CACHE_VERSION, GUST_STATE_VERSION);
  session_put64(payload + CACHE_IDS_BEGIN, ids_begin);
  session_put64(payload + CACHE_BEGIN, begin);
  session_put64(payload + CACHE_END, end);
  session_put64(payload + CACHE_PREFIX, hash_ids(ids, ids_begin));
  for (size_t i = ids_begin; i < end; i++)
    session_put32(payload + CACHE_BYTES + 4 * (i - ids_begin), (uint32_t)ids[i]);
  return payload;
}

/* `state` has room for that of positions [begin, end). */
static gust_status append_piece(session_cache *cache, session_file *file,
                                const gust_context *context, uint64_t fingerprint, size_t ids_begin,
                                size_t begin, size_t end, void *state, gust_error *err) {
  session_record record = {.type = SESSION_CACHE,
                           .bulk_bytes = gust_context_state_bytes(context, begin, end)};
  gust_status status = reserve(cache, end, err);
  if (!status)
    status = gust_context_save_state(context, begin, end, state, (size_t)record.bulk_bytes, err);
  if (status) return status;
  record.payload = encode(context, fingerprint, ids_begin, begin, end, &record.payload_bytes);
  if (!record.payload) return no_memory(record.payload_bytes, err);
  status = session_record_append(file, &record, state, err);
  free(record.payload);
  if (status) return status;
  cut(cache, ids_begin);
  memcpy(cache->ids + ids_begin, gust_context_ids(context) + ids_begin,
         (end - ids_begin) * sizeof *cache->ids);
  cache->length = end;
  add_piece(cache, begin, end, &record);
  return GUST_OK;
}

/* --- what is needed, what is there ------------------------------------------------------------ */

/* The first position that the token after `end` positions sees. */
static size_t first_needed(size_t end, uint32_t window) {
  return window && end + 1 > window ? end + 1 - window : 0;
}

/* The first position from which on all up to `end` are saved; `end` when the last is
 * not. */
static size_t covered_from(const session_cache *cache, size_t end) {
  size_t from = end;
  for (size_t i = cache->piece_count; i-- > 0;)
    if (cache->pieces[i].begin < from && cache->pieces[i].end >= from)
      from = cache->pieces[i].begin;
  return from;
}

/* The longest beginning of the sequence, of at most `limit` positions, that a context
 * could go on from; what is saved of its end begins at *from. */
static size_t usable_length(const session_cache *cache, size_t limit, uint32_t window,
                            size_t *from) {
  size_t end = cache->length < limit ? cache->length : limit;
  while (end > 0) {
    *from = covered_from(cache, end);
    if (*from < end && *from <= first_needed(end, window)) return end;
    /* Something is missing before *from: try where what lies before that ends. */
    size_t before = 0;
    for (size_t i = 0; i < cache->piece_count; i++)
      if (cache->pieces[i].end < *from) before = cache->pieces[i].end;
    end = before;
  }
  return 0;
}

/* --- loading ---------------------------------------------------------------------------- */

/* Loads positions [from, to) of one piece. *bad: it is damaged, or does not fit the
 * model. */
static gust_status load_piece(const session_cache *cache, const session_piece *piece,
                              const session_file *file, gust_context *context, size_t from,
                              size_t to, bool *bad, gust_error *err) {
  size_t bytes = gust_context_state_bytes(context, piece->begin, piece->saved_end);
  *bad = true;
  if (bytes == 0 || piece->bytes != bytes) return GUST_OK;
  uint8_t *state = malloc(bytes);
  if (!state) return no_memory(bytes, err);
  record_result result = session_bulk_read(file, piece->offset, bytes, piece->checksum, state, err);
  gust_status status = result == RECORD_ERROR ? GUST_E_IO : GUST_OK;
  if (result == RECORD_GOOD) {
    status = gust_context_load_state(context, cache->ids, from, to,
                                     state + gust_context_state_bytes(context, piece->begin, from),
                                     gust_context_state_bytes(context, from, to), err);
    *bad = status == GUST_E_ARGUMENT; /* an id that the model does not have */
    if (*bad) status = GUST_OK;
  }
  free(state);
  return status;
}

gust_status session_cache_load(session_cache *cache, const session_file *file,
                               gust_context *context, uint32_t window, size_t *positions,
                               size_t *spoiled, gust_error *err) {
  size_t from, end;
  *positions = *spoiled = 0;
  while ((end = usable_length(cache, gust_context_capacity(context), window, &from)) > 0) {
    size_t need = first_needed(end, window), before = need < WINDOW_SLACK ? need : WINDOW_SLACK;
    if (from < need - before) from = need - before;
    bool bad = false;
    for (size_t i = 0; i < cache->piece_count && from < end && !bad; i++) {
      const session_piece *piece = &cache->pieces[i];
      if (piece->end <= from) continue;
      size_t to = piece->end < end ? piece->end : end;
      gust_status status = load_piece(cache, piece, file, context, from, to, &bad, err);
      if (status) return status;
      if (bad) cut(cache, piece->begin);
      from = to;
    }
    if (!bad) break;
    ++*spoiled;
    gust_context_truncate(context, 0);
  }
  *positions = end;
  return GUST_OK;
}

/* --- appending -------------------------------------------------------------------------- */

gust_status session_cache_append(session_cache *cache, session_file *file,
                                 const gust_context *context, uint32_t window, uint64_t fingerprint,
                                 gust_error *err) {
  const int32_t *ids = gust_context_ids(context);
  size_t length = gust_context_length(context), first = gust_context_state_first(context);
  size_t ids_begin = 0, need = first_needed(length, window);
  while (ids_begin < length && ids_begin < cache->length && ids[ids_begin] == cache->ids[ids_begin])
    ids_begin++;
  if (ids_begin == length) return GUST_OK;
  /* What was overwritten when it should have been saved may be there now. */
  size_t wanted = first > need ? first : need;
  if (covered_from(cache, ids_begin) > wanted && wanted < ids_begin) ids_begin = wanted;
  size_t begin = ids_begin > first ? ids_begin : first;
  size_t step = PIECE_BYTES / gust_context_state_bytes(context, 0, 1);
  if (step == 0) step = 1;
  size_t bytes =
      gust_context_state_bytes(context, 0, step < length - begin ? step : length - begin);
  void *state = malloc(bytes ? bytes : 1);
  if (!state) return no_memory(bytes, err);
  gust_status status = GUST_OK;
  while (begin < length && !status) {
    size_t end = length - begin < step ? length : begin + step;
    status = append_piece(cache, file, context, fingerprint, ids_begin, begin, end, state, err);
    ids_begin = begin = end;
  }
  free(state);
  return status;
}

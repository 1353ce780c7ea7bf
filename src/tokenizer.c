#include "tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "tokenizer_data.h"
#include "unicode_classes.h"

/* Symbols are counted in 32 bits, and a space grows to three bytes. */
#define MAX_TEXT_BYTES ((size_t)1 << 28)

/* --- making one ------------------------------------------------------------------ */

size_t gust_mark_spaces(const gust_tokenizer *t, bool prefix, const char *text, size_t bytes,
                        char *to) {
  char *start = to;
  bool keep = (t->options & GUST_TOKENIZER_KEEP_SPACES) != 0;
  if (prefix) {
    memcpy(to, GUST_SPACE_MARK, GUST_SPACE_MARK_BYTES);
    to += GUST_SPACE_MARK_BYTES;
  }
  for (size_t i = 0; i < bytes; i++) {
    if (text[i] == ' ' && !keep) {
      memcpy(to, GUST_SPACE_MARK, GUST_SPACE_MARK_BYTES);
      to += GUST_SPACE_MARK_BYTES;
    } else {
      *to++ = text[i];
    }
  }
  return (size_t)(to - start);
}

/* The text of a piece when decoded: never longer than its spelling. */
static uint32_t write_plain(uint32_t flags, const char *text, uint32_t bytes, char *to) {
  if (flags & GUST_PIECE_SPECIAL) return 0;
  if (flags & GUST_PIECE_BYTE) {
    *to = (char)gust_byte_of_spelling(text, bytes);
    return 1;
  }
  uint32_t length = 0;
  for (uint32_t i = 0; i < bytes;) {
    if (gust_starts_with_mark(text + i, bytes - i)) {
      to[length++] = ' ';
      i += GUST_SPACE_MARK_BYTES;
    } else {
      to[length++] = text[i++];
    }
  }
  return length;
}

static gust_status make_plain(gust_tokenizer *t, gust_error *err) {
  size_t bytes = (size_t)t->text_start[t->piece_count] + 1;
  size_t starts = ((size_t)t->piece_count + 1) * sizeof *t->plain_start;
  t->plain = malloc(bytes);
  t->plain_start = malloc(starts);
  if (!t->plain || !t->plain_start) return gust_fail_memory(err, "a vocabulary", bytes + starts);
  uint32_t at = 0;
  for (uint32_t i = 0; i < t->piece_count; i++) {
    uint32_t length;
    const char *text = gust_spelling(t, i, &length);
    t->plain_start[i] = at;
    at += write_plain(t->flags[i], text, length, t->plain + at);
  }
  t->plain_start[t->piece_count] = at;
  return GUST_OK;
}

/* The pieces that single characters and bytes begin as; special ones are none. */
static gust_status index_characters(gust_tokenizer *t, gust_error *err) {
  t->characters = malloc(t->piece_count * sizeof *t->characters);
  if (!t->characters)
    return gust_fail_memory(err, "a vocabulary", t->piece_count * sizeof *t->characters);
  for (int i = 0; i < 256; i++) t->byte_ids[i] = -1;
  for (int i = 0; i < 128; i++) t->ascii_ids[i] = -1;
  t->space_mark_id = -1;
  /* UTF-8 sorts as its codes do. */
  for (uint32_t i = 0; i < t->piece_count; i++) {
    uint32_t id = t->sorted[i], bytes, code = 0;
    const char *text = gust_spelling(t, id, &bytes);
    if (t->flags[id] & (GUST_PIECE_OUTSIDE | GUST_PIECE_SPECIAL)) continue;
    if (t->flags[id] & GUST_PIECE_BYTE)
      t->byte_ids[gust_byte_of_spelling(text, bytes)] = (int32_t)id;
    if (gust_utf8_decode(text, bytes, &code) != bytes) continue;
    if (code < 128) t->ascii_ids[code] = (int32_t)id;
    if (code == 0x2581) t->space_mark_id = (int32_t)id;
    t->characters[t->character_count++] = (gust_character){code, (int32_t)id};
  }
  return GUST_OK;
}

static gust_status check_unknown(const gust_tokenizer *t, const char *where, gust_error *err) {
  if (!(t->options & GUST_TOKENIZER_BYTE_FALLBACK)) {
    if (t->unk_id >= 0) return GUST_OK;
    return gust_fail(err, GUST_E_UNSUPPORTED,
                     "%s: tokenizer: expected byte fallback or an unk piece for characters outside "
                     "the vocabulary, found neither",
                     where);
  }
  for (int i = 0; i < 256; i++) {
    if (t->byte_ids[i] < 0)
      return gust_fail(err, GUST_E_FORMAT,
                       "%s: tokenizer: expected byte pieces <0x00> to <0xFF>, found no <0x%02X>",
                       where, (unsigned)i);
  }
  return GUST_OK;
}

static bool ends_with_mark(const gust_tokenizer *t, uint32_t id) {
  uint32_t bytes;
  const char *text = gust_spelling(t, id, &bytes);
  return bytes >= GUST_SPACE_MARK_BYTES &&
         gust_starts_with_mark(text + bytes - GUST_SPACE_MARK_BYTES, GUST_SPACE_MARK_BYTES);
}

static gust_status index_merges(gust_tokenizer *t, gust_error *err) {
  size_t bytes = ((size_t)t->piece_count + 1) * sizeof *t->merge_start;
  t->merge_start = malloc(bytes);
  if (!t->merge_start) return gust_fail_memory(err, "merges", bytes);
  t->breaks_at_spaces = t->space_mark_id >= 0;
  uint32_t at = 0;
  for (uint32_t id = 0; id < t->piece_count; id++) {
    t->merge_start[id] = at;
    for (; at < t->merge_count && t->merges[at].left == id; at++) {
      uint32_t right;
      const char *text = gust_spelling(t, t->merges[at].right, &right);
      if (gust_starts_with_mark(text, right) && !ends_with_mark(t, id)) t->breaks_at_spaces = false;
    }
  }
  t->merge_start[t->piece_count] = at;
  return GUST_OK;
}

gust_status gust_tokenizer_create(gust_tokenizer **tokenizer, const uint8_t *bytes, size_t count,
                                  const char *where, gust_error *err) {
  *tokenizer = NULL;
  gust_tokenizer *t = calloc(1, sizeof *t);
  if (!t) return gust_fail_memory(err, "a tokenizer", sizeof *t);
  gust_status status = gust_tokenizer_decode(t, bytes, count, where, err);
  if (!status) status = make_plain(t, err);
  if (!status) status = index_characters(t, err);
  if (!status) status = check_unknown(t, where, err);
  if (!status) status = index_merges(t, err);
  if (!status) status = gust_added_tokens_create(t, err);
  if (status) {
    gust_tokenizer_destroy(t);
    return status;
  }
  *tokenizer = t;
  return GUST_OK;
}

void gust_tokenizer_destroy(gust_tokenizer *t) {
  if (!t) return;
  gust_added_tokens_clear(t);
  free(t->prefix_ids);
  free(t->suffix_ids);
  free(t->texts);
  free(t->text_start);
  free(t->plain);
  free(t->plain_start);
  free(t->flags);
  free(t->sorted);
  free(t->merges);
  free(t->merge_start);
  free(t->characters);
  free(t);
}

/* --- text to ids ------------------------------------------------------------------- */

typedef struct encoder {
  const gust_tokenizer *tokenizer;
  const char *text;
  bool parse_special;
  const gust_text_span *literal;
  size_t literal_count;
  gust_merger merger;
  gust_id_list ids;
  char *marked; /* the stretch at hand with its spaces marked */
  size_t marked_room;
} encoder;

static bool has_option(const encoder *e, uint32_t option) {
  return (e->tokenizer->options & option) != 0;
}

/* Makes e->marked hold the text with marks; its length, or 0: out of memory. */
static size_t mark_stretch(encoder *e, bool prefix, const char *text, size_t bytes) {
  size_t room = GUST_SPACE_MARK_BYTES * (bytes + 1);
  if (!e->marked || room > e->marked_room) {
    free(e->marked);
    e->marked = malloc(room);
    e->marked_room = e->marked ? room : 0;
    if (!e->marked) return 0;
  }
  return gust_mark_spaces(e->tokenizer, prefix, text, bytes, e->marked);
}

static bool wants_prefix(const encoder *e, size_t raw_begin) {
  return has_option(e, GUST_TOKENIZER_ADD_PREFIX) &&
         !(has_option(e, GUST_TOKENIZER_PREFIX_ONCE) && raw_begin > 0);
}

/* Merges one part without added tokens, which Metaspace marks only now. */
static bool encode_part(encoder *e, const char *text, size_t bytes) {
  if (has_option(e, GUST_TOKENIZER_METASPACE)) {
    bool spaced = (text[0] == ' ' && !has_option(e, GUST_TOKENIZER_KEEP_SPACES)) ||
                  gust_starts_with_mark(text, bytes);
    bytes = mark_stretch(e, !spaced && wants_prefix(e, (size_t)(text - e->text)), text, bytes);
    if (!bytes) return false;
    text = e->marked;
  }
  return gust_merge_stretch(e->tokenizer, &e->merger, text, bytes, &e->ids);
}

static gust_splitter make_splitter(const encoder *e, const gust_added_set *set, const char *text,
                                   size_t bytes, gust_text_origin origin) {
  return (gust_splitter){.set = set,
                         .text = text,
                         .bytes = bytes,
                         .origin = origin,
                         .literal = e->literal,
                         .literal_count = e->literal_count,
                         .pending = -1};
}

/* A stretch of the user's text between added tokens that are found before
 * normalizing: splits it at those found after. */
static bool encode_stretch(encoder *e, size_t begin, size_t end) {
  const gust_tokenizer *t = e->tokenizer;
  const char *text = e->text + begin;
  size_t bytes = end - begin;
  gust_text_origin origin = {.raw = e->text, .origin = begin};
  if (!has_option(e, GUST_TOKENIZER_METASPACE)) {
    bool prefix = wants_prefix(e, begin);
    bytes = mark_stretch(e, prefix, text, bytes);
    if (!bytes) return false;
    text = e->marked;
    origin.prefix = prefix ? GUST_SPACE_MARK_BYTES : 0;
    origin.marked = !has_option(e, GUST_TOKENIZER_KEEP_SPACES);
    origin.raw_at = begin;
  }
  /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the caller frees e->marked */
  if (!e->parse_special) return encode_part(e, text, bytes);
  gust_splitter splitter = make_splitter(e, &t->normalized, text, bytes, origin);
  gust_text_part part;
  while (gust_splitter_next(&splitter, &part)) {
    bool fits = part.id >= 0 ? gust_id_list_push(&e->ids, part.id)
                             : encode_part(e, text + part.begin, part.end - part.begin);
    if (!fits) return false;
  }
  return true;
}

static bool encode_text(encoder *e, size_t bytes) {
  if (bytes == 0) return true;
  if (!e->parse_special) return encode_stretch(e, 0, bytes);
  gust_splitter splitter =
      make_splitter(e, &e->tokenizer->raw, e->text, bytes, (gust_text_origin){.raw = e->text});
  gust_text_part part;
  while (gust_splitter_next(&splitter, &part)) {
    bool fits = part.id >= 0 ? gust_id_list_push(&e->ids, part.id)
                             : encode_stretch(e, part.begin, part.end);
    if (!fits) return false;
  }
  return true;
}

static bool push_all(encoder *e, const int32_t *ids, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    if (!gust_id_list_push(&e->ids, ids[i])) return false;
  }
  return true;
}

gust_status gust_tokenizer_text_to_ids(const gust_tokenizer *t, const char *text, size_t bytes,
                                       gust_text_ends ends, bool parse_special,
                                       const gust_text_span *literal, size_t literal_count,
                                       int32_t **ids, size_t *count, gust_error *err) {
  *ids = NULL;
  *count = 0;
  if (bytes > MAX_TEXT_BYTES)
    return gust_fail(err, GUST_E_ARGUMENT,
                     "text: expected at most %zu bytes, found %zu; split it up", MAX_TEXT_BYTES,
                     bytes);
  encoder e = {.tokenizer = t,
               .text = text,
               .parse_special = parse_special,
               .literal = literal,
               .literal_count = literal_count};
  bool fits = true;
  if (ends != GUST_ENDS_NONE) fits = push_all(&e, t->prefix_ids, t->prefix_count);
  if (fits) fits = encode_text(&e, bytes);
  if (fits && ends == GUST_ENDS_BOTH) fits = push_all(&e, t->suffix_ids, t->suffix_count);
  gust_merger_clear(&e.merger);
  free(e.marked);
  if (!fits) {
    free(e.ids.ids);
    return gust_fail_memory(err, "tokenizing", bytes * (sizeof(gust_symbol) + sizeof(int32_t)));
  }
  *ids = e.ids.ids;
  *count = e.ids.count;
  return GUST_OK;
}

/* --- pieces ------------------------------------------------------------------------- */

static bool known(const gust_tokenizer *t, int32_t id) {
  return id >= 0 && (uint32_t)id < t->piece_count;
}

uint32_t gust_tokenizer_size(const gust_tokenizer *t) {
  return t->piece_count;
}

uint32_t gust_tokenizer_flags(const gust_tokenizer *t, int32_t id) {
  return known(t, id) ? t->flags[id] : 0;
}

void gust_tokenizer_piece(const gust_tokenizer *t, int32_t id, const char **text, size_t *bytes) {
  *text = known(t, id) ? t->plain + t->plain_start[id] : "";
  *bytes = known(t, id) ? t->plain_start[id + 1] - t->plain_start[id] : 0;
}

void gust_tokenizer_spelling(const gust_tokenizer *t, int32_t id, const char **text,
                             size_t *bytes) {
  *text = known(t, id) ? t->texts + t->text_start[id] : "";
  *bytes = known(t, id) ? t->text_start[id + 1] - t->text_start[id] : 0;
}

bool gust_tokenizer_strips_prefix(const gust_tokenizer *t) {
  return (t->options & GUST_TOKENIZER_STRIP_PREFIX) != 0;
}

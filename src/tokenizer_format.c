/* The tokenizer section of a .gust file, as docs/FORMAT.md lays it out:
 *
 *   u32 version, options, pieces, merges; i32 unk; u32 prefix ids, suffix ids,
 *   text bytes | i32 prefix and suffix ids | (u16 length, u16 flags) per piece |
 *   u32 ids ascending by spelling | (u32 left, right, result, rank) per merge,
 *   ascending by left and right | spellings */
#include <stdlib.h>
#include <string.h>

#include "tokenizer_data.h"
#include "unicode_classes.h"

#define SECTION_VERSION 1u
#define HEADER_BYTES 32u
#define MAX_PIECES (1u << 24)
#define MAX_MERGES (1u << 26)
#define MAX_AFFIXES 16u
#define PIECE_FLAGS 255u

static uint32_t get_u32(const uint8_t *p) {
  return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint16_t get_u16(const uint8_t *p) {
  return (uint16_t)(p[0] | p[1] << 8);
}

static uint8_t *put_u32(uint8_t *p, uint32_t v) {
  for (int i = 0; i < 4; i++) *p++ = (uint8_t)(v >> 8 * i);
  return p;
}

static uint8_t *put_u16(uint8_t *p, uint32_t v) {
  *p++ = (uint8_t)v;
  *p++ = (uint8_t)(v >> 8);
  return p;
}

int gust_byte_of_spelling(const char *text, size_t bytes) {
  static const char digits[] = "0123456789ABCDEF";
  if (bytes != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>') return -1;
  const char *high = memchr(digits, text[3], 16), *low = memchr(digits, text[4], 16);
  return high && low ? (int)(high - digits) << 4 | (int)(low - digits) : -1;
}

/* Piece text in an error: at most this many bytes of it. */
static int shown(uint32_t bytes) {
  return bytes < 60 ? (int)bytes : 60;
}

void gust_vocabulary_clear(gust_vocabulary *v) {
  for (uint32_t i = 0; v->pieces && i < v->piece_count; i++) free(v->pieces[i].text);
  free(v->pieces);
  free(v->merges);
  free(v->prefix_ids);
  free(v->suffix_ids);
  *v = (gust_vocabulary){0};
}

/* --- writing ---------------------------------------------------------------------- */

typedef struct sort_entry {
  const char *text;
  uint32_t bytes, id;
} sort_entry;

static int compare_entries(const void *left, const void *right) {
  const sort_entry *a = left, *b = right;
  int order = memcmp(a->text, b->text, a->bytes < b->bytes ? a->bytes : b->bytes);
  if (order) return order;
  if (a->bytes != b->bytes) return a->bytes < b->bytes ? -1 : 1;
  return a->id < b->id ? -1 : a->id > b->id;
}

static int compare_merges(const void *left, const void *right) {
  const gust_merge *a = left, *b = right;
  if (a->left != b->left) return a->left < b->left ? -1 : 1;
  return a->right < b->right ? -1 : a->right > b->right;
}

static uint32_t option_bits(const gust_vocabulary *v) {
  return (v->byte_fallback ? GUST_TOKENIZER_BYTE_FALLBACK : 0) |
         (v->fuse_unk ? GUST_TOKENIZER_FUSE_UNK : 0) |
         (v->add_prefix ? GUST_TOKENIZER_ADD_PREFIX : 0) |
         (v->prefix_once ? GUST_TOKENIZER_PREFIX_ONCE : 0) |
         (v->strip_prefix ? GUST_TOKENIZER_STRIP_PREFIX : 0) |
         (v->metaspace ? GUST_TOKENIZER_METASPACE : 0) |
         (v->keep_spaces ? GUST_TOKENIZER_KEEP_SPACES : 0);
}

static gust_status measure(const gust_vocabulary *v, uint64_t *text_bytes, gust_error *err) {
  if (v->piece_count == 0 || v->piece_count > MAX_PIECES || v->merge_count > MAX_MERGES)
    return gust_fail(err, GUST_E_UNSUPPORTED,
                     "vocabulary: expected 1 to %u pieces and at most %u merges, found %u and %u",
                     MAX_PIECES, MAX_MERGES, v->piece_count, v->merge_count);
  if (v->prefix_count > MAX_AFFIXES || v->suffix_count > MAX_AFFIXES)
    return gust_fail(err, GUST_E_UNSUPPORTED,
                     "vocabulary: expected at most %u ids before and after a text, found %u and %u",
                     MAX_AFFIXES, v->prefix_count, v->suffix_count);
  *text_bytes = 0;
  for (uint32_t i = 0; i < v->piece_count; i++) {
    if (v->pieces[i].bytes == 0 || v->pieces[i].bytes > GUST_MAX_PIECE_BYTES)
      return gust_fail(err, GUST_E_UNSUPPORTED,
                       "vocabulary: piece %u: expected 1 to %u bytes, found %u", i,
                       GUST_MAX_PIECE_BYTES, v->pieces[i].bytes);
    *text_bytes += v->pieces[i].bytes;
  }
  if (*text_bytes > UINT32_MAX / 4)
    return gust_fail(err, GUST_E_UNSUPPORTED,
                     "vocabulary: expected at most %u bytes of pieces, found more", UINT32_MAX / 4);
  return GUST_OK;
}

static gust_status put_sorted(const gust_vocabulary *v, uint8_t *p, gust_error *err) {
  sort_entry *entries = malloc(v->piece_count * sizeof *entries);
  if (!entries) return gust_fail_memory(err, "sorting pieces", v->piece_count * sizeof *entries);
  for (uint32_t i = 0; i < v->piece_count; i++)
    entries[i] = (sort_entry){v->pieces[i].text, v->pieces[i].bytes, i};
  qsort(entries, v->piece_count, sizeof *entries, compare_entries);
  gust_status status = GUST_OK;
  for (uint32_t i = 0; i < v->piece_count && !status; i++) {
    p = put_u32(p, entries[i].id);
    if (i && entries[i].bytes == entries[i - 1].bytes &&
        memcmp(entries[i].text, entries[i - 1].text, entries[i].bytes) == 0)
      status = gust_fail(
          err, GUST_E_FORMAT, "vocabulary: expected each piece once, found \"%.*s\" as %u and %u",
          shown(entries[i].bytes), entries[i].text, entries[i - 1].id, entries[i].id);
  }
  free(entries);
  return status;
}

static gust_status put_merges(const gust_vocabulary *v, uint8_t *p, gust_error *err) {
  if (v->merge_count == 0) return GUST_OK;
  gust_merge *merges = malloc(v->merge_count * sizeof *merges);
  if (!merges) return gust_fail_memory(err, "sorting merges", v->merge_count * sizeof *merges);
  memcpy(merges, v->merges, v->merge_count * sizeof *merges);
  qsort(merges, v->merge_count, sizeof *merges, compare_merges);
  gust_status status = GUST_OK;
  for (uint32_t i = 0; i < v->merge_count && !status; i++) {
    p = put_u32(put_u32(p, merges[i].left), merges[i].right);
    p = put_u32(put_u32(p, merges[i].result), merges[i].rank);
    if (i && compare_merges(&merges[i], &merges[i - 1]) == 0)
      status = gust_fail(err, GUST_E_FORMAT,
                         "vocabulary: expected each merge once, found ids %u and %u again",
                         merges[i].left, merges[i].right);
  }
  free(merges);
  return status;
}

static gust_status put_section(const gust_vocabulary *v, uint32_t text_bytes, uint8_t *p,
                               gust_error *err) {
  p = put_u32(put_u32(p, SECTION_VERSION), option_bits(v));
  p = put_u32(put_u32(p, v->piece_count), v->merge_count);
  p = put_u32(p, (uint32_t)v->unk_id);
  p = put_u32(put_u32(p, v->prefix_count), v->suffix_count);
  p = put_u32(p, text_bytes);
  for (uint32_t i = 0; i < v->prefix_count; i++) p = put_u32(p, (uint32_t)v->prefix_ids[i]);
  for (uint32_t i = 0; i < v->suffix_count; i++) p = put_u32(p, (uint32_t)v->suffix_ids[i]);
  for (uint32_t i = 0; i < v->piece_count; i++)
    p = put_u16(put_u16(p, v->pieces[i].bytes), v->pieces[i].flags);
  gust_status status = put_sorted(v, p, err);
  if (!status) status = put_merges(v, p + 4 * (size_t)v->piece_count, err);
  p += 4 * (size_t)v->piece_count + 16 * (size_t)v->merge_count;
  for (uint32_t i = 0; i < v->piece_count; i++) {
    memcpy(p, v->pieces[i].text, v->pieces[i].bytes);
    p += v->pieces[i].bytes;
  }
  return status;
}

/* The size of the whole section, from its counts. */
static uint64_t section_bytes(uint64_t pieces, uint64_t merges, uint64_t affixes, uint64_t text) {
  return HEADER_BYTES + 4 * affixes + 8 * pieces + 16 * merges + text;
}

gust_status gust_tokenizer_encode(const gust_vocabulary *v, uint8_t **bytes, size_t *count,
                                  gust_error *err) {
  *bytes = NULL;
  *count = 0;
  uint64_t text_bytes = 0;
  gust_status status = measure(v, &text_bytes, err);
  if (status) return status;
  uint64_t total =
      section_bytes(v->piece_count, v->merge_count, v->prefix_count + v->suffix_count, text_bytes);
  uint8_t *section = total <= SIZE_MAX ? malloc((size_t)total) : NULL;
  if (!section) return gust_fail_memory(err, "a tokenizer section", (size_t)total);
  status = put_section(v, (uint32_t)text_bytes, section, err);
  /* The reader's checks are the ones that count: what passes them here will
   * there. */
  gust_tokenizer *tokenizer = NULL;
  if (!status)
    status = gust_tokenizer_create(&tokenizer, section, (size_t)total, "vocabulary", err);
  gust_tokenizer_destroy(tokenizer);
  if (status) {
    free(section);
    return status;
  }
  *bytes = section;
  *count = (size_t)total;
  return GUST_OK;
}

/* --- reading ---------------------------------------------------------------------- */

static gust_status damaged(gust_error *err, const char *where, const char *what, uint64_t found) {
  return gust_fail(err, GUST_E_FORMAT, "%s: tokenizer: expected %s, found %llu; convert it again",
                   where, what, (unsigned long long)found);
}

static gust_status read_header(gust_tokenizer *t, const uint8_t *p, size_t count,
                               uint32_t *text_bytes, const char *where, gust_error *err) {
  if (count < HEADER_BYTES) return damaged(err, where, "at least 32 bytes", count);
  if (get_u32(p) != SECTION_VERSION) return damaged(err, where, "version 1", get_u32(p));
  t->options = get_u32(p + 4);
  t->piece_count = get_u32(p + 8);
  t->merge_count = get_u32(p + 12);
  uint32_t unk = get_u32(p + 16);
  t->prefix_count = get_u32(p + 20);
  t->suffix_count = get_u32(p + 24);
  *text_bytes = get_u32(p + 28);
  if (t->options & ~GUST_TOKENIZER_OPTIONS)
    return damaged(err, where, "options below 128", t->options);
  if (t->piece_count == 0 || t->piece_count > MAX_PIECES)
    return damaged(err, where, "1 to 16777216 pieces", t->piece_count);
  if (t->merge_count > MAX_MERGES)
    return damaged(err, where, "at most 67108864 merges", t->merge_count);
  if (unk != UINT32_MAX && unk >= t->piece_count)
    return damaged(err, where, "an id of a piece as unk", unk);
  t->unk_id = unk == UINT32_MAX ? -1 : (int32_t)unk;
  if (t->prefix_count > MAX_AFFIXES || t->suffix_count > MAX_AFFIXES)
    return damaged(err, where, "at most 16 ids before and after a text",
                   t->prefix_count > MAX_AFFIXES ? t->prefix_count : t->suffix_count);
  uint64_t affixes = (uint64_t)t->prefix_count + t->suffix_count;
  if (*text_bytes > UINT32_MAX / 4 ||
      section_bytes(t->piece_count, t->merge_count, affixes, *text_bytes) != count)
    return damaged(err, where, "as many bytes as its counts say", count);
  return GUST_OK;
}

static gust_status read_affixes(gust_tokenizer *t, const uint8_t *p, const char *where,
                                gust_error *err) {
  t->prefix_ids = malloc((t->prefix_count + 1) * sizeof *t->prefix_ids);
  t->suffix_ids = malloc((t->suffix_count + 1) * sizeof *t->suffix_ids);
  if (!t->prefix_ids || !t->suffix_ids)
    return gust_fail_memory(err, "ids around a text", 2 * MAX_AFFIXES * sizeof(int32_t));
  for (uint32_t i = 0; i < t->prefix_count + t->suffix_count; i++) {
    uint32_t id = get_u32(p + 4 * (size_t)i);
    if (id >= t->piece_count) return damaged(err, where, "an id of a piece around a text", id);
    if (i < t->prefix_count) {
      t->prefix_ids[i] = (int32_t)id;
    } else {
      t->suffix_ids[i - t->prefix_count] = (int32_t)id;
    }
  }
  return GUST_OK;
}

/* A piece's flags must agree with each other and with its spelling. */
static bool flags_fit(uint32_t flags, const char *text, uint32_t bytes) {
  const uint32_t of_added = GUST_PIECE_SPECIAL | GUST_PIECE_LSTRIP | GUST_PIECE_RSTRIP |
                            GUST_PIECE_NORMALIZED | GUST_PIECE_SINGLE_WORD | GUST_PIECE_OUTSIDE;
  if (flags & ~PIECE_FLAGS) return false;
  if (!(flags & GUST_PIECE_ADDED) && (flags & of_added & ~GUST_PIECE_SPECIAL)) return false;
  return !(flags & GUST_PIECE_BYTE) || gust_byte_of_spelling(text, bytes) >= 0;
}

static gust_status read_pieces(gust_tokenizer *t, const uint8_t *table, const uint8_t *texts,
                               uint32_t text_bytes, const char *where, gust_error *err) {
  size_t starts = ((size_t)t->piece_count + 1) * sizeof *t->text_start;
  t->texts = malloc((size_t)text_bytes + 1);
  t->text_start = malloc(starts);
  t->flags = malloc(t->piece_count * sizeof *t->flags);
  if (!t->texts || !t->text_start || !t->flags)
    return gust_fail_memory(err, "a vocabulary", text_bytes + starts);
  memcpy(t->texts, texts, text_bytes);
  uint32_t at = 0;
  for (uint32_t i = 0; i < t->piece_count; i++, table += 4) {
    uint32_t bytes = get_u16(table), flags = get_u16(table + 2);
    if (bytes == 0 || bytes > GUST_MAX_PIECE_BYTES || bytes > text_bytes - at)
      return damaged(err, where, "pieces of 1 to 1024 bytes within the text", bytes);
    t->text_start[i] = at;
    t->flags[i] = (uint16_t)flags;
    const char *text = t->texts + at;
    if (!gust_utf8_valid(text, bytes)) return damaged(err, where, "UTF-8 in each piece", i);
    if (!flags_fit(flags, text, bytes)) return damaged(err, where, "flags of a piece", flags);
    at += bytes;
  }
  t->text_start[t->piece_count] = at;
  return at == text_bytes ? GUST_OK : damaged(err, where, "pieces to fill the text", at);
}

static gust_status read_sorted(gust_tokenizer *t, const uint8_t *p, const char *where,
                               gust_error *err) {
  t->sorted = malloc(t->piece_count * sizeof *t->sorted);
  if (!t->sorted)
    return gust_fail_memory(err, "a vocabulary's order", t->piece_count * sizeof *t->sorted);
  sort_entry last = {0};
  for (uint32_t i = 0; i < t->piece_count; i++) {
    sort_entry entry = {.id = get_u32(p + 4 * (size_t)i)};
    if (entry.id >= t->piece_count) return damaged(err, where, "an id of a piece", entry.id);
    entry.text = gust_spelling(t, entry.id, &entry.bytes);
    /* Strictly ascending spellings: all differ, so each id is there once. */
    last.id = entry.id;
    if (i && compare_entries(&last, &entry) >= 0)
      return damaged(err, where, "pieces in ascending order", entry.id);
    last = entry;
    t->sorted[i] = entry.id;
  }
  return GUST_OK;
}

/* Whether piece `result` is spelled as left and right in a row. */
static bool joins(const gust_tokenizer *t, const gust_merge *m) {
  uint32_t left, right, result;
  const char *l = gust_spelling(t, m->left, &left), *r = gust_spelling(t, m->right, &right);
  const char *joined = gust_spelling(t, m->result, &result);
  return left + right == result && memcmp(joined, l, left) == 0 &&
         memcmp(joined + left, r, right) == 0;
}

/* Text would become a special token by being merged. */
static gust_status special_result(const gust_tokenizer *t, const gust_merge *m, const char *where,
                                  gust_error *err) {
  uint32_t bytes;
  const char *text = gust_spelling(t, m->result, &bytes);
  return gust_fail(err, GUST_E_FORMAT,
                   "%s: tokenizer: expected merges to pieces of text, found one to the special "
                   "piece '%.*s'; convert it again without that merge",
                   where, shown(bytes), text);
}

static gust_status read_merges(gust_tokenizer *t, const uint8_t *p, const char *where,
                               gust_error *err) {
  t->merges = malloc(((size_t)t->merge_count + 1) * sizeof *t->merges);
  if (!t->merges)
    return gust_fail_memory(err, "merges", ((size_t)t->merge_count + 1) * sizeof *t->merges);
  for (uint32_t i = 0; i < t->merge_count; i++, p += 16) {
    gust_merge m = {get_u32(p), get_u32(p + 4), get_u32(p + 8), get_u32(p + 12)};
    if (m.left >= t->piece_count || m.right >= t->piece_count || m.result >= t->piece_count)
      return damaged(err, where, "a merge of known ids", i);
    if (!joins(t, &m)) return damaged(err, where, "a merge to spell its two pieces", i);
    if ((t->flags[m.left] | t->flags[m.right] | t->flags[m.result]) & GUST_PIECE_OUTSIDE)
      return damaged(err, where, "a merge of the model's own pieces", i);
    if (t->flags[m.result] & GUST_PIECE_SPECIAL) return special_result(t, &m, where, err);
    if (i && compare_merges(&t->merges[i - 1], &m) >= 0)
      return damaged(err, where, "merges in ascending order", i);
    t->merges[i] = m;
  }
  return GUST_OK;
}

gust_status gust_tokenizer_decode(gust_tokenizer *t, const uint8_t *p, size_t count,
                                  const char *where, gust_error *err) {
  uint32_t text_bytes = 0;
  gust_status status = read_header(t, p, count, &text_bytes, where, err);
  if (status) return status;
  const uint8_t *affixes = p + HEADER_BYTES;
  const uint8_t *table = affixes + 4 * ((size_t)t->prefix_count + t->suffix_count);
  const uint8_t *sorted = table + 4 * (size_t)t->piece_count;
  const uint8_t *merges = sorted + 4 * (size_t)t->piece_count;
  const uint8_t *texts = merges + 16 * (size_t)t->merge_count;
  status = read_affixes(t, affixes, where, err);
  if (!status) status = read_pieces(t, table, texts, text_bytes, where, err);
  if (!status) status = read_sorted(t, sorted, where, err);
  if (!status) status = read_merges(t, merges, where, err);
  return status;
}

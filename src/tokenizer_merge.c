/* Byte-pair merging: characters become pieces, then the pair of neighbours with
 * the lowest rank is joined until none is left. A heap holds the candidates;
 * one whose pieces have changed since is dropped when it comes up, so that a
 * stretch of n characters takes O(n log n). */
#include <stdlib.h>
#include <string.h>

#include "tokenizer_data.h"
#include "unicode_classes.h"

#define NONE UINT32_MAX

bool gust_id_list_push(gust_id_list *list, int32_t id) {
  if (list->count == list->room) {
    size_t room = list->room ? list->room * 2 : 64;
    if (room > SIZE_MAX / sizeof *list->ids) return false;
    int32_t *ids = realloc(list->ids, room * sizeof *ids);
    if (!ids) return false;
    list->ids = ids;
    list->room = room;
  }
  list->ids[list->count++] = id;
  return true;
}

void gust_merger_clear(gust_merger *merger) {
  free(merger->symbols);
  free(merger->heap);
  *merger = (gust_merger){0};
}

/* --- the heap of candidates --------------------------------------------------- */

static void sift_down(gust_candidate *heap, size_t count, size_t at) {
  gust_candidate moving = heap[at];
  for (;;) {
    size_t child = 2 * at + 1;
    if (child >= count) break;
    if (child + 1 < count && heap[child + 1].key < heap[child].key) child++;
    if (moving.key <= heap[child].key) break;
    heap[at] = heap[child];
    at = child;
  }
  heap[at] = moving;
}

static void sift_up(gust_candidate *heap, size_t at) {
  gust_candidate moving = heap[at];
  while (at > 0) {
    size_t parent = (at - 1) / 2;
    if (heap[parent].key <= moving.key) break;
    heap[at] = heap[parent];
    at = parent;
  }
  heap[at] = moving;
}

static const gust_merge *find_merge(const gust_tokenizer *t, int32_t left, int32_t right) {
  uint32_t low = t->merge_start[left], end = t->merge_start[left + 1], high = end;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    if (t->merges[middle].right < (uint32_t)right) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low < end && t->merges[low].right == (uint32_t)right ? &t->merges[low] : NULL;
}

/* Appends the pair that begins at `place`, if a merge joins it, out of order. */
static bool add_candidate(const gust_tokenizer *t, gust_merger *m, uint32_t place, bool *added) {
  const gust_symbol *symbol = &m->symbols[place];
  *added = false;
  if (symbol->next == NONE) return true;
  int32_t right = m->symbols[symbol->next].id;
  const gust_merge *merge = find_merge(t, symbol->id, right);
  if (!merge) return true;
  if (m->heap_count == m->heap_room) {
    size_t room = m->heap_room ? m->heap_room * 2 : 64;
    if (room > SIZE_MAX / sizeof *m->heap) return false;
    gust_candidate *heap = realloc(m->heap, room * sizeof *heap);
    if (!heap) return false;
    m->heap = heap;
    m->heap_room = room;
  }
  m->heap[m->heap_count++] = (gust_candidate){(uint64_t)merge->rank << 32 | place, symbol->id,
                                              right, (int32_t)merge->result};
  *added = true;
  return true;
}

static bool push_candidate(const gust_tokenizer *t, gust_merger *m, uint32_t place) {
  bool added;
  if (!add_candidate(t, m, place, &added)) return false;
  if (added) sift_up(m->heap, m->heap_count - 1);
  return true;
}

/* --- symbols -------------------------------------------------------------------- */

static int32_t character_id(const gust_tokenizer *t, uint32_t code) {
  if (code < 128) return t->ascii_ids[code];
  if (code == 0x2581) return t->space_mark_id;
  uint32_t low = 0, high = t->character_count;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    if (t->characters[middle].code < code) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low < t->character_count && t->characters[low].code == code ? t->characters[low].id : -1;
}

/* The symbols of characters, bytes and unk for `text`; their number. The array
 * has room for one per byte. */
static size_t fill_symbols(const gust_tokenizer *t, gust_symbol *symbols, const char *text,
                           size_t bytes) {
  size_t count = 0;
  bool after_unk = false;
  for (size_t at = 0; at < bytes;) {
    uint32_t code = 0;
    size_t length = gust_utf8_decode(text + at, bytes - at, &code);
    int32_t id = length ? character_id(t, code) : -1;
    if (!length) length = 1;
    if (id >= 0) {
      symbols[count++].id = id;
      after_unk = false;
    } else if (t->options & GUST_TOKENIZER_BYTE_FALLBACK) {
      for (size_t i = 0; i < length; i++)
        symbols[count++].id = t->byte_ids[(unsigned char)text[at + i]];
      after_unk = false;
    } else if (!after_unk || !(t->options & GUST_TOKENIZER_FUSE_UNK)) {
      symbols[count++].id = t->unk_id;
      after_unk = true;
    }
    at += length;
  }
  for (size_t i = 0; i < count; i++) {
    symbols[i].previous = i ? (uint32_t)(i - 1) : NONE;
    symbols[i].next = i + 1 < count ? (uint32_t)(i + 1) : NONE;
  }
  return count;
}

static bool merge_symbols(const gust_tokenizer *t, gust_merger *m, size_t count) {
  bool added;
  m->heap_count = 0;
  for (size_t i = 0; i < count; i++) {
    if (!add_candidate(t, m, (uint32_t)i, &added)) return false;
  }
  for (size_t i = m->heap_count / 2; i-- > 0;) sift_down(m->heap, m->heap_count, i);
  while (m->heap_count) {
    gust_candidate best = m->heap[0];
    m->heap[0] = m->heap[--m->heap_count];
    if (m->heap_count) sift_down(m->heap, m->heap_count, 0);
    uint32_t place = (uint32_t)best.key;
    gust_symbol *left = &m->symbols[place];
    if (left->id != best.left || left->next == NONE) continue;
    gust_symbol *right = &m->symbols[left->next];
    if (right->id != best.right) continue;
    left->id = best.result;
    right->id = -1;
    left->next = right->next;
    if (left->next != NONE) m->symbols[left->next].previous = place;
    if (left->previous != NONE && !push_candidate(t, m, left->previous)) return false;
    if (!push_candidate(t, m, place)) return false;
  }
  return true;
}

/* Merges text that no merge leads out of. */
static bool merge_segment(const gust_tokenizer *t, gust_merger *m, const char *text, size_t bytes,
                          gust_id_list *ids) {
  if (bytes > m->symbol_room) {
    size_t room = bytes < 256 ? 256 : bytes;
    if (room > SIZE_MAX / sizeof *m->symbols) return false;
    free(m->symbols);
    m->symbol_room = 0;
    m->symbols = malloc(room * sizeof *m->symbols);
    if (!m->symbols) return false;
    m->symbol_room = room;
  }
  size_t count = fill_symbols(t, m->symbols, text, bytes);
  if (!merge_symbols(t, m, count)) return false;
  for (uint32_t i = 0; count && i != NONE; i = m->symbols[i].next) {
    if (!gust_id_list_push(ids, m->symbols[i].id)) return false;
  }
  return true;
}

bool gust_merge_stretch(const gust_tokenizer *t, gust_merger *merger, const char *text,
                        size_t bytes, gust_id_list *ids) {
  if (!t->breaks_at_spaces) return merge_segment(t, merger, text, bytes, ids);
  size_t begin = 0;
  bool after_mark = true;
  for (size_t at = 0; at < bytes;) {
    bool mark = gust_starts_with_mark(text + at, bytes - at);
    if (mark && !after_mark) {
      if (!merge_segment(t, merger, text + begin, at - begin, ids)) return false;
      begin = at;
    }
    after_mark = mark;
    at += mark ? GUST_SPACE_MARK_BYTES : 1;
  }
  return merge_segment(t, merger, text + begin, bytes - begin, ids);
}

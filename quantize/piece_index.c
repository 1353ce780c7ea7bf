#include "piece_index.h"

#include <stdlib.h>
#include <string.h>

typedef struct entry {
  const char *text;
  uint32_t bytes, id;
} entry;

static int compare_text(const char *a, size_t a_bytes, const char *b, size_t b_bytes) {
  size_t common = a_bytes < b_bytes ? a_bytes : b_bytes;
  int order = common ? memcmp(a, b, common) : 0;
  if (order) return order;
  return a_bytes < b_bytes ? -1 : a_bytes > b_bytes;
}

static int compare_entries(const void *left, const void *right) {
  const entry *a = left, *b = right;
  int order = compare_text(a->text, a->bytes, b->text, b->bytes);
  if (order) return order;
  return a->id < b->id ? -1 : a->id > b->id;
}

gust_status piece_index_create(piece_index *index, const gust_vocabulary *v, uint32_t but,
                               gust_error *err) {
  *index = (piece_index){.vocabulary = v};
  size_t room = (size_t)v->piece_count + 1;
  entry *entries = malloc(room * sizeof *entries);
  index->ids = malloc(room * sizeof *index->ids);
  if (!entries || !index->ids) {
    free(entries);
    piece_index_clear(index);
    return gust_fail_memory(err, "an index of pieces", room * sizeof *entries);
  }
  for (uint32_t i = 0; i < v->piece_count; i++) {
    const gust_piece *piece = &v->pieces[i];
    if (piece->text && !(piece->flags & but))
      entries[index->count++] = (entry){piece->text, piece->bytes, i};
  }
  qsort(entries, index->count, sizeof *entries, compare_entries);
  for (uint32_t i = 0; i < index->count; i++) index->ids[i] = entries[i].id;
  free(entries);
  return GUST_OK;
}

void piece_index_clear(piece_index *index) {
  free(index->ids);
  *index = (piece_index){0};
}

int32_t piece_index_find(const piece_index *index, const char *text, size_t bytes) {
  uint32_t low = 0, high = index->count;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    const gust_piece *piece = &index->vocabulary->pieces[index->ids[middle]];
    if (compare_text(piece->text, piece->bytes, text, bytes) < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low == index->count) return -1;
  const gust_piece *piece = &index->vocabulary->pieces[index->ids[low]];
  bool same = compare_text(piece->text, piece->bytes, text, bytes) == 0;
  return same ? (int32_t)index->ids[low] : -1;
}

bool piece_set_text(gust_piece *piece, const char *text, size_t bytes) {
  static const char digits[] = "0123456789ABCDEF";
  piece->text = malloc(bytes);
  if (!piece->text) return false;
  memcpy(piece->text, text, bytes);
  piece->bytes = (uint32_t)bytes;
  if (bytes == 6 && memcmp(text, "<0x", 3) == 0 && memchr(digits, text[3], 16) &&
      memchr(digits, text[4], 16) && text[5] == '>')
    piece->flags |= GUST_PIECE_BYTE;
  return true;
}

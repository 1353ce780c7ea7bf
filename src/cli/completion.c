#define _POSIX_C_SOURCE 200809L

#include "completion.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text_width.h"

void completion_offer(completion_list *list, const char *text) {
  if (list->count == COMPLETION_MOST) return;
  if (list->count == list->capacity) {
    size_t larger = list->capacity ? list->capacity * 2 : 16;
    char **grown = realloc(list->offers, larger * sizeof *grown);
    if (!grown) return;
    list->offers = grown;
    list->capacity = larger;
  }
  char *copy = strdup(text);
  if (copy) list->offers[list->count++] = copy;
}

static int compare(const void *a, const void *b) {
  const char *const *first = a, *const *second = b;
  return strcmp(*first, *second);
}

void completion_sort(completion_list *list) {
  size_t kept = 0;
  if (list->count > 0) qsort(list->offers, list->count, sizeof *list->offers, compare);
  for (size_t i = 0; i < list->count; i++) {
    if (kept > 0 && strcmp(list->offers[kept - 1], list->offers[i]) == 0)
      free(list->offers[i]);
    else
      list->offers[kept++] = list->offers[i];
  }
  list->count = kept;
}

size_t completion_common(const completion_list *list) {
  if (list->count == 0) return 0;
  const char *first = list->offers[0];
  size_t common = strlen(first);
  for (size_t i = 1; i < list->count; i++) {
    size_t same = 0;
    while (same < common && list->offers[i][same] == first[same]) same++;
    common = same;
  }
  /* Back to where a character begins. */
  size_t whole = 0, bytes = strlen(first);
  while (whole < common) {
    size_t after = whole + text_glyph_at(first, bytes, whole).bytes;
    if (after > common) break;
    whole = after;
  }
  return whole;
}

void completion_clear(completion_list *list) {
  for (size_t i = 0; i < list->count; i++) free(list->offers[i]);
  free(list->offers);
  memset(list, 0, sizeof *list);
}

#include "edit_buffer.h"

#include <stdlib.h>
#include <string.h>

#include "text_width.h"

static edit_result make_room(edit_buffer *buffer, size_t bytes) {
  if (bytes > EDIT_MOST_BYTES - buffer->bytes) return EDIT_TOO_LONG;
  size_t needed = buffer->bytes + bytes + 1;
  if (needed <= buffer->capacity) return EDIT_DONE;
  size_t larger = needed < 128 ? 128 : needed * 2;
  char *grown = realloc(buffer->text, larger);
  if (!grown) return EDIT_NO_MEMORY;
  buffer->text = grown;
  buffer->capacity = larger;
  return EDIT_DONE;
}

edit_result edit_insert(edit_buffer *buffer, const char *text, size_t bytes) {
  edit_result result = make_room(buffer, bytes);
  if (result != EDIT_DONE) return result;
  char *here = buffer->text + buffer->cursor;
  memmove(here + bytes, here, buffer->bytes - buffer->cursor);
  if (bytes) memcpy(here, text, bytes);
  buffer->bytes += bytes;
  buffer->cursor += bytes;
  buffer->text[buffer->bytes] = 0;
  return EDIT_DONE;
}

edit_result edit_replace(edit_buffer *buffer, const char *text, size_t bytes) {
  if (bytes > EDIT_MOST_BYTES) return EDIT_TOO_LONG;
  edit_result result =
      bytes > buffer->bytes ? make_room(buffer, bytes - buffer->bytes) : make_room(buffer, 0);
  if (result != EDIT_DONE) return result;
  if (bytes) memmove(buffer->text, text, bytes);
  buffer->bytes = buffer->cursor = bytes;
  buffer->text[bytes] = 0;
  return EDIT_DONE;
}

void edit_erase(edit_buffer *buffer, size_t from, size_t to) {
  if (to > buffer->bytes) to = buffer->bytes;
  if (from >= to) return;
  memmove(buffer->text + from, buffer->text + to, buffer->bytes - to + 1);
  buffer->bytes -= to - from;
  if (buffer->cursor >= to)
    buffer->cursor -= to - from;
  else if (buffer->cursor > from)
    buffer->cursor = from;
}

edit_result edit_cut(edit_buffer *buffer, size_t from, size_t to, bool join) {
  if (from >= to) return EDIT_DONE;
  size_t bytes = to - from, kept = join ? buffer->cut_bytes : 0;
  bool before = to == buffer->cursor; /* it stood left of the cursor */
  char *cut = malloc(kept + bytes);
  if (!cut) return EDIT_NO_MEMORY;
  if (kept) memcpy(cut + (before ? bytes : 0), buffer->cut, kept);
  memcpy(cut + (before ? 0 : kept), buffer->text + from, bytes);
  free(buffer->cut);
  buffer->cut = cut;
  buffer->cut_bytes = kept + bytes;
  edit_erase(buffer, from, to);
  return EDIT_DONE;
}

edit_result edit_transpose(edit_buffer *buffer) {
  size_t middle = buffer->cursor;
  if (middle == edit_line_end(buffer)) middle = edit_left(buffer);
  if (middle <= edit_line_begin(buffer) || middle >= buffer->bytes) return EDIT_DONE;
  size_t from = text_previous(buffer->text, buffer->bytes, middle);
  size_t to = text_next(buffer->text, buffer->bytes, middle);
  char *first = malloc(middle - from);
  if (!first) return EDIT_NO_MEMORY;
  memcpy(first, buffer->text + from, middle - from);
  memmove(buffer->text + from, buffer->text + middle, to - middle);
  memcpy(buffer->text + from + (to - middle), first, middle - from);
  free(first);
  buffer->cursor = to;
  return EDIT_DONE;
}

/* --- moves ---------------------------------------------------------------------------- */

size_t edit_left(const edit_buffer *buffer) {
  return text_previous(buffer->text, buffer->bytes, buffer->cursor);
}

size_t edit_right(const edit_buffer *buffer) {
  return text_next(buffer->text, buffer->bytes, buffer->cursor);
}

static bool word_at(const edit_buffer *buffer, size_t at) {
  return text_is_word(buffer->text, buffer->bytes, at);
}

size_t edit_word_left(const edit_buffer *buffer) {
  size_t at = buffer->cursor;
  for (bool inside = false; at > 0;) {
    size_t before = text_previous(buffer->text, buffer->bytes, at);
    if (inside && !word_at(buffer, before)) break;
    inside = word_at(buffer, before);
    at = before;
  }
  return at;
}

size_t edit_word_right(const edit_buffer *buffer) {
  size_t at = buffer->cursor;
  for (bool inside = false; at < buffer->bytes;) {
    if (inside && !word_at(buffer, at)) break;
    inside = word_at(buffer, at);
    at = text_next(buffer->text, buffer->bytes, at);
  }
  return at;
}

static bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\n';
}

size_t edit_blank_left(const edit_buffer *buffer) {
  size_t at = buffer->cursor;
  while (at > 0 && is_blank(buffer->text[at - 1])) at--;
  while (at > 0 && !is_blank(buffer->text[at - 1])) at--;
  return at;
}

static size_t begin_of_line(const edit_buffer *buffer, size_t at) {
  while (at > 0 && buffer->text[at - 1] != '\n') at--;
  return at;
}

static size_t end_of_line(const edit_buffer *buffer, size_t at) {
  while (at < buffer->bytes && buffer->text[at] != '\n') at++;
  return at;
}

size_t edit_line_begin(const edit_buffer *buffer) {
  return begin_of_line(buffer, buffer->cursor);
}

size_t edit_line_end(const edit_buffer *buffer) {
  return end_of_line(buffer, buffer->cursor);
}

size_t edit_cell(const edit_buffer *buffer) {
  size_t begin = edit_line_begin(buffer);
  return begin < buffer->cursor ? text_width(buffer->text + begin, buffer->cursor - begin) : 0;
}

/* The character of the line at `begin` that covers cell `goal`. */
static size_t at_cell(const edit_buffer *buffer, size_t begin, size_t goal) {
  size_t at = begin, end = end_of_line(buffer, begin), cell = 0;
  while (at < end) {
    size_t after = text_next(buffer->text, end, at);
    cell += text_width(buffer->text + at, after - at);
    if (cell > goal) break;
    at = after;
  }
  return at;
}

bool edit_line_above(const edit_buffer *buffer, size_t goal, size_t *to) {
  size_t begin = edit_line_begin(buffer);
  if (begin == 0) return false;
  *to = at_cell(buffer, begin_of_line(buffer, begin - 1), goal);
  return true;
}

bool edit_line_below(const edit_buffer *buffer, size_t goal, size_t *to) {
  size_t end = edit_line_end(buffer);
  if (end >= buffer->bytes) return false;
  *to = at_cell(buffer, end + 1, goal);
  return true;
}

void edit_clear(edit_buffer *buffer) {
  free(buffer->text);
  free(buffer->cut);
  memset(buffer, 0, sizeof *buffer);
}

#include "screen.h"

#include <string.h>

#include "cli/text_width.h"

static void blank_row(screen *s, size_t row, size_t from) {
  for (size_t i = from; i < s->columns; i++) strcpy(s->cells[row][i], " ");
}

void screen_begin(screen *s, size_t rows, size_t columns) {
  memset(s, 0, sizeof *s);
  s->rows = rows;
  s->columns = columns;
  for (size_t i = 0; i < rows; i++) blank_row(s, i, 0);
}

static void line_feed(screen *s) {
  if (s->row + 1 < s->rows) {
    s->row++;
    return;
  }
  memmove(s->cells[0], s->cells[1], (s->rows - 1) * sizeof s->cells[0]);
  blank_row(s, s->rows - 1, 0);
  s->scrolled++;
}

static void put_glyph(screen *s, const text_glyph *glyph, const char *data) {
  if (glyph->width == 0) {
    size_t at = s->column;
    while (at > 0 && !s->cells[s->row][at - 1][0]) at--;
    if (at == 0) {
      s->failed = true; /* it would join another row, or nothing */
      return;
    }
    char *cell = s->cells[s->row][at - 1];
    if (strlen(cell) + glyph->bytes < SCREEN_CELL_BYTES) strncat(cell, data, glyph->bytes);
    return;
  }
  if (s->column + glyph->width > s->columns) s->failed = true; /* left to the terminal to wrap */
  if (s->failed) return;
  memcpy(s->cells[s->row][s->column], data, glyph->bytes);
  s->cells[s->row][s->column][glyph->bytes] = 0;
  for (unsigned i = 1; i < glyph->width; i++) s->cells[s->row][s->column + i][0] = 0;
  s->column += glyph->width;
}

static void erase(screen *s, size_t row, size_t column) {
  if (column < s->columns) blank_row(s, row, column);
  for (size_t i = row + 1; i < s->rows; i++) blank_row(s, i, 0);
}

/* data[0] is ESC; returns the bytes taken. */
static size_t put_sequence(screen *s, const char *data, size_t bytes) {
  size_t at = 2, number = 0;
  if (bytes < 3 || data[1] != '[') {
    s->failed = true;
    return 1;
  }
  while (at < bytes && (unsigned char)data[at] < 0x40) {
    if (data[at] >= '0' && data[at] <= '9') number = number * 10 + (size_t)(data[at] - '0');
    at++;
  }
  size_t count = number ? number : 1;
  char final = at < bytes ? data[at] : 0;
  if (final == 'A') s->row -= count < s->row ? count : s->row;
  if (final == 'B') s->row += count < s->rows - 1 - s->row ? count : s->rows - 1 - s->row;
  if (final == 'C')
    s->column += count < s->columns - 1 - s->column ? count : s->columns - 1 - s->column;
  if (final == 'H') s->row = s->column = 0;
  if (final == 'J') erase(s, number == 2 ? 0 : s->row, number == 2 ? 0 : s->column);
  if (final == 'K' && s->column < s->columns) blank_row(s, s->row, s->column);
  if (!final || !strchr("ABCHJKmhl", final)) s->failed = true;
  return at + 1;
}

void screen_put(screen *s, const char *data, size_t bytes) {
  for (size_t at = 0; at < bytes;) {
    text_glyph glyph = text_glyph_at(data, bytes, at);
    size_t taken = glyph.bytes;
    if (data[at] == '\033')
      taken = put_sequence(s, data + at, bytes - at);
    else if (data[at] == '\r')
      s->column = 0;
    else if (data[at] == '\n')
      line_feed(s);
    else if (glyph.spelled)
      s->failed = true;
    else
      put_glyph(s, &glyph, data + at);
    at += taken;
  }
}

const char *screen_row(const screen *s, size_t row) {
  static char text[SCREEN_COLUMNS * SCREEN_CELL_BYTES];
  text[0] = 0;
  size_t end = 0;
  for (size_t i = 0; i < s->columns; i++) {
    strcat(text, s->cells[row][i]);
    if (strcmp(s->cells[row][i], " ") != 0) end = strlen(text);
  }
  text[end] = 0;
  return text;
}

bool screen_same(const screen *a, size_t first, const screen *b, size_t second, size_t rows) {
  for (size_t i = 0; i < rows; i++)
    for (size_t c = 0; c < a->columns; c++)
      if (strcmp(a->cells[first + i][c], b->cells[second + i][c]) != 0) return false;
  return a->columns == b->columns;
}

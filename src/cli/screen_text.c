#include "screen_text.h"

#include <stdbool.h>
#include <string.h>

#include "text_width.h"

void screen_text_write(FILE *file, const char *text, size_t bytes) {
  for (size_t at = 0; at < bytes;) {
    text_glyph glyph = text_glyph_at(text, bytes, at);
    if (glyph.spelled && text[at] != '\n' && text[at] != '\t') {
      fwrite(glyph.spelling, 1, glyph.spelled, file);
    } else {
      fwrite(text + at, 1, glyph.bytes, file);
    }
    at += glyph.bytes;
  }
}

static int is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Where the first line ends, without what is blank at its end. */
static size_t line_end(const char *text, size_t bytes) {
  const char *newline = bytes ? memchr(text, '\n', bytes) : NULL;
  size_t end = newline ? (size_t)(newline - text) : bytes;
  while (end > 0 && is_blank(text[end - 1])) end--;
  return end;
}

void screen_text_excerpt(FILE *file, const char *text, size_t bytes, size_t columns) {
  while (bytes && is_blank(text[0])) text++, bytes--;
  while (bytes && is_blank(text[bytes - 1])) bytes--;
  size_t end = line_end(text, bytes), fits = 0, used = 0;
  /* How much fits, and how much would beside the dots. */
  size_t at = 0, room = columns > 3 ? columns - 3 : 0;
  while (at < end) {
    text_glyph glyph = text_glyph_at(text, end, at);
    if (used + glyph.width > columns) break;
    used += glyph.width;
    at += glyph.bytes;
    if (used <= room) fits = at;
  }
  bool whole = at == bytes;
  if (whole) fits = at;
  screen_text_write(file, text, fits);
  if (!whole) fprintf(file, "%.*s", columns < 3 ? (int)columns : 3, "...");
}

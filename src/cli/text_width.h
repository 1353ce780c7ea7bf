/* How text looks on a terminal: cells, characters that belong together, and a
 * harmless spelling for everything that is no visible character. */
#ifndef GUST_CLI_TEXT_WIDTH_H
#define GUST_CLI_TEXT_WIDTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One step through a text. */
typedef struct text_glyph {
  uint32_t code;     /* of the character; for an invalid byte, the byte */
  unsigned bytes;    /* it takes in the text, at least 1 */
  unsigned width;    /* cells; 0 for a character that joins the one before */
  unsigned spelled;  /* bytes of `spelling`, 0: shown as it is */
  bool valid;        /* UTF-8 */
  char spelling[12]; /* such as "^[" or "<9b>" */
} text_glyph;

/* The character at text[at]; at < bytes. Control characters (newline and tab
 * too), invalid bytes and invisible ones that reorder text get a spelling. */
text_glyph text_glyph_at(const char *text, size_t bytes, size_t at);

/* Cells of a whole text as spelled. */
size_t text_width(const char *text, size_t bytes);

/* Where the cursor may go from `at`: over a whole character with all that joins
 * it (combining marks, joined emoji, flags). Clamped to the text. */
size_t text_next(const char *text, size_t bytes, size_t at);
size_t text_previous(const char *text, size_t bytes, size_t at);

/* Whether the character at `at` is part of a word for word moves. */
bool text_is_word(const char *text, size_t bytes, size_t at);

#endif

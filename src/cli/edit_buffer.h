/* A text with a cursor in it, and what was cut out of it last. Knows neither
 * keys nor terminals. Zero-filled: empty. */
#ifndef GUST_CLI_EDIT_BUFFER_H
#define GUST_CLI_EDIT_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

/* No text is longer. */
#define EDIT_MOST_BYTES (1u << 20)

typedef struct edit_buffer {
  char *text; /* NUL-terminated; NULL while nothing was ever put in */
  size_t bytes, capacity;
  size_t cursor; /* byte offset */
  char *cut;     /* for yank */
  size_t cut_bytes;
} edit_buffer;

typedef enum edit_result {
  EDIT_DONE,
  EDIT_TOO_LONG, /* and nothing was changed */
  EDIT_NO_MEMORY /* likewise */
} edit_result;

/* At the cursor, which goes behind it. */
edit_result edit_insert(edit_buffer *buffer, const char *text, size_t bytes);
/* Replaces everything; the cursor goes to the end. */
edit_result edit_replace(edit_buffer *buffer, const char *text, size_t bytes);
/* Removes [from, to); a cursor behind moves along. */
void edit_erase(edit_buffer *buffer, size_t from, size_t to);
/* Removes it into the cut, which it replaces or, with `join`, is added to at the
 * side where it stood. */
edit_result edit_cut(edit_buffer *buffer, size_t from, size_t to, bool join);
/* Exchanges the characters around the cursor, or the last two of a line. */
edit_result edit_transpose(edit_buffer *buffer);

/* Where moves from the cursor lead. */
size_t edit_left(const edit_buffer *buffer);
size_t edit_right(const edit_buffer *buffer);
size_t edit_word_left(const edit_buffer *buffer);
size_t edit_word_right(const edit_buffer *buffer);
size_t edit_blank_left(const edit_buffer *buffer); /* back to white space */
size_t edit_line_begin(const edit_buffer *buffer);
size_t edit_line_end(const edit_buffer *buffer);
/* One line up or down, to cell `goal` of it; false when there is none. */
bool edit_line_above(const edit_buffer *buffer, size_t goal, size_t *to);
bool edit_line_below(const edit_buffer *buffer, size_t goal, size_t *to);
/* The cell of the cursor in its line. */
size_t edit_cell(const edit_buffer *buffer);

void edit_clear(edit_buffer *buffer);

#endif

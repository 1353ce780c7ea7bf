/* How an edited text stands on the screen: rows as wide as the terminal, with
 * the bytes that draw them. Pure computation. */
#ifndef GUST_CLI_EDIT_VIEW_H
#define GUST_CLI_EDIT_VIEW_H

#include <stdbool.h>
#include <stddef.h>

typedef struct edit_scene {
  const char *prompt; /* what is no visible character in it is spelled out */
  const char *text;
  size_t bytes, cursor;
  unsigned columns; /* at least 1 */
  size_t most_rows; /* no more are drawn: those around the cursor; at least 1 */
  bool colour;      /* of the prompt */
} edit_scene;

/* What is drawn; zero-fill before the first use. */
typedef struct edit_frame {
  char *data; /* NUL-terminated rows, "\r\n" between them */
  size_t bytes, capacity;
  size_t rows;                      /* drawn */
  size_t cursor_row, cursor_column; /* among them */
  size_t end_row, end_column;       /* where drawing leaves the cursor */
  bool failed;                      /* no memory; it draws less than it should */
} edit_frame;

/* Lines after the first are indented by the prompt's width; a tab goes to the
 * next of the line's columns that is a multiple of 8. */
void edit_frame_make(edit_frame *frame, const edit_scene *scene);

/* Appends what turns `old` on the screen, whose cursor stands where it says,
 * into `fresh`. An `old` of no rows is an empty screen line. */
void edit_frame_change(edit_frame *out, const edit_frame *old, const edit_frame *fresh);

/* The cursor's row once the terminal has another width: most fold rows that became too
 * long for it, and the cursor stays with the character it stood on or behind. */
size_t edit_frame_cursor_row(const edit_frame *frame, size_t columns);

/* Appends bytes, and what moves from one cell to another. */
void edit_frame_add(edit_frame *frame, const char *data, size_t bytes);
void edit_frame_move(edit_frame *frame, size_t from_row, size_t to_row, size_t to_column);

void edit_frame_clear(edit_frame *frame);

#endif

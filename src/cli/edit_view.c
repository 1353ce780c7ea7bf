#include "edit_view.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text_width.h"

#define TAB_CELLS 8u

/* --- bytes ---------------------------------------------------------------------------- */

void edit_frame_add(edit_frame *frame, const char *data, size_t bytes) {
  if (bytes >= frame->capacity - frame->bytes) {
    size_t larger = (frame->bytes + bytes + 128) * 2;
    char *grown =
        bytes < SIZE_MAX / 4 && frame->bytes < SIZE_MAX / 4 ? realloc(frame->data, larger) : NULL;
    if (!grown) {
      frame->failed = true;
      return;
    }
    frame->data = grown;
    frame->capacity = larger;
  }
  if (bytes) memcpy(frame->data + frame->bytes, data, bytes);
  frame->bytes += bytes;
  frame->data[frame->bytes] = 0;
}

static void add_text(edit_frame *frame, const char *text) {
  edit_frame_add(frame, text, strlen(text));
}

static void add_move(edit_frame *frame, size_t cells, char direction) {
  char sequence[32];
  if (cells == 0) return;
  snprintf(sequence, sizeof sequence, "\033[%zu%c", cells, direction);
  add_text(frame, sequence);
}

void edit_frame_move(edit_frame *frame, size_t from_row, size_t to_row, size_t to_column) {
  add_text(frame, "\r");
  if (from_row > to_row) add_move(frame, from_row - to_row, 'A');
  if (from_row < to_row) add_move(frame, to_row - from_row, 'B');
  add_move(frame, to_column, 'C');
}

void edit_frame_clear(edit_frame *frame) {
  free(frame->data);
  memset(frame, 0, sizeof *frame);
}

/* --- layout ---------------------------------------------------------------------------- */

/* A pen that goes over the cells. It draws only rows [top, top + most), and
 * nothing at all without a frame. */
typedef struct pen {
  edit_frame *frame;
  size_t columns, indent;
  size_t row, column;
  size_t line_cell; /* since the beginning of the text's line */
  size_t top, most;
} pen;

static bool shows(const pen *at) {
  return at->frame && at->row >= at->top && at->row - at->top < at->most;
}

static void next_row(pen *at) {
  at->row++;
  at->column = 0;
  if (shows(at) && at->row > at->top) add_text(at->frame, "\r\n");
}

/* So that `width` more cells fit; the row's last cell leaves the pen behind it
 * until there is more to draw. */
static void make_room(pen *at, size_t width) {
  if (at->column > 0 && at->column + width > at->columns) next_row(at);
}

static void draw(pen *at, const char *data, size_t bytes, size_t width) {
  make_room(at, width);
  if (shows(at)) edit_frame_add(at->frame, data, bytes);
  at->column += width;
  at->line_cell += width;
}

static void draw_spaces(pen *at, size_t count) {
  while (count-- > 0) draw(at, " ", 1, 1);
}

static void draw_glyph(pen *at, const text_glyph *glyph, const char *data) {
  if (glyph->spelled) {
    for (unsigned i = 0; i < glyph->spelled; i++) draw(at, glyph->spelling + i, 1, 1);
  } else if (glyph->width > at->columns) {
    draw(at, "?", 1, 1);
  } else if (glyph->width == 0) {
    if (at->line_cell == 0) draw_spaces(at, 1); /* it must not join the prompt */
    if (shows(at)) edit_frame_add(at->frame, data, glyph->bytes);
  } else {
    draw(at, data, glyph->bytes, glyph->width);
  }
}

static void draw_prompt(pen *at, const edit_scene *scene) {
  size_t bytes = strlen(scene->prompt);
  bool coloured = scene->colour && shows(at) && bytes > 0;
  if (coloured) add_text(at->frame, "\033[1;36m");
  for (size_t i = 0; i < bytes;) {
    text_glyph glyph = text_glyph_at(scene->prompt, bytes, i);
    draw_glyph(at, &glyph, scene->prompt + i);
    i += glyph.bytes;
  }
  if (coloured) add_text(at->frame, "\033[0m");
  at->line_cell = 0;
}

static void draw_newline(pen *at) {
  next_row(at);
  draw_spaces(at, at->indent);
  at->line_cell = 0;
}

static void draw_tab(pen *at) {
  make_room(at, 1);
  size_t width = TAB_CELLS - at->line_cell % TAB_CELLS, left = at->columns - at->column;
  draw_spaces(at, width < left ? width : left);
}

/* Draws everything; the row and column the cursor gets go to *row, *column. */
static void draw_scene(pen *at, const edit_scene *scene, size_t *row, size_t *column) {
  bool found = false;
  draw_prompt(at, scene);
  for (size_t i = 0; i < scene->bytes;) {
    text_glyph glyph = text_glyph_at(scene->text, scene->bytes, i);
    bool newline = glyph.code == '\n', here = !found && i >= scene->cursor;
    /* The cursor stands on the cell the character is going to have. */
    if (here || newline) make_room(at, newline || glyph.spelled ? 1 : glyph.width);
    if (here) {
      *row = at->row;
      *column = at->column;
      found = true;
    }
    if (newline)
      draw_newline(at);
    else if (glyph.code == '\t')
      draw_tab(at);
    else
      draw_glyph(at, &glyph, scene->text + i);
    i += glyph.bytes;
  }
  make_room(at, 1); /* there is always a cell for the cursor at the end */
  if (!found) {
    *row = at->row;
    *column = at->column;
  }
  if (*column >= at->columns) *column = at->columns - 1;
}

void edit_frame_make(edit_frame *frame, const edit_scene *scene) {
  size_t indent = text_width(scene->prompt, strlen(scene->prompt));
  pen measure = {.columns = scene->columns, .indent = indent < scene->columns / 2 ? indent : 0};
  frame->bytes = 0;
  frame->failed = false;
  edit_frame_add(frame, "", 0);
  draw_scene(&measure, scene, &frame->cursor_row, &frame->cursor_column);
  size_t rows = measure.row + 1, top = 0;
  if (rows > scene->most_rows) {
    size_t half = scene->most_rows / 2, last = rows - scene->most_rows;
    top = frame->cursor_row > half ? frame->cursor_row - half : 0;
    if (top > last) top = last;
    rows = scene->most_rows;
  }
  pen drawing = {.frame = frame,
                 .columns = measure.columns,
                 .indent = measure.indent,
                 .top = top,
                 .most = rows};
  draw_scene(&drawing, scene, &frame->cursor_row, &frame->cursor_column);
  frame->cursor_row -= top;
  frame->rows = rows;
  bool whole = drawing.row - top < rows; /* the end is in sight */
  frame->end_row = whole ? drawing.row - top : rows - 1;
  frame->end_column = whole ? drawing.column : SIZE_MAX;
}

/* Bytes of the colour that begins there, or 0. */
static size_t colour_bytes(const char *text) {
  if (text[0] != '\033' || text[1] != '[') return 0;
  size_t bytes = 2 + strspn(text + 2, "0123456789;");
  return text[bytes] ? bytes + 1 : bytes;
}

size_t edit_frame_cursor_row(const edit_frame *frame, size_t columns) {
  size_t row = 0, cell = 0;    /* where it was drawn */
  size_t rows = 0, column = 0; /* where it is now */
  for (size_t i = 0; i < frame->bytes;) {
    const char *text = frame->data + i;
    if (text[0] == '\r' && text[1] == '\n') {
      if (row == frame->cursor_row) break;
      row++;
      rows++;
      cell = column = 0;
      i += 2;
    } else if (colour_bytes(text)) {
      i += colour_bytes(text);
    } else {
      text_glyph glyph = text_glyph_at(frame->data, frame->bytes, i);
      if (column > 0 && column + glyph.width > columns) {
        rows++;
        column = 0;
      }
      if (row == frame->cursor_row && cell >= frame->cursor_column && glyph.width > 0) break;
      cell += glyph.width;
      column += glyph.width;
      i += glyph.bytes;
    }
  }
  return rows;
}

void edit_frame_change(edit_frame *out, const edit_frame *old, const edit_frame *fresh) {
  size_t row = fresh->end_row;
  bool at_end = old->cursor_row == old->end_row && old->cursor_column == old->end_column;
  if (old->rows > 0 && old->bytes == fresh->bytes &&
      memcmp(old->data, fresh->data, fresh->bytes) == 0) {
    if (old->cursor_row == fresh->cursor_row && old->cursor_column == fresh->cursor_column) return;
    row = old->cursor_row;
  } else if (old->rows > 0 && at_end && fresh->bytes > old->bytes &&
             memcmp(old->data, fresh->data, old->bytes) == 0) {
    edit_frame_add(out, fresh->data + old->bytes, fresh->bytes - old->bytes);
    if (fresh->cursor_row == row && fresh->cursor_column == fresh->end_column) return;
  } else {
    if (old->rows > 0) {
      edit_frame_move(out, old->cursor_row, 0, 0);
      add_text(out, "\033[J");
    }
    edit_frame_add(out, fresh->data, fresh->bytes);
    if (fresh->cursor_row == row && fresh->cursor_column == fresh->end_column) return;
  }
  edit_frame_move(out, row, fresh->cursor_row, fresh->cursor_column);
}

/* A terminal's screen, as far as our programs use one: what their output would
 * look like. */
#ifndef GUST_TEST_SCREEN_H
#define GUST_TEST_SCREEN_H

#include <stdbool.h>
#include <stddef.h>

#define SCREEN_ROWS 40
#define SCREEN_COLUMNS 120
#define SCREEN_CELL_BYTES 32

typedef struct screen {
  size_t rows, columns; /* in use */
  size_t row, column;   /* the cursor; column == columns: behind the last cell */
  size_t scrolled;      /* rows that left at the top */
  bool failed;          /* something it does not know, or that a terminal may not get */
  char cells[SCREEN_ROWS][SCREEN_COLUMNS][SCREEN_CELL_BYTES]; /* "": right half of a wide one */
} screen;

void screen_begin(screen *s, size_t rows, size_t columns);
void screen_put(screen *s, const char *data, size_t bytes);
/* The row without the spaces at its end; valid until the next call. */
const char *screen_row(const screen *s, size_t row);
/* Whether both show the same from row `first` of one and `second` of the other
 * on, over `rows` rows. */
bool screen_same(const screen *a, size_t first, const screen *b, size_t second, size_t rows);

#endif

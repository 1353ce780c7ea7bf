/* Lines from standard input, one at a time, with signals noticed at once. */
#ifndef GUST_CLI_LINE_INPUT_H
#define GUST_CLI_LINE_INPUT_H

#include "command.h"

typedef struct line_input {
  char *data; /* read but not yet handed out: [begin, end) */
  size_t begin, end, capacity;
  bool at_end;
} line_input;

typedef enum line_result {
  LINE_TEXT,      /* a line */
  LINE_END,       /* no more */
  LINE_INTERRUPT, /* a signal came (interrupt.h) */
  LINE_ERROR      /* err says what */
} line_result;

/* Hands out the next line without its line end; it is valid until the next
 * call. A last line without line end counts. Zero-fill *input before the first
 * call. */
line_result line_input_read(line_input *input, const char **line, size_t *bytes, gust_error *err);
void line_input_clear(line_input *input);

#endif

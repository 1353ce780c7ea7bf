#include "line_input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "interrupt.h"
#include "standard_input.h"

#define READ_BYTES 4096u
/* Longer lines are a mistake rather than a message. */
#define MAX_LINE_BYTES (64u << 20)

/* Reads once more behind what is held. */
static line_result fill(line_input *input, gust_error *err) {
  if (input->begin > 0) {
    memmove(input->data, input->data + input->begin, input->end - input->begin);
    input->end -= input->begin;
    input->begin = 0;
  }
  if (input->capacity - input->end < READ_BYTES) {
    size_t larger = input->capacity ? input->capacity * 2 : 2 * READ_BYTES;
    if (larger > MAX_LINE_BYTES) {
      command_error(err, GUST_E_MEMORY, "standard input: line too long: %zu bytes and no end",
                    input->end);
      return LINE_ERROR;
    }
    char *grown = realloc(input->data, larger);
    if (!grown) {
      command_error(err, GUST_E_MEMORY, "standard input: no memory for a line of %zu bytes",
                    input->end);
      return LINE_ERROR;
    }
    input->data = grown;
    input->capacity = larger;
  }
  input_news news = standard_input_wait(-1);
  if (interrupt_signal()) return LINE_INTERRUPT;
  ptrdiff_t got = -1;
  if (news != INPUT_TROUBLE)
    got = standard_input_read(input->data + input->end, input->capacity - input->end);
  if (got < 0 && errno == EINTR) return LINE_TEXT;
  if (got < 0) {
    command_error(err, GUST_E_IO, "standard input: cannot read: %s", strerror(errno));
    return LINE_ERROR;
  }
  input->end += (size_t)got;
  if (got == 0) input->at_end = true;
  return LINE_TEXT;
}

line_result line_input_read(line_input *input, const char **line, size_t *bytes, gust_error *err) {
  size_t searched = 0;
  for (;;) {
    size_t held = input->end - input->begin;
    char *start = held > 0 ? input->data + input->begin : NULL;
    char *newline = held > searched ? memchr(start + searched, '\n', held - searched) : NULL;
    if (newline || (input->at_end && held > 0)) {
      size_t length = newline ? (size_t)(newline - start) : held;
      input->begin += length + (newline != NULL);
      if (length > 0 && start[length - 1] == '\r') length--;
      *line = start;
      *bytes = length;
      return LINE_TEXT;
    }
    if (input->at_end) return LINE_END;
    searched = held;
    line_result result = fill(input, err);
    if (result != LINE_TEXT) return result;
  }
}

void line_input_clear(line_input *input) {
  free(input->data);
  memset(input, 0, sizeof *input);
}

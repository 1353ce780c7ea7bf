#include "terminal.h"

#include <stdlib.h>

void terminal_say(const char *text) {
  if (terminal_is(stdout)) fflush(stdout);
  fputs(text, stderr);
  fflush(stderr);
}

unsigned terminal_columns(FILE *file) {
  unsigned columns, rows;
  return terminal_size(file, &columns, &rows) ? columns : 80;
}

bool terminal_has_colour(FILE *file) {
  const char *refused = getenv("NO_COLOR");
  if (refused && *refused) return false;
  return terminal_takes_escapes(file);
}

/* The terminal, if there is one. */
#ifndef GUST_CLI_TERMINAL_H
#define GUST_CLI_TERMINAL_H

#include <stdbool.h>
#include <stdio.h>

/* Opens /dev/null in place of any standard stream the program was started
 * without, the wrong way round so that using it fails: otherwise the first
 * file opened would take its number, and messages would go there. */
void terminal_guard_streams(void);

bool terminal_is(FILE *file);

/* Columns of the terminal behind `file`; 80 when that cannot be told. */
unsigned terminal_columns(FILE *file);

/* Whether escape sequences for colour are welcome there (TERM, NO_COLOR). */
bool terminal_has_colour(FILE *file);

#endif

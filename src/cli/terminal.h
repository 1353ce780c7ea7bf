/* The terminal, if there is one. */
#ifndef GUST_CLI_TERMINAL_H
#define GUST_CLI_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* --- the system's part: console_posix.c, console_windows.c --- */

/* Comes before anything else. Any standard stream the program was started without
 * is opened the wrong way round, so that using it fails: otherwise the first file
 * opened would take its number, and messages would go there. The arguments
 * become UTF-8, and so do the console's input and output, where they are not. Both
 * output streams may be buffered from then on: see terminal_say. */
void terminal_begin(int *argc, char ***argv);

bool terminal_is(FILE *file);

/* Columns and rows of the terminal behind `file`; false when they cannot be told. */
bool terminal_size(FILE *file, unsigned *columns, unsigned *rows);

/* Whether it is one that takes escape sequences (TERM may say it does not). */
bool terminal_takes_escapes(FILE *file);

/* Writes to standard error, at once. A terminal that is gone is no error here: it
 * brings a signal. */
void terminal_write(const char *data, size_t bytes);

/* --- terminal.c --- */

/* Writes to standard error at once, below what was printed before. */
void terminal_say(const char *text);

/* Columns of the terminal behind `file`; 80 when that cannot be told. */
unsigned terminal_columns(FILE *file);

/* Whether escape sequences for colour are welcome there (TERM, NO_COLOR). */
bool terminal_has_colour(FILE *file);

#endif

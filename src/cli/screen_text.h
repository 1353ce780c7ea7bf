/* Text of unknown origin on a terminal: what a model says, a file holds or a
 * session was named may spell escape sequences that recolour the screen, rename
 * the window or type on the user's behalf. */
#ifndef GUST_CLI_SCREEN_TEXT_H
#define GUST_CLI_SCREEN_TEXT_H

#include <stddef.h>
#include <stdio.h>

/* Writes the text so that it can only be read: newlines and tabs as they are,
 * all that text_width.h has a spelling for, such as "^[", spelled. Errors stay in
 * the FILE. */
void screen_text_write(FILE *file, const char *text, size_t bytes);

/* Writes at most `columns` cells of the text's first line that is not blank,
 * spelled likewise; "..." stands for the rest of the text. */
void screen_text_excerpt(FILE *file, const char *text, size_t bytes, size_t columns);

#endif

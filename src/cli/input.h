/* Whole files and standard input. */
#ifndef GUST_CLI_INPUT_H
#define GUST_CLI_INPUT_H

#include "command.h"

/* Reads a file, or standard input when path is NULL or "-", to the end. *text is
 * NUL-terminated beyond its `bytes` and is freed with free. */
gust_status input_read(const char *path, char **text, size_t *bytes, gust_error *err);

#endif

/* Whether bytes are text. */
#ifndef GUST_CLI_UTF8_CHECK_H
#define GUST_CLI_UTF8_CHECK_H

#include "command.h"

/* Length of the UTF-8 character at the start of the text, or 0 when there is
 * none. */
size_t utf8_check_character(const char *text, size_t bytes);

/* Fails, naming the first byte that is no part of a UTF-8 character, or is NUL:
 * then `name`, where the text came from, holds something else than text. */
gust_status utf8_check_text(const char *name, const char *text, size_t bytes, gust_error *err);

#endif

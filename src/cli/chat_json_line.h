/* One message of a conversation in JSON lines: an object with the strings "role" and
 * "content"; strings under other names are passed over, other values refused. */
#ifndef GUST_CLI_CHAT_JSON_LINE_H
#define GUST_CLI_CHAT_JSON_LINE_H

#include "command.h"

typedef struct chat_json_line {
  char *role, *content; /* NUL-terminated */
  size_t role_bytes, content_bytes;
} chat_json_line;

/* Parses bytes that are UTF-8 without NUL. Errors name the file and the line. Whether
 * or not it succeeds, chat_json_line_clear follows. */
gust_status chat_json_line_parse(chat_json_line *line, const char *text, size_t bytes,
                                 const char *path, size_t number, gust_error *err);
void chat_json_line_clear(chat_json_line *line);

#endif

/* A parsed JSON text, as json_parse.c makes it and json.c reads it: one array of nodes in
 * the order of the text. A node's children follow it, and `span` leads past them to its
 * sibling. */
#ifndef GUST_JSON_TREE_H
#define GUST_JSON_TREE_H

#include <stdarg.h>

#include "json.h"

struct json_value {
  const char *key, *text; /* text: of a string, or a number's literal */
  uint32_t key_bytes, text_bytes;
  uint32_t count; /* children; of a truth value 0 or 1 */
  uint32_t span;  /* nodes in this subtree, itself included */
  uint32_t offset;
  uint32_t type;
};

struct json_document {
  const char *text;
  const char *where;
  json_value *nodes;
  size_t node_count, node_room;
  char *decoded; /* made at the first escape */
  size_t decoded_bytes;
};

/* Fails with "WHERE:LINE:COLUMN: " and the formatted text; the place is `offset` bytes
 * into the text. */
gust_status json_fail_at(const json_document *doc, size_t offset, gust_status status,
                         gust_error *err, const char *format, va_list args);

#endif

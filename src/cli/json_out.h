/* Writes one JSON document to a file. The caller opens and closes objects and
 * arrays in order; commas, indentation and escaping are done here. Write errors
 * stay in the FILE (ferror).
 *
 * Inside an object every call names its member with `key`; in an array, and for
 * the document itself, key is NULL. */
#ifndef GUST_CLI_JSON_OUT_H
#define GUST_CLI_JSON_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define JSON_OUT_DEPTH 8

typedef struct json_out {
  FILE *file;
  unsigned depth;
  struct {
    char close; /* '}' or ']' */
    bool lines; /* one member a line */
    bool not_first;
  } level[JSON_OUT_DEPTH];
} json_out;

/* `lines`: each member on a line of its own, indented. */
void json_out_open_object(json_out *json, const char *key, bool lines);
void json_out_open_array(json_out *json, const char *key, bool lines);
/* Ends the innermost; the outermost is followed by a newline. */
void json_out_close(json_out *json);

/* What is no UTF-8 in the text is written as U+FFFD. */
void json_out_text(json_out *json, const char *key, const char *text, size_t bytes);
void json_out_string(json_out *json, const char *key, const char *text); /* NULL: null */
void json_out_count(json_out *json, const char *key, uint64_t value);
void json_out_integer(json_out *json, const char *key, int64_t value);
/* All 17 digits; null when not finite, as JSON has no word for it. */
void json_out_real(json_out *json, const char *key, double value);
/* A float's 9 digits. */
void json_out_real32(json_out *json, const char *key, float value);
void json_out_bool(json_out *json, const char *key, bool value);
void json_out_null(json_out *json, const char *key);

#endif

/* Strict JSON (RFC 8259): a buffer of bytes becomes a read-only tree.
 *
 * The input is hostile: nesting is bounded, text must be UTF-8, a lone
 * surrogate escape is refused, and the tree takes at most some 24 times the
 * bytes of the input. Errors read "WHERE:LINE:COLUMN: expected X, found Y",
 * both counted from 1, columns in bytes.
 *
 *   json_document *doc;
 *   gust_status status = json_parse(&doc, text, bytes, path, JSON_UNIQUE_KEYS, err);
 *   if (status) return status;
 *   const json_value *shape;
 *   status = json_need(doc, json_root(doc), "shape", JSON_ARRAY, &shape, err);
 *   for (const json_value *v = json_first(shape); v; v = json_next(shape, v)) ...
 *   json_free(doc);
 */
#ifndef GUST_JSON_H
#define GUST_JSON_H

#include "status.h"

#define JSON_MAX_DEPTH 256
#define JSON_UNIQUE_KEYS 1u /* refuse an object, at any depth, with a key given twice */

typedef enum json_type {
  JSON_NULL,
  JSON_BOOL,
  JSON_NUMBER,
  JSON_STRING,
  JSON_ARRAY,
  JSON_OBJECT
} json_type;

typedef struct json_document json_document;
typedef struct json_value json_value; /* lives as long as its document */

/* Adds to what json_parse says of a file that was downloaded what can be done about it;
 * returns `status`. */
gust_status json_advise(gust_status status, gust_error *err);

/* Parses one value with nothing but white space around it. The document refers
 * to `text` and `where` (a path, for errors): both must outlive it. Inputs of
 * 4 GiB and more are refused. GUST_E_FORMAT or GUST_E_MEMORY. */
gust_status json_parse(json_document **document, const char *text, size_t bytes, const char *where,
                       unsigned flags, gust_error *err);
void json_free(json_document *document); /* accepts NULL */

const json_value *json_root(const json_document *document);

/* All that follow accept NULL for a value: a value that is not there has no
 * members, text, number or truth, and the type JSON_NULL. */
json_type json_type_of(const json_value *value);
bool json_is(const json_value *value, json_type type); /* false for NULL */
const char *json_type_name(json_type type);            /* "an object", "a string" ... */

/* Elements of an array or members of an object, in the order of the text. */
size_t json_count(const json_value *parent);
const json_value *json_first(const json_value *parent);
const json_value *json_next(const json_value *parent, const json_value *child); /* NULL: done */

/* A member's key: UTF-8, may hold NUL bytes, is not NUL-terminated. */
const char *json_key(const json_value *member, size_t *bytes);
bool json_key_is(const json_value *member, const char *key);
/* The member named `key`, or NULL; the last of several. Takes linear time: walk
 * large objects with json_first and json_next instead. */
const json_value *json_get(const json_value *object, const char *key);

/* A string's text: UTF-8, may hold NUL bytes, is not NUL-terminated. NULL and 0
 * for another type. */
const char *json_text(const json_value *string, size_t *bytes);
bool json_text_is(const json_value *value, const char *text);
/* The string NUL-terminated, to be freed; NULL for another type, a string with
 * a NUL inside, or when memory is short. */
char *json_text_copy(const json_value *string);

/* The literal's exact value, when it is written without fraction and exponent
 * and lies in [low, high]; otherwise false and *number is left alone. */
bool json_int64(const json_value *value, int64_t low, int64_t high, int64_t *number);
/* The nearest double, when it is finite (and the literal at most 1000 bytes). */
bool json_double(const json_value *value, double *number);
bool json_bool(const json_value *value, bool *truth);

/* Fails with "WHERE:LINE:COLUMN: " and the formatted text; the place is where
 * `value` begins (NULL: the document's start). */
gust_status json_fail(const json_document *document, const json_value *value, gust_status status,
                      gust_error *err, const char *format, ...) GUST_PRINTF(5, 6);
#ifdef __clang_analyzer__ /* as in status.h */
#define json_fail(document, value, status, err, ...) \
  ((json_fail)(document, value, status, err, __VA_ARGS__), (status))
#endif

/* The member `key` of `object`, which must have that type; the error names the
 * key, what was expected and what was found. */
gust_status json_need(const json_document *document, const json_value *object, const char *key,
                      json_type type, const json_value **value, gust_error *err);
/* The same for an integer in [low, high], a finite number, a truth value. */
gust_status json_need_int64(const json_document *document, const json_value *object,
                            const char *key, int64_t low, int64_t high, int64_t *number,
                            gust_error *err);
gust_status json_need_double(const json_document *document, const json_value *object,
                             const char *key, double *number, gust_error *err);
gust_status json_need_bool(const json_document *document, const json_value *object, const char *key,
                           bool *truth, gust_error *err);

#endif

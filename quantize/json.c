/* What a parsed text says: access to the tree, and the errors of those who ask for more. */
#include "json.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_tree.h"

#define LITERAL_MAX 1000

/* --- errors ------------------------------------------------------------------ */

gust_status json_fail_at(const json_document *doc, size_t offset, gust_status status,
                         gust_error *err, const char *format, va_list args) {
  size_t line = 1, line_start = 0;
  for (size_t i = 0; i < offset; i++) {
    if (doc->text[i] == '\n') line++, line_start = i + 1;
  }
  char message[sizeof err->text];
  vsnprintf(message, sizeof message, format, args);
  return gust_fail(err, status, "%s:%zu:%zu: %s", doc->where, line, offset - line_start + 1,
                   message);
}

gust_status(json_fail)(const json_document *doc, const json_value *value, gust_status status,
                       gust_error *err, const char *format, ...) {
  va_list args;
  va_start(args, format);
  status = json_fail_at(doc, value ? value->offset : 0, status, err, format, args);
  va_end(args);
  return status;
}

/* --- documents ---------------------------------------------------------------- */

gust_status json_advise(gust_status status, gust_error *err) {
  if (status != GUST_E_FORMAT || !err) return status;
  gust_error found = *err;
  return gust_fail(err, status, "%s; download the file again", found.text);
}

void json_free(json_document *doc) {
  if (!doc) return;
  free(doc->nodes);
  free(doc->decoded);
  free(doc);
}

const json_value *json_root(const json_document *doc) {
  return doc->nodes;
}

/* --- access -------------------------------------------------------------------------------- */

json_type json_type_of(const json_value *value) {
  return value ? (json_type)value->type : JSON_NULL;
}

bool json_is(const json_value *value, json_type type) {
  return value && value->type == type;
}

const char *json_type_name(json_type type) {
  switch (type) {
    case JSON_NULL: return "null";
    case JSON_BOOL: return "true or false";
    case JSON_NUMBER: return "a number";
    case JSON_STRING: return "a string";
    case JSON_ARRAY: return "an array";
    case JSON_OBJECT: return "an object";
  }
  return "an unknown type";
}

size_t json_count(const json_value *parent) {
  return json_is(parent, JSON_ARRAY) || json_is(parent, JSON_OBJECT) ? parent->count : 0;
}

const json_value *json_first(const json_value *parent) {
  return json_count(parent) ? parent + 1 : NULL;
}

const json_value *json_next(const json_value *parent, const json_value *child) {
  const json_value *next = child + child->span;
  return next < parent + parent->span ? next : NULL;
}

const char *json_key(const json_value *member, size_t *bytes) {
  *bytes = member ? member->key_bytes : 0;
  return member ? member->key : NULL;
}

static bool same(const char *text, size_t bytes, const char *string) {
  return text && strlen(string) == bytes && memcmp(text, string, bytes) == 0;
}

bool json_key_is(const json_value *member, const char *key) {
  return member && same(member->key, member->key_bytes, key);
}

const json_value *json_get(const json_value *object, const char *key) {
  const json_value *found = NULL;
  if (!json_is(object, JSON_OBJECT)) return NULL;
  for (const json_value *v = json_first(object); v; v = json_next(object, v)) {
    if (json_key_is(v, key)) found = v;
  }
  return found;
}

const char *json_text(const json_value *string, size_t *bytes) {
  bool is = json_is(string, JSON_STRING);
  *bytes = is ? string->text_bytes : 0;
  return is ? string->text : NULL;
}

bool json_text_is(const json_value *value, const char *text) {
  return json_is(value, JSON_STRING) && same(value->text, value->text_bytes, text);
}

char *json_text_copy(const json_value *string) {
  size_t bytes;
  const char *text = json_text(string, &bytes);
  if (!text || memchr(text, 0, bytes)) return NULL;
  char *copy = malloc(bytes + 1);
  if (!copy) return NULL;
  memcpy(copy, text, bytes);
  copy[bytes] = '\0';
  return copy;
}

bool json_int64(const json_value *value, int64_t low, int64_t high, int64_t *number) {
  if (!json_is(value, JSON_NUMBER)) return false;
  const char *digits = value->text, *end = value->text + value->text_bytes;
  bool negative = *digits == '-';
  uint64_t limit = negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX, magnitude = 0;
  for (digits += negative; digits < end; digits++) {
    if (*digits < '0' || *digits > '9') return false;
    uint64_t digit = (uint64_t)(*digits - '0');
    if (magnitude > (limit - digit) / 10) return false;
    magnitude = magnitude * 10 + digit;
  }
  int64_t result = !negative            ? (int64_t)magnitude
                   : magnitude == limit ? INT64_MIN
                                        : -(int64_t)magnitude;
  if (result < low || result > high) return false;
  *number = result;
  return true;
}

bool json_double(const json_value *value, double *number) {
  if (!json_is(value, JSON_NUMBER) || value->text_bytes > LITERAL_MAX) return false;
  /* strtod wants a terminated string with the locale's own decimal point. */
  char literal[LITERAL_MAX + 32];
  const char *point = localeconv()->decimal_point;
  size_t point_bytes = strlen(point), bytes = 0;
  if (point_bytes == 0 || point_bytes > 16) return false;
  for (size_t i = 0; i < value->text_bytes; i++) {
    if (value->text[i] == '.') {
      memcpy(literal + bytes, point, point_bytes);
      bytes += point_bytes;
    } else {
      literal[bytes++] = value->text[i];
    }
  }
  literal[bytes] = '\0';
  int saved = errno;
  double result = strtod(literal, NULL);
  errno = saved;
  if (!isfinite(result)) return false;
  *number = result;
  return true;
}

bool json_bool(const json_value *value, bool *truth) {
  if (!json_is(value, JSON_BOOL)) return false;
  *truth = value->count != 0;
  return true;
}

/* --- access with errors ------------------------------------------------------------------------
 */

gust_status json_need(const json_document *doc, const json_value *object, const char *key,
                      json_type type, const json_value **value, gust_error *err) {
  if (!json_is(object, JSON_OBJECT))
    return json_fail(doc, object, GUST_E_FORMAT, err, "expected an object with \"%s\", found %s",
                     key, json_type_name(json_type_of(object)));
  const json_value *found = json_get(object, key);
  if (!found)
    return json_fail(doc, object, GUST_E_FORMAT, err, "expected \"%s\" (%s), found no such member",
                     key, json_type_name(type));
  if (found->type != type)
    return json_fail(doc, found, GUST_E_FORMAT, err, "\"%s\": expected %s, found %s", key,
                     json_type_name(type), json_type_name(json_type_of(found)));
  *value = found;
  return GUST_OK;
}

static int literal_shown(const json_value *value) {
  return (int)(value->text_bytes < 40 ? value->text_bytes : 40);
}

gust_status json_need_int64(const json_document *doc, const json_value *object, const char *key,
                            int64_t low, int64_t high, int64_t *number, gust_error *err) {
  const json_value *value = NULL;
  gust_status status = json_need(doc, object, key, JSON_NUMBER, &value, err);
  if (status) return status;
  if (json_int64(value, low, high, number)) return GUST_OK;
  return json_fail(doc, value, GUST_E_FORMAT, err,
                   "\"%s\": expected an integer from %lld to %lld, found %.*s", key, (long long)low,
                   (long long)high, literal_shown(value), value->text);
}

gust_status json_need_double(const json_document *doc, const json_value *object, const char *key,
                             double *number, gust_error *err) {
  const json_value *value = NULL;
  gust_status status = json_need(doc, object, key, JSON_NUMBER, &value, err);
  if (status) return status;
  if (json_double(value, number)) return GUST_OK;
  return json_fail(doc, value, GUST_E_FORMAT, err, "\"%s\": expected a finite number, found %.*s",
                   key, literal_shown(value), value->text);
}

gust_status json_need_bool(const json_document *doc, const json_value *object, const char *key,
                           bool *truth, gust_error *err) {
  const json_value *value = NULL;
  gust_status status = json_need(doc, object, key, JSON_BOOL, &value, err);
  if (status) return status;
  json_bool(value, truth);
  return GUST_OK;
}

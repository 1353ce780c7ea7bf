#include "jinja_print.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jinja_text.h"

static bool put_text(jinja_session *j, jinja_builder *b, const char *text) {
  return jinja_put(j, b, jinja_text(text));
}

/* --- Numbers --- */

/* Steps that finding the fewest digits of a float is worth. */
#define FLOAT_COST 64u

/* printf and strtod follow the process's locale; templates do not. */
static char decimal_point(void) {
  char half[8];
  snprintf(half, sizeof half, "%.1f", 0.5);
  return half[1];
}

bool jinja_parse_float(jinja_string s, double *out) {
  char text[401];
  if (s.count == 0 || s.count >= sizeof text) return false;
  bool digits = false;
  char point = decimal_point();
  for (size_t i = 0; i < s.count; i++) {
    char c = s.bytes[i];
    if (c >= '0' && c <= '9')
      digits = true;
    else if (!strchr("+-.eE", c) || c == 0)
      return false;
    text[i] = c == '.' ? point : c;
  }
  text[s.count] = 0;
  char *end;
  *out = strtod(text, &end);
  return digits && *end == 0;
}

/* repr(float): the fewest digits that read back the same; an exponent below
 * 1e-4 and from 1e16 on. */
static void format_float(double real, char out[40]) {
  if (isnan(real) || isinf(real)) {
    snprintf(out, 40, "%s", isnan(real) ? "nan" : real < 0 ? "-inf" : "inf");
    return;
  }
  char text[40];
  int digits = 1;
  do snprintf(text, sizeof text, "%.*e", digits - 1, real);
  while (strtod(text, NULL) != real && digits++ < 17);
  int exponent = atoi(strchr(text, 'e') + 1);
  if (exponent < -4 || exponent >= 16) {
    snprintf(out, 40, "%s", text);
  } else {
    int decimals = digits - 1 - exponent;
    snprintf(out, 40, "%.*f", decimals < 1 ? 1 : decimals, real);
  }
  char *point = strchr(out, decimal_point());
  if (point) *point = '.';
}

static bool put_number(jinja_session *j, jinja_builder *b, const jinja_value *value) {
  char text[40];
  if (value->kind == JINJA_FLOAT && !jinja_charge(j, FLOAT_COST)) return false;
  if (value->kind == JINJA_FLOAT)
    format_float(value->real, text);
  else
    snprintf(text, sizeof text, "%" PRId64, value->integer);
  return put_text(j, b, text);
}

/* --- repr --- */

/* Characters past ASCII that repr escapes: controls, separators, formats and
 * private ones. (Unassigned characters are taken as printable.) */
static bool unprintable(uint32_t c) {
  return c < 0x20 || (c >= 0x7f && c <= 0xa0) || c == 0xad || (c > 0x7f && jinja_is_space(c)) ||
         (c >= 0x200b && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) ||
         (c >= 0x2060 && c <= 0x206f) || (c >= 0xe000 && c <= 0xf8ff) || c == 0xfeff ||
         (c >= 0xfff9 && c <= 0xfffb) || c >= 0xe0000;
}

static bool put_repr_char(jinja_session *j, jinja_builder *b, jinja_string s, size_t at,
                          char quote) {
  size_t bytes = jinja_char_bytes(s, at);
  uint32_t c = jinja_char(s, at);
  char text[12];
  if (c == '\n' || c == '\r' || c == '\t')
    snprintf(text, sizeof text, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
  else if (c == '\\' || c == (uint8_t)quote)
    snprintf(text, sizeof text, "\\%c", (char)c);
  else if (unprintable(c))
    snprintf(text, sizeof text,
             c < 0x100     ? "\\x%02x"
             : c < 0x10000 ? "\\u%04x"
                           : "\\U%08x",
             (unsigned)c);
  else
    return jinja_put(j, b, jinja_cut(s, at, at + bytes));
  return jinja_put_bytes(j, b, text, strlen(text), s.mark ? s.mark[at] : 0);
}

static bool put_repr_string(jinja_session *j, jinja_builder *b, jinja_string s) {
  bool single = s.count && memchr(s.bytes, '\'', s.count);
  bool both = single && memchr(s.bytes, '"', s.count);
  const char *quote = single && !both ? "\"" : "'";
  if (!put_text(j, b, quote)) return false;
  for (size_t at = 0; at < s.count; at += jinja_char_bytes(s, at))
    if (!jinja_charge(j, 1) || !put_repr_char(j, b, s, at, *quote)) return false;
  return put_text(j, b, quote);
}

static bool put_repr(jinja_session *j, jinja_builder *b, const jinja_value *value);

static bool put_repr_items(jinja_session *j, jinja_builder *b, const jinja_value *value) {
  if (value->kind == JINJA_DICT) {
    const jinja_dict *dict = value->dict;
    if (!put_text(j, b, "{")) return false;
    for (size_t i = 0; i < dict->count; i++)
      if ((i && !put_text(j, b, ", ")) || !put_repr(j, b, &dict->keys[i]) ||
          !put_text(j, b, ": ") || !put_repr(j, b, &dict->values[i]))
        return false;
    return put_text(j, b, "}");
  }
  const jinja_list *list = value->list;
  bool tuple = value->kind == JINJA_TUPLE;
  if (!put_text(j, b, tuple ? "(" : "[")) return false;
  for (size_t i = 0; i < list->count; i++)
    if ((i && !put_text(j, b, ", ")) || !put_repr(j, b, &list->items[i])) return false;
  return put_text(j, b, !tuple ? "]" : list->count == 1 ? ",)" : ")");
}

static bool put_repr(jinja_session *j, jinja_builder *b, const jinja_value *value) {
  if (!jinja_charge(j, 1)) return false;
  switch (value->kind) {
    case JINJA_UNDEFINED: return put_text(j, b, "Undefined");
    case JINJA_NONE: return put_text(j, b, "None");
    case JINJA_BOOL: return put_text(j, b, value->truth ? "True" : "False");
    case JINJA_INT:
    case JINJA_FLOAT: return put_number(j, b, value);
    case JINJA_STRING: return put_repr_string(j, b, value->string);
    case JINJA_LIST:
    case JINJA_TUPLE:
    case JINJA_DICT: {
      if (!jinja_enter(j)) return false;
      bool done = put_repr_items(j, b, value);
      jinja_leave(j);
      return done;
    }
    default: return jinja_refuse(j, "text, a number, a list or a dict to print", value);
  }
}

bool jinja_print(jinja_session *j, jinja_builder *b, const jinja_value *value) {
  if (value->kind == JINJA_UNDEFINED) return true;
  if (value->kind == JINJA_STRING) return jinja_put(j, b, value->string);
  return put_repr(j, b, value);
}

bool jinja_to_string(jinja_session *j, const jinja_value *value, jinja_string *out) {
  if (value->kind == JINJA_STRING) {
    *out = value->string;
    return true;
  }
  jinja_builder b = {0};
  if (!jinja_print(j, &b, value)) return false;
  *out = jinja_built(&b);
  return true;
}

/* --- JSON --- */

static bool put_json_char(jinja_session *j, jinja_builder *b, jinja_string s, size_t at,
                          bool ensure_ascii) {
  static const char named[] = "\"\\\n\r\t\b\f", letters[] = "\"\\nrtbf";
  size_t bytes = jinja_char_bytes(s, at);
  uint32_t c = jinja_char(s, at);
  const char *hit = c != 0 && c < 0x80 ? strchr(named, (char)c) : NULL;
  char text[16];
  if (hit)
    snprintf(text, sizeof text, "\\%c", letters[hit - named]);
  else if (c < 0x20 || (ensure_ascii && c >= 0x7f && c < 0x10000 && c != 0x7f))
    snprintf(text, sizeof text, "\\u%04x", (unsigned)c);
  else if (ensure_ascii && c >= 0x10000)
    snprintf(text, sizeof text, "\\u%04x\\u%04x", (unsigned)(0xd800 + ((c - 0x10000) >> 10)),
             (unsigned)(0xdc00 + (c & 0x3ff)));
  else
    return jinja_put(j, b, jinja_cut(s, at, at + bytes));
  return jinja_put_bytes(j, b, text, strlen(text), s.mark ? s.mark[at] : 0);
}

static bool put_json_string(jinja_session *j, jinja_builder *b, jinja_string s, bool ensure_ascii) {
  if (!put_text(j, b, "\"")) return false;
  for (size_t at = 0; at < s.count; at += jinja_char_bytes(s, at))
    if (!jinja_charge(j, 1) || !put_json_char(j, b, s, at, ensure_ascii)) return false;
  return put_text(j, b, "\"");
}

static bool put_json_float(jinja_session *j, jinja_builder *b, const jinja_value *value) {
  if (isnan(value->real)) return put_text(j, b, "NaN");
  if (isinf(value->real)) return put_text(j, b, value->real < 0 ? "-Infinity" : "Infinity");
  return put_number(j, b, value);
}

static bool put_json(jinja_session *j, jinja_builder *b, const jinja_value *value,
                     const jinja_json_style *style, unsigned level);

static bool put_json_break(jinja_session *j, jinja_builder *b, const jinja_json_style *style,
                           unsigned level) {
  if (!style->pretty) return true;
  if (!put_text(j, b, "\n")) return false;
  for (unsigned i = 0; i < level; i++)
    if (!jinja_put(j, b, style->indent)) return false;
  return true;
}

static bool put_json_list(jinja_session *j, jinja_builder *b, const jinja_list *list,
                          const jinja_json_style *style, unsigned level) {
  if (list->count == 0) return put_text(j, b, "[]");
  if (!put_text(j, b, "[")) return false;
  for (size_t i = 0; i < list->count; i++)
    if ((i && !jinja_put(j, b, style->item_separator)) || !put_json_break(j, b, style, level + 1) ||
        !put_json(j, b, &list->items[i], style, level + 1))
      return false;
  return put_json_break(j, b, style, level) && put_text(j, b, "]");
}

static bool put_json_key(jinja_session *j, jinja_builder *b, const jinja_value *key,
                         const jinja_json_style *style) {
  if (key->kind == JINJA_STRING) return put_json_string(j, b, key->string, style->ensure_ascii);
  return put_text(j, b, "\"") && put_json(j, b, key, style, 0) && put_text(j, b, "\"");
}

/* The indices of a dict's entries in the order of their keys. Insertion sort:
 * it is stable, and what it costs is charged. */
static bool sort_keys(jinja_session *j, const jinja_dict *dict, size_t *order) {
  for (size_t i = 0; i < dict->count; i++) {
    size_t at = i;
    for (; at > 0; at--) {
      int compared;
      if (!jinja_charge(j, 1) ||
          !jinja_compare(j, &dict->keys[order[at - 1]], &dict->keys[i], &compared))
        return false;
      if (compared <= 0) break;
      order[at] = order[at - 1];
    }
    order[at] = i;
  }
  return true;
}

static bool put_json_dict(jinja_session *j, jinja_builder *b, const jinja_dict *dict,
                          const jinja_json_style *style, unsigned level) {
  if (dict->count == 0) return put_text(j, b, "{}");
  size_t *order = NULL;
  if (style->sort_keys) {
    order = jinja_alloc(j, dict->count, sizeof *order);
    if (!order || !sort_keys(j, dict, order)) return false;
  }
  if (!put_text(j, b, "{")) return false;
  for (size_t i = 0; i < dict->count; i++) {
    size_t at = order ? order[i] : i;
    if ((i && !jinja_put(j, b, style->item_separator)) || !put_json_break(j, b, style, level + 1) ||
        !put_json_key(j, b, &dict->keys[at], style) || !jinja_put(j, b, style->key_separator) ||
        !put_json(j, b, &dict->values[at], style, level + 1))
      return false;
  }
  return put_json_break(j, b, style, level) && put_text(j, b, "}");
}

static bool put_json(jinja_session *j, jinja_builder *b, const jinja_value *value,
                     const jinja_json_style *style, unsigned level) {
  if (!jinja_charge(j, 1)) return false;
  bool done;
  switch (value->kind) {
    case JINJA_NONE: return put_text(j, b, "null");
    case JINJA_BOOL: return put_text(j, b, value->truth ? "true" : "false");
    case JINJA_INT: return put_number(j, b, value);
    case JINJA_FLOAT: return put_json_float(j, b, value);
    case JINJA_STRING: return put_json_string(j, b, value->string, style->ensure_ascii);
    case JINJA_LIST:
    case JINJA_TUPLE:
    case JINJA_DICT:
      if (!jinja_enter(j)) return false;
      done = value->kind == JINJA_DICT ? put_json_dict(j, b, value->dict, style, level)
                                       : put_json_list(j, b, value->list, style, level);
      jinja_leave(j);
      return done;
    default: return jinja_refuse(j, "text, a number, a list or a dict for tojson", value);
  }
}

bool jinja_print_json(jinja_session *j, jinja_builder *b, const jinja_value *value,
                      const jinja_json_style *style) {
  return put_json(j, b, value, style, 0);
}

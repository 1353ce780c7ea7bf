/* From text to tree. Strings without escapes point into the text; the others are decoded
 * into one buffer, which the text's length bounds because no escape is shorter than what it
 * stands for. */
#include <stdlib.h>
#include <string.h>

#include "json_tree.h"
#include "utf8_text.h"

typedef struct parser {
  json_document *doc;
  const char *text;
  size_t at, end;
  gust_error *err;
  unsigned depth;
  uint32_t open[JSON_MAX_DEPTH]; /* the arrays and objects around the place */
} parser;

/* --- errors ------------------------------------------------------------------ */

GUST_PRINTF(3, 4)
static gust_status syntax_error(const parser *p, size_t offset, const char *format, ...) {
  va_list args;
  va_start(args, format);
  gust_status status = json_fail_at(p->doc, offset, GUST_E_FORMAT, p->err, format, args);
  va_end(args);
  return status;
}

/* Fails at the parser's place: "expected EXPECTED, found WHAT IS THERE". */
static gust_status unexpected(const parser *p, const char *expected) {
  if (p->at >= p->end) return syntax_error(p, p->end, "expected %s, found the end", expected);
  unsigned char c = (unsigned char)p->text[p->at];
  if (c > 0x20 && c < 0x7f) return syntax_error(p, p->at, "expected %s, found '%c'", expected, c);
  return syntax_error(p, p->at, "expected %s, found byte 0x%02x", expected, c);
}

/* --- strings ------------------------------------------------------------------- */

static size_t utf8_put(char *to, uint32_t c) {
  if (c < 0x80) {
    to[0] = (char)c;
    return 1;
  }
  size_t length = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
  static const uint8_t lead[5] = {0, 0, 0xc0, 0xe0, 0xf0};
  for (size_t i = length - 1; i > 0; i--) {
    to[i] = (char)(0x80 | (c & 0x3f));
    c >>= 6;
  }
  to[0] = (char)(lead[length] | c);
  return length;
}

/* Four hexadecimal digits at the parser's place. */
static gust_status parse_hex4(parser *p, uint32_t *value) {
  *value = 0;
  for (int i = 0; i < 4; i++, p->at++) {
    char c = p->at < p->end ? p->text[p->at] : '\0';
    uint32_t digit;
    if (c >= '0' && c <= '9') {
      digit = (uint32_t)(c - '0');
    } else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')) {
      digit = (uint32_t)((c | 0x20) - 'a' + 10);
    } else {
      return unexpected(p, "a hexadecimal digit");
    }
    *value = *value << 4 | digit;
  }
  return GUST_OK;
}

/* What follows "\u": one escape, or the two of a surrogate pair. */
static gust_status parse_unicode_escape(parser *p, uint32_t *code) {
  size_t start = p->at - 2;
  gust_status status = parse_hex4(p, code);
  if (status) return status;
  if (*code >= 0xd800 && *code <= 0xdbff && p->end - p->at >= 2 && p->text[p->at] == '\\' &&
      p->text[p->at + 1] == 'u') {
    uint32_t low;
    p->at += 2;
    status = parse_hex4(p, &low);
    if (status) return status;
    if (low >= 0xdc00 && low <= 0xdfff) {
      *code = 0x10000 + ((*code - 0xd800) << 10) + (low - 0xdc00);
      return GUST_OK;
    }
  }
  if (*code >= 0xd800 && *code <= 0xdfff)
    return syntax_error(p, start, "expected a pair of surrogate escapes, found a lone \\u%04x",
                        (unsigned)*code);
  return GUST_OK;
}

static gust_status parse_escape(parser *p, uint32_t *code) {
  static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
  p->at++;
  if (p->at < p->end) {
    char c = p->text[p->at];
    if (c == 'u') {
      p->at++;
      return parse_unicode_escape(p, code);
    }
    const char *name = c ? strchr(names, c) : NULL;
    if (name) {
      *code = (unsigned char)values[name - names];
      p->at++;
      return GUST_OK;
    }
  }
  return unexpected(p, "an escape of \"\\/bfnrtu");
}

/* Makes the buffer of decoded strings; what is left of the text fits in. */
static gust_status need_decoded(parser *p, size_t start) {
  if (p->doc->decoded) return GUST_OK;
  p->doc->decoded = malloc(p->end - start);
  return p->doc->decoded ? GUST_OK : gust_fail_memory(p->err, "JSON text", p->end - start);
}

/* A string whose opening quote is at the parser's place. */
static gust_status parse_string(parser *p, const char **text, uint32_t *bytes) {
  size_t quote = p->at++, start = p->at;
  char *out = NULL; /* set from the first escape on */
  size_t out_bytes = 0;
  for (;;) {
    if (p->at >= p->end)
      return syntax_error(p, p->end, "expected the end of a string, found the end of the text");
    unsigned char c = (unsigned char)p->text[p->at];
    if (c == '"') break;
    if (c < 0x20) return unexpected(p, "a string's character or an escape");
    if (c == '\\') {
      if (!out) {
        gust_status status = need_decoded(p, quote);
        if (status) return status;
        out = p->doc->decoded + p->doc->decoded_bytes;
        out_bytes = p->at - start;
        memcpy(out, p->text + start, out_bytes);
      }
      uint32_t code = 0;
      gust_status status = parse_escape(p, &code);
      if (status) return status;
      out_bytes += utf8_put(out + out_bytes, code);
      continue;
    }
    size_t length = utf8_length(p->text + p->at, p->end - p->at);
    if (!length) return unexpected(p, "UTF-8 text");
    if (out) memcpy(out + out_bytes, p->text + p->at, length);
    if (out) out_bytes += length;
    p->at += length;
  }
  *text = out ? out : p->text + start;
  *bytes = (uint32_t)(out ? out_bytes : p->at - start);
  if (out) p->doc->decoded_bytes += out_bytes;
  p->at++;
  return GUST_OK;
}

/* --- values ---------------------------------------------------------------------- */

static bool is_digit(const parser *p) {
  return p->at < p->end && p->text[p->at] >= '0' && p->text[p->at] <= '9';
}

static gust_status skip_digits(parser *p) {
  if (!is_digit(p)) return unexpected(p, "a digit");
  while (is_digit(p)) p->at++;
  return GUST_OK;
}

static gust_status parse_number(parser *p, json_value *value) {
  size_t start = p->at;
  gust_status status = GUST_OK;
  if (p->text[p->at] == '-') p->at++;
  if (p->at < p->end && p->text[p->at] == '0') {
    p->at++;
    if (is_digit(p)) return unexpected(p, "no digit after a leading zero");
  } else {
    status = skip_digits(p);
  }
  if (!status && p->at < p->end && p->text[p->at] == '.') {
    p->at++;
    status = skip_digits(p);
  }
  if (!status && p->at < p->end && (p->text[p->at] | 0x20) == 'e') {
    p->at++;
    if (p->at < p->end && (p->text[p->at] == '+' || p->text[p->at] == '-')) p->at++;
    status = skip_digits(p);
  }
  value->type = JSON_NUMBER;
  value->text = p->text + start;
  value->text_bytes = (uint32_t)(p->at - start);
  return status;
}

static gust_status parse_word(parser *p, json_value *value, const char *word, json_type type,
                              uint32_t count) {
  for (const char *w = word; *w; w++, p->at++) {
    if (p->at >= p->end || p->text[p->at] != *w) return unexpected(p, word);
  }
  value->type = type;
  value->count = count;
  return GUST_OK;
}

/* Appends a node; the array may move, so nodes are named by index until the end. */
static gust_status add_node(parser *p, uint32_t *index) {
  json_document *doc = p->doc;
  if (doc->node_count == doc->node_room) {
    size_t room = doc->node_room ? doc->node_room * 2 : 64;
    if (room > SIZE_MAX / sizeof *doc->nodes)
      return gust_fail_memory(p->err, "a JSON tree", SIZE_MAX);
    json_value *nodes = realloc(doc->nodes, room * sizeof *nodes);
    if (!nodes) return gust_fail_memory(p->err, "a JSON tree", room * sizeof *nodes);
    doc->nodes = nodes;
    doc->node_room = room;
  }
  *index = (uint32_t)doc->node_count;
  doc->nodes[doc->node_count++] = (json_value){.span = 1, .offset = (uint32_t)p->at};
  return GUST_OK;
}

static void skip_space(parser *p) {
  while (p->at < p->end) {
    char c = p->text[p->at];
    if (c != ' ' && c != '\t' && c != '\n' && c != '\r') return;
    p->at++;
  }
}

/* The member's key, its colon, and the space before the value. */
static gust_status parse_key(parser *p, const char **key, uint32_t *bytes) {
  if (p->at >= p->end || p->text[p->at] != '"') return unexpected(p, "a member's name in quotes");
  gust_status status = parse_string(p, key, bytes);
  if (status) return status;
  skip_space(p);
  if (p->at >= p->end || p->text[p->at] != ':') return unexpected(p, "':'");
  p->at++;
  skip_space(p);
  return GUST_OK;
}

/* A value's node; an array or object is opened and its members are left to the
 * caller's loop. */
static gust_status parse_value(parser *p, uint32_t index) {
  json_value *value = &p->doc->nodes[index];
  char c = p->at < p->end ? p->text[p->at] : '\0';
  if (c == '-' || (c >= '0' && c <= '9')) return parse_number(p, value);
  switch (c) {
    case '{':
    case '[':
      if (p->depth == JSON_MAX_DEPTH)
        return syntax_error(p, p->at, "expected at most %d levels of nesting, found more",
                            JSON_MAX_DEPTH);
      value->type = c == '{' ? JSON_OBJECT : JSON_ARRAY;
      p->open[p->depth++] = index;
      p->at++;
      return GUST_OK;
    case '"': value->type = JSON_STRING; return parse_string(p, &value->text, &value->text_bytes);
    case 't': return parse_word(p, value, "true", JSON_BOOL, 1);
    case 'f': return parse_word(p, value, "false", JSON_BOOL, 0);
    case 'n': return parse_word(p, value, "null", JSON_NULL, 0);
    default: return unexpected(p, "a value");
  }
}

/* One step inside the innermost array or object: a member with the comma before
 * it, or the closing bracket. */
static gust_status parse_member(parser *p) {
  uint32_t parent = p->open[p->depth - 1];
  json_value *nodes = p->doc->nodes;
  bool object = nodes[parent].type == JSON_OBJECT, first = nodes[parent].count == 0;
  const char close = object ? '}' : ']';
  skip_space(p);
  if (p->at < p->end && p->text[p->at] == close) {
    nodes[parent].span = (uint32_t)(p->doc->node_count - parent);
    p->depth--;
    p->at++;
    return GUST_OK;
  }
  if (!first) {
    if (p->at >= p->end || p->text[p->at] != ',')
      return unexpected(p, object ? "',' or '}'" : "',' or ']'");
    p->at++;
    skip_space(p);
  }
  const char *key = NULL;
  uint32_t key_bytes = 0, index;
  gust_status status = object ? parse_key(p, &key, &key_bytes) : GUST_OK;
  if (status) return status;
  status = add_node(p, &index);
  if (status) return status;
  nodes = p->doc->nodes;
  nodes[parent].count++;
  nodes[index].key = key;
  nodes[index].key_bytes = key_bytes;
  return parse_value(p, index);
}

static gust_status parse_text(parser *p) {
  uint32_t root;
  skip_space(p);
  gust_status status = add_node(p, &root);
  if (!status) status = parse_value(p, root);
  while (!status && p->depth) status = parse_member(p);
  if (status) return status;
  skip_space(p);
  return p->at == p->end ? GUST_OK : unexpected(p, "the end of the text");
}

/* --- duplicate keys ------------------------------------------------------------------ */

/* By key, then by place, so that the later of two is named. */
static int compare_keys(const void *left, const void *right) {
  const json_value *a = *(const json_value *const *)left, *b = *(const json_value *const *)right;
  uint32_t bytes = a->key_bytes < b->key_bytes ? a->key_bytes : b->key_bytes;
  int order = bytes ? memcmp(a->key, b->key, bytes) : 0;
  if (order) return order;
  if (a->key_bytes != b->key_bytes) return a->key_bytes < b->key_bytes ? -1 : 1;
  return a->offset < b->offset ? -1 : a->offset > b->offset;
}

static gust_status check_object(const json_document *doc, const json_value *object,
                                const json_value **members, gust_error *err) {
  size_t count = 0;
  for (const json_value *v = json_first(object); v; v = json_next(object, v)) members[count++] = v;
  qsort(members, count, sizeof *members, compare_keys);
  for (size_t i = 1; i < count; i++) {
    const json_value *v = members[i];
    if (v->key_bytes == members[i - 1]->key_bytes &&
        memcmp(v->key, members[i - 1]->key, v->key_bytes) == 0)
      return json_fail(doc, v, GUST_E_FORMAT, err,
                       "expected each name once in an object, found \"%.*s\" again",
                       (int)(v->key_bytes < 100 ? v->key_bytes : 100), v->key);
  }
  return GUST_OK;
}

static gust_status check_unique(const json_document *doc, gust_error *err) {
  size_t most = 0;
  for (size_t i = 0; i < doc->node_count; i++) {
    if (doc->nodes[i].type == JSON_OBJECT && doc->nodes[i].count > most) most = doc->nodes[i].count;
  }
  if (most < 2) return GUST_OK;
  const json_value **members = malloc(most * sizeof *members);
  if (!members) return gust_fail_memory(err, "a list of JSON names", most * sizeof *members);
  gust_status status = GUST_OK;
  for (size_t i = 0; !status && i < doc->node_count; i++) {
    if (doc->nodes[i].type == JSON_OBJECT && doc->nodes[i].count > 1)
      status = check_object(doc, &doc->nodes[i], members, err);
  }
  free(members);
  return status;
}

/* --- documents -------------------------------------------------------------------------- */

gust_status json_parse(json_document **document, const char *text, size_t bytes, const char *where,
                       unsigned flags, gust_error *err) {
  *document = NULL;
  if (bytes > UINT32_MAX - 1)
    return gust_fail(err, GUST_E_FORMAT, "%s: expected JSON of less than 4 GiB, found %zu bytes",
                     where, bytes);
  json_document *doc = calloc(1, sizeof *doc);
  if (!doc) return gust_fail_memory(err, "a JSON document", sizeof *doc);
  doc->text = text;
  doc->where = where;
  parser p = {.doc = doc, .text = text, .end = bytes, .err = err};
  gust_status status = parse_text(&p);
  if (!status && (flags & JSON_UNIQUE_KEYS)) status = check_unique(doc, err);
  if (status) {
    json_free(doc);
    return status;
  }
  *document = doc;
  return GUST_OK;
}

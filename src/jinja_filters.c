/* Filters. */
#include <math.h>
#include <string.h>

#include "jinja_eval.h"
#include "jinja_print.h"
#include "jinja_text.h"

/* --- Text. Filters take anything that prints; the methods they share take a
 * string, so what they are applied to is printed first. --- */

static bool on_text(jinja_session *j, const jinja_value *self, const jinja_value *args,
                    jinja_builtin *method, jinja_value *out) {
  jinja_value text = {.kind = JINJA_STRING};
  return jinja_to_string(j, self, &text.string) && method(j, &text, args, out);
}

static bool do_trim(jinja_session *j, const jinja_value *self, const jinja_value *args,
                    jinja_value *out) {
  return on_text(j, self, args, jinja_do_strip, out);
}

static bool do_upper(jinja_session *j, const jinja_value *self, const jinja_value *args,
                     jinja_value *out) {
  return on_text(j, self, args, jinja_do_upper, out);
}

static bool do_lower(jinja_session *j, const jinja_value *self, const jinja_value *args,
                     jinja_value *out) {
  return on_text(j, self, args, jinja_do_lower, out);
}

static bool do_capitalize(jinja_session *j, const jinja_value *self, const jinja_value *args,
                          jinja_value *out) {
  return on_text(j, self, args, jinja_do_capitalize, out);
}

static bool do_title(jinja_session *j, const jinja_value *self, const jinja_value *args,
                     jinja_value *out) {
  (void)args;
  jinja_string text;
  if (!jinja_to_string(j, self, &text) || !jinja_change_case(j, text, JINJA_TITLE_FILTER, &text))
    return false;
  *out = jinja_str(text);
  return true;
}

static bool do_replace(jinja_session *j, const jinja_value *self, const jinja_value *args,
                       jinja_value *out) {
  jinja_value texts[3] = {args[0], args[1], args[2]};
  for (int i = 0; i < 2; i++) {
    if (!jinja_to_string(j, &args[i], &texts[i].string)) return false;
    texts[i].kind = JINJA_STRING;
  }
  return on_text(j, self, texts, jinja_do_replace, out);
}

static bool do_string(jinja_session *j, const jinja_value *self, const jinja_value *args,
                      jinja_value *out) {
  (void)args;
  jinja_string text;
  if (!jinja_to_string(j, self, &text)) return false;
  *out = jinja_str(text);
  return true;
}

static bool indent_lines(jinja_session *j, const jinja_list *lines, jinja_string indent, bool first,
                         bool blank, jinja_builder *b) {
  for (size_t i = 0; i < lines->count; i++) {
    jinja_string line = lines->items[i].string;
    bool indented = i == 0 ? first : blank || line.count != 0;
    if ((i && !jinja_put_bytes(j, b, "\n", 1, 0)) || (indented && !jinja_put(j, b, indent)) ||
        !jinja_put(j, b, line))
      return false;
  }
  return true;
}

static bool do_indent(jinja_session *j, const jinja_value *self, const jinja_value *args,
                      jinja_value *out) {
  jinja_string text, indent;
  jinja_builder b = {0}, spaces = {0};
  jinja_value lines;
  int64_t width = 0;
  bool named = args[0].kind == JINJA_STRING;
  if (!named && !jinja_want_int(j, &args[0], "an integer or string to indent by", 4, &width))
    return false;
  for (int64_t i = 0; i < width; i++)
    if (!jinja_charge(j, 1) || !jinja_put_bytes(j, &spaces, " ", 1, 0)) return false;
  indent = named ? args[0].string : jinja_built(&spaces);
  /* A newline is added before the lines are split, so that one that ends the
   * text yields an empty last line. */
  if (!jinja_to_string(j, self, &text) || !jinja_put(j, &b, text) ||
      !jinja_put_bytes(j, &b, "\n", 1, 0) || !jinja_new_list(j, &lines) ||
      !jinja_split_lines(j, jinja_built(&b), false, lines.list))
    return false;
  jinja_builder indented = {0};
  if (!indent_lines(j, lines.list, indent, jinja_want_truth(&args[1], false),
                    jinja_want_truth(&args[2], false), &indented))
    return false;
  *out = jinja_str(jinja_built(&indented));
  return true;
}

static bool do_tojson(jinja_session *j, const jinja_value *self, const jinja_value *args,
                      jinja_value *out) {
  jinja_builder b = {0}, indent = {0};
  jinja_json_style style = {.ensure_ascii = jinja_want_truth(&args[0], false),
                            .sort_keys = jinja_want_truth(&args[3], false),
                            .key_separator = jinja_text(": ")};
  int64_t width = 0;
  style.pretty = args[1].kind != JINJA_ABSENT && args[1].kind != JINJA_NONE;
  bool named = args[1].kind == JINJA_STRING;
  if (!named && !jinja_want_int(j, &args[1], "an integer or string as tojson's indent", 0, &width))
    return false;
  for (int64_t i = 0; i < width; i++)
    if (!jinja_charge(j, 1) || !jinja_put_bytes(j, &indent, " ", 1, 0)) return false;
  style.indent = named ? args[1].string : jinja_built(&indent);
  style.item_separator = jinja_text(style.pretty ? "," : ", ");
  if (args[2].kind != JINJA_ABSENT && args[2].kind != JINJA_NONE) {
    const jinja_list *pair;
    if (!jinja_iterate(j, &args[2], &pair)) return false;
    if (pair->count != 2) return jinja_refuse(j, "two separators for tojson", &args[2]);
    if (!jinja_want_string(j, &pair->items[0], "a string as separator", &style.item_separator) ||
        !jinja_want_string(j, &pair->items[1], "a string as separator", &style.key_separator))
      return false;
  }
  if (!jinja_print_json(j, &b, self, &style)) return false;
  *out = jinja_str(jinja_built(&b));
  return true;
}

/* --- Numbers --- */

/* Python's int(text): white space around, a sign, digits; no other base. */
static bool parse_int(jinja_string text, int64_t *out) {
  size_t at = 0;
  bool minus = text.count && text.bytes[0] == '-';
  if (text.count && (text.bytes[0] == '-' || text.bytes[0] == '+')) at++;
  if (at == text.count) return false;
  for (*out = 0; at < text.count; at++) {
    char c = text.bytes[at];
    if (c < '0' || c > '9' || __builtin_mul_overflow(*out, 10, out) ||
        __builtin_sub_overflow(*out, c - '0', out))
      return false;
  }
  return minus || !__builtin_sub_overflow((int64_t)0, *out, out);
}

/* As jinja2: what is no number yields the default. */
static bool do_int(jinja_session *j, const jinja_value *self, const jinja_value *args,
                   jinja_value *out) {
  jinja_value fallback = args[0].kind == JINJA_ABSENT ? jinja_int(0) : args[0];
  double real = 0;
  int64_t whole;
  jinja_string text;
  if (self->kind == JINJA_INT || self->kind == JINJA_BOOL) {
    *out = jinja_int(jinja_as_int(self));
    return true;
  }
  bool number = self->kind == JINJA_FLOAT;
  if (number) real = self->real;
  if (self->kind == JINJA_STRING) {
    if (!jinja_strip(j, self->string, NULL, true, true, &text)) return false;
    if (parse_int(text, &whole)) {
      *out = jinja_int(whole);
      return true;
    }
    number = jinja_parse_float(text, &real);
  }
  if (number && fabs(real) >= 9223372036854775808.0)
    return jinja_fail(j, GUST_E_UNSUPPORTED,
                      "expected an integer within 64 bits, found a larger one; correct the "
                      "template");
  *out = number && real == real ? jinja_int((int64_t)real) : fallback;
  return true;
}

static bool do_float(jinja_session *j, const jinja_value *self, const jinja_value *args,
                     jinja_value *out) {
  double real;
  jinja_string text;
  *out = args[0].kind == JINJA_ABSENT ? jinja_float(0) : args[0];
  if (jinja_is_number(self)) *out = jinja_float(jinja_as_float(self));
  if (self->kind != JINJA_STRING) return true;
  if (!jinja_strip(j, self->string, NULL, true, true, &text)) return false;
  if (jinja_parse_float(text, &real)) *out = jinja_float(real);
  return true;
}

static bool do_abs(jinja_session *j, const jinja_value *self, const jinja_value *args,
                   jinja_value *out) {
  (void)args;
  if (!jinja_is_number(self)) return jinja_refuse(j, "a number for abs", self);
  *out = *self;
  if (jinja_as_float(self) < 0) return jinja_negate(j, self, out);
  if (self->kind == JINJA_BOOL) *out = jinja_int(jinja_as_int(self));
  return true;
}

/* --- Any value --- */

static bool do_default(jinja_session *j, const jinja_value *self, const jinja_value *args,
                       jinja_value *out) {
  (void)j;
  bool missing =
      self->kind == JINJA_UNDEFINED || (jinja_want_truth(&args[1], false) && !jinja_truth(self));
  if (!missing)
    *out = *self;
  else
    *out = args[0].kind == JINJA_ABSENT ? jinja_str(jinja_text("")) : args[0];
  return true;
}

static bool do_length(jinja_session *j, const jinja_value *self, const jinja_value *args,
                      jinja_value *out) {
  (void)args;
  switch (self->kind) {
    case JINJA_UNDEFINED: *out = jinja_int(0); return true;
    case JINJA_STRING:
      *out = jinja_int((int64_t)jinja_length(self->string));
      return jinja_charge(j, self->string.count / 16);
    case JINJA_LIST:
    case JINJA_TUPLE: *out = jinja_int((int64_t)self->list->count); return true;
    case JINJA_DICT: *out = jinja_int((int64_t)self->dict->count); return true;
    default: return jinja_refuse(j, "something that has a length", self);
  }
}

/* --- Sequences --- */

static bool do_list(jinja_session *j, const jinja_value *self, const jinja_value *args,
                    jinja_value *out) {
  (void)args;
  const jinja_list *items;
  if (!jinja_iterate(j, self, &items) || !jinja_new_list(j, out)) return false;
  for (size_t i = 0; i < items->count; i++)
    if (!jinja_append(j, out->list, items->items[i])) return false;
  return true;
}

static bool do_first(jinja_session *j, const jinja_value *self, const jinja_value *args,
                     jinja_value *out) {
  (void)args;
  const jinja_list *items;
  if (!jinja_iterate(j, self, &items)) return false;
  *out = items->count ? items->items[0] : jinja_undefined(jinja_text("the first item"));
  return true;
}

static bool do_last(jinja_session *j, const jinja_value *self, const jinja_value *args,
                    jinja_value *out) {
  (void)args;
  const jinja_list *items;
  if (!jinja_iterate(j, self, &items)) return false;
  size_t count = items->count;
  *out = count ? items->items[count - 1] : jinja_undefined(jinja_text("the last item"));
  return true;
}

static bool do_reverse(jinja_session *j, const jinja_value *self, const jinja_value *args,
                       jinja_value *out) {
  const jinja_value all[3] = {jinja_none(), jinja_none(), jinja_int(-1)};
  jinja_value list = *self;
  if (self->kind != JINJA_STRING && !do_list(j, self, args, &list)) return false;
  return jinja_slice(j, &list, all, out);
}

/* "a.b.0" of an item, as map and selectattr name what they look at. */
static bool walk_attribute(jinja_session *j, jinja_value item, jinja_string path,
                           jinja_value *out) {
  while (true) {
    const char *dot = path.count ? memchr(path.bytes, '.', path.count) : NULL;
    size_t end = dot ? (size_t)(dot - path.bytes) : path.count;
    jinja_string name = jinja_cut(path, 0, end);
    int64_t index;
    jinja_value key = parse_int(name, &index) && index >= 0 ? jinja_int(index) : jinja_str(name);
    if (!jinja_charge(j, 1) || !jinja_item(j, &item, &key, out)) return false;
    if (!dot) return true;
    item = *out;
    path = jinja_cut(path, end + 1, path.count);
  }
}

static bool do_join(jinja_session *j, const jinja_value *self, const jinja_value *args,
                    jinja_value *out) {
  const jinja_list *items;
  jinja_builder b = {0};
  jinja_string separator = jinja_text(""), path;
  bool attribute = args[1].kind == JINJA_STRING;
  if (args[0].kind != JINJA_ABSENT && !jinja_to_string(j, &args[0], &separator)) return false;
  if (attribute) path = args[1].string;
  if (!jinja_iterate(j, self, &items)) return false;
  for (size_t i = 0; i < items->count; i++) {
    jinja_value item = items->items[i];
    if (attribute && !walk_attribute(j, items->items[i], path, &item)) return false;
    if ((i && !jinja_put(j, &b, separator)) || !jinja_print(j, &b, &item)) return false;
  }
  *out = jinja_str(jinja_built(&b));
  return true;
}

/* The arguments from `args` on that were given, to be handed to another filter
 * or test. */
static jinja_arguments rest_of(const jinja_value *args, size_t count, jinja_value values[],
                               jinja_string names[]) {
  jinja_arguments rest = {values, names, 0};
  for (size_t i = 0; i < count && args[i].kind != JINJA_ABSENT; i++) {
    values[i] = args[i];
    names[rest.count++] = jinja_text("");
  }
  return rest;
}

static bool do_map(jinja_session *j, const jinja_value *self, const jinja_value *args,
                   jinja_value *out) {
  const jinja_list *items;
  jinja_value values[2];
  jinja_string names[2];
  jinja_arguments rest = rest_of(args + 1, 2, values, names);
  bool attribute = args[3].kind == JINJA_STRING;
  const jinja_value *by = attribute ? &args[3] : &args[0];
  if (by->kind != JINJA_STRING) return jinja_refuse(j, "a filter or attribute for map", by);
  if (!jinja_iterate(j, self, &items) || !jinja_new_list(j, out)) return false;
  for (size_t i = 0; i < items->count; i++) {
    jinja_value item;
    if (!(attribute ? walk_attribute(j, items->items[i], by->string, &item)
                    : jinja_apply_filter(j, by->string, &items->items[i], &rest, &item)))
      return false;
    if (attribute && item.kind == JINJA_UNDEFINED && args[4].kind != JINJA_ABSENT) item = args[4];
    if (!jinja_append(j, out->list, item)) return false;
  }
  return true;
}

/* The items that a test holds for (or, `keep` false, does not): of the item
 * itself or of its attribute args[0]. Without a test its truth decides. */
static bool choose(jinja_session *j, const jinja_value *self, const jinja_value *args,
                   bool attribute, bool keep, jinja_value *out) {
  const jinja_list *items;
  jinja_value values[2];
  jinja_string names[2], path, test;
  const jinja_value *tested = args + (attribute ? 1 : 0);
  jinja_arguments rest = rest_of(tested + 1, 2, values, names);
  bool named = tested->kind != JINJA_ABSENT;
  if (attribute && !jinja_want_string(j, &args[0], "an attribute's name", &path)) return false;
  if (named && !jinja_want_string(j, tested, "a test's name", &test)) return false;
  if (!jinja_iterate(j, self, &items) || !jinja_new_list(j, out)) return false;
  for (size_t i = 0; i < items->count; i++) {
    jinja_value subject = items->items[i];
    if (attribute && !walk_attribute(j, items->items[i], path, &subject)) return false;
    bool holds = jinja_truth(&subject);
    if (named && !jinja_apply_test(j, test, &subject, &rest, &holds)) return false;
    if (holds == keep && !jinja_append(j, out->list, items->items[i])) return false;
  }
  return true;
}

static bool do_select(jinja_session *j, const jinja_value *self, const jinja_value *args,
                      jinja_value *out) {
  return choose(j, self, args, false, true, out);
}

static bool do_reject(jinja_session *j, const jinja_value *self, const jinja_value *args,
                      jinja_value *out) {
  return choose(j, self, args, false, false, out);
}

static bool do_selectattr(jinja_session *j, const jinja_value *self, const jinja_value *args,
                          jinja_value *out) {
  return choose(j, self, args, true, true, out);
}

static bool do_rejectattr(jinja_session *j, const jinja_value *self, const jinja_value *args,
                          jinja_value *out) {
  return choose(j, self, args, true, false, out);
}

static bool do_items(jinja_session *j, const jinja_value *self, const jinja_value *args,
                     jinja_value *out) {
  if (self->kind == JINJA_UNDEFINED) return jinja_new_list(j, out);
  if (self->kind != JINJA_DICT) return jinja_refuse(j, "a dict for items", self);
  return jinja_do_items(j, self, args, out);
}

const jinja_function *jinja_find_filter(jinja_string name) {
  static const jinja_function filters[] = {
      {"trim", do_trim, 0, {"chars"}, JINJA_ABSENT},
      {"length", do_length, 0, {NULL}, JINJA_ABSENT},
      {"count", do_length, 0, {NULL}, JINJA_ABSENT},
      {"upper", do_upper, 0, {NULL}, JINJA_ABSENT},
      {"lower", do_lower, 0, {NULL}, JINJA_ABSENT},
      {"title", do_title, 0, {NULL}, JINJA_ABSENT},
      {"capitalize", do_capitalize, 0, {NULL}, JINJA_ABSENT},
      {"default", do_default, 0, {"default_value", "boolean"}, JINJA_ABSENT},
      {"d", do_default, 0, {"default_value", "boolean"}, JINJA_ABSENT},
      {"join", do_join, 0, {"d", "attribute"}, JINJA_ABSENT},
      {"first", do_first, 0, {NULL}, JINJA_ABSENT},
      {"last", do_last, 0, {NULL}, JINJA_ABSENT},
      {"replace", do_replace, 2, {"old", "new", "count"}, JINJA_ABSENT},
      {"tojson", do_tojson, 0, {"ensure_ascii", "indent", "separators", "sort_keys"}, JINJA_ABSENT},
      {"string", do_string, 0, {NULL}, JINJA_ABSENT},
      {"safe", do_string, 0, {NULL}, JINJA_ABSENT},
      {"int", do_int, 0, {"default"}, JINJA_ABSENT},
      {"float", do_float, 0, {"default"}, JINJA_ABSENT},
      {"abs", do_abs, 0, {NULL}, JINJA_ABSENT},
      {"list", do_list, 0, {NULL}, JINJA_ABSENT},
      {"reverse", do_reverse, 0, {NULL}, JINJA_ABSENT},
      {"items", do_items, 0, {NULL}, JINJA_ABSENT},
      {"indent", do_indent, 0, {"width", "first", "blank"}, JINJA_ABSENT},
      {"map", do_map, 0, {"filter", "one", "two", "attribute", "default"}, JINJA_ABSENT},
      {"select", do_select, 0, {"test", "one", "two"}, JINJA_ABSENT},
      {"reject", do_reject, 0, {"test", "one", "two"}, JINJA_ABSENT},
      {"selectattr", do_selectattr, 1, {"attribute", "test", "one", "two"}, JINJA_ABSENT},
      {"rejectattr", do_rejectattr, 1, {"attribute", "test", "one", "two"}, JINJA_ABSENT},
      {NULL, NULL, 0, {NULL}, JINJA_ABSENT}};
  return jinja_find_function(filters, name);
}

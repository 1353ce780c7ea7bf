/* Methods of strings, lists and dicts. What changes a list or dict is refused,
 * as by the sandbox templates run in elsewhere. */
#include "jinja_eval.h"
#include "jinja_text.h"

/* --- Strings --- */

static bool change_case(jinja_session *j, const jinja_value *self, jinja_case how,
                        jinja_value *out) {
  jinja_string s;
  if (!jinja_change_case(j, self->string, how, &s)) return false;
  *out = jinja_str(s);
  return true;
}

bool jinja_do_upper(jinja_session *j, const jinja_value *self, const jinja_value *args,
                    jinja_value *out) {
  (void)args;
  return change_case(j, self, JINJA_UPPER, out);
}

bool jinja_do_lower(jinja_session *j, const jinja_value *self, const jinja_value *args,
                    jinja_value *out) {
  (void)args;
  return change_case(j, self, JINJA_LOWER, out);
}

bool jinja_do_capitalize(jinja_session *j, const jinja_value *self, const jinja_value *args,
                         jinja_value *out) {
  (void)args;
  return change_case(j, self, JINJA_CAPITALIZE, out);
}

static bool do_title(jinja_session *j, const jinja_value *self, const jinja_value *args,
                     jinja_value *out) {
  (void)args;
  return change_case(j, self, JINJA_TITLE, out);
}

static bool strip(jinja_session *j, const jinja_value *self, const jinja_value *args, bool left,
                  bool right, jinja_value *out) {
  jinja_string set, s;
  bool spaces = args[0].kind == JINJA_ABSENT || args[0].kind == JINJA_NONE;
  if (!spaces && !jinja_want_string(j, &args[0], "a string of characters to strip", &set))
    return false;
  if (!jinja_strip(j, self->string, spaces ? NULL : &set, left, right, &s)) return false;
  *out = jinja_str(s);
  return true;
}

bool jinja_do_strip(jinja_session *j, const jinja_value *self, const jinja_value *args,
                    jinja_value *out) {
  return strip(j, self, args, true, true, out);
}

static bool do_lstrip(jinja_session *j, const jinja_value *self, const jinja_value *args,
                      jinja_value *out) {
  return strip(j, self, args, true, false, out);
}

static bool do_rstrip(jinja_session *j, const jinja_value *self, const jinja_value *args,
                      jinja_value *out) {
  return strip(j, self, args, false, true, out);
}

typedef bool matcher(jinja_string s, jinja_string part);

/* `part` may be a tuple of strings, any of which will do. */
static bool match(jinja_session *j, const jinja_value *self, const jinja_value *part,
                  matcher *matches, jinja_value *out) {
  bool tuple = part->kind == JINJA_TUPLE, holds = false;
  size_t count = tuple ? part->list->count : 1;
  for (size_t i = 0; i < count && !holds; i++) {
    jinja_string text;
    const jinja_value *item = tuple ? &part->list->items[i] : part;
    if (!jinja_want_string(j, item, "a string to compare with", &text) ||
        !jinja_charge(j, 1 + text.count / 64))
      return false;
    holds = matches(self->string, text);
  }
  *out = jinja_bool(holds);
  return true;
}

static bool do_startswith(jinja_session *j, const jinja_value *self, const jinja_value *args,
                          jinja_value *out) {
  return match(j, self, &args[0], jinja_starts, out);
}

static bool do_endswith(jinja_session *j, const jinja_value *self, const jinja_value *args,
                        jinja_value *out) {
  return match(j, self, &args[0], jinja_ends, out);
}

static bool do_removeprefix(jinja_session *j, const jinja_value *self, const jinja_value *args,
                            jinja_value *out) {
  jinja_string s = self->string, part;
  if (!jinja_want_string(j, &args[0], "a prefix", &part)) return false;
  *out = jinja_str(jinja_starts(s, part) ? jinja_cut(s, part.count, s.count) : s);
  return true;
}

static bool do_removesuffix(jinja_session *j, const jinja_value *self, const jinja_value *args,
                            jinja_value *out) {
  jinja_string s = self->string, part;
  if (!jinja_want_string(j, &args[0], "a suffix", &part)) return false;
  *out = jinja_str(jinja_ends(s, part) ? jinja_cut(s, 0, s.count - part.count) : s);
  return true;
}

/* A count of replacements or cuts: none given or negative means all. */
static bool want_limit(jinja_session *j, const jinja_value *value, size_t *limit) {
  int64_t count;
  if (!jinja_want_int(j, value, "an integer as a count", -1, &count)) return false;
  *limit = count < 0 ? JINJA_NO_LIMIT : (size_t)count;
  return true;
}

bool jinja_do_replace(jinja_session *j, const jinja_value *self, const jinja_value *args,
                      jinja_value *out) {
  jinja_string old, with, s;
  size_t limit;
  if (!jinja_want_string(j, &args[0], "a string to replace", &old) ||
      !jinja_want_string(j, &args[1], "a string to replace it with", &with) ||
      !want_limit(j, &args[2], &limit) || !jinja_replace(j, self->string, old, with, limit, &s))
    return false;
  *out = jinja_str(s);
  return true;
}

typedef bool splitter(jinja_session *j, jinja_string s, const jinja_string *separator, size_t limit,
                      jinja_list *list);

static bool split(jinja_session *j, const jinja_value *self, const jinja_value *args, splitter *cut,
                  jinja_value *out) {
  jinja_string separator;
  size_t limit;
  bool spaces = args[0].kind == JINJA_ABSENT || args[0].kind == JINJA_NONE;
  if (!spaces && !jinja_want_string(j, &args[0], "a string to split at", &separator)) return false;
  return want_limit(j, &args[1], &limit) && jinja_new_list(j, out) &&
         cut(j, self->string, spaces ? NULL : &separator, limit, out->list);
}

static bool do_split(jinja_session *j, const jinja_value *self, const jinja_value *args,
                     jinja_value *out) {
  return split(j, self, args, jinja_split, out);
}

static bool do_rsplit(jinja_session *j, const jinja_value *self, const jinja_value *args,
                      jinja_value *out) {
  return split(j, self, args, jinja_split_right, out);
}

static bool do_splitlines(jinja_session *j, const jinja_value *self, const jinja_value *args,
                          jinja_value *out) {
  return jinja_new_list(j, out) &&
         jinja_split_lines(j, self->string, jinja_want_truth(&args[0], false), out->list);
}

/* ", ".join(strings): unlike the filter it takes strings only. */
static bool do_join(jinja_session *j, const jinja_value *self, const jinja_value *args,
                    jinja_value *out) {
  const jinja_list *items;
  jinja_builder b = {0};
  if (!jinja_iterate(j, &args[0], &items)) return false;
  for (size_t i = 0; i < items->count; i++) {
    jinja_string text;
    if (!jinja_want_string(j, &items->items[i], "strings to join", &text) ||
        (i && !jinja_put(j, &b, self->string)) || !jinja_put(j, &b, text))
      return false;
  }
  *out = jinja_str(jinja_built(&b));
  return true;
}

static bool do_find(jinja_session *j, const jinja_value *self, const jinja_value *args,
                    jinja_value *out) {
  jinja_string part;
  size_t at;
  if (!jinja_want_string(j, &args[0], "a string to find", &part) ||
      !jinja_charge(j, self->string.count / 16) || !jinja_find(j, self->string, part, 0, &at))
    return false;
  bool found = at != JINJA_NOWHERE;
  *out = jinja_int(found ? (int64_t)jinja_length(jinja_cut(self->string, 0, at)) : -1);
  return true;
}

static bool do_count(jinja_session *j, const jinja_value *self, const jinja_value *args,
                     jinja_value *out) {
  jinja_string part;
  int64_t count = 0;
  if (!jinja_want_string(j, &args[0], "a string to count", &part)) return false;
  if (part.count == 0) {
    *out = jinja_int((int64_t)jinja_length(self->string) + 1);
    return jinja_charge(j, self->string.count / 16);
  }
  for (size_t from = 0, at;; from = at + part.count, count++) {
    if (!jinja_find(j, self->string, part, from, &at)) return false;
    if (at == JINJA_NOWHERE) break;
  }
  *out = jinja_int(count);
  return true;
}

/* --- Dicts --- */

static bool do_get(jinja_session *j, const jinja_value *self, const jinja_value *args,
                   jinja_value *out) {
  const jinja_value *found;
  if (!jinja_dict_find(j, self->dict, args[0], &found)) return false;
  *out = found ? *found : args[1].kind == JINJA_ABSENT ? jinja_none() : args[1];
  return true;
}

bool jinja_do_items(jinja_session *j, const jinja_value *self, const jinja_value *args,
                    jinja_value *out) {
  (void)args;
  if (!jinja_new_list(j, out)) return false;
  for (size_t i = 0; i < self->dict->count; i++) {
    jinja_value pair;
    if (!jinja_new_list(j, &pair) || !jinja_append(j, pair.list, self->dict->keys[i]) ||
        !jinja_append(j, pair.list, self->dict->values[i]))
      return false;
    pair.kind = JINJA_TUPLE;
    if (!jinja_append(j, out->list, pair)) return false;
  }
  return true;
}

static bool do_keys(jinja_session *j, const jinja_value *self, const jinja_value *args,
                    jinja_value *out) {
  (void)args;
  if (!jinja_new_list(j, out)) return false;
  for (size_t i = 0; i < self->dict->count; i++)
    if (!jinja_append(j, out->list, self->dict->keys[i])) return false;
  return true;
}

static bool do_values(jinja_session *j, const jinja_value *self, const jinja_value *args,
                      jinja_value *out) {
  (void)args;
  if (!jinja_new_list(j, out)) return false;
  for (size_t i = 0; i < self->dict->count; i++)
    if (!jinja_append(j, out->list, self->dict->values[i])) return false;
  return true;
}

/* --- What changes its object --- */

static bool refuse_change(jinja_session *j, const jinja_value *self, const jinja_value *args,
                          jinja_value *out) {
  (void)args, (void)out;
  return jinja_fail(j, GUST_E_UNSUPPORTED,
                    "expected %s to stay as it is, found a method that changes it; build a new "
                    "one with + instead",
                    jinja_kind_name(self->kind));
}

#define NO_MORE \
  { NULL, NULL, 0, {NULL}, JINJA_ABSENT }
#define CHANGES(name) \
  { name, refuse_change, 0, {"a", "b"}, JINJA_ABSENT }

static const jinja_function string_methods[] = {
    {"strip", jinja_do_strip, 0, {"chars"}, JINJA_ABSENT},
    {"lstrip", do_lstrip, 0, {"chars"}, JINJA_ABSENT},
    {"rstrip", do_rstrip, 0, {"chars"}, JINJA_ABSENT},
    {"upper", jinja_do_upper, 0, {NULL}, JINJA_ABSENT},
    {"lower", jinja_do_lower, 0, {NULL}, JINJA_ABSENT},
    {"title", do_title, 0, {NULL}, JINJA_ABSENT},
    {"capitalize", jinja_do_capitalize, 0, {NULL}, JINJA_ABSENT},
    {"startswith", do_startswith, 1, {"prefix"}, JINJA_ABSENT},
    {"endswith", do_endswith, 1, {"suffix"}, JINJA_ABSENT},
    {"removeprefix", do_removeprefix, 1, {"prefix"}, JINJA_ABSENT},
    {"removesuffix", do_removesuffix, 1, {"suffix"}, JINJA_ABSENT},
    {"replace", jinja_do_replace, 2, {"old", "new", "count"}, JINJA_ABSENT},
    {"split", do_split, 0, {"sep", "maxsplit"}, JINJA_ABSENT},
    {"rsplit", do_rsplit, 0, {"sep", "maxsplit"}, JINJA_ABSENT},
    {"splitlines", do_splitlines, 0, {"keepends"}, JINJA_ABSENT},
    {"join", do_join, 1, {"iterable"}, JINJA_ABSENT},
    {"find", do_find, 1, {"sub"}, JINJA_ABSENT},
    {"count", do_count, 1, {"sub"}, JINJA_ABSENT},
    NO_MORE};

static const jinja_function list_methods[] = {
    CHANGES("append"), CHANGES("extend"), CHANGES("insert"),  CHANGES("pop"), CHANGES("remove"),
    CHANGES("clear"),  CHANGES("sort"),   CHANGES("reverse"), NO_MORE};

static const jinja_function dict_methods[] = {{"get", do_get, 1, {"key", "default"}, JINJA_ABSENT},
                                              {"items", jinja_do_items, 0, {NULL}, JINJA_ABSENT},
                                              {"keys", do_keys, 0, {NULL}, JINJA_ABSENT},
                                              {"values", do_values, 0, {NULL}, JINJA_ABSENT},
                                              CHANGES("pop"),
                                              CHANGES("popitem"),
                                              CHANGES("update"),
                                              CHANGES("setdefault"),
                                              CHANGES("clear"),
                                              NO_MORE};

const jinja_function *jinja_find_method(jinja_kind kind, jinja_string name) {
  switch (kind) {
    case JINJA_STRING: return jinja_find_function(string_methods, name);
    case JINJA_LIST: return jinja_find_function(list_methods, name);
    case JINJA_DICT: return jinja_find_function(dict_methods, name);
    default: return NULL;
  }
}

/* Operators, slices, attributes and items of values, as in Python. */
#include <math.h>
#include <string.h>

#include "jinja_eval.h"
#include "jinja_print.h"
#include "jinja_text.h"

static bool overflow(jinja_session *j) {
  return jinja_fail(j, GUST_E_UNSUPPORTED,
                    "expected integers within 64 bits, found a larger one; correct the template");
}

static bool power(int64_t base, int64_t exponent, int64_t *out) {
  *out = 1;
  for (; exponent > 0; exponent >>= 1) {
    if ((exponent & 1) && __builtin_mul_overflow(*out, base, out)) return false;
    if (exponent > 1 && __builtin_mul_overflow(base, base, &base)) return false;
  }
  return true;
}

static bool int_arithmetic(jinja_session *j, jinja_token_type op, int64_t a, int64_t b,
                           jinja_value *out) {
  int64_t r = 0;
  bool fits = true;
  switch (op) {
    case JINJA_T_ADD: fits = !__builtin_add_overflow(a, b, &r); break;
    case JINJA_T_SUB: fits = !__builtin_sub_overflow(a, b, &r); break;
    case JINJA_T_MUL: fits = !__builtin_mul_overflow(a, b, &r); break;
    case JINJA_T_POW: fits = power(a, b, &r); break;
    default:
      if (a == INT64_MIN && b == -1) return overflow(j);
      /* C rounds to zero, Python down. */
      r = op == JINJA_T_MOD ? a % b : a / b;
      if (a % b != 0 && (a % b < 0) != (b < 0)) r += op == JINJA_T_MOD ? b : -1;
      break;
  }
  *out = jinja_int(r);
  return fits || overflow(j);
}

static bool arithmetic(jinja_session *j, jinja_token_type op, const jinja_value *a,
                       const jinja_value *b, jinja_value *out) {
  bool divides = op == JINJA_T_DIV || op == JINJA_T_FLOORDIV || op == JINJA_T_MOD;
  double x = jinja_as_float(a), y = jinja_as_float(b), r;
  if (divides && y >= 0 && y <= 0)
    return jinja_fail(j, GUST_E_FORMAT,
                      "expected a divisor that is not 0, found 0; correct the template");
  bool whole = a->kind != JINJA_FLOAT && b->kind != JINJA_FLOAT;
  if (whole && op != JINJA_T_DIV && (op != JINJA_T_POW || jinja_as_int(b) >= 0))
    return int_arithmetic(j, op, jinja_as_int(a), jinja_as_int(b), out);
  switch (op) {
    case JINJA_T_ADD: r = x + y; break;
    case JINJA_T_SUB: r = x - y; break;
    case JINJA_T_MUL: r = x * y; break;
    case JINJA_T_DIV: r = x / y; break;
    case JINJA_T_FLOORDIV: r = floor(x / y); break;
    case JINJA_T_POW: r = pow(x, y); break;
    default:
      r = fmod(x, y);
      if (r != 0 && (r < 0) != (y < 0)) r += y;
      break;
  }
  *out = jinja_float(r);
  return true;
}

static bool add_strings(jinja_session *j, jinja_string a, jinja_string b, jinja_value *out) {
  jinja_builder built = {0};
  if (!jinja_put(j, &built, a) || !jinja_put(j, &built, b)) return false;
  *out = jinja_str(jinja_built(&built));
  return true;
}

static bool append_all(jinja_session *j, jinja_list *list, const jinja_list *more) {
  for (size_t i = 0; i < more->count; i++)
    if (!jinja_append(j, list, more->items[i])) return false;
  return true;
}

static bool add_lists(jinja_session *j, const jinja_value *a, const jinja_value *b,
                      jinja_value *out) {
  if (!jinja_new_list(j, out)) return false;
  out->kind = a->kind;
  return append_all(j, out->list, a->list) && append_all(j, out->list, b->list);
}

static bool repeat(jinja_session *j, const jinja_value *a, int64_t times, jinja_value *out) {
  jinja_builder built = {0};
  bool string = a->kind == JINJA_STRING;
  if (!string && !jinja_new_list(j, out)) return false;
  if (!string) out->kind = a->kind;
  size_t count = string ? a->string.count : a->list->count;
  for (int64_t i = 0; i < times && count; i++)
    if (!jinja_charge(j, 1) ||
        !(string ? jinja_put(j, &built, a->string) : append_all(j, out->list, a->list)))
      return false;
  if (string) *out = jinja_str(jinja_built(&built));
  return true;
}

static bool repeatable(const jinja_value *a, const jinja_value *times) {
  return (a->kind == JINJA_STRING || a->kind == JINJA_LIST || a->kind == JINJA_TUPLE) &&
         (times->kind == JINJA_INT || times->kind == JINJA_BOOL);
}

bool jinja_binary(jinja_session *j, jinja_token_type op, const jinja_value *a, const jinja_value *b,
                  jinja_value *out) {
  if (jinja_is_number(a) && jinja_is_number(b)) return arithmetic(j, op, a, b, out);
  if (op == JINJA_T_ADD && a->kind == b->kind) {
    if (a->kind == JINJA_STRING) return add_strings(j, a->string, b->string, out);
    if (a->kind == JINJA_LIST || a->kind == JINJA_TUPLE) return add_lists(j, a, b, out);
  }
  if (op == JINJA_T_MUL && repeatable(a, b)) return repeat(j, a, jinja_as_int(b), out);
  if (op == JINJA_T_MUL && repeatable(b, a)) return repeat(j, b, jinja_as_int(a), out);
  if (op == JINJA_T_MOD && a->kind == JINJA_STRING)
    return jinja_fail(j, GUST_E_UNSUPPORTED,
                      "expected a number before '%%', found a string to format, which gust does "
                      "not know; use ~ instead");
  /* Name the operand that fits with nothing, the second of two that clash. */
  bool blame_a = a->kind != JINJA_STRING && a->kind != JINJA_LIST && !jinja_is_number(a);
  return jinja_refuse(j,
                      op == JINJA_T_ADD ? "two numbers, two strings or two lists around '+'"
                                        : "numbers around an arithmetic operator",
                      blame_a || (op != JINJA_T_ADD && !jinja_is_number(a)) ? a : b);
}

bool jinja_negate(jinja_session *j, const jinja_value *a, jinja_value *out) {
  if (!jinja_is_number(a)) return jinja_refuse(j, "a number after '-'", a);
  if (a->kind == JINJA_FLOAT) {
    *out = jinja_float(-a->real);
    return true;
  }
  if (jinja_as_int(a) == INT64_MIN) return overflow(j);
  *out = jinja_int(-jinja_as_int(a));
  return true;
}

bool jinja_relation(jinja_session *j, jinja_token_type op, const jinja_value *a,
                    const jinja_value *b, bool *holds) {
  int order;
  switch (op) {
    case JINJA_T_EQ: return jinja_equal(j, a, b, holds);
    case JINJA_T_NE:
      if (!jinja_equal(j, a, b, holds)) return false;
      *holds = !*holds;
      return true;
    case JINJA_T_IN: return jinja_contains(j, b, a, holds);
    case JINJA_T_NOT_IN:
      if (!jinja_contains(j, b, a, holds)) return false;
      *holds = !*holds;
      return true;
    default: break;
  }
  if (!jinja_compare(j, a, b, &order)) return false;
  switch (op) {
    case JINJA_T_LT: *holds = order == -1; break;
    case JINJA_T_LE: *holds = order == -1 || order == 0; break;
    case JINJA_T_GT: *holds = order == 1; break;
    default: *holds = order == 1 || order == 0; break;
  }
  return true;
}

/* --- Slices --- */

/* One bound: counted from the end when negative, then kept in [low, high]. */
static bool slice_bound(jinja_session *j, const jinja_value *value, int64_t length, int64_t low,
                        int64_t high, int64_t fallback, int64_t *out) {
  int64_t bound;
  if (!jinja_want_int(j, value, "an integer as a slice's bound", INT64_MIN, &bound)) return false;
  if (value->kind == JINJA_NONE)
    bound = fallback;
  else if (bound < 0)
    bound = bound < -length ? low : bound + length;
  *out = bound < low ? low : bound > high ? high : bound;
  return true;
}

/* The byte where each character of a string begins, and its end. */
static size_t *character_starts(jinja_session *j, jinja_string s, size_t length) {
  size_t *starts = jinja_alloc(j, length + 1, sizeof *starts), at = 0;
  if (!starts) return NULL;
  for (size_t i = 0; i < length; i++, at += jinja_char_bytes(s, at)) starts[i] = at;
  starts[length] = at;
  return starts;
}

static bool slice_string(jinja_session *j, jinja_string s, int64_t from, int64_t to, int64_t step,
                         size_t length, jinja_value *out) {
  if (step == 1) {
    if (to < from) to = from;
    size_t begin = jinja_offset(s, (size_t)from), end = jinja_offset(s, (size_t)to);
    *out = jinja_str(jinja_cut(s, begin, end));
    return true;
  }
  size_t *starts = character_starts(j, s, length);
  jinja_builder b = {0};
  if (!starts) return false;
  for (int64_t i = from; step > 0 ? i < to : i > to; i += step)
    if (!jinja_charge(j, 1) || !jinja_put(j, &b, jinja_cut(s, starts[i], starts[i + 1])))
      return false;
  *out = jinja_str(jinja_built(&b));
  return true;
}

bool jinja_slice(jinja_session *j, const jinja_value *object, const jinja_value bounds[3],
                 jinja_value *out) {
  bool string = object->kind == JINJA_STRING;
  if (!string && object->kind != JINJA_LIST && object->kind != JINJA_TUPLE)
    return jinja_refuse(j, "a string or list to slice", object);
  if (!jinja_charge(j, string ? object->string.count / 16 : 0)) return false;
  size_t length = string ? jinja_length(object->string) : object->list->count;
  int64_t n = (int64_t)length, from, to, step;
  if (!jinja_want_int(j, &bounds[2], "an integer as a slice's step", 1, &step)) return false;
  if (step == 0)
    return jinja_fail(j, GUST_E_FORMAT,
                      "expected a slice's step other than 0, found 0; correct the template");
  /* A longer stride than the string takes one step as well and cannot overflow. */
  if (step > n + 1) step = n + 1;
  if (step < -n - 1) step = -n - 1;
  int64_t low = step < 0 ? -1 : 0, high = step < 0 ? n - 1 : n;
  if (!slice_bound(j, &bounds[0], n, low, high, step < 0 ? high : low, &from) ||
      !slice_bound(j, &bounds[1], n, low, high, step < 0 ? low : high, &to))
    return false;
  if (string) return slice_string(j, object->string, from, to, step, length, out);
  if (!jinja_new_list(j, out)) return false;
  out->kind = object->kind;
  for (int64_t i = from; step > 0 ? i < to : i > to; i += step)
    if (!jinja_append(j, out->list, object->list->items[i])) return false;
  return true;
}

/* --- Attributes and items --- */

static bool loop_attribute(const jinja_loop *loop, jinja_string name, jinja_value *out) {
  size_t index = loop->index, count = loop->items->count;
  const jinja_value *items = loop->items->items;
  *out = jinja_undefined(name);
  if (jinja_is(name, "index"))
    *out = jinja_int((int64_t)index + 1);
  else if (jinja_is(name, "index0"))
    *out = jinja_int((int64_t)index);
  else if (jinja_is(name, "revindex"))
    *out = jinja_int((int64_t)(count - index));
  else if (jinja_is(name, "revindex0"))
    *out = jinja_int((int64_t)(count - index - 1));
  else if (jinja_is(name, "first"))
    *out = jinja_bool(index == 0);
  else if (jinja_is(name, "last"))
    *out = jinja_bool(index + 1 == count);
  else if (jinja_is(name, "length"))
    *out = jinja_int((int64_t)count);
  else if (jinja_is(name, "depth"))
    *out = jinja_int(1); /* it counts recursion */
  else if (jinja_is(name, "depth0"))
    *out = jinja_int(0);
  else if (jinja_is(name, "previtem") && index > 0)
    *out = items[index - 1];
  else if (jinja_is(name, "nextitem") && index + 1 < count)
    *out = items[index + 1];
  return true;
}

static bool make_method(jinja_session *j, const jinja_function *function, const jinja_value *self,
                        jinja_value *out) {
  jinja_method *method = jinja_alloc(j, 1, sizeof *method);
  if (!method) return false;
  *method = (jinja_method){function, *self};
  *out = (jinja_value){.kind = JINJA_METHOD, .method = method};
  return true;
}

static bool dict_item(jinja_session *j, const jinja_value *object, const jinja_value *key,
                      jinja_value *out) {
  const jinja_value *found;
  if (!jinja_dict_find(j, object->dict, *key, &found)) return false;
  if (found) *out = *found;
  return true;
}

bool jinja_attribute(jinja_session *j, const jinja_value *object, jinja_string name,
                     jinja_value *out) {
  const jinja_value key = jinja_str(name);
  *out = jinja_undefined(name);
  const jinja_function *function = jinja_find_method(object->kind, name);
  if (function) return make_method(j, function, object, out);
  switch (object->kind) {
    case JINJA_UNDEFINED:
      return jinja_fail(j, GUST_E_FORMAT,
                        "expected a value with the attribute '%.*s', found '%.*s', which is "
                        "undefined; correct the template or give it what it asks for",
                        JINJA_SHOWN(name), JINJA_SHOWN(object->string));
    case JINJA_LOOP: return loop_attribute(object->loop, name, out);
    case JINJA_DICT:
    case JINJA_NAMESPACE: return dict_item(j, object, &key, out);
    default: return true;
  }
}

bool jinja_item(jinja_session *j, const jinja_value *object, const jinja_value *key,
                jinja_value *out) {
  if (object->kind == JINJA_DICT) {
    out->kind = JINJA_ABSENT;
    if (!dict_item(j, object, key, out)) return false;
    if (out->kind != JINJA_ABSENT) return true;
  }
  if (key->kind == JINJA_STRING) return jinja_attribute(j, object, key->string, out);
  *out = jinja_undefined(jinja_text("an item"));
  if (object->kind == JINJA_UNDEFINED) return jinja_refuse(j, "a list or dict", object);
  if (key->kind != JINJA_INT && key->kind != JINJA_BOOL) return true;
  bool string = object->kind == JINJA_STRING;
  if (!string && object->kind != JINJA_LIST && object->kind != JINJA_TUPLE) return true;
  if (!jinja_charge(j, string ? object->string.count / 16 : 0)) return false;
  int64_t length = (int64_t)(string ? jinja_length(object->string) : object->list->count);
  int64_t index = jinja_as_int(key);
  if (index < 0 && index >= -length) index += length;
  if (index < 0 || index >= length) return true;
  if (!string) {
    *out = object->list->items[index];
    return true;
  }
  size_t at = jinja_offset(object->string, (size_t)index);
  *out = jinja_str(jinja_cut(object->string, at, at + jinja_char_bytes(object->string, at)));
  return true;
}

/* Tests: what may follow `is`. */
#include <string.h>

#include "jinja_eval.h"
#include "jinja_print.h"
#include "jinja_text.h"

#define TEST(name, condition)                                                          \
  static bool name(jinja_session *j, const jinja_value *self, const jinja_value *args, \
                   jinja_value *out) {                                                 \
    (void)j, (void)args;                                                               \
    *out = jinja_bool(condition);                                                      \
    return true;                                                                       \
  }

static bool is_sequence(const jinja_value *v) {
  return v->kind == JINJA_STRING || v->kind == JINJA_LIST || v->kind == JINJA_TUPLE ||
         v->kind == JINJA_DICT || v->kind == JINJA_UNDEFINED;
}

TEST(is_defined, self->kind != JINJA_UNDEFINED)
TEST(is_undefined, self->kind == JINJA_UNDEFINED)
TEST(is_none, self->kind == JINJA_NONE)
TEST(is_boolean, self->kind == JINJA_BOOL)
TEST(is_true, self->kind == JINJA_BOOL && self->truth)
TEST(is_false, self->kind == JINJA_BOOL && !self->truth)
TEST(is_integer, self->kind == JINJA_INT)
TEST(is_float, self->kind == JINJA_FLOAT)
TEST(is_number, jinja_is_number(self))
TEST(is_string, self->kind == JINJA_STRING)
TEST(is_mapping, self->kind == JINJA_DICT)
TEST(is_sequence_test, is_sequence(self))
TEST(is_iterable, is_sequence(self))
TEST(is_callable,
     self->kind == JINJA_MACRO || self->kind == JINJA_FUNCTION || self->kind == JINJA_METHOD)

static bool relation(jinja_session *j, jinja_token_type op, const jinja_value *self,
                     const jinja_value *args, jinja_value *out) {
  bool holds;
  if (!jinja_relation(j, op, self, &args[0], &holds)) return false;
  *out = jinja_bool(holds);
  return true;
}

#define RELATION(name, op)                                                             \
  static bool name(jinja_session *j, const jinja_value *self, const jinja_value *args, \
                   jinja_value *out) {                                                 \
    return relation(j, op, self, args, out);                                           \
  }

RELATION(is_eq, JINJA_T_EQ)
RELATION(is_ne, JINJA_T_NE)
RELATION(is_lt, JINJA_T_LT)
RELATION(is_le, JINJA_T_LE)
RELATION(is_gt, JINJA_T_GT)
RELATION(is_ge, JINJA_T_GE)
RELATION(is_in, JINJA_T_IN)

/* self % divisor == remainder */
static bool has_remainder(jinja_session *j, const jinja_value *self, const jinja_value *divisor,
                          int64_t remainder, jinja_value *out) {
  jinja_value left, wanted = jinja_int(remainder);
  bool equal;
  if (!jinja_binary(j, JINJA_T_MOD, self, divisor, &left) ||
      !jinja_equal(j, &left, &wanted, &equal))
    return false;
  *out = jinja_bool(equal);
  return true;
}

static bool is_odd(jinja_session *j, const jinja_value *self, const jinja_value *args,
                   jinja_value *out) {
  (void)args;
  const jinja_value two = jinja_int(2);
  return has_remainder(j, self, &two, 1, out);
}

static bool is_even(jinja_session *j, const jinja_value *self, const jinja_value *args,
                    jinja_value *out) {
  (void)args;
  const jinja_value two = jinja_int(2);
  return has_remainder(j, self, &two, 0, out);
}

static bool is_divisible(jinja_session *j, const jinja_value *self, const jinja_value *args,
                         jinja_value *out) {
  return has_remainder(j, self, &args[0], 0, out);
}

/* Whether a text has letters with cases and all are in this one. */
static bool has_case(jinja_session *j, const jinja_value *self, jinja_case how, jinja_value *out) {
  jinja_string text, same, other;
  if (!jinja_to_string(j, self, &text) || !jinja_change_case(j, text, how, &same) ||
      !jinja_change_case(j, text, how == JINJA_UPPER ? JINJA_LOWER : JINJA_UPPER, &other))
    return false;
  *out = jinja_bool(jinja_same(text, same) && !jinja_same(text, other));
  return true;
}

static bool is_lower(jinja_session *j, const jinja_value *self, const jinja_value *args,
                     jinja_value *out) {
  (void)args;
  return has_case(j, self, JINJA_LOWER, out);
}

static bool is_upper(jinja_session *j, const jinja_value *self, const jinja_value *args,
                     jinja_value *out) {
  (void)args;
  return has_case(j, self, JINJA_UPPER, out);
}

#define ALONE(name, call) \
  { name, call, 0, {NULL}, JINJA_ABSENT }
#define WITH(name, call, argument) \
  { name, call, 1, {argument}, JINJA_ABSENT }

const jinja_function *jinja_find_test(jinja_string name) {
  static const jinja_function tests[] = {ALONE("defined", is_defined),
                                         ALONE("undefined", is_undefined),
                                         ALONE("none", is_none),
                                         ALONE("boolean", is_boolean),
                                         ALONE("true", is_true),
                                         ALONE("false", is_false),
                                         ALONE("integer", is_integer),
                                         ALONE("float", is_float),
                                         ALONE("number", is_number),
                                         ALONE("string", is_string),
                                         ALONE("mapping", is_mapping),
                                         ALONE("sequence", is_sequence_test),
                                         ALONE("iterable", is_iterable),
                                         ALONE("callable", is_callable),
                                         ALONE("odd", is_odd),
                                         ALONE("even", is_even),
                                         ALONE("lower", is_lower),
                                         ALONE("upper", is_upper),
                                         WITH("divisibleby", is_divisible, "num"),
                                         WITH("equalto", is_eq, "other"),
                                         WITH("eq", is_eq, "other"),
                                         WITH("==", is_eq, "other"),
                                         WITH("ne", is_ne, "other"),
                                         WITH("!=", is_ne, "other"),
                                         WITH("lt", is_lt, "other"),
                                         WITH("<", is_lt, "other"),
                                         WITH("lessthan", is_lt, "other"),
                                         WITH("le", is_le, "other"),
                                         WITH("<=", is_le, "other"),
                                         WITH("gt", is_gt, "other"),
                                         WITH(">", is_gt, "other"),
                                         WITH("greaterthan", is_gt, "other"),
                                         WITH("ge", is_ge, "other"),
                                         WITH(">=", is_ge, "other"),
                                         WITH("in", is_in, "seq"),
                                         ALONE(NULL, NULL)};
  return jinja_find_function(tests, name);
}

/* Calling built-ins, and the global functions. */
#include <string.h>
#include <time.h>

#include "jinja_eval.h"
#include "jinja_print.h"
#include "jinja_text.h"
#include "os.h"

/* --- Arguments --- */

bool jinja_want_string(jinja_session *j, const jinja_value *value, const char *what,
                       jinja_string *out) {
  if (value->kind != JINJA_STRING) return jinja_refuse(j, what, value);
  *out = value->string;
  return true;
}

bool jinja_want_int(jinja_session *j, const jinja_value *value, const char *what, int64_t fallback,
                    int64_t *out) {
  *out = fallback;
  if (value->kind == JINJA_ABSENT || value->kind == JINJA_NONE) return true;
  if (value->kind != JINJA_INT && value->kind != JINJA_BOOL) return jinja_refuse(j, what, value);
  *out = jinja_as_int(value);
  return true;
}

bool jinja_want_truth(const jinja_value *value, bool fallback) {
  return value->kind == JINJA_ABSENT ? fallback : jinja_truth(value);
}

static bool find_parameter(const jinja_function *f, jinja_string name, size_t *index) {
  for (*index = 0; *index < JINJA_MAX_PARAMETERS && f->parameters[*index]; (*index)++)
    if (jinja_is(name, f->parameters[*index])) return true;
  return false;
}

static bool sort_arguments(jinja_session *j, const jinja_function *f,
                           const jinja_arguments *arguments,
                           jinja_value sorted[JINJA_MAX_PARAMETERS]) {
  memset(sorted, 0, JINJA_MAX_PARAMETERS * sizeof *sorted); /* JINJA_ABSENT */
  for (size_t i = 0; i < arguments->count; i++) {
    jinja_string name = arguments->names[i];
    size_t at = i;
    if (name.count && !find_parameter(f, name, &at))
      return jinja_fail(j, GUST_E_UNSUPPORTED,
                        "expected an argument that '%s' takes, found '%.*s', which gust does not "
                        "know; correct the template",
                        f->name, JINJA_SHOWN(name));
    if (at >= JINJA_MAX_PARAMETERS || !f->parameters[at] || sorted[at].kind != JINJA_ABSENT)
      return jinja_fail(j, GUST_E_FORMAT,
                        "expected fewer arguments of '%s', found %zu; correct the template",
                        f->name, arguments->count);
    sorted[at] = arguments->values[i];
  }
  for (size_t i = 0; i < f->required; i++)
    if (sorted[i].kind == JINJA_ABSENT)
      return jinja_fail(j, GUST_E_FORMAT,
                        "expected the argument '%s' of '%s', found none; correct the template",
                        f->parameters[i], f->name);
  return true;
}

/* namespace(a=1) and dict(a=1). */
static bool make_dict(jinja_session *j, const jinja_function *f, const jinja_arguments *arguments,
                      jinja_value *out) {
  if (!jinja_new_dict(j, out)) return false;
  for (size_t i = 0; i < arguments->count; i++) {
    if (arguments->names[i].count == 0)
      return jinja_fail(j, GUST_E_UNSUPPORTED,
                        "expected only named arguments of '%s', found one without a name; "
                        "correct the template",
                        f->name);
    if (!jinja_dict_set(j, out->dict, jinja_str(arguments->names[i]), arguments->values[i]))
      return false;
  }
  out->kind = f->makes;
  return true;
}

bool jinja_call_function(jinja_session *j, const jinja_function *function, const jinja_value *self,
                         const jinja_arguments *arguments, jinja_value *out) {
  if (!function->call) return make_dict(j, function, arguments, out);
  jinja_value sorted[JINJA_MAX_PARAMETERS];
  return sort_arguments(j, function, arguments, sorted) && function->call(j, self, sorted, out);
}

const jinja_function *jinja_find_function(const jinja_function *table, jinja_string name) {
  for (; table->name; table++)
    if (jinja_is(name, table->name)) return table;
  return NULL;
}

bool jinja_apply_filter(jinja_session *j, jinja_string name, const jinja_value *self,
                        const jinja_arguments *arguments, jinja_value *out) {
  const jinja_function *filter = jinja_find_filter(name);
  if (filter) return jinja_call_function(j, filter, self, arguments, out);
  return jinja_fail(j, GUST_E_UNSUPPORTED,
                    "expected a filter, found '%.*s', which gust does not know; rewrite the "
                    "template without it",
                    JINJA_SHOWN(name));
}

bool jinja_apply_test(jinja_session *j, jinja_string name, const jinja_value *self,
                      const jinja_arguments *arguments, bool *holds) {
  const jinja_function *test = jinja_find_test(name);
  if (!test)
    return jinja_fail(j, GUST_E_UNSUPPORTED,
                      "expected a test, found '%.*s', which gust does not know; rewrite the "
                      "template without it",
                      JINJA_SHOWN(name));
  jinja_value out;
  if (!jinja_call_function(j, test, self, arguments, &out)) return false;
  *holds = jinja_truth(&out);
  return true;
}

/* --- The functions --- */

static bool do_range(jinja_session *j, const jinja_value *self, const jinja_value *args,
                     jinja_value *out) {
  (void)self;
  int64_t from, to, step;
  if (!jinja_want_int(j, &args[0], "an integer for range", 0, &from) ||
      !jinja_want_int(j, &args[1], "an integer for range", 0, &to) ||
      !jinja_want_int(j, &args[2], "an integer for range", 1, &step))
    return false;
  if (args[1].kind == JINJA_ABSENT) to = from, from = 0;
  if (step == 0)
    return jinja_fail(j, GUST_E_FORMAT,
                      "expected a step of range other than 0, found 0; correct the template");
  if (!jinja_new_list(j, out)) return false;
  for (int64_t i = from; step > 0 ? i < to : i > to;) {
    if (out->list->count >= JINJA_MAX_RANGE)
      return jinja_fail(j, GUST_E_UNSUPPORTED,
                        "expected a range of at most %d numbers, found more; correct the template",
                        JINJA_MAX_RANGE);
    if (!jinja_append(j, out->list, jinja_int(i))) return false;
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return true;
}

static bool do_raise_exception(jinja_session *j, const jinja_value *self, const jinja_value *args,
                               jinja_value *out) {
  (void)self, (void)out;
  jinja_string message;
  if (!jinja_to_string(j, &args[0], &message)) return false;
  int shown = message.count < 300 ? (int)message.count : 300;
  return jinja_fail(j, GUST_E_ARGUMENT, "the template refuses the conversation: %.*s", shown,
                    message.bytes);
}

static bool local_time(struct tm *broken) {
  return os_local_time(time(NULL), broken);
}

/* One conversion at a time, and only those of the C standard: what strftime
 * does with others is undefined. "%-d" drops the leading zero. */
static bool do_strftime_now(jinja_session *j, const jinja_value *self, const jinja_value *args,
                            jinja_value *out) {
  (void)self;
  jinja_string format = {0};
  jinja_builder b = {0};
  struct tm now;
  if (!jinja_want_string(j, &args[0], "a format for strftime_now", &format)) return false;
  if (!local_time(&now))
    return jinja_fail(j, GUST_E_IO, "expected the date, found no clock; set the system's time");
  for (size_t i = 0; i < format.count; i++) {
    if (format.bytes[i] != '%') {
      if (!jinja_put(j, &b, jinja_cut(format, i, i + 1))) return false;
      continue;
    }
    bool bare = i + 1 < format.count && format.bytes[i + 1] == '-';
    i += bare ? 2 : 1;
    char conversion[] = {'%', i < format.count ? format.bytes[i] : 0, 0}, text[128];
    if (conversion[1] == 0 || !strchr("aAbBcdHIjmMpSUwWxXyYZz%", conversion[1]))
      return jinja_fail(j, GUST_E_UNSUPPORTED,
                        "expected a conversion of C's strftime, found another; correct the "
                        "template");
    size_t bytes = strftime(text, sizeof text, conversion, &now);
    size_t skip = 0;
    while (bare && skip + 1 < bytes && text[skip] == '0') skip++;
    if (!jinja_put_bytes(j, &b, text + skip, bytes - skip, 0)) return false;
  }
  *out = jinja_str(jinja_built(&b));
  return true;
}

const jinja_function *jinja_find_global(jinja_string name) {
  static const jinja_function globals[] = {
      {"range", do_range, 1, {"start", "stop", "step"}, JINJA_ABSENT},
      {"namespace", NULL, 0, {NULL}, JINJA_NAMESPACE},
      {"dict", NULL, 0, {NULL}, JINJA_DICT},
      {"raise_exception", do_raise_exception, 1, {"message"}, JINJA_ABSENT},
      {"strftime_now", do_strftime_now, 1, {"format"}, JINJA_ABSENT},
      {NULL, NULL, 0, {NULL}, JINJA_ABSENT}};
  return jinja_find_function(globals, name);
}

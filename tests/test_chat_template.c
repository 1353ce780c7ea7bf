/* Chat templates: what jinja2 renders (tests/data/chat_templates.txt, whose
 * format scripts/make_template_vectors.py describes), which bytes are the
 * user's, and how hostile templates end. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat_template.h"
#include "check.h"

#define MAX_MESSAGES 16

typedef struct test_case {
  char *name, *file, *source, *bos, *eos;
  bool open;
  gust_message messages[MAX_MESSAGES];
  size_t message_count;
} test_case;

static bool is_blank(char c) {
  return c == ' ' || (c >= 9 && c <= 13);
}

/* --- The fixture --- */

static char hex(const char *digits) {
  const char pair[] = {digits[0], digits[1], 0};
  return (char)strtol(pair, NULL, 16);
}

/* Undoes the fixture's escapes in place; the length is returned. With `mark`
 * not NULL, mark[i] becomes 1 for bytes between \[ and \]. */
static size_t unescape(char *text, char *mark) {
  size_t n = 0;
  char inside = 0;
  for (const char *p = text; *p; p++) {
    char c = *p;
    if (c == '\\') {
      c = *++p;
      if (c == '[' || c == ']') {
        inside = c == '[';
        continue;
      }
      if (c == 'x')
        c = hex(p + 1), p += 2;
      else if (c == 'n')
        c = '\n';
      else if (c == 'r')
        c = '\r';
      else if (c == 't')
        c = '\t';
    }
    if (mark) mark[n] = inside;
    text[n++] = c;
  }
  text[n] = 0;
  return n;
}

static char *take_line(char **at) {
  char *line = *at, *end = strchr(line, '\n');
  if (!end) check_fatal("the fixture ends inside a case", line);
  *end = 0;
  *at = end + 1;
  return line;
}

static void add_message(test_case *t, char *value) {
  char *content = strchr(value, ' ');
  if (!content || t->message_count == MAX_MESSAGES) check_fatal("a bad message", value);
  *content++ = 0;
  gust_message *message = &t->messages[t->message_count++];
  message->role = value;
  message->bytes = unescape(content, NULL);
  message->content = content;
}

static char *load_source(const test_case *t) {
  if (!t->file) {
    char *copy = malloc(strlen(t->source) + 1);
    if (!copy) check_fatal("no memory", t->name);
    strcpy(copy, t->source);
    return copy;
  }
  /* Those gust brings along are not kept twice. */
  char path[256];
  snprintf(path, sizeof path, "src/templates/%s", t->file);
  FILE *known = fopen(path, "rb");
  if (known) {
    fclose(known);
    return check_read_file(path, NULL);
  }
  snprintf(path, sizeof path, "templates/%s", t->file);
  return check_read_file(check_data(path), NULL);
}

static gust_status render(const test_case *t, gust_rendered *rendered, gust_error *err) {
  gust_template_input input = {t->messages, t->message_count, t->open, t->bos, t->eos};
  char *source = load_source(t);
  gust_status status = gust_template_render(source, &input, rendered, err);
  free(source);
  return status;
}

/* --- What must hold --- */

/* Spans ascend, do not touch and lie inside the text. */
static void check_spans(const gust_rendered *r) {
  size_t at = 0;
  for (size_t i = 0; i < r->literal_count; i++) {
    CHECK(r->literal[i].begin < r->literal[i].end);
    CHECK(i == 0 || r->literal[i].begin > at);
    at = r->literal[i].end;
  }
  CHECK(at <= r->bytes);
}

static bool is_literal(const gust_rendered *r, size_t at) {
  for (size_t i = 0; i < r->literal_count; i++)
    if (at >= r->literal[i].begin && at < r->literal[i].end) return true;
  return false;
}

static bool same_marks(const gust_rendered *r, const char *mark) {
  for (size_t i = 0; i < r->bytes; i++)
    if (!is_blank(r->text[i]) && is_literal(r, i) != (mark[i] != 0)) return false;
  return true;
}

static void check_case(const test_case *t, const char *kind, char *value) {
  gust_rendered r;
  gust_error err = {GUST_OK, ""};
  gust_status status = render(t, &r, &err);
  bool good;
  if (!strcmp(kind, "fails")) {
    good = CHECK(status != GUST_OK);
    good = CHECK_CONTAINS(err.text, "chat template line ") && good;
    good = CHECK_CONTAINS(err.text, "expected ") && good;
    good = CHECK_CONTAINS(err.text, ", found ") && good;
  } else if (!strcmp(kind, "error")) {
    unescape(value, NULL);
    good = CHECK_EQ_INT(status, GUST_E_ARGUMENT);
    good = CHECK_EQ_STR(err.text, value) && good;
  } else {
    char *mark = calloc(1, strlen(value) + 1);
    if (!mark) check_fatal("no memory", t->name);
    size_t bytes = unescape(value, mark);
    good = CHECK_EQ_INT(status, GUST_OK) && CHECK_EQ_INT(r.bytes, bytes) &&
           CHECK(memcmp(r.text, value, bytes) == 0) && CHECK(r.text[bytes] == 0);
    if (good && !strcmp(kind, "marked")) good = CHECK(same_marks(&r, mark));
    free(mark);
  }
  check_spans(&r);
  if (!good) {
    printf("  case %s%s%s: %s\n", t->name, t->source ? ", source: " : "",
           t->source ? t->source : "", status ? err.text : r.text);
    if (value) printf("  wanted: %s\n", value);
  }
  gust_rendered_clear(&r);
}

/* One line of a case; true when it was the case's last. */
static bool read_field(test_case *t, char *line) {
  char *value = strchr(line, ' ');
  if (value) *value++ = 0;
  if (!strcmp(line, "case"))
    *t = (test_case){.name = value};
  else if (!strcmp(line, "file"))
    t->file = value;
  else if (!strcmp(line, "source"))
    unescape(t->source = value, NULL);
  else if (!strcmp(line, "bos"))
    t->bos = value;
  else if (!strcmp(line, "eos"))
    t->eos = value;
  else if (!strcmp(line, "open"))
    t->open = *value == '1';
  else if (!strcmp(line, "message"))
    add_message(t, value);
  else
    check_case(t, line, value);
  return !strcmp(line, "text") || !strcmp(line, "marked") || !strcmp(line, "error") ||
         !strcmp(line, "fails");
}

static void test_fixture(void) {
  char *text = check_read_file(check_data("chat_templates.txt"), NULL), *at = text;
  test_case t = {0};
  int cases = 0;
  while (*at) {
    char *line = take_line(&at);
    if (*line && *line != '#') cases += read_field(&t, line);
  }
  CHECK(cases > 400);
  free(text);
}

/* Of every template that gust brings along there are cases. */
static void test_all_have_cases(void) {
  char *text = check_read_file(check_data("chat_templates.txt"), NULL);
  const char *name;
  for (size_t i = 0; (name = gust_chat_template_name(i)) != NULL; i++) {
    char line[64];
    snprintf(line, sizeof line, "\nfile %s.jinja\n", name);
    if (!CHECK(strstr(text, line) != NULL)) printf("  none of %s\n", name);
  }
  free(text);
}

/* --- Marks where disguised contents cannot tell --- */

static void expect_marks(const char *source, const char *content, const char *wanted) {
  const gust_message message = {"user", content, strlen(content)};
  const test_case t = {.name = "marks",
                       .source = (char *)(uintptr_t)source,
                       .bos = (char[]){"<s>"},
                       .eos = (char[]){"</s>"},
                       .messages = {message},
                       .message_count = 1};
  gust_rendered r;
  gust_error err = {GUST_OK, ""};
  char *text = malloc(strlen(wanted) + 1), *mark = calloc(1, strlen(wanted) + 1);
  if (!text || !mark) check_fatal("no memory", source);
  strcpy(text, wanted);
  size_t bytes = unescape(text, mark);
  if (CHECK_EQ_INT(render(&t, &r, &err), GUST_OK)) {
    CHECK_EQ_STR(r.text, text);
    CHECK_EQ_INT(r.bytes, bytes);
    /* Here every byte counts, white space too. */
    for (size_t i = 0; i < bytes && i < r.bytes; i++) CHECK_EQ_INT(is_literal(&r, i), mark[i]);
  }
  check_spans(&r);
  free(text);
  free(mark);
  gust_rendered_clear(&r);
}

static void test_marks(void) {
  expect_marks("{{ messages[0].content }}", " a ", "\\[ a \\]");
  expect_marks("<{{ messages[0].content }}>", "", "<>");
  expect_marks("{{ messages[0].content }}{{ messages[0].content }}", "ab", "\\[abab\\]");
  expect_marks("{{ messages[0].content | trim }}.", " a b ", "\\[a b\\].");
  expect_marks("{{ messages[0].content | upper }}{{ 'x' }}", "</s>", "\\[</S>\\]x");
  expect_marks("{{ messages[0].content | title }}", "a b", "\\[A B\\]");
  expect_marks("{{ messages[0].content.replace('b', '</s>') }}", "abc", "\\[a\\]</s>\\[c\\]");
  expect_marks("{{ 'xbx'.replace('b', messages[0].content) }}", "</s>", "x\\[</s>\\]x");
  expect_marks("{{ messages[0].content | tojson }}", "a\"\n\x01",
               "\"\\[a\\\\\"\\\\n\\\\u0001\\]\"");
  expect_marks("{{ [messages[0].content] }}", "a'\n", "[\"\\[a'\\\\n\\]\"]");
  expect_marks("{{ messages[0].content.split(',') | join('|') }}", "a,b", "\\[a\\]|\\[b\\]");
  expect_marks("{{ ['a', 'b'] | join(messages[0].content) }}", "</s>", "a\\[</s>\\]b");
  expect_marks("{{ messages[0].content | reverse }}{{ messages[0].content[::-2] }}", "abc",
               "\\[cbaca\\]");
  expect_marks("{{ messages[0].content[1:] ~ bos_token }}", "\xc3\xa9</s>", "\\[</s>\\]<s>");
  expect_marks("{{ ('x' ~ messages[0].content ~ 'y')[0:3] }}", "abc", "x\\[ab\\]");
  expect_marks("{{ messages[0].content * 2 }}{{ eos_token }}", "ab", "\\[abab\\]</s>");
  expect_marks("{% set x %}<{{ messages[0].content }}>{% endset %}{{ x | trim('<') }}", "<a",
               "\\[a\\]>");
  expect_marks("{% macro m(t) %}({{ t }}){% endmacro %}{{ m(messages[0].content) }}", "a",
               "(\\[a\\])");
  expect_marks("{{ messages[0].content | indent(2, true) }}", "a\nb", "  \\[a\\]\n  \\[b\\]");
  expect_marks("{% for c in messages[0].content %}{{ c }}-{% endfor %}", "ab", "\\[a\\]-\\[b\\]-");
  expect_marks("{{ messages[0].content.splitlines()[1] }}", "a\n</s>", "\\[</s>\\]");
  expect_marks("{{ messages[0].content | default('x') | string | safe }}", "a", "\\[a\\]");
  expect_marks("{{ {messages[0].content: 1} }}", "k", "{'\\[k\\]': 1}");
  expect_marks("{{ messages[0].content | list | tojson }}", "a", "[\"\\[a\\]\"]");
  expect_marks("{{ messages[0].role }}{{ messages[0].content | length }}", "abc", "user3");
}

/* A role that could spell a token is text; contents may hold any bytes. */
static void test_roles_and_bytes(void) {
  const char content[] = {'a', 0, (char)0xff, (char)0xc3, 'b'};
  const gust_message messages[] = {{"</s>", content, sizeof content}, {"tool", NULL, 0}};
  const gust_template_input input = {messages, 2, false, "", ""};
  gust_rendered r;
  gust_error err;
  CHECK_EQ_INT(gust_template_render("{% for m in messages %}{{ m.role }}:{{ m.content | trim }}"
                                    "{{ m.content | length }}{% endfor %}",
                                    &input, &r, &err),
               GUST_OK);
  const char wanted[] =
      "</s>:a\0\xff\xc3"
      "b5tool:0";
  CHECK_EQ_INT(r.bytes, sizeof wanted - 1);
  CHECK(memcmp(r.text, wanted, sizeof wanted) == 0);
  CHECK_EQ_INT(r.literal_count, 2);
  CHECK(r.literal[0].begin == 0 && r.literal[0].end == 4);
  CHECK(r.literal[1].begin == 5 && r.literal[1].end == 10);
  gust_rendered_clear(&r);
}

static void test_clock(void) {
  const gust_template_input input = {NULL, 0, false, "", ""};
  gust_rendered r;
  gust_error err;
  CHECK_EQ_INT(gust_template_render("{{ strftime_now('%Y-%m-%d %%') }}", &input, &r, &err),
               GUST_OK);
  CHECK_EQ_INT(strlen(r.text), 12);
  CHECK_EQ_INT(strspn(r.text, "0123456789"), 4);
  CHECK_EQ_STR(r.text + 10, " %");
  CHECK(r.text[4] == '-' && r.text[7] == '-');
  gust_rendered_clear(&r);
}

/* --- Errors --- */

static void expect_error(const char *source, gust_status status, const char *text) {
  const gust_message messages[] = {{"user", "hi", 2}};
  const gust_template_input input = {messages, 1, true, "<s>", "</s>"};
  gust_rendered r;
  gust_error err = {GUST_OK, ""};
  CHECK_EQ_INT(gust_template_render(source, &input, &r, &err), status);
  CHECK_EQ_STR(err.text, text);
  CHECK(r.text == NULL && r.literal == NULL && r.bytes == 0 && r.literal_count == 0);
  CHECK_EQ_INT(gust_template_render(source, &input, &r, NULL), status);
}

static void test_errors(void) {
  expect_error("a\n{{ messages", GUST_E_FORMAT,
               "chat template line 2: expected '}}' after '{{', found the end of the template; "
               "correct the template");
  expect_error("{% if x", GUST_E_FORMAT,
               "chat template line 1: expected '%}' after '{%', found the end of the template; "
               "correct the template");
  expect_error("\n\n{# x", GUST_E_FORMAT,
               "chat template line 3: expected '#}' after '{#', found the end of the template; "
               "correct the template");
  expect_error("{% if x %}", GUST_E_FORMAT,
               "chat template line 1: expected the tag endif, found the end of the template; "
               "correct the template");
  expect_error("{% for x in y %}\n{% endif %}", GUST_E_FORMAT,
               "chat template line 2: expected if, for, set, macro, filter, break or continue, "
               "found 'endif'; correct the template");
  expect_error("{{ (1, [2) }}", GUST_E_FORMAT,
               "chat template line 1: expected ']', found ')'; correct the template");
  expect_error("{{ 'x }}", GUST_E_FORMAT,
               "chat template line 1: expected a closing quote, found the end of the template; "
               "correct the template");
  expect_error("{{ $ }}", GUST_E_FORMAT,
               "chat template line 1: expected a name, value or operator, found the character "
               "U+0024; correct the template");
  expect_error("{% include 'x' %}", GUST_E_UNSUPPORTED,
               "chat template line 1: expected if, for, set, macro, filter, break or continue, "
               "found the tag include, which gust does not know; rewrite the template without it");
  expect_error("{{ 1 | nothing }}", GUST_E_UNSUPPORTED,
               "chat template line 1: expected a filter, found 'nothing', which gust does not "
               "know; rewrite the template without it");
  expect_error("{{ 1 is nothing }}", GUST_E_UNSUPPORTED,
               "chat template line 1: expected a test, found 'nothing', which gust does not know; "
               "rewrite the template without it");
  expect_error("{{ tools.x }}", GUST_E_FORMAT,
               "chat template line 1: expected a value with the attribute 'x', found 'tools', "
               "which is undefined; correct the template or give it what it asks for");
  expect_error("{{ messages.append(1) }}", GUST_E_UNSUPPORTED,
               "chat template line 1: expected a list to stay as it is, found a method that "
               "changes it; build a new one with + instead");
  expect_error("{{ 'a' + 1 }}", GUST_E_FORMAT,
               "chat template line 1: expected two numbers, two strings or two lists around '+', "
               "found an integer; correct the template");
  expect_error(
      "{{ 'stra\xc3\x9f"
      "e' | upper }}",
      GUST_E_UNSUPPORTED,
      "chat template line 1: expected letters gust knows both cases of, found U+00DF; "
      "leave the case of this text alone");
  expect_error("x\n{{ raise_exception('bad\nrole') }}", GUST_E_ARGUMENT,
               "chat template line 2: the template refuses the conversation: bad?role");
  expect_error("{{ 9223372036854775807 + 1 }}", GUST_E_UNSUPPORTED,
               "chat template line 1: expected integers within 64 bits, found a larger one; "
               "correct the template");
  expect_error("{{ strftime_now('%Q') }}", GUST_E_UNSUPPORTED,
               "chat template line 1: expected a conversion of C's strftime, found another; "
               "correct the template");
}

/* `part` written `times` times, between `before` and `after`; to be freed. */
static char *repeated(const char *before, const char *part, size_t times, const char *after) {
  size_t bytes = strlen(part);
  char *text = malloc(strlen(before) + bytes * times + strlen(after) + 1);
  if (!text) check_fatal("no memory", before);
  char *at = text + sprintf(text, "%s", before);
  for (size_t i = 0; i < times; i++, at += bytes) memcpy(at, part, bytes);
  strcpy(at, after);
  return text;
}

static void expect_bound(const char *before, const char *part, size_t times, const char *after,
                         const char *error) {
  char *source = repeated(before, part, times, after);
  expect_error(source, GUST_E_UNSUPPORTED, error);
  free(source);
}

static void test_bounds(void) {
  static const char deep[] =
      "chat template line 1: expected at most 200 nested levels, found more; simplify the template";
  static const char steps[] =
      "chat template line 1: expected at most 20000000 steps, found more; shorten the "
      "conversation or simplify the template's loops";
  static const char memory[] =
      "chat template line 1: expected at most 256 MiB of memory in use, found more; shorten the "
      "conversation or simplify the template";
  static const char output[] =
      "chat template line 1: expected a prompt of at most 16 MiB, found more; shorten the "
      "conversation or simplify the template";
  expect_bound("{{ ", "not ", 5000, "1 }}", deep);
  expect_bound("{{ ", "-", 5000, "1 }}", deep);
  expect_bound("{{ 1", " if 1 else 1", 5000, " }}", deep);
  expect_bound("{{ 1", "+1", 5000, " }}", deep);
  expect_bound("{{ x", ".x", 5000, " }}", deep);
  expect_bound("{{ 1", "|abs", 5000, " }}", deep);
  expect_bound("", "{% if 1 %}", 5000, "", deep);
  expect_bound("", "{% for x in [1] %}", 5000, "", deep);
  expect_bound("{% macro m() %}", "{{ m() }}", 1, "{% endmacro %}{{ m() }}", deep);
  expect_bound("{% macro a() %}{{ b() }}{% endmacro %}", "{% macro b() %}", 1,
               "{{ a() }}{% endmacro %}{{ a() }}", deep);
  expect_bound("{% set n = namespace(x=[]) %}{% for i in range(300) %}", "{% set n.x = [n.x] %}", 1,
               "{% endfor %}{{ n.x }}", deep);
  expect_bound("{% set n = namespace(x=[]) %}{% for i in range(300) %}", "{% set n.x = [n.x] %}", 1,
               "{% endfor %}{{ n.x == [n.x] }}{{ n.x | tojson }}", deep);
  expect_bound("{% set n = namespace(x=[1]) %}{% for i in range(60) %}",
               "{% set n.x = [n.x, n.x] %}", 1, "{% endfor %}{% set y = n.x == n.x %}", steps);
  expect_bound("{% for a in range(99999) %}", "{% for b in range(99999) %}", 1,
               "{% endfor %}{% endfor %}", memory);
  expect_bound("{% set r = range(3000) %}{% for a in r %}",
               "{% if a in r and -1 in r %}{% endif %}", 20, "{% endfor %}", steps);
  expect_bound("{% set x = 'a' * 1000000 %}", "{% set y = 'a' * 500000 ~ 'b' %}", 1, "{{ y in x }}",
               steps);
  expect_bound("{{ 'x' * 10000000000 ", "", 0, "}}", steps);
  expect_bound("{{ 'x' * 9 ", "* 1000", 6, "}}", memory);
  expect_bound("{{ [0] * 9 ", "* 1000", 6, "}}", memory);
  expect_bound("{% set x = 'x' * 10000000 %}", "{{ x }}", 2, "", output);
  expect_bound("{% set n = namespace(x='xy') %}{% for i in range(99) %}",
               "{% set n.x = n.x ~ n.x %}", 1, "{% endfor %}", memory);
  expect_bound("{% set n = namespace(x='xy') %}{% for i in range(99) %}",
               "{% set n.x = n.x.replace('x', n.x) %}", 1, "{% endfor %}", memory);
  expect_bound("{% set s = 'b' * 100000 %}{% for i in range(1000) %}",
               "{% set y = 'a'.lstrip(s) %}", 1, "{% endfor %}", steps);
  char *arguments = repeated(") %}{% endmacro %}{{ m(1", ",1", 5000, ") }}");
  expect_bound("{% macro m(a", ",a", 5000, arguments, steps);
  free(arguments);
  expect_bound("{% set x = [0.1] * 400000 %}", "{{ x }}", 1, "", steps);
  expect_bound("{{ range(100001) ", "", 0, "}}",
               "chat template line 1: expected a range of at most 100000 numbers, found more; "
               "correct the template");
  expect_bound("", "x", 262145, "",
               "chat template line 1: expected a template of at most 262144 bytes, found 262145; "
               "shorten it");
  char *brackets = repeated("{{ ", "(", 5000, "");
  expect_error(brackets, GUST_E_FORMAT,
               "chat template line 1: expected at most 100 open brackets, found more; correct the "
               "template");
  free(brackets);
}

int main(void) {
  test_fixture();
  test_all_have_cases();
  test_marks();
  test_roles_and_bytes();
  test_clock();
  test_errors();
  test_bounds();
  return check_finish();
}

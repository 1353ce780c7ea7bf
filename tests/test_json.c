/* quantize/json.h: values, errors with their places, duplicate names, and the
 * JSONTestSuite where it is at hand. */
#include "json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "os.h"

/* A copy of exactly the bytes, so that a sanitizer sees a read past them. */
static json_document *parse_bytes(const char *text, size_t bytes, unsigned flags, gust_error *err) {
  char *copy = malloc(bytes ? bytes : 1);
  if (!copy) check_fatal("malloc", "a copy");
  memcpy(copy, text, bytes);
  json_document *doc = NULL;
  *err = (gust_error){0};
  gust_status status = json_parse(&doc, copy, bytes, "t.json", flags, err);
  CHECK_EQ_INT(status, err->status);
  CHECK((status == GUST_OK) == (doc != NULL));
  if (doc) json_free(doc);
  free(copy);
  return doc;
}

static void refuse(const char *text, const char *message) {
  gust_error err;
  CHECK(!parse_bytes(text, strlen(text), JSON_UNIQUE_KEYS, &err));
  CHECK_EQ_INT(err.status, GUST_E_FORMAT);
  CHECK_EQ_STR(err.text, message);
}

static void test_errors(void) {
  refuse("", "t.json:1:1: expected a value, found the end");
  refuse("[1,\n 2,\n  x]", "t.json:3:3: expected a value, found 'x'");
  refuse("[1 2]", "t.json:1:4: expected ',' or ']', found '2'");
  refuse("{\"a\":1,}", "t.json:1:8: expected a member's name in quotes, found '}'");
  refuse("{\"a\" 1}", "t.json:1:6: expected ':', found '1'");
  refuse("{\"a\":1", "t.json:1:7: expected ',' or '}', found the end");
  refuse("[] []", "t.json:1:4: expected the end of the text, found '['");
  refuse("01", "t.json:1:2: expected no digit after a leading zero, found '1'");
  refuse("1.", "t.json:1:3: expected a digit, found the end");
  refuse("-", "t.json:1:2: expected a digit, found the end");
  refuse("1e+", "t.json:1:4: expected a digit, found the end");
  refuse("nul", "t.json:1:4: expected null, found the end");
  refuse("\"a\tb\"", "t.json:1:3: expected a string's character or an escape, found byte 0x09");
  refuse("\"abc", "t.json:1:5: expected the end of a string, found the end of the text");
  refuse("\"\\x\"", "t.json:1:3: expected an escape of \"\\/bfnrtu, found 'x'");
  refuse("\"\\u12g4\"", "t.json:1:6: expected a hexadecimal digit, found 'g'");
  refuse("\"\\ud800\"", "t.json:1:2: expected a pair of surrogate escapes, found a lone \\ud800");
  refuse("\"\\udc00\"", "t.json:1:2: expected a pair of surrogate escapes, found a lone \\udc00");
  refuse("\"\\ud800\\u0041\"",
         "t.json:1:2: expected a pair of surrogate escapes, found a lone \\ud800");
  refuse("\"\xff\"", "t.json:1:2: expected UTF-8 text, found byte 0xff");
  refuse("\"\xc0\x80\"", "t.json:1:2: expected UTF-8 text, found byte 0xc0");
  refuse("\"\xed\xa0\x80\"", "t.json:1:2: expected UTF-8 text, found byte 0xed");
  refuse("\"\xf4\x90\x80\x80\"", "t.json:1:2: expected UTF-8 text, found byte 0xf4");
  refuse("\"\xe2\x96", "t.json:1:2: expected UTF-8 text, found byte 0xe2");
  refuse("{\"a\":1,\n\"b\":{\"x\":1,\"\\u0078\":2}}",
         "t.json:2:21: expected each name once in an object, found \"x\" again");
}

static void test_depth(void) {
  enum { MOST = JSON_MAX_DEPTH };
  char text[2 * MOST + 4];
  gust_error err;
  memset(text, '[', MOST);
  memset(text + MOST, ']', MOST);
  CHECK(parse_bytes(text, 2 * MOST, 0, &err));
  memset(text, '[', MOST + 1);
  CHECK(!parse_bytes(text, MOST + 1, 0, &err));
  CHECK_EQ_STR(err.text, "t.json:1:257: expected at most 256 levels of nesting, found more");
}

static json_document *parse(const char *text) {
  json_document *doc;
  gust_error err;
  if (json_parse(&doc, text, strlen(text), "t.json", 0, &err)) check_fatal("parse", err.text);
  return doc;
}

static void test_tree(void) {
  json_document *doc = parse(
      " { \"list\" : [ 1, [], {\"k\": [2, 3]}, \"x\" ], \"a\\u0000b\": true, \"\": null,"
      " \"twice\": 1, \"twice\": 2 } ");
  const json_value *root = json_root(doc), *list = json_get(root, "list");
  CHECK_EQ_INT(json_count(root), 5);
  CHECK_EQ_INT(json_count(list), 4);
  static const json_type types[] = {JSON_NUMBER, JSON_ARRAY, JSON_OBJECT, JSON_STRING};
  size_t count = 0;
  for (const json_value *v = json_first(list); v && count < 4; v = json_next(list, v))
    CHECK_EQ_INT(json_type_of(v), types[count++]);
  CHECK_EQ_INT(count, 4);
  const json_value *second = json_next(root, json_first(root));
  size_t bytes;
  const char *key = json_key(second, &bytes);
  CHECK(bytes == 3 && memcmp(key, "a\0b", 3) == 0);
  bool truth = false;
  CHECK(json_bool(second, &truth) && truth);
  CHECK(json_is(json_get(root, ""), JSON_NULL));
  int64_t number = 0;
  CHECK(json_int64(json_get(root, "twice"), 0, 9, &number));
  CHECK_EQ_INT(number, 2);
  CHECK(!json_get(root, "lis") && !json_get(list, "list") && !json_get(NULL, "list"));
  CHECK(!json_first(NULL) && !json_text(list, &bytes) && !json_int64(NULL, 0, 1, &number));
  json_free(doc);
  json_free(NULL);
}

static void test_strings(void) {
  json_document *doc = parse(
      "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\", \"\\u00e9\\u2581\\ud83d\\ude00\", \"\xe2\x96\x81 plain\","
      " \"\\u0000\"]");
  const json_value *list = json_root(doc), *v = json_first(list);
  CHECK(json_text_is(v, "\"\\/\b\f\n\r\t"));
  v = json_next(list, v);
  CHECK(json_text_is(v, "\xc3\xa9\xe2\x96\x81\xf0\x9f\x98\x80"));
  v = json_next(list, v);
  CHECK(json_text_is(v, "\xe2\x96\x81 plain"));
  char *copy = json_text_copy(v);
  CHECK(copy && strcmp(copy, "\xe2\x96\x81 plain") == 0);
  free(copy);
  v = json_next(list, v);
  size_t bytes;
  const char *text = json_text(v, &bytes);
  CHECK(bytes == 1 && text[0] == '\0');
  CHECK(!json_text_copy(v) && !json_text_is(v, ""));
  json_free(doc);
}

static bool integer(const char *literal, int64_t *number) {
  json_document *doc = parse(literal);
  bool is = json_int64(json_root(doc), INT64_MIN, INT64_MAX, number);
  json_free(doc);
  return is;
}

static bool real(const char *literal, double *number) {
  json_document *doc = parse(literal);
  bool is = json_double(json_root(doc), number);
  json_free(doc);
  return is;
}

static void test_numbers(void) {
  int64_t i = 7;
  CHECK(integer("9223372036854775807", &i) && i == INT64_MAX);
  CHECK(integer("-9223372036854775808", &i) && i == INT64_MIN);
  CHECK(integer("-0", &i) && i == 0);
  CHECK(integer("9007199254740993", &i) && i == 9007199254740993); /* no double is that */
  i = 7;
  CHECK(!integer("9223372036854775808", &i) && !integer("-9223372036854775809", &i));
  CHECK(!integer("1.0", &i) && !integer("1e2", &i) && !integer("true", &i));
  CHECK_EQ_INT(i, 7);
  double d = 7;
  CHECK(real("1e-05", &d) && d == 1e-05);
  CHECK(real("0.1", &d) && d == 0.1);
  CHECK(real("-2.5E+3", &d) && d == -2500.0);
  CHECK(real("9007199254740993", &d) && d == 9007199254740992.0);
  CHECK(real("5e-324", &d) && d == 5e-324);
  CHECK(real("1e-999", &d) && d == 0.0);
  d = 7;
  CHECK(!real("1e999", &d) && !real("-1e999", &d) && !real("\"1\"", &d));
  CHECK(d == 7);
}

static void test_need(void) {
  json_document *doc = parse("{\"n\": 5,\n \"s\": \"x\", \"r\": 1e999}");
  const json_value *root = json_root(doc), *value = NULL;
  gust_error err;
  int64_t number;
  double decimal;
  bool truth;
  CHECK_EQ_INT(json_need(doc, root, "n", JSON_NUMBER, &value, &err), GUST_OK);
  CHECK_EQ_INT(json_need_int64(doc, root, "n", 0, 5, &number, &err), GUST_OK);
  CHECK_EQ_INT(number, 5);
  CHECK_EQ_INT(json_need_double(doc, root, "n", &decimal, &err), GUST_OK);
  CHECK(decimal == 5);
  CHECK_EQ_INT(json_need_int64(doc, root, "n", 6, 9, &number, &err), GUST_E_FORMAT);
  CHECK_EQ_STR(err.text, "t.json:1:7: \"n\": expected an integer from 6 to 9, found 5");
  CHECK_EQ_INT(json_need_double(doc, root, "r", &decimal, &err), GUST_E_FORMAT);
  CHECK_EQ_STR(err.text, "t.json:2:17: \"r\": expected a finite number, found 1e999");
  CHECK_EQ_INT(json_need_bool(doc, root, "s", &truth, &err), GUST_E_FORMAT);
  CHECK_EQ_STR(err.text, "t.json:2:7: \"s\": expected true or false, found a string");
  CHECK_EQ_INT(json_need(doc, root, "z", JSON_ARRAY, &value, &err), GUST_E_FORMAT);
  CHECK_EQ_STR(err.text, "t.json:1:1: expected \"z\" (an array), found no such member");
  CHECK_EQ_INT(json_need(doc, value, "z", JSON_ARRAY, &value, NULL), GUST_E_FORMAT);
  json_free(doc);
}

/* Every beginning of a text, and every byte of it replaced, must be refused or
 * parsed without a fault; that is for the sanitizers to say. */
static void test_damage(void) {
  static const char text[] =
      "{\"a\\u00e9\":[1.5e3,-2,\"\\ud83d\\ude00\xc3\xa9\",null,{\"b\":true}]}";
  static const char bytes[] = {'"', '\\', '{', ']', 'u', '\0', (char)0xe2, '9'};
  size_t length = sizeof text - 1;
  gust_error err;
  for (size_t i = 0; i < length; i++) {
    CHECK(!parse_bytes(text, i, JSON_UNIQUE_KEYS, &err));
    CHECK_CONTAINS(err.text, "t.json:1:");
    for (size_t b = 0; b < sizeof bytes; b++) {
      char damaged[sizeof text];
      memcpy(damaged, text, sizeof text);
      damaged[i] = bytes[b];
      parse_bytes(damaged, length, JSON_UNIQUE_KEYS, &err);
    }
  }
  CHECK(parse_bytes(text, length, JSON_UNIQUE_KEYS, &err));
}

typedef struct suite {
  const char *folder;
  int accepted, refused;
} suite;

static bool check_text(void *user, const char *name) {
  suite *s = user;
  if (!strstr(name, ".json")) return false;
  char path[1024];
  snprintf(path, sizeof path, "%s/%s", s->folder, name);
  size_t bytes;
  gust_error err;
  char *text = check_read_file(path, &bytes);
  bool parsed = parse_bytes(text, bytes, 0, &err) != NULL;
  if (name[0] == 'y' && !check_that(parsed, __FILE__, __LINE__, name)) puts(err.text);
  if (name[0] == 'n') check_that(!parsed, __FILE__, __LINE__, name);
  s->accepted += name[0] == 'y';
  s->refused += name[0] == 'n';
  free(text);
  return false;
}

static void test_suite(void) {
  suite s = {.folder = check_refs("json/test_parsing")};
  if (!s.folder) {
    check_part_skipped("JSONTestSuite", "GUST_TEST_REFS holds no json/test_parsing");
    return;
  }
  if (!os_list_folder(s.folder, check_text, &s)) check_fatal("cannot list", s.folder);
  printf("JSONTestSuite: %d texts to accept, %d to refuse\n", s.accepted, s.refused);
  CHECK(s.accepted > 50 && s.refused > 100);
}

int main(void) {
  test_errors();
  test_depth();
  test_tree();
  test_strings();
  test_numbers();
  test_need();
  test_damage();
  test_suite();
  return check_finish();
}

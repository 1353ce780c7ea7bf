/* The parts of gust chat: messages, files, marks, seeds, harmless text, the
 * numbers after an answer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../src/cli/chat_json_line.h"
#include "../src/cli/chat_marks.h"
#include "../src/cli/chat_messages.h"
#include "../src/cli/chat_status.h"
#include "../src/cli/chat_transcript.h"
#include "../src/cli/chat_turn.h"
#include "../src/cli/screen_text.h"
#include "check.h"
#include "demo_model.h"

static void add(chat_messages *messages, const char *role, const char *content) {
  gust_error err;
  CHECK_EQ_INT(chat_messages_add(messages, role, content, strlen(content), &err), GUST_OK);
}

static void test_messages(void) {
  chat_messages m = {0}, tail = {0};
  gust_error err;
  add(&m, "user", "a");
  add(&m, "assistant", "b");
  CHECK_EQ_INT(chat_messages_set_system(&m, "s", 1, &err), GUST_OK);
  CHECK_EQ_STR(m.items[0].content, "s");
  CHECK_EQ_STR(m.items[2].content, "b");
  add(&m, "user", "c");
  add(&m, "assistant", "d");
  CHECK_EQ_INT(chat_messages_turns(&m), 2);
  CHECK_EQ_INT(chat_messages_turn(&m, 0), 1);
  CHECK_EQ_INT(chat_messages_turn(&m, 1), 3);
  CHECK_EQ_INT(chat_messages_turn(&m, 2), 5);
  CHECK_EQ_INT(chat_messages_cut(&m, 3, 2, &tail, &err), GUST_OK);
  CHECK_EQ_INT(m.count, 3);
  chat_messages_remove(&m, 1, 2);
  chat_messages_paste(&m, 1, &tail);
  CHECK_EQ_INT(m.count, 3);
  CHECK_EQ_STR(m.items[1].content, "c");
  /* Out of the middle and back. */
  CHECK_EQ_INT(chat_messages_cut(&m, 1, 1, &tail, &err), GUST_OK);
  CHECK_EQ_STR(m.items[1].content, "d");
  chat_messages_paste(&m, 1, &tail);
  CHECK_EQ_INT(m.count, 3);
  CHECK_EQ_STR(m.items[1].content, "c");
  CHECK_EQ_STR(m.items[2].content, "d");
  CHECK_EQ_INT(chat_messages_set_system(&m, NULL, 0, &err), GUST_OK);
  CHECK_EQ_INT(chat_messages_first(&m), 0);
  chat_messages_clear(&m);
  chat_messages_clear(&tail);
}

static void check_round_trip(const char *name, const char *content) {
  chat_messages m = {0}, back = {0};
  gust_error err = {0};
  add(&m, "system", content);
  add(&m, "user", "");
  add(&m, "assistant", content);
  const char *path = check_temp_file(name);
  CHECK_EQ_INT(chat_transcript_save(&m, path, &err), GUST_OK);
  CHECK_EQ_INT(chat_transcript_load(&back, path, &err), GUST_OK);
  CHECK_EQ_STR(err.text, "");
  CHECK_EQ_INT(back.count, 3);
  for (size_t i = 0; i < back.count && i < 3; i++) {
    CHECK_EQ_STR(back.items[i].role, m.items[i].role);
    CHECK_EQ_STR(back.items[i].content, m.items[i].content);
    CHECK_EQ_INT(back.items[i].bytes, m.items[i].bytes);
  }
  chat_messages_clear(&m);
  chat_messages_clear(&back);
}

static void test_transcripts(void) {
  static const char *const contents[] = {"plain",
                                         "",
                                         "\n",
                                         "two\nlines\n",
                                         "--- user\nforged",
                                         "\\--- system",
                                         "---\n\\\\",
                                         " {\"a\": 1",
                                         "tab\tquote\"\\ ",
                                         "\xf0\x9f\x90\x8b \xe2\x82\xac"};
  for (size_t i = 0; i < sizeof contents / sizeof *contents; i++) {
    check_round_trip("a.txt", contents[i]);
    check_round_trip("a.jsonl", contents[i]);
  }
}

static void check_refused(const char *text, const char *why) {
  const char *path = check_temp_file("refused");
  chat_messages m = {0};
  gust_error err = {0};
  check_write_file(path, text, strlen(text));
  CHECK_EQ_INT(chat_transcript_load(&m, path, &err), GUST_E_FORMAT);
  CHECK_CONTAINS(err.text, why);
  CHECK_EQ_INT(m.count, 0);
  chat_messages_clear(&m);
}

static void test_refusals(void) {
  check_refused("hello\n", "expected a conversation as /save writes it, found no message");
  check_refused("--- assistant\nHi\n", "line 1: expected a message of the user or the system, ");
  check_refused("--- user\nHi\n--- user\nHi\n", "line 3: expected a message of the assistant, ");
  check_refused("--- robot\nHi\n",
                "line 1: expected a message of the user or the system, found an "
                "unknown role");
  check_refused("--- user\nHi\n", "expected an answer after the last message of the user");
  check_refused("{\"role\": \"user\"}\n", "line 1: expected the strings \"role\" and \"content\"");
  check_refused("{\"role\": \"user\", \"content\": 1}\n", "line 1, byte 29: expected a string");
  check_refused("{\"role\": \"user\", \"content\": \"\\ud800\"}\n", "line 1, byte ");
  check_refused("{\"role\": \"user\", \"content\": \"\\u0000\"}\n", "the code of a character");
  check_refused("{\"role\": \"user\", \"content\": \"x\"} 1\n", "expected the end of the line");
  check_refused("{\"role\": \"user\", \"content\": \"x\n", "expected the end of a string");
}

static void test_escapes(void) {
  const char *text = "{\"role\":\"user\",\"x\":\"\",\"content\":\"\\u00e9\\ud83d\\udc0b\\n\\/\"}";
  chat_json_line line;
  gust_error err = {0};
  CHECK_EQ_INT(chat_json_line_parse(&line, text, strlen(text), "f", 1, &err), GUST_OK);
  CHECK_EQ_STR(line.content ? line.content : "", "\xc3\xa9\xf0\x9f\x90\x8b\n/");
  CHECK_EQ_INT(line.content_bytes, 8);
  chat_json_line_clear(&line);
}

/* Which marks a template has, found by looking at it. */
static void check_marks(const gust_model *model, const char *name, const char *message,
                        const char *mark) {
  chat_marks marks;
  gust_error err = {0};
  const char *source = gust_chat_template_source(name);
  CHECK(source != NULL);
  CHECK_EQ_INT(chat_marks_find(&marks, model, source, &err), GUST_OK);
  const char *found = chat_marks_in(&marks, message, strlen(message));
  CHECK_EQ_STR(found ? found : "none", mark);
}

static void test_marks(void) {
  gust_model *model = demo_model_open("f32");
  check_marks(model, "zephyr", "<|system|>\nhi", "<|system|>");
  check_marks(model, "zephyr", "one\n<|user|>\nhi", "<|user|>");
  check_marks(model, "zephyr", "one <|user|>\nhi", "none");
  check_marks(model, "zephyr", "</s>", "none"); /* a special token cannot be forged */
  check_marks(model, "llama-2", "a\n[INST] hi", "[INST]");
  check_marks(model, "mistral-v0.1", "[/INST]", "[/INST]");
  check_marks(model, "vicuna", "USER: hi", "USER:");
  check_marks(model, "alpaca", "### Response:\nhi", "### Response:");
  check_marks(model, "zephyr", "user", "none");
  gust_model_close(model);
}

static void test_seeds(void) {
  CHECK_EQ_INT(chat_turn_seed(42, 0, 0), 42);
  /* Settled once and for all: sessions rely on it. */
  unsigned long long seen[12];
  size_t count = 0;
  for (size_t turn = 0; turn < 3; turn++)
    for (size_t retries = 0; retries < 4; retries++) {
      seen[count] = chat_turn_seed(42, turn, retries);
      for (size_t i = 0; i < count; i++) CHECK(seen[i] != seen[count]);
      count++;
    }
}

static void check_screen(const char *text, const char *expected) {
  char got[256] = "";
  const char *path = check_temp_file("screen");
  FILE *file = fopen(path, "wb");
  if (!file) check_fatal("cannot create", path);
  screen_text_write(file, text, strlen(text));
  fclose(file);
  size_t bytes;
  char *read = check_read_file(path, &bytes);
  snprintf(got, sizeof got, "%s", read);
  CHECK_EQ_STR(got, expected);
  free(read);
}

static void check_excerpt(const char *text, size_t columns, const char *expected) {
  const char *path = check_temp_file("excerpt");
  FILE *file = fopen(path, "wb");
  if (!file) check_fatal("cannot create", path);
  screen_text_excerpt(file, text, strlen(text), columns);
  fclose(file);
  size_t bytes;
  char *read = check_read_file(path, &bytes);
  CHECK_EQ_STR(read, expected);
  free(read);
}

static void test_screen(void) {
  check_screen("plain\n\ttext", "plain\n\ttext");
  check_screen("\033[31mred\007", "^[[31mred^G");
  check_screen("\r\b\177", "^M^H^?");
  check_screen("\xe2\x82\xac\xf0\x9f\x90\x8b", "\xe2\x82\xac\xf0\x9f\x90\x8b");
  char c1[8] =
      "\xc2\x9b"
      "x";
  const char *path = check_temp_file("c1");
  FILE *file = fopen(path, "wb");
  if (!file) check_fatal("cannot create", path);
  screen_text_write(file, c1, strlen(c1));
  fclose(file);
  size_t bytes;
  char *read = check_read_file(path, &bytes);
  CHECK(!strstr(read, "\xc2\x9b"));
  free(read);
  check_excerpt("  one two", 20, "one two");
  check_excerpt("one two three", 10, "one two...");
  check_excerpt("one\ntwo", 10, "one...");
  check_excerpt("\033x", 10, "^[x");
}

/* --- the numbers after an answer ------------------------------------------------------- */

static void expect_status(unsigned columns, const char *expected) {
  const cli_answer answer = {.count = 154,
                             .prompt_tokens = 153,
                             .fed_tokens = 28,
                             .prefill_seconds = 28 / 7959.7,
                             .decode_seconds = 154 / 273.1};
  char line[160];
  size_t length = chat_status_format(line, sizeof line, columns, &answer, 307, 2048);
  CHECK_EQ_STR(line, expected);
  CHECK_EQ_INT(length, strlen(expected));
  CHECK(length < columns);
}

static void test_status(void) {
  const char *whole =
      "154 tokens, prefill 7959.7 t/s (28 of 153 new), decode 273.1 t/s, context 307/2048";
  const char *rounded =
      "154 tokens, prefill 7960 t/s (28 of 153 new), decode 273.1 t/s, context 307/2048";
  const char *shorter = "154 tokens, prefill 7960 t/s (28), decode 273.1 t/s, 307/2048";
  expect_status(100, whole);
  expect_status((unsigned)strlen(whole) + 1, whole);
  expect_status((unsigned)strlen(whole), rounded);
  expect_status(80, shorter);
  expect_status(40, "154 tokens, 273.1 t/s, 307/2048");
  expect_status(12, "154 tokens");
}

int main(void) {
  test_status();
  test_messages();
  test_transcripts();
  test_refusals();
  test_escapes();
  test_marks();
  test_seeds();
  test_screen();
  return check_finish();
}

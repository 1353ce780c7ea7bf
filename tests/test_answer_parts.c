/* What gust run is made of: stop texts, log-probabilities, whether input is text;
 * and the templates chosen by name. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "cli/logprobs.h"
#include "cli/stop_search.h"
#include "cli/utf8_check.h"

/* --- stop texts ------------------------------------------------------------------- */

/* Feeds `text` in pieces of `step` bytes and writes what is let out, with '|'
 * after what each piece released and '!' where a stop text was found. */
static void run_search(char *seen, const char *const *stops, size_t count, const char *text,
                       size_t step) {
  stop_search *search;
  gust_error err;
  char whole[256];
  size_t bytes = strlen(text), shown = 0, used = 0;
  *seen = 0;
  if (!CHECK_EQ_INT(stop_search_create(&search, stops, count, &err), GUST_OK)) return;
  for (size_t at = 0; at < bytes; at += step) {
    size_t taken, n = bytes - at < step ? bytes - at : step;
    size_t found = stop_search_feed(search, text + at, n, &taken);
    memcpy(whole + used, text + at, taken);
    used += taken;
    size_t end = used - (found ? found : stop_search_pending(search));
    CHECK(end >= shown); /* nothing that was let out is taken back */
    sprintf(seen + strlen(seen), "%.*s%s", (int)(end - shown), whole + shown, found ? "!" : "|");
    shown = end;
    if (found) break;
  }
  stop_search_destroy(search);
}

static void expect_pieces(const char *stop, const char *text, size_t step, const char *wanted) {
  char seen[512];
  run_search(seen, &stop, 1, text, step);
  CHECK_EQ_STR(seen, wanted);
}

static void test_stops(void) {
  expect_pieces("END", "the END.", 1, "t|h|e| |||!");
  expect_pieces("END", "the END.", 100, "the !");
  expect_pieces("END", "E ENE END", 2, "E ||ENE ||!");
  expect_pieces("END", "EN", 1, "||");
  expect_pieces("aab", "aaab", 1, "||a|!");
  expect_pieces("abab", "abaabab", 3, "|aba|!");
  expect_pieces("\xc3\xa4", "a\xc3\xa4z", 2, "a|!");
  expect_pieces("x", "", 1, "");
}

/* The cut into pieces makes no difference, nor does the order of the texts. */
static void test_several_stops(void) {
  static const char *const stops[] = {"bc", "abcd", "zz", "c"};
  static const char *const turned[] = {"c", "zz", "abcd", "bc"};
  for (size_t step = 1; step < 8; step++) {
    char seen[512], again[512], plain[512];
    run_search(seen, stops, 4, "xxabcdz", step);
    run_search(again, turned, 4, "xxabcdz", step);
    CHECK_EQ_STR(seen, again);
    size_t n = 0;
    for (const char *c = seen; *c; c++)
      if (*c != '|') plain[n++] = *c;
    plain[n] = 0;
    CHECK_EQ_STR(plain, "xxa!"); /* "bc" and "c" are complete at once, before "abcd" */
  }
  char seen[512];
  run_search(seen, NULL, 0, "anything", 3);
  CHECK_EQ_STR(seen, "any|thi|ng|");
}

/* Against the plain definition, on random texts of two letters. */
static void test_random_stops(void) {
  unsigned long long state = 7;
  for (int round = 0; round < 2000; round++) {
    char stop[2][8], text[40];
    for (int s = 0; s < 2; s++) {
      size_t length = 1 + check_random(&state) % 6;
      for (size_t i = 0; i < length; i++) stop[s][i] = "ab"[check_random(&state) % 2];
      stop[s][length] = 0;
    }
    for (size_t i = 0; i < sizeof text - 1; i++) text[i] = "aab"[check_random(&state) % 3];
    text[sizeof text - 1] = 0;
    size_t cut = strlen(text);
    for (size_t end = 1; end < sizeof text && cut == sizeof text - 1; end++)
      for (int s = 0; s < 2; s++) {
        size_t length = strlen(stop[s]);
        if (length <= end && memcmp(text + end - length, stop[s], length) == 0 &&
            end - length < cut)
          cut = end - length;
      }
    const char *const stops[] = {stop[0], stop[1]};
    char seen[512], plain[64];
    run_search(seen, stops, 2, text, 1 + check_random(&state) % 5);
    size_t n = 0;
    for (const char *c = seen; *c; c++)
      if (*c != '|' && *c != '!') plain[n++] = *c;
    if (cut < sizeof text - 1) CHECK(n == cut && memcmp(plain, text, n) == 0);
    if (cut == sizeof text - 1) CHECK(strchr(seen, '!') == NULL);
  }
}

/* --- log-probabilities ------------------------------------------------------------- */

static void test_log_sum(void) {
  const float equal[] = {0, 0, 0, 0};
  CHECK(fabs(logprobs_log_sum(equal, 4) - log(4)) < 1e-15);
  const float large[] = {1000, 999, -1000};
  CHECK(fabs(logprobs_log_sum(large, 3) - (1000 + log(1 + exp(-1)))) < 1e-12);
  CHECK(logprobs_log_sum(large + 2, 1) == -1000);
}

/* --- text or not -------------------------------------------------------------------- */

static void expect_text(const char *bytes, size_t count, const char *error) {
  gust_error err = {GUST_OK, ""};
  gust_status status = utf8_check_text("here", bytes, count, &err);
  CHECK_EQ_INT(status, *error ? GUST_E_ARGUMENT : GUST_OK);
  CHECK_EQ_STR(err.text, error);
}

static void test_utf8(void) {
  expect_text("", 0, "");
  expect_text("a\n\t\xc3\xa4\xe2\x82\xac\xf0\x9f\x8c\x8d", 12, "");
  expect_text("a\0b", 3, "here: expected text in UTF-8, found byte 0x00 at offset 1");
  expect_text("\xff", 1, "here: expected text in UTF-8, found byte 0xff at offset 0");
  expect_text("ab\xc3", 3, "here: expected text in UTF-8, found byte 0xc3 at offset 2");
  expect_text("\xc0\xaf", 2, "here: expected text in UTF-8, found byte 0xc0 at offset 0");
  expect_text("\xed\xa0\x80", 3, "here: expected text in UTF-8, found byte 0xed at offset 0");
  expect_text("\xf4\x90\x80\x80", 4, "here: expected text in UTF-8, found byte 0xf4 at offset 0");
}

/* --- templates by name ---------------------------------------------------------------- */

/* The library has what the files hold. */
static void test_templates(void) {
  size_t count = 0;
  for (const char *name; (name = gust_chat_template_name(count)); count++) {
    char path[128];
    snprintf(path, sizeof path, "src/templates/%s.jinja", name);
    char *file = check_read_file(path, NULL);
    CHECK_EQ_STR(gust_chat_template_source(name), file);
    free(file);
  }
  CHECK_EQ_INT(count, 9);
  CHECK(gust_chat_template_name(count + 1) == NULL);
  CHECK(gust_chat_template_source("zephyr.jinja") == NULL);
  CHECK(gust_chat_template_source("") == NULL);
}

int main(void) {
  test_stops();
  test_several_stops();
  test_random_stops();
  test_log_sum();
  test_utf8();
  test_templates();
  return check_finish();
}

/* The pieces commands are made of that need no model: progress line, pace of feeding,
 * human figures, JSON, quantiles. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "cli/evaluation_summary.h"
#include "cli/feed_pace.h"
#include "cli/human.h"
#include "cli/interrupt.h"
#include "cli/json_out.h"
#include "cli/model_options.h"
#include "cli/portable_math.h"
#include "cli/progress.h"
#include "xml_check.h"

static void test_human(void) {
  char text[HUMAN_BYTES];
  CHECK_EQ_STR(human_bytes(text, 0), "0 B");
  CHECK_EQ_STR(human_bytes(text, 999), "999 B");
  CHECK_EQ_STR(human_bytes(text, 999.7), "1.00 kB");
  CHECK_EQ_STR(human_bytes(text, 9994), "9.99 kB");
  CHECK_EQ_STR(human_bytes(text, 9996), "10.0 kB");
  CHECK_EQ_STR(human_bytes(text, 99960), "100 kB");
  CHECK_EQ_STR(human_bytes(text, 999600), "1.00 MB");
  CHECK_EQ_STR(human_bytes(text, 4.134e9), "4.13 GB");
  CHECK_EQ_STR(human_bytes(text, 1.8e19), "18.0 EB");
  CHECK_EQ_STR(human_duration(text, 0), "0:00");
  CHECK_EQ_STR(human_duration(text, 59.6), "1:00");
  CHECK_EQ_STR(human_duration(text, 754), "12:34");
  CHECK_EQ_STR(human_duration(text, 7500), "2:05:00");
  CHECK_EQ_STR(human_duration(text, -1), "--:--");
  CHECK_EQ_STR(human_duration(text, 1e9), "--:--");
  CHECK_EQ_STR(human_duration(text, (double)NAN), "--:--");
  CHECK_EQ_STR(human_count(text, 0), "0");
  CHECK_EQ_STR(human_count(text, 999), "999");
  CHECK_EQ_STR(human_count(text, 8392960), "8,392,960");
  CHECK_EQ_STR(human_count(text, UINT64_MAX), "18,446,744,073,709,551,615");
}

static void test_progress_line(void) {
  char line[256];
  size_t length = progress_format(line, sizeof line, 80, "converting", PROGRESS_BYTES, 250000000,
                                  1000000000, 2.0);
  CHECK_EQ_STR(line,
               "converting  25% [##########                              ]   125 MB/s  ETA 0:06");
  CHECK_EQ_INT(length, strlen(line));
  CHECK(length <= 79);
  progress_format(line, sizeof line, 200, "x", PROGRESS_TOKENS, 10, 20, 4.0);
  CHECK_EQ_STR(line, "x  50% [####################                    ]      2.5 t/s  ETA 0:04");
  progress_format(line, sizeof line, 80, "x", PROGRESS_TOKENS, 20, 20, 4.0);
  CHECK_CONTAINS(line, "x 100% [########################################]");
  /* Nothing known yet, more done than there is, nothing to do: no nonsense. */
  progress_format(line, sizeof line, 80, "x", PROGRESS_TOKENS, 0, 20, 0.6);
  CHECK_CONTAINS(line, "x   0% [");
  CHECK_CONTAINS(line, "0.0 t/s  ETA --:--");
  progress_format(line, sizeof line, 80, "x", PROGRESS_TOKENS, 30, 20, 1.0);
  CHECK_CONTAINS(line, "x 100% [");
  CHECK_CONTAINS(line, "ETA --:--");
  progress_format(line, sizeof line, 80, "x", PROGRESS_TOKENS, 0, 0, 1.0);
  CHECK_CONTAINS(line, "x   0% [");
  for (unsigned columns = 0; columns < 300; columns++) {
    length = progress_format(line, sizeof line, columns, "a label", PROGRESS_BYTES, 1, 2, 1.0);
    CHECK(length == strlen(line) && length <= (columns ? columns - 1 : 0));
  }
  char tight[10];
  CHECK_EQ_INT(progress_format(tight, sizeof tight, 80, "label", PROGRESS_BYTES, 1, 2, 1.0), 9);
  CHECK_EQ_STR(tight, "label  50");
}

static void test_progress_stops(void) {
  progress_line progress;
  progress_begin(&progress, "x", PROGRESS_BYTES, true);
  CHECK(!progress.shown);
  CHECK(!progress_update(&progress, 1, 2));
  interrupt_install();
  CHECK(!progress_update(&progress, 1, 2));
  progress_end(&progress);
}

static char *written(FILE *file) {
  long bytes = ftell(file);
  char *text = calloc(1, (size_t)bytes + 1);
  rewind(file);
  if (!text || fread(text, 1, (size_t)bytes, file) != (size_t)bytes) check_fatal("read", "json");
  fclose(file);
  return text;
}

static json_out begin_json(void) {
  json_out json = {.file = tmpfile()};
  if (!json.file) check_fatal("tmpfile", "json");
  return json;
}

static void test_progress_news(void) {
  progress_line progress = {.label = "x", .unit = PROGRESS_TOKENS, .shown = true};
  interrupt_install();
  interrupt_raise_key();
  CHECK(progress_update(&progress, 1, 2));
  CHECK_EQ_INT(progress.drawn, 0); /* nothing flashes up between Ctrl-C and the end */
  interrupt_clear();
  CHECK(!progress_update(&progress, 1, 2));
  CHECK(progress.drawn > 0);
  progress_end(&progress);
}

/* Feeds a machine of that speed and writes how many tokens it gets at a time. */
static void feed_at(char *pieces, double tokens_per_second, size_t count, size_t times) {
  feed_pace pace = {0};
  *pieces = 0;
  while (times-- > 0) {
    size_t n = feed_pace_next(&pace, count);
    sprintf(pieces + strlen(pieces), "%zu ", n);
    feed_pace_learn(&pace, n, (double)n / tokens_per_second);
    count -= n;
  }
}

static void test_feed_pace(void) {
  char pieces[128];
  feed_at(pieces, 2000, 1000, 7);
  CHECK_EQ_STR(pieces, "16 32 64 128 256 256 248 ");
  feed_at(pieces, 100, 500, 5); /* 128 would take more than a second */
  CHECK_EQ_STR(pieces, "16 32 64 64 64 ");
  feed_at(pieces, 40, 500, 5); /* fewer at once would cost speed */
  CHECK_EQ_STR(pieces, "16 32 64 64 64 ");
  feed_at(pieces, 2, 500, 4); /* of plain C, of a model as large as they come */
  CHECK_EQ_STR(pieces, "16 8 8 8 ");
  feed_at(pieces, 0.5, 500, 5);
  CHECK_EQ_STR(pieces, "16 8 4 4 4 ");
  feed_pace pace = {.piece = 64};
  feed_pace_learn(&pace, 5, 0.01); /* of a few at the end nothing follows */
  CHECK_EQ_INT(pace.piece, 64);
}

static void test_json_layout(void) {
  json_out json = begin_json();
  json_out_open_object(&json, NULL, true);
  json_out_string(&json, "name", "gust");
  json_out_open_array(&json, "ids", false);
  for (int i = 0; i < 3; i++) json_out_integer(&json, NULL, i - 1);
  json_out_close(&json);
  json_out_open_array(&json, "none", true);
  json_out_close(&json);
  json_out_open_array(&json, "list", true);
  json_out_open_object(&json, NULL, false);
  json_out_bool(&json, "a", true);
  json_out_null(&json, "b");
  json_out_close(&json);
  json_out_open_object(&json, NULL, false);
  json_out_close(&json);
  json_out_close(&json);
  json_out_close(&json);
  char *text = written(json.file);
  CHECK_EQ_STR(text,
               "{\n  \"name\": \"gust\",\n  \"ids\": [-1, 0, 1],\n  \"none\": [],\n  \"list\": [\n"
               "    {\"a\": true, \"b\": null},\n    {}\n  ]\n}\n");
  free(text);
}

static void check_text(const char *bytes, size_t count, const char *expected) {
  json_out json = begin_json();
  json_out_text(&json, NULL, bytes, count);
  char *text = written(json.file);
  CHECK_EQ_STR(text, expected);
  free(text);
}

static void test_json_text(void) {
  check_text("", 0, "\"\"");
  check_text("a\"\\\n\t\x01\x7f/", 8, "\"a\\\"\\\\\\n\\u0009\\u0001\\u007f/\"");
  check_text("nul\0in", 6, "\"nul\\u0000in\"");
  check_text("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9, "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"");
  check_text(
      "\xff"
      "a",
      2, "\"\\ufffda\"");
  check_text("\xc3", 1, "\"\\ufffd\"");                       /* cut short */
  check_text("\xc0\xaf", 2, "\"\\ufffd\\ufffd\"");            /* overlong */
  check_text("\xed\xa0\x80", 3, "\"\\ufffd\\ufffd\\ufffd\""); /* surrogate */
  check_text("\xf4\x90\x80\x80", 4, "\"\\ufffd\\ufffd\\ufffd\\ufffd\"");
}

static void test_json_numbers(void) {
  static const double reals[] = {0.1, 1.0 / 3, 2.3416951447902681, 5e-324, 1.7976931348623157e308};
  for (size_t i = 0; i < sizeof reals / sizeof *reals; i++) {
    json_out json = begin_json();
    json_out_real(&json, NULL, reals[i]);
    char *text = written(json.file);
    CHECK(strtod(text, NULL) == reals[i]);
    free(text);
  }
  json_out json = begin_json();
  json_out_open_array(&json, NULL, false);
  json_out_real32(&json, NULL, 0.7f);
  json_out_real(&json, NULL, (double)NAN);
  json_out_real(&json, NULL, (double)INFINITY);
  json_out_count(&json, NULL, UINT64_MAX);
  json_out_integer(&json, NULL, INT64_MIN);
  json_out_string(&json, NULL, NULL);
  json_out_close(&json);
  char *text = written(json.file);
  CHECK_EQ_STR(text,
               "[0.699999988, null, null, 18446744073709551615, -9223372036854775808, null]\n");
  free(text);
}

static void test_quantiles(void) {
  static const double values[] = {1, 2, 4, 8};
  CHECK(evaluation_quantile(values, 1, 0.99) == 1);
  CHECK(evaluation_quantile(values, 4, 0) == 1);
  CHECK(evaluation_quantile(values, 4, 0.5) == 3);
  CHECK(evaluation_quantile(values, 4, 1) == 8);
  CHECK(fabs(evaluation_quantile(values, 4, 0.9) - 6.8) < 1e-12);
}

/* Against the C library's in long double: within two units of the last place, and of
 * the same bits as ever. */
static void check_close(double found, long double right) {
  double unit = ldexp(1, ilogb((double)right) - 52);
  CHECK(fabsl((long double)found - right) <= 2 * (long double)unit);
}

static void test_portable_math(void) {
  unsigned long long seed = 5;
  for (int i = 0; i < 20000; i++) {
    double x = ((double)(check_random(&seed) >> 11) * 0x1p-53 * 2 - 1) * (i % 2 ? 1 : 690);
    check_close(portable_exp(x), expl((long double)x));
    double y = ldexp(1 + (double)(check_random(&seed) >> 12) * 0x1p-52,
                     i % 2 ? 0 : (int)(check_random(&seed) % 2000) - 1000);
    if (y != 1) check_close(portable_log(y), logl((long double)y));
  }
  CHECK(portable_exp(0) == 1 && portable_exp(-0.0) == 1 && portable_log(1) == 0);
  CHECK(portable_exp(-700.5) == 0 && portable_exp(-1e300) == 0 && portable_exp(-700) > 0);
  CHECK(portable_exp(1e300) == portable_exp(700) && isfinite(portable_exp(700)));
  CHECK(portable_exp(-1) == 0x1.78b56362cef38p-2);
  CHECK(portable_log(10) == 0x1.26bb1bbb55516p+1);
}

static void test_means(void) {
  static const double values[] = {1, 3, 2, 6, 5, 7};
  evaluation_mean of_three = evaluation_mean_of(values, 3, 2); /* chunks' means 2, 4, 6 */
  CHECK(of_three.mean == 4 && fabs(of_three.se - sqrt(8.0 / 6)) < 1e-15);
  evaluation_mean of_one = evaluation_mean_of(values, 1, 6);
  CHECK(of_one.mean == 4 && isnan(of_one.se));
}

static void test_worst(void) {
  evaluation_token tokens[] = {{.kl = 0.5, .logprob = -1},
                               {.kl = 0, .logprob = -9},
                               {.kl = 2, .logprob = -1},
                               {.kl = 0.5, .logprob = -2}};
  evaluation e = {.compared = true, .chunks = 2, .per_chunk = 2, .tokens = tokens};
  size_t places[4], count;
  gust_error err;
  CHECK_EQ_INT(evaluation_worst(&e, places, 2, &count, &err), GUST_OK);
  CHECK(count == 2 && places[0] == 2 && places[1] == 0);
  CHECK_EQ_INT(evaluation_worst(&e, places, 4, &count, &err), GUST_OK);
  CHECK(count == 3 && places[2] == 3);
  e.compared = false;
  CHECK_EQ_INT(evaluation_worst(&e, places, 4, &count, &err), GUST_OK);
  CHECK(count == 4 && places[0] == 1 && places[1] == 3 && places[2] == 0 && places[3] == 2);
  CHECK_EQ_INT(evaluation_worst(&e, places, 0, &count, &err), GUST_OK);
  CHECK_EQ_INT(count, 0);
}

/* The check of pictures finds what is wrong with one. */
static void test_xml_check(void) {
  static const char *const good[] = {"<a/>", "<a b=\"c\">x &amp; y<d></d></a>\n"};
  static const char *const bad[] = {
      "",           "<a>",         "<a></b>",     "<a/><a/>",     "<a b=c/>", "<a b=\"c/>",
      "<a>&x;</a>", "<a>\xff</a>", "<a>\x01</a>", "<a b=\"<\"/>", "x<a/>",    "<a b=\"\" b=\"\"/>",
      "<a",         "</a>",        "<1/>"};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++)
    CHECK_EQ_STR(xml_check(good[i], strlen(good[i])), "");
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    if (!CHECK(*xml_check(bad[i], strlen(bad[i])))) fprintf(stderr, "  passed: %s\n", bad[i]);
}

/* What --template offers is the model's own and what is built in. */
static void test_template_names(void) {
  char names[256] = TEMPLATE_OWN;
  const char *name;
  for (size_t i = 0; (name = gust_chat_template_name(i)) != NULL; i++)
    snprintf(names + strlen(names), sizeof names - strlen(names), "|%s", name);
  CHECK_EQ_STR(template_options[0].argument, names);
}

int main(void) {
  test_human();
  test_progress_line();
  test_progress_stops();
  test_progress_news();
  test_feed_pace();
  test_json_layout();
  test_json_text();
  test_json_numbers();
  test_quantiles();
  test_portable_math();
  test_means();
  test_worst();
  test_xml_check();
  test_template_names();
  return check_finish();
}

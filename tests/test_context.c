/* Contexts: errors, truncation with and without a rolled-over cache, cancelling,
 * logits that stay the same when a sequence is taken up again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "demo_model.h"

static const gust_model *model;
static size_t vocab;
static int32_t text_ids[2048];

static void fill_ids(void) {
  unsigned long long state = 7;
  for (size_t i = 0; i < 2048; i++) text_ids[i] = (int32_t)(300 + check_random(&state) % 3000);
  text_ids[0] = 1;
}

static float *copy_logits(const gust_context *context) {
  float *copy = malloc(vocab * sizeof *copy);
  if (!copy || !gust_context_logits(context)) check_fatal("no logits", "");
  return memcpy(copy, gust_context_logits(context), vocab * sizeof *copy);
}

static void check_errors(void) {
  gust_error err;
  gust_context *context;
  gust_context_options options = {.cpu = "pentium"};
  CHECK_EQ_INT(gust_context_create(&context, model, &options, &err), GUST_E_ARGUMENT);
  CHECK_EQ_STR(
      err.text,
      "unknown CPU level \"pentium\"; expected c, avx2, avxvnni, avx512, amx, neon, dotprod or "
      "i8mm");
  CHECK(context == NULL);
  options = (gust_context_options){.kv = (gust_kv)9};
  CHECK_EQ_INT(gust_context_create(&context, model, &options, &err), GUST_E_ARGUMENT);
  options = (gust_context_options){.batch = 1000000};
  CHECK_EQ_INT(gust_context_create(&context, model, &options, &err), GUST_E_ARGUMENT);

  options = (gust_context_options){.positions = 20};
  context = context_or_die(model, &options);
  CHECK(gust_context_logits(context) == NULL);
  CHECK_EQ_INT(gust_context_capacity(context), 20);
  int32_t bad[] = {1, 4096};
  CHECK_EQ_INT(gust_context_feed(context, bad, 2, NULL, NULL, &err), GUST_E_ARGUMENT);
  CHECK_EQ_STR(err.text, "id 2 of 2: expected 0 to 4095, found 4096");
  bad[1] = -1;
  CHECK_EQ_INT(gust_context_feed(context, bad, 2, NULL, NULL, &err), GUST_E_ARGUMENT);
  CHECK_EQ_INT(gust_context_feed(context, bad, 0, NULL, NULL, &err), GUST_E_ARGUMENT);
  CHECK_EQ_INT(gust_context_length(context), 0);
  CHECK_EQ_INT(gust_context_feed(context, text_ids, 15, NULL, NULL, &err), GUST_OK);
  CHECK_EQ_INT(gust_context_feed(context, text_ids, 6, NULL, NULL, &err), GUST_E_CONTEXT_FULL);
  CHECK_EQ_STR(err.text,
               "the context of 20 tokens holds 15 and has no room for 6 more; use a larger one "
               "or a shorter text");
  CHECK_EQ_INT(gust_context_length(context), 15);
  CHECK_EQ_INT(gust_context_feed(context, text_ids, 5, NULL, NULL, NULL), GUST_OK);
  gust_context_destroy(context);
  gust_context_destroy(NULL);
}

/* Going back and taking another way gives the bits of that way taken at once. */
static void check_truncate(size_t length, size_t back, bool expect_kept) {
  gust_error err;
  gust_context_options options = {.batch = 64};
  gust_context *context = context_or_die(model, &options);
  CHECK_EQ_INT(gust_context_feed(context, text_ids, length, NULL, NULL, &err), GUST_OK);
  CHECK_EQ_INT(gust_context_truncate(context, length + 5), length);
  size_t left = gust_context_truncate(context, back);
  CHECK_EQ_INT(left, expect_kept ? back : 0);
  CHECK(gust_context_logits(context) == NULL);
  const int32_t *other = text_ids + 700;
  CHECK_EQ_INT(gust_context_feed(context, text_ids + left, back - left, NULL, NULL, &err),
               back > left ? GUST_OK : GUST_E_ARGUMENT);
  CHECK_EQ_INT(gust_context_feed(context, other, 40, NULL, NULL, &err), GUST_OK);
  float *found = copy_logits(context);
  CHECK(memcmp(gust_context_ids(context), text_ids, back * sizeof *text_ids) == 0);
  gust_context_destroy(context);

  context = context_or_die(model, &options);
  CHECK_EQ_INT(gust_context_feed(context, text_ids, back, NULL, NULL, &err), GUST_OK);
  CHECK_EQ_INT(gust_context_feed(context, other, 40, NULL, NULL, &err), GUST_OK);
  CHECK(memcmp(gust_context_logits(context), found, vocab * sizeof *found) == 0);
  gust_context_destroy(context);
  free(found);
}

static bool stop_at_once(void *user, uint64_t done, uint64_t total) {
  *(uint64_t *)user = total;
  return done >= 64;
}

/* What was computed before the stop is kept and can be built upon. */
static void check_cancel(void) {
  gust_error err;
  gust_context_options options = {.batch = 32};
  gust_context *context = context_or_die(model, &options), *whole = context_or_die(model, &options);
  uint64_t total = 0;
  CHECK_EQ_INT(gust_context_feed(context, text_ids, 200, stop_at_once, &total, &err),
               GUST_E_CANCELLED);
  CHECK_EQ_INT(total, 200);
  CHECK_EQ_INT(gust_context_length(context), 64);
  CHECK(gust_context_logits(context) == NULL);
  CHECK_EQ_INT(gust_context_feed(context, text_ids + 64, 136, NULL, NULL, &err), GUST_OK);
  CHECK_EQ_INT(gust_context_feed(whole, text_ids, 200, NULL, NULL, &err), GUST_OK);
  CHECK(memcmp(gust_context_logits(context), gust_context_logits(whole), vocab * sizeof(float)) ==
        0);
  gust_context_destroy(context);
  gust_context_destroy(whole);
}

static void check_levels(void) {
  CHECK_EQ_STR(gust_cpu_level(0), "c");
  CHECK(gust_default_threads() >= 1);
  gust_context_options options = {.cpu = "c", .threads = 3};
  gust_context *context = context_or_die(model, &options);
  CHECK_EQ_STR(gust_context_cpu(context), "c");
  CHECK_EQ_INT(gust_context_threads(context), 3);
  CHECK_EQ_INT(gust_context_capacity(context), gust_model_get_info(model)->max_positions);
  gust_context_destroy(context);
}

int main(void) {
  gust_model *opened = demo_model_open("q4");
  model = opened;
  vocab = gust_model_get_info(model)->vocab_size;
  fill_ids();
  check_levels();
  check_errors();
  check_truncate(100, 37, true);
  check_truncate(100, 64, true);
  if (check_emulated()) {
    check_truncate(800, 600, false);
  } else {
    check_truncate(1500, 1490, true); /* a whole window is still there */
    check_truncate(1500, 600, false); /* its window is overwritten */
  }
  check_cancel();
  gust_model_close(opened);
  return check_finish();
}

/* Contexts: errors, truncation with and without a rolled-over cache, cancelling,
 * logits that stay the same when a sequence is taken up again, memory. */
#define _XOPEN_SOURCE 700 /* fork */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef _WIN32
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

#include "check.h"
#include "context.h"
#include "demo_model.h"
#include "os.h"

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
  CHECK_EQ_STR(err.text, "unknown CPU level \"pentium\"; expected " GUST_KERNEL_LEVELS);
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

/* --- memory ------------------------------------------------------------------------ */

static gust_context_memory measure(const gust_context_options *options) {
  gust_context_memory memory;
  gust_error err;
  if (gust_context_measure(model, options, &memory, &err)) check_fatal("measure", err.text);
  return memory;
}

/* What is said beforehand is what is taken, to the byte. */
static void check_measure(size_t positions, gust_kv kv, unsigned threads) {
  gust_context_options options = {.positions = positions, .kv = kv, .threads = threads};
  gust_context_memory memory = measure(&options);
  gust_context *context = context_or_die(model, &options);
  CHECK_EQ_INT(memory.positions, gust_context_capacity(context));
  CHECK_EQ_INT(memory.cache, context->cache.reserved);
  CHECK_EQ_INT(memory.scratch,
               context->scratch_bytes + 2 * OS_RESERVE_EXTRA + gust_pool_stack_bytes(threads));
  CHECK(memory.cache > 0 && memory.scratch > 0 && memory.available > 0);
  CHECK_EQ_INT(memory.most, memory.positions);
  gust_context_destroy(context);

  gust_error err;
  uint64_t needed = memory.cache + memory.scratch;
  options.memory = needed;
  CHECK_EQ_INT(gust_context_create(&context, model, &options, &err), GUST_OK);
  gust_context_destroy(context);
  options.memory = needed - 1;
  options.positions = memory.positions;
  CHECK_EQ_INT(gust_context_create(&context, model, &options, &err), GUST_E_MEMORY);
  CHECK(context == NULL);
  gust_context_memory less = measure(&options);
  char words[512];
  snprintf(words, sizeof words,
           "context: expected %llu bytes of free memory for %zu positions (%llu of keys and "
           "values, %llu to compute in), found %llu; at most %zu positions fit, with q8 keys and "
           "values %zu",
           (unsigned long long)needed, memory.positions, (unsigned long long)memory.cache,
           (unsigned long long)memory.scratch, (unsigned long long)needed - 1, less.most,
           less.most_q8);
  CHECK_CONTAINS(err.text, words);
}

/* The most that is said to fit does, and one more does not. */
static void check_most(void) {
  gust_context_options options = {.positions = 2048, .memory = (uint64_t)12 << 20, .threads = 1};
  gust_context_memory memory = measure(&options);
  gust_context *context;
  gust_error err;
  CHECK(memory.most > 0 && memory.most < memory.most_q8 && memory.most_q8 <= 2048);
  for (int q8 = 0; q8 < 2; q8++) {
    options.kv = q8 ? GUST_KV_Q8 : GUST_KV_F16;
    options.positions = q8 ? memory.most_q8 : memory.most;
    CHECK_EQ_INT(gust_context_create(&context, model, &options, &err), GUST_OK);
    gust_context_destroy(context);
    if (options.positions++ == 2048) continue;
    CHECK_EQ_INT(gust_context_create(&context, model, &options, &err), GUST_E_MEMORY);
  }
}

/* Where the number of positions is left open, as many as leave, here, half of what there
 * is beyond one position: some wherever any fit, and not fewer with more memory. */
static void check_open(void) {
  gust_context_options options = {.positions = 1, .threads = 1};
  gust_context_memory memory = measure(&options);
  const uint64_t least = memory.cache + memory.scratch;
  gust_context *context;
  gust_error err;
  size_t before = 0;
  for (int i = -1; i < 30; i++) {
    const uint64_t there = i < 0 ? least - 1 : least + ((uint64_t)i << 20);
    options = (gust_context_options){
        .positions = 2048, .memory = there - (i < 0 ? 0 : (there - least) / 2), .threads = 1};
    size_t expected = measure(&options).most;
    options = (gust_context_options){.memory = there, .threads = 1};
    memory = measure(&options);
    CHECK_EQ_INT(memory.available, there);
    CHECK_EQ_INT(memory.most > 0, i >= 0);
    gust_status status = gust_context_create(&context, model, &options, &err);
    if (!CHECK_EQ_INT(status, i < 0 ? GUST_E_MEMORY : GUST_OK) || i < 0) continue;
    CHECK_EQ_INT(gust_context_capacity(context), expected);
    CHECK(expected >= before && expected > 0);
    before = expected;
    gust_context_destroy(context);
  }
  options.memory = 1000;
  CHECK_EQ_INT(gust_context_create(&context, model, &options, &err), GUST_E_MEMORY);
  CHECK_CONTAINS(err.text, " to compute in), found 1000");
  CHECK(!strstr(err.text, "at most"));
}

/* A model's header may say anything within the ranges: no product of its sizes overflows. */
static void check_huge(void) {
  gust_model huge = {.header = {.config = {.vocab_size = 1u << 24,
                                           .hidden_size = 1u << 20,
                                           .intermediate_size = 1u << 22,
                                           .layers = 4096,
                                           .heads = 4096,
                                           .kv_heads = 4096,
                                           .head_dim = 512,
                                           .max_positions = 1u << 30}}};
  const gust_context_options options = {
      .positions = 1u << 24, .kv = GUST_KV_F32, .threads = 1024, .batch = 4096};
  gust_context_memory memory;
  gust_context *context;
  gust_error err;
  CHECK_EQ_INT(gust_context_measure(&huge, &options, &memory, &err), GUST_OK);
  /* 2 * 64 * 512 floats a tile pair, for each head, layer and chunk. */
  CHECK_EQ_INT(memory.cache, (uint64_t)2 * 64 * 512 * 4 << (12 + 12 + 18));
  CHECK(memory.scratch > (uint64_t)4096 * (1u << 22) * 8);
  CHECK_EQ_INT(gust_context_create(&context, &huge, &options, &err), GUST_E_MEMORY);
  char words[96];
  snprintf(words, sizeof words,
           "context: expected %llu bytes of free memory for 16777216 positions",
           (unsigned long long)memory.cache + memory.scratch);
  CHECK_CONTAINS(err.text, words);
}

#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
/* In a process that may not use more than 2 GiB of addresses, with a model that has no
 * window: all positions count. Whether the context asked for is made and can be used; or,
 * with *most, how many positions its refusal says would fit. */
static bool make_limited(const gust_model *whole, size_t positions, size_t *capacity,
                         size_t *most) {
  const gust_context_options options = {.positions = positions, .kv = GUST_KV_F32, .threads = 5};
  gust_context *context;
  gust_error err = {.text = ""};
  gust_status status = gust_context_create(&context, whole, &options, &err);
  if (!status) {
    *capacity = gust_context_capacity(context);
    status = gust_context_feed(context, text_ids, 40, NULL, NULL, &err);
  }
  gust_context_destroy(context);
  const char *found = strstr(err.text, ", found "), *fit = strstr(err.text, "at most ");
  bool refused =
      status == GUST_E_MEMORY && found && fit && strtoull(found + 8, NULL, 10) <= (2ull << 30);
  *most = refused ? (size_t)strtoull(fit + 8, NULL, 10) : 0;
  if (status && !refused) puts(err.text);
  return !status;
}

/* 0, or the number of what failed. */
static int try_limited(void) {
  const struct rlimit limit = {(rlim_t)2 << 30, (rlim_t)2 << 30};
  const size_t all = (size_t)1 << 24;
  size_t open = 0, capacity = 0, most = 0;
  gust_model whole = *model;
  whole.header.config.sliding_window = 0;
  whole.header.config.max_positions = (uint32_t)all;
  if (setrlimit(RLIMIT_AS, &limit) != 0) return 2;
  if (!make_limited(&whole, 0, &open, &most) || open == 0 || open >= all) return 3;
  if (make_limited(&whole, all, &capacity, &most) || most <= open) return 4;
  if (!make_limited(&whole, most, &capacity, &most) || capacity <= open) return 5;
  return 0;
}

/* A limit on the address space counts: the refusal comes before any system call fails,
 * and what it names works. */
static void check_address_space(void) {
  if (check_emulated()) {
    check_part_skipped("a limit on the address space", "it would be qemu's own");
    return;
  }
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    int result = try_limited();
    fflush(NULL);
    _exit(result);
  }
  int status = 0;
  CHECK(child > 0 && waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK_EQ_INT(WEXITSTATUS(status), 0);
}
#else
static void check_address_space(void) {}
#endif

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
  check_measure(20, GUST_KV_F16, 1);
  check_measure(2048, GUST_KV_Q8, 2);
  check_measure(0, GUST_KV_F32, 3);
  check_most();
  check_open();
  check_huge();
  check_address_space();
  gust_model_close(opened);
  return check_finish();
}

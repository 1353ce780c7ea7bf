/* The numerics contract end to end: the logits of one file and sequence are the
 * same bits on every CPU level, thread count and way of feeding.
 *
 *   test_same_bits [MOST]     with sequences of at most MOST tokens */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "checksum.h"
#include "demo_model.h"
#include "hostile_float_state.h"

static int32_t *ids;

typedef struct recording {
  float *logits;
  size_t vocab;
} recording;

static bool record(void *user, size_t position, const float *logits) {
  recording *r = user;
  memcpy(r->logits + position * r->vocab, logits, r->vocab * sizeof(float));
  return false;
}

/* All logits of the first `count` ids, fed `step` at a time; to be freed. */
static float *run(const gust_model *model, gust_kv kv, const char *cpu, unsigned threads,
                  size_t batch, size_t step, size_t count) {
  gust_error err;
  gust_context_options options = {.kv = kv, .cpu = cpu, .threads = threads, .batch = batch};
  gust_context *context = context_or_die(model, &options);
  size_t vocab = gust_model_get_info(model)->vocab_size;
  recording r = {malloc(count * vocab * sizeof(float)), vocab};
  if (!r.logits) check_fatal("out of memory", "logits");
  if (cpu) CHECK_EQ_STR(gust_context_cpu(context), cpu);
  CHECK_EQ_INT(gust_context_threads(context), threads);
  for (size_t at = 0; at < count; at += step) {
    size_t n = count - at < step ? count - at : step;
    if (gust_context_score(context, ids + at, n, record, &r, &err)) check_fatal("score", err.text);
  }
  gust_context_destroy(context);
  return r.logits;
}

/* Across compilers and systems there is no second run to compare with, so the
 * bits are written down. They change only with the numerics contract, the q4
 * quantizer or the demo checkpoint. */
static void check_known_bits(void) {
  gust_model *model = demo_model_open("q4");
  size_t bytes = 64 * gust_model_get_info(model)->vocab_size * sizeof(float);
  float *logits = run(model, GUST_KV_F16, NULL, 1, 64, 64, 64);
  uint64_t hash = gust_xxh64_of(logits, bytes, 0);
  if (!CHECK(hash == 0x3b561c67c8c8d31cu))
    fprintf(stderr, "  the logits hash to %016llx\n", (unsigned long long)hash);
  free(logits);
  gust_model_close(model);
}

static void check_type(const char *type, gust_kv kv, const char *kv_name, size_t count,
                       size_t c_count) {
  gust_model *model = demo_model_open(type);
  size_t vocab = gust_model_get_info(model)->vocab_size, bytes = count * vocab * sizeof(float);
  float *expected = run(model, kv, NULL, 1, 512, 512, count);
  static const size_t steps[] = {1, 7, 64};
  for (size_t i = 0; i < 3; i++) {
    float *found = run(model, kv, NULL, 2, 512, steps[i], count);
    if (!CHECK(memcmp(expected, found, bytes) == 0))
      fprintf(stderr, "  %s, cache %s, fed in steps of %zu\n", type, kv_name, steps[i]);
    free(found);
  }
  for (unsigned threads = 2; threads <= 3; threads++) {
    float *found = run(model, kv, NULL, threads, 33, count, count);
    if (!CHECK(memcmp(expected, found, bytes) == 0))
      fprintf(stderr, "  %s, cache %s, %u threads, batches of 33\n", type, kv_name, threads);
    free(found);
  }
  const char *level;
  for (size_t i = 0; (level = gust_cpu_level(i)) != NULL; i++) {
    /* The reference is slow; a part of the sequence shows as much. */
    size_t n = strcmp(level, "c") == 0 ? c_count : count;
    float *found = run(model, kv, level, 2, 100, n, n);
    if (!CHECK(memcmp(expected, found, n * vocab * sizeof(float)) == 0))
      fprintf(stderr, "  %s, cache %s, level %s\n", type, kv_name, level);
    free(found);
  }
  printf("%s, cache %s: same bits over %zu tokens\n", type, kv_name, count);
  free(expected);
  gust_model_close(model);
}

/* The caller's rounding and flushing change nothing, neither when threads inherit them
 * nor where the caller computes itself, and are there afterwards. */
static void check_float_state(void) {
  gust_model *model = demo_model_open("q4");
  gust_error err;
  enum { COUNT = 20 };
  size_t bytes = COUNT * gust_model_get_info(model)->vocab_size * sizeof(float);
  float *expected = run(model, GUST_KV_F16, NULL, 1, COUNT, COUNT, COUNT);
  for (unsigned threads = 1; threads <= 2; threads++)
    for (size_t step = 1; step <= COUNT; step += COUNT - 1) {
      set_hostile_float_state();
      float *found = run(model, GUST_KV_F16, NULL, threads, COUNT, step, COUNT);
      CHECK(end_hostile_float_state());
      if (!CHECK(memcmp(expected, found, bytes) == 0))
        fprintf(stderr, "  with %u threads, in steps of %zu\n", threads, step);
      free(found);
    }
  gust_sampling sampling = {.temperature = 1, .top_p = 0.9f, .repeat_penalty = 1.1f, .seed = 3};
  gust_context *context = context_or_die(model, NULL);
  gust_sampler *sampler;
  int32_t draws[2][COUNT];
  if (gust_context_feed(context, ids, COUNT, NULL, NULL, &err)) check_fatal("feed", err.text);
  for (int hostile = 0; hostile < 2; hostile++) {
    if (gust_sampler_create(&sampler, model, &sampling, &err)) check_fatal("sampler", err.text);
    if (hostile) set_hostile_float_state();
    for (size_t i = 0; i < COUNT; i++)
      CHECK_EQ_INT(gust_sampler_draw(sampler, context, &draws[hostile][i], &err), GUST_OK);
    CHECK(!hostile || end_hostile_float_state());
    gust_sampler_destroy(sampler);
  }
  CHECK(memcmp(draws[0], draws[1], sizeof draws[0]) == 0);
  gust_context_destroy(context);
  free(expected);
  gust_model_close(model);
}

static size_t at_most(size_t n, size_t most) {
  return n < most ? n : most;
}

int main(int argc, char **argv) {
  size_t bytes, count, most = SIZE_MAX;
  if (argc > 2) check_fatal("usage", "test_same_bits [MOST]");
  if (argc > 1) most = strtoull(argv[1], NULL, 10);
  gust_error err;
  gust_model *model = demo_model_open("q4");
  char *text = check_read_file(check_data("heldout.txt"), &bytes);
  if (gust_tokenize(model, text, bytes, GUST_TOKENIZE_BOS, &ids, &count, &err))
    check_fatal("tokenize", err.text);
  CHECK(count > 1000 && gust_model_get_info(model)->sliding_window == 512);
  gust_model_close(model);
  check_known_bits();
  check_float_state();
  /* Past the sliding window, so that the cache has rolled over. */
  check_type("q4", GUST_KV_F16, "f16", at_most(700, most), at_most(600, most));
  check_type("q8", GUST_KV_Q8, "q8", at_most(600, most), at_most(120, most));
  check_type("bf16", GUST_KV_F32, "f32", at_most(200, most), at_most(60, most));
  check_type("f32", GUST_KV_F16, "f16", at_most(200, most), at_most(60, most));
  gust_free(ids);
  free(text);
  return check_finish();
}

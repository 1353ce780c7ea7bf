/* Synthetic models, the probes, the measurement of throughput, and what gust
 * bench prints. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../bench/bandwidth_probe.h"
#include "../bench/count_list.h"
#include "../bench/cpu_name.h"
#include "../bench/multiply_probe.h"
#include "../bench/read_loops.h"
#include "../bench/throughput.h"
#include "check.h"
#include "cli/model_options.h"
#include "demo_model.h"
#include "format.h"
#include "json_result.h"
#include "run_gust.h"

/* --- synthetic models -------------------------------------------------------------- */

static gust_model *synthetic_or_die(const char *shape, const char *type) {
  gust_model *model;
  gust_error err;
  if (gust_model_create_synthetic(&model, shape, type, NULL, NULL, &err))
    check_fatal("synthetic model", err.text);
  return model;
}

static gust_tensor_info tensor_named(const gust_model *model, const char *name) {
  gust_tensor_info tensor = {0};
  for (size_t i = 0; gust_model_get_tensor(model, i, &tensor) == GUST_OK; i++)
    if (strcmp(tensor.name, name) == 0) return tensor;
  check_fatal("no such tensor", name);
}

static void test_shape(void) {
  gust_model *model = synthetic_or_die("demo", "q4"), *file = demo_model_open("q4");
  const gust_model_info *a = gust_model_get_info(model), *b = gust_model_get_info(file);
  CHECK_EQ_STR(a->architecture, b->architecture);
  CHECK_EQ_INT(a->vocab_size, b->vocab_size);
  CHECK_EQ_INT(a->max_positions, b->max_positions);
  CHECK_EQ_INT(a->sliding_window, b->sliding_window);
  CHECK_EQ_INT(a->bos_id, b->bos_id);
  CHECK(a->rope_theta == b->rope_theta);
  CHECK(a->norm_eps == b->norm_eps);
  CHECK_EQ_INT(a->weight_bytes_per_token, b->weight_bytes_per_token);
  CHECK(!a->has_chat_template);
  CHECK_EQ_INT(a->load, GUST_LOAD_COPY);
  if (CHECK_EQ_INT(a->tensor_count, b->tensor_count))
    for (size_t i = 0; i < a->tensor_count; i++) {
      gust_tensor_info x, y;
      CHECK_EQ_INT(gust_model_get_tensor(model, i, &x), GUST_OK);
      CHECK_EQ_INT(gust_model_get_tensor(file, i, &y), GUST_OK);
      y = tensor_named(file, x.name);
      CHECK_EQ_STR(x.type, y.type);
      CHECK_EQ_INT(x.shape[0], y.shape[0]);
      CHECK_EQ_INT(x.shape[1], y.shape[1]);
      CHECK_EQ_INT(x.bytes, y.bytes);
    }
  gust_model_close(model);
  gust_model_close(file);
}

/* The bytes of panels are drawn from the tensor's and the panel's numbers alone,
 * so these hold on any machine, at any thread count. */
static void test_same_weights(void) {
  static const struct {
    const char *type, *tensor;
    unsigned long long checksum;
  } known[] = {
      {"q4", "model.layers.0.self_attn.q_proj.weight", 0x2f0991a0bdb3180f},
      {"q4", "model.layers.1.self_attn.q_proj.weight", 0xc1b35f3dd39c6b8},
      {"q4", "lm_head.weight", 0x57557fc24b307d28},
      {"bf16", "lm_head.weight", 0x11019e087028a149},
      {"f32", "lm_head.weight", 0x34e1c1d3cd2e2ebc},
  };
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    gust_model *model = synthetic_or_die("demo", known[i].type);
    CHECK_EQ_INT(tensor_named(model, known[i].tensor).checksum, known[i].checksum);
    gust_error err;
    CHECK_EQ_INT(gust_model_verify(model, NULL, NULL, &err), GUST_OK);
    gust_model_close(model);
  }
}

/* Tame weights: logits of a normed state are near N(0, 1). */
static void test_logits(const char *type) {
  static const int32_t ids[] = {1, 2000, 4095, 7, 300};
  gust_model *model = synthetic_or_die("demo", type);
  gust_context *best = context_or_die(model, &(gust_context_options){.positions = 8, .threads = 2});
  gust_context *plain =
      context_or_die(model, &(gust_context_options){.positions = 8, .threads = 1, .cpu = "c"});
  CHECK_EQ_INT(gust_context_feed(best, ids, 5, NULL, NULL, NULL), GUST_OK);
  CHECK_EQ_INT(gust_context_feed(plain, ids, 5, NULL, NULL, NULL), GUST_OK);
  const float *logits = gust_context_logits(best);
  size_t vocab = gust_model_get_info(model)->vocab_size;
  CHECK(memcmp(logits, gust_context_logits(plain), vocab * sizeof *logits) == 0);
  double squares = 0;
  for (size_t i = 0; i < vocab; i++) squares += (double)logits[i] * (double)logits[i];
  double rms = sqrt(squares / (double)vocab);
  if (!CHECK(rms > 0.8 && rms < 1.25)) fprintf(stderr, "  %s: rms %g\n", type, rms);
  gust_context_destroy(best);
  gust_context_destroy(plain);
  gust_model_close(model);
}

static void test_bytes_are_tokens(void) {
  gust_model *model = synthetic_or_die("demo", "q4");
  int32_t *ids;
  size_t count;
  CHECK_EQ_INT(gust_tokenize(model, "a \xff", 3, GUST_TOKENIZE_BOS, &ids, &count, NULL), GUST_OK);
  if (CHECK_EQ_INT(count, 4)) {
    static const int32_t expected[] = {1, 3 + 'a', 3 + ' ', 3 + 0xff};
    for (size_t i = 0; i < 4; i++) CHECK_EQ_INT(ids[i], expected[i]);
  }
  gust_free(ids);
  gust_model_close(model);
}

typedef struct call_log {
  uint64_t done, total, calls, stop_at; /* stops at this call; 0: never */
  bool backwards;
} call_log;

static bool log_call(void *user, uint64_t done, uint64_t total) {
  call_log *log = user;
  log->backwards |= done < log->done;
  log->done = done;
  log->total = total;
  return ++log->calls == log->stop_at;
}

static void test_creation(void) {
  gust_model *model = NULL;
  gust_error err = {0};
  CHECK_EQ_INT(gust_model_create_synthetic(&model, "gpt", "q4", NULL, NULL, &err), GUST_E_ARGUMENT);
  CHECK_EQ_STR(err.text,
               "synthetic model: expected mistral-7b, zephyr-7b, llama-2-7b, llama-2-13b or demo, "
               "found gpt");
  CHECK_EQ_INT(gust_model_create_synthetic(&model, "demo", "q5", NULL, NULL, &err),
               GUST_E_ARGUMENT);
  CHECK_EQ_STR(err.text, "synthetic model: expected type " GUST_TYPE_NAMES ", found q5");
  call_log log = {.stop_at = 3};
  CHECK_EQ_INT(gust_model_create_synthetic(&model, "demo", "q4", log_call, &log, &err),
               GUST_E_CANCELLED);
  CHECK_EQ_INT(log.calls, 3);
  CHECK(model == NULL);
  log = (call_log){0};
  CHECK_EQ_INT(gust_model_create_synthetic(&model, "demo", "q8", log_call, &log, &err), GUST_OK);
  CHECK(!log.backwards);
  CHECK_EQ_INT(log.done, log.total);
  gust_model_close(model);
}

/* --- the parts of the benchmark ------------------------------------------------------ */

/* Bytes so far; asks to stop at `limit`. */
typedef struct probe_watch {
  uint64_t done, total, limit;
} probe_watch;

static bool watch_probe(void *user, uint64_t done, uint64_t total) {
  probe_watch *watch = user;
  CHECK(done > watch->done && done <= total);
  watch->done = done;
  watch->total = total;
  return done >= watch->limit;
}

/* Every loop in every way against a plain sum, over lengths that the streams do
 * not divide evenly. */
static void test_read_loops(void) {
  enum { LINES = 1037, WORDS = LINES * 8 };
  static _Alignas(64) uint64_t words[WORDS];
  uint64_t state = 1;
  for (size_t i = 0; i < WORDS; i++) words[i] = state = state * 6364136223846793005u + i;
  const read_loop *loop;
  size_t loops = 0;
  for (; (loop = read_loop_get(loops)) != NULL; loops++) {
    CHECK_EQ_INT(loop->bits, 128 << loops);
    for (unsigned streams = 1; streams <= 8; streams *= 2)
      for (size_t ahead = 0; ahead <= 1024; ahead += 1024)
        for (size_t lines = 0; lines <= LINES; lines = lines < 20 ? lines + 1 : lines + 339) {
          uint64_t sum = 0;
          for (size_t i = 0; i < lines * 8; i++) sum += words[i];
          if (!CHECK(loop->sum((const uint8_t *)words, lines * 64, streams, ahead) == sum))
            fprintf(stderr, "  %u bits, %u streams, %zu lines\n", loop->bits, streams, lines);
        }
  }
  CHECK(loops >= 1);
}

static void test_probe_progress(void) {
  gust_pool *pool = gust_pool_create(2);
  double rate;
  gust_error err;
  probe_watch watch = {.limit = UINT64_MAX};
  const size_t bytes = (size_t)80 << 20;
  CHECK_EQ_INT(probe_read_bandwidth(&rate, pool, bytes, watch_probe, &watch, &err), GUST_OK);
  CHECK(watch.done == watch.total && watch.total >= 2 * (uint64_t)bytes);
  watch = (probe_watch){.limit = 1};
  CHECK_EQ_INT(probe_read_bandwidth(&rate, pool, bytes, watch_probe, &watch, &err),
               GUST_E_CANCELLED);
  CHECK(watch.done == (uint64_t)64 << 20); /* while it was still being written */
  watch = (probe_watch){.limit = bytes + 1};
  CHECK_EQ_INT(probe_read_bandwidth(&rate, pool, bytes, watch_probe, &watch, &err),
               GUST_E_CANCELLED);
  CHECK(watch.done == bytes + ((uint64_t)64 << 20)); /* after the first trial */
  gust_pool_destroy(pool);
}

/* What is measured again is among what was found; the best never falls. */
static void test_probe_again(void) {
  gust_pool *pool = gust_pool_create(2);
  bandwidth_probe *probe;
  gust_error err;
  CHECK_EQ_INT(bandwidth_probe_create(&probe, pool, (size_t)32 << 20, NULL, NULL, &err), GUST_OK);
  double best = bandwidth_probe_best(probe), rate = 0;
  CHECK(best > 0);
  for (int i = 0; i < 3; i++) {
    CHECK_EQ_INT(bandwidth_probe_again(probe, &rate, &err), GUST_OK);
    CHECK(rate > 0 && rate <= bandwidth_probe_best(probe));
    CHECK(bandwidth_probe_best(probe) >= best);
  }
  char way[BANDWIDTH_WAY_BYTES];
  CHECK_CONTAINS(bandwidth_probe_way(probe, way), "-bit loads, ");
  bandwidth_probe_destroy(probe);
  bandwidth_probe_destroy(NULL);
  CHECK(bandwidth_probe_bytes(0) <= (uint64_t)4 << 30);
  CHECK_EQ_INT(bandwidth_probe_bytes(UINT64_MAX), 64 << 20);
  CHECK_EQ_INT(bandwidth_probe_create(&probe, pool, SIZE_MAX, NULL, NULL, &err), GUST_E_MEMORY);
  CHECK(probe == NULL);
  gust_pool_destroy(pool);
}

static void test_probes(void) {
  for (unsigned threads = 1; threads <= 3; threads++) {
    gust_pool *pool = gust_pool_create(threads);
    double rate = 0;
    gust_error err;
    CHECK_EQ_INT(probe_read_bandwidth(&rate, pool, ((size_t)12 << 20) + 1, NULL, NULL, &err),
                 GUST_OK);
    /* From a slow emulator to more than any cache has. */
    CHECK(rate > 1e6 && rate < 1e14);
    CHECK(probe_multiply_adds(pool, "c") == 0);
    const char *level;
    for (size_t i = 0; (level = gust_cpu_level(i)) != NULL; i++)
      if (strcmp(level, "c") != 0) {
        rate = probe_multiply_adds(pool, level);
        CHECK(rate > 1e6 && rate < 1e15);
      }
    gust_pool_destroy(pool);
  }
  char name[CPU_NAME_BYTES];
  CHECK(cpu_name(name) == name && *name && strlen(name) < sizeof name);
  CHECK(name[0] != ' ' && name[strlen(name) - 1] != ' ');
}

static bool in_order(const throughput_spread *s) {
  return s->least > 0 && s->least <= s->median && s->median <= s->most && isfinite(s->most);
}

static void test_throughput(void) {
  gust_model *model = synthetic_or_die("demo", "q4");
  call_log log = {0};
  throughput_plan plan = {
      .prompt = 20, .gen = 5, .depth = 30, .repetitions = 4, .progress = log_call, .user = &log};
  CHECK_EQ_INT(throughput_positions(&plan), 50);
  gust_context *context = context_or_die(model, &(gust_context_options){.positions = 50});
  throughput result;
  gust_error err;
  CHECK_EQ_INT(throughput_measure(&result, context, 4096, &plan, &err), GUST_OK);
  CHECK(in_order(&result.prefill));
  CHECK(in_order(&result.decode));
  CHECK_EQ_INT(gust_context_length(context), 35);
  CHECK(!log.backwards);
  CHECK_EQ_INT(log.done, log.total);
  /* The depth once, then five times each. */
  CHECK_EQ_INT(log.total, 30 + 5 * 25);
  CHECK(isnan(result.prefill.limit) && isnan(result.decode.limit));

  plan.prompt = 0;
  CHECK_EQ_INT(throughput_measure(&result, context, 4096, &plan, &err), GUST_OK);
  CHECK(isnan(result.prefill.median) && isnan(result.prefill.least) && isnan(result.prefill.most));
  CHECK(in_order(&result.decode));

  log = (call_log){.stop_at = 7};
  CHECK_EQ_INT(throughput_measure(&result, context, 4096, &plan, &err), GUST_E_CANCELLED);
  CHECK_EQ_STR(err.text, "the benchmark was stopped; nothing was measured");
  CHECK_EQ_INT(log.calls, 7);
  plan.depth = 46; /* one more than the context holds */
  CHECK_EQ_INT(throughput_measure(&result, context, 4096, &plan, &err), GUST_E_CONTEXT_FULL);
  gust_context_destroy(context);
  gust_model_close(model);
}

/* A ring of a window's size forgets: a depth within the window is fed again before
 * each run, while from a whole window on the runs follow each other. */
static void test_throughput_window(void) {
  gust_model *model = synthetic_or_die("demo", "q4");
  size_t window = gust_model_get_info(model)->sliding_window;
  CHECK_EQ_INT(window, 512);
  call_log log = {0};
  throughput_plan plan = {.gen = 700,
                          .depth = 500,
                          .window = window,
                          .repetitions = 1,
                          .progress = log_call,
                          .user = &log};
  CHECK_EQ_INT(throughput_positions(&plan), 1200);
  gust_context *context = context_or_die(model, &(gust_context_options){.positions = 1200});
  throughput result;
  CHECK_EQ_INT(throughput_measure(&result, context, 4096, &plan, NULL), GUST_OK);
  CHECK_EQ_INT(log.total, 2 * (700 + 500));
  CHECK_EQ_INT(log.done, log.total);
  CHECK_EQ_INT(gust_context_length(context), 1200);
  gust_context_destroy(context);

  plan.depth = 512;
  plan.gen = 20;
  plan.prompt = 30;
  plan.repetitions = 2;
  CHECK_EQ_INT(throughput_positions(&plan), 512 + 3 * 50);
  context = context_or_die(model, &(gust_context_options){.positions = 512 + 3 * 50});
  log = (call_log){0};
  CHECK_EQ_INT(throughput_measure(&result, context, 4096, &plan, NULL), GUST_OK);
  CHECK_EQ_INT(log.total, 512 + 3 * 50);
  CHECK_EQ_INT(log.done, log.total);
  CHECK_EQ_INT(gust_context_length(context), 512 + 3 * 50);
  gust_context_destroy(context);
  gust_model_close(model);
}

/* Limits as a script has them: in pairs around each repetition. */
typedef struct limit_script {
  double values[2][8];
  size_t called[2], fail_at; /* calls of either part; 0: never */
} limit_script;

static gust_status scripted_limit(void *user, throughput_part part, double *limit,
                                  gust_error *err) {
  limit_script *script = user;
  *limit = script->values[part][script->called[part]++];
  if (script->called[0] + script->called[1] != script->fail_at) return GUST_OK;
  return gust_fail(err, GUST_E_MEMORY, "the limit could not be measured");
}

static void test_throughput_limits(void) {
  gust_model *model = synthetic_or_die("demo", "q4");
  gust_context *context = context_or_die(model, &(gust_context_options){.positions = 16});
  call_log log = {0};
  /* Around the repetitions of prefill the larger ones are 5, 9, 9; of decode 2, 4, 4. */
  limit_script script = {.values = {{5, 1, 9, 2}, {1, 2, 4, 3}}};
  throughput_plan plan = {.prompt = 4,
                          .gen = 2,
                          .repetitions = 3,
                          .limit = scripted_limit,
                          .limit_user = &script,
                          .progress = log_call,
                          .user = &log};
  throughput result;
  gust_error err;
  CHECK_EQ_INT(throughput_measure(&result, context, 4096, &plan, &err), GUST_OK);
  CHECK(script.called[THROUGHPUT_PREFILL] == 4 && script.called[THROUGHPUT_DECODE] == 4);
  CHECK(result.prefill.limit == 9);
  CHECK(result.decode.limit == 4);
  script.called[0] = script.called[1] = 0;
  script.fail_at = 6;
  CHECK_EQ_INT(throughput_measure(&result, context, 4096, &plan, &err), GUST_E_MEMORY);
  CHECK_EQ_STR(err.text, "the limit could not be measured");
  CHECK_EQ_INT(script.called[THROUGHPUT_DECODE], 2);
  gust_context_destroy(context);
  gust_model_close(model);
}

static void test_count_list(void) {
  count_list list;
  CHECK(count_list_read(&list, "0", 9) && list.count == 1 && list.values[0] == 0);
  CHECK(count_list_read(&list, "4096,16,9", 4096) && list.count == 3);
  CHECK(list.values[0] == 4096 && list.values[1] == 16 && list.values[2] == 9);
  static const char *const wrong[] = {
      "", ",", "1,", ",1", "1,,2", "1, 2", "-1", "1x", "10,1", "1;2", "99999999999999999999999999"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    if (!CHECK(!count_list_read(&list, wrong[i], 9))) fprintf(stderr, "  '%s'\n", wrong[i]);
  CHECK(count_list_read(&list, "1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,7", 9) && list.count == 16);
  CHECK(!count_list_read(&list, "1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,7,8", 9));
}

/* --- the command ------------------------------------------------------------------------ */

static void test_json(void) {
  const char *level = gust_cpu_level(1) ? gust_cpu_level(1) : "c";
  char cpu[32];
  run_result r =
      run_gust(NULL, "bench", "--synthetic", "demo", "--prompt", "24", "--gen", "6", "--reps", "3",
               "--json", "--threads", "2", "--kv", "q8", "--cpu", level, (const char *)NULL);
  CHECK_EQ_INT(r.code, 0);
  CHECK_EQ_STR(r.err, "");
  json_document *document = json_result_parse(&r);
  const json_value *root = json_root(document);
  CHECK_CONTAINS(r.out, "\"model\": \"demo\"");
  CHECK_CONTAINS(r.out, "\"type\": \"q4\"");
  CHECK_CONTAINS(r.out, "\"load\": \"copy\"");
  CHECK_CONTAINS(r.out, "\"kv\": \"q8\"");
  snprintf(cpu, sizeof cpu, "\"cpu\": \"%s\"", level);
  CHECK_CONTAINS(r.out, cpu);
  CHECK_EQ_INT(json_result_number(root, "threads"), 2);
  CHECK_EQ_INT(json_result_number(root, "prompt"), 24);
  CHECK_EQ_INT(json_result_number(root, "gen"), 6);
  CHECK_EQ_INT(json_result_number(root, "reps"), 3);
  double bandwidth = json_result_number(root, "bandwidth_gbs"),
         bytes = json_result_number(root, "weight_bytes_per_token"),
         decode = json_result_number(root, "decode_tps"),
         fraction = json_result_number(root, "decode_bandwidth_fraction"),
         prefill = json_result_number(root, "prefill_tps");
  CHECK_EQ_INT(bytes, 4596736);
  CHECK(bandwidth > 0 && prefill > 0 && decode > 0);
  CHECK(fabs(fraction * bandwidth * 1e9 / (decode * bytes) - 1) < 1e-9);
  CHECK(json_result_number(root, "decode_tps_min") <= decode);
  CHECK(json_result_number(root, "decode_tps_max") >= decode);
  /* 8 layers of 2 * 256 * 256 + 2 * 128 * 256 + 3 * 768 * 256 weights for each
   * token, and the head of 4096 * 256 for one of the 24. */
  double per_token = 8.0 * 786432 + 1048576.0 / 24;
  CHECK(fabs(json_result_number(root, "prefill_gmacs") * 1e9 / (prefill * per_token) - 1) < 1e-9);
  if (strcmp(level, "c") != 0) {
    double share = json_result_number(root, "prefill_peak_fraction");
    CHECK(share > 0);
    CHECK(fabs(share * json_result_number(root, "peak_gmacs") /
                   json_result_number(root, "prefill_gmacs") -
               1) < 1e-9);
  } else {
    CHECK_CONTAINS(r.out, "\"prefill_peak_fraction\": null");
  }
  json_free(document);
  run_result_clear(&r);
}

/* Two depths with two prompts and one answer each. */
static void test_json_rows(void) {
  run_result r =
      run_gust(NULL, "bench", "--synthetic", "demo", "--type", "q8", "--prompt", "8,24", "--gen",
               "4", "--depth", "0,40", "--reps", "1", "--json", (const char *)NULL);
  CHECK_EQ_INT(r.code, 0);
  json_document *document = json_result_parse(&r);
  const json_value *rows = json_root(document), *row = json_first(rows);
  CHECK(json_is(rows, JSON_ARRAY));
  CHECK_EQ_INT(json_count(rows), 4);
  static const int expected[4][3] = {{8, 4, 0}, {24, 0, 0}, {8, 4, 40}, {24, 0, 40}};
  for (size_t i = 0; i < 4 && row; i++, row = json_next(rows, row)) {
    CHECK_EQ_INT(json_result_number(row, "prompt"), expected[i][0]);
    CHECK_EQ_INT(json_result_number(row, "gen"), expected[i][1]);
    CHECK_EQ_INT(json_result_number(row, "depth"), expected[i][2]);
    CHECK(json_result_number(row, "prefill_tps") > 0);
    CHECK((expected[i][1] > 0) == (json_result_number(row, "decode_tps") > 0));
    CHECK(json_result_number(row, "bandwidth_best_gbs") >=
          json_result_number(row, "bandwidth_gbs"));
  }
  json_free(document);
  run_result_clear(&r);
}

static size_t count_of(const char *text, char c) {
  size_t count = 0;
  for (; *text; text++) count += *text == c;
  return count;
}

static void test_csv(void) {
  run_result r = run_gust(NULL, "bench", "--synthetic", "demo", "--type", "bf16", "--prompt", "8",
                          "--gen", "0", "--reps", "1", "--csv", (const char *)NULL);
  CHECK_EQ_INT(r.code, 0);
  CHECK(strncmp(r.out, "model,type,cpu,cpu_model,threads,", 33) == 0);
  CHECK_EQ_INT(count_of(r.out, '\n'), 2);
  const char *values = strchr(r.out, '\n');
  CHECK(values && strncmp(values, "\n\"demo\",\"bf16\",\"", 16) == 0);
  /* No matrix of integers, nothing decoded: those cells are empty. */
  CHECK_CONTAINS(r.out, ",,,,,,,\n");
  run_result_clear(&r);
}

static void test_tables(void) {
  const char *file = demo_model_path("q4");
  run_result r = run_gust(NULL, "bench", file, "--prompt", "8", "--gen", "4", "--reps", "1", "--md",
                          "--load", "mmap", (const char *)NULL);
  CHECK_EQ_INT(r.code, 0);
  CHECK_EQ_INT(count_of(r.out, '\n'), 4);
  CHECK_EQ_INT(count_of(r.out, '|'), 4 * 11);
  CHECK_CONTAINS(r.out, "| mmap | f16 | prefill 8 |");
  CHECK_CONTAINS(r.out, "| mmap | f16 | decode 4 @ 0 |");
  run_result_clear(&r);
  r = run_gust(NULL, "bench", "--synthetic", "demo", "--prompt", "8", "--gen", "4", "--depth", "3",
               "--reps", "1", (const char *)NULL);
  CHECK_EQ_INT(r.code, 0);
  CHECK_CONTAINS(r.out, "model              demo, q4, random weights\n");
  CHECK_CONTAINS(r.out, "\nweights per token  4.60 MB\n");
  CHECK_CONTAINS(r.out, "\nprefill 8 @ 3      ");
  CHECK_CONTAINS(r.out, "\ndecode 4 @ 3       ");
  CHECK_CONTAINS(r.out, " that memory gave meanwhile\n");
  run_result_clear(&r);
}

#define BENCH_USAGE \
  "usage: gust bench MODEL | --synthetic SHAPE [--type " MATRIX_TYPES "] [options]"

static void test_misuse(void) {
  CHECK_GUST(2, "", "gust bench: expected either MODEL or --synthetic; " BENCH_USAGE "\n", NULL,
             "bench");
  CHECK_GUST(2, "", "gust bench: expected either MODEL or --synthetic; " BENCH_USAGE "\n", NULL,
             "bench", "x.gust", "--synthetic", "demo");
  CHECK_GUST(2, "", "gust bench: --type goes with --synthetic; the file has its types\n", NULL,
             "bench", "x.gust", "--type", "q8");
  CHECK_GUST(2, "", "gust bench: --load mmap needs a file to map; --synthetic has none\n", NULL,
             "bench", "--synthetic", "demo", "--load", "mmap");
  CHECK_GUST(2, "", "gust bench: expected at most one of --json, --csv and --md\n", NULL, "bench",
             "--synthetic", "demo", "--json", "--md");
  CHECK_GUST(2, "", "gust bench: --prompt 0 and --gen 0 leave nothing to measure\n", NULL, "bench",
             "--synthetic", "demo", "--prompt", "0", "--gen", "0");
  CHECK_GUST(2, "", "gust bench: --prompt 0 and --gen 0 leave nothing to measure\n", NULL, "bench",
             "--synthetic", "demo", "--prompt", "8,0", "--gen", "4");
  CHECK_GUST(2, "",
             "gust bench: --depth: expected up to 16 whole numbers from 0 to 8388608, separated by "
             "commas, found '1,,2'\n",
             NULL, "bench", "--synthetic", "demo", "--depth", "1,,2");
  CHECK_GUST(2, "",
             "gust bench: --synthetic: expected mistral-7b, zephyr-7b, llama-2-7b, llama-2-13b or "
             "demo, found 'gpt'\n",
             NULL, "bench", "--synthetic", "gpt");
}

int main(void) {
  static const char *const types[] = {"q4", "q8", "bf16", "f32"};
  test_shape();
  test_same_weights();
  for (size_t i = 0; i < sizeof types / sizeof *types; i++) test_logits(types[i]);
  test_bytes_are_tokens();
  test_creation();
  test_probes();
  test_read_loops();
  test_probe_progress();
  test_probe_again();
  test_throughput();
  test_throughput_window();
  test_throughput_limits();
  test_count_list();
  test_misuse();
  test_json();
  test_json_rows();
  test_csv();
  test_tables();
  return check_finish();
}

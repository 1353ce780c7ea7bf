/* gust_convert with calibration, rules for single tensors and a target of bits: the same
 * bytes at any number of threads, on any level and after any interruption; what is
 * refused, and in which words. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "checkpoint_maker.h"
#include "convert.h"
#include "hostile_float_state.h"

static const char *source, *target;
static char text[1300]; /* 512 tokens and more: single letters and bytes */

typedef struct watcher {
  int calls, stop_at;     /* of progress with bytes done */
  int pauses, stop_pause; /* and of others */
  uint64_t done, total;
  char notes[512];
} watcher;

static bool watch(void *user, uint64_t done, uint64_t total) {
  watcher *w = user;
  CHECK(done <= total && done >= w->done && (w->total == 0 || total >= w->total));
  bool pause = done == w->done;
  w->done = done;
  w->total = total;
  return pause ? ++w->pauses == w->stop_pause : ++w->calls == w->stop_at;
}

static void take_note(void *user, const char *line) {
  watcher *w = user;
  strncat(w->notes, line, sizeof w->notes - strlen(w->notes) - 1);
}

typedef struct file_bytes {
  char *data;
  size_t count;
} file_bytes;

static gust_convert_options options_for(watcher *w) {
  return (gust_convert_options){.type = GUST_TYPE_Q4,
                                .threads = 2,
                                .calibration = text,
                                .calibration_bytes = sizeof text,
                                .calibration_name = "text",
                                .progress = watch,
                                .note = take_note,
                                .user = w};
}

static gust_status convert(const gust_convert_options *options, gust_convert_report *report,
                           gust_error *err) {
  watcher *w = options->user;
  w->done = w->total = 0;
  *err = (gust_error){0};
  return gust_convert(source, target, options, report, err);
}

/* Converts to the end and takes the file. */
static file_bytes result_of(const gust_convert_options *options, gust_convert_report *report) {
  gust_error err;
  file_bytes b;
  CHECK_EQ_INT(convert(options, report, &err), GUST_OK);
  CHECK_EQ_STR(err.text, "");
  b.data = check_read_file(target, &b.count);
  remove(target);
  return b;
}

static bool same(file_bytes a, file_bytes b) {
  return a.count == b.count && memcmp(a.data, b.data, a.count) == 0;
}

/* --- bytes --------------------------------------------------------------------------- */

static void settings(void) {
  watcher w = {0};
  gust_convert_options options = options_for(&w);
  gust_convert_report report;
  file_bytes want = result_of(&options, &report);
  CHECK(report.calibration_tokens > 512);
  for (size_t level = 0; gust_cpu_level(level); level++) {
    options.cpu = gust_cpu_level(level);
    options.threads = 1 + (unsigned)level;
    file_bytes found = result_of(&options, NULL);
    CHECK(same(want, found));
    free(found.data);
  }
  options = options_for(&w);
  set_hostile_float_state();
  file_bytes hostile = result_of(&options, NULL);
  CHECK(end_hostile_float_state());
  CHECK(same(want, hostile));
  free(hostile.data);
  /* Calibration changes something, and so does the text. */
  options = options_for(&w);
  options.calibration_bytes = sizeof text / 2;
  file_bytes other = result_of(&options, NULL);
  CHECK(!same(want, other));
  free(other.data);
  options.calibration = NULL;
  other = result_of(&options, &report);
  CHECK(!same(want, other));
  CHECK_EQ_INT(report.calibration_tokens, 0);
  free(other.data);
  free(want.data);
}

/* What is refused leaves an interrupted conversion alone. */
static void refused_before_target(void) {
  watcher w = {0};
  gust_error err;
  gust_convert_options options = options_for(&w);
  options.calibration_bytes = 400;
  CHECK_EQ_INT(convert(&options, NULL, &err), GUST_E_ARGUMENT);
  CHECK_CONTAINS(err.text, "text: expected a text of at least 512 tokens to calibrate on, found ");
  const char *const rules[] = {"model.layers.*=bf16", "lm_head.weight=f32"};
  for (int keep = 0; keep < 2; keep++) {
    options = options_for(&w);
    options.type = keep ? GUST_TYPE_Q4 : GUST_TYPE_BF16;
    options.keep = rules;
    options.keep_count = keep ? 2 : 0;
    CHECK_EQ_INT(convert(&options, NULL, &err), GUST_E_ARGUMENT);
    CHECK_CONTAINS(err.text,
                   "calibration: expected matrices of type q4 or q8 beside the embedding, found "
                   "none");
  }
  CHECK_EQ_STR(w.notes, "");
}

/* Of a text that is too long it is said how much is used. */
static void long_text(void) {
  watcher w = {.stop_at = 1};
  gust_error err;
  gust_convert_options options = options_for(&w);
  size_t bytes = 70000;
  char *copies = malloc(bytes);
  if (!copies) check_fatal("out of memory", "text");
  for (size_t i = 0; i < bytes; i++) copies[i] = text[i % sizeof text];
  options.calibration = copies;
  options.calibration_bytes = bytes;
  CHECK_EQ_INT(convert(&options, NULL, &err), GUST_E_CANCELLED);
  CHECK_CONTAINS(w.notes, "calibrating on the first ");
  CHECK_CONTAINS(w.notes, " tokens, as many as there is room for");
  free(copies);
}

/* Between two matrices, too, it stops when it is told to. */
static void paused(void) {
  watcher w = {0};
  gust_convert_options options = options_for(&w);
  file_bytes want = result_of(&options, NULL);
  int pauses = w.pauses;
  CHECK(pauses > 40);
  for (int at = 1; at <= pauses; at += 5) {
    gust_error err;
    w = (watcher){.stop_pause = at};
    CHECK_EQ_INT(convert(&options, NULL, &err), GUST_E_CANCELLED);
    CHECK_EQ_INT(w.pauses, at);
    CHECK_CONTAINS(err.text, "the conversion was stopped; ");
    w = (watcher){0};
    file_bytes found = result_of(&options, NULL);
    CHECK(same(want, found));
    free(found.data);
  }
  free(want.data);
}

/* head: matrices that are none of the two layers'. */
static void interrupted(uint64_t head) {
  watcher w = {0};
  gust_convert_options options = options_for(&w);
  file_bytes want = result_of(&options, NULL);
  int calls = w.calls;
  CHECK(calls > 14);
  for (int at = 2; at < calls; at += 4) {
    gust_convert_report report;
    gust_error err;
    w = (watcher){.stop_at = at};
    CHECK_EQ_INT(convert(&options, NULL, &err), GUST_E_CANCELLED);
    CHECK_CONTAINS(err.text, "the conversion was stopped; ");
    w = (watcher){0};
    file_bytes found = result_of(&options, &report);
    CHECK(same(want, found));
    /* A layer's tensors are written when the layer is done, the head's when it is. */
    CHECK_EQ_INT(report.resumed, at > 15 ? head + 14 : at > 14 ? 14 : at > 7 ? 7 : 0);
    free(found.data);
  }
  /* Stopped before it has passed over what the one before it had finished. */
  gust_error err;
  gust_convert_report report;
  for (int stop = 0; stop < 2; stop++) {
    w = (watcher){.stop_at = stop ? 1 : 12};
    CHECK_EQ_INT(convert(&options, NULL, &err), GUST_E_CANCELLED);
    CHECK_CONTAINS(err.text, "the same command goes on from there");
  }
  w = (watcher){0};
  refused_before_target();
  file_bytes resumed = result_of(&options, &report);
  CHECK(same(want, resumed));
  CHECK_EQ_INT(report.resumed, 7);
  free(resumed.data);
  /* With another text it starts over. */
  w = (watcher){.stop_at = 10};
  options.calibration_bytes--;
  CHECK_EQ_INT(convert(&options, NULL, &err), GUST_E_CANCELLED);
  w = (watcher){0};
  options.calibration_bytes++;
  file_bytes found = result_of(&options, NULL);
  CHECK(same(want, found));
  CHECK_CONTAINS(w.notes, "starting over");
  free(found.data);
  free(want.data);
}

/* --- types ---------------------------------------------------------------------------- */

static void keep(void) {
  watcher w = {0};
  gust_convert_options options = options_for(&w);
  gust_convert_report report;
  const char *const rules[] = {"*=q8", "model.layers.?.mlp.*_proj.weight=q4", "lm_head*=bf16",
                               "model.layers.1.mlp.down_proj.weight=f32"};
  options.keep = rules;
  options.keep_count = 4;
  file_bytes b = result_of(&options, &report);
  free(b.data);
  CHECK_EQ_INT(report.parts[GUST_TYPE_Q4].tensors, 5);
  CHECK_EQ_INT(report.parts[GUST_TYPE_Q8].tensors, 9);
  CHECK_EQ_INT(report.parts[GUST_TYPE_BF16].tensors, 1);
  CHECK_EQ_INT(report.parts[GUST_TYPE_F32].tensors, 6); /* five norms and one matrix */

  const struct {
    const char *rule, *words;
  } bad[] = {{"*.downproj.weight=q8", "found '*.downproj.weight', which matches none"},
             {"model.norm.weight=q8", "found 'model.norm.weight', which matches none"},
             {"*.weight", "expected PATTERN=TYPE with type " GUST_TYPE_NAMES ", found '*.weight'"},
             {"=q8", "expected PATTERN=TYPE"},
             {"*=q5", "expected PATTERN=TYPE"}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    gust_error err;
    options.keep = &bad[i].rule;
    options.keep_count = 1;
    CHECK_EQ_INT(convert(&options, NULL, &err), GUST_E_ARGUMENT);
    CHECK_CONTAINS(err.text, bad[i].words);
  }
}

/* The receipt has a part for each type that there is, with the report's error. */
static void check_receipt(file_bytes file, const gust_convert_report *report) {
  gust_header header = {0};
  gust_error err = {0};
  CHECK_EQ_INT(
      gust_header_decode(&header, (const uint8_t *)file.data, file.count, file.count, target, &err),
      GUST_OK);
  const gust_receipt *receipt = &header.receipt;
  size_t types = 0;
  for (int type = 0; type < GUST_TYPE_COUNT; type++) types += report->parts[type].tensors > 0;
  CHECK_EQ_INT(receipt->part_count, types);
  for (size_t i = 0; i < receipt->part_count; i++) {
    const gust_receipt_part *part = &receipt->parts[i];
    CHECK(report->parts[part->type].tensors > 0);
    CHECK(sqrt(part->error / part->energy) == report->parts[part->type].rms_error);
  }
  gust_header_clear(&header);
}

static double quantized_bits(const gust_convert_report *report) {
  const gust_convert_part *q4 = &report->parts[GUST_TYPE_Q4], *q8 = &report->parts[GUST_TYPE_Q8];
  return 8.0 * (double)(q4->bytes + q8->bytes) / (double)(q4->parameters + q8->parameters);
}

static void target_bits(bool calibrated) {
  watcher w = {0};
  gust_convert_options options = options_for(&w);
  gust_convert_report report;
  gust_error err;
  if (!calibrated) options.calibration = NULL;
  options.target_bits = 1;
  CHECK_EQ_INT(convert(&options, NULL, &err), GUST_E_ARGUMENT);
  double least, most;
  CHECK(sscanf(
            err.text,
            "--target-bits: expected %lf (all q4) to %lf (all q8) for this checkpoint, found 1.000",
            &least, &most) == 2);
  CHECK(least < most);
  double last = 0;
  for (int step = 0; step <= 4; step++) {
    options.target_bits = step == 4 ? most : least + (most - least) * step / 4;
    w = (watcher){0};
    file_bytes first = result_of(&options, &report);
    double bits = quantized_bits(&report);
    check_receipt(first, &report);
    CHECK_EQ_INT(report.source_bytes, 4 * report.parameters); /* f32 */
    CHECK_EQ_INT(w.done, w.total);
    if (step == 0) CHECK_EQ_INT(report.parts[GUST_TYPE_Q8].tensors, 0);
    if (step == 4) CHECK_EQ_INT(report.parts[GUST_TYPE_Q4].tensors, 0);
    CHECK(bits <= options.target_bits && bits >= last);
    if (step) CHECK(bits > options.target_bits - (most - least) / 4);
    CHECK_CONTAINS(w.notes, "bits per weight of the quantized matrices; q8 for ");
    last = bits;
    if (step == 2) { /* the choice, too, is the same everywhere */
      options.threads = 1;
      options.cpu = "c";
      file_bytes second = result_of(&options, NULL);
      CHECK(same(first, second));
      free(second.data);
      options.threads = 2;
      options.cpu = NULL;
    }
    free(first.data);
  }
  /* What is kept is not chosen anew. */
  const char *const rules[] = {"*.down_proj.weight=q8", "*.q_proj.weight=bf16"};
  options.keep = rules;
  options.keep_count = 2;
  options.target_bits = (least + most) / 2;
  file_bytes b = result_of(&options, &report);
  CHECK(quantized_bits(&report) <= options.target_bits);
  CHECK_EQ_INT(report.parts[GUST_TYPE_BF16].tensors, 2);
  CHECK_CONTAINS(w.notes, "down_proj 2 of 2");
  free(b.data);
  options.type = GUST_TYPE_Q8;
  CHECK_EQ_INT(convert(&options, NULL, &err), GUST_E_ARGUMENT);
  CHECK_CONTAINS(err.text, "expected type q4, found q8");
}

/* --- refusals --------------------------------------------------------------------------- */

static void refused(void) {
  watcher w = {0};
  gust_convert_options options = options_for(&w);
  gust_error err;
  refused_before_target();
  maker_model damaged = maker_small(false, true);
  const float nan = 0.0f / 0.0f;
  maker_poke(&damaged, source, "model.layers.1.mlp.up_proj.weight", 41, &nan, 4);
  options = options_for(&w);
  CHECK_EQ_INT(convert(&options, NULL, &err), GUST_E_FORMAT);
  CHECK_CONTAINS(err.text,
                 "tensor 'model.layers.1.mlp.up_proj.weight': expected finite weights, "
                 "found NaN or infinity in row 1, column 5");
  /* Finite weights whose outputs are not: by the layer before. */
  maker_free(&damaged);
  damaged = maker_small(false, true);
  const float huge = 1e38f;
  for (size_t i = 0; i < 36; i++)
    maker_poke(&damaged, source, "model.layers.0.self_attn.v_proj.weight", i, &huge, 4);
  CHECK_EQ_INT(convert(&options, NULL, &err), GUST_E_FORMAT);
  CHECK_CONTAINS(err.text,
                 "tensor 'model.layers.0.self_attn.o_proj.weight': expected inputs whose squares "
                 "float32 can hold, found NaN, infinity or too large a number");
  maker_free(&damaged);
}

int main(void) {
  source = check_temp_file("source");
  target = check_temp_file("model.gust");
  for (size_t i = 0; i < sizeof text; i++) text[i] = "ab c\ndefab"[i * i % 97 % 10];
  maker_model model = maker_small(false, true);
  maker_write(&model, source, "F32", 1);
  settings();
  interrupted(1);
  paused();
  long_text();
  keep();
  target_bits(false);
  target_bits(true);
  refused();
  maker_write(&model, source, "F32", 1);
  maker_free(&model);
  /* A tied head is no matrix of its own. */
  model = maker_small(true, false);
  maker_write(&model, source, "BF16", 1);
  settings();
  maker_free(&model);
  return check_finish();
}

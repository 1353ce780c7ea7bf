/* Conversions that are stopped or killed: what they leave, and that the next one
 * goes on from there and comes to the same bytes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "checkpoint_maker.h"
#include "cli/terminal.h"
#include "convert.h"
#include "host.h"
#include "os.h"
#include "run_program.h"

#define TENSORS 21 /* of the small model, each one group and so one call of progress */
#define TOKENS 8   /* calls while the receipt's prompt is computed */

static const char *self; /* the path of this program */
static const char *source, *output, *target, *partial;

/* --- one conversion ------------------------------------------------------------------ */

typedef struct watcher {
  int calls, stop_at, kill_at;
  uint64_t first_total;
  char notes[512];
} watcher;

static bool watch(void *user, uint64_t done, uint64_t total) {
  watcher *w = user;
  CHECK(done <= total);
  w->first_total = w->first_total ? w->first_total : total;
  w->calls++;
  if (w->calls == w->kill_at) host_die();
  return w->calls == w->stop_at;
}

static void take_note(void *user, const char *line) {
  watcher *w = user;
  strncat(w->notes, line, sizeof w->notes - strlen(w->notes) - 1);
}

static gust_status convert(watcher *w, gust_type type, gust_convert_report *report,
                           gust_error *err) {
  gust_convert_options options = {
      .type = type, .threads = 2, .progress = watch, .note = take_note, .user = w};
  *err = (gust_error){0};
  return gust_convert(source, target, &options, report, err);
}

/* In a process of its own, which dies at the given call of progress: this program with
 * other arguments. */
static void convert_killed(gust_type type, int kill_at) {
  char at[16];
  snprintf(at, sizeof at, "%d", kill_at);
  const char *argv[] = {self, "--killed", gust_type_name(type), at, source, target, NULL};
  run_result run = run_program(argv, "", 0);
  CHECK_EQ_INT(run.code, 128 + RUN_KILL);
  run_result_clear(&run);
}

static int be_killed(char **argv) {
  watcher w = {.kill_at = atoi(argv[3])};
  gust_error err;
  source = argv[4];
  target = argv[5];
  gust_type type = strcmp(argv[2], "q4") == 0 ? GUST_TYPE_Q4 : GUST_TYPE_Q8;
  fprintf(stderr, "not killed: %s\n", convert(&w, type, NULL, &err) ? err.text : "finished");
  return 1;
}

typedef struct bytes {
  char *data;
  size_t count;
} bytes;

/* What an undisturbed conversion gives. */
static bytes reference(gust_type type) {
  watcher w = {0};
  gust_error err;
  bytes b;
  CHECK_EQ_INT(convert(&w, type, NULL, &err), GUST_OK);
  CHECK_EQ_INT(w.calls, TENSORS + TOKENS);
  CHECK_EQ_STR(w.notes, "");
  b.data = check_read_file(target, &b.count);
  remove(target);
  return b;
}

/* Converts to the end and compares; returns how many tensors were there already. */
static uint64_t finish(gust_type type, const bytes *want, const char *words) {
  watcher w = {0};
  gust_convert_report report;
  gust_error err;
  CHECK_EQ_INT(convert(&w, type, &report, &err), GUST_OK);
  CHECK_EQ_STR(err.text, "");
  CHECK_EQ_STR(w.notes, words);
  CHECK_EQ_INT(w.calls + report.resumed, TENSORS + TOKENS);
  bytes b;
  b.data = check_read_file(target, &b.count);
  CHECK(b.count == want->count && memcmp(b.data, want->data, b.count) == 0);
  free(b.data);
  CHECK_EQ_INT(check_files_in(output), 1);
  remove(target);
  return report.resumed;
}

static const char going_on[] = "going on with a conversion that was interrupted";
static const char starting_over[] =
    "an interrupted conversion was of another source, other options or another version: "
    "starting over";

/* --- cases --------------------------------------------------------------------------- */

/* At every tensor: by progress, and by a signal that asks nobody. */
static void interrupted(gust_type type) {
  bytes want = reference(type);
  for (int at = 1; at < TENSORS + TOKENS; at++) {
    watcher w = {.stop_at = at};
    gust_error err;
    check_write_file(target, "old", 3);
    CHECK_EQ_INT(convert(&w, type, NULL, &err), GUST_E_CANCELLED);
    CHECK_CONTAINS(err.text,
                   "model.gust: the conversion was stopped; the same command goes on "
                   "from there, or remove ");
    CHECK_CONTAINS(err.text, "model.gust.converting");
    size_t old;
    free(check_read_file(target, &old));
    CHECK_EQ_INT(old, 3);
    CHECK(check_files_in(output) == 2 && host_exists(partial));
    CHECK_EQ_INT(finish(type, &want, going_on), at < TENSORS ? at : TENSORS);
  }
  for (int at = 1; at <= TENSORS; at += 3) {
    convert_killed(type, at);
    CHECK(!host_exists(target) && check_files_in(output) == 1 && host_exists(partial));
    CHECK_EQ_INT(finish(type, &want, going_on), at - 1); /* the last was not written yet */
  }
  convert_killed(type, TENSORS + 5); /* while the receipt is made */
  CHECK_EQ_INT(finish(type, &want, going_on), TENSORS);
  /* Killed again and again. */
  for (int at = 0; at < 5; at++) convert_killed(type, 3);
  CHECK_EQ_INT(finish(type, &want, going_on), 10);
  free(want.data);
}

static void changed(void) {
  bytes q4 = reference(GUST_TYPE_Q4), q8 = reference(GUST_TYPE_Q8);
  convert_killed(GUST_TYPE_Q4, 10);
  CHECK_EQ_INT(finish(GUST_TYPE_Q8, &q8, starting_over), 0);
  convert_killed(GUST_TYPE_Q8, 10);
  CHECK_EQ_INT(finish(GUST_TYPE_Q4, &q4, starting_over), 0);

  /* Another time of change is another source; calibration another result. */
  char shard[512];
  snprintf(shard, sizeof shard, "%s/model.safetensors", source);
  convert_killed(GUST_TYPE_Q4, 10);
  CHECK(host_set_changed(shard, 1000, 500));
  CHECK_EQ_INT(finish(GUST_TYPE_Q4, &q4, starting_over), 0);
  convert_killed(GUST_TYPE_Q4, 10);
  watcher w = {0};
  gust_error err = {0};
  char text[1024];
  memset(text, 'x', sizeof text); /* as many tokens, and more */
  gust_convert_options options = {.type = GUST_TYPE_Q4,
                                  .calibration = text,
                                  .calibration_bytes = sizeof text,
                                  .calibration_name = "a text",
                                  .progress = watch,
                                  .note = take_note,
                                  .user = &w};
  CHECK_EQ_INT(gust_convert(source, target, &options, NULL, &err), GUST_OK);
  CHECK_EQ_STR(w.notes, starting_over);
  remove(target);
  free(q4.data);
  free(q8.data);
}

/* A partial file that was damaged or cut off. */
static void damaged(void) {
  bytes want = reference(GUST_TYPE_Q8);
  size_t count;
  for (int round = 0; round < 6; round++) {
    convert_killed(GUST_TYPE_Q8, 15);
    char *file = check_read_file(partial, &count);
    file[want.count * (size_t)round / 6] ^= 1;
    check_write_file(partial, file, count);
    free(file);
    CHECK(finish(GUST_TYPE_Q8, &want, going_on) <= 14);
  }
  convert_killed(GUST_TYPE_Q8, 15);
  check_cut_file(partial, want.count + 500); /* within the journal */
  CHECK(finish(GUST_TYPE_Q8, &want, going_on) < 14);
  convert_killed(GUST_TYPE_Q8, 15);
  check_cut_file(partial, want.count);
  CHECK_EQ_INT(finish(GUST_TYPE_Q8, &want, starting_over), 0);
  free(want.data);
}

/* A file of somebody's that happens to go by that name. */
static void foreign(void) {
  static const char *const theirs[] = {"something else", "short"};
  for (size_t i = 0; i < 2; i++) {
    gust_error err = {0};
    watcher w = {0};
    size_t count;
    check_write_file(partial, theirs[i], strlen(theirs[i]));
    CHECK_EQ_INT(convert(&w, GUST_TYPE_Q8, NULL, &err), GUST_E_ARGUMENT);
    CHECK_CONTAINS(err.text,
                   "model.gust.converting: expected none, or what an interrupted conversion left, "
                   "found another file; move it, or give another name");
    char *file = check_read_file(partial, &count);
    CHECK(count == strlen(theirs[i]) && memcmp(file, theirs[i], count) == 0);
    CHECK_EQ_INT(check_files_in(output), 1);
    free(file);
    remove(partial);
  }
}

/* --- failures that pass ---------------------------------------------------------------- */

static gust_status measure_second(void *user, const char *path, uint64_t length,
                                  gust_quality *quality, gust_error *err) {
  (void)path, (void)length;
  *quality = (gust_quality){.chunk = 4, .chunks = 2};
  if ((*(int *)user)++ > 0) return GUST_OK;
  if (err) snprintf(err->text, sizeof err->text, "no disk to measure on");
  return GUST_E_IO;
}

static bool take_name(void *user, uint64_t done, uint64_t total) {
  (void)user, (void)done, (void)total;
  os_make_folder(target);
  return false;
}

static void failed(void) {
  int measured = 0;
  gust_error err = {0};
  gust_convert_report report;
  gust_convert_options options = {
      .type = GUST_TYPE_Q4, .threads = 2, .measure = measure_second, .measure_user = &measured};
  CHECK_EQ_INT(gust_convert(source, target, &options, NULL, &err), GUST_E_IO);
  CHECK_CONTAINS(err.text,
                 "no disk to measure on; what is finished is kept: the same command goes on from "
                 "there, or remove ");
  CHECK_EQ_INT(gust_convert(source, target, &options, &report, &err), GUST_OK);
  CHECK_EQ_INT(report.resumed, TENSORS);
  CHECK_EQ_INT(check_files_in(output), 1);
  remove(target);

  /* The whole file is there, but its name is a folder's by now. */
  bytes want = reference(GUST_TYPE_Q4);
  options = (gust_convert_options){.type = GUST_TYPE_Q4, .threads = 2, .progress = take_name};
  CHECK_EQ_INT(gust_convert(source, target, &options, NULL, &err), GUST_E_IO);
  CHECK_CONTAINS(err.text, "model.gust: expected to rename the finished file to it, found: ");
  CHECK_CONTAINS(err.text, "; all of it is there and can be renamed: ");
  size_t count;
  char *file = check_read_file(partial, &count);
  CHECK(count == want.count && memcmp(file, want.data, count) == 0);
  free(file);
  remove(partial);
  CHECK(host_remove(target));

  /* Nothing is left of what was not to be kept. */
  watcher w = {.stop_at = 10};
  options = (gust_convert_options){
      .type = GUST_TYPE_Q4, .threads = 2, .progress = watch, .user = &w, .bare = true};
  CHECK_EQ_INT(gust_convert(source, target, &options, NULL, &err), GUST_E_CANCELLED);
  CHECK_EQ_INT(check_files_in(output), 0);
  free(want.data);
}

/* --- two at once ------------------------------------------------------------------------ */

static bool start_another(void *user, uint64_t done, uint64_t total) {
  gust_error err = {0};
  (void)done, (void)total;
  if ((*(int *)user)++ == 0) {
    CHECK_EQ_INT(gust_convert(source, target, NULL, NULL, &err), GUST_E_IO);
    CHECK_CONTAINS(err.text,
                   "model.gust: expected to be the only one that writes it, found that "
                   "another conversion does; wait for it, or give another name");
  }
  return false;
}

static void two_at_once(void) {
  bytes want = reference(GUST_TYPE_Q4);
  int calls = 0;
  gust_error err = {0};
  gust_convert_options options = {
      .type = GUST_TYPE_Q4, .threads = 2, .progress = start_another, .user = &calls};
  CHECK_EQ_INT(gust_convert(source, target, &options, NULL, &err), GUST_OK);
  size_t count;
  char *file = check_read_file(target, &count);
  CHECK(count == want.count && memcmp(file, want.data, count) == 0);
  CHECK_EQ_INT(check_files_in(output), 1);
  free(file);
  remove(target);

  /* What the name leads to elsewhere is not written to. */
  const char *other = check_temp_file("other");
  check_write_file(other, "other", 5);
  free(want.data);
  if (!host_make_link(other, partial)) {
    check_part_skipped("a link in the place of the partial file", "no link can be made");
    return;
  }
  CHECK_EQ_INT(gust_convert(source, target, NULL, NULL, &err), GUST_E_IO);
  file = check_read_file(other, &count);
  CHECK_EQ_STR(file, "other");
  free(file);
  remove(partial);
}

int main(int argc, char **argv) {
  terminal_begin(&argc, &argv); /* UTF-8 in argv */
  if (argc == 6 && strcmp(argv[1], "--killed") == 0) return be_killed(argv);
  self = argv[0];
  source = check_temp_file("source");
  output = check_temp_file("output");
  target = check_temp_file("output/model.gust");
  partial = check_temp_file("output/model.gust.converting");
  if (!os_make_folder(output)) check_fatal("cannot make", output);
  maker_model m = maker_small(false, true);
  maker_write(&m, source, "BF16", 1);
  interrupted(GUST_TYPE_Q4);
  changed();
  damaged();
  foreign();
  failed();
  two_at_once();
  maker_write(&m, source, "BF16", 3);
  interrupted(GUST_TYPE_Q8);
  maker_free(&m);
  return check_finish();
}

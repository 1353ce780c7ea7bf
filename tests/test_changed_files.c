/* Files that shrink, are written to or are replaced while they are mapped: what reads
 * them fails in one line and never dies of a signal; nothing computed from them is
 * handed out; and a replacement by rename changes nothing. */
#define _XOPEN_SOURCE 700 /* truncate, utimensat */

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "checkpoint_maker.h"
#include "convert.h"
#include "demo_model.h"
#include "format_layout.h"
#include "os.h"
#include "run_gust.h"

static char *demo;
static size_t demo_bytes;

/* The demo model as a file of this test's own, last written to long ago. */
static const char *fresh(void) {
  const char *path = check_temp_file("own.gust");
  const struct timespec long_ago[2] = {{1000000000, 0}, {1000000000, 0}};
  check_write_file(path, demo, demo_bytes);
  if (utimensat(AT_FDCWD, path, long_ago, 0) != 0) check_fatal("cannot set times of", path);
  return path;
}

static void shorten(const char *path, size_t bytes) {
  if (truncate(path, (off_t)bytes) != 0) check_fatal("cannot truncate", path);
}

/* "PATH: changed while in use: expected N bytes as when it was opened, found M; ..." */
static void check_shortened(const char *text, size_t found) {
  char words[160];
  snprintf(words, sizeof words,
           "own.gust: changed while in use: expected %zu bytes as when it was opened, found %zu; "
           "put the whole file back",
           demo_bytes, found);
  CHECK_CONTAINS(text, words);
}

static gust_model *open_mapped(const char *path) {
  const gust_model_options options = {.load = GUST_LOAD_MMAP, .lazy = true};
  gust_model *model;
  gust_error err;
  if (gust_model_open(&model, path, &options, &err)) check_fatal("open", err.text);
  return model;
}

static const int32_t prompt[] = {5, 300, 17, 98, 1024, 6};
#define PROMPT (sizeof prompt / sizeof *prompt)

/* --- shortened ------------------------------------------------------------------------- */

static bool never(void *user, size_t position, const float *logits) {
  (void)position;
  (void)logits;
  ++*(int *)user;
  return false;
}

/* Down to nothing, to a part of the weights, and by less than a page, where the rest
 * of the last page reads as zeros without a signal. */
static void weights_shortened(size_t left) {
  const char *path = fresh();
  gust_model *model = open_mapped(path);
  gust_context *context = context_or_die(model, NULL);
  gust_error err = {0};
  int handed_out = 0;
  CHECK_EQ_INT(gust_context_feed(context, prompt, PROMPT, NULL, NULL, &err), GUST_OK);
  CHECK(gust_context_logits(context) != NULL);
  shorten(path, left);
  for (size_t count = 1; count <= PROMPT; count += PROMPT - 1) { /* alone and in a batch */
    err = (gust_error){0};
    CHECK_EQ_INT(gust_context_feed(context, prompt, count, NULL, NULL, &err), GUST_E_IO);
    check_shortened(err.text, left);
    CHECK(gust_context_logits(context) == NULL);
    CHECK_EQ_INT(gust_context_length(context), PROMPT);
  }
  CHECK_EQ_INT(gust_context_score(context, prompt, PROMPT, never, &handed_out, &err), GUST_E_IO);
  CHECK_EQ_INT(handed_out, 0);
  CHECK_EQ_INT(gust_model_verify(model, NULL, NULL, &err), GUST_E_IO);
  check_shortened(err.text, left);
  gust_context_destroy(context);
  gust_model_close(model);
}

typedef struct shortening {
  const char *path;
  size_t left;
  unsigned calls;
} shortening;

static bool shorten_now(void *user, uint64_t done, uint64_t total) {
  shortening *s = user;
  (void)done;
  (void)total;
  if (s->calls++ == 0) shorten(s->path, s->left);
  return false;
}

/* After the last part has been read, as the file is one part: only asking finds it. */
static void loading_shortened(gust_load load) {
  shortening s = {.path = fresh(), .left = demo_bytes / 3};
  const gust_model_options options = {.load = load, .progress = shorten_now, .user = &s};
  gust_model *model;
  gust_error err = {0};
  CHECK_EQ_INT(gust_model_open(&model, s.path, &options, &err), GUST_E_IO);
  CHECK(model == NULL && s.calls == 1);
  check_shortened(err.text, s.left);
}

static void verifying_shortened(void) {
  shortening s = {.path = fresh(), .left = 4096};
  gust_model *model = open_mapped(s.path);
  gust_error err = {0};
  CHECK_EQ_INT(gust_model_verify(model, shorten_now, &s, &err), GUST_E_IO);
  check_shortened(err.text, s.left);
  gust_model_close(model);
}

/* --- written to -------------------------------------------------------------------------- */

static void written_to(void) {
  const char *path = fresh();
  gust_model *model = open_mapped(path);
  gust_context *context = context_or_die(model, NULL);
  gust_error err = {0};
  CHECK_EQ_INT(gust_context_feed(context, prompt, PROMPT, NULL, NULL, &err), GUST_OK);
  int fd = open(path, O_WRONLY);
  CHECK(fd >= 0 && pwrite(fd, "x", 1, (off_t)demo_bytes / 2) == 1);
  close(fd);
  CHECK_EQ_INT(gust_context_feed(context, prompt, 1, NULL, NULL, &err), GUST_E_IO);
  CHECK_CONTAINS(err.text,
                 "own.gust: changed while in use: expected it as when it was opened, "
                 "found it written to or unreadable in part; put the whole file back");
  gust_context_destroy(context);
  gust_model_close(model);
}

/* --- replaced ---------------------------------------------------------------------------- */

static uint64_t hash_of(gust_context *context) {
  uint64_t hash = 0;
  gust_error err;
  if (gust_context_logits_hash(context, NULL, NULL, &hash, &err)) check_fatal("hash", err.text);
  return hash;
}

/* The mapping keeps the file it was made of, whatever bears its name. */
static void replaced(void) {
  const char *path = fresh(), *other = check_temp_file("other");
  gust_model *model = open_mapped(path);
  gust_context *context = context_or_die(model, NULL);
  gust_receipt_info receipt;
  CHECK(gust_model_get_receipt(model, &receipt));
  check_write_file(other, "short", 5);
  CHECK(rename(other, path) == 0);
  CHECK(hash_of(context) == receipt.logits_hash);
  gust_error err = {0};
  CHECK_EQ_INT(gust_model_verify(model, NULL, NULL, &err), GUST_OK);
  CHECK(remove(path) == 0);
  CHECK(hash_of(context) == receipt.logits_hash);
  gust_context_destroy(context);
  gust_model_close(model);
}

/* What the linker calls the function itself, and what stands in for it.
 * NOLINTBEGIN(bugprone-reserved-identifier): the names are the linker's. */
os_file __real_os_open_read(const char *path, uint64_t *bytes);
os_file __wrap_os_open_read(const char *path, uint64_t *bytes);
/* NOLINTEND(bugprone-reserved-identifier) */

static const char *takes_the_place; /* of the next file that is opened by its name */

os_file __wrap_os_open_read(const char *path, uint64_t *bytes) {
  if (takes_the_place) CHECK(rename(takes_the_place, path) == 0);
  takes_the_place = NULL;
  return __real_os_open_read(path, bytes);
}

/* Between the header's being read and the copying: by one of other bytes, or length. */
static void replaced_before_copying(void) {
  const gust_model_options options = {.load = GUST_LOAD_COPY};
  const char *path = fresh();
  static const char *const words[] = {
      "own.gust: expected the header it had, found another: it was replaced meanwhile; try again",
      ": it was replaced meanwhile; try again"};
  for (size_t shorter = 0; shorter < 2; shorter++) {
    gust_model *model;
    gust_error err = {0};
    char name[32];
    snprintf(name, sizeof name, "other%zu", shorter);
    takes_the_place = check_temp_file(name);
    demo[PROLOGUE_CHECKSUM] ^= 1; /* of another header */
    check_write_file(takes_the_place, demo, demo_bytes - shorter);
    demo[PROLOGUE_CHECKSUM] ^= 1;
    CHECK_EQ_INT(gust_model_open(&model, path, &options, &err), GUST_E_IO);
    CHECK(model == NULL && takes_the_place == NULL);
    CHECK_CONTAINS(err.text, words[shorter]);
    path = fresh();
  }
}

/* A copy depends on nothing any more. */
static void copied(void) {
  const char *path = fresh();
  const gust_model_options options = {.load = GUST_LOAD_COPY};
  gust_model *model;
  gust_error err = {0};
  if (!CHECK_EQ_INT(gust_model_open(&model, path, &options, &err), GUST_OK)) return;
  gust_context *context = context_or_die(model, NULL);
  gust_receipt_info receipt;
  CHECK(gust_model_get_receipt(model, &receipt));
  shorten(path, 0);
  CHECK(hash_of(context) == receipt.logits_hash);
  gust_context_destroy(context);
  gust_model_close(model);
}

/* --- conversions --------------------------------------------------------------------------- */

static void check_converting_shortened(const char *folder, const gust_convert_options *like,
                                       unsigned after) {
  const char *path = check_temp_file("source/model.safetensors");
  const char *target = check_temp_file("target.gust");
  struct stat whole;
  maker_model m = maker_small(false, true);
  maker_write(&m, folder, "BF16", 1);
  if (stat(path, &whole) != 0) check_fatal("no weights", path);
  shortening s = {.path = path, .left = (size_t)whole.st_size / 2, .calls = 0u - after};
  gust_convert_options options = *like;
  options.progress = shorten_now;
  options.user = &s;
  gust_error err = {0};
  char words[160];
  check_write_file(target, "before", 6);
  CHECK_EQ_INT(gust_convert(folder, target, &options, NULL, &err), GUST_E_IO);
  snprintf(words, sizeof words,
           "model.safetensors: changed while in use: expected %lld bytes as when it was opened, "
           "found %zu; ",
           (long long)whole.st_size, s.left);
  CHECK_CONTAINS(err.text, words);
  char *text = check_read_file(target, NULL);
  CHECK_EQ_STR(text, "before"); /* what was there is still there */
  free(text);
  remove(check_temp_file("target.gust.converting"));
  maker_free(&m);
}

static void converting_shortened(void) {
  static char text[2000];
  for (size_t i = 0; i < sizeof text; i++) text[i] = (char)('a' + i * i % 26);
  const char *folder = check_temp_file("source");
  const gust_convert_options plain = {.type = GUST_TYPE_Q4, .threads = 2};
  const gust_convert_options calibrated = {.type = GUST_TYPE_Q4,
                                           .threads = 2,
                                           .calibration = text,
                                           .calibration_bytes = sizeof text,
                                           .calibration_name = "text"};
  const gust_convert_options measured = {.type = GUST_TYPE_Q4, .threads = 2, .target_bits = 20};
  for (unsigned after = 0; after < 24; after += 4)
    check_converting_shortened(folder, &plain, after);
  check_converting_shortened(folder, &measured, 0);
  if (check_emulated()) {
    check_part_skipped("calibrated conversions", "an emulator takes half a minute for each");
    return;
  }
  check_converting_shortened(folder, &calibrated, 0);
  check_converting_shortened(folder, &calibrated, 9);
}

/* --- the program ------------------------------------------------------------------------------ */

/* Starts a command that prints `sign`, then `then`, and goes on for long, then shortens its file:
 * exit code 1 and one line that says why. */
static void check_program(const char *const argv[], const char *path, const char *sign,
                          const char *then) {
  run_terminal *terminal = run_terminal_start(argv);
  CHECK(run_terminal_expect(terminal, sign, 60) && run_terminal_expect(terminal, then, 60));
  shorten(path, demo_bytes / 2);
  char words[160];
  snprintf(words, sizeof words,
           "own.gust: changed while in use: expected %zu bytes as when it was opened, found %zu; ",
           demo_bytes, demo_bytes / 2);
  CHECK(run_terminal_expect(terminal, words, 60));
  CHECK_EQ_INT(run_terminal_finish(terminal), 1);
}

static void programs(void) {
  const char *gust = run_gust_binary(), *path = check_temp_file("own.gust");
  /* Drawn at such a temperature, ids are nearly random: an end comes late. */
  const char *const run[] = {gust,      "run",    path,      "--raw", "-p",      "Once upon",
                             "--temp",  "100",    "--top-k", "0",     "--top-p", "1",
                             "--min-p", "0",      "--seed",  "3",     "--ctx",   "100000",
                             "-n",      "100000", "--load",  "mmap",  NULL};
  const char *const eval[] = {gust,     "eval", path, "--text", check_data("heldout.txt"),
                              "--load", "mmap", NULL};
  fresh();
  check_program(run, path, "predict badly\r\n", " ");
  fresh();
  check_program(eval, path, "evaluating", "%");
}

int main(void) {
  const char *path = demo_model_path("q4");
  if (!path) check_skip("GUST_DEMO_Q4 is not set: run under meson test");
  demo = check_read_file(path, &demo_bytes);
  if (!gust_guard_mapped_files()) check_fatal("no guard", "");
  weights_shortened(0);
  weights_shortened(demo_bytes / 2 + 1234);
  weights_shortened(demo_bytes - 100);
  loading_shortened(GUST_LOAD_MMAP);
  loading_shortened(GUST_LOAD_COPY);
  verifying_shortened();
  written_to();
  replaced();
  replaced_before_copying();
  copied();
  converting_shortened();
  programs();
  free(demo);
  return check_finish();
}

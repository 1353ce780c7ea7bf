/* The converter on a checkpoint that is large beside what it may keep in memory:
 * the same bytes on every CPU level and with any number of threads, memory that
 * does not grow with the model, and `gust convert` killed at any moment. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "checksum.h"
#include "convert.h"
#include "gust.h"
#include "host.h"
#include "os.h"
#include "run_gust.h"

static const char *output, *target, *partial;

/* A checkpoint of the demo's shape with `layers` layers, in the test's folder. */
static const char *make_checkpoint(const char *name, const char *layers) {
  const char *program = getenv("GUST_MAKE_CHECKPOINT");
  if (!program || !*program) check_skip("GUST_MAKE_CHECKPOINT is not set: run under meson test");
  const char *folder = check_temp_file(name);
  const char *argv[] = {program, "demo", folder, "--layers", layers, "--correlated", NULL};
  run_result r = run_program(argv, "", 0);
  if (r.code != 0) check_fatal("make_checkpoint", r.err);
  run_result_clear(&r);
  return folder;
}

static uint64_t hash_of(const char *path) {
  size_t bytes;
  char *file = check_read_file(path, &bytes);
  uint64_t hash = gust_xxh64_of(file, bytes, 0);
  free(file);
  return hash;
}

/* --- the same bytes ---------------------------------------------------------------- */

static void same_bytes(const char *folder) {
  for (int type = GUST_TYPE_Q8; type <= GUST_TYPE_Q4; type++) {
    uint64_t first = 0;
    for (size_t level = 0; gust_cpu_level(level); level++) {
      for (unsigned threads = 1; threads <= 3; threads++) {
        gust_convert_options options = {
            .type = (gust_type)type, .cpu = gust_cpu_level(level), .threads = threads};
        gust_error err = {0};
        CHECK_EQ_INT(gust_convert(folder, target, &options, NULL, &err), GUST_OK);
        CHECK_EQ_STR(err.text, "");
        uint64_t hash = hash_of(target);
        if (!first) first = hash;
        if (!CHECK(hash == first)) printf("%s, %u threads\n", options.cpu, threads);
      }
    }
  }
  gust_convert_options unknown = {.cpu = "mmx"};
  gust_error err = {0};
  CHECK_EQ_INT(gust_convert(folder, target, &unknown, NULL, &err), GUST_E_ARGUMENT);
  CHECK_CONTAINS(err.text, "unknown CPU level \"mmx\"; expected c, avx2, ");
  remove(target);
}

/* --- memory ------------------------------------------------------------------------- */

#ifdef __linux__
/* Private memory of this process now, in bytes. */
static uint64_t private_memory(void) {
  char line[256];
  unsigned long long kilobytes = 0;
  FILE *f = fopen("/proc/self/status", "r");
  if (!f) return 0;
  while (fgets(line, sizeof line, f))
    if (sscanf(line, "RssAnon: %llu", &kilobytes) == 1) break;
  fclose(f);
  return (uint64_t)kilobytes * 1024;
}

static bool watch_memory(void *user, uint64_t done, uint64_t total) {
  uint64_t *most = user, now = private_memory();
  (void)done, (void)total;
  *most = now > *most ? now : *most;
  return false;
}

/* Two groups of packed panels and little else, by docs/BENCHMARKS.md. */
#define MEMORY_BUDGET ((uint64_t)32 << 20)

static void memory(const char *folder) {
  for (int type = GUST_TYPE_Q8; type <= GUST_TYPE_Q4; type++) {
    uint64_t most = 0;
    gust_convert_options options = {
        .type = (gust_type)type, .threads = 2, .progress = watch_memory, .user = &most};
    gust_convert_report report;
    gust_error err = {0};
    CHECK_EQ_INT(gust_convert(folder, target, &options, &report, &err), GUST_OK);
    printf("%s: %.1f MB of weights, at most %.1f MB private memory\n",
           gust_type_name((gust_type)type), (double)report.source_bytes * 1e-6,
           (double)most * 1e-6);
    CHECK(report.source_bytes > 4 * MEMORY_BUDGET);
    CHECK(most > 0 && most <= MEMORY_BUDGET);
    remove(target);
  }
}
#else
static void memory(const char *folder) {
  (void)folder;
}
#endif

/* --- the command, killed -------------------------------------------------------------- */

static void killed(const char *folder) {
  const char *argv[] = {run_gust_binary(), "convert", folder, "-o", target, NULL};
  CHECK_GUST(0, NULL, NULL, NULL, "convert", folder, "-o", target, "--json");
  uint64_t want = hash_of(target);
  remove(target);
  bool resumed = false;
  for (unsigned milliseconds = 40; milliseconds < 1200; milliseconds = milliseconds * 3 / 2) {
    run_result r = run_program_signalled(argv, milliseconds, RUN_KILL);
    resumed = resumed || strstr(r.err, "note: going on with a conversion that was interrupted");
    int code = r.code;
    run_result_clear(&r);
    if (code == 0) break; /* too fast for us */
    CHECK_EQ_INT(code, 128 + RUN_KILL);
    if (host_exists(target)) { /* killed between its last step and its end */
      CHECK(hash_of(target) == want);
      break;
    }
    CHECK(check_files_in(output) == 0 || (check_files_in(output) == 1 && host_exists(partial)));
  }
  run_result last = run_program(argv, "", 0);
  CHECK_EQ_INT(last.code, 0);
  resumed = resumed || strstr(last.err, "note: going on with a conversion that was interrupted");
  CHECK(resumed);
  run_result_clear(&last);
  CHECK(hash_of(target) == want);
  CHECK_EQ_INT(check_files_in(output), 1);
  CHECK_GUST(0, NULL, NULL, NULL, "verify", target);
  remove(target);
}

int main(void) {
  output = check_temp_file("output");
  target = check_temp_file("output/model.gust");
  partial = check_temp_file("output/model.gust.converting");
  if (!os_make_folder(output)) check_fatal("cannot make", output);
  same_bytes(make_checkpoint("small", "1"));
  const char *large = make_checkpoint("large", "90");
  memory(large);
  killed(large);
  return check_finish();
}

#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "os.h"
#include "random64.h"

/* After so many the rest is only counted, so that the first ones stay to be seen. */
#define FAILURES_SHOWN 40

static long checks_run, checks_failed;
static char temp_folder[1024];

static bool last_was_shown(void) {
  return checks_failed <= FAILURES_SHOWN;
}

bool check_that(bool held, const char *file, int line, const char *what) {
  checks_run++;
  if (!held) {
    checks_failed++;
    if (last_was_shown()) fprintf(stderr, "%s:%d: failed: %s\n", file, line, what);
  }
  return held;
}

bool check_eq_int(long long a, long long b, const char *file, int line, const char *what) {
  if (check_that(a == b, file, line, what)) return true;
  if (last_was_shown()) fprintf(stderr, "  %lld is not %lld\n", a, b);
  return false;
}

bool check_eq_str(const char *a, const char *b, const char *file, int line, const char *what) {
  const char *left = a ? a : "(null)", *right = b ? b : "(null)";
  if (check_that(a && b && strcmp(a, b) == 0, file, line, what)) return true;
  if (last_was_shown()) fprintf(stderr, "  found    \"%s\"\n  expected \"%s\"\n", left, right);
  return false;
}

bool check_contains(const char *text, const char *part, const char *file, int line) {
  if (check_that(text && strstr(text, part), file, line, "text contains part")) return true;
  if (last_was_shown()) fprintf(stderr, "  \"%s\"\n  lacks \"%s\"\n", text ? text : "(null)", part);
  return false;
}

int check_finish(void) {
  printf("%ld checks, %ld failed\n", checks_run, checks_failed);
  return checks_run > 0 && checks_failed == 0 ? 0 : 1;
}

void check_skip(const char *why) {
  printf("skipped: %s\n", why);
  exit(checks_failed ? check_finish() : 77);
}

void check_part_skipped(const char *part, const char *why) {
  printf("not run: %s: %s\n", part, why);
}

void check_fatal(const char *what, const char *detail) {
  fprintf(stderr, "cannot go on: %s: %s\n", what, detail);
  exit(1);
}

/* Paths live until the end of the program; the few there are are never freed
 * one by one but kept reachable, so that leak checkers stay quiet; volatile, or a compiler would
 * see that nothing reads them. */
static const char *keep_path(const char *folder, const char *name) {
  static char *volatile kept[256];
  static size_t count;
  if (count == sizeof kept / sizeof *kept) check_fatal("too many paths", name);
  size_t bytes = strlen(folder) + strlen(name) + 2;
  char *path = malloc(bytes);
  if (!path) check_fatal("out of memory", name);
  snprintf(path, bytes, "%s%s%s", folder, *name ? "/" : "", name);
  kept[count++] = path;
  return path;
}

static const char *env_or(const char *name, const char *fallback) {
  const char *value = getenv(name);
  return value && *value ? value : fallback;
}

const char *check_data(const char *name) {
  return keep_path(env_or("GUST_TEST_DATA", "tests/data"), name);
}

const char *check_demo(void) {
  return env_or("GUST_TEST_DEMO", "models/demo");
}

bool check_emulated(void) {
  return env_or("GUST_TEST_EMULATED", NULL) != NULL;
}

const char *check_refs(const char *name) {
  const char *folder = env_or("GUST_TEST_REFS", NULL);
  if (!folder) return NULL;
  const char *path = keep_path(folder, name);
  return host_exists(path) ? path : NULL;
}

/* Links are removed, not followed. */
static bool remove_tree(void *user, const char *name) {
  const char *folder = user;
  char path[4096];
  int bytes = snprintf(path, sizeof path, "%s/%s", folder, name);
  if (bytes < 0 || (size_t)bytes >= sizeof path || host_remove(path)) return false;
  os_list_folder(path, remove_tree, path);
  host_remove(path);
  return false;
}

static void remove_temp(void) {
  os_list_folder(temp_folder, remove_tree, temp_folder);
  host_remove(temp_folder);
}

const char *check_temp(void) {
  if (!*temp_folder) {
    if (!host_make_temp_folder(temp_folder, sizeof temp_folder))
      check_fatal("no temporary folder", temp_folder);
    atexit(remove_temp);
  }
  return temp_folder;
}

const char *check_temp_file(const char *name) {
  return keep_path(check_temp(), name);
}

static bool count_name(void *user, const char *name) {
  *(size_t *)user += name[0] != '.';
  return false;
}

size_t check_files_in(const char *folder) {
  size_t count = 0;
  if (!os_list_folder(folder, count_name, &count)) check_fatal("no folder", folder);
  return count;
}

unsigned long long check_file_bytes(const char *path) {
  uint64_t bytes;
  os_file file = os_open_read(path, &bytes);
  if (file == -1) check_fatal("cannot open", path);
  os_close(file);
  return bytes;
}

void check_cut_file(const char *path, unsigned long long bytes) {
  uint64_t before;
  os_file file = os_open_update(path, &before);
  if (file == -1 || !os_truncate(file, bytes)) check_fatal("cannot truncate", path);
  os_close(file);
}

char *check_read_file(const char *path, size_t *bytes) {
  FILE *file = os_fopen(path, "rb");
  if (!file || fseek(file, 0, SEEK_END) != 0) check_fatal("cannot read", path);
  long size = ftell(file);
  rewind(file);
  char *data = size < 0 ? NULL : malloc((size_t)size + 1);
  if (!data || fread(data, 1, (size_t)size, file) != (size_t)size) check_fatal("cannot read", path);
  fclose(file);
  data[size] = 0;
  if (bytes) *bytes = (size_t)size;
  return data;
}

void check_write_file(const char *path, const void *data, size_t bytes) {
  FILE *file = os_fopen(path, "wb");
  if (!file || fwrite(data, 1, bytes, file) != bytes || fclose(file) != 0)
    check_fatal("cannot write", path);
}

unsigned long long check_random(unsigned long long *state) {
  return gust_mix64(*state += 0x9e3779b97f4a7c15u);
}

#include "run_gust.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "demo_model.h"
#include "host.h"

#define MAX_ARGUMENTS 32

const char *run_gust_binary(void) {
  static bool was_called;
  const char *path = getenv("GUST_BIN");
  if (!path || !*path) check_skip("GUST_BIN does not name the gust binary");
  if (!was_called) host_set_env("GUST_CPU", NULL); /* the user's; a test may set one later */
  was_called = true;
  return path;
}

static run_result run_list(const char *input, va_list list) {
  const char *argv[MAX_ARGUMENTS + 1] = {run_gust_binary()};
  size_t count = 1;
  while (count < MAX_ARGUMENTS && (argv[count] = va_arg(list, const char *))) count++;
  argv[count] = NULL;
  return run_program(argv, input ? input : "", input ? strlen(input) : 0);
}

run_result run_gust(const char *input, ...) {
  va_list list;
  va_start(list, input);
  run_result result = run_list(input, list);
  va_end(list);
  return result;
}

void check_gust(const char *file, int line, int code, const char *out, const char *err,
                const char *input, ...) {
  va_list list;
  va_start(list, input);
  run_result result = run_list(input, list);
  va_end(list);
  bool held = check_eq_int(result.code, code, file, line, "exit code");
  if (out) check_eq_str(result.out, out, file, line, "standard output");
  if (err) check_eq_str(result.err, err, file, line, "standard error");
  if (!held) fprintf(stderr, "  standard error: %s\n", result.err);
  run_result_clear(&result);
}

const char *run_gust_demo(const char *type) {
  char name[64];
  snprintf(name, sizeof name, "demo-%s.gust", type);
  const char *path = check_temp_file(name), *built = demo_model_path(type);
  if (host_exists(path)) return path;
  if (!built) check_skip("GUST_DEMO_... are not set: run under meson test");
  size_t bytes;
  char *data = check_read_file(built, &bytes);
  check_write_file(path, data, bytes);
  free(data);
  return path;
}

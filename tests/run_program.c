#include "run_program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

run_result run_program(const char *const argv[], const char *input, size_t input_bytes) {
  return run_child_finish(run_child_start(argv), input, input_bytes);
}

size_t run_program_times(const char *const argv[], size_t count) {
  run_child *children[16];
  const char *arguments[RUN_MOST_ARGUMENTS + 1];
  char number[16];
  size_t given = 0, failed = 0;
  while (argv[given] && given < RUN_MOST_ARGUMENTS - 1) arguments[given] = argv[given], given++;
  arguments[given] = number;
  arguments[given + 1] = NULL;
  if (count > sizeof children / sizeof *children) check_fatal("too many programs", argv[0]);
  for (size_t i = 0; i < count; i++) {
    snprintf(number, sizeof number, "%zu", i);
    children[i] = run_child_start(arguments);
  }
  for (size_t i = 0; i < count; i++) {
    run_result result = run_child_finish(children[i], "", 0);
    if (result.code != 0) fprintf(stderr, "program %zu: code %d, %s\n", i, result.code, result.err);
    failed += result.code != 0;
    run_result_clear(&result);
  }
  return failed;
}

void run_result_clear(run_result *result) {
  free(result->out);
  free(result->err);
  memset(result, 0, sizeof *result);
}

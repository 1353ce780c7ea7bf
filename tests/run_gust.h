/* Runs the gust binary under test (environment variable GUST_BIN) on the demo
 * checkpoint. */
#ifndef GUST_RUN_GUST_H
#define GUST_RUN_GUST_H

#include "run_program.h"

/* Path of the binary; skips the test when GUST_BIN is not set. */
const char *run_gust_binary(void);

/* Runs `gust` with the arguments that follow, ended by NULL, and `input` (may be
 * NULL) on standard input. */
run_result run_gust(const char *input, ...);

/* The demo model of a type in the test's temporary folder, its to damage: a copy, made on
 * first use, of what the build converted. */
const char *run_gust_demo(const char *type);

/* run_gust, then checks exit code, stdout and stderr (NULL: not looked at). */
#define CHECK_GUST(code, out, err, ...) \
  check_gust(__FILE__, __LINE__, code, out, err, __VA_ARGS__, (const char *)NULL)
void check_gust(const char *file, int line, int code, const char *out, const char *err,
                const char *input, ...);

#endif

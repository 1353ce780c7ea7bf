/* Runs a program the way a shell, or someone at a terminal, would. */
#ifndef GUST_RUN_PROGRAM_H
#define GUST_RUN_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>

/* No program a test runs takes longer; then it is killed and the test ends. */
#define RUN_SECONDS 120

typedef struct run_result {
  int code;        /* exit code; 128 + the signal that ended it */
  char *out, *err; /* NUL-terminated */
  size_t out_bytes, err_bytes;
} run_result;

/* Runs argv (ended by NULL; argv[0] is a path) with `input` on standard input,
 * until it ends. Failing to start it ends the test. */
run_result run_program(const char *const argv[], const char *input, size_t input_bytes);

/* The same with standard output going to a file or, when `out_path` is NULL, to
 * a pipe nobody reads. */
run_result run_program_to(const char *const argv[], const char *input, const char *out_path);

/* Starts it, lets `milliseconds` pass, sends the signal and waits for the end. */
run_result run_program_signalled(const char *const argv[], unsigned milliseconds, int signal);

void run_result_clear(run_result *result);

/* A program at a terminal: what it prints, on stdout and stderr alike, is
 * gathered as it would be seen. */
typedef struct run_terminal run_terminal;

run_terminal *run_terminal_start(const char *const argv[]);
void run_terminal_type(run_terminal *terminal, const char *text);
/* Gives the terminal another size, which the program is told by a signal; it
 * starts with 24 rows of 100 columns. */
void run_terminal_resize(run_terminal *terminal, unsigned rows, unsigned columns);
/* Waits until `text` appears after everything matched so far; false when the
 * program ends or `seconds` pass first. */
bool run_terminal_expect(run_terminal *terminal, const char *text, double seconds);
/* Sends the program a signal. */
void run_terminal_signal(run_terminal *terminal, int signal);
/* All that was printed so far. */
const char *run_terminal_text(const run_terminal *terminal);
/* Waits for the end and returns the exit code as above; frees the terminal. */
int run_terminal_finish(run_terminal *terminal);

#endif

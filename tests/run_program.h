/* Runs a program the way a shell, or someone at a terminal, would. run_program.c is what
 * systems share; run_program_posix.c, or run_program_windows.c and run_terminal_windows.c,
 * is the rest. */
#ifndef GUST_RUN_PROGRAM_H
#define GUST_RUN_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>

/* No program a test runs takes longer; then it is killed and the test ends. */
#define RUN_SECONDS 120
#define RUN_MOST_ARGUMENTS 63

typedef struct run_result {
  int code;        /* exit code; 128 + the signal that ended it */
  char *out, *err; /* NUL-terminated */
  size_t out_bytes, err_bytes;
} run_result;

/* Runs argv (ended by NULL; argv[0] is a path) with `input` on standard input,
 * until it ends. Failing to start it ends the test. */
run_result run_program(const char *const argv[], const char *input, size_t input_bytes);

/* The same in two steps: it runs while the test does something else. Finishing frees. */
typedef struct run_child run_child;
run_child *run_child_start(const char *const argv[]);
run_result run_child_finish(run_child *child, const char *input, size_t input_bytes);

/* run_program with standard output going to a file or, when `out_path` is NULL, to
 * a pipe nobody reads. */
run_result run_program_to(const char *const argv[], const char *input, const char *out_path);

/* What ends a program; the values are POSIX's. Windows knows RUN_INTERRUPT as the event
 * of Ctrl-C, RUN_TERMINATE as that of Ctrl-Break, RUN_KILL as TerminateProcess, and no
 * RUN_QUIT. */
typedef enum run_signal {
  RUN_INTERRUPT = 2,
  RUN_QUIT = 3,
  RUN_KILL = 9,
  RUN_TERMINATE = 15
} run_signal;

/* Starts it, lets `milliseconds` pass, sends the signal and waits for the end. */
run_result run_program_signalled(const char *const argv[], unsigned milliseconds,
                                 run_signal signal);

/* Starts it and sends the signal as soon as `ready` says so. */
run_result run_program_when(const char *const argv[], bool (*ready)(void *user), void *user,
                            run_signal signal);

/* Starts so many of it at once, each with its number, from 0, as one more argument.
 * Returns how many did not end with 0, whose messages are printed. */
size_t run_program_times(const char *const argv[], size_t count);

void run_result_clear(run_result *result);

/* A program at a terminal: what it prints, on stdout and stderr alike, is
 * gathered as it would be seen. */
typedef struct run_terminal run_terminal;

run_terminal *run_terminal_start(const char *const argv[]);
void run_terminal_type(run_terminal *terminal, const char *text);
/* Gives the terminal another size, which the program is told; it starts with 24 rows of
 * 100 columns (on Windows, more). False where that cannot be done. */
bool run_terminal_resize(run_terminal *terminal, unsigned rows, unsigned columns);
/* Waits until `text` appears after everything matched so far; false when the
 * program ends or `seconds` pass first. */
bool run_terminal_expect(run_terminal *terminal, const char *text, double seconds);
/* Types Ctrl-C at a program that is not reading keys. */
void run_terminal_interrupt(run_terminal *terminal);
/* Sends the program a signal. */
void run_terminal_signal(run_terminal *terminal, run_signal signal);
/* All that was printed so far. */
const char *run_terminal_text(const run_terminal *terminal);
/* Waits for the end and returns the exit code as above; frees the terminal. */
int run_terminal_finish(run_terminal *terminal);

#endif

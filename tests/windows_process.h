/* Starting programs on Windows, for run_program_windows.c and run_terminal_windows.c. */
#ifndef GUST_WINDOWS_PROCESS_H
#define GUST_WINDOWS_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <wchar.h>
#include <windows.h>

#include "run_program.h"

/* UTF-8 to UTF-16, to be freed. */
wchar_t *windows_wide(const char *text);

/* A console of its own, which no window shows: what is written to `in` is typed, what
 * the programs at it print is read from `out`. */
typedef struct windows_console {
  void *pseudo; /* an HPCON */
  HANDLE in, out;
} windows_console;

/* So wide that no line of a test is broken: a console does not tell a line that it broke
 * from two. */
#define WINDOWS_CONSOLE_COLUMNS 500
/* Of 24 rows. Ends the test when there cannot be one. */
windows_console windows_console_open(void);
/* Ends the console, and with it what is printed. */
void windows_console_close(windows_console *console);

typedef struct windows_process {
  HANDLE process, job; /* the job holds all the programs it starts in turn */
} windows_process;

/* Starts argv with these standard streams or, when `streams` is NULL, those of the
 * console. `console` may be NULL: then it has none. Failing ends the test. */
windows_process windows_process_start(const char *const argv[], const HANDLE streams[3],
                                      const windows_console *console);
bool windows_process_has_ended(const windows_process *process);
/* Waits for the end, kills it after RUN_SECONDS and ends the test then; returns the
 * exit code. Closes the handles. */
int windows_process_wait(windows_process *process, const char *said);

/* False where the system cannot do that. */
bool windows_console_resize(const windows_console *console, unsigned rows, unsigned columns);
/* Kills the process, or sends the programs at its console what stands for the signal. */
void windows_process_end(const windows_process *process, const windows_console *console,
                         run_signal signal);

/* A pipe neither of whose ends a program inherits unless it is told to. */
void windows_pipe(HANDLE *read_end, HANDLE *write_end);

/* What is read from a handle until its end, by a thread of its own. */
typedef struct windows_reader windows_reader;

windows_reader *windows_reader_start(HANDLE handle);
/* Whether the end was reached. */
bool windows_reader_has_ended(const windows_reader *reader);
/* Waits until the end, or for so long; false then. */
bool windows_reader_wait(const windows_reader *reader, unsigned milliseconds);
/* A copy of what came so far, to be freed. */
char *windows_reader_text(windows_reader *reader, size_t *bytes);
/* Waits for the end of the thread, then closes the handle. */
void windows_reader_finish(windows_reader *reader);

#endif

/* Ctrl-C and its kin as a flag that work looks at now and then.
 *
 * A signal handler can reach nothing but a static, so this is the one piece of
 * global state of the program, with the terminal's mode (raw_terminal.h).
 * console_posix.c and console_windows.c implement it. */
#ifndef GUST_CLI_INTERRUPT_H
#define GUST_CLI_INTERRUPT_H

#include <stdbool.h>

/* From now on SIGINT, SIGTERM, SIGHUP and SIGQUIT only set the flag. Signals that were
 * ignored when the program started stay so (nohup, background jobs). On Windows,
 * Ctrl-C counts as SIGINT; Ctrl-Break, closing the console and the session's end
 * count as SIGTERM. */
void interrupt_install(void);

/* The signal that arrived last, or 0. */
int interrupt_signal(void);

/* Whether that was the key Ctrl-C (SIGINT) rather than a request to end. */
bool interrupt_is_key(void);

/* What the key Ctrl-C does, for a terminal that does not do it by itself. */
void interrupt_raise_key(void);

/* Forgets it. */
void interrupt_clear(void);

/* Writing to a closed pipe, or past the limit of a file's size (ulimit -f),
 * becomes a failed write instead of a sudden death. */
void interrupt_ignore_writes(void);

/* The signal that told of a write to a pipe nobody reads any more (SIGPIPE), or 0: none
 * came, or the system has no such signal. */
int interrupt_lost_reader(void);

#endif

/* Ctrl-C and its kin as a flag that work looks at now and then.
 *
 * A signal handler can reach nothing but a static, so this is the one piece of
 * global state of the program. */
#ifndef GUST_CLI_INTERRUPT_H
#define GUST_CLI_INTERRUPT_H

#include <stdbool.h>

/* From now on SIGINT, SIGTERM, SIGHUP and SIGQUIT only set the flag. Signals that were
 * ignored when the program started stay so (nohup, background jobs). */
void interrupt_install(void);

/* The signal that arrived last, or 0. */
int interrupt_signal(void);

/* Whether that was the key Ctrl-C (SIGINT) rather than a request to end. */
bool interrupt_is_key(void);

/* Forgets it. */
void interrupt_clear(void);

/* A file descriptor that is readable while a signal waits, for poll; -1 where
 * there is none. */
int interrupt_descriptor(void);

/* Writing to a closed pipe, or past the limit of a file's size (ulimit -f),
 * becomes a failed write instead of a sudden death. */
void interrupt_ignore_writes(void);

#endif

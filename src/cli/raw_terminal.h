/* The terminal on standard input key by key, without echo, and the signals that
 * come with it. Signals reach nothing but statics, so there is one for the
 * process; it is used from one thread. console_posix.c and console_windows.c
 * implement it; keys arrive as the bytes a terminal of the VT family sends. */
#ifndef GUST_CLI_RAW_TERMINAL_H
#define GUST_CLI_RAW_TERMINAL_H

#include <stdbool.h>

/* Keys arrive one by one, Ctrl-C and Ctrl-Z among them, and output is left as it
 * is ("\r\n" ends a line). A deadly signal restores the terminal first. False,
 * with errno, when it cannot be set. */
bool raw_terminal_enter(void);

/* From raw to the mode for the time until the next line is read: keys are not shown and
 * wait, but Ctrl-C, Ctrl-Z and their like work, and output is treated as it was before.
 * A process that is stopped meanwhile leaves the terminal as it found it. Does nothing
 * when it is not raw. */
void raw_terminal_hush(void);

/* Back to how it was; does nothing when it is. */
void raw_terminal_leave(void);

/* Stops the process as Ctrl-Z does; returns once it goes on, entered again. Does
 * nothing on Windows, which has no such thing. */
void raw_terminal_suspend(void);

/* What happened since the last call. */
typedef struct raw_events {
  bool resized;
  bool stopping;  /* asked to stop: call raw_terminal_suspend */
  bool continued; /* after a stop that nobody announced; entered again */
} raw_events;

raw_events raw_terminal_events(void);

#endif

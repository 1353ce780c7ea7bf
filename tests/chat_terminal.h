/* gust chat at a terminal, as tests drive it. */
#ifndef GUST_CHAT_TERMINAL_H
#define GUST_CHAT_TERMINAL_H

#include "run_program.h"

/* What the editor prints when it reads key by key: typing earlier may meet the terminal
 * in its line mode, and the prompt itself may be part of a text. */
#define CHAT_PROMPT "\033[?2004h"

/* Gives the programs a test starts a terminal with editing and no colours, and a state
 * folder of their own. */
void chat_terminal_prepare(void);

/* Starts `gust chat MODEL` with the options that follow, ended by NULL, and waits until
 * it listens. */
run_terminal *chat_terminal_start(const char *model, ...);

/* Waits for the text; a failure shows what came instead. */
void chat_terminal_expect(run_terminal *terminal, const char *text);

/* Types a line and Enter. */
void chat_terminal_say(run_terminal *terminal, const char *line);

/* Waits for the line of numbers after an answer and reads those in "(N of M new)"; then
 * for the next prompt. */
void chat_terminal_numbers(run_terminal *terminal, long *fed, long *prompt);

/* Presses Ctrl-D and checks that the program ends well. */
void chat_terminal_leave(run_terminal *terminal);

#endif

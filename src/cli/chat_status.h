/* What is said after an answer: numbers in grey, and why it ended. */
#ifndef GUST_CLI_CHAT_STATUS_H
#define GUST_CLI_CHAT_STATUS_H

#include "answer.h"
#include "chat_state.h"

/* Writes the numbers into line[size], NUL-terminated: all of them if that takes less than
 * `columns`, else fewer. Returns the length. */
size_t chat_status_format(char *line, size_t size, unsigned columns, const cli_answer *answer,
                          size_t length, size_t capacity);

void chat_status_print(chat_state *chat, const cli_answer *answer);

/* Says, the first time the sequence is longer than the model's attention window, what
 * that means. */
void chat_status_tell_window(chat_state *chat);

#endif

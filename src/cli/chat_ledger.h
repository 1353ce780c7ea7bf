/* Where the context's positions go: a bar for the system message and for every turn. */
#ifndef GUST_CLI_CHAT_LEDGER_H
#define GUST_CLI_CHAT_LEDGER_H

#include "chat_state.h"

typedef struct chat_ledger {
  size_t system, total; /* tokens */
  size_t *turns;        /* tokens of each */
  size_t count;
} chat_ledger;

/* Counts the tokens of the conversation as its template renders it, what the template
 * puts around a message included; they add up to the total. chat_ledger_clear
 * follows. */
gust_status chat_ledger_measure(chat_ledger *ledger, const chat_state *chat, gust_error *err);
void chat_ledger_clear(chat_ledger *ledger);

/* Draws it to stdout, at most `columns` wide. */
void chat_ledger_print(const chat_ledger *ledger, const chat_state *chat, size_t columns);

#endif

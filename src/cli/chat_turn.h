/* Turns: a message, the room it takes, its answer, and the session's record of it. */
#ifndef GUST_CLI_CHAT_TURN_H
#define GUST_CLI_CHAT_TURN_H

#include "chat_state.h"

/* Each returns GUST_OK also when the turn was refused or stopped before its answer
 * began and the user was told: the conversation is then as it was, and the message
 * waits in the editor. A failure, or a request to end, ends the chat: a new message is
 * then one that was never answered, finished turns are as they were. */

/* Answers a new message, after the text of /read if there is some. */
gust_status chat_turn_take(chat_state *chat, const char *text, size_t bytes, gust_error *err);

/* Answers the last message again. */
gust_status chat_turn_retry(chat_state *chat, gust_error *err);

/* Puts the text in place of the user's message of turn `turn` (from 0 on) and answers
 * it; what came after it is gone. */
gust_status chat_turn_edit(chat_state *chat, size_t turn, const char *text, size_t bytes,
                           gust_error *err);

/* The seed of one answer: that of the chat for the first, and for any other one that
 * follows from it, from the place of the turn (from 0 on) and from how often the
 * answer was retried. So an answer does not depend on how the conversation came to be
 * what it is: said in one go, resumed, edited or loaded. */
uint64_t chat_turn_seed(uint64_t seed, size_t turn, size_t retries);

#endif

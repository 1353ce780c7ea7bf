/* The messages of a conversation: at most one of the system, first, then turns,
 * each a user message and, once answered, an assistant message. */
#ifndef GUST_CLI_CHAT_MESSAGES_H
#define GUST_CLI_CHAT_MESSAGES_H

#include "command.h"

/* Zero-filled: empty. */
typedef struct chat_messages {
  gust_message *items; /* roles are string literals, contents owned */
  size_t count, capacity;
} chat_messages;

/* Appends a copy. `role` must outlive the messages. */
gust_status chat_messages_add(chat_messages *messages, const char *role, const char *content,
                              size_t bytes, gust_error *err);

/* Puts a copy in place of the content of message `index`. */
gust_status chat_messages_replace(chat_messages *messages, size_t index, const char *content,
                                  size_t bytes, gust_error *err);

/* Makes `content` the system message; with content NULL there is none. */
gust_status chat_messages_set_system(chat_messages *messages, const char *content, size_t bytes,
                                     gust_error *err);

void chat_messages_remove(chat_messages *messages, size_t first, size_t count);

/* Moves `count` messages from `first` on to the empty list `away`, and all of `away` back
 * before message `first`. Moving back cannot fail where there are no more messages then
 * than there once were: there was room. */
gust_status chat_messages_cut(chat_messages *messages, size_t first, size_t count,
                              chat_messages *away, gust_error *err);
void chat_messages_paste(chat_messages *messages, size_t first, chat_messages *away);

void chat_messages_clear(chat_messages *messages);

/* 1 when there is a system message, else 0: where the turns begin. */
size_t chat_messages_first(const chat_messages *messages);

size_t chat_messages_turns(const chat_messages *messages);

/* Index of the user message that begins turn `turn` (from 0 on); the count of
 * messages when there are fewer turns. */
size_t chat_messages_turn(const chat_messages *messages, size_t turn);

#endif

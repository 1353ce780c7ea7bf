/* What the Tab key offers in a chat: commands, names of settings, files. */
#ifndef GUST_CLI_CHAT_COMPLETE_H
#define GUST_CLI_CHAT_COMPLETE_H

#include "completion.h"

/* A completion_fn that needs no user. */
void chat_complete(void *user, const char *line, size_t bytes, size_t cursor,
                   completion_list *list);

#endif

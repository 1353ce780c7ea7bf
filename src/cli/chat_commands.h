/* What a line that begins with '/' does at a terminal. */
#ifndef GUST_CLI_CHAT_COMMANDS_H
#define GUST_CLI_CHAT_COMMANDS_H

#include "chat_state.h"

/* What the argument of a command can be completed with. */
typedef enum chat_argument {
  CHAT_ARGUMENT_NONE,
  CHAT_ARGUMENT_SETTING,
  CHAT_ARGUMENT_FILE
} chat_argument;

typedef struct chat_command {
  const char *name;     /* without the '/'; NULL ends the table */
  const char *argument; /* as the help shows it */
  const char *help;     /* without a final full stop */
  chat_argument completes;
  bool needs_argument, needs_turn;
  bool computes; /* its failure ends the chat, as a turn's does */
  gust_status (*run)(chat_state *chat, const char *argument, gust_error *err);
} chat_command;

extern const chat_command chat_commands[];

/* The command of that name, or NULL. */
const chat_command *chat_commands_find(const char *name, size_t bytes);

/* What else may begin with '/'. */
#define CHAT_SLASH_HEAD "//TEXT"
#define CHAT_SLASH_HELP "send a message that begins with '/'"

/* Runs the command in `line`, which begins with '/'. A mistake is said in one line;
 * what fails ends the chat. */
gust_status chat_commands_run(chat_state *chat, const char *line, size_t bytes, gust_error *err);

#endif

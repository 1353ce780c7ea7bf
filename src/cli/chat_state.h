/* What a chat holds from its start to its end. */
#ifndef GUST_CLI_CHAT_STATE_H
#define GUST_CLI_CHAT_STATE_H

#include "chat_marks.h"
#include "chat_messages.h"
#include "line_editor.h"
#include "model_options.h"
#include "session_journal.h"

/* What happens to a turn that would not fit; in the order of --on-overflow. */
typedef enum chat_overflow_policy {
  CHAT_OVERFLOW_STOP, /* it is refused */
  CHAT_OVERFLOW_DROP, /* the oldest turns go */
  CHAT_OVERFLOW_ASK   /* the user decides */
} chat_overflow_policy;

/* Zero-filled; any part may be missing at the end. */
typedef struct chat_state {
  const cli_command *command;
  const char *model_path;
  gust_model *model;
  const char *template_name; /* given, or the session's; NULL: neither */
  const char *chat_template; /* NULL: the model's own */
  const char *kv_name;
  gust_context *context;
  sampling_values values; /* given or set; the seed always */
  gust_sampling sampling; /* what they come to */
  line_editor *editor;
  session_journal *journal; /* NULL: the conversation is not kept */
  chat_messages messages;
  chat_marks marks;
  char *attached; /* text of /read for the next message; NULL: none */
  size_t attached_bytes;
  size_t retries; /* of the last answer */
  chat_overflow_policy overflow;
  bool quiet, interactive;      /* someone types at a terminal */
  bool marks_told, window_told; /* what is said once */
  bool refused, unsaved;        /* a turn did not fit; the session could not be written */
  bool leaving;                 /* /exit */
  bool answered;                /* something stands above on standard output */
  size_t line;                  /* number of the line that is answered; 0: someone types */
} chat_state;

/* Whether a signal asks the program to end: any, but for Ctrl-C from someone who types. */
bool chat_state_must_end(const chat_state *chat);

/* The conversation's ids; `skip` of the oldest turns are left out. */
gust_status chat_state_tokenize(const chat_state *chat, size_t skip, bool open_answer,
                                int32_t **ids, size_t *count, gust_error *err);

/* Prints one line about the chat, unless --quiet. */
void chat_state_note(const chat_state *chat, const char *format, ...) COMMAND_PRINTF(2, 3);

/* Prints one line about the message that is not answered as it should be: which, where it
 * came from a pipe. */
void chat_state_complain(const chat_state *chat, const char *format, ...) COMMAND_PRINTF(2, 3);

/* Asks at the terminal; anything but y or yes, and the lack of one, is a no. */
bool chat_state_confirm(const chat_state *chat, const char *question);

void chat_state_clear(chat_state *chat);

#endif

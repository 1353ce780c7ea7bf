/* The chat and its session journal (session_journal.h). */
#ifndef GUST_CLI_CHAT_SESSION_H
#define GUST_CLI_CHAT_SESSION_H

#include "chat_state.h"

/* Whether there can be a session of that name, as far as it shows without the model: its
 * folder, its format, and that no other chat holds it. */
gust_status chat_session_check(const char *name, gust_error *err);

/* Opens the session of that name, or begins it: messages, and the template and sampling
 * options that the command line did not give, are those of the session. */
gust_status chat_session_open(chat_state *chat, const char *name, bool other_model,
                              gust_error *err);

/* Fills the new context with the session's cache and says what there is. */
gust_status chat_session_restore(chat_state *chat, gust_error *err);

/* A message at the end that was never answered is taken out of the conversation, to be asked
 * again by hand: it waits in the editor, or a line says so. The file keeps it until the next
 * save, which comes after whatever is done next. */
void chat_session_take_back(chat_state *chat);

/* Makes the journal agree with the messages and settings, and with `cache` keeps what
 * was computed, too. Failing is said and remembered, but is no reason to leave: the
 * next call tries again. */
void chat_session_save(chat_state *chat, bool cache);

/* What could not be saved is tried once more before the chat is left. False, with a line that
 * says what is lost, when it still cannot. */
bool chat_session_save_last(chat_state *chat);

/* Prints the sessions there are: name, date, model, messages, first line. */
gust_status chat_session_print_list(const cli_command *command, gust_error *err);

#endif

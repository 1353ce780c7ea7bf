/* The sampling options as /set, /show and a session know them: by the table the
 * command line is parsed with. */
#ifndef GUST_CLI_CHAT_SETTINGS_H
#define GUST_CLI_CHAT_SETTINGS_H

#include "chat_state.h"

/* Large enough for any value spelled. */
#define CHAT_SETTING_BYTES 32

/* The option of that name, or NULL. */
const cli_option *chat_settings_find(const char *name, size_t bytes);

/* Whether it was given, set or resumed, rather than left to the checkpoint. */
bool chat_settings_given(const chat_state *chat, const cli_option *option);

/* Sets it from text; false leaves it as it was when that is out of range. */
bool chat_settings_read(chat_state *chat, const cli_option *option, const char *text);

/* The value in force, spelled so that reading it gives the same again; returns
 * `text`. */
char *chat_settings_text(const chat_state *chat, const cli_option *option,
                         char text[CHAT_SETTING_BYTES]);

/* "NAME VALUE" of /set: sets it, or fails with what was expected. */
gust_status chat_settings_set(chat_state *chat, const char *argument, gust_error *err);

/* Prints names and values, one a line, to stdout. */
void chat_settings_print(const chat_state *chat);

#endif

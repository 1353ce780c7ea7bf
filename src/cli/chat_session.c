#include "chat_session.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "chat_settings.h"
#include "chat_status.h"
#include "human.h"
#include "os.h"
#include "screen_text.h"
#include "session_list.h"
#include "session_records.h"
#include "terminal.h"

/* --- opening ----------------------------------------------------------------------- */

static void on_notice(void *user, const char *line) {
  const chat_state *chat = user;
  command_note(chat->command, "%s", line);
}

static gust_status take_messages(chat_state *chat, gust_error *err) {
  size_t count = session_journal_message_count(chat->journal);
  const gust_message *messages = session_journal_messages(chat->journal);
  gust_status status = GUST_OK;
  for (size_t i = 0; i < count && status == GUST_OK; i++)
    status = chat_messages_add(&chat->messages, messages[i].role, messages[i].content,
                               messages[i].bytes, err);
  return status;
}

/* Whether it ends with a question whose answer was never finished. */
static bool ends_unanswered(const chat_messages *messages) {
  return messages->count && !strcmp(messages->items[messages->count - 1].role, "user");
}

static void take_settings(chat_state *chat) {
  for (const cli_option *option = sampling_options; option->name; option++) {
    const char *text = session_journal_setting(chat->journal, option->name);
    if (text && !chat_settings_given(chat, option)) chat_settings_read(chat, option, text);
  }
  const char *retries = session_journal_setting(chat->journal, "retries");
  uint64_t count;
  if (retries && options_read_count(retries, &count) && count < 1000000)
    chat->retries = (size_t)count;
}

/* The session's template counts where none was given. It was chosen for the session's model:
 * another one takes its own. */
static gust_status take_template(chat_state *chat, bool other_model, gust_error *err) {
  const char *held = session_journal_setting(chat->journal, "template"), *name;
  if (!held || chat->template_name) return GUST_OK;
  if (other_model || !strcmp(held, TEMPLATE_OWN)) {
    chat->template_name = TEMPLATE_OWN;
    return GUST_OK;
  }
  for (size_t i = 0; (name = gust_chat_template_name(i)) != NULL; i++)
    if (!strcmp(held, name)) {
      chat->template_name = name;
      return GUST_OK;
    }
  return command_error(err, GUST_E_UNSUPPORTED,
                       "%s: its template '%.64s' is not one of this gust's; give --template, which "
                       "'gust help chat' lists",
                       session_journal_path(chat->journal), held);
}

gust_status chat_session_check(const char *name, gust_error *err) {
  char *path = NULL;
  session_file file;
  gust_status status = session_path(&path, name, err);
  if (status == GUST_OK) {
    status = session_file_open(&file, path, true, err);
    session_file_close(&file);
  }
  free(path);
  return status;
}

gust_status chat_session_open(chat_state *chat, const char *name, bool other_model,
                              gust_error *err) {
  char *path = NULL;
  session_options options = {.model_name = human_file_name(chat->model_path),
                             .other_model = other_model,
                             .notice = on_notice,
                             .user = chat};
  gust_status status = session_path(&path, name, err);
  if (status == GUST_OK)
    status = session_journal_open(&chat->journal, path, chat->model, &options, err);
  free(path);
  if (status == GUST_OK) status = take_messages(chat, err);
  if (status == GUST_OK) status = take_template(chat, other_model, err);
  if (status == GUST_OK) take_settings(chat);
  return status;
}

gust_status chat_session_restore(chat_state *chat, gust_error *err) {
  size_t positions = 0;
  size_t turns = chat_messages_turns(&chat->messages) - ends_unanswered(&chat->messages);
  gust_status status = session_journal_restore(chat->journal, chat->context, &positions, err);
  if (status != GUST_OK) return status;
  if (session_journal_is_new(chat->journal)) {
    chat_state_note(chat, "new session: %s", session_journal_path(chat->journal));
  } else if (positions > 0) {
    chat_state_note(chat, "session resumed: %zu turn%s, %zu tokens restored from its cache", turns,
                    turns == 1 ? "" : "s", positions);
  } else {
    chat_state_note(chat, "session resumed: %zu turn%s%s", turns, turns == 1 ? "" : "s",
                    turns ? "; without a cache they are read again with the next message" : "");
  }
  chat_status_tell_window(chat);
  return GUST_OK;
}

void chat_session_take_back(chat_state *chat) {
  chat_messages *messages = &chat->messages;
  if (!ends_unanswered(messages)) return;
  const gust_message *last = &messages->items[messages->count - 1];
  if (line_editor_prefill(chat->editor, last->content, last->bytes))
    chat_state_note(chat, "the last message was never answered; it waits for Enter");
  else
    command_note(chat->command,
                 "the last message was never answered and is not part of the conversation now");
  chat_messages_remove(messages, messages->count - 1, 1);
}

/* --- keeping ----------------------------------------------------------------------- */

static bool same_message(const gust_message *a, const gust_message *b) {
  return !strcmp(a->role, b->role) && a->bytes == b->bytes &&
         (a->bytes == 0 || !memcmp(a->content, b->content, a->bytes));
}

/* Whatever command changed the conversation, the journal learns where it now differs. */
static gust_status add_messages(chat_state *chat, gust_error *err) {
  const chat_messages *messages = &chat->messages;
  size_t held = session_journal_message_count(chat->journal), same = 0;
  const gust_message *kept = session_journal_messages(chat->journal);
  while (same < held && same < messages->count && same_message(&kept[same], &messages->items[same]))
    same++;
  gust_status status = GUST_OK;
  if (same < held) status = session_journal_add_truncate(chat->journal, same, err);
  for (size_t i = same; i < messages->count && status == GUST_OK; i++)
    status = session_journal_add_message(chat->journal, messages->items[i].role,
                                         messages->items[i].content, messages->items[i].bytes, err);
  return status;
}

static gust_status add_settings(chat_state *chat, gust_error *err) {
  char text[CHAT_SETTING_BYTES];
  gust_status status = GUST_OK;
  for (const cli_option *option = sampling_options; option->name && status == GUST_OK; option++)
    if (chat_settings_given(chat, option))
      status = session_journal_add_setting(chat->journal, option->name,
                                           chat_settings_text(chat, option, text), err);
  if (status == GUST_OK && chat->template_name)
    status = session_journal_add_setting(chat->journal, "template", chat->template_name, err);
  snprintf(text, sizeof text, "%zu", chat->retries);
  if (status == GUST_OK && (chat->retries || session_journal_setting(chat->journal, "retries")))
    status = session_journal_add_setting(chat->journal, "retries", text, err);
  return status;
}

/* Says when saving fails first, or `last`, and when it is done after all. */
static void save(chat_state *chat, bool cache, bool last) {
  gust_error err;
  gust_status status = add_messages(chat, &err);
  if (status == GUST_OK) status = add_settings(chat, &err);
  if (status == GUST_OK)
    status = session_journal_commit(chat->journal, cache ? chat->context : NULL, &err);
  if (status != GUST_OK && (last || !chat->unsaved))
    command_note(chat->command, "%s; %s", err.text,
                 last ? "what was said since the session was saved last is lost"
                      : "the chat goes on and saving is tried again");
  if (status == GUST_OK && chat->unsaved) command_note(chat->command, "the session is saved again");
  chat->unsaved = status != GUST_OK;
}

void chat_session_save(chat_state *chat, bool cache) {
  if (chat->journal) save(chat, cache, false);
}

bool chat_session_save_last(chat_state *chat) {
  if (chat->unsaved) save(chat, false, true);
  return !chat->unsaved;
}

/* --- listing ------------------------------------------------------------------------ */

static bool print_entry(void *user, const session_entry *entry) {
  size_t *count = user;
  char date[32] = "";
  time_t changed = (time_t)entry->changed;
  struct tm local;
  if (os_local_time(changed, &local)) strftime(date, sizeof date, "%Y-%m-%d %H:%M", &local);
  ++*count;
  screen_text_excerpt(stdout, entry->name, strlen(entry->name), 40);
  printf("  %s  ", date);
  if (!entry->summary) {
    const char *problem = entry->problem ? entry->problem : "cannot be read";
    screen_text_excerpt(stdout, problem, strlen(problem), 200);
  } else {
    const session_summary *summary = entry->summary;
    screen_text_excerpt(stdout, summary->model_name, strlen(summary->model_name), 40);
    printf("  %zu message%s  ", summary->messages, summary->messages == 1 ? "" : "s");
    screen_text_excerpt(stdout, summary->first_line, strlen(summary->first_line), 60);
    if (summary->damaged) fputs("  (damaged at its end)", stdout);
    if (summary->spoiled) fputs("  (part of its cache is damaged)", stdout);
  }
  putchar('\n');
  return false;
}

gust_status chat_session_print_list(const cli_command *command, gust_error *err) {
  size_t count = 0;
  char *folder = NULL;
  gust_status status = session_list(print_entry, &count, &folder, err);
  if (status == GUST_OK && count == 0)
    command_note(command, "no sessions in %s; --session NAME begins one",
                 folder ? folder : "the state folder");
  free(folder);
  return status == GUST_OK ? command_flush(err) : status;
}

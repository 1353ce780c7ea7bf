#include "chat_state.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "interrupt.h"

bool chat_state_must_end(const chat_state *chat) {
  return interrupt_signal() && !(chat->interactive && interrupt_is_key());
}

gust_status chat_state_tokenize(const chat_state *chat, size_t skip, bool open_answer,
                                int32_t **ids, size_t *count, gust_error *err) {
  const chat_messages *messages = &chat->messages;
  *ids = NULL;
  *count = 0;
  if (messages->count == 0) return GUST_OK;
  if (skip == 0)
    return gust_chat_tokenize_as(chat->model, chat->chat_template, messages->items, messages->count,
                                 open_answer, ids, count, err);
  size_t system = chat_messages_first(messages), from = chat_messages_turn(messages, skip);
  size_t kept = system + messages->count - from;
  gust_message *some = malloc((kept ? kept : 1) * sizeof *some);
  if (!some) return command_error(err, GUST_E_MEMORY, "no memory to look at %zu messages", kept);
  memcpy(some, messages->items, system * sizeof *some);
  memcpy(some + system, messages->items + from, (kept - system) * sizeof *some);
  gust_status status = GUST_OK;
  if (kept)
    status = gust_chat_tokenize_as(chat->model, chat->chat_template, some, kept, open_answer, ids,
                                   count, err);
  free(some);
  return status;
}

/* As a note of the command, of a line of input unless that is 0. */
static void print_note(const chat_state *chat, size_t line, const char *format, va_list arguments) {
  char text[1024];
  vsnprintf(text, sizeof text, format, arguments);
  if (line) {
    command_note(chat->command, "line %zu: %s", line, text);
  } else {
    command_note(chat->command, "%s", text);
  }
}

void chat_state_note(const chat_state *chat, const char *format, ...) {
  if (chat->quiet) return;
  va_list arguments;
  va_start(arguments, format);
  print_note(chat, 0, format, arguments);
  va_end(arguments);
}

void chat_state_complain(const chat_state *chat, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  print_note(chat, chat->line, format, arguments);
  va_end(arguments);
}

bool chat_state_confirm(const chat_state *chat, const char *question) {
  if (!chat->interactive) return false;
  const char *line;
  size_t bytes;
  gust_error err;
  if (line_editor_ask(chat->editor, question, &line, &bytes, &err) != LINE_TEXT) return false;
  while (bytes && line[0] == ' ') line++, bytes--;
  while (bytes && line[bytes - 1] == ' ') bytes--;
  return (bytes == 1 && (line[0] == 'y' || line[0] == 'Y')) ||
         (bytes == 3 && !memcmp(line, "yes", 3));
}

void chat_state_clear(chat_state *chat) {
  line_editor_destroy(chat->editor);
  session_journal_close(chat->journal);
  chat_messages_clear(&chat->messages);
  free(chat->attached);
  gust_context_destroy(chat->context);
  gust_model_close(chat->model);
  memset(chat, 0, sizeof *chat);
}

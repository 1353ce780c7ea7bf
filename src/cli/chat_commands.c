#include "chat_commands.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat_ledger.h"
#include "chat_session.h"
#include "chat_settings.h"
#include "chat_transcript.h"
#include "chat_turn.h"
#include "os.h"
#include "output_file.h"
#include "screen_text.h"
#include "terminal.h"
#include "utf8_check.h"

static const char *plural(size_t count) {
  return count == 1 ? "" : "s";
}

/* --- looking --------------------------------------------------------------------- */

#define HELP_HEAD 21
#define HELP_NARROW 50 /* columns; below, what a command does stands under it */

static void print_help(const char *head, const char *help, int columns) {
  bool narrow = columns < HELP_NARROW;
  int indent = narrow ? 6 : HELP_HEAD;
  printf("  %-*s ", narrow ? 0 : HELP_HEAD - 3, head);
  if (narrow) printf("\n%*s", indent, "");
  command_print_words(help, indent, indent, columns);
}

static gust_status run_help(chat_state *chat, const char *argument, gust_error *err) {
  (void)chat, (void)argument, (void)err;
  int columns = (int)terminal_columns(stdout);
  for (const chat_command *command = chat_commands; command->name; command++) {
    char head[32];
    snprintf(head, sizeof head, "/%s %s", command->name, command->argument);
    print_help(head, command->help, columns);
  }
  print_help(CHAT_SLASH_HEAD, CHAT_SLASH_HELP, columns);
  print_help("keys",
             "Alt-Enter begins another line, Ctrl-R searches what was typed, Tab completes; all of "
             "them: man gust-chat",
             columns);
  return GUST_OK;
}

static void print_messages(const chat_state *chat) {
  size_t turn = 0;
  for (size_t i = 0; i < chat->messages.count; i++) {
    const gust_message *message = &chat->messages.items[i];
    if (!strcmp(message->role, "user")) {
      printf("\n[%zu] user: ", ++turn);
    } else {
      printf("\n%s: ", message->role);
    }
    screen_text_write(stdout, message->content, message->bytes);
    putchar('\n');
  }
}

static gust_status run_show(chat_state *chat, const char *argument, gust_error *err) {
  (void)argument, (void)err;
  const gust_model_info *info = gust_model_get_info(chat->model);
  fputs("model ", stdout);
  screen_text_write(stdout, chat->model_path, strlen(chat->model_path));
  printf(" (%s, %.2f bits per weight)\n", info->architecture, info->bits_per_weight);
  if (chat->journal) {
    const char *path = session_journal_path(chat->journal);
    fputs("session ", stdout);
    screen_text_write(stdout, path, strlen(path));
    putchar('\n');
  }
  chat_settings_print(chat);
  if (chat->attached)
    printf("%zu bytes of /read go before the next message\n", chat->attached_bytes);
  print_messages(chat);
  return GUST_OK;
}

static gust_status run_context(chat_state *chat, const char *argument, gust_error *err) {
  (void)argument;
  chat_ledger ledger;
  gust_status status = chat_ledger_measure(&ledger, chat, err);
  if (status == GUST_OK) chat_ledger_print(&ledger, chat, terminal_columns(stdout));
  chat_ledger_clear(&ledger);
  return status;
}

/* --- changing the conversation ------------------------------------------------------ */

/* Says what was changed, and lets the session know. */
static void tell_changed(chat_state *chat, const char *what) {
  command_note(chat->command, "%s", what);
  chat_session_save(chat, false);
}

static gust_status run_system(chat_state *chat, const char *argument, gust_error *err) {
  chat_messages *messages = &chat->messages;
  bool there = chat_messages_first(messages) == 1;
  if (!*argument) {
    if (there) {
      screen_text_write(stdout, messages->items[0].content, messages->items[0].bytes);
    } else {
      fputs("(no system message; /system TEXT sets one)", stdout);
    }
    putchar('\n');
    return GUST_OK;
  }
  bool removes = !strcmp(argument, "-");
  gust_status status = utf8_check_text("/system", argument, strlen(argument), err);
  if (status == GUST_OK)
    status = chat_messages_set_system(messages, removes ? NULL : argument, strlen(argument), err);
  if (status != GUST_OK) return status;
  tell_changed(chat, removes ? "no system message any more; what follows it is read again with the "
                               "next message"
                             : "the system message is set; what follows it is read again with the "
                               "next message");
  return GUST_OK;
}

static gust_status run_undo(chat_state *chat, const char *argument, gust_error *err) {
  (void)argument, (void)err;
  chat_messages *messages = &chat->messages;
  size_t turns = chat_messages_turns(messages);
  size_t first = chat_messages_turn(messages, turns - 1);
  line_editor_prefill(chat->editor, messages->items[first].content, messages->items[first].bytes);
  chat_messages_remove(messages, first, messages->count - first);
  chat->retries = 0;
  char text[96];
  snprintf(text, sizeof text, "turn %zu is gone, %zu turn%s left", turns, turns - 1,
           plural(turns - 1));
  tell_changed(chat, text);
  return GUST_OK;
}

static void drop_attached(chat_state *chat) {
  free(chat->attached);
  chat->attached = NULL;
  chat->attached_bytes = 0;
}

static gust_status run_clear(chat_state *chat, const char *argument, gust_error *err) {
  (void)argument, (void)err;
  size_t first = chat_messages_first(&chat->messages);
  size_t turns = chat_messages_turns(&chat->messages);
  chat_messages_remove(&chat->messages, first, chat->messages.count - first);
  drop_attached(chat);
  chat->retries = 0;
  chat->window_told = false;
  char text[96];
  snprintf(text, sizeof text, "%zu turn%s gone%s", turns, plural(turns),
           first ? "; the system message stays" : "");
  tell_changed(chat, text);
  return GUST_OK;
}

static gust_status run_retry(chat_state *chat, const char *argument, gust_error *err) {
  (void)argument;
  if (!(chat->sampling.temperature > 0))
    chat_state_note(chat, "at temperature 0 the answer is always the same; /set temp changes it");
  return chat_turn_retry(chat, err);
}

static gust_status run_edit(chat_state *chat, const char *argument, gust_error *err) {
  chat_messages *messages = &chat->messages;
  size_t turns = chat_messages_turns(messages);
  uint64_t number = turns;
  if (*argument && (!options_read_count(argument, &number) || number < 1 || number > turns)) {
    command_note(chat->command, "/edit: expected the number of a turn, 1 to %zu, found '%.40s'",
                 turns, argument);
    return GUST_OK;
  }
  const gust_message *old = &messages->items[chat_messages_turn(messages, (size_t)number - 1)];
  const char *line;
  size_t bytes;
  if (!line_editor_prefill(chat->editor, old->content, old->bytes)) {
    fputs("was: ", stdout);
    screen_text_write(stdout, old->content, old->bytes);
    putchar('\n');
    fflush(stdout);
  }
  if (number < turns)
    command_note(chat->command, "turn %zu is edited; the %zu after it will be gone", (size_t)number,
                 turns - (size_t)number);
  line_result result = line_editor_read(chat->editor, &line, &bytes, err);
  if (result == LINE_ERROR) return err->status;
  if (result != LINE_TEXT || bytes == 0) {
    command_note(chat->command, "nothing was changed");
    return GUST_OK;
  }
  return chat_turn_edit(chat, (size_t)number - 1, line, bytes, err);
}

/* --- files ----------------------------------------------------------------------------- */

/* Whether a regular file or nothing may be replaced by /save, when need be after a
 * question. One that cannot be read is there, too. */
static bool may_replace(const chat_state *chat, const char *path) {
  if (os_is_link(path))
    return chat_state_confirm(chat, "that is a symbolic link; replace the link itself? [y/N] ");
  FILE *there = os_fopen(path, "rb");
  if (!there && (errno == ENOENT || errno == ENOTDIR)) return true;
  if (there) fclose(there);
  return chat_state_confirm(chat, "that file exists; replace it? [y/N] ");
}

static gust_status run_save(chat_state *chat, const char *argument, gust_error *err) {
  char *path = chat_transcript_path(argument);
  if (!path) return command_error(err, GUST_E_MEMORY, "no memory for a file's name");
  gust_status status = GUST_OK;
  if (output_file_is_special(path)) { /* opening a pipe might wait for ever */
    status = command_error(err, GUST_E_ARGUMENT, "%s: expected a regular file, found a %s", path,
                           os_is_folder(path) ? "folder" : "device or pipe");
  } else if (!may_replace(chat, path)) {
    command_note(chat->command, "nothing was saved");
  } else {
    status = chat_transcript_save(&chat->messages, path, err);
    if (status == GUST_OK)
      command_note(chat->command, "%zu message%s saved to %s", chat->messages.count,
                   plural(chat->messages.count), path);
  }
  free(path);
  return status;
}

static gust_status count_tokens(const chat_state *chat, size_t *tokens, gust_error *err) {
  int32_t *ids;
  gust_status status = chat_state_tokenize(chat, 0, false, &ids, tokens, err);
  gust_free(ids);
  return status;
}

/* What the template refuses does not take the place of what there was. */
static gust_status run_load(chat_state *chat, const char *argument, gust_error *err) {
  char *path = chat_transcript_path(argument);
  if (!path) return command_error(err, GUST_E_MEMORY, "no memory for a file's name");
  chat_messages loaded = {0}, old = chat->messages;
  size_t tokens = 0;
  gust_status status = chat_transcript_load(&loaded, path, err);
  if (status == GUST_OK) {
    chat->messages = loaded;
    status = count_tokens(chat, &tokens, err);
    if (status == GUST_OK) {
      loaded = old;
    } else {
      chat->messages = old;
    }
  }
  if (status == GUST_OK) {
    char text[160];
    size_t turns = chat_messages_turns(&chat->messages);
    snprintf(text, sizeof text,
             "%zu turn%s loaded in place of the conversation: %zu tokens, read with the next "
             "message",
             turns, plural(turns), tokens);
    chat->retries = 0;
    tell_changed(chat, text);
  }
  chat_messages_clear(&loaded);
  free(path);
  return status;
}

/* Puts the text behind what waits already, each file ended by an empty line. */
static gust_status attach(chat_state *chat, const char *text, size_t bytes, gust_error *err) {
  size_t old = chat->attached_bytes;
  while (bytes && text[bytes - 1] == '\n') bytes--;
  char *grown = realloc(chat->attached, old + bytes + 3);
  if (!grown) return command_error(err, GUST_E_MEMORY, "no memory for %zu bytes of text", bytes);
  memcpy(grown + old, text, bytes);
  memcpy(grown + old + bytes, "\n\n", 3);
  chat->attached = grown;
  chat->attached_bytes = old + bytes + 2;
  return GUST_OK;
}

static gust_status run_read(chat_state *chat, const char *argument, gust_error *err) {
  char *path = chat_transcript_path(argument), *text = NULL;
  if (!path) return command_error(err, GUST_E_MEMORY, "no memory for a file's name");
  int32_t *ids = NULL;
  size_t bytes = 0, tokens = 0, capacity = gust_context_capacity(chat->context);
  gust_status status = chat_transcript_read(path, CHAT_TRANSCRIPT_BYTES, &text, &bytes, err);
  if (status == GUST_OK) status = gust_tokenize(chat->model, text, bytes, 0, &ids, &tokens, err);
  if (status == GUST_OK && tokens >= capacity)
    status = command_error(err, GUST_E_ARGUMENT,
                           "%s: expected fewer tokens than the context's %zu positions, found %zu",
                           path, capacity, tokens);
  if (status == GUST_OK && tokens == 0)
    status = command_error(err, GUST_E_ARGUMENT, "%s: expected text, found an empty file", path);
  if (status == GUST_OK) status = attach(chat, text, bytes, err);
  if (status == GUST_OK)
    command_note(chat->command, "%s: %zu tokens go before the next message", path, tokens);
  gust_free(ids);
  free(text);
  free(path);
  return status;
}

/* --- the rest -------------------------------------------------------------------------- */

static gust_status run_set(chat_state *chat, const char *argument, gust_error *err) {
  if (*argument) {
    gust_status status = chat_settings_set(chat, argument, err);
    if (status != GUST_OK) return status;
    chat_session_save(chat, false);
  }
  chat_settings_print(chat);
  return GUST_OK;
}

static gust_status run_exit(chat_state *chat, const char *argument, gust_error *err) {
  (void)argument, (void)err;
  chat->leaving = true;
  return GUST_OK;
}

const chat_command chat_commands[] = {
    {.name = "help", .argument = "", .help = "list the commands", .run = run_help},
    {.name = "system",
     .argument = "[TEXT]",
     .help = "set the system message ('-' removes it), or show it",
     .run = run_system},
    {.name = "retry",
     .argument = "",
     .help = "answer the last message again, with the seed's next draw",
     .needs_turn = true,
     .computes = true,
     .run = run_retry},
    {.name = "edit",
     .argument = "[N]",
     .help = "change your last message, or that of turn N, and answer it",
     .needs_turn = true,
     .computes = true,
     .run = run_edit},
    {.name = "undo",
     .argument = "",
     .help = "take the last turn back; its message can be edited",
     .needs_turn = true,
     .run = run_undo},
    {.name = "save",
     .argument = "FILE",
     .help = "write the conversation as text, or as JSON lines to a .jsonl file",
     .completes = CHAT_ARGUMENT_FILE,
     .needs_argument = true,
     .run = run_save},
    {.name = "load",
     .argument = "FILE",
     .help = "go on with a conversation that was saved",
     .completes = CHAT_ARGUMENT_FILE,
     .needs_argument = true,
     .run = run_load},
    {.name = "clear",
     .argument = "",
     .help = "begin anew; the system message stays",
     .run = run_clear},
    {.name = "set",
     .argument = "[NAME VALUE]",
     .help = "set temp, top-k, top-p, min-p, repeat-penalty or seed, or show them",
     .completes = CHAT_ARGUMENT_SETTING,
     .run = run_set},
    {.name = "show", .argument = "", .help = "show settings and conversation", .run = run_show},
    {.name = "context",
     .argument = "",
     .help = "show where the context's positions go",
     .run = run_context},
    {.name = "read",
     .argument = "FILE",
     .help = "put a file's text before the next message",
     .completes = CHAT_ARGUMENT_FILE,
     .needs_argument = true,
     .run = run_read},
    {.name = "exit", .argument = "", .help = "leave, as Ctrl-D does", .run = run_exit},
    {.name = NULL},
};

/* --- dispatch --------------------------------------------------------------------------- */

const chat_command *chat_commands_find(const char *name, size_t bytes) {
  for (const chat_command *command = chat_commands; command->name; command++)
    if (strlen(command->name) == bytes && !memcmp(command->name, name, bytes)) return command;
  return NULL;
}

static gust_status run_command(chat_state *chat, const chat_command *command, const char *argument,
                               gust_error *err) {
  if (command->needs_argument && !*argument) {
    command_note(chat->command, "/%s: expected %s, found nothing", command->name,
                 command->argument);
    return GUST_OK;
  }
  bool takes = *command->argument != 0;
  if (!takes && *argument) {
    command_note(chat->command, "/%s: expected nothing after it, found '%.40s'", command->name,
                 argument);
    return GUST_OK;
  }
  if (command->needs_turn && chat_messages_turns(&chat->messages) == 0) {
    command_note(chat->command, "/%s: there is no turn yet", command->name);
    return GUST_OK;
  }
  gust_status status = command->run(chat, argument, err);
  if (status != GUST_OK && !command->computes) {
    command_note(chat->command, "%s", err->text);
    status = GUST_OK;
  }
  return status == GUST_OK ? command_flush(err) : status;
}

gust_status chat_commands_run(chat_state *chat, const char *line, size_t bytes, gust_error *err) {
  const char *end = line + bytes, *name = line + 1, *argument = name;
  while (argument < end && !strchr(" \t\r\n", *argument)) argument++;
  size_t name_bytes = (size_t)(argument - name);
  const chat_command *command = chat_commands_find(name, name_bytes);
  if (!command) {
    command_note(chat->command,
                 "unknown command '/%.*s'; /help lists them, //%.*s... sends it as a message",
                 (int)(name_bytes < 40 ? name_bytes : 40), name,
                 (int)(name_bytes < 40 ? name_bytes : 40), name);
    return GUST_OK;
  }
  while (argument < end && strchr(" \t\r\n", *argument)) argument++;
  while (end > argument && strchr(" \t\r\n", end[-1])) end--;
  size_t length = (size_t)(end - argument);
  char *copy = memchr(argument, 0, length) ? NULL : malloc(length + 1);
  if (!copy) {
    command_note(chat->command, "/%s: expected text without NUL characters", command->name);
    return GUST_OK;
  }
  memcpy(copy, argument, length);
  copy[length] = 0;
  gust_status status = run_command(chat, command, copy, err);
  free(copy);
  return status;
}

/* gust chat: a conversation whose key-value cache lives from turn to turn. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat_commands.h"
#include "chat_complete.h"
#include "chat_session.h"
#include "chat_state.h"
#include "chat_turn.h"
#include "commands.h"
#include "interrupt.h"
#include "state_folder.h"
#include "terminal.h"
#include "utf8_check.h"

typedef struct chat_own {
  option_value system, context, session, other_model, list, overflow;
} chat_own;

typedef struct chat_values {
  chat_own own;
  template_values chat_template;
  sampling_values sampling;
  model_values model;
} chat_values;

static const cli_option own_options[] = {
    {.name = "system",
     .kind = OPTION_TEXT,
     .argument = "TEXT",
     .help = "system message the conversation begins with",
     .place = offsetof(chat_own, system)},
    {.name = "ctx",
     .kind = OPTION_COUNT,
     .argument = "N",
     .help = "positions the context holds; default: as many as the model was trained for, "
             "or as memory has room for",
     .least = 1,
     .most = CONTEXT_MAX_POSITIONS,
     .place = offsetof(chat_own, context)},
    {.name = "on-overflow",
     .kind = OPTION_CHOICE,
     .argument = "stop|drop-oldest",
     .help = "what happens to a turn that would not fit: it is refused, or the oldest turns are "
             "dropped, which is said; default: ask at a terminal, else stop",
     .place = offsetof(chat_own, overflow)},
    {.name = "session",
     .kind = OPTION_TEXT,
     .argument = "NAME",
     .help = "keep the conversation and its cache in a file, or go on with it; a name without "
             "'/' lies in the state folder",
     .place = offsetof(chat_own, session)},
    {.name = "other-model",
     .kind = OPTION_FLAG,
     .help = "go on with a session that was held with another model",
     .place = offsetof(chat_own, other_model)},
    {.name = "list",
     .kind = OPTION_FLAG,
     .help = "print the sessions in the state folder and end",
     .place = offsetof(chat_own, list)},
    {.name = NULL},
};

/* --- the conversation -------------------------------------------------------------- */

static bool is_blank(const char *line, size_t bytes) {
  for (size_t i = 0; i < bytes; i++)
    if (!strchr(" \t\r\n", line[i]) || !line[i]) return false;
  return true;
}

/* What a signal means now: Ctrl-C from someone who types stops the answer or
 * does nothing but say how to leave; anything else ends the session. */
static bool leaves(const chat_state *chat, bool at_prompt) {
  if (chat_state_must_end(chat)) return true;
  interrupt_clear();
  if (at_prompt)
    terminal_say(line_editor_is_editing(chat->editor) ? "(Ctrl-D leaves)\n"
                                                      : "\n(Ctrl-D leaves)\n");
  return false;
}

/* Commands are for someone who types: in a pipe a line may come from anywhere, and
 * must not write files. */
static gust_status take_line(chat_state *chat, const char *line, size_t bytes, gust_error *err) {
  if (chat->interactive && bytes > 0 && line[0] == '/') {
    if (bytes < 2 || line[1] != '/') return chat_commands_run(chat, line, bytes, err);
    line++;
    bytes--;
  }
  return chat_turn_take(chat, line, bytes, err);
}

static int converse(chat_state *chat, gust_error *err) {
  while (!chat->leaving) {
    const char *line;
    size_t bytes;
    line_result result = line_editor_read(chat->editor, &line, &bytes, err);
    if (result == LINE_ERROR) return command_fail(chat->command, err);
    if (result == LINE_INTERRUPT) {
      if (leaves(chat, true)) return 128 + interrupt_signal();
      continue;
    }
    if (result == LINE_END) {
      if (chat->interactive && !line_editor_is_editing(chat->editor)) terminal_say("\n");
      break;
    }
    if (!chat->interactive) chat->line++;
    if (is_blank(line, bytes)) continue;
    gust_status status = take_line(chat, line, bytes, err);
    if (status != GUST_OK) return command_fail(chat->command, err);
    if (interrupt_signal() && leaves(chat, false)) return 128 + interrupt_signal();
  }
  return chat->refused && !chat->interactive ? COMMAND_FAILURE : 0;
}

/* --- beginning ---------------------------------------------------------------------- */

static gust_status open_editor(chat_state *chat, gust_error *err) {
  char *history = chat->interactive ? state_folder_path("history") : NULL;
  line_editor_options options = {.command = chat->command,
                                 .prompt = "> ",
                                 .history = history,
                                 .complete = chat_complete,
                                 .colour = terminal_has_colour(stderr)};
  chat->editor = line_editor_create(&options, err);
  free(history);
  return chat->editor ? GUST_OK : err->status;
}

static gust_status open_model(chat_state *chat, const chat_values *values, gust_error *err) {
  gust_status status =
      model_options_open(&chat->model, chat->command, chat->model_path, &values->model, err);
  if (status != GUST_OK) return status;
  chat->values = values->sampling;
  chat->sampling = model_options_sampling(chat->model, &chat->values);
  return GUST_OK;
}

static gust_status open_template(chat_state *chat, gust_error *err) {
  gust_status status = model_options_template(&chat->chat_template, chat->model,
                                              chat->template_name, chat->model_path, err);
  if (status == GUST_OK)
    status = chat_marks_find(&chat->marks, chat->model, chat->chat_template, err);
  return status;
}

/* What can be refused comes before what takes long: a session, as far as it can be
 * looked at, before the model, all of it before the context; and its seed and template
 * before those that would be taken without it. */
static gust_status open_chat(chat_state *chat, const chat_values *values, gust_error *err) {
  const chat_own *own = &values->own;
  gust_status status = own->session.given ? chat_session_check(own->session.text, err) : GUST_OK;
  if (status == GUST_OK) status = open_model(chat, values, err);
  if (status == GUST_OK) status = open_editor(chat, err);
  if (status == GUST_OK && own->session.given)
    status = chat_session_open(chat, own->session.text, own->other_model.given, err);
  if (status == GUST_OK) status = open_template(chat, err);
  if (status == GUST_OK)
    status = model_options_context(&chat->context, chat->command, chat->model, &values->model,
                                   (size_t)own->context.count, err);
  if (status != GUST_OK) return status;
  chat->values.seed.given = true; /* from now on /set changes only what it names */
  chat->values.seed.count = chat->sampling.seed;
  if (own->system.given)
    status =
        chat_messages_set_system(&chat->messages, own->system.text, strlen(own->system.text), err);
  if (status == GUST_OK && chat->journal) status = chat_session_restore(chat, err);
  if (status != GUST_OK) return status;
  chat_session_save(chat, false);
  chat_session_take_back(chat);
  return GUST_OK;
}

/* What the option tables cannot say. Returns OPTIONS_GO or 2. */
static int check_values(const cli_command *command, chat_values *values) {
  const option_value *system = &values->own.system;
  gust_error err;
  if (system->given &&
      utf8_check_text("--system", system->text, strlen(system->text), &err) != GUST_OK)
    return command_misuse(command, "%s", err.text);
  return model_options_check(command, &values->model);
}

static int chat(const cli_command *command, int argc, char **argv) {
  chat_values values = {0};
  const char *operands[COMMAND_MAX_OPERANDS];
  int code = options_parse(command, argc, argv, &values, operands);
  if (code == OPTIONS_GO) code = check_values(command, &values);
  if (code != OPTIONS_GO) return code;
  gust_error err = {0};
  if (values.own.list.given)
    return chat_session_print_list(command, &err) == GUST_OK ? 0 : command_fail(command, &err);
  if (!operands[0])
    return command_misuse(command, "MODEL is missing; usage: gust chat %s", command->synopsis);
  chat_state state = {.command = command,
                      .model_path = operands[0],
                      .template_name = values.chat_template.name.text,
                      .kv_name = model_options_kv_name(&values.model),
                      .quiet = values.model.quiet.given,
                      .interactive = terminal_is(stdin)};
  state.overflow = values.own.overflow.given ? (chat_overflow_policy)values.own.overflow.count
                   : state.interactive       ? CHAT_OVERFLOW_ASK
                                             : CHAT_OVERFLOW_STOP;
  interrupt_install();
  if (open_chat(&state, &values, &err) != GUST_OK) {
    code = command_fail(command, &err);
  } else {
    if (state.interactive)
      chat_state_note(&state, "/help lists commands, Ctrl-C stops an answer, Ctrl-D leaves");
    code = converse(&state, &err);
    if (!chat_session_save_last(&state) && code == 0) code = COMMAND_FAILURE;
  }
  chat_state_clear(&state);
  return code;
}

const cli_command command_chat = {
    .name = "chat",
    .summary = "hold a conversation",
    .synopsis = "MODEL [options]",
    .description =
        "Answers line by line and keeps the conversation. At a terminal Ctrl-C stops the answer, "
        "whose beginning stays part of the conversation, Ctrl-D leaves, and lines that begin with "
        "'/' are commands, which /help lists. With a pipe on standard input each line is answered, "
        "with an empty line between two answers, then the program ends; a line that is refused "
        "is named by its number on standard error.\n"
        "Room for an answer is kept free: as many positions as the checkpoint's limit on new "
        "tokens, at most a quarter of the context. A turn that does not fit beside it is refused, "
        "or the oldest turns are dropped when you agree; nothing is ever dropped silently.\n"
        "The seed settles all answers: each draws from a stream of its own that follows from the "
        "seed, the place of the turn and how often it was retried. A conversation that is resumed "
        "goes on with the same text as one that never stopped.\n"
        "/save writes messages as text, each after a line '--- ROLE', or to a name that ends in "
        ".jsonl as JSON lines with role and content; /load reads both.",
    .operands = {"MODEL"},
    .optional_operands = 1,
    .groups = {{"Options", own_options, offsetof(chat_values, own)},
               {"Template", template_options, offsetof(chat_values, chat_template)},
               {"Sampling (defaults from the model)", sampling_options,
                offsetof(chat_values, sampling)},
               {"Running", model_options, offsetof(chat_values, model)}},
    .run = chat,
};

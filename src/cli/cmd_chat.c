/* gust chat: a conversation whose key-value cache lives from turn to turn. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "commands.h"
#include "interrupt.h"
#include "line_input.h"
#include "model_options.h"
#include "terminal.h"

typedef struct chat_own {
  option_value system, context;
} chat_own;

typedef struct chat_values {
  chat_own own;
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
     .help = "positions the context holds; default: as many as the model was trained for",
     .least = 1,
     .most = CONTEXT_MAX_POSITIONS,
     .place = offsetof(chat_own, context)},
    {.name = NULL},
};

/* A conversation; zero-filled, any part may be missing at the end. */
typedef struct chat_state {
  const cli_command *command;
  gust_model *model;
  gust_context *context;
  gust_sampler *sampler;
  line_input input;
  gust_message *messages; /* the contents are owned */
  size_t count, capacity;
  bool quiet, interactive; /* someone types at a terminal */
  bool refused;            /* a turn did not fit */
} chat_state;

/* --- the conversation --------------------------------------------------------- */

static gust_status add_message(chat_state *chat, const char *role, const char *text, size_t bytes,
                               gust_error *err) {
  char *content = malloc(bytes + 1);
  if (content && chat->count == chat->capacity) {
    size_t larger = chat->capacity ? chat->capacity * 2 : 16;
    gust_message *grown =
        larger > SIZE_MAX / sizeof *grown ? NULL : realloc(chat->messages, larger * sizeof *grown);
    if (grown) {
      chat->messages = grown;
      chat->capacity = larger;
    } else {
      free(content);
      content = NULL;
    }
  }
  if (!content)
    return command_error(err, GUST_E_MEMORY, "no memory for message %zu of the conversation",
                         chat->count + 1);
  if (bytes) memcpy(content, text, bytes);
  content[bytes] = 0;
  chat->messages[chat->count++] = (gust_message){role, content, bytes};
  return GUST_OK;
}

static void drop_last_message(chat_state *chat) {
  union {
    const char *lent;
    char *owned;
  } content = {.lent = chat->messages[--chat->count].content};
  free(content.owned);
}

static void clear_chat(chat_state *chat) {
  while (chat->count > 0) drop_last_message(chat);
  free(chat->messages);
  line_input_clear(&chat->input);
  gust_sampler_destroy(chat->sampler);
  gust_context_destroy(chat->context);
  gust_model_close(chat->model);
}

/* --- one turn ------------------------------------------------------------------- */

static double rate(size_t tokens, double seconds) {
  return seconds > 0 ? (double)tokens / seconds : 0;
}

static void print_status(const chat_state *chat, const cli_answer *answer) {
  if (chat->quiet || !terminal_is(stderr)) return;
  bool colour = terminal_has_colour(stderr);
  fprintf(stderr,
          "%s%zu tokens, prefill %.1f t/s (%zu of %zu new), decode %.1f t/s, context %zu/%zu%s\n",
          colour ? "\033[90m" : "", answer->count,
          rate(answer->fed_tokens, answer->prefill_seconds), answer->fed_tokens,
          answer->prompt_tokens, rate(answer->count, answer->decode_seconds),
          gust_context_length(chat->context), gust_context_capacity(chat->context),
          colour ? "\033[0m" : "");
}

static gust_status answer_messages(chat_state *chat, const int32_t *ids, size_t count,
                                   gust_error *err) {
  answer_options options = {
      .max_tokens = gust_model_max_new_tokens(chat->model), .stream = true, .quiet = chat->quiet};
  cli_answer answer;
  gust_status status =
      answer_produce(&answer, chat->model, chat->context, chat->sampler, ids, count, &options, err);
  if (status == GUST_OK) {
    putchar('\n');
    status = command_flush(err);
  }
  if (status == GUST_OK) {
    status = add_message(chat, "assistant", answer.text ? answer.text : "", answer.bytes, err);
    print_status(chat, &answer);
    if (!chat->quiet) answer_explain(&answer, chat->command, chat->context, false);
  }
  answer_clear(&answer);
  return status;
}

/* The conversation with `line` added. On return the cache and the messages
 * agree, or the line is gone again and the user was told. */
static gust_status take_turn(chat_state *chat, const char *line, size_t bytes, gust_error *err) {
  gust_status status = add_message(chat, "user", line, bytes, err);
  if (status != GUST_OK) return status;
  int32_t *ids = NULL;
  size_t count = 0, capacity = gust_context_capacity(chat->context);
  status = gust_chat_tokenize(chat->model, chat->messages, chat->count, true, &ids, &count, err);
  if (status == GUST_OK && count >= capacity) {
    command_note(chat->command,
                 "this turn needs %zu positions and room for an answer, the context holds %zu; the "
                 "message was not added and nothing was dropped; start anew or with a larger --ctx",
                 count, capacity);
    drop_last_message(chat);
    chat->refused = true;
  } else if (status == GUST_OK) {
    status = answer_messages(chat, ids, count, err);
    if (status == GUST_E_CANCELLED) {
      drop_last_message(chat);
      if (chat->interactive) {
        command_note(chat->command, "stopped before the answer began; the message was not added");
        status = GUST_OK;
      }
    }
  }
  gust_free(ids);
  return status;
}

/* --- the session ------------------------------------------------------------------ */

static bool is_blank(const char *line, size_t bytes) {
  for (size_t i = 0; i < bytes; i++)
    if (line[i] != ' ' && line[i] != '\t') return false;
  return true;
}

/* What a signal means now: Ctrl-C from someone who types stops the answer or
 * does nothing but say how to leave; anything else ends the session. */
static bool leaves(chat_state *chat, bool at_prompt) {
  if (!chat->interactive || !interrupt_is_key()) return true;
  interrupt_clear();
  if (at_prompt) fprintf(stderr, "\n(Ctrl-D leaves)\n");
  return false;
}

static int converse(chat_state *chat, gust_error *err) {
  for (;;) {
    const char *line;
    size_t bytes;
    if (chat->interactive) {
      fputs("> ", stderr);
      fflush(stderr);
    }
    line_result result = line_input_read(&chat->input, &line, &bytes, err);
    if (result == LINE_ERROR) return command_fail(chat->command, err);
    if (result == LINE_INTERRUPT) {
      if (leaves(chat, true)) return 128 + interrupt_signal();
      continue;
    }
    if (result == LINE_END) {
      if (chat->interactive) fputc('\n', stderr);
      return chat->refused && !chat->interactive ? COMMAND_FAILURE : 0;
    }
    if (is_blank(line, bytes)) continue;
    gust_status status = take_turn(chat, line, bytes, err);
    if (status != GUST_OK) return command_fail(chat->command, err);
    if (interrupt_signal() && leaves(chat, false)) return 128 + interrupt_signal();
  }
}

static gust_status open_chat(chat_state *chat, const chat_values *values, const char *path,
                             gust_error *err) {
  gust_status status = model_options_open(&chat->model, chat->command, path, &values->model, err);
  if (status == GUST_OK)
    status = model_options_context(&chat->context, chat->command, chat->model, &values->model,
                                   (size_t)values->own.context.count, err);
  if (status != GUST_OK) return status;
  gust_sampling sampling = model_options_sampling(chat->model, &values->sampling);
  status = gust_sampler_create(&chat->sampler, chat->model, &sampling, err);
  if (status != GUST_OK || !values->own.system.given) return status;
  const char *system = values->own.system.text;
  return add_message(chat, "system", system, strlen(system), err);
}

static int chat(const cli_command *command, int argc, char **argv) {
  chat_values values = {0};
  const char *operands[COMMAND_MAX_OPERANDS];
  int code = options_parse(command, argc, argv, &values, operands);
  if (code == OPTIONS_GO) code = model_options_check(command, &values.model);
  if (code != OPTIONS_GO) return code;
  chat_state state = {
      .command = command, .quiet = values.model.quiet.given, .interactive = terminal_is(stdin)};
  gust_error err = {0};
  interrupt_install();
  if (open_chat(&state, &values, operands[0], &err) != GUST_OK) {
    code = command_fail(command, &err);
  } else {
    if (state.interactive && !state.quiet)
      command_note(command, "Ctrl-C stops an answer, Ctrl-D leaves");
    code = converse(&state, &err);
  }
  clear_chat(&state);
  return code;
}

const cli_command command_chat = {
    .name = "chat",
    .summary = "hold a conversation",
    .synopsis = "MODEL [options]",
    .description =
        "Answers line by line and keeps the conversation. At a terminal Ctrl-C stops the answer, "
        "whose beginning stays part of the conversation, and Ctrl-D leaves. With a pipe on "
        "standard "
        "input each line is answered, then the program ends.\n"
        "A turn that no longer fits the context is refused; nothing is ever dropped silently.",
    .operands = {"MODEL"},
    .groups = {{"Options", own_options, offsetof(chat_values, own)},
               {"Sampling (defaults from the checkpoint)", sampling_options,
                offsetof(chat_values, sampling)},
               {"Running", model_options, offsetof(chat_values, model)}},
    .run = chat,
};

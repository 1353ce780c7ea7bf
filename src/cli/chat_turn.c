#include "chat_turn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "chat_overflow.h"
#include "chat_session.h"
#include "chat_status.h"
#include "interrupt.h"
#include "random64.h"
#include "utf8_check.h"

typedef enum turn_end {
  TURN_ANSWERED,
  TURN_REFUSED, /* the user was told why */
  TURN_STOPPED  /* before its answer began, or to end the program */
} turn_end;

uint64_t chat_turn_seed(uint64_t seed, size_t turn, size_t retries) {
  if (turn == 0 && retries == 0) return seed;
  return gust_mix64(seed + (uint64_t)turn * 0x9e3779b97f4a7c15u +
                    (uint64_t)retries * 0xd1342543de82ef95u);
}

/* --- the answer ------------------------------------------------------------------ */

static gust_status produce(chat_state *chat, const int32_t *ids, size_t count, cli_answer *answer,
                           gust_error *err) {
  gust_sampler *sampler;
  gust_sampling sampling = chat->sampling;
  sampling.seed =
      chat_turn_seed(sampling.seed, chat_messages_turns(&chat->messages) - 1, chat->retries);
  gust_status status = gust_sampler_create(&sampler, chat->model, &sampling, err);
  if (status != GUST_OK) return status;
  answer_options options = {
      .max_tokens = gust_model_max_new_tokens(chat->model), .stream = true, .quiet = chat->quiet};
  status = answer_produce(answer, chat->model, chat->context, sampler, ids, count, &options, err);
  gust_sampler_destroy(sampler);
  return status;
}

/* Takes what came for the answer. Its beginning counts when Ctrl-C stopped it, since
 * that was about the answer; a request to end was not. */
static gust_status take_answer(chat_state *chat, const cli_answer *answer, turn_end *end,
                               gust_error *err) {
  putchar('\n');
  gust_status status = command_flush(err);
  if (status == GUST_OK && answer->finish == GUST_FINISH_CALLBACK && chat_state_must_end(chat)) {
    *end = TURN_STOPPED;
    return command_error(err, GUST_E_CANCELLED,
                         "asked to end in the middle of an answer, which is not kept");
  }
  if (status == GUST_OK)
    status = chat_messages_add(&chat->messages, "assistant", answer->text ? answer->text : "",
                               answer->bytes, err);
  if (status != GUST_OK) return status;
  *end = TURN_ANSWERED;
  chat_status_print(chat, answer);
  return GUST_OK;
}

static gust_status answer_messages(chat_state *chat, const int32_t *ids, size_t count,
                                   turn_end *end, gust_error *err) {
  cli_answer answer = {0};
  if (chat->answered && !chat->interactive) putchar('\n'); /* answers stand apart */
  chat->answered = true;
  gust_status status = produce(chat, ids, count, &answer, err);
  if (status == GUST_OK) {
    status = take_answer(chat, &answer, end, err);
  } else if (status == GUST_E_CANCELLED) {
    *end = TURN_STOPPED;
    if (!chat_state_must_end(chat)) status = GUST_OK;
  }
  answer_clear(&answer);
  return status;
}

/* Says once that a message holds what the template uses as a mark. */
static void tell_marks(chat_state *chat) {
  for (size_t i = 0; i < chat->messages.count && !chat->marks_told; i++) {
    const gust_message *message = &chat->messages.items[i];
    if (!strcmp(message->role, "assistant")) continue;
    const char *mark = chat_marks_in(&chat->marks, message->content, message->bytes);
    if (!mark) continue;
    chat->marks_told = true;
    chat_state_note(chat,
                    "a line of the %s begins with '%s', with which this model's template marks "
                    "who speaks; it is ordinary text to the model too and is sent as it is",
                    i < chat_messages_first(&chat->messages) ? "system message" : "message", mark);
  }
}

/* Answers the conversation, which ends with a message of the user; turns that it drops to
 * make room go to `dropped`. What cannot be rendered (a template may refuse roles or their
 * order) is no reason to leave. */
static gust_status run_turn(chat_state *chat, chat_messages *dropped, turn_end *end,
                            gust_error *err) {
  int32_t *ids = NULL;
  size_t count = 0;
  chat_overflow_plan plan;
  bool go = false;
  *end = TURN_REFUSED;
  gust_status status = chat_state_tokenize(chat, 0, true, &ids, &count, err);
  if (status == GUST_OK) status = chat_overflow_make_plan(&plan, chat, count, err);
  if (status != GUST_OK) {
    gust_free(ids);
    if (chat->interactive) {
      command_note(chat->command, "%s", err->text);
      return GUST_OK;
    }
    const gust_error refusal = *err;
    return command_error(err, status, "line %zu: %s", chat->line, refusal.text);
  }
  tell_marks(chat);
  status = chat_overflow_decide(chat, &plan, dropped, &go, err);
  if (status == GUST_OK && go && plan.turns > 0) {
    gust_free(ids);
    status = chat_state_tokenize(chat, 0, true, &ids, &count, err);
  }
  if (status == GUST_OK && go) status = answer_messages(chat, ids, count, end, err);
  gust_free(ids);
  return status;
}

/* --- turns ------------------------------------------------------------------------ */

/* Says so when it is not, and refuses it. */
static bool is_text(chat_state *chat, const char *text, size_t bytes) {
  gust_error why;
  if (utf8_check_text("the message", text, bytes, &why) == GUST_OK) return true;
  chat_state_complain(chat, "%s; it was not added", why.text);
  chat->refused = true;
  return false;
}

/* Without an answer the conversation becomes what it was before the message, which alone
 * stays at its end where it `waits`, as it does in the session. */
static void take_back(chat_state *chat, chat_messages *dropped, chat_messages *tail, bool waits) {
  chat_messages *messages = &chat->messages;
  chat_messages_paste(messages, chat_messages_first(messages), dropped);
  if (!waits) chat_messages_remove(messages, messages->count - 1, 1);
  if (tail) chat_messages_paste(messages, messages->count, tail);
}

/* `text` as the message that follows those there are; `tail`, whose place it takes, and
 * turns that are dropped to make room come back when there is no answer. A new message is
 * saved at once: it outlives whatever happens to its answer. What takes the place of
 * finished turns is saved with its answer, and until then they are what a session is
 * resumed with. `retries` are the answer's. */
static gust_status answer_message(chat_state *chat, const char *text, size_t bytes,
                                  chat_messages *tail, size_t retries, turn_end *end,
                                  gust_error *err) {
  chat_messages dropped = {0};
  size_t before = chat->retries;
  *end = TURN_REFUSED;
  gust_status status = chat_messages_add(&chat->messages, "user", text, bytes, err);
  if (status != GUST_OK) {
    if (tail) chat_messages_paste(&chat->messages, chat->messages.count, tail);
    return status;
  }
  if (!tail) chat_session_save(chat, false);
  chat->retries = retries;
  status = run_turn(chat, &dropped, end, err);
  if (*end != TURN_ANSWERED) {
    take_back(chat, &dropped, tail, status != GUST_OK && !tail);
    chat->retries = before;
  }
  if (status == GUST_OK && *end == TURN_STOPPED)
    command_note(chat->command,
                 "stopped before the answer began; the message was not added, %sthe %zu tokens "
                 "read so far are kept",
                 dropped.capacity ? "nothing was dropped, " : "",
                 gust_context_length(chat->context));
  chat_messages_clear(&dropped);
  if (status == GUST_OK) chat_session_save(chat, true);
  return status;
}

/* The text of /read and the message as one, to be freed. */
static char *join_attached(const chat_state *chat, const char *text, size_t bytes, size_t *all) {
  size_t attached = chat->attached_bytes;
  char *joined = bytes < SIZE_MAX - 1 - attached ? malloc(attached + bytes + 1) : NULL;
  if (!joined) return NULL;
  if (attached) memcpy(joined, chat->attached, attached);
  if (bytes) memcpy(joined + attached, text, bytes);
  *all = attached + bytes;
  joined[*all] = 0;
  return joined;
}

gust_status chat_turn_take(chat_state *chat, const char *text, size_t bytes, gust_error *err) {
  if (!is_text(chat, text, bytes)) return GUST_OK;
  size_t all = 0;
  char *joined = join_attached(chat, text, bytes, &all);
  if (!joined)
    return command_error(err, GUST_E_MEMORY, "no memory for a message of %zu bytes", bytes);
  turn_end end;
  gust_status status = answer_message(chat, joined, all, NULL, 0, &end, err);
  if (end == TURN_ANSWERED) {
    free(chat->attached);
    chat->attached = NULL;
    chat->attached_bytes = 0;
  } else {
    size_t typed = chat->attached_bytes;
    line_editor_prefill(chat->editor, joined + typed, all - typed);
  }
  free(joined);
  return status;
}

static gust_status cut_from(chat_state *chat, size_t turn, chat_messages *tail, gust_error *err) {
  size_t first = chat_messages_turn(&chat->messages, turn);
  return chat_messages_cut(&chat->messages, first, chat->messages.count - first, tail, err);
}

gust_status chat_turn_edit(chat_state *chat, size_t turn, const char *text, size_t bytes,
                           gust_error *err) {
  if (!is_text(chat, text, bytes)) return GUST_OK;
  chat_messages tail = {0};
  gust_status status = cut_from(chat, turn, &tail, err);
  if (status != GUST_OK) return status;
  turn_end end;
  status = answer_message(chat, text, bytes, &tail, 0, &end, err);
  if (end != TURN_ANSWERED) line_editor_prefill(chat->editor, text, bytes);
  chat_messages_clear(&tail);
  return status;
}

gust_status chat_turn_retry(chat_state *chat, gust_error *err) {
  chat_messages tail = {0};
  gust_status status = cut_from(chat, chat_messages_turns(&chat->messages) - 1, &tail, err);
  if (status != GUST_OK) return status;
  turn_end end;
  status = answer_message(chat, tail.items[0].content, tail.items[0].bytes, &tail,
                          chat->retries + 1, &end, err);
  chat_messages_clear(&tail);
  return status;
}

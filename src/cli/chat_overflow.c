#include "chat_overflow.h"

#include <stdio.h>

size_t chat_overflow_reserve(const chat_state *chat) {
  size_t quarter = gust_context_capacity(chat->context) / 4;
  size_t limit = gust_model_max_new_tokens(chat->model);
  return limit && limit < quarter ? limit : quarter;
}

static gust_status measure(const chat_state *chat, size_t skip, size_t *tokens, gust_error *err) {
  int32_t *ids;
  gust_status status = chat_state_tokenize(chat, skip, true, &ids, tokens, err);
  gust_free(ids);
  return status;
}

gust_status chat_overflow_make_plan(chat_overflow_plan *plan, const chat_state *chat, size_t before,
                                    gust_error *err) {
  *plan = (chat_overflow_plan){.capacity = gust_context_capacity(chat->context),
                               .reserve = chat_overflow_reserve(chat),
                               .before = before,
                               .after = before};
  size_t turns = chat_messages_turns(&chat->messages), most = turns ? turns - 1 : 0;
  size_t room = plan->capacity - plan->reserve;
  if (before <= room || most == 0) return GUST_OK;
  /* The fewest that fit, in (least, enough]; the tokens fall with every turn. */
  size_t least = 0, enough = most;
  gust_status status = measure(chat, most, &plan->after, err);
  while (status == GUST_OK && enough - least > 1) {
    size_t middle = least + (enough - least) / 2, tokens;
    status = measure(chat, middle, &tokens, err);
    if (status == GUST_OK && tokens <= room) {
      enough = middle;
      plan->after = tokens;
    } else {
      least = middle;
    }
  }
  plan->turns = enough;
  return status;
}

/* The system message stays, whose turns these are not. */
static gust_status drop_turns(chat_state *chat, size_t turns, chat_messages *dropped,
                              gust_error *err) {
  size_t first = chat_messages_first(&chat->messages);
  size_t count = chat_messages_turn(&chat->messages, turns) - first;
  return chat_messages_cut(&chat->messages, first, count, dropped, err);
}

static const char *plural(size_t count) {
  return count == 1 ? "" : "s";
}

/* Not even a conversation of this message alone leaves a position to answer in. */
static void refuse(chat_state *chat, const chat_overflow_plan *plan) {
  chat_state_complain(
      chat,
      "this message needs %zu positions and room for an answer, the context holds %zu; the message "
      "was not added and nothing was dropped; shorten it or start with a larger --ctx",
      plan->after, plan->capacity);
  chat->refused = true;
}

static bool may_drop(chat_state *chat, const chat_overflow_plan *plan) {
  char question[128];
  switch (chat->overflow) {
    case CHAT_OVERFLOW_DROP: return true;
    case CHAT_OVERFLOW_STOP: break;
    case CHAT_OVERFLOW_ASK:
      snprintf(question, sizeof question, "drop the oldest %zu turn%s? [y/N] ", plan->turns,
               plural(plan->turns));
      return chat_state_confirm(chat, question);
  }
  return false;
}

gust_status chat_overflow_decide(chat_state *chat, const chat_overflow_plan *plan,
                                 chat_messages *dropped, bool *go, gust_error *err) {
  *go = false;
  if (plan->after >= plan->capacity) {
    refuse(chat, plan);
    return GUST_OK;
  }
  size_t left = plan->capacity - plan->after;
  if (plan->turns > 0) {
    bool drops = chat->overflow == CHAT_OVERFLOW_DROP;
    chat_state_complain(
        chat,
        "this turn needs %zu positions and %zu more are kept for the answer, the context "
        "holds %zu; %s the oldest %zu turn%s (%zu tokens)%s",
        plan->before, plan->reserve, plan->capacity, drops ? "dropped" : "to make room drop",
        plan->turns, plural(plan->turns), plan->before - plan->after,
        chat_messages_first(&chat->messages) ? "; the system message stays" : "");
    if (!may_drop(chat, plan)) {
      if (chat_state_must_end(chat))
        return command_error(err, GUST_E_CANCELLED, "asked to end before the answer began");
      chat_state_complain(
          chat,
          "the message was not added and nothing was dropped; /context shows what is "
          "there, --on-overflow drop-oldest or a larger --ctx makes room");
      chat->refused = true;
      return GUST_OK;
    }
    gust_status status = drop_turns(chat, plan->turns, dropped, err);
    if (status != GUST_OK) return status;
  }
  if (left < plan->reserve)
    chat_state_note(chat, "only %zu positions are left for the answer", left);
  *go = true;
  return GUST_OK;
}

#include "chat_status.h"

#include <stdio.h>

#include "terminal.h"

static double rate(size_t tokens, double seconds) {
  return seconds > 0 ? (double)tokens / seconds : 0;
}

void chat_status_tell_window(chat_state *chat) {
  uint32_t window = gust_model_get_info(chat->model)->sliding_window;
  if (!window || chat->window_told || gust_context_length(chat->context) <= window) return;
  chat->window_told = true;
  chat_state_note(chat,
                  "the conversation has outgrown the model's sliding window: a new token sees the "
                  "last %u tokens directly; older text stays part of the conversation but reaches "
                  "it only through what the tokens between made of it",
                  window);
}

void chat_status_print(chat_state *chat, const cli_answer *answer) {
  if (chat->quiet) return;
  if (terminal_is(stderr)) {
    bool colour = terminal_has_colour(stderr);
    char line[256];
    snprintf(
        line, sizeof line,
        "%s%zu tokens, prefill %.1f t/s (%zu of %zu new), decode %.1f t/s, context %zu/%zu%s\n",
        colour ? "\033[90m" : "", answer->count, rate(answer->fed_tokens, answer->prefill_seconds),
        answer->fed_tokens, answer->prompt_tokens, rate(answer->count, answer->decode_seconds),
        gust_context_length(chat->context), gust_context_capacity(chat->context),
        colour ? "\033[0m" : "");
    terminal_say(line);
  }
  answer_explain(answer, chat->command, chat->context, false);
  chat_status_tell_window(chat);
}

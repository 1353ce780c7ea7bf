#include "chat_status.h"

#include <stdio.h>
#include <string.h>

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

size_t chat_status_format(char *line, size_t size, unsigned columns, const cli_answer *answer,
                          size_t length, size_t capacity) {
  double prefill = rate(answer->fed_tokens, answer->prefill_seconds);
  double decode = rate(answer->count, answer->decode_seconds);
  size_t tokens = answer->count, fed = answer->fed_tokens, prompt = answer->prompt_tokens;
  char forms[5][160];
  snprintf(forms[0], sizeof *forms,
           "%zu tokens, prefill %.1f t/s (%zu of %zu new), decode %.1f t/s, context %zu/%zu",
           tokens, prefill, fed, prompt, decode, length, capacity);
  snprintf(forms[1], sizeof *forms,
           "%zu tokens, prefill %.0f t/s (%zu of %zu new), decode %.1f t/s, context %zu/%zu",
           tokens, prefill, fed, prompt, decode, length, capacity);
  snprintf(forms[2], sizeof *forms, "%zu tokens, prefill %.0f t/s (%zu), decode %.1f t/s, %zu/%zu",
           tokens, prefill, fed, decode, length, capacity);
  snprintf(forms[3], sizeof *forms, "%zu tokens, %.1f t/s, %zu/%zu", tokens, decode, length,
           capacity);
  snprintf(forms[4], sizeof *forms, "%zu tokens", tokens);
  size_t form = 0;
  while (form < 4 && strlen(forms[form]) >= columns) form++;
  snprintf(line, size, "%s", forms[form]);
  return strlen(line);
}

void chat_status_print(chat_state *chat, const cli_answer *answer) {
  if (chat->quiet) return;
  if (terminal_is(stderr)) {
    bool colour = terminal_has_colour(stderr);
    char figures[160], line[256];
    chat_status_format(figures, sizeof figures, terminal_columns(stderr), answer,
                       gust_context_length(chat->context), gust_context_capacity(chat->context));
    snprintf(line, sizeof line, "%s%s%s\n", colour ? "\033[90m" : "", figures,
             colour ? "\033[0m" : "");
    terminal_say(line);
  }
  answer_explain(answer, chat->command, chat->context, false);
  chat_status_tell_window(chat);
}

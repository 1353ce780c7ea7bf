#include "chat_ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat_overflow.h"
#include "screen_text.h"

#define BAR_COLUMNS 24
#define FIXED_COLUMNS 28 /* of a line, before its bar */
#define LEAST_EXCERPT 8
#define NARROW_COLUMNS 72 /* in which not all words have room */

/* --- counting ---------------------------------------------------------------------- */

static gust_status count_messages(const chat_state *chat, const gust_message *messages,
                                  size_t count, size_t *tokens, gust_error *err) {
  int32_t *ids = NULL;
  *tokens = 0;
  if (count == 0) return GUST_OK;
  gust_status status = gust_chat_tokenize_as(chat->model, chat->chat_template, messages, count,
                                             false, &ids, tokens, err);
  gust_free(ids);
  return status;
}

/* Many templates refuse, or leave out, a system message that nothing follows; then
 * its share is what the first turn is longer with it. */
static gust_status count_system(chat_ledger *ledger, const chat_state *chat, gust_error *err) {
  const chat_messages *messages = &chat->messages;
  if (!chat_messages_first(messages)) return GUST_OK;
  if (ledger->count == 0) {
    const gust_message *system = &messages->items[0];
    if (count_messages(chat, system, 1, &ledger->system, err) == GUST_OK && ledger->system)
      return GUST_OK;
    int32_t *ids = NULL;
    gust_status status =
        gust_tokenize(chat->model, system->content, system->bytes, 0, &ids, &ledger->system, err);
    gust_free(ids);
    return status;
  }
  size_t with, without, end = chat_messages_turn(messages, 1);
  gust_status status = count_messages(chat, messages->items, end, &with, err);
  if (status == GUST_OK) status = count_messages(chat, messages->items + 1, end - 1, &without, err);
  if (status == GUST_OK && with > without) ledger->system = with - without;
  return status;
}

gust_status chat_ledger_measure(chat_ledger *ledger, const chat_state *chat, gust_error *err) {
  memset(ledger, 0, sizeof *ledger);
  const chat_messages *messages = &chat->messages;
  ledger->count = chat_messages_turns(messages);
  ledger->turns = calloc(ledger->count ? ledger->count : 1, sizeof *ledger->turns);
  if (!ledger->turns)
    return command_error(err, GUST_E_MEMORY, "no memory to count %zu turns", ledger->count);
  gust_status status = count_system(ledger, chat, err);
  ledger->total = ledger->system;
  for (size_t i = 0; i < ledger->count && status == GUST_OK; i++) {
    size_t tokens;
    status =
        count_messages(chat, messages->items, chat_messages_turn(messages, i + 1), &tokens, err);
    if (status != GUST_OK) break;
    ledger->turns[i] = tokens > ledger->total ? tokens - ledger->total : 0;
    ledger->total += ledger->turns[i];
  }
  return status;
}

void chat_ledger_clear(chat_ledger *ledger) {
  free(ledger->turns);
  memset(ledger, 0, sizeof *ledger);
}

/* --- drawing ----------------------------------------------------------------------- */

static double share(size_t tokens, size_t capacity) {
  return capacity ? 100.0 * (double)tokens / (double)capacity : 0;
}

/* How the columns a line has beside its numbers are shared between bar and excerpt. The
 * terminal's last column stays empty: some go to the next line from there. */
static void share_columns(size_t columns, size_t *bar, size_t *excerpt) {
  size_t room = columns > FIXED_COLUMNS + 1 ? columns - FIXED_COLUMNS - 1 : 0;
  *bar = room / 2 < BAR_COLUMNS ? room / 2 : BAR_COLUMNS;
  *excerpt = room > *bar + 2 ? room - *bar - 2 : 0;
  if (*excerpt >= LEAST_EXCERPT) return;
  *excerpt = 0;
  *bar = room < BAR_COLUMNS ? room : BAR_COLUMNS;
}

static void print_line(const char *name, size_t tokens, size_t largest, size_t capacity,
                       const gust_message *message, size_t columns) {
  char bar[BAR_COLUMNS + 1];
  size_t width, excerpt;
  share_columns(columns, &width, &excerpt);
  /* Anything there is shows, be it as one mark. */
  size_t filled = largest ? tokens * width / largest : 0;
  if (filled == 0 && tokens > 0) filled = 1;
  if (filled > width) filled = width;
  memset(bar, '#', filled);
  memset(bar + filled, ' ', width - filled);
  bar[width] = 0;
  printf("  %-9s %7zu %5.1f%%  %s", name, tokens, share(tokens, capacity), bar);
  if (excerpt) {
    fputs("  ", stdout);
    screen_text_excerpt(stdout, message->content, message->bytes, excerpt);
  }
  putchar('\n');
}

void chat_ledger_print(const chat_ledger *ledger, const chat_state *chat, size_t columns) {
  const chat_messages *messages = &chat->messages;
  size_t capacity = gust_context_capacity(chat->context), largest = ledger->system;
  size_t window = gust_model_get_info(chat->model)->sliding_window;
  for (size_t i = 0; i < ledger->count; i++)
    if (ledger->turns[i] > largest) largest = ledger->turns[i];
  bool narrow = columns < NARROW_COLUMNS;
  printf("context: %zu positions%s%s\n", capacity, narrow ? ", " : ", keys and values ",
         chat->kv_name);
  if (chat_messages_first(messages))
    print_line("system", ledger->system, largest, capacity, &messages->items[0], columns);
  size_t after = ledger->total - ledger->system; /* tokens from this turn on */
  for (size_t i = 0; i < ledger->count; i++) {
    char name[32];
    after -= ledger->turns[i];
    /* No token to come sees it directly. */
    bool beyond = window && after + 1 >= window;
    snprintf(name, sizeof name, "turn %zu%s", i + 1, beyond ? "*" : "");
    print_line(name, ledger->turns[i], largest, capacity,
               &messages->items[chat_messages_turn(messages, i)], columns);
  }
  size_t used = ledger->total < capacity ? ledger->total : capacity, free = capacity - used;
  size_t reserve = chat_overflow_reserve(chat);
  printf("  %-9s %7zu %5.1f%%\n", "total", ledger->total, share(ledger->total, capacity));
  printf("  %-9s %7zu %5.1f%%  %s%zu%s\n", "free", free, share(free, capacity),
         narrow ? "(" : "of which ", reserve < free ? reserve : free,
         narrow ? " kept)" : " are kept for an answer");
  if (!window) return;
  char words[128];
  snprintf(words, sizeof words, "a token sees the %zu before it directly%s", window - 1,
           ledger->total > window ? "; turns with a * lie beyond that" : "");
  fputs("  ", stdout);
  command_print_words(words, 2, 2, (int)columns);
}

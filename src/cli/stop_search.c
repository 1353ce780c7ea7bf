/* One Knuth-Morris-Pratt automaton per text (SIAM J. Comput. 6, 1977): no byte
 * is looked at twice, and the state is the number of bytes to hold back. */
#include "stop_search.h"

#include <stdlib.h>
#include <string.h>

typedef struct stop_text {
  const char *text;
  size_t bytes;
  size_t matched; /* bytes of `text` that what was seen ends with */
  size_t *border; /* [i]: longest proper prefix of the first i + 1 bytes they also end with */
} stop_text;

struct stop_search {
  size_t count;
  stop_text *texts;
};

/* The state after byte c. */
static size_t advance(const stop_text *stop, size_t matched, char c) {
  while (matched > 0 && (matched == stop->bytes || stop->text[matched] != c))
    matched = stop->border[matched - 1];
  return matched + (stop->text[matched] == c);
}

static bool prepare(stop_text *stop, const char *text) {
  stop->text = text;
  stop->bytes = strlen(text);
  stop->border = calloc(stop->bytes, sizeof *stop->border);
  if (!stop->border) return false;
  for (size_t i = 1; i < stop->bytes; i++)
    stop->border[i] = advance(stop, stop->border[i - 1], text[i]);
  return true;
}

gust_status stop_search_create(stop_search **out, const char *const *texts, size_t count,
                               gust_error *err) {
  stop_search *search = calloc(1, sizeof *search);
  *out = NULL;
  if (search) search->texts = calloc(count ? count : 1, sizeof *search->texts);
  bool good = search && search->texts;
  while (good && search->count < count) {
    good = prepare(&search->texts[search->count], texts[search->count]);
    search->count++;
  }
  if (!good) {
    stop_search_destroy(search);
    return command_error(err, GUST_E_MEMORY, "no memory for the texts to stop at");
  }
  *out = search;
  return GUST_OK;
}

void stop_search_destroy(stop_search *search) {
  if (!search) return;
  for (size_t i = 0; i < search->count; i++) free(search->texts[i].border);
  free(search->texts);
  free(search);
}

size_t stop_search_feed(stop_search *search, const char *text, size_t bytes, size_t *taken) {
  size_t found = 0;
  for (*taken = 0; *taken < bytes && !found;) {
    char c = text[(*taken)++];
    for (size_t i = 0; i < search->count; i++) {
      stop_text *stop = &search->texts[i];
      stop->matched = advance(stop, stop->matched, c);
      if (stop->matched == stop->bytes && stop->bytes > found) found = stop->bytes;
    }
  }
  return found;
}

size_t stop_search_pending(const stop_search *search) {
  size_t pending = 0;
  for (size_t i = 0; i < search->count; i++)
    if (search->texts[i].matched > pending) pending = search->texts[i].matched;
  return pending;
}

/* Finds texts at which an answer is to end, in text that comes piece by piece.
 * How it is cut into pieces makes no difference: the text that is complete first
 * counts, and of those that end at the same byte the longest. */
#ifndef GUST_CLI_STOP_SEARCH_H
#define GUST_CLI_STOP_SEARCH_H

#include "command.h"

typedef struct stop_search stop_search;

/* Searches for `count` texts, none of them empty, which must live as long. */
gust_status stop_search_create(stop_search **search, const char *const *texts, size_t count,
                               gust_error *err);
void stop_search_destroy(stop_search *search);

/* Looks at the next bytes. Returns 0, or the length of the text that was found;
 * then *taken of the bytes were looked at, of which it is the end. */
size_t stop_search_feed(stop_search *search, const char *text, size_t bytes, size_t *taken);

/* So many bytes at the end of what was looked at may begin a text searched for. */
size_t stop_search_pending(const stop_search *search);

#endif

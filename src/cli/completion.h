/* What may stand where the cursor is: filled by whoever knows the language of
 * the line, used by the line editor. */
#ifndef GUST_CLI_COMPLETION_H
#define GUST_CLI_COMPLETION_H

#include <stdbool.h>
#include <stddef.h>

/* Zero-filled: empty. */
typedef struct completion_list {
  char **offers; /* NUL-terminated, ascending, each once after completion_sort */
  size_t count, capacity;
  size_t begin; /* of the word in the line that each offer replaces */
} completion_list;

/* No more offers than this are kept; more help nobody. */
#define COMPLETION_MOST 4096u

/* Called when the user asks. The line is `bytes` long and NUL-terminated, the
 * cursor a byte offset in it; sets list->begin (0 at first, at most the cursor)
 * and adds offers, each in place of the bytes from there up to the cursor. One
 * that is the only one is inserted as it is, so a space after a finished word
 * or a '/' after a folder belongs to it. */
typedef void completion_fn(void *user, const char *line, size_t bytes, size_t cursor,
                           completion_list *list);

/* Copies `text` into the list. Without memory, or when the list is full, the
 * offer is left out. */
void completion_offer(completion_list *list, const char *text);

void completion_sort(completion_list *list);

/* Bytes that all offers begin with, cut before a broken UTF-8 character; 0 for
 * an empty list. */
size_t completion_common(const completion_list *list);

void completion_clear(completion_list *list);

#endif

/* The lines entered before, oldest first, and the file they are kept in.
 *
 * The file holds one entry per line, with a backslash before what would not
 * stand on one: "\\n", "\\r", "\\\\", "\\0". It is shared: every entry is appended
 * under a lock, and the file is rewritten beside and renamed, under the same
 * lock, once it holds twice what is kept. It is for its owner alone (0600). */
#ifndef GUST_CLI_HISTORY_H
#define GUST_CLI_HISTORY_H

#include "command.h"

#define HISTORY_MOST_ENTRIES 1000u
#define HISTORY_MOST_BYTES (1u << 20)  /* of all entries together */
#define HISTORY_ENTRY_BYTES (1u << 16) /* longer ones are not kept */

typedef struct history_entry {
  char *text; /* NUL-terminated beyond its bytes */
  size_t bytes;
} history_entry;

/* Zero-filled: empty and without file. */
typedef struct history {
  history_entry *entries;
  size_t count, capacity, bytes;
  char *path;    /* NULL: in memory alone */
  bool was_said; /* trouble with the file was reported once */
} history;

/* Takes over what the file at `path` holds, of which what is too much is left
 * out; no file is an empty one. With a failure the history is empty and the
 * path kept all the same, so that it is tried again. */
gust_status history_open(history *list, const char *path, gust_error *err);

/* Adds an entry, unless it repeats the last one, is blank or too long, and
 * appends it to the file. A failure is of the file: the entry is in memory. */
gust_status history_add(history *list, const char *text, size_t bytes, gust_error *err);

/* The youngest entry before index `from` that holds `part`; list->count when
 * there is none. */
size_t history_find(const history *list, size_t from, const char *part, size_t bytes);

void history_clear(history *list);

#endif

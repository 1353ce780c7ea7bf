/* Where sessions that have a bare name lie: $XDG_STATE_HOME/gust/sessions, or
 * below what else state_folder.h says. */
#ifndef GUST_CLI_SESSION_LIST_H
#define GUST_CLI_SESSION_LIST_H

#include "session_journal.h"

/* The file a session's NAME stands for: with a slash the path itself, else
 * NAME.session in the folder of sessions, which is made when it is missing. *path is
 * freed with free. Refuses names that are empty, begin with '.', or hold control
 * characters. */
gust_status session_path(char **path, const char *name, gust_error *err);

typedef struct session_entry {
  const char *name; /* as session_path takes it */
  const char *path;
  uint64_t changed; /* seconds since 1970 */
  /* NULL when the file cannot be read as a session; `problem` says why. */
  const session_summary *summary;
  const char *problem;
} session_entry;

/* Returning true stops. */
typedef bool session_entry_fn(void *user, const session_entry *entry);

/* Hands out every session of the folder, the one changed last first. No folder means no
 * sessions. *folder, which may be NULL, is set to its path, freed with free. */
gust_status session_list(session_entry_fn *fn, void *user, char **folder, gust_error *err);

#endif

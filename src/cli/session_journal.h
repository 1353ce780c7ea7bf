/* A conversation kept in a file: messages, settings and the key-value cache.
 *
 * The file is a journal: it grows by one record of events (messages, truncations,
 * settings) and records of the cache after every turn, handed to the disk before the
 * turn counts as saved. Every record carries checksums and is chained to the one
 * before it. When most of the file is what later turns replaced, it is written anew
 * beside its place and renamed. docs/SESSIONS.md describes the bytes.
 *
 * What is found when a session is opened:
 *   - a record that was not written to its end (a crash, a full disk) is dropped
 *     with a notice that names its bytes: the session goes on at the turn before;
 *   - a record damaged later ends what can be read: that and what follows it is
 *     moved to FILE.damaged with a notice;
 *   - a damaged, missing or foreign part of the cache (another --kv, an earlier
 *     gust) only costs time: the messages are read again, with a notice;
 *   - a session of another model is refused unless the caller allows it or it has no
 *     messages;
 *   - a file that is no session is refused and left alone.
 * The cache is nothing but saved time: by the numerics contract reading the
 * messages again gives the same bits. */
#ifndef GUST_CLI_SESSION_JOURNAL_H
#define GUST_CLI_SESSION_JOURNAL_H

#include "command.h"

typedef struct session_journal session_journal;

/* One line, without newline, for the user: something was lost or will take time. */
typedef void session_notice_fn(void *user, const char *line);

typedef struct session_options {
  const char *model_name;    /* kept for people to read: the model's file name */
  bool other_model;          /* go on with another model than the session's */
  session_notice_fn *notice; /* may be NULL */
  void *user;
} session_options;

/* Opens the session in `path`, or begins one where there is no file or an empty
 * one, and locks it: a second chat on it is refused. `model` must outlive it. */
gust_status session_journal_open(session_journal **journal, const char *path,
                                 const gust_model *model, const session_options *options,
                                 gust_error *err);

/* Unlocks and frees; events never committed are lost. Accepts NULL. */
void session_journal_close(session_journal *journal);

/* --- what is in it: as restored, and as events are added ------------------------ */

/* True when there was no such session before. */
bool session_journal_is_new(const session_journal *journal);
const char *session_journal_path(const session_journal *journal);

/* The content is owned by the journal and valid until the next event; the role is a string
 * literal, one of "system", "user", "assistant". A conversation that ends with a
 * user's message was interrupted before its answer was saved. */
size_t session_journal_message_count(const session_journal *journal);
const gust_message *session_journal_messages(const session_journal *journal);

/* The value last set, NUL-terminated, valid until the next event; NULL: none. */
const char *session_journal_setting(const session_journal *journal, const char *name);

/* Fills an empty context with what the journal holds of the cache; *positions, which
 * may be NULL, says how many it is (0: nothing was usable; a notice said so if
 * something was lost). Only damaged parts are passed over; it fails when memory or
 * the disk does. */
gust_status session_journal_restore(session_journal *journal, gust_context *context,
                                    size_t *positions, gust_error *err);

/* --- adding to it ------------------------------------------------------------------ */

/* Events take effect in memory at once and in the file, all or none of them, at the
 * next commit. */
gust_status session_journal_add_message(session_journal *journal, const char *role,
                                        const char *text, size_t bytes, gust_error *err);
/* Keeps the first `messages` (for /undo, /edit, /retry, /clear, /system). */
gust_status session_journal_add_truncate(session_journal *journal, size_t messages,
                                         gust_error *err);
/* Any small text under a name of at most 64 bytes, the last one counts: the seed, the
 * sampler's state after the turn, what was dropped from the context ... Truncations
 * do not touch it. Setting what is set already adds nothing. */
gust_status session_journal_add_setting(session_journal *journal, const char *name,
                                        const char *value, gust_error *err);

/* Writes the events added since the last commit and then, when `context` is not NULL,
 * the part of its cache that the journal has not got yet; returns when both are on the
 * disk. When the events cannot be written (a full disk) it fails, the file is put back
 * to where it was, and the events wait for the next commit: the chat can go on. When
 * only the cache cannot, or the file should be written anew and cannot, that is a
 * notice. */
gust_status session_journal_commit(session_journal *journal, const gust_context *context,
                                   gust_error *err);

/* Events wait for a commit. */
bool session_journal_is_pending(const session_journal *journal);

/* --- without a model ------------------------------------------------------------------ */

typedef struct session_summary {
  char *model_name;
  char *first_line; /* of the first message of the user, control characters replaced, at
                       most 120 bytes cut at a character; "" without one */
  uint64_t created; /* seconds since 1970 */
  size_t messages;
  bool damaged; /* some of it will be dropped when it is opened */
  bool spoiled; /* part of its cache is damaged, and will be passed over */
} session_summary;

/* Reads a session without changing it, and without reading its cache; what a chat is just
 * about to write does not count. */
gust_status session_summary_read(session_summary *summary, const char *path, gust_error *err);
void session_summary_clear(session_summary *summary);

#endif

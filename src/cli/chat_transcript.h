/* Conversations as files to read and to write: /save, /load and /read.
 *
 * As text a conversation is its messages, each a line "--- ROLE" (system, user or
 * assistant) and then the lines of its content. A line of content that begins with
 * "---" or a backslash has a backslash before it. Anything before the first such line
 * is not part of the conversation.
 *
 * As JSON lines (a name that ends in .jsonl) each message is one object with the
 * strings "role" and "content". */
#ifndef GUST_CLI_CHAT_TRANSCRIPT_H
#define GUST_CLI_CHAT_TRANSCRIPT_H

#include "chat_messages.h"

/* Larger files are no conversation that anyone had. */
#define CHAT_TRANSCRIPT_BYTES ((size_t)16 << 20)

/* The file a user means: "~/" is the home folder. To be freed; NULL without memory. */
char *chat_transcript_path(const char *name);

/* Reads a regular file of at most `most` bytes that holds UTF-8 text; *text is
 * NUL-terminated and to be freed. */
gust_status chat_transcript_read(const char *path, size_t most, char **text, size_t *bytes,
                                 gust_error *err);

/* Writes the file as a whole or not at all. */
gust_status chat_transcript_save(const chat_messages *messages, const char *path, gust_error *err);

/* Fills the empty list. A conversation that is not made of an optional system message
 * and answered turns is refused with the line. */
gust_status chat_transcript_load(chat_messages *messages, const char *path, gust_error *err);

#endif

/* Marks that a chat template sets around messages in ordinary text, such as
 * Zephyr's "<|system|>" or Llama 2's "[INST]". Nothing but their place tells the
 * model that they were not typed, so a message that holds one at the start of a
 * line may be taken for another one. Special tokens are no such marks: spelled
 * in a message they are text (gust_chat_tokenize). */
#ifndef GUST_CLI_CHAT_MARKS_H
#define GUST_CLI_CHAT_MARKS_H

#include "command.h"

#define CHAT_MARKS_MOST 16
#define CHAT_MARK_BYTES 64

typedef struct chat_marks {
  char text[CHAT_MARKS_MOST][CHAT_MARK_BYTES]; /* NUL-terminated, no white space around */
  size_t count;
} chat_marks;

/* Finds the marks by rendering the template (NULL: the model's own) around messages
 * whose text occurs nowhere else. A template that refuses them has no marks found, which is
 * no failure. */
gust_status chat_marks_find(chat_marks *marks, const gust_model *model, const char *chat_template,
                            gust_error *err);

/* The first mark that begins a line of the text, or NULL. */
const char *chat_marks_in(const chat_marks *marks, const char *text, size_t bytes);

#endif

/* Lines from whoever talks to the program: with editing, history and completion
 * at a terminal, as they come (line_input.h) from anything else and where
 * TERM=dumb. When editing, the terminal is in raw mode while line_editor_read waits;
 * from then until line_editor_destroy it shows no keys (raw_terminal_hush), and what is
 * typed meanwhile is there when the next line is read. */
#ifndef GUST_CLI_LINE_EDITOR_H
#define GUST_CLI_LINE_EDITOR_H

#include "command.h"
#include "completion.h"
#include "line_input.h"

typedef struct line_editor line_editor;

typedef struct line_editor_options {
  const cli_command *command; /* in whose name trouble with the history is said, once */
  const char *prompt;         /* one line of text, such as "> " */
  const char *history;        /* path of the file (state_folder_path("history")), or NULL:
                                 kept in memory alone */
  completion_fn *complete;    /* may be NULL */
  void *user;                 /* for complete */
  bool colour;                /* the prompt may be coloured (terminal_has_colour) */
} line_editor_options;

/* NULL, with err, when there is no memory. The options are copied, command and
 * user must outlive the editor. interrupt_install comes first. A history that
 * cannot be read is said in one line, and is no error. */
line_editor *line_editor_create(const line_editor_options *options, gust_error *err);

/* Whether there is editing (and so someone who types), or lines as they come.
 * The prompt is shown in both cases if standard input is a terminal. */
bool line_editor_is_editing(const line_editor *editor);

/* The next line; NUL-terminated only when editing, valid until the next call.
 * It may hold newlines and whatever was pasted; an edited one that is not blank
 * goes into the history. On LINE_INTERRUPT what was typed is gone and
 * interrupt_signal() says why. When editing, the screen's cursor is at the start
 * of a fresh line after any result. */
line_result line_editor_read(line_editor *editor, const char **line, size_t *bytes,
                             gust_error *err);

/* The same with another prompt, no completion and no history: a question. */
line_result line_editor_ask(line_editor *editor, const char *prompt, const char **line,
                            size_t *bytes, gust_error *err);

/* The next line_editor_read begins with this text, ready to be edited, cursor
 * at its end; false when it is too long, there is no memory or no editing. */
bool line_editor_prefill(line_editor *editor, const char *text, size_t bytes);

/* Accepts NULL. */
void line_editor_destroy(line_editor *editor);

#endif

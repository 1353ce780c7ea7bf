/* The line editor without the terminal: keys go in, the text, its cursor, the
 * history and the offers to complete come out. */
#ifndef GUST_CLI_EDIT_CORE_H
#define GUST_CLI_EDIT_CORE_H

#include "completion.h"
#include "edit_buffer.h"
#include "history.h"
#include "key_reader.h"

/* The search's pattern is no longer. */
#define EDIT_PATTERN_BYTES 128u

/* What the last key was, where that matters to the next one. */
typedef struct edit_last {
  bool moved_line; /* up or down inside the text */
  bool cut;
  bool completed; /* with several offers left */
} edit_last;

typedef struct edit_core {
  edit_buffer buffer;
  const history *past;     /* may be NULL */
  completion_fn *complete; /* may be NULL */
  void *user;
  /* The rest is the core's own. */
  size_t place; /* in the history; its count: the line being written */
  char *draft;  /* that line, while another one is looked at */
  size_t draft_bytes;
  size_t goal; /* cell that moves up and down aim at */
  edit_last last;
  completion_list offers; /* of the last EDIT_LIST */
  bool searching, unfound;
  char pattern[EDIT_PATTERN_BYTES + 1]; /* NUL-terminated */
  size_t pattern_bytes;
} edit_core;

typedef enum edit_action {
  EDIT_GO_ON,
  EDIT_ACCEPT,    /* the line is complete */
  EDIT_END,       /* Ctrl-D on an empty line */
  EDIT_INTERRUPT, /* Ctrl-C */
  EDIT_SUSPEND,   /* Ctrl-Z */
  EDIT_REDRAW,    /* Ctrl-L */
  EDIT_LIST,      /* show the offers */
  EDIT_OVERFLOW,  /* this key's text was not inserted: the line would be too long */
  EDIT_EXHAUSTED  /* a key had no effect for want of memory */
} edit_action;

/* Begins a line: empties the buffer, goes to the end of the history. */
void edit_core_begin(edit_core *core);

edit_action edit_core_key(edit_core *core, const key_event *key);

/* Instead of the prompt while searching; `text` has the given size (at least
 * 256). False when not searching. */
bool edit_core_prompt(const edit_core *core, char *text, size_t size);

/* Frees everything but what past, complete and user point to. */
void edit_core_clear(edit_core *core);

#endif

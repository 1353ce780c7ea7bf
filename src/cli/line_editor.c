#define _POSIX_C_SOURCE 200809L /* strdup */

#include "line_editor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "edit_core.h"
#include "edit_view.h"
#include "history.h"
#include "interrupt.h"
#include "raw_terminal.h"
#include "standard_input.h"
#include "terminal.h"
#include "text_width.h"

#define READ_BYTES 4096u
/* The rest of a key's escape sequence comes at once, or it is the key Escape;
 * a paste's end mark may take longer. */
#define KEY_MILLISECONDS 60
#define PASTE_MILLISECONDS 1000
#define LISTED_OFFERS 200u

#define PASTE_MARKS_ON "\033[?2004h"
#define PASTE_MARKS_OFF "\033[?2004l"

struct line_editor {
  line_editor_options options;
  char *prompt;
  line_input input; /* when not editing */
  bool edits;
  history past;
  edit_core core;
  key_reader keys;
  edit_frame shown, fresh; /* what is on the screen; what is to be */
  edit_frame out;          /* bytes on their way there */
  char *prefill;
  size_t prefill_bytes;
  bool overflowed; /* and said so, for this line */
};

static bool can_edit(void) {
  return terminal_is(stdin) && terminal_takes_escapes(stderr);
}

/* Trouble with the history is said once. */
static void say_trouble(line_editor *editor, const gust_error *err) {
  if (!editor->past.was_said) command_note(editor->options.command, "%s", err->text);
  editor->past.was_said = true;
}

line_editor *line_editor_create(const line_editor_options *options, gust_error *err) {
  line_editor *editor = calloc(1, sizeof *editor);
  if (editor) editor->prompt = strdup(options->prompt);
  if (!editor || !editor->prompt) {
    free(editor);
    command_error(err, GUST_E_MEMORY, "no memory for the line editor");
    return NULL;
  }
  editor->options = *options;
  editor->edits = can_edit();
  if (editor->edits && options->history) {
    gust_error trouble;
    if (history_open(&editor->past, options->history, &trouble) != GUST_OK)
      say_trouble(editor, &trouble);
  }
  return editor;
}

bool line_editor_is_editing(const line_editor *editor) {
  return editor->edits;
}

bool line_editor_prefill(line_editor *editor, const char *text, size_t bytes) {
  if (!editor->edits || bytes > EDIT_MOST_BYTES) return false;
  char *copy = malloc(bytes + 1);
  if (!copy) return false;
  if (bytes) memcpy(copy, text, bytes);
  free(editor->prefill);
  editor->prefill = copy;
  editor->prefill_bytes = bytes;
  return true;
}

void line_editor_destroy(line_editor *editor) {
  if (!editor) return;
  raw_terminal_leave();
  edit_frame_clear(&editor->shown);
  edit_frame_clear(&editor->fresh);
  edit_frame_clear(&editor->out);
  key_reader_clear(&editor->keys);
  edit_core_clear(&editor->core);
  history_clear(&editor->past);
  line_input_clear(&editor->input);
  free(editor->prefill);
  free(editor->prompt);
  free(editor);
}

/* --- the screen -------------------------------------------------------------------------- */

static void add(line_editor *editor, const char *text) {
  edit_frame_add(&editor->out, text, strlen(text));
}

static void send_out(line_editor *editor) {
  terminal_write(editor->out.data, editor->out.bytes);
  editor->out.bytes = 0;
}

/* Brings the screen up to date; with `whole` all of the text, else as many rows
 * as the terminal has. */
static void draw(line_editor *editor, bool whole) {
  unsigned columns = 80, rows = 24;
  terminal_size(stderr, &columns, &rows);
  const edit_buffer *buffer = &editor->core.buffer;
  char search[512];
  edit_scene scene = {.prompt = editor->prompt,
                      .text = buffer->text,
                      .bytes = buffer->bytes,
                      .cursor = whole ? buffer->bytes : buffer->cursor,
                      .columns = columns,
                      .most_rows = whole ? SIZE_MAX : rows,
                      .colour = editor->options.colour};
  if (edit_core_prompt(&editor->core, search, sizeof search)) scene.prompt = search;
  edit_frame_make(&editor->fresh, &scene);
  edit_frame_change(&editor->out, &editor->shown, &editor->fresh);
  edit_frame old = editor->shown;
  editor->shown = editor->fresh;
  editor->fresh = old;
  send_out(editor);
}

/* Leaves what is shown where it is; what comes next stands on a fresh line. */
static void move_below(line_editor *editor) {
  const edit_frame *shown = &editor->shown;
  if (shown->rows > 0) {
    if (shown->cursor_row + 1 < shown->rows)
      edit_frame_move(&editor->out, shown->cursor_row, shown->rows - 1, 0);
    add(editor, "\r\n");
  }
  editor->shown.rows = 0;
}

static void add_safely(line_editor *editor, const char *text, size_t bytes) {
  for (size_t at = 0; at < bytes;) {
    text_glyph glyph = text_glyph_at(text, bytes, at);
    if (glyph.spelled)
      edit_frame_add(&editor->out, glyph.spelling, glyph.spelled);
    else
      edit_frame_add(&editor->out, text + at, glyph.bytes);
    at += glyph.bytes;
  }
}

static void list_offers(line_editor *editor) {
  const completion_list *offers = &editor->core.offers;
  size_t columns = terminal_columns(stderr), widest = 0, place = 0;
  size_t count = offers->count < LISTED_OFFERS ? offers->count : LISTED_OFFERS;
  for (size_t i = 0; i < count; i++) {
    size_t width = text_width(offers->offers[i], strlen(offers->offers[i]));
    if (width > widest) widest = width;
  }
  widest += 2; /* between two of them */
  move_below(editor);
  for (size_t i = 0; i < count; i++) {
    size_t bytes = strlen(offers->offers[i]);
    add_safely(editor, offers->offers[i], bytes);
    place++;
    if (i + 1 == count || (place + 1) * widest > columns) {
      add(editor, "\r\n");
      place = 0;
    } else {
      for (size_t c = text_width(offers->offers[i], bytes); c < widest; c++) add(editor, " ");
    }
  }
  if (count < offers->count) add(editor, "...\r\n");
}

static void say(line_editor *editor, const char *text) {
  move_below(editor);
  add(editor, text);
  add(editor, "\r\n");
}

/* --- keys ---------------------------------------------------------------------------------- */

static void suspend(line_editor *editor) {
  move_below(editor);
  add(editor, PASTE_MARKS_OFF);
  send_out(editor);
  raw_terminal_suspend();
  add(editor, PASTE_MARKS_ON);
}

/* Does what the core cannot. True when the line has ended, with *result. */
static bool act(line_editor *editor, edit_action action, line_result *result) {
  switch (action) {
    case EDIT_GO_ON: return false;
    case EDIT_ACCEPT: *result = LINE_TEXT; return true;
    case EDIT_END: *result = LINE_END; return true;
    case EDIT_INTERRUPT:
      interrupt_raise_key(); /* unless that is ignored, interrupt.h has it now */
      *result = LINE_INTERRUPT;
      if (interrupt_signal()) return true;
      move_below(editor);
      edit_core_begin(&editor->core);
      return false;
    case EDIT_SUSPEND: suspend(editor); return false;
    case EDIT_REDRAW:
      add(editor, "\033[H\033[2J");
      editor->shown.rows = 0;
      return false;
    case EDIT_LIST: list_offers(editor); return false;
    case EDIT_OVERFLOW:
      if (!editor->overflowed)
        say(editor, "(a line holds at most 1 MiB; what does not fit is not added)");
      editor->overflowed = true;
      return false;
    case EDIT_EXHAUSTED: say(editor, "(no memory for that)"); return false;
  }
  return false;
}

/* Hands the keys that are complete to the core; true when the line has ended. */
static bool take_keys(line_editor *editor, bool waited, line_result *result) {
  key_event key;
  while (key_reader_next(&editor->keys, waited, &key))
    if (act(editor, edit_core_key(&editor->core, &key), result)) return true;
  return false;
}

static void heed(line_editor *editor, raw_events events) {
  if (events.stopping) suspend(editor);
  if (events.resized && editor->shown.rows > 0) {
    size_t columns = terminal_columns(stderr);
    edit_frame_move(&editor->out, edit_frame_cursor_row(&editor->shown, columns), 0, 0);
    add(editor, "\033[J");
    editor->shown.rows = 0;
  }
  if (events.continued) {
    add(editor, "\r" PASTE_MARKS_ON);
    editor->shown.rows = 0;
  }
}

/* Reads what there is; LINE_TEXT to go on. A read of nothing is the end. */
static line_result fill(line_editor *editor, gust_error *err) {
  char data[READ_BYTES];
  ptrdiff_t got = standard_input_read(data, sizeof data);
  if (got > 0 && key_reader_put(&editor->keys, data, (size_t)got)) return LINE_TEXT;
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return LINE_TEXT;
  if (got == 0 || (got < 0 && errno == EIO)) return LINE_END; /* EIO: the terminal is gone */
  if (got > 0)
    command_error(err, GUST_E_MEMORY, "no memory for what is typed");
  else
    command_error(err, GUST_E_IO, "standard input: cannot read: %s", strerror(errno));
  return LINE_ERROR;
}

/* Waits for keys and signals until the line has ended. */
static line_result edit(line_editor *editor, gust_error *err) {
  line_result result = LINE_TEXT;
  if (take_keys(editor, false, &result)) return result;
  for (;;) {
    draw(editor, false);
    if (interrupt_signal()) return LINE_INTERRUPT;
    int patience = !key_reader_is_amid(&editor->keys) ? -1
                   : editor->keys.pasting             ? PASTE_MILLISECONDS
                                                      : KEY_MILLISECONDS;
    input_news news = standard_input_wait(patience);
    if (news == INPUT_TROUBLE) {
      command_error(err, GUST_E_IO, "standard input: cannot wait: %s", strerror(errno));
      return LINE_ERROR;
    }
    heed(editor, raw_terminal_events());
    if (news == INPUT_READY) {
      result = fill(editor, err);
      if (result != LINE_TEXT) return result;
    }
    if (take_keys(editor, news == INPUT_QUIET, &result)) return result;
  }
}

/* --- lines --------------------------------------------------------------------------------- */

/* Starts with an empty line, or with what was handed over for it. */
static void begin_line(line_editor *editor, bool question) {
  editor->core.past = question ? NULL : &editor->past;
  editor->core.complete = question ? NULL : editor->options.complete;
  editor->core.user = editor->options.user;
  edit_core_begin(&editor->core);
  editor->shown.rows = 0;
  editor->overflowed = false;
  if (!question && editor->prefill) {
    edit_replace(&editor->core.buffer, editor->prefill, editor->prefill_bytes);
    free(editor->prefill);
    editor->prefill = NULL;
  }
}

/* "^C" behind what is given up, as the terminal itself would show it. */
static void mark_interrupt(line_editor *editor) {
  edit_frame *shown = &editor->shown;
  bool at_end = shown->cursor_row == shown->end_row && shown->cursor_column == shown->end_column;
  size_t column = shown->end_column == SIZE_MAX ? 0 : shown->end_column;
  if (!at_end) edit_frame_move(&editor->out, shown->cursor_row, shown->end_row, column);
  shown->cursor_row = shown->end_row;
  add(editor, "^C");
}

static line_result read_edited(line_editor *editor, bool question, const char **line, size_t *bytes,
                               gust_error *err) {
  fflush(stdout); /* what was printed before stands above */
  if (!raw_terminal_enter()) {
    command_error(err, GUST_E_IO, "the terminal cannot be set: %s", strerror(errno));
    return LINE_ERROR;
  }
  begin_line(editor, question);
  draw(editor, false);
  add(editor, PASTE_MARKS_ON);
  send_out(editor);
  line_result result = edit(editor, err);
  editor->core.searching = false;
  draw(editor, result == LINE_TEXT);
  if (result == LINE_INTERRUPT && interrupt_is_key()) mark_interrupt(editor);
  move_below(editor);
  add(editor, PASTE_MARKS_OFF);
  send_out(editor);
  raw_terminal_hush();
  if (result != LINE_TEXT) return result;
  const edit_buffer *buffer = &editor->core.buffer;
  *line = buffer->text ? buffer->text : "";
  *bytes = buffer->bytes;
  gust_error trouble;
  if (!question && history_add(&editor->past, *line, *bytes, &trouble) != GUST_OK)
    say_trouble(editor, &trouble);
  return result;
}

static line_result read_plain(line_editor *editor, const char **line, size_t *bytes,
                              gust_error *err) {
  if (terminal_is(stdin)) terminal_say(editor->prompt);
  return line_input_read(&editor->input, line, bytes, err);
}

line_result line_editor_read(line_editor *editor, const char **line, size_t *bytes,
                             gust_error *err) {
  return editor->edits ? read_edited(editor, false, line, bytes, err)
                       : read_plain(editor, line, bytes, err);
}

line_result line_editor_ask(line_editor *editor, const char *prompt, const char **line,
                            size_t *bytes, gust_error *err) {
  char *asked = strdup(prompt), *usual = editor->prompt;
  if (!asked) {
    command_error(err, GUST_E_MEMORY, "no memory for a question");
    return LINE_ERROR;
  }
  editor->prompt = asked;
  line_result result = editor->edits ? read_edited(editor, true, line, bytes, err)
                                     : read_plain(editor, line, bytes, err);
  editor->prompt = usual;
  free(asked);
  return result;
}

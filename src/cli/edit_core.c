#include "edit_core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text_width.h"

static edit_action outcome(edit_result result) {
  return result == EDIT_DONE       ? EDIT_GO_ON
         : result == EDIT_TOO_LONG ? EDIT_OVERFLOW
                                   : EDIT_EXHAUSTED;
}

static size_t past_count(const edit_core *core) {
  return core->past ? core->past->count : 0;
}

void edit_core_begin(edit_core *core) {
  edit_erase(&core->buffer, 0, core->buffer.bytes);
  core->buffer.cursor = 0;
  free(core->draft);
  core->draft = NULL;
  core->draft_bytes = 0;
  core->place = past_count(core);
  core->last = (edit_last){0};
  core->searching = false;
}

void edit_core_clear(edit_core *core) {
  edit_clear(&core->buffer);
  completion_clear(&core->offers);
  free(core->draft);
  core->draft = NULL;
}

/* --- history --------------------------------------------------------------------------- */

/* Shows entry `place`, or the draft at the history's end. */
static edit_action go_to(edit_core *core, size_t place) {
  size_t count = past_count(core);
  if (core->place > count) core->place = count;
  if (place > count || place == core->place) return EDIT_GO_ON;
  if (core->place == count) {
    char *draft = malloc(core->buffer.bytes + 1);
    if (!draft) return EDIT_EXHAUSTED;
    if (core->buffer.bytes) memcpy(draft, core->buffer.text, core->buffer.bytes);
    free(core->draft);
    core->draft = draft;
    core->draft_bytes = core->buffer.bytes;
  }
  const history_entry *entry = place < count ? &core->past->entries[place] : NULL;
  edit_result result = edit_replace(&core->buffer, entry ? entry->text : core->draft,
                                    entry ? entry->bytes : core->draft_bytes);
  if (result == EDIT_DONE) core->place = place;
  return outcome(result);
}

static edit_action go_back(edit_core *core) {
  return core->place > 0 ? go_to(core, core->place - 1) : EDIT_GO_ON;
}

/* Up and down stay inside a text of several lines as long as they can. */
static edit_action move_line(edit_core *core, bool up, bool kept_goal) {
  edit_buffer *buffer = &core->buffer;
  size_t to;
  if (!kept_goal) core->goal = edit_cell(buffer);
  bool moved =
      up ? edit_line_above(buffer, core->goal, &to) : edit_line_below(buffer, core->goal, &to);
  if (!moved) return up ? go_back(core) : go_to(core, core->place + 1);
  buffer->cursor = to;
  core->last.moved_line = true;
  return EDIT_GO_ON;
}

/* --- search ---------------------------------------------------------------------------- */

bool edit_core_prompt(const edit_core *core, char *text, size_t size) {
  if (core->searching)
    snprintf(text, size, "(%ssearch: %s) ", core->unfound ? "not found, " : "", core->pattern);
  return core->searching;
}

/* Shows the youngest entry older than `from` with the pattern. */
static edit_action search_before(edit_core *core, size_t from) {
  size_t found = history_find(core->past, from, core->pattern, core->pattern_bytes);
  core->unfound = found == past_count(core);
  return core->unfound ? EDIT_GO_ON : go_to(core, found);
}

static void begin_search(edit_core *core) {
  core->searching = true;
  core->unfound = false;
  core->pattern_bytes = 0;
  core->pattern[0] = 0;
}

/* Sets *done when the key belonged to the search; others end it and then do
 * what they always do, on the entry found. */
static edit_action search_key(edit_core *core, const key_event *key, bool *done) {
  *done = true;
  switch (key->kind) {
    case KEY_NONE: return EDIT_GO_ON;
    case KEY_TEXT:
      if (key->bytes > EDIT_PATTERN_BYTES - core->pattern_bytes) return EDIT_GO_ON;
      memcpy(core->pattern + core->pattern_bytes, key->text, key->bytes);
      core->pattern_bytes += key->bytes;
      core->pattern[core->pattern_bytes] = 0;
      return search_before(core, core->place < past_count(core) ? core->place + 1 : core->place);
    case KEY_BACKSPACE:
      core->pattern_bytes = text_previous(core->pattern, core->pattern_bytes, core->pattern_bytes);
      core->pattern[core->pattern_bytes] = 0;
      core->unfound = false;
      return core->pattern_bytes ? search_before(core, past_count(core))
                                 : go_to(core, past_count(core));
    case KEY_SEARCH: return search_before(core, core->place);
    case KEY_ESCAPE: core->searching = false; return go_to(core, past_count(core));
    default: core->searching = *done = false; return EDIT_GO_ON;
  }
}

/* --- completion -------------------------------------------------------------------------- */

static edit_action complete(edit_core *core, bool again) {
  edit_buffer *buffer = &core->buffer;
  completion_list *offers = &core->offers;
  completion_clear(offers);
  if (!core->complete) return EDIT_GO_ON;
  core->complete(core->user, buffer->text ? buffer->text : "", buffer->bytes, buffer->cursor,
                 offers);
  completion_sort(offers);
  if (offers->count == 0 || offers->begin > buffer->cursor) return EDIT_GO_ON;
  size_t begin = offers->begin, typed = buffer->cursor - begin;
  size_t common = completion_common(offers);
  bool adds = common > typed || (offers->count == 1 && common > 0 &&
                                 memcmp(offers->offers[0], buffer->text + begin, common) != 0);
  core->last.completed = offers->count > 1;
  if (!adds) return again && offers->count > 1 ? EDIT_LIST : EDIT_GO_ON;
  size_t end = buffer->cursor;
  edit_result result = edit_insert(buffer, offers->offers[0], common);
  if (result == EDIT_DONE) edit_erase(buffer, begin, end);
  return outcome(result);
}

/* --- keys ------------------------------------------------------------------------------- */

/* A backslash at the end of the text asks for another line. */
static edit_action enter(edit_core *core) {
  edit_buffer *buffer = &core->buffer;
  if (buffer->bytes == 0 || buffer->cursor != buffer->bytes ||
      buffer->text[buffer->bytes - 1] != '\\')
    return EDIT_ACCEPT;
  edit_erase(buffer, buffer->bytes - 1, buffer->bytes);
  return outcome(edit_insert(buffer, "\n", 1));
}

static edit_action cut(edit_core *core, size_t from, size_t to, bool join) {
  core->last.cut = true;
  return outcome(edit_cut(&core->buffer, from, to, join));
}

/* To the end of the line or, there, over the line's end. */
static edit_action cut_to_end(edit_core *core, bool join) {
  const edit_buffer *buffer = &core->buffer;
  size_t end = edit_line_end(buffer);
  if (end == buffer->cursor && end < buffer->bytes) end++;
  return cut(core, buffer->cursor, end, join);
}

static edit_action cut_to_begin(edit_core *core, bool join) {
  const edit_buffer *buffer = &core->buffer;
  size_t begin = edit_line_begin(buffer);
  if (begin == buffer->cursor && begin > 0) begin--;
  return cut(core, begin, buffer->cursor, join);
}

static edit_action move(edit_core *core, size_t to) {
  core->buffer.cursor = to;
  return EDIT_GO_ON;
}

static edit_action delete_key(edit_core *core) {
  edit_erase(&core->buffer, core->buffer.cursor, edit_right(&core->buffer));
  return EDIT_GO_ON;
}

static edit_action backspace_key(edit_core *core) {
  edit_erase(&core->buffer, edit_left(&core->buffer), core->buffer.cursor);
  return EDIT_GO_ON;
}

static edit_action cutting_key(edit_core *core, key_kind kind, bool join) {
  const edit_buffer *buffer = &core->buffer;
  size_t cursor = buffer->cursor;
  switch (kind) {
    case KEY_KILL_TO_END: return cut_to_end(core, join);
    case KEY_KILL_TO_BEGIN: return cut_to_begin(core, join);
    case KEY_KILL_WORD_LEFT: return cut(core, edit_word_left(buffer), cursor, join);
    case KEY_KILL_WORD_RIGHT: return cut(core, cursor, edit_word_right(buffer), join);
    case KEY_KILL_BLANK_LEFT: return cut(core, edit_blank_left(buffer), cursor, join);
    default: return EDIT_GO_ON;
  }
}

static edit_action moving_key(edit_core *core, key_kind kind) {
  const edit_buffer *buffer = &core->buffer;
  switch (kind) {
    case KEY_LEFT: return move(core, edit_left(buffer));
    case KEY_RIGHT: return move(core, edit_right(buffer));
    case KEY_WORD_LEFT: return move(core, edit_word_left(buffer));
    case KEY_WORD_RIGHT: return move(core, edit_word_right(buffer));
    case KEY_HOME: return move(core, edit_line_begin(buffer));
    case KEY_END: return move(core, edit_line_end(buffer));
    case KEY_HISTORY_BEFORE: return go_back(core);
    case KEY_HISTORY_AFTER: return go_to(core, core->place + 1);
    case KEY_HISTORY_FIRST: return go_to(core, 0);
    case KEY_HISTORY_LAST: return go_to(core, past_count(core));
    default: return EDIT_GO_ON;
  }
}

static edit_action plain_key(edit_core *core, const key_event *key, edit_last before) {
  edit_buffer *buffer = &core->buffer;
  switch (key->kind) {
    case KEY_TEXT:
    case KEY_PASTE: return outcome(edit_insert(buffer, key->text, key->bytes));
    case KEY_NEWLINE: return outcome(edit_insert(buffer, "\n", 1));
    case KEY_ENTER: return enter(core);
    case KEY_TAB: return complete(core, before.completed);
    case KEY_INTERRUPT: return EDIT_INTERRUPT;
    case KEY_SUSPEND: return EDIT_SUSPEND;
    case KEY_CLEAR_SCREEN: return EDIT_REDRAW;
    case KEY_UP: return move_line(core, true, before.moved_line);
    case KEY_DOWN: return move_line(core, false, before.moved_line);
    case KEY_BACKSPACE: return backspace_key(core);
    case KEY_DELETE: return delete_key(core);
    case KEY_DELETE_OR_END: return buffer->bytes == 0 ? EDIT_END : delete_key(core);
    case KEY_YANK: return outcome(edit_insert(buffer, buffer->cut, buffer->cut_bytes));
    case KEY_TRANSPOSE: return outcome(edit_transpose(buffer));
    case KEY_SEARCH:
      if (core->past) begin_search(core);
      return EDIT_GO_ON;
    case KEY_KILL_TO_END:
    case KEY_KILL_TO_BEGIN:
    case KEY_KILL_WORD_LEFT:
    case KEY_KILL_WORD_RIGHT:
    case KEY_KILL_BLANK_LEFT: return cutting_key(core, key->kind, before.cut);
    default: return moving_key(core, key->kind);
  }
}

edit_action edit_core_key(edit_core *core, const key_event *key) {
  if (core->searching) {
    bool done;
    edit_action action = search_key(core, key, &done);
    if (done) return action;
  }
  if (key->kind == KEY_NONE) return EDIT_GO_ON;
  edit_last before = core->last;
  core->last = (edit_last){0};
  return plain_key(core, key, before);
}

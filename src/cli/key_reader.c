#include "key_reader.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text_width.h"

#define PASTE_END "\033[201~"
#define PASTE_END_BYTES (sizeof PASTE_END - 1)
/* No key's escape sequence is longer. */
#define SEQUENCE_BYTES 32u

bool key_reader_put(key_reader *reader, const char *data, size_t bytes) {
  if (reader->begin > 0) {
    memmove(reader->data, reader->data + reader->begin, reader->end - reader->begin);
    reader->end -= reader->begin;
    reader->begin = 0;
  }
  if (bytes > reader->capacity - reader->end) {
    if (bytes > SIZE_MAX / 4 || reader->end > SIZE_MAX / 4) return false;
    size_t larger = (reader->end + bytes) * 2;
    char *grown = realloc(reader->data, larger);
    if (!grown) return false;
    reader->data = grown;
    reader->capacity = larger;
  }
  if (bytes) memcpy(reader->data + reader->end, data, bytes);
  reader->end += bytes;
  return true;
}

bool key_reader_is_amid(const key_reader *reader) {
  return reader->end > reader->begin || reader->pasting;
}

void key_reader_clear(key_reader *reader) {
  free(reader->data);
  memset(reader, 0, sizeof *reader);
}

/* --- tables ------------------------------------------------------------------------ */

static key_kind control_key(unsigned char c) {
  static const key_kind kinds[32] = {
      [0x01] = KEY_HOME,
      [0x02] = KEY_LEFT,
      [0x03] = KEY_INTERRUPT,
      [0x04] = KEY_DELETE_OR_END,
      [0x05] = KEY_END,
      [0x06] = KEY_RIGHT,
      [0x07] = KEY_ESCAPE,
      [0x08] = KEY_BACKSPACE,
      [0x09] = KEY_TAB,
      [0x0a] = KEY_ENTER,
      [0x0b] = KEY_KILL_TO_END,
      [0x0c] = KEY_CLEAR_SCREEN,
      [0x0d] = KEY_ENTER,
      [0x0e] = KEY_HISTORY_AFTER,
      [0x10] = KEY_HISTORY_BEFORE,
      [0x12] = KEY_SEARCH,
      [0x14] = KEY_TRANSPOSE,
      [0x15] = KEY_KILL_TO_BEGIN,
      [0x17] = KEY_KILL_BLANK_LEFT,
      [0x19] = KEY_YANK,
      [0x1a] = KEY_SUSPEND,
  };
  return c == 0x7f ? KEY_BACKSPACE : kinds[c];
}

/* Alt and a character: ESC before it. */
static key_kind alt_key(unsigned char c) {
  switch (c) {
    case '\r':
    case '\n': return KEY_NEWLINE;
    case 'b':
    case 'B': return KEY_WORD_LEFT;
    case 'f':
    case 'F': return KEY_WORD_RIGHT;
    case 'd':
    case 'D': return KEY_KILL_WORD_RIGHT;
    case 0x08:
    case 0x7f: return KEY_KILL_WORD_LEFT;
    case '<': return KEY_HISTORY_FIRST;
    case '>': return KEY_HISTORY_LAST;
    default: return KEY_NONE;
  }
}

/* ESC [ or ESC O, and a letter. `modified`: with Ctrl or Alt. */
static key_kind letter_key(char letter, bool modified) {
  switch (letter) {
    case 'A': return KEY_UP;
    case 'B': return KEY_DOWN;
    case 'C': return modified ? KEY_WORD_RIGHT : KEY_RIGHT;
    case 'D': return modified ? KEY_WORD_LEFT : KEY_LEFT;
    case 'H': return KEY_HOME;
    case 'F': return KEY_END;
    case 'M': return KEY_ENTER; /* of the number pad */
    case 'c': return KEY_WORD_RIGHT;
    case 'd': return KEY_WORD_LEFT;
    default: return KEY_NONE;
  }
}

/* ESC [ number ~ */
static key_kind number_key(unsigned number, bool modified) {
  switch (number) {
    case 1:
    case 7: return KEY_HOME;
    case 4:
    case 8: return KEY_END;
    case 3: return modified ? KEY_KILL_WORD_RIGHT : KEY_DELETE;
    default: return KEY_NONE;
  }
}

/* Terminals that tell Shift-Enter and its kin apart do it with a code. */
static key_kind coded_key(unsigned code, unsigned modifier) {
  if (code == 13) return modifier > 1 ? KEY_NEWLINE : KEY_ENTER;
  if (code == 127) return modifier > 1 ? KEY_KILL_WORD_LEFT : KEY_BACKSPACE;
  if (code == 9) return KEY_TAB;
  if (code == 27) return KEY_ESCAPE;
  return KEY_NONE;
}

/* --- escape sequences ---------------------------------------------------------------- */

/* Numbers of a control sequence: "1;5" gives 1 and 5; absent ones are 0. */
static void read_numbers(const char *text, size_t bytes, unsigned numbers[3]) {
  size_t which = 0;
  memset(numbers, 0, 3 * sizeof *numbers);
  for (size_t i = 0; i < bytes && which < 3; i++) {
    if (text[i] == ';')
      which++;
    else if (text[i] >= '0' && text[i] <= '9' && numbers[which] < 10000)
      numbers[which] = numbers[which] * 10 + (unsigned)(text[i] - '0');
  }
}

/* What stands between ESC [ and the final byte, and that. */
static key_kind sequence_key(key_reader *reader, const char *text, size_t bytes, char final) {
  unsigned numbers[3];
  read_numbers(text, bytes, numbers);
  bool modified = numbers[1] > 2;                                      /* 2 is Shift alone */
  if (bytes > 0 && text[0] >= 0x3a && text[0] != ';') return KEY_NONE; /* an answer, a report */
  if (final == 'u') return coded_key(numbers[0], numbers[1]);
  if (final != '~') return letter_key(final, modified);
  if (numbers[0] == 27) return coded_key(numbers[2], numbers[1]);
  if (numbers[0] == 200) reader->pasting = true;
  return number_key(numbers[0], modified);
}

/* data[0] is ESC. Returns the bytes taken, 0 when more are needed. */
static size_t take_escape(key_reader *reader, const char *data, size_t bytes, bool waited,
                          key_kind *kind) {
  size_t at = 1;
  if (bytes > 2 && data[1] == '\033' && (data[2] == '[' || data[2] == 'O')) at = 2;
  bool alt = at == 2;
  *kind = KEY_ESCAPE;
  if (bytes == at) return waited ? 1 : 0;
  char opener = data[at];
  if (opener == '\033') return bytes == 2 && !waited ? 0 : 1;
  *kind = alt_key((unsigned char)opener);
  if (opener != '[' && opener != 'O')
    return at + ((unsigned char)opener < 0x80 ? 1 : text_glyph_at(data, bytes, at).bytes);
  size_t body = ++at;
  /* The Linux console's function keys are ESC [ [ and a letter. */
  if (opener == '[' && at < bytes && data[at] == '[') at++;
  while (at < bytes && at < SEQUENCE_BYTES && data[at] >= 0x20 && data[at] <= 0x3f) at++;
  if (at == bytes) return waited || at >= SEQUENCE_BYTES ? at : 0;
  unsigned char final = (unsigned char)data[at];
  if (final < 0x40 || final >= 0x7f) return at; /* broken off: what follows is a key */
  *kind = data[body] == '[' ? KEY_NONE : sequence_key(reader, data + body, at - body, data[at]);
  if (alt && *kind == KEY_LEFT) *kind = KEY_WORD_LEFT;
  if (alt && *kind == KEY_RIGHT) *kind = KEY_WORD_RIGHT;
  return at + 1;
}

/* --- pastes -------------------------------------------------------------------------- */

/* How many of the last bytes could be the beginning of the end mark. */
static size_t possible_mark(const char *data, size_t bytes) {
  for (size_t length = bytes < PASTE_END_BYTES - 1 ? bytes : PASTE_END_BYTES - 1; length; length--)
    if (memcmp(data + bytes - length, PASTE_END, length) == 0) return length;
  return 0;
}

static size_t find_mark(const char *data, size_t bytes) {
  for (size_t at = 0; at < bytes; at++) {
    const char *found = memchr(data + at, '\033', bytes - at);
    if (!found) break;
    at = (size_t)(found - data);
    if (bytes - at >= PASTE_END_BYTES && memcmp(found, PASTE_END, PASTE_END_BYTES) == 0) return at;
  }
  return SIZE_MAX;
}

/* Terminals send line ends as '\r', some as both. In place; returns the bytes
 * that are left. */
static size_t unify_line_ends(key_reader *reader, char *data, size_t bytes) {
  size_t kept = 0;
  for (size_t i = 0; i < bytes; i++) {
    bool second = reader->after_return && data[i] == '\n';
    reader->after_return = data[i] == '\r';
    if (!second) data[kept++] = reader->after_return ? '\n' : data[i];
  }
  return kept;
}

static bool next_of_paste(key_reader *reader, bool waited, key_event *event) {
  char *data = reader->data + reader->begin;
  size_t bytes = reader->end - reader->begin;
  size_t mark = bytes ? find_mark(data, bytes) : SIZE_MAX;
  size_t text = mark != SIZE_MAX ? mark : waited ? bytes : bytes - possible_mark(data, bytes);
  if (mark == SIZE_MAX && text == 0 && !waited) return false;
  size_t taken = mark != SIZE_MAX ? mark + PASTE_END_BYTES : text;
  reader->begin += taken;
  *event = (key_event){KEY_PASTE, data, unify_line_ends(reader, data, text)};
  if (mark != SIZE_MAX || waited) reader->pasting = reader->after_return = false;
  return true;
}

/* --- any key --------------------------------------------------------------------------- */

/* Whether the bytes are the beginning of a UTF-8 character and no more. */
static bool is_begun(const char *data, size_t bytes) {
  unsigned char first = (unsigned char)data[0];
  size_t length = first < 0xc2 || first > 0xf4 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  if (bytes >= length) return false;
  for (size_t i = 1; i < bytes; i++)
    if (((unsigned char)data[i] & 0xc0) != 0x80) return false;
  return true;
}

bool key_reader_next(key_reader *reader, bool waited, key_event *event) {
  *event = (key_event){KEY_NONE, NULL, 0};
  if (reader->pasting) return next_of_paste(reader, waited, event);
  if (reader->end == reader->begin) return false;
  const char *data = reader->data + reader->begin;
  size_t bytes = reader->end - reader->begin, taken = 1;
  unsigned char first = (unsigned char)data[0];
  if (first == '\033') {
    taken = take_escape(reader, data, bytes, waited, &event->kind);
    if (taken == 0) return false;
  } else if (first < 0x20 || first == 0x7f) {
    event->kind = control_key(first);
  } else {
    if (is_begun(data, bytes) && !waited) return false;
    text_glyph glyph = text_glyph_at(data, bytes, 0);
    taken = glyph.bytes;
    *event = (key_event){KEY_TEXT, data, taken};
  }
  reader->begin += taken;
  return true;
}

/* What a terminal sends, taken apart into keys. Knows no terminal itself: bytes
 * are put in, keys come out, and whatever the bytes are, it ends. */
#ifndef GUST_CLI_KEY_READER_H
#define GUST_CLI_KEY_READER_H

#include <stdbool.h>
#include <stddef.h>

typedef enum key_kind {
  KEY_NONE,  /* understood to mean nothing */
  KEY_TEXT,  /* to be inserted: one character, or a stray byte */
  KEY_PASTE, /* to be inserted, line ends already as '\n'; a long one comes in parts */
  KEY_ENTER,
  KEY_NEWLINE, /* Alt-Enter */
  KEY_TAB,
  KEY_ESCAPE, /* or Ctrl-G */
  KEY_INTERRUPT,
  KEY_SUSPEND,
  KEY_UP,
  KEY_DOWN,
  KEY_LEFT,
  KEY_RIGHT,
  KEY_WORD_LEFT,
  KEY_WORD_RIGHT,
  KEY_HOME,
  KEY_END,
  KEY_HISTORY_BEFORE, /* Ctrl-P and Ctrl-N leave the line even when it has several */
  KEY_HISTORY_AFTER,
  KEY_HISTORY_FIRST,
  KEY_HISTORY_LAST,
  KEY_SEARCH,
  KEY_BACKSPACE,
  KEY_DELETE,
  KEY_DELETE_OR_END, /* Ctrl-D */
  KEY_KILL_TO_END,
  KEY_KILL_TO_BEGIN,
  KEY_KILL_WORD_LEFT, /* Alt-Backspace */
  KEY_KILL_WORD_RIGHT,
  KEY_KILL_BLANK_LEFT, /* Ctrl-W: back to white space */
  KEY_YANK,
  KEY_TRANSPOSE,
  KEY_CLEAR_SCREEN,
} key_kind;

typedef struct key_event {
  key_kind kind;
  const char *text; /* of KEY_TEXT and KEY_PASTE, valid until the next call */
  size_t bytes;
} key_event;

/* Zero-fill before use. */
typedef struct key_reader {
  char *data; /* put in and not taken yet: [begin, end) */
  size_t begin, end, capacity;
  bool pasting;      /* between the marks of a bracketed paste */
  bool after_return; /* the paste's last byte was a '\r' that was taken as a line end */
} key_reader;

/* False without memory. */
bool key_reader_put(key_reader *reader, const char *data, size_t bytes);

/* Takes the next key; false when the bytes put in so far are none yet. With
 * `waited`, nothing more came for a while: what began as an escape sequence was
 * a lone key, and a paste has ended without its mark. */
bool key_reader_next(key_reader *reader, bool waited, key_event *event);

/* Whether bytes wait for others to make a key. */
bool key_reader_is_amid(const key_reader *reader);

void key_reader_clear(key_reader *reader);

#endif

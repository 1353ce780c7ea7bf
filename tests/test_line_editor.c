/* The line editor without a terminal: bytes to keys, keys to text, text to
 * cells; its history file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "cli/edit_core.h"
#include "cli/edit_view.h"
#include "cli/state_folder.h"
#include "cli/terminal.h"
#include "cli/text_width.h"
#include "host.h"
#include "run_program.h"
#include "screen.h"

/* --- typing ----------------------------------------------------------------------------- */

static edit_action press(edit_core *core, const char *keys) {
  key_reader reader = {0};
  key_event key;
  edit_action action = EDIT_GO_ON;
  if (!key_reader_put(&reader, keys, strlen(keys))) check_fatal("out of memory", "keys");
  while (key_reader_next(&reader, false, &key)) action = edit_core_key(core, &key);
  while (key_reader_next(&reader, true, &key)) action = edit_core_key(core, &key);
  key_reader_clear(&reader);
  return action;
}

/* The text with '|' where the cursor is. */
static const char *state(const edit_core *core) {
  static char text[4096];
  const edit_buffer *buffer = &core->buffer;
  snprintf(text, sizeof text, "%.*s|%s", (int)buffer->cursor, buffer->text ? buffer->text : "",
           buffer->text ? buffer->text + buffer->cursor : "");
  return text;
}

#define CHECK_KEYS(keys, expected)        \
  do {                                    \
    edit_core core = {0};                 \
    edit_core_begin(&core);               \
    press(&core, keys);                   \
    CHECK_EQ_STR(state(&core), expected); \
    edit_core_clear(&core);               \
  } while (0)

static void test_moves(void) {
  CHECK_KEYS("abc", "abc|");
  CHECK_KEYS("abc\033[D\033[DX", "aX|bc");
  CHECK_KEYS("abc\033OD\002X", "aX|bc");
  CHECK_KEYS("abc\001X\005Y", "XabcY|");
  CHECK_KEYS("abc\033[HX\033[FY", "XabcY|");
  CHECK_KEYS("abc\033[1~X\033[4~Y", "XabcY|");
  CHECK_KEYS("abc\033OHX\033OFY", "XabcY|");
  CHECK_KEYS("abc\001\006X\033[CY", "aXbY|c");
  CHECK_KEYS("one two-three\033bX", "one two-X|three");
  CHECK_KEYS("one two  three\033[1;5D\033[1;5DX", "one X|two  three");
  CHECK_KEYS("one two\001\033[1;3CX", "oneX| two");
  CHECK_KEYS("one two\001\033f\033fX", "one twoX|");
  CHECK_KEYS("one two\001\033OcX\033\033[CY", "oneX twoY|");
  CHECK_KEYS("\033[D\033[C\033b\033f\177\033[3~\013\025", "|");
}

static void test_editing(void) {
  CHECK_KEYS("abc\177\010", "a|");
  CHECK_KEYS("abc\001\033[3~\004", "|c");
  CHECK_KEYS("one two three\001\033f\013", "one|");
  CHECK_KEYS("one two three\002\002\025", "|ee");
  CHECK_KEYS("one two-three\027", "one |");
  CHECK_KEYS("one two-three\033\177", "one two-|");
  CHECK_KEYS("one two-three\001\033d", "| two-three");
  CHECK_KEYS("one two\027\031\031", "one twotwo|");
  /* Cuts in a row are put together, in the order they stood. */
  CHECK_KEYS("one two three\027\027\001\031", "two three|one ");
  CHECK_KEYS("one two\001\033d\033d\031", "one two|");
  CHECK_KEYS("one two\027x\027\031", "one x|");
  CHECK_KEYS("ab\024", "ba|");
  CHECK_KEYS("abc\002\002\024", "ba|c");
  CHECK_KEYS("a\024", "a|");
}

static void test_unicode(void) {
  CHECK_KEYS("日本語\002X", "日本X|語");
  CHECK_KEYS("日本語\177", "日本|");
  CHECK_KEYS("e\xcc\x81x\002\177", "|x");
  CHECK_KEYS("e\xcc\x81\002X", "X|e\xcc\x81");
  /* A family of three, a flag, a skin tone: one step each. */
  CHECK_KEYS("a👨‍👩‍👧\002X", "aX|👨‍👩‍👧");
  CHECK_KEYS("🇩🇪🇫🇷\177", "🇩🇪|");
  CHECK_KEYS("👍🏽\002X", "X|👍🏽");
  CHECK_KEYS("😀😃\024", "😃😀|");
  /* Bytes that are no UTF-8 stay as they are and count one by one. */
  CHECK_KEYS("a\xff\xe3\x81z", "a\xff\xe3\x81z|");
  CHECK_KEYS("a\xff\xe3\x81\177X", "a\xff\xe3X|");
  CHECK_EQ_INT(text_width("日本", 6), 4);
  CHECK_EQ_INT(text_width("e\xcc\x81", 3), 1);
  CHECK_EQ_INT(text_width("\033\x7f\xff", 3), 8);
  /* Turns the line around: spelled. */
  CHECK_EQ_INT(text_width("\xe2\x80\xae", 3), 6); /* NOLINT(misc-misleading-bidirectional) */
  CHECK_EQ_INT(text_width("한국 😀", 11), 7);
  CHECK_EQ_INT(text_width("\xed\xa0\x80", 3), 12); /* a surrogate */
}

static void test_lines(void) {
  CHECK_KEYS("one\033\rtwo", "one\ntwo|");
  CHECK_KEYS("one\\\rtwo", "one\ntwo|");
  CHECK_KEYS("one\033\ntwo\033[13;2uthree", "one\ntwo\nthree|");
  CHECK_KEYS("one\033\rtwo\033[AX", "oneX|\ntwo");
  CHECK_KEYS("one\033\rtwo\001\033[AX\033[BY", "Xone\ntY|wo");
  CHECK_KEYS("abcdef\033\rx\033\rabcdef\033[A\033[AZ", "abcdefZ|\nx\nabcdef");
  CHECK_KEYS("日本\033\rabc\033[AX", "日X|本\nabc");
  CHECK_KEYS("a\033\rb\001\177", "a|b");
  CHECK_KEYS("a\033\rb\033[A\005\013", "a|b");
  CHECK_KEYS("a\033\rb\001\025", "a|b");
  edit_core core = {0};
  edit_core_begin(&core);
  CHECK_EQ_INT(press(&core, "one\\\r"), EDIT_GO_ON);
  CHECK_EQ_INT(press(&core, "two\\ \r"), EDIT_ACCEPT);
  CHECK_EQ_STR(state(&core), "one\ntwo\\ |");
  edit_core_begin(&core);
  CHECK_EQ_INT(press(&core, "x\n"), EDIT_ACCEPT);
  CHECK_EQ_INT(press(&core, "\003"), EDIT_INTERRUPT);
  CHECK_EQ_INT(press(&core, "\032"), EDIT_SUSPEND);
  CHECK_EQ_INT(press(&core, "\014"), EDIT_REDRAW);
  CHECK_EQ_INT(press(&core, "\004"), EDIT_GO_ON);
  CHECK_EQ_INT(press(&core, "\025\004"), EDIT_END);
  edit_core_clear(&core);
}

static void test_paste(void) {
  CHECK_KEYS("a\033[200~one\rtwo\r\nthree\n\ttab\003\033[A\033[201~z",
             "aone\ntwo\nthree\n\ttab\003\033[Az|");
  CHECK_KEYS("\033[200~\033[201~x", "x|");
  /* Without an end mark it ends when nothing more comes. */
  CHECK_KEYS("\033[200~abc\033[201", "abc\033[201|");
  /* Byte by byte. */
  const char *keys = "\033[200~ä\r\nb\033[201~\033[D";
  key_reader reader = {0};
  edit_core core = {0};
  key_event key;
  edit_core_begin(&core);
  for (const char *c = keys; *c; c++) {
    CHECK(key_reader_put(&reader, c, 1));
    while (key_reader_next(&reader, false, &key)) edit_core_key(&core, &key);
  }
  CHECK_EQ_STR(state(&core), "ä\n|b");
  CHECK(!key_reader_is_amid(&reader));
  key_reader_clear(&reader);
  edit_core_clear(&core);
}

/* Keys nobody knows do nothing, and what follows them is read again. */
static void test_strange_keys(void) {
  CHECK_KEYS("a\033[15~\033[[A\033OP\033[?1;2c\033zb\033[Z\033", "ab|");
  CHECK_KEYS("a\033[12345678901234567890123456789001rest", "a01rest|");
  CHECK_KEYS("a\033[1;\177b", "b|");
  edit_core core = {0};
  edit_core_begin(&core);
  char *huge = malloc(EDIT_MOST_BYTES + 1);
  if (!huge) check_fatal("out of memory", "line");
  memset(huge, 'x', EDIT_MOST_BYTES);
  huge[EDIT_MOST_BYTES] = 0;
  key_event key = {KEY_PASTE, huge, EDIT_MOST_BYTES};
  CHECK_EQ_INT(edit_core_key(&core, &key), EDIT_GO_ON);
  CHECK_EQ_INT(press(&core, "y"), EDIT_OVERFLOW);
  CHECK_EQ_INT(core.buffer.bytes, EDIT_MOST_BYTES);
  CHECK_EQ_INT(press(&core, "\177y"), EDIT_GO_ON);
  free(huge);
  edit_core_clear(&core);
}

/* --- completion --------------------------------------------------------------------------- */

static void offer_names(void *user, const char *line, size_t bytes, size_t cursor,
                        completion_list *list) {
  const char *const *names = user;
  (void)bytes;
  while (list->begin < cursor && line[list->begin] == ' ') list->begin++;
  for (; *names; names++)
    if (strncmp(*names, line + list->begin, cursor - list->begin) == 0)
      completion_offer(list, *names);
}

static void test_completion(void) {
  const char *names[] = {"/save", "/set", "/system ", "/show", "/säge", "/sähen", "/set", NULL};
  edit_core core = {.complete = offer_names, .user = names};
  edit_core_begin(&core);
  CHECK_EQ_INT(press(&core, "  /sy\t"), EDIT_GO_ON);
  CHECK_EQ_STR(state(&core), "  /system |");
  edit_core_begin(&core);
  CHECK_EQ_INT(press(&core, "/ X\001\006\t"), EDIT_GO_ON);
  CHECK_EQ_STR(state(&core), "/s| X");
  CHECK_EQ_INT(press(&core, "\t"), EDIT_LIST);
  CHECK_EQ_INT(core.offers.count, 6);
  CHECK_EQ_STR(core.offers.offers[0], "/save");
  /* "ä" is not cut in two. */
  edit_core_begin(&core);
  CHECK_EQ_INT(press(&core, "/s\xc3\t"), EDIT_GO_ON);
  CHECK_EQ_STR(state(&core), "/sä|");
  edit_core_begin(&core);
  CHECK_EQ_INT(press(&core, "/nothing\t\t"), EDIT_GO_ON);
  CHECK_EQ_STR(state(&core), "/nothing|");
  edit_core_clear(&core);
}

/* --- history ------------------------------------------------------------------------------ */

static void add(history *list, const char *text) {
  gust_error err = {0};
  if (!CHECK(history_add(list, text, strlen(text), &err) == GUST_OK)) puts(err.text);
}

static void test_past(void) {
  history past = {0};
  const char *lines[] = {"first", "second\nof two", "third", "third", "  \t", ""};
  for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) add(&past, lines[i]);
  CHECK_EQ_INT(past.count, 3);
  edit_core core = {.past = &past};
  edit_core_begin(&core);
  press(&core, "draft\033[A");
  CHECK_EQ_STR(state(&core), "third|");
  press(&core, "\033[A\033[A"); /* up inside the entry of two lines, then out of it */
  CHECK_EQ_STR(state(&core), "second|\nof two");
  press(&core, "\033[A\033[A\033[A");
  CHECK_EQ_STR(state(&core), "first|");
  press(&core, "\016\016\016\016");
  CHECK_EQ_STR(state(&core), "draft|");
  press(&core, "\033<");
  CHECK_EQ_STR(state(&core), "first|");
  press(&core, "X\033>");
  CHECK_EQ_STR(state(&core), "draft|");
  /* Search: older, not found, given up, taken. */
  press(&core, "\022ir");
  CHECK_EQ_STR(state(&core), "third|");
  char prompt[256];
  CHECK(edit_core_prompt(&core, prompt, sizeof prompt));
  CHECK_EQ_STR(prompt, "(search: ir) ");
  press(&core, "\022");
  CHECK_EQ_STR(state(&core), "first|");
  press(&core, "\022");
  CHECK_EQ_STR(state(&core), "first|");
  edit_core_prompt(&core, prompt, sizeof prompt);
  CHECK_EQ_STR(prompt, "(not found, search: ir) ");
  press(&core, "\007");
  CHECK_EQ_STR(state(&core), "draft|");
  CHECK_EQ_INT(press(&core, "\022sec\033[D"), EDIT_GO_ON);
  CHECK_EQ_STR(state(&core), "second\nof tw|o");
  CHECK(!edit_core_prompt(&core, prompt, sizeof prompt));
  edit_core_clear(&core);
  history_clear(&past);
}

static void test_history_file(void) {
  const char *path = check_temp_file("state/deeper/history");
  gust_error err = {0};
  history a = {0}, b = {0};
  CHECK_EQ_INT(history_open(&a, path, &err), GUST_OK);
  CHECK_EQ_INT(history_open(&b, path, &err), GUST_OK);
  add(&a, "from a");
  add(&b, "from b\n\\two\r");
  add(&a, "from a");
  add(&a, "a again");
  size_t bytes;
  char *text = check_read_file(path, &bytes);
  CHECK_EQ_STR(text, "from a\nfrom b\\n\\\\two\\r\na again\n");
  free(text);
  CHECK(host_has_mode(path, 0600));
  CHECK(host_has_mode(check_temp_file("state/deeper"), 0700));
  history_clear(&a);
  history_clear(&b);
  /* A line cut short by a crash stays apart from the next one. */
  check_write_file(path, "one\ntw\0o\n\xff\xfe\n\n\ntorn\\", 19);
  host_set_mode(path, 0644);
  CHECK_EQ_INT(history_open(&a, path, &err), GUST_OK);
  CHECK_EQ_INT(a.count, 4);
  CHECK_EQ_INT(a.entries[1].bytes, 4);
  CHECK_EQ_STR(a.entries[2].text, "\xff\xfe");
  CHECK_EQ_STR(a.entries[3].text, "torn\\");
  add(&a, "whole");
  text = check_read_file(path, &bytes);
  CHECK_EQ_STR(text + 14, "torn\\\nwhole\n");
  free(text);
  CHECK(host_has_mode(path, 0600));
  history_clear(&a);
}

/* Whatever is in the way is said in one line, and the entry is kept in memory. */
static void test_history_trouble(void) {
  gust_error err = {0};
  history list = {0};
  const char *plain = check_temp_file("plain");
  check_write_file(plain, "x", 1);
#ifdef _WIN32
  const gust_status opened = GUST_OK; /* as if it were not there yet */
#else
  const gust_status opened = GUST_E_IO;
#endif
  CHECK_EQ_INT(history_open(&list, check_temp_file("plain/history"), &err), opened);
  CHECK_EQ_INT(history_add(&list, "kept", 4, &err), GUST_E_IO);
  CHECK_CONTAINS(err.text, "plain/history: cannot write the history of input lines: Not a dir");
  CHECK_EQ_INT(list.count, 1);
  history_clear(&list);
  CHECK_EQ_INT(history_open(&list, check_temp(), &err), GUST_E_IO);
  CHECK_CONTAINS(err.text, "cannot read the history of input lines: not a regular file; ");
  history_clear(&list);
  const char *fifo = check_temp_file("fifo");
  if (!host_make_fifo(fifo)) fifo = host_null_device();
  host_expect_soon("a named pipe to be refused");
  CHECK_EQ_INT(history_open(&list, fifo, &err), GUST_E_IO);
  CHECK_EQ_INT(history_add(&list, "kept", 4, &err), GUST_E_IO);
  host_expect_soon(NULL);
  history_clear(&list);
  if (host_full_file()) {
    CHECK_EQ_INT(history_open(&list, host_full_file(), &err), GUST_E_IO);
    history_clear(&list);
  }
}

/* The user's folder counts where the one for such files is not named, or not whole. */
static void test_state_folder(void) {
#ifdef _WIN32
  static const char variable[] = "LOCALAPPDATA", value[] = "C:\\Users\\\xc3\xbcser\\Local";
  static const char expected[] = "C:\\Users\\\xc3\xbcser\\Local/gust/history";
#else
  static const char variable[] = "HOME", value[] = "/home/\xc3\xbcser";
  static const char expected[] = "/home/\xc3\xbcser/.local/state/gust/history";
#endif
  host_set_env("XDG_STATE_HOME", "relative");
  host_set_env(variable, value);
  char *path = state_folder_path("history");
  CHECK_EQ_STR(path, expected);
  free(path);
  host_set_env("XDG_STATE_HOME", "/state");
  path = state_folder_path("history");
  CHECK_EQ_STR(path, "/state/gust/history");
  free(path);
  host_set_env("XDG_STATE_HOME", NULL);
  host_set_env(variable, NULL);
  CHECK(!state_folder_path("history"));
}

/* No room left: the file keeps what it had, whole. */
static void test_history_full(void) {
  const char *path = check_temp_file("full");
  gust_error err = {0};
  history list = {0};
  CHECK_EQ_INT(history_open(&list, path, &err), GUST_OK);
  add(&list, "one");
  if (!host_limit_files(8)) {
    check_part_skipped("a full disk", "no file can be limited");
    history_clear(&list);
    return;
  }
  CHECK_EQ_INT(history_add(&list, "longer than that", 16, &err), GUST_E_IO);
  CHECK(host_limit_files(HOST_NO_LIMIT));
  CHECK_CONTAINS(err.text, "full: cannot write the history of input lines: ");
  CHECK_EQ_INT(list.count, 2);
  add(&list, "two");
  size_t bytes;
  char *text = check_read_file(path, &bytes);
  CHECK_EQ_STR(text, "one\ntwo\n");
  free(text);
  history_clear(&list);
}

static const char *self; /* the path of this program */

/* One of several at once, each with lines of its own. It pauses: others who never did could
 * keep it waiting for longer than it is willing to. */
static int write_history(const char *path, const char *number) {
  gust_error err = {0};
  history list = {0};
  char line[64];
  gust_status status = history_open(&list, path, &err);
  for (int i = 0; i < 50 && !status; i++) {
    int bytes = snprintf(line, sizeof line, "%d of %s", i, number);
    status = history_add(&list, line, (size_t)bytes, &err);
    host_sleep(1);
  }
  if (status) fprintf(stderr, "%s\n", err.text);
  history_clear(&list);
  return status ? 1 : 0;
}

/* Bounded in memory and on disk; nothing of several writers is lost. */
static void test_history_bounds(void) {
  const char *path = check_temp_file("bounds");
  gust_error err = {0};
  history list = {0};
  static char line[30000], longest[HISTORY_ENTRY_BYTES + 1];
  CHECK_EQ_INT(history_open(&list, path, &err), GUST_OK);
  for (unsigned i = 0; i < 100; i++) {
    memset(line, 'a' + (int)(i % 26), sizeof line - 1);
    add(&list, line);
  }
  CHECK(list.bytes <= HISTORY_MOST_BYTES && list.bytes + sizeof line > HISTORY_MOST_BYTES);
  CHECK(check_file_bytes(path) <= 3 * HISTORY_MOST_BYTES);
  memset(longest, 'x', sizeof longest);
  CHECK_EQ_INT(history_add(&list, longest, sizeof longest, &err), GUST_OK);
  CHECK(list.entries[list.count - 1].bytes == sizeof line - 1);
  history_clear(&list);
  path = check_temp_file("shared");
  const char *argv[] = {self, "--writer", path, NULL};
  CHECK_EQ_INT(run_program_times(argv, 4), 0);
  CHECK_EQ_INT(history_open(&list, path, &err), GUST_OK);
  CHECK_EQ_INT(list.count, 200);
  history_clear(&list);
}

/* --- cells -------------------------------------------------------------------------------- */

/* Draws the scene on an empty screen. */
static void show(screen *s, const edit_scene *scene, edit_frame *frame) {
  edit_frame nothing = {0}, out = {0};
  edit_frame_make(frame, scene);
  edit_frame_change(&out, &nothing, frame);
  screen_put(s, out.data, out.bytes);
  CHECK(!s->failed && !frame->failed);
  CHECK_EQ_INT(s->row, frame->cursor_row);
  CHECK_EQ_INT(s->column, frame->cursor_column);
  edit_frame_clear(&out);
}

static void check_rows(unsigned columns, const char *text, size_t cursor, size_t row, size_t column,
                       const char *expected) {
  screen *s = calloc(1, sizeof *s);
  edit_frame frame = {0};
  edit_scene scene = {.prompt = "> ",
                      .text = text,
                      .bytes = strlen(text),
                      .cursor = cursor,
                      .columns = columns,
                      .most_rows = 12};
  if (!s) check_fatal("out of memory", "screen");
  screen_begin(s, 12, columns);
  show(s, &scene, &frame);
  CHECK_EQ_INT(s->row, row);
  CHECK_EQ_INT(s->column, column);
  char seen[2048] = "";
  for (size_t i = 0; i < frame.rows; i++) {
    if (i) strcat(seen, "\n");
    strcat(seen, screen_row(s, i));
  }
  CHECK_EQ_STR(seen, expected);
  edit_frame_clear(&frame);
  free(s);
}

static void test_cells(void) {
  check_rows(20, "", 0, 0, 2, ">");
  check_rows(20, "hello", 5, 0, 7, "> hello");
  check_rows(20, "one\ntwo", 1, 0, 3, "> one\n  two");
  check_rows(10, "abcdefgh", 8, 1, 0, "> abcdefgh\n");
  check_rows(10, "abcdefghi", 8, 1, 0, "> abcdefgh\ni");
  check_rows(10, "abcdefg日", 7, 1, 0, "> abcdefg\n日");
  check_rows(10, "abcdef日\xcc\x81", 6, 0, 8, "> abcdef日\xcc\x81\n");
  check_rows(20, "a\tb\n\tc", 2, 0, 10, "> a       b\n          c");
  check_rows(20, "a\033[2J\xff\x7f", 2, 0, 5, "> a^[[2J<ff>^?");
  check_rows(20, "\xcc\x81x", 3, 0, 4, ">  \xcc\x81x");
  check_rows(1, "a日", 1, 3, 0, ">\n\na\n?\n");
  check_rows(3, "\xff", 1, 2, 0, "> <\nff>\n");
}

/* Rows that the terminal has no room for are left out around the cursor. */
static void test_window(void) {
  screen *s = calloc(1, sizeof *s);
  edit_frame frame = {0};
  edit_scene scene = {
      .prompt = "> ", .text = "1\n2\n3\n4\n5\n6\n7", .bytes = 13, .columns = 20, .most_rows = 3};
  if (!s) check_fatal("out of memory", "screen");
  static const char *const rows[][4] = {
      {"> 1", "  2", "  3"}, {"  3", "  4", "  5"}, {"  5", "  6", "  7"}};
  static const size_t cursors[] = {0, 6, 13}, places[] = {0, 1, 2};
  for (size_t i = 0; i < 3; i++) {
    scene.cursor = cursors[i];
    screen_begin(s, 3, 20);
    show(s, &scene, &frame);
    CHECK_EQ_INT(frame.rows, 3);
    CHECK_EQ_INT(frame.cursor_row, places[i]);
    for (size_t row = 0; row < 3; row++) CHECK_EQ_STR(screen_row(s, row), rows[i][row]);
    CHECK_EQ_INT(s->scrolled, 0);
  }
  edit_frame_clear(&frame);
  free(s);
}

/* Where the cursor is found when the terminal has become `narrower` than it was drawn. */
static void check_folded(const char *text, size_t cursor, size_t narrower, size_t row) {
  edit_frame frame = {0};
  edit_scene scene = {.prompt = "> ",
                      .text = text,
                      .bytes = strlen(text),
                      .cursor = cursor,
                      .columns = 40,
                      .most_rows = 24,
                      .colour = true};
  edit_frame_make(&frame, &scene);
  CHECK_EQ_INT(edit_frame_cursor_row(&frame, narrower), row);
  CHECK_EQ_INT(edit_frame_cursor_row(&frame, 40), frame.cursor_row);
  CHECK_EQ_INT(edit_frame_cursor_row(&frame, 100), frame.cursor_row); /* nothing is unfolded */
  edit_frame_clear(&frame);
}

static void test_folded(void) {
  const char *thirty = "123456789 123456789 123456789 ";
  char ninety[91];
  snprintf(ninety, sizeof ninety, "%s%s%s", thirty, thirty, thirty);
  check_folded("", 0, 12, 0);
  check_folded(thirty, 30, 20, 1);
  check_folded(thirty, 30, 12, 2);
  check_folded(thirty, 30, 16, 1); /* behind the last cell of a row */
  check_folded(thirty, 18, 20, 1); /* on the first cell of one */
  check_folded(thirty, 17, 20, 0);
  check_folded(thirty, 0, 1, 2);
  check_folded(ninety, 90, 20, 4); /* 40, 40 and 12 cells */
  check_folded(ninety, 90, 12, 8);
  check_folded(ninety, 38 + 13, 12, 5);
  check_folded("ab\ncd", 5, 3, 3);
  check_folded("日本語日本語", 18, 5, 3); /* two of them in 5 cells, beside the prompt one */
  check_folded("e\xcc\x81 \t x", 6, 8, 1);
}

/* An edited line and the screen it stands on. */
typedef struct drawn {
  edit_core core;
  edit_frame old, frame, other, out;
  screen seen, fresh;
} drawn;

/* Draws the change since the last call; false unless the screen looks as if all
 * had been drawn anew. */
static bool draw_change(drawn *d, bool colour) {
  edit_scene scene = {.prompt = "> ",
                      .text = d->core.buffer.text,
                      .bytes = d->core.buffer.bytes,
                      .cursor = d->core.buffer.cursor,
                      .columns = (unsigned)d->seen.columns,
                      .most_rows = d->seen.rows,
                      .colour = colour};
  edit_frame_make(&d->frame, &scene);
  edit_frame_change(&d->out, &d->old, &d->frame);
  if (d->out.data) screen_put(&d->seen, d->out.data, d->out.bytes);
  d->out.bytes = 0;
  screen_begin(&d->fresh, d->seen.rows, d->seen.columns);
  show(&d->fresh, &scene, &d->other);
  const edit_frame *frame = &d->frame;
  bool same = d->seen.row >= frame->cursor_row && d->seen.column == frame->cursor_column &&
              !d->seen.failed &&
              screen_same(&d->seen, d->seen.row - frame->cursor_row, &d->fresh, 0, frame->rows);
  edit_frame swap = d->old;
  d->old = d->frame;
  d->frame = swap;
  return same;
}

/* Whatever is typed, at the bottom of the screen as at its top. */
static void test_changes(void) {
  static const char *const keys[] = {"a",
                                     "b",
                                     " ",
                                     "日",
                                     "e\xcc\x81",
                                     "\t",
                                     "\033\r",
                                     "\xff",
                                     "\033[D",
                                     "\033[C",
                                     "\033[A",
                                     "\033[B",
                                     "\177",
                                     "\033[3~",
                                     "\001",
                                     "\005",
                                     "\013",
                                     "\025",
                                     "\031",
                                     "\027",
                                     "word word ",
                                     "\033[200~long line of text that wraps\033[201~",
                                     "\xf0\x9f\x98\x80",
                                     "\033b"};
  unsigned long long random = 42;
  for (unsigned run = 0; run < 24; run++) {
    drawn *d = calloc(1, sizeof *d);
    if (!d) check_fatal("out of memory", "screens");
    edit_core_begin(&d->core);
    screen_begin(&d->seen, run % 2 ? 4 : 30, run % 3 == 0 ? 7 : run % 3 == 1 ? 16 : 40);
    for (unsigned i = 0; i < run; i++) screen_put(&d->seen, "above\r\n", 7);
    for (unsigned step = 0; step < 120; step++) {
      press(&d->core, keys[check_random(&random) % (sizeof keys / sizeof *keys)]);
      if (!CHECK(draw_change(d, run % 5 == 0))) break;
    }
    edit_frame_clear(&d->old);
    edit_frame_clear(&d->frame);
    edit_frame_clear(&d->other);
    edit_frame_clear(&d->out);
    edit_core_clear(&d->core);
    free(d);
  }
}

int main(int argc, char **argv) {
  terminal_begin(&argc, &argv); /* UTF-8 in argv */
  if (argc == 4 && strcmp(argv[1], "--writer") == 0) return write_history(argv[2], argv[3]);
  self = argv[0];
  test_moves();
  test_editing();
  test_unicode();
  test_lines();
  test_paste();
  test_strange_keys();
  test_completion();
  test_past();
  test_history_file();
  test_history_trouble();
  test_state_folder();
  test_history_full();
  test_history_bounds();
  test_cells();
  test_window();
  test_folded();
  test_changes();
  return check_finish();
}

/* The line editor at a terminal, driven from a pseudo-terminal. The program at
 * it is this one, started with --driver: it reads lines and prints what it got. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "cli/interrupt.h"
#include "cli/line_editor.h"
#include "cli/terminal.h"
#include "host.h"
#include "run_program.h"
#include "screen.h"

/* --- the program at the terminal ---------------------------------------------------------- */

static void offer_commands(void *user, const char *line, size_t bytes, size_t cursor,
                           completion_list *list) {
  static const char *const names[] = {"/context ", "/clear ", "/help "};
  (void)user;
  (void)bytes;
  for (size_t i = 0; i < 3; i++)
    if (strncmp(names[i], line, cursor) == 0) completion_offer(list, names[i]);
}

static void print_line(const char *line, size_t bytes) {
  printf("[");
  for (size_t i = 0; i < bytes; i++) {
    unsigned char c = (unsigned char)line[i];
    if (c < 0x20 || c == 0x7f)
      printf("\\%o", c);
    else
      putchar(c);
  }
  printf("]%s\n",
         host_terminal_interrupts() || !terminal_is(stdin) ? "" : " and the terminal was left raw");
}

/* As long as an answer may take; signals that do not end the program do not end it. */
static void wait_a_second(void) {
  for (int i = 0; i < 50 && !interrupt_signal(); i++) host_sleep(20);
#ifndef _WIN32
  if (host_terminal_edits()) printf("(shown)\n"); /* what is typed would be */
#endif
}

static int drive(const char *history) {
  static const cli_command command = {.name = "driver"};
  line_editor_options options = {.command = &command,
                                 .prompt = "> ",
                                 .history = strcmp(history, "-") == 0 ? NULL : history,
                                 .complete = offer_commands};
  gust_error err;
  static char output[4096]; /* so that a character's bytes are written at once */
  setvbuf(stdout, output, _IOFBF, sizeof output);
  interrupt_install();
  line_editor *editor = line_editor_create(&options, &err);
  line_result result = editor ? LINE_TEXT : LINE_ERROR;
  const char *line;
  size_t bytes;
  while (result == LINE_TEXT || (result == LINE_INTERRUPT && interrupt_is_key())) {
    interrupt_clear();
    fflush(stdout);
    result = line_editor_read(editor, &line, &bytes, &err);
    if (result == LINE_INTERRUPT) printf("(signal %d)\n", interrupt_signal());
    if (result != LINE_TEXT) continue;
    print_line(line, bytes);
    if (bytes == 3 && memcmp(line, "ask", 3) == 0) {
      result = line_editor_ask(editor, "really? ", &line, &bytes, &err);
      if (result == LINE_TEXT) print_line(line, bytes);
    }
    if (bytes == 4 && memcmp(line, "edit", 4) == 0) line_editor_prefill(editor, "given", 5);
    fflush(stdout);
    if (bytes == 4 && memcmp(line, "wait", 4) == 0) {
      wait_a_second();
      if (interrupt_signal()) {
        printf("(signal %d)\n", interrupt_signal());
        result = LINE_INTERRUPT;
      }
    }
    if (bytes == 5 && memcmp(line, "abort", 5) == 0) abort();
  }
  if (result == LINE_ERROR) printf("(error: %s)\n", err.text);
  if (result == LINE_END) printf("(end)\n");
  line_editor_destroy(editor);
  if (terminal_is(stdin) && !host_terminal_edits()) printf("left raw\n");
  return result == LINE_END ? 0 : 3;
}

/* --- the one who types ----------------------------------------------------------------------- */

#define SECONDS 20

static const char *self; /* the path of this program */

static run_terminal *start(const char *history) {
  const char *argv[] = {self, "--driver", history, NULL};
  run_terminal *terminal = run_terminal_start(argv);
  CHECK(run_terminal_expect(terminal, "> \033[?2004h", SECONDS));
  return terminal;
}

static void expect(run_terminal *terminal, const char *text) {
  if (!CHECK(run_terminal_expect(terminal, text, SECONDS)))
    printf("  waited for \"%s\", saw:\n%s\n", text, run_terminal_text(terminal));
}

static void type(run_terminal *terminal, const char *keys, const char *expected) {
  run_terminal_type(terminal, keys);
  expect(terminal, expected);
}

/* A line that is accepted, and the next prompt: keys sent before that would be
 * edited by the terminal itself. */
static void enter(run_terminal *terminal, const char *keys, const char *expected) {
  type(terminal, keys, expected);
  expect(terminal, "\033[?2004h");
}

static void leave(run_terminal *terminal) {
  run_terminal_type(terminal, "\004");
  expect(terminal, "(end)\r\n");
  CHECK_EQ_INT(run_terminal_finish(terminal), 0);
}

static void test_editing(void) {
  run_terminal *terminal = start("-");
  type(terminal, "hello", "hello");
  type(terminal, "\r", "\r\n\033[?2004l[hello]\r\n> \033[?2004h");
  enter(terminal, "world\033[D\033[D\033[DX\001Y\005Z\177!\r", "[YwoXrld!]\r\n");
#ifndef _WIN32
  enter(terminal, "one two three\033b\033[1;5D\013\025\031\031\n",
        "[one two threeone two three]\r\n");
#endif
  enter(terminal, "日本語 e\xcc\x81\177\002\002\177\r", "[日語 ]\r\n");
#ifdef _WIN32
  check_part_skipped("Alt and pasted lines", "not every console passes on Escape");
#else
  enter(terminal, "one\033\rtwo\\\rthree\033[A\033[AX\r", "[oneX\\12two\\12three]\r\n");
  enter(terminal, "a\033[200~b\r\n\tc\003\r\033[201~d\r", "[ab\\12\\11c\\3\\12d]\r\n");
#endif
  type(terminal, "edit\r", "> given\033[?2004h");
  enter(terminal, "!\r", "[given!]\r\n");
  /* Two lines at once, and one typed while nobody reads. */
  run_terminal_type(terminal, "wait\rsecond\r");
  expect(terminal, "[wait]\r\n");
  expect(terminal, "[second]\r\n");
  expect(terminal, "\033[?2004h");
  /* Nobody sees it until somebody reads it: the prompt follows at once what was printed.
   * It waits as it was typed, to be edited. */
  type(terminal, "wait\r", "[wait]\r\n");
  type(terminal, "a heap\001\006\033[3~", "> \033[?2004h");
  CHECK_CONTAINS(run_terminal_text(terminal), "[wait]\r\n> \033[?2004h");
  type(terminal, "!", "!heap");
  enter(terminal, "\r", "[a!heap]\r\n");
  leave(terminal);
}

static void test_history(void) {
  const char *path = check_temp_file("state/gust/history");
  run_terminal *terminal = start(path);
  enter(terminal, "first\r", "[first]\r\n");
  enter(terminal, "two\\\rlines\r", "[two\\12lines]\r\n");
  type(terminal, "ask\r", "really? \033[?2004h");
  enter(terminal, "\033[Ayes\r", "[yes]\r\n");
  leave(terminal);
  terminal = start(path);
  enter(terminal, "dr\033[A!\r", "[ask!]\r\n");
  enter(terminal, "\033[A\033[A\033[A\033[A\033[A\r", "[first]\r\n");
  enter(terminal, "draft\033[A\033[B!\r", "[draft!]\r\n");
  type(terminal, "\022", "(search: ) ");
  type(terminal, "lin", "(search: lin) two");
  enter(terminal, "\r", "[two\\12lines]\r\n");
  leave(terminal);
  size_t bytes;
  char *text = check_read_file(path, &bytes);
  CHECK_EQ_STR(text, "first\ntwo\\nlines\nask\nask!\nfirst\ndraft!\ntwo\\nlines\n");
  free(text);
}

/* Said once, and it goes on. */
static void test_history_trouble(void) {
  const char *plain = check_temp_file("plain");
  check_write_file(plain, "x", 1);
  run_terminal *terminal = start(check_temp_file("plain/history"));
  enter(terminal, "one\r", "[one]\r\n");
  enter(terminal, "two\r", "[two]\r\n");
  enter(terminal, "\033[A\033[A\r", "[one]\r\n");
  const char *said = strstr(run_terminal_text(terminal), "gust driver: ");
  if (CHECK(said != NULL)) {
    CHECK_CONTAINS(said, "plain/history: cannot ");
    CHECK(!strstr(said + 1, "gust driver: "));
  }
  leave(terminal);
}

static void test_completion(void) {
  run_terminal *terminal = start("-");
  enter(terminal, "/h\t\r", "[/help ]\r\n");
  type(terminal, "/c\t\t", "\r\n/clear     /context \r\n");
  expect(terminal, "> /c");
  enter(terminal, "o\tX\r", "[/context X]\r\n");
  leave(terminal);
}

static void test_signals(void) {
  run_terminal *terminal = start("-");
  if (host_has_whole_terminals()) {
    type(terminal, "wait\r", "[wait]\r\n");
    type(terminal, "\003", "(signal 2)\r\n> \033[?2004h");
    type(terminal, "half a line", "half a line");
    type(terminal, "\003", "^C\r\n\033[?2004l(signal 2)\r\n> \033[?2004h");
  } else {
    check_part_skipped("Ctrl-C", "consoles here take it for the end of input");
  }
  enter(terminal, "whole\r", "[whole]\r\n");
  /* A lone Escape is no key, and Ctrl-D within a line deletes. */
  type(terminal, "ab\001\004\033", "b");
  host_sleep(300);
  enter(terminal, "c\r", "[cb]\r\n");
  leave(terminal);
}

#ifndef _WIN32
#define SANE "\nisig icanon iexten echo " /* as stty has it */

/* A shell with job control that runs this program, and what follows then. */
static run_terminal *start_in_shell(const char *then) {
  char script[4096];
  snprintf(script, sizeof script, "$MESON_EXE_WRAPPER '%s' --driver -; %s", self, then);
  const char *argv[] = {"/bin/sh", "-mc", script, NULL};
  run_terminal *terminal = run_terminal_start(argv);
  expect(terminal, "> \033[?2004h");
  return terminal;
}

#endif

/* A request to end leaves the terminal as it was; so does a deadly signal. */
static void test_ends(void) {
  if (!host_has_whole_terminals()) {
    check_part_skipped("a request to end", "consoles here end programs without telling them");
    return;
  }
  run_terminal *terminal = start("-");
  run_terminal_signal(terminal, RUN_TERMINATE);
  expect(terminal, "\r\n\033[?2004l(signal 15)\r\n");
  CHECK(!strstr(run_terminal_text(terminal), "left raw"));
  CHECK_EQ_INT(run_terminal_finish(terminal), 3);
#ifdef _WIN32
  check_part_skipped("a deadly signal", "there is none that a program could see");
#else
  terminal = start("-");
  run_terminal_signal(terminal, RUN_QUIT);
  expect(terminal, "\033[?2004l");
  CHECK_EQ_INT(run_terminal_finish(terminal), 128 + RUN_QUIT);
  /* The same while nobody reads, of which the shell tells. */
  terminal = start_in_shell("stty -a; echo shell");
  type(terminal, "abort\r", SANE);
  expect(terminal, "shell\r\n");
  CHECK_EQ_INT(run_terminal_finish(terminal), 0);
  terminal = start_in_shell("stty -a; echo shell");
  type(terminal, "wait\r", "[wait]\r\n");
  type(terminal, "\034", "(signal 3)\r\n");
  expect(terminal, SANE);
  expect(terminal, "shell\r\n");
  CHECK_EQ_INT(run_terminal_finish(terminal), 0);
#endif
}

/* Ctrl-Z: a shell with job control gets a sane terminal, and the line is still
 * there when the program goes on. */
static void test_suspend(void) {
#ifdef _WIN32
  check_part_skipped("Ctrl-Z", "there are no jobs to stop");
#else
  run_terminal *terminal = start_in_shell("stty -a; echo shell; fg");
  type(terminal, "hello", "hello");
  type(terminal, "\032", "\r\n\033[?2004l");
  expect(terminal, " icanon");
  expect(terminal, "shell\r\n");
  expect(terminal, "\033[?2004h> hello");
  enter(terminal, "!\r", "[hello!]\r\n");
  leave(terminal);
  /* While nobody reads, too; afterwards keys are as unseen as before. */
  terminal = start_in_shell("stty -a; echo shell; fg");
  type(terminal, "wait\r", "[wait]\r\n");
  type(terminal, "\032", SANE);
  expect(terminal, "shell\r\n");
  expect(terminal, "\033[?2004h");
  CHECK(!strstr(run_terminal_text(terminal), "(shown)"));
  leave(terminal);
#endif
}

/* The screen as it looks after everything so far. */
static void check_screen(run_terminal *terminal, size_t rows, size_t columns, const char *from,
                         const char *expected) {
  screen *s = calloc(1, sizeof *s);
  if (!s) check_fatal("out of memory", "screen");
  const char *text = strstr(run_terminal_text(terminal), from);
  screen_begin(s, rows, columns);
  if (CHECK(text != NULL)) screen_put(s, text, strlen(text));
  char seen[4096] = "";
  for (size_t i = 0; i < rows; i++) {
    const char *row = screen_row(s, i);
    if (*row) strcat(strcat(seen, row), "\n");
  }
  CHECK(!s->failed);
  CHECK_EQ_STR(seen, expected);
  free(s);
}

static void test_resize(void) {
  run_terminal *terminal = start("-");
  type(terminal, "a line that is longer than the terminal is going to be", "going to be");
  if (!host_has_whole_terminals() || !run_terminal_resize(terminal, 10, 20)) {
    check_part_skipped("another size", "this system cannot change it");
    enter(terminal, "\r", "going to be]\r\n");
    leave(terminal);
    return;
  }
  /* The old row takes three now, and all of them are drawn anew. */
  expect(terminal, "\r\033[2A\033[J> a line");
  expect(terminal, "\r\nl is going to be");
  type(terminal, "\001X", "\r\033[");
  type(terminal, "\005!", "be!");
  check_screen(terminal, 10, 20, "\033[J> a line",
               "> Xa line that is lo\nnger than the termin\nal is going to be!\n");
  run_terminal_resize(terminal, 10, 100);
  expect(terminal, "> Xa line that is longer than the terminal is going to be!");
  enter(terminal, "\r", "[Xa line that is longer than the terminal is going to be!]\r\n");
  leave(terminal);
}

/* Without a terminal that can do it: lines as they are. */
static void test_plain(void) {
  const char *argv[] = {self, "--driver", "-", NULL};
  run_result result = run_program(argv, "one\r\ntwo\\\n\xff\x1b[A", 14);
  CHECK_EQ_INT(result.code, 0);
  CHECK_EQ_STR(result.out, "[one]\n[two\\]\n[\xff\\33[A]\n(end)\n");
  CHECK_EQ_STR(result.err, "");
  run_result_clear(&result);
#ifdef _WIN32
  check_part_skipped("a dumb terminal", "consoles draw with escapes themselves");
#else
  host_set_env("TERM", "dumb");
  run_terminal *terminal = run_terminal_start(argv);
  expect(terminal, "> ");
  type(terminal, "hello\n", "hello\r\n[hello]\r\n> ");
  type(terminal, "half\003", "(signal 2)\r\n> ");
  run_terminal_type(terminal, "\004");
  expect(terminal, "(end)\r\n");
  CHECK(!strchr(run_terminal_text(terminal), '\033'));
  CHECK_EQ_INT(run_terminal_finish(terminal), 0);
  host_set_env("TERM", "xterm");
#endif
}

int main(int argc, char **argv) {
  terminal_begin(&argc, &argv);
  if (argc == 3 && strcmp(argv[1], "--driver") == 0) return drive(argv[2]);
  self = argv[0];
  host_expect_crash(); /* a program killed on purpose need not leave its core */
  host_set_env("TERM", "xterm");
  test_editing();
  test_history();
  test_history_trouble();
  test_completion();
  test_signals();
  test_ends();
  test_suspend();
  test_resize();
  test_plain();
  return check_finish();
}

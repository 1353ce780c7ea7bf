/* The commands of gust chat, each typed at a terminal. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat_terminal.h"
#include "check.h"
#include "host.h"
#include "os.h"
#include "run_gust.h"

static void check_file(const char *path, const char *expected) {
  size_t bytes;
  char *text = check_read_file(path, &bytes);
  CHECK_EQ_STR(text, expected);
  free(text);
}

/* Says a command and waits for what it answers. */
static void ask(run_terminal *terminal, const char *line, const char *answer) {
  chat_terminal_say(terminal, line);
  chat_terminal_expect(terminal, "\r\n");
  chat_terminal_expect(terminal, answer);
  chat_terminal_expect(terminal, CHAT_PROMPT);
}

static void test_mistakes(void) {
  run_terminal *t = chat_terminal_start(run_gust_demo("f32"), "--temp", "0", NULL);
  ask(t, "/nonsense now",
      "gust chat: unknown command '/nonsense'; /help lists them, //nonsense... sends it as a "
      "message\r\n");
  ask(t, "/save", "gust chat: /save: expected FILE, found nothing\r\n");
  ask(t, "/clear all", "gust chat: /clear: expected nothing after it, found 'all'\r\n");
  ask(t, "/retry", "gust chat: /retry: there is no turn yet\r\n");
  ask(t, "/undo", "gust chat: /undo: there is no turn yet\r\n");
  ask(t, "/edit 1", "gust chat: /edit: there is no turn yet\r\n");
  ask(t, "/set temp 200", "gust chat: /set temp: expected a number from 0 to 100, found '200'\r\n");
  ask(t, "/set heat 1",
      "gust chat: /set: expected one of temp, top-k, top-p, min-p, repeat-penalty, seed, found "
      "'heat'\r\n");
  ask(t, "/load /nonexistent/file", "gust chat: /nonexistent/file: cannot open: ");
  ask(t, "/read /dev/null",
      "gust chat: /dev/null: expected a regular file, found a device or pipe\r\n");
  ask(t, "/read /", "gust chat: /: expected a regular file, found a folder\r\n");
  ask(t, "/save /dev/null",
      "gust chat: /dev/null: expected a regular file, found a device or pipe\r\n");
  ask(t, "/save /", "gust chat: /: expected a regular file, found a folder\r\n");
  chat_terminal_say(t, "/exit");
  CHECK_EQ_INT(run_terminal_finish(t), 0);
}

static void test_looking(void) {
  run_terminal *t = chat_terminal_start(run_gust_demo("f32"), "--temp", "0", "--seed", "7", NULL);
  ask(t, "/help",
      "  /edit [N]          change your last message, or that of turn N, and answer it");
  ask(t, "/system", "(no system message; /system TEXT sets one)\r\n");
  ask(t, "/system Be kind.", "gust chat: the system message is set; ");
  ask(t, "/system", "Be kind.\r\n");
  ask(t, "/set top-k 20", "  top-k           20\r\n");
  chat_terminal_say(t, "Hello!");
  long fed, prompt;
  chat_terminal_numbers(t, &fed, &prompt);
  ask(t, "/show", "\r\nsystem: Be kind.\r\n\r\n[1] user: Hello!\r\n\r\nassistant: ");
  ask(t, "/context", "context: 2048 positions, keys and values f16\r\n  system  ");
  CHECK_CONTAINS(run_terminal_text(t), "  turn 1  ");
  CHECK_CONTAINS(run_terminal_text(t), "  total   ");
  CHECK_CONTAINS(run_terminal_text(t), " of which 512 are kept for an answer\r\n");
  CHECK_CONTAINS(run_terminal_text(t), "  a token sees the 511 before it directly\r\n");
  CHECK_CONTAINS(run_terminal_text(t), "  seed            7\r\n");
  chat_terminal_leave(t);
}

/* Whether each line that two spaces begin, since the text `from` came last, is shorter
 * than the terminal is wide. */
static void check_fits(run_terminal *t, const char *from, size_t columns) {
  const char *line = run_terminal_text(t), *found;
  size_t lines = 0;
  while ((found = strstr(line, from)) != NULL) line = found + strlen(from);
  while ((line = strstr(line, "\n  ")) != NULL) {
    size_t bytes = strcspn(++line, "\r\n");
    lines++;
    if (!CHECK(bytes < columns)) printf("  %zu columns: \"%.*s\"\n", columns, (int)bytes, line);
  }
  CHECK(lines >= 4);
}

/* Help and ledger keep to the terminal's width. */
static void test_widths(void) {
  run_terminal *t = chat_terminal_start(run_gust_demo("f32"), "--temp", "0", NULL);
  long fed, prompt;
  chat_terminal_say(t, "Tell me in one word, if that is at all possible, who you are, my friend.");
  chat_terminal_numbers(t, &fed, &prompt);
  static const unsigned widths[] = {80, 60, 40};
  for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
    if (!host_has_whole_terminals() || !run_terminal_resize(t, 24, widths[i])) {
      check_part_skipped("narrow terminals", "this system cannot change the size");
      break;
    }
    ask(t, "/help", "gust-chat\r\n");
    check_fits(t, "/help", widths[i]);
    ask(t, "/context", "  a token sees");
    check_fits(t, "/context", widths[i]);
    CHECK_CONTAINS(run_terminal_text(t), "  turn 1  ");
  }
  chat_terminal_leave(t);
}

/* A second turn computes only what is new; an answer again, one token. */
static void test_turns(void) {
  run_terminal *t = chat_terminal_start(run_gust_demo("f32"), "--temp", "0", NULL);
  long fed, prompt;
  chat_terminal_say(t, "Hello!");
  chat_terminal_expect(t, "Hi!\r\n");
  chat_terminal_numbers(t, &fed, &prompt);
  CHECK_EQ_INT(fed, prompt);
  long first = prompt;
  chat_terminal_say(t, "Who are you?");
  chat_terminal_expect(t, "I am the demo model of gust");
  chat_terminal_numbers(t, &fed, &prompt);
  CHECK_EQ_INT(fed, prompt - first - 2); /* "Hi!" is two tokens and was fed as it was drawn */
  chat_terminal_say(t, "/retry");
  chat_terminal_expect(t, "at temperature 0 the answer is always the same");
  chat_terminal_expect(t, "I am the demo model of gust");
  chat_terminal_numbers(t, &fed, &prompt);
  CHECK_EQ_INT(fed, 1);
  /* The message waits to be changed: Ctrl-U clears it. */
  chat_terminal_say(t, "/edit 1");
  chat_terminal_expect(t, "turn 1 is edited; the 1 after it will be gone\r\n");
  chat_terminal_expect(t, "Hello!");
  chat_terminal_say(t, "\025What is gust?");
  chat_terminal_expect(t, "gust is a small program in C");
  chat_terminal_numbers(t, &fed, &prompt);
  ask(t, "/edit 2", "/edit: expected the number of a turn, 1 to 1, found '2'\r\n");
  ask(t, "/undo", "gust chat: turn 1 is gone, 0 turns left\r\n> What is gust?");
  ask(t, "\025/show", "  seed ");
  chat_terminal_leave(t);
}

/* It asks before it replaces a link, and a file that cannot be read. */
static void check_questions(run_terminal *t, const char *kept, const char *expected) {
  char command[600];
  const char *link = check_temp_file("link.txt"), *secret = check_temp_file("secret.txt");
  if (host_make_link(kept, link)) {
    snprintf(command, sizeof command, "/save %s", link);
    chat_terminal_say(t, command);
    chat_terminal_expect(t, "that is a symbolic link; replace the link itself? [y/N] ");
    ask(t, "n", "gust chat: nothing was saved\r\n");
    CHECK(os_is_link(link));
    chat_terminal_say(t, command);
    chat_terminal_expect(t, " [y/N] ");
    ask(t, "y", "gust chat: 2 messages saved to ");
    CHECK(!os_is_link(link) && !os_is_link(kept));
    check_file(link, expected);
  } else {
    check_part_skipped("/save to a link", "no link can be made");
  }
  check_write_file(secret, "x", 1);
  uint64_t bytes;
  os_file opened = host_set_mode(secret, 0) ? os_open_read(secret, &bytes) : -1;
  if (host_has_mode(secret, 0) && opened == -1) {
    snprintf(command, sizeof command, "/save %s", secret);
    chat_terminal_say(t, command);
    chat_terminal_expect(t, "that file exists; replace it? [y/N] ");
    ask(t, "n", "gust chat: nothing was saved\r\n");
  } else {
    check_part_skipped("/save to a file that cannot be read", "this user can read any file");
  }
  os_close(opened);
}

/* Whatever is in the messages, they come back as they were. */
static void test_files(void) {
  const char *model = run_gust_demo("f32");
  char command[600], text[] = "--- user\nHello!\n--- assistant\nHi!\n";
  const char *txt = check_temp_file("kept.txt"), *json = check_temp_file("kept.jsonl");
  run_terminal *t = chat_terminal_start(model, "--temp", "0", NULL);
  long fed, prompt;
  chat_terminal_say(t, "Hello!");
  chat_terminal_numbers(t, &fed, &prompt);
  snprintf(command, sizeof command, "/save %s", txt);
  ask(t, command, "gust chat: 2 messages saved to ");
  check_file(txt, text);
  CHECK(host_has_mode(txt, 0600));
  chat_terminal_say(t, command);
  chat_terminal_expect(t, "that file exists; replace it? [y/N] ");
  chat_terminal_say(t, "n");
  chat_terminal_expect(t, "gust chat: nothing was saved\r\n");
  chat_terminal_expect(t, CHAT_PROMPT);
  check_questions(t, txt, text);
  snprintf(command, sizeof command, "/save %s", json);
  ask(t, command, "gust chat: 2 messages saved to ");
  check_file(json,
             "{\"role\": \"user\", \"content\": \"Hello!\"}\n{\"role\": \"assistant\", "
             "\"content\": \"Hi!\"}\n");
  ask(t, "/clear", "gust chat: 1 turn gone\r\n");
  snprintf(command, sizeof command, "/load %s", json);
  ask(t, command, "gust chat: 1 turn loaded in place of the conversation: 20 tokens, ");
  snprintf(command, sizeof command, "/read %s", txt);
  ask(t, command, " tokens go before the next message\r\n");
  chat_terminal_say(t, "And now?");
  chat_terminal_numbers(t, &fed, &prompt);
  CHECK(fed < prompt); /* the first turn is what it was: nothing of it is read again */
  ask(t, "/show", "[2] user: --- user\r\nHello!\r\n--- assistant\r\nHi!\r\n\r\nAnd now?\r\n");
  chat_terminal_leave(t);
}

/* "/sa", Tab and the name of a file, Tab. */
static void test_completion(void) {
  char command[600];
  const char *text = "--- user\nHello!\n--- assistant\nHi!\n";
  check_write_file(check_temp_file("conversation-of-today.txt"), text, strlen(text));
  run_terminal *t = chat_terminal_start(run_gust_demo("f32"), NULL);
  snprintf(command, sizeof command, "/lo\t%s/conversation-of\t", check_temp());
  ask(t, command, "gust chat: 1 turn loaded in place of the conversation: ");
  ask(t, "/set see\t12345", "  seed            12345\r\n");
  chat_terminal_leave(t);
}

/* What a message holds that the template sets as a mark is said once. A slash can begin
 * a message, too. */
static void test_marks(void) {
  run_terminal *t = chat_terminal_start(run_gust_demo("f32"), "--temp", "0", NULL);
  long fed, prompt;
  chat_terminal_say(t, "//path");
  chat_terminal_numbers(t, &fed, &prompt);
  CHECK(!strstr(run_terminal_text(t), "a line of the message"));
  chat_terminal_say(t, "<|system|> be brief");
  chat_terminal_expect(t, "gust chat: a line of the message begins with '<|system|>'");
  chat_terminal_numbers(t, &fed, &prompt);
  const char *before = strstr(run_terminal_text(t), "a line of the message");
  chat_terminal_say(t, "<|user|> again");
  chat_terminal_numbers(t, &fed, &prompt);
  before = strstr(run_terminal_text(t), "a line of the message");
  CHECK(before && !strstr(before + 1, "a line of the message"));
  ask(t, "/show", "[1] user: /path\r\n");
  chat_terminal_leave(t);
}

int main(void) {
  chat_terminal_prepare();
  test_mistakes();
  test_looking();
  test_widths();
  test_turns();
  test_files();
  test_completion();
  test_marks();
  return check_finish();
}

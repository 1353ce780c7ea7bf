/* gust chat at a terminal: sessions that are resumed, turns that do not fit, and Ctrl-C
 * or a request to end while it reads and while it answers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat_terminal.h"
#include "check.h"
#include "host.h"
#include "run_gust.h"

/* --- sessions ---------------------------------------------------------------------- */

static const char *const questions[] = {"Hello!", "Tell me a story about a dragon and a boat.",
                                        "What did the dragon do then?"};

/* The conversation as it stands, in a file; to be freed. */
static char *saved(run_terminal *terminal, const char *name) {
  char command[600];
  const char *path = check_temp_file(name);
  size_t bytes;
  snprintf(command, sizeof command, "/save %s", path);
  chat_terminal_say(terminal, command);
  chat_terminal_expect(terminal, " saved to ");
  chat_terminal_expect(terminal, CHAT_PROMPT);
  char *text = check_read_file(path, &bytes);
  host_remove(path); /* it would ask before replacing it */
  return text;
}

/* All questions in one go. */
static char *talk_through(const char *model) {
  run_terminal *t = chat_terminal_start(model, "--temp", "1.2", "--seed", "11", NULL);
  long fed, prompt;
  for (size_t i = 0; i < 3; i++) {
    chat_terminal_say(t, questions[i]);
    chat_terminal_numbers(t, &fed, &prompt);
  }
  char *text = saved(t, "through.txt");
  chat_terminal_leave(t);
  return text;
}

/* The same, killed in the middle of the second answer, which begins as it did there. */
static void talk_and_die(const char *model, const char *through) {
  char beginning[16] = "";
  const char *second = strstr(through, "boat.\n--- assistant\n");
  CHECK(second != NULL);
  if (second) snprintf(beginning, sizeof beginning, "%.10s", second + 20);
  CHECK(strlen(beginning) == 10 && !strchr(beginning, '\n'));

  run_terminal *t = chat_terminal_start(model, "--temp", "1.2", "--seed", "11", "--session", "torn",
                                        "--cpu", "c", "--threads", "1", NULL);
  long fed, prompt;
  CHECK_CONTAINS(run_terminal_text(t), "gust chat: new session: ");
  chat_terminal_say(t, questions[0]);
  chat_terminal_numbers(t, &fed, &prompt);
  chat_terminal_say(t, questions[1]);
  chat_terminal_expect(t, "boat.");
  chat_terminal_expect(t, beginning);
  run_terminal_signal(t, RUN_KILL);
  CHECK_EQ_INT(run_terminal_finish(t), 128 + RUN_KILL);
}

static void test_kill(void) {
  const char *model = run_gust_demo("f32");
  char *through = talk_through(model);
  talk_and_die(model, through);
  /* The question waits in the editor; temperature and seed are the session's. It goes on
   * waiting when it is wiped and nothing is said instead. */
  run_terminal *t = chat_terminal_start(model, "--session", "torn", NULL);
  run_terminal_type(t, "\025");
  chat_terminal_leave(t);
  t = chat_terminal_start(model, "--session", "torn", NULL);
  CHECK_CONTAINS(run_terminal_text(t),
                 "gust chat: the last message was never answered; it waits for Enter\r\n");
  CHECK_CONTAINS(run_terminal_text(t), "gust chat: session resumed: 1 turn, ");
  CHECK_CONTAINS(run_terminal_text(t), " tokens restored from its cache\r\n");
  long fed, prompt;
  run_terminal_type(t, "\r");
  chat_terminal_numbers(t, &fed, &prompt);
  CHECK(fed < prompt); /* the first turn came out of the cache */
  chat_terminal_say(t, questions[2]);
  chat_terminal_numbers(t, &fed, &prompt);
  char *resumed = saved(t, "resumed.txt");
  CHECK_EQ_STR(resumed, through);
  chat_terminal_leave(t);
  run_result list = run_gust("", "chat", "--list", (const char *)NULL);
  CHECK_EQ_INT(list.code, 0);
  CHECK_CONTAINS(list.out, "torn  ");
  CHECK_CONTAINS(list.out, "  demo-f32.gust  6 messages  Hello!\n");
  run_result_clear(&list);
  free(resumed);
  free(through);
}

/* Types the line, which has an answer that begins so, and ends in the middle of it. */
static void end_answering(run_terminal *t, const char *line, const char *beginning,
                          run_signal how) {
  run_terminal_type(t, line);
  chat_terminal_expect(t, "\r\n"); /* what was typed is not the answer */
  chat_terminal_expect(t, beginning);
  run_terminal_signal(t, how);
  if (how == RUN_TERMINATE)
    chat_terminal_expect(
        t, "gust chat: asked to end in the middle of an answer, which is not kept\r\n");
  CHECK_EQ_INT(run_terminal_finish(t), 128 + (int)how);
}

/* Goes on with the session, of which it must say `words`. */
static run_terminal *resume(const char *session, const char *ctx, const char *words) {
  run_terminal *t =
      chat_terminal_start(run_gust_demo("f32"), "--temp", "0", "--session", session, "--ctx", ctx,
                          "--on-overflow", "drop-oldest", "--cpu", "c", "--threads", "1", NULL);
  CHECK_CONTAINS(run_terminal_text(t), words);
  return t;
}

static void check_saved(run_terminal *t, const char *name, const char *expected) {
  char *text = saved(t, name);
  CHECK_EQ_STR(text, expected);
  free(text);
}

/* Turns that were finished stay until the answer that takes their place is there. */
static void test_end_edit(const char *session, run_signal how) {
  static const char gust[] = "gust is a small program", who[] = "I am the demo model";
  long fed, prompt;
  run_terminal *t =
      chat_terminal_start(run_gust_demo("f32"), "--temp", "0", "--session", session, NULL);
  chat_terminal_say(t, "Hello!");
  chat_terminal_numbers(t, &fed, &prompt);
  chat_terminal_say(t, "Who are you?");
  chat_terminal_numbers(t, &fed, &prompt);
  char *kept = saved(t, "kept.txt");
  chat_terminal_leave(t);

  t = resume(session, "512", "gust chat: session resumed: 2 turns, ");
  chat_terminal_say(t, "/edit 1");
  chat_terminal_expect(t, "the 1 after it will be gone\r\n");
  chat_terminal_expect(t, "Hello!");
  end_answering(t, "\025What is gust?\r", gust, how);
  t = resume(session, "512", "gust chat: session resumed: 2 turns, ");
  CHECK(!strstr(run_terminal_text(t), "never answered"));
  check_saved(t, "edited.txt", kept);
  chat_terminal_say(t, "/retry");
  end_answering(t, "", who, how);

  /* So do turns that are dropped to make room; and a new message waits. */
  t = resume(session, "96", "gust chat: session resumed: 2 turns, ");
  check_saved(t, "retried.txt", kept);
  chat_terminal_say(t, "What is gust?");
  chat_terminal_expect(t, "; dropped the oldest ");
  end_answering(t, "", gust, how);
  t = resume(session, "96",
             "gust chat: the last message was never answered; it waits for Enter\r\n");
  run_terminal_type(t, "\025"); /* Ctrl-U */
  check_saved(t, "dropped.txt", kept);
  chat_terminal_leave(t);
  free(kept);
}

/* A request to end is no answer to the question, which stays: while the prompt is read. */
static void test_end_reading(const char *text) {
  char command[600];
  run_terminal *t = resume("reading", "2048", "gust chat: new session: ");
  snprintf(command, sizeof command, "/read %s", text);
  chat_terminal_say(t, command);
  chat_terminal_expect(t, CHAT_PROMPT);
  chat_terminal_say(t, "What did it do?");
  chat_terminal_expect(t, "reading the prompt");
  chat_terminal_expect(t, "% [");
  run_terminal_signal(t, RUN_TERMINATE);
  CHECK_EQ_INT(run_terminal_finish(t), 128 + RUN_TERMINATE);
  t = resume("reading", "2048",
             "gust chat: the last message was never answered; it waits for Enter\r\n");
  CHECK_CONTAINS(run_terminal_text(t), "What did it do?");
  run_terminal_type(t, "\003"); /* Ctrl-C, for all of its lines */
  chat_terminal_expect(t, "(Ctrl-D leaves)\r\n");
  chat_terminal_expect(t, CHAT_PROMPT);
  chat_terminal_leave(t);
}

/* Turns that were to make room come back when the answer does not begin. */
static void test_stop_dropping(const char *text, const char *other) {
  char command[600];
  long fed, prompt;
  run_terminal *t = resume("room", "512", "gust chat: new session: ");
  snprintf(command, sizeof command, "/read %s", text);
  chat_terminal_say(t, command);
  chat_terminal_expect(t, CHAT_PROMPT);
  chat_terminal_say(t, "What did it do?");
  chat_terminal_numbers(t, &fed, &prompt);
  char *kept = saved(t, "room-before.txt");
  snprintf(command, sizeof command, "/read %s", other);
  chat_terminal_say(t, command);
  chat_terminal_expect(t, CHAT_PROMPT);
  chat_terminal_say(t, "And then?");
  chat_terminal_expect(t, "; dropped the oldest 1 turn (");
  chat_terminal_expect(t, "reading the prompt");
  chat_terminal_expect(t, "% [");
  run_terminal_interrupt(t);
  chat_terminal_expect(t,
                       "stopped before the answer began; the message was not added, nothing was "
                       "dropped, the ");
  chat_terminal_expect(t, "And then?");
  run_terminal_type(t, "\025");
  check_saved(t, "room-after.txt", kept);
  chat_terminal_leave(t);
  t = resume("room", "512", "gust chat: session resumed: 1 turn, ");
  check_saved(t, "room-resumed.txt", kept);
  chat_terminal_leave(t);
  free(kept);
}

/* Commands that change the conversation reach the session. */
static void test_changed(void) {
  const char *model = run_gust_demo("f32");
  run_terminal *t = chat_terminal_start(model, "--temp", "0", "--session", "changed", NULL);
  long fed, prompt;
  chat_terminal_say(t, "Hello!");
  chat_terminal_numbers(t, &fed, &prompt);
  chat_terminal_say(t, "Who are you?");
  chat_terminal_numbers(t, &fed, &prompt);
  chat_terminal_say(t, "/undo");
  chat_terminal_expect(t, "turn 2 is gone, 1 turn left\r\n");
  chat_terminal_expect(t, "Who are you?"); /* waits in the editor; Ctrl-U clears it */
  chat_terminal_say(t, "\025/set seed 99");
  chat_terminal_expect(t, "  seed            99\r\n");
  chat_terminal_expect(t, CHAT_PROMPT);
  chat_terminal_leave(t);
  t = chat_terminal_start(model, "--session", "changed", NULL);
  CHECK_CONTAINS(run_terminal_text(t), "gust chat: session resumed: 1 turn, ");
  chat_terminal_say(t, "/show");
  chat_terminal_expect(t, "  temp            0\r\n");
  chat_terminal_expect(t, "  seed            99\r\n");
  chat_terminal_expect(t, "\r\n[1] user: Hello!\r\n\r\nassistant: Hi!\r\n> ");
  chat_terminal_leave(t);
}

/* A text of some 200 tokens. */
static const char *long_text(const char *name, const char *sentence) {
  char text[1024] = "";
  for (int i = 0; i < 16; i++) strcat(text, sentence);
  const char *path = check_temp_file(name);
  check_write_file(path, text, strlen(text));
  return path;
}

/* --- overflow ------------------------------------------------------------------------ */

static void test_question(void) {
  run_terminal *t = chat_terminal_start(run_gust_demo("f32"), "--temp", "0", "--ctx", "128",
                                        "--system", "You are kind.", NULL);
  long fed, prompt;
  chat_terminal_say(t, "Hello!");
  chat_terminal_numbers(t, &fed, &prompt);
  chat_terminal_say(t, "What is gust?");
  chat_terminal_numbers(t, &fed, &prompt);
  const char *big =
      "Please tell me a very long and very funny story about a little dragon and a "
      "big boat.";
  chat_terminal_say(t, big);
  chat_terminal_expect(t,
                       " and 32 more are kept for the answer, the context holds 128; to make "
                       "room drop the oldest ");
  chat_terminal_expect(t, "the system message stays\r\n");
  chat_terminal_expect(t, " [y/N] ");
  chat_terminal_say(t, "n");
  chat_terminal_expect(t, "gust chat: the message was not added and nothing was dropped; ");
  /* It waits in the editor. */
  chat_terminal_expect(t, "big boat.");
  run_terminal_type(t, "\r");
  chat_terminal_expect(t, " [y/N] ");
  chat_terminal_say(t, "y");
  chat_terminal_numbers(t, &fed, &prompt);
  CHECK(prompt <= 96);
  chat_terminal_say(t, "/show");
  chat_terminal_expect(t, "\r\nsystem: You are kind.\r\n");
  chat_terminal_expect(t, "user: Please tell me");
  chat_terminal_expect(t, CHAT_PROMPT);
  const char *show = strstr(run_terminal_text(t), "\r\nsystem: You are kind.\r\n");
  CHECK(show && !strstr(show, "user: Hello!"));
  chat_terminal_leave(t);
}

/* In a pipe nobody can be asked. */
static void test_policies(void) {
  const char *model = run_gust_demo("f32");
  const char *input =
      "Hello!\nWhat is gust?\nPlease tell me a very long and very funny story about "
      "a little dragon and a big boat.\nHello!\n";
  run_result result =
      run_gust(input, "chat", model, "--temp", "0", "--quiet", "--ctx", "128", (const char *)NULL);
  CHECK_EQ_INT(result.code, 1);
  CHECK_CONTAINS(result.err, "; to make room drop the oldest ");
  CHECK_CONTAINS(result.err, "gust chat: line 3: this turn needs ");
  CHECK_CONTAINS(result.err,
                 "gust chat: line 3: the message was not added and nothing was dropped; ");
  run_result_clear(&result);
  result = run_gust(input, "chat", model, "--temp", "0", "--quiet", "--ctx", "128", "--on-overflow",
                    "drop-oldest", (const char *)NULL);
  CHECK_EQ_INT(result.code, 0);
  CHECK_CONTAINS(result.err,
                 " and 32 more are kept for the answer, the context holds 128; dropped "
                 "the oldest ");
  run_result_clear(&result);
}

/* --- Ctrl-C ----------------------------------------------------------------------------- */

/* What was read before Ctrl-C is not read again. */
static void test_stop_reading(const char *path) {
  char command[600];
  run_terminal *t = chat_terminal_start(run_gust_demo("f32"), "--temp", "0", "--cpu", "c",
                                        "--threads", "1", NULL);
  snprintf(command, sizeof command, "/read %s", path);
  chat_terminal_say(t, command);
  chat_terminal_expect(t, " tokens go before the next message\r\n");
  chat_terminal_say(t, "What did it do?");
  chat_terminal_expect(t, "reading the prompt");
  chat_terminal_expect(t, "% [");
  run_terminal_interrupt(t);
  chat_terminal_expect(t, "stopped before the answer began; the message was not added, the ");
  size_t place = strlen(run_terminal_text(t));
  chat_terminal_expect(t, " tokens read so far are kept\r\n");
  const char *found = strstr(run_terminal_text(t), "was not added, the ");
  long kept = found ? strtol(found + 19, NULL, 10) : 0;
  CHECK(kept > 0 && place > 0);
  chat_terminal_expect(t, "What did it do?");
  run_terminal_type(t, "\r");
  chat_terminal_expect(t, " new), decode ");
  const char *numbers = strstr(run_terminal_text(t), "t/s (");
  for (const char *next; numbers && (next = strstr(numbers + 1, "t/s (")) != NULL;) numbers = next;
  long fed = 0, prompt = 0;
  CHECK(numbers && sscanf(numbers, "t/s (%ld of %ld new)", &fed, &prompt) == 2);
  CHECK_EQ_INT(fed, prompt - kept);
  chat_terminal_expect(t, CHAT_PROMPT);
  chat_terminal_leave(t);
}

/* What was said before Ctrl-C stays said. */
static void test_stop_answering(void) {
  const char *question = "Tell me a story about a dragon and a boat.";
  run_result known = run_gust("", "run", run_gust_demo("f32"), "-p", question, "--temp", "0", "-n",
                              "4", "--quiet", (const char *)NULL);
  char beginning[8];
  snprintf(beginning, sizeof beginning, "%.4s", known.out);
  CHECK_EQ_STR(known.err, "");
  CHECK_EQ_INT(strlen(beginning), 4);
  run_result_clear(&known);
  run_terminal *t = chat_terminal_start(run_gust_demo("f32"), "--temp", "0", "--cpu", "c",
                                        "--threads", "1", NULL);
  long fed, prompt;
  chat_terminal_say(t, question);
  chat_terminal_expect(t, "boat.");
  chat_terminal_expect(t, beginning);
  run_terminal_interrupt(t);
  chat_terminal_numbers(t, &fed, &prompt);
  CHECK_EQ_INT(fed, prompt);
  CHECK(!strstr(run_terminal_text(t), "max_new_tokens"));
  char *text = saved(t, "stopped.txt");
  const char *answer = strstr(text, "--- assistant\n");
  CHECK(answer && strlen(answer) >= 14 + strlen(beginning));
  free(text);
  /* The next turn goes on from there. */
  chat_terminal_say(t, "Hello!");
  chat_terminal_numbers(t, &fed, &prompt);
  CHECK(fed < prompt);
  chat_terminal_leave(t);
}

int main(void) {
  chat_terminal_prepare();
  const char *text = long_text("long.txt", "The cat sat on the mat and looked at the dog. ");
  const char *other = long_text("other.txt", "A bird flew over the hill and sang to the moon. ");
  test_kill();
  test_end_edit("killed", RUN_KILL);
  if (host_has_whole_terminals()) {
    test_end_edit("ended", RUN_TERMINATE);
    test_end_reading(text);
  } else {
    check_part_skipped("a request to end", "consoles here end programs without telling them");
  }
  test_changed();
  test_question();
  test_policies();
  test_stop_reading(text);
  test_stop_dropping(text, other);
  test_stop_answering();
  return check_finish();
}

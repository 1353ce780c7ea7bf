/* gust chat: lines from a pipe, and someone at a terminal that knows no editing. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "cli/session_journal.h"
#include "demo_model.h"
#include "host.h"
#include "run_gust.h"

static const char who_answer[] =
    "I am the demo model of gust, a tiny language model with about eight million parameters. I can "
    "tell short stories and chat a little.";

static const char gust_answer[] =
    "gust is a small program in C that runs language models on an ordinary laptop. It turns a "
    "checkpoint into a 4-bit or 8-bit file once, and then chats from that file with fast SIMD "
    "kernels.";

static void test_pipe(void) {
  const char *model = run_gust_demo("f32");
  char expected[1024];
  snprintf(expected, sizeof expected, "%s\n", who_answer);
  CHECK_GUST(0, expected, "", "Who are you?\n", "chat", model, "--temp", "0", "--quiet");
  CHECK_GUST(0, expected, "", "\n \nWho are you?", "chat", model, "--temp", "0", "--quiet");
  CHECK_GUST(0, "", "", "", "chat", model, "--quiet");
  /* The second turn goes on from the first one's cache. */
  snprintf(expected, sizeof expected, "Hi!\n\n%s\n", gust_answer);
  CHECK_GUST(0, expected, "", "Hello!\r\nWhat is gust?\n", "chat", model, "--temp", "0", "--quiet",
             "--kv", "f32");
  snprintf(expected, sizeof expected, "The only thing I'm committed to is being a great friend.\n");
  CHECK_GUST(0, expected, "", "How many helicopters can a human eat in one sitting?\n", "chat",
             model, "--temp", "0", "--quiet", "--system",
             "You are a friendly chatbot who always responds in the style of a pirate");
}

/* What is no text is no message; the conversation goes on without it. */
static void test_no_text(void) {
  const char *model = run_gust_demo("f32");
  CHECK_GUST(
      1, "Hi!\n",
      "gust chat: line 1: the message: expected text in UTF-8, found byte 0xff at offset 4; it was "
      "not added\n"
      "gust chat: line 2: the message: expected text in UTF-8, found byte 0xc3 at offset 0; it was "
      "not added\n",
      "who \xff?\n\xc3\nHello!\n", "chat", model, "--temp", "0", "--quiet");
#ifdef _WIN32
  check_part_skipped("an argument that is no text", "arguments are UTF-16");
#else
  CHECK_GUST(2, "", "gust chat: --system: expected text in UTF-8, found byte 0xfe at offset 3\n",
             "", "chat", model, "--system", "be \xfe");
#endif
}

/* What the template refuses is said with the number of the line, empty ones counted. */
static void test_refused_line(void) {
  CHECK_GUST(1, "",
             "gust chat: line 2: chat template line 1: the template refuses the conversation: "
             "Conversation roles must alternate user/assistant/user/assistant/...\n",
             "\nHello!\n", "chat", run_gust_demo("f32"), "--template", "mistral-v0.1", "--system",
             "Be kind.", "--quiet");
}

/* A turn that does not fit is refused with the numbers; the next one goes on
 * from the conversation as it was. */
static void test_full_context(void) {
  const char *model = run_gust_demo("f32");
  char input[1024] = "Who are you?\n\n";
  for (int i = 0; i < 100; i++) strcat(input, "word ");
  strcat(input, "\n");
  run_result result =
      run_gust(input, "chat", model, "--temp", "0", "--quiet", "--ctx", "64", (const char *)NULL);
  CHECK_EQ_INT(result.code, 1);
  char expected[1024];
  snprintf(expected, sizeof expected, "%s\n", who_answer);
  CHECK_EQ_STR(result.out, expected);
  CHECK_CONTAINS(result.err, "gust chat: line 3: this message needs ");
  CHECK_CONTAINS(result.err,
                 " positions and room for an answer, the context holds 64; the message was not "
                 "added and nothing was dropped; shorten it or start with a larger --ctx\n");
  run_result_clear(&result);
  result = run_gust("Tell me a story about a dragon and a boat.\n", "chat", model, "--temp", "0",
                    "--ctx", "40", "--load", "mmap", (const char *)NULL);
  CHECK_EQ_INT(result.code, 0);
  CHECK_EQ_STR(result.err,
               "gust chat: note: the context is full (40 of 40 positions), so the answer ends "
               "here; start anew or with a larger --ctx\n");
  run_result_clear(&result);
}

#ifdef _WIN32
static void test_terminal(void) {
  check_part_skipped("a dumb terminal", "consoles draw with escapes themselves");
}

static void test_hostile_answer(void) {}
#else
static void expect(run_terminal *terminal, const char *text) {
  if (CHECK(run_terminal_expect(terminal, text, 60))) return;
  fprintf(stderr, "  waited for \"%s\", saw:\n%s\n", text, run_terminal_text(terminal));
}

static void test_terminal(void) {
  const char *argv[] = {run_gust_binary(), "chat", run_gust_demo("f32"), "--temp", "0", NULL};
  run_terminal *terminal = run_terminal_start(argv);
  expect(terminal, "gust chat: --load auto: ");
  expect(terminal, "gust chat: /help lists commands, Ctrl-C stops an answer, Ctrl-D leaves\r\n> ");
  run_terminal_type(terminal, "Hello!\n");
  expect(terminal, "Hi!\r\n");
  expect(terminal, " tokens, prefill ");
  expect(terminal, " t/s, context ");
  expect(terminal, "/2048");
  expect(terminal, "> ");
  run_terminal_type(terminal, "What is gust?\n");
  expect(terminal, gust_answer);
  expect(terminal, "> ");
  /* Ctrl-C with half a line typed: the line is forgotten. */
  run_terminal_type(terminal, "nonsense");
  expect(terminal, "nonsense");
  run_terminal_type(terminal, "\003");
  expect(terminal, "(Ctrl-D leaves)\r\n> ");
  run_terminal_type(terminal, "\004");
  CHECK_EQ_INT(run_terminal_finish(terminal), 0);
}

/* A model may spell what drives a terminal. There it is shown; a pipe gets the bytes. */
static void test_hostile_answer(void) {
  const char *argv[] = {run_gust_binary(),
                        "chat",
                        run_gust_demo("f32"),
                        "--temp",
                        "100",
                        "--top-k",
                        "0",
                        "--top-p",
                        "1",
                        "--seed",
                        "33",
                        NULL};
  run_result raw = run_gust("Hello\n", "chat", argv[2], "--temp", "100", "--top-k", "0", "--top-p",
                            "1", "--seed", "33", "--quiet", (const char *)NULL);
  CHECK(memchr(raw.out, 033, raw.out_bytes) != NULL);
  run_result_clear(&raw);
  run_terminal *terminal = run_terminal_start(argv);
  expect(terminal, "> ");
  run_terminal_type(terminal, "Hello\n");
  expect(terminal, " t/s, context ");
  CHECK_CONTAINS(run_terminal_text(terminal), "^[");
  CHECK(!strchr(run_terminal_text(terminal), 033));
  expect(terminal, "> ");
  run_terminal_type(terminal, "\004");
  CHECK_EQ_INT(run_terminal_finish(terminal), 0);
}

#endif

/* Whatever ends a chat on a pipe in the middle of an answer: half of it is no answer, and
 * the question stays in the session, also when that is opened where nothing can wait in an
 * editor, until another message is taken. */
#ifdef _WIN32
static void test_cut_off(void) {
  check_part_skipped("an answer cut off on a pipe", "needs a shell");
}
#else
static void check_listed(const char *words) {
  run_result list = run_gust("", "chat", "--list", (const char *)NULL);
  CHECK_CONTAINS(list.out, words);
  run_result_clear(&list);
}

static void talk(const char *model, const char *input, const char *out, const char *words) {
  run_result result =
      run_gust(input, "chat", model, "--session", "cut", "--quiet", (const char *)NULL);
  CHECK_EQ_INT(result.code, 0);
  CHECK_EQ_STR(result.out, out);
  CHECK_CONTAINS(result.err, words);
  run_result_clear(&result);
}

static void test_cut_off(void) {
  char line[1200];
  const char *question = check_temp_file("question.txt"), *model = run_gust_demo("f32");
  const char *argv[] = {"/bin/sh", "-c", line, NULL};
  static const char never[] =
      "gust chat: the last message was never answered and is not part of the conversation now\n";
  check_write_file(question, "Who are you?\n", 13);
  snprintf(line, sizeof line,
           "exec $MESON_EXE_WRAPPER '%s' chat '%s' --temp 0 --session cut --quiet --cpu c "
           "--threads 1 < '%s'",
           run_gust_binary(), model, question);
  run_terminal *terminal = run_terminal_start(argv);
  expect(terminal, "I am");
  run_terminal_interrupt(terminal);
  expect(terminal, "gust chat: asked to end in the middle of an answer, which is not kept\r\n");
  CHECK_EQ_INT(run_terminal_finish(terminal), 128 + RUN_INTERRUPT);
  for (int i = 0; i < 2; i++) {
    talk(model, "", "", never);
    check_listed("  1 message  Who are you?\n");
  }
  talk(model, "Hello!\n", "Hi!\n", never);
  check_listed("  2 messages  Hello!\n");
}
#endif

/* What cannot be a session is refused in one line; a pipe knows no commands. */
static void test_sessions(void) {
  const char *model = run_gust_demo("f32"), *path = check_temp_file("none.session");
  check_write_file(path, "this is no session, but somebody's letter\n", 42);
  run_result result = run_gust("Hello!\n", "chat", model, "--session", path, (const char *)NULL);
  CHECK_EQ_INT(result.code, 1);
  CHECK_EQ_STR(result.out, "");
  CHECK_CONTAINS(result.err, path);
  run_result_clear(&result);
  CHECK_GUST(2, "", "gust chat: MODEL is missing; usage: gust chat MODEL [options]\n", "", "chat");
  result =
      run_gust("/save letter.txt\n", "chat", model, "--temp", "0", "--quiet", (const char *)NULL);
  CHECK_EQ_INT(result.code, 0);
  CHECK_EQ_STR(result.err, "");
  CHECK(result.out_bytes > 1); /* it was answered */
  run_result_clear(&result);
}

/* A session goes on with the template it was begun with, here one that refuses what the
 * model's own knows, until another is given. */
static void test_kept_template(void) {
  const char *model = run_gust_demo("f32"), *path = check_temp_file("template.session");
  char words[400];
  CHECK_GUST(0, NULL, "", "Hello!\n", "chat", model, "--session", path, "--quiet", "--template",
             "mistral-v0.1");
  CHECK_GUST(1, "",
             "gust chat: line 1: chat template line 1: the template refuses the conversation: "
             "Conversation roles must alternate user/assistant/user/assistant/...\n",
             "Who are you?\n", "chat", model, "--session", path, "--system", "Be kind.", "--quiet");
  run_result own = run_gust("Who are you?\n", "chat", model, "--session", path, "--quiet",
                            "--template", "own", (const char *)NULL);
  CHECK_EQ_INT(own.code, 0);
  CHECK(own.out_bytes > 1);
  run_result_clear(&own);
  run_result kept =
      run_gust("Hello!\n", "chat", model, "--session", path, "--quiet", (const char *)NULL);
  CHECK_EQ_INT(kept.code, 0);
  CHECK(kept.out_bytes > 1);
  run_result_clear(&kept);

  gust_error err = {0};
  gust_model *opened = demo_model_open("f32");
  session_journal *journal;
  const session_options options = {.model_name = "demo"};
  CHECK_EQ_INT(session_journal_open(&journal, path, opened, &options, &err), GUST_OK);
  CHECK_EQ_STR(session_journal_setting(journal, "template"), "own");
  CHECK_EQ_INT(session_journal_add_setting(journal, "template", "esperanto", &err), GUST_OK);
  CHECK_EQ_INT(session_journal_commit(journal, NULL, &err), GUST_OK);
  session_journal_close(journal);
  gust_model_close(opened);
  snprintf(words, sizeof words,
           "gust chat: %s: its template 'esperanto' is not one of this gust's; give --template, "
           "which 'gust help chat' lists\n",
           path);
  CHECK_GUST(1, "", words, "Hello!\n", "chat", model, "--session", path, "--quiet");
}

/* A template was chosen for a model: another one takes its own. */
static void test_other_model(void) {
  const char *path = check_temp_file("other.session");
  CHECK_GUST(0, NULL, "", "Hello!\n", "chat", run_gust_demo("f32"), "--session", path, "--quiet",
             "--template", "mistral-v0.1");
  run_result other =
      run_gust("Who are you?\n", "chat", run_gust_demo("q8"), "--session", path, "--other-model",
               "--system", "Be kind.", "--quiet", (const char *)NULL);
  CHECK_EQ_INT(other.code, 0);
  CHECK(other.out_bytes > 1);
  run_result_clear(&other);
}

static void test_dangling_link(void) {
  const char *link = check_temp_file("link.session"), *target = check_temp_file("nowhere.session");
  if (!host_make_link(target, link)) {
    check_part_skipped("a link to no file", "no link can be made");
    return;
  }
  char words[400];
  snprintf(words, sizeof words,
           "gust chat: %s: this is a symbolic link to no file; it is left as it is: give another "
           "--session\n",
           link);
  CHECK_GUST(1, "", words, "Hello!\n", "chat", run_gust_demo("f32"), "--session", link);
  CHECK(!host_exists(target));
}

/* A request to end is no key: at a pipe any signal leaves. */
static void test_signals(void) {
  if (!host_has_whole_terminals()) {
    check_part_skipped("a request to end", "consoles here end programs without telling them");
    return;
  }
  const char *argv[] = {run_gust_binary(), "chat", run_gust_demo("q4"), "--quiet", NULL};
  run_result result = run_program_signalled(argv, 300, RUN_TERMINATE);
  CHECK_EQ_INT(result.code, 128 + RUN_TERMINATE);
  CHECK_EQ_STR(result.out, "");
  run_result_clear(&result);
}

int main(void) {
  run_gust_binary();
  host_set_env("TERM", "dumb");
  host_set_env("XDG_STATE_HOME", check_temp());
  test_pipe();
  test_no_text();
  test_refused_line();
  test_full_context();
  test_terminal();
  test_hostile_answer();
  test_cut_off();
  test_sessions();
  test_kept_template();
  test_other_model();
  test_dangling_link();
  test_signals();
  return check_finish();
}

/* gust chat: lines from a pipe, and someone at a terminal. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
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
  snprintf(expected, sizeof expected, "Hi!\n%s\n", gust_answer);
  CHECK_GUST(0, expected, "", "Hello!\r\nWhat is gust?\n", "chat", model, "--temp", "0", "--quiet",
             "--kv", "f32");
  snprintf(expected, sizeof expected, "The only thing I'm committed to is being a great friend.\n");
  CHECK_GUST(0, expected, "", "How many helicopters can a human eat in one sitting?\n", "chat",
             model, "--temp", "0", "--quiet", "--system",
             "You are a friendly chatbot who always responds in the style of a pirate");
}

/* A turn that does not fit is refused with the numbers; the next one goes on
 * from the conversation as it was. */
static void test_full_context(void) {
  const char *model = run_gust_demo("f32");
  char input[1024] = "Who are you?\n";
  for (int i = 0; i < 100; i++) strcat(input, "word ");
  strcat(input, "\n");
  run_result result =
      run_gust(input, "chat", model, "--temp", "0", "--quiet", "--ctx", "64", (const char *)NULL);
  CHECK_EQ_INT(result.code, 1);
  char expected[1024];
  snprintf(expected, sizeof expected, "%s\n", who_answer);
  CHECK_EQ_STR(result.out, expected);
  CHECK_CONTAINS(result.err, "gust chat: this turn needs ");
  CHECK_CONTAINS(result.err,
                 " positions and room for an answer, the context holds 64; the message "
                 "was not added and nothing was dropped; start anew or with a larger "
                 "--ctx\n");
  run_result_clear(&result);
  result = run_gust("Tell me a story about a dragon and a boat.\n", "chat", model, "--temp", "0",
                    "--ctx", "40", "--load", "mmap", (const char *)NULL);
  CHECK_EQ_INT(result.code, 0);
  CHECK_EQ_STR(result.err,
               "gust chat: the context is full (40 of 40 positions), so the answer ends "
               "here; start anew or with a larger --ctx\n");
  run_result_clear(&result);
}

static void expect(run_terminal *terminal, const char *text) {
  if (CHECK(run_terminal_expect(terminal, text, 60))) return;
  fprintf(stderr, "  waited for \"%s\", saw:\n%s\n", text, run_terminal_text(terminal));
}

static void test_terminal(void) {
  const char *argv[] = {run_gust_binary(), "chat", run_gust_demo("f32"), "--temp", "0", NULL};
  run_terminal *terminal = run_terminal_start(argv);
  expect(terminal, "gust chat: --load auto: ");
  expect(terminal, "gust chat: Ctrl-C stops an answer, Ctrl-D leaves\r\n> ");
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

/* Ctrl-C stops a long answer; what there is of it stays in the conversation. */
static void test_terminal_stop(void) {
  const char *argv[] = {run_gust_binary(),
                        "chat",
                        run_gust_demo("f32"),
                        "--temp",
                        "5",
                        "--cpu",
                        "c",
                        "--threads",
                        "1",
                        "--top-k",
                        "0",
                        "--top-p",
                        "1",
                        "--seed",
                        "1",
                        NULL};
  run_terminal *terminal = run_terminal_start(argv);
  expect(terminal, "> ");
  run_terminal_type(terminal, "Tell me a story about a dragon and a boat.\n");
  expect(terminal, "boat.\r\n");
  /* Wait for some of the answer before stopping it. */
  expect(terminal, " ");
  expect(terminal, " ");
  run_terminal_type(terminal, "\003");
  expect(terminal, " tokens, prefill ");
  expect(terminal, "> ");
  CHECK(!strstr(run_terminal_text(terminal), "max_new_tokens"));
  run_terminal_type(terminal, "Go on.\n");
  expect(terminal, "Go on.\r\n");
  expect(terminal, " ");
  run_terminal_type(terminal, "\003");
  expect(terminal, "> ");
  run_terminal_type(terminal, "\004");
  CHECK_EQ_INT(run_terminal_finish(terminal), 0);
}

/* A request to end is no key: at a pipe any signal leaves. */
static void test_signals(void) {
  const char *argv[] = {run_gust_binary(), "chat", run_gust_demo("q4"), "--quiet", NULL};
  run_result result = run_program_signalled(argv, 300, SIGTERM);
  CHECK_EQ_INT(result.code, 128 + SIGTERM);
  CHECK_EQ_STR(result.out, "");
  run_result_clear(&result);
}

int main(void) {
  run_gust_binary();
  test_pipe();
  test_full_context();
  test_terminal();
  test_terminal_stop();
  test_signals();
  return check_finish();
}

/* Signals at random moments of a command's life: the exit code is 128 and the signal (or
 * the command was done already), no half-written file is taken for a whole one, and what
 * was interrupted goes on to the same result. */
#define _XOPEN_SOURCE 700

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "chat_terminal.h"
#include "check.h"
#include "run_gust.h"

static unsigned long long seed = 2024;

static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGKILL};

static unsigned random_ms(unsigned most) {
  return (unsigned)(check_random(&seed) % most);
}

static int random_end(void) {
  return ends[check_random(&seed) % (sizeof ends / sizeof *ends)];
}

static void pause_ms(unsigned milliseconds) {
  nanosleep(&(struct timespec){milliseconds / 1000, (long)(milliseconds % 1000) * 1000000}, NULL);
}

/* Killed by the signal and leaving for it look alike here. Counts those into
 * *interrupted: were all signals ignored, every command would be done already. */
static void check_code(int code, int sent, const char *what, int *interrupted) {
  *interrupted += code == 128 + sent;
  if (code != 0 && code != 128 + sent) printf("%s: signal %d, code %d\n", what, sent, code);
  CHECK(code == 0 || code == 128 + sent);
}

static void conversions(void) {
  const char *folder = check_temp_file("out"), *target = check_temp_file("out/model.gust");
  const char *whole = run_gust_demo("q4");
  if (mkdir(folder, 0700) != 0) check_fatal("mkdir", folder);
  const char *const argv[] = {run_gust_binary(), "convert", check_demo(), "-o", target,
                              "--quiet",         NULL};
  size_t bytes, expected;
  char *want = check_read_file(whole, &expected);
  int interrupted = 0;
  for (int i = 0; i < 8; i++) {
    int sent = random_end();
    run_result result = run_program_signalled(argv, random_ms(500), sent);
    check_code(result.code, sent, "convert", &interrupted);
    CHECK_EQ_INT(access(target, F_OK) == 0, result.code == 0);
    run_result_clear(&result);
    if (i % 2 == 0 && result.code) continue; /* once more into what it left */
    result = run_program(argv, "", 0);
    CHECK_EQ_INT(result.code, 0);
    run_result_clear(&result);
    char *found = check_read_file(target, &bytes);
    CHECK(bytes == expected && memcmp(found, want, bytes) == 0);
    CHECK_EQ_INT(check_files_in(folder), 1);
    free(found);
    remove(target);
  }
  free(want);
  CHECK(interrupted > 0);
}

/* What came out is the beginning of what comes out undisturbed. */
static void answers(void) {
  const char *const argv[] = {run_gust_binary(),
                              "run",
                              run_gust_demo("q4"),
                              "--raw",
                              "-p",
                              "Once upon a time",
                              "-n",
                              "1200",
                              "--temp",
                              "1",
                              "--seed",
                              "4",
                              NULL};
  run_result whole = run_program(argv, "", 0);
  CHECK_EQ_INT(whole.code, 0);
  int interrupted = 0;
  for (int i = 0; i < 6; i++) {
    int sent = i ? random_end() : SIGPIPE; /* which is noted alone: writes fail as well */
    run_result result = run_program_signalled(argv, random_ms(400), sent);
    check_code(result.code, sent, "run", &interrupted);
    size_t bytes = result.out_bytes;
    /* Whoever leaves ends the line. */
    if (bytes && result.code && result.out[bytes - 1] == '\n') bytes--;
    CHECK(bytes <= whole.out_bytes && memcmp(result.out, whole.out, bytes) == 0);
    run_result_clear(&result);
  }
  run_result_clear(&whole);
  CHECK(interrupted > 0);
}

/* Stopped for a moment and continued, it computes the same. */
static void stopped(void) {
  const char *const argv[] = {run_gust_binary(),
                              "eval",
                              run_gust_demo("q4"),
                              "--text",
                              check_data("heldout.txt"),
                              "--json",
                              "--chunks",
                              "6",
                              "--threads",
                              "2",
                              NULL};
  run_terminal *terminal = run_terminal_start(argv);
  for (int i = 0; i < 5; i++) {
    pause_ms(random_ms(60));
    run_terminal_signal(terminal, SIGSTOP);
    pause_ms(random_ms(60));
    run_terminal_signal(terminal, SIGCONT);
  }
  run_result result = run_program(argv, "", 0);
  CHECK_EQ_INT(result.code, 0);
  char *line = strstr(result.out, "\"ppl\"");
  if (CHECK(line != NULL)) {
    line[strcspn(line, "\n")] = 0;
    CHECK(run_terminal_expect(terminal, line, 60));
  }
  CHECK_EQ_INT(run_terminal_finish(terminal), 0);
  run_result_clear(&result);
}

/* How many turns the chat says it resumed; -1: it does not say. */
static int resumed_turns(const char *text) {
  static const char words[] = "session resumed: ";
  const char *at = strstr(text, words);
  char *end;
  long turns = at ? strtol(at + strlen(words), &end, 10) : -1;
  return at && strncmp(end, " turn", 5) == 0 ? (int)turns : -1;
}

/* The terminal hears of the end in whatever state it is in; the session opens again with
 * all that was said before, and says so: never with fewer turns than once were there. */
static void chats(void) {
  const char *model = run_gust_demo("q4"), *session = check_temp_file("talk.session");
  static const int leaving[] = {SIGTERM, SIGHUP, SIGKILL};
  int turns = 1; /* the first is waited for */
  for (int i = 0; i < 6; i++) {
    run_terminal *t =
        chat_terminal_start(model, "--session", session, "--ctx", "4096", "--seed", "5", NULL);
    CHECK(!strstr(run_terminal_text(t), "damaged"));
    if (i > 0) {
      int now = resumed_turns(run_terminal_text(t));
      if (!CHECK(now >= turns)) printf("%d turns, then %d\n", turns, now);
      turns = now;
    }
    long fed, prompt;
    run_terminal_type(t, "\025"); /* a question that waits from before is wiped */
    chat_terminal_say(t, "Tell me a story about a boat.");
    if (i % 3 == 0) { /* a turn that must be kept, since its end is seen */
      chat_terminal_numbers(t, &fed, &prompt);
      turns += i > 0;
      chat_terminal_say(t, "And then?");
    }
    int sent = leaving[i % 3];
    pause_ms(random_ms(500));
    run_terminal_signal(t, sent);
    CHECK_EQ_INT(run_terminal_finish(t), 128 + sent);
  }
}

int main(void) {
  chat_terminal_prepare();
  conversions();
  answers();
  stopped();
  chats();
  return check_finish();
}

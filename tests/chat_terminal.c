#include "chat_terminal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "host.h"
#include "run_gust.h"

#define PATIENCE 60.0 /* seconds; machines that run tests are busy */

void chat_terminal_prepare(void) {
  run_gust_binary();
  host_set_env("XDG_STATE_HOME", check_temp());
  host_set_env("TERM", "xterm");
  host_set_env("NO_COLOR", "1");
}

void chat_terminal_expect(run_terminal *terminal, const char *text) {
  if (CHECK(run_terminal_expect(terminal, text, PATIENCE))) return;
  check_fatal(text, run_terminal_text(terminal));
}

run_terminal *chat_terminal_start(const char *model, ...) {
  const char *argv[32] = {run_gust_binary(), "chat", model};
  size_t count = 3;
  va_list list;
  va_start(list, model);
  while (count < 31 && (argv[count] = va_arg(list, const char *))) count++;
  va_end(list);
  argv[count] = NULL;
  run_terminal *terminal = run_terminal_start(argv);
  chat_terminal_expect(terminal, "Ctrl-D leaves\r\n");
  chat_terminal_expect(terminal, CHAT_PROMPT);
  return terminal;
}

void chat_terminal_say(run_terminal *terminal, const char *line) {
  run_terminal_type(terminal, line);
  run_terminal_type(terminal, "\r");
}

void chat_terminal_numbers(run_terminal *terminal, long *fed, long *prompt) {
  chat_terminal_expect(terminal, " t/s (");
  const char *last = run_terminal_text(terminal), *found;
  chat_terminal_expect(terminal, " new), decode ");
  last = run_terminal_text(terminal); /* it may have moved */
  while ((found = strstr(last, " t/s (")) != NULL) last = found + 6;
  *fed = *prompt = -1;
  CHECK_EQ_INT(sscanf(last, "%ld of %ld new)", fed, prompt), 2);
  chat_terminal_expect(terminal, "\n");
  chat_terminal_expect(terminal, CHAT_PROMPT);
}

void chat_terminal_leave(run_terminal *terminal) {
  run_terminal_type(terminal, "\004");
  CHECK_EQ_INT(run_terminal_finish(terminal), 0);
}

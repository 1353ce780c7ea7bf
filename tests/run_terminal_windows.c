/* Terminals as run_program.h has them, on pseudo-consoles. What a program prints is not
 * passed on as it is: the console draws what changed on its screen, with sequences of
 * its own around it, which are taken out again. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "host.h"
#include "run_program.h"
#include "windows_process.h"

struct run_terminal {
  windows_console console;
  windows_process process;
  windows_reader *reader;
  char *seen;     /* what was printed when expect last looked */
  size_t matched; /* expect looks from here on */
};

run_terminal *run_terminal_start(const char *const argv[]) {
  run_terminal *terminal = calloc(1, sizeof *terminal);
  if (!terminal) check_fatal("out of memory", "terminal");
  terminal->console = windows_console_open();
  terminal->reader = windows_reader_start(terminal->console.out);
  terminal->process = windows_process_start(argv, NULL, &terminal->console);
  terminal->seen = windows_reader_text(terminal->reader, NULL);
  return terminal;
}

void run_terminal_type(run_terminal *terminal, const char *text) {
  size_t bytes = strlen(text);
  DWORD put;
  while (bytes > 0) {
    if (!WriteFile(terminal->console.in, text, (DWORD)bytes, &put, NULL))
      check_fatal("cannot type", text);
    text += put;
    bytes -= put;
  }
}

/* The console hides the cursor while it draws, and draws a blank by erasing and moving
 * on or ending the line. */
static void take_out_drawing(char *text) {
  static const struct {
    const char *drawn, *meant;
  } parts[] = {
      {"\033[?25l", ""}, {"\033[?25h", ""}, {"\033[K\033[1C", " "}, {"\033[K\r\n", " \r\n"}};
  const size_t count = sizeof parts / sizeof *parts;
  char *to = text;
  while (*text) {
    size_t i = 0;
    while (i < count && strncmp(text, parts[i].drawn, strlen(parts[i].drawn)) != 0) i++;
    if (i == count) {
      *to++ = *text++;
      continue;
    }
    text += strlen(parts[i].drawn);
    for (const char *c = parts[i].meant; *c; c++) *to++ = *c;
  }
  *to = 0;
}

static void look(run_terminal *terminal) {
  free(terminal->seen);
  terminal->seen = windows_reader_text(terminal->reader, NULL);
  take_out_drawing(terminal->seen);
}

bool run_terminal_expect(run_terminal *terminal, const char *text, double seconds) {
  ULONGLONG deadline = GetTickCount64() + (ULONGLONG)(seconds * 1000);
  unsigned last_looks = 10; /* the console prints for a while after the program's end */
  for (;;) {
    look(terminal);
    const char *found = strstr(terminal->seen + terminal->matched, text);
    if (found) {
      terminal->matched = (size_t)(found - terminal->seen) + strlen(text);
      return true;
    }
    if (windows_process_has_ended(&terminal->process) && last_looks-- == 0) return false;
    if (GetTickCount64() > deadline) return false;
    host_sleep(10);
  }
}

bool run_terminal_resize(run_terminal *terminal, unsigned rows, unsigned columns) {
  return windows_console_resize(&terminal->console, rows, columns);
}

void run_terminal_interrupt(run_terminal *terminal) {
  run_terminal_signal(terminal, RUN_INTERRUPT);
}

void run_terminal_signal(run_terminal *terminal, run_signal signal) {
  windows_process_end(&terminal->process, &terminal->console, signal);
}

const char *run_terminal_text(const run_terminal *terminal) {
  return terminal->seen;
}

int run_terminal_finish(run_terminal *terminal) {
  int code = windows_process_wait(&terminal->process, terminal->seen);
  windows_console_close(&terminal->console);
  windows_reader_finish(terminal->reader);
  free(terminal->seen);
  free(terminal);
  return code;
}

#define _DEFAULT_SOURCE /* SIGWINCH */
#define _POSIX_C_SOURCE 200809L

#include "raw_terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/* Signals that are noticed, and those that end the process. */
static const int noticed[] = {SIGWINCH, SIGTSTP, SIGCONT};
static const int deadly[] = {SIGQUIT, SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
#define NOTICED (sizeof noticed / sizeof *noticed)
#define DEADLY (sizeof deadly / sizeof *deadly)

static volatile sig_atomic_t resized, stopping, continued;
static volatile sig_atomic_t is_raw;
static struct termios cooked; /* as found; valid while is_raw */
static struct sigaction noticed_before[NOTICED], deadly_before[DEADLY];
static int wake_pipe[2] = {-1, -1};

static void on_notice(int number) {
  int saved = errno;
  if (number == SIGWINCH) resized = 1;
  if (number == SIGTSTP) stopping = 1;
  if (number == SIGCONT) continued = 1;
  if (wake_pipe[1] >= 0) {
    ssize_t written = write(wake_pipe[1], "", 1); /* when full it is readable anyway */
    (void)written;
  }
  errno = saved;
}

/* Everything here may be called in a signal handler. */
static void on_death(int number) {
  static const char paste_marks_off[] = "\033[?2004l"; /* as the editor asked for them */
  if (is_raw) {
    tcsetattr(STDIN_FILENO, TCSANOW, &cooked);
    ssize_t written = write(STDERR_FILENO, paste_marks_off, sizeof paste_marks_off - 1);
    (void)written;
  }
  for (size_t i = 0; i < DEADLY; i++)
    if (deadly[i] == number) sigaction(number, &deadly_before[i], NULL);
  /* What handled it before would only take a note and go on (interrupt.h). */
  if (number == SIGQUIT) signal(number, SIG_DFL);
  raise(number); /* arrives when this handler returns */
}

static void install(const int *numbers, size_t count, struct sigaction *before,
                    void (*handler)(int)) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (size_t i = 0; i < count; i++) {
    sigaction(numbers[i], NULL, &before[i]);
    /* What was ignored from the start stays so. */
    if (before[i].sa_handler != SIG_IGN || numbers[i] == SIGWINCH)
      sigaction(numbers[i], &action, NULL);
  }
}

static void uninstall(const int *numbers, size_t count, const struct sigaction *before) {
  for (size_t i = 0; i < count; i++) sigaction(numbers[i], &before[i], NULL);
}

static void open_pipe(void) {
  if (wake_pipe[0] >= 0) return;
  if (pipe(wake_pipe) != 0) {
    wake_pipe[0] = wake_pipe[1] = -1;
    return;
  }
  for (int i = 0; i < 2; i++) {
    fcntl(wake_pipe[i], F_SETFL, O_NONBLOCK);
    fcntl(wake_pipe[i], F_SETFD, FD_CLOEXEC);
  }
}

static bool set_mode(const struct termios *mode) {
  while (tcsetattr(STDIN_FILENO, TCSADRAIN, mode) != 0)
    if (errno != EINTR) return false;
  return true;
}

static bool set_raw(void) {
  struct termios raw = cooked;
  raw.c_iflag &= ~(tcflag_t)(BRKINT | ICRNL | INLCR | IGNCR | INPCK | ISTRIP | IXON);
  raw.c_oflag &= ~(tcflag_t)OPOST;
  raw.c_lflag &= ~(tcflag_t)(ECHO | ICANON | IEXTEN | ISIG);
  raw.c_cc[VMIN] = 1;
  raw.c_cc[VTIME] = 0;
  return set_mode(&raw);
}

bool raw_terminal_enter(void) {
  if (is_raw) return true;
  if (tcgetattr(STDIN_FILENO, &cooked) != 0) return false;
  open_pipe();
  resized = stopping = continued = 0;
  is_raw = 1;
  install(noticed, NOTICED, noticed_before, on_notice);
  install(deadly, DEADLY, deadly_before, on_death);
  if (set_raw()) return true;
  int failure = errno;
  raw_terminal_leave();
  errno = failure;
  return false;
}

void raw_terminal_leave(void) {
  if (!is_raw) return;
  set_mode(&cooked);
  uninstall(deadly, DEADLY, deadly_before);
  uninstall(noticed, NOTICED, noticed_before);
  is_raw = 0;
}

void raw_terminal_suspend(void) {
  raw_terminal_leave();
  kill(0, SIGTSTP); /* the whole job, as the key would have */
  raw_terminal_enter();
}

raw_events raw_terminal_events(void) {
  char bytes[64];
  while (wake_pipe[0] >= 0 && read(wake_pipe[0], bytes, sizeof bytes) > 0) continue;
  raw_events events = {resized, stopping, continued};
  if (events.resized) resized = 0;
  if (events.stopping) stopping = 0;
  if (events.continued) {
    continued = 0;
    set_raw(); /* a shell may have set it otherwise meanwhile */
  }
  return events;
}

int raw_terminal_descriptor(void) {
  return wake_pipe[0];
}

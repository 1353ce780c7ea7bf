/* The terminal, standard input and signals on POSIX systems: what terminal.h,
 * standard_input.h, raw_terminal.h and interrupt.h leave to the system. They are one
 * file because whoever waits for input waits for signals as well. */
#define _DEFAULT_SOURCE /* TIOCGWINSZ, SIGWINCH */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "interrupt.h"
#include "raw_terminal.h"
#include "standard_input.h"
#include "terminal.h"

/* --- signals and who waits for them ---------------------------------------------------- */

static volatile sig_atomic_t pending, lost_reader;         /* interrupt.h */
static volatile sig_atomic_t resized, stopping, continued; /* raw_terminal.h */
/* The terminal's mode: as found, hushed or raw (raw_terminal.h). */
enum { COOKED, HUSHED, RAW };
static volatile sig_atomic_t terminal_mode = COOKED;

/* A handler may run on any thread, so it cannot count on interrupting the main one;
 * a byte in this pipe wakes whoever polls. */
static int wake_pipe[2] = {-1, -1};

static void open_wake_pipe(void) {
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

static void wake(void) {
  if (wake_pipe[1] < 0) return;
  ssize_t written = write(wake_pipe[1], "", 1); /* when full it is readable anyway */
  (void)written;
}

static void drain_wake_pipe(void) {
  char bytes[64];
  while (wake_pipe[0] >= 0 && read(wake_pipe[0], bytes, sizeof bytes) > 0) continue;
}

static void on_signal(int number) {
  int saved = errno;
  pending = number;
  wake();
  errno = saved;
}

void interrupt_install(void) {
  static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
  open_wake_pipe();
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    struct sigaction action, old;
    if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler == SIG_IGN) continue;
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART; /* stdio need not expect EINTR */
    sigemptyset(&action.sa_mask);
    sigaction(numbers[i], &action, NULL);
  }
}

int interrupt_signal(void) {
  return pending;
}

bool interrupt_is_key(void) {
  return pending == SIGINT;
}

void interrupt_raise_key(void) {
  raise(SIGINT);
}

void interrupt_clear(void) {
  pending = 0;
}

static void on_lost_reader(int number) {
  lost_reader = number;
}

void interrupt_ignore_writes(void) {
  struct sigaction action;
  action.sa_handler = on_lost_reader;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGPIPE, &action, NULL);
  signal(SIGXFSZ, SIG_IGN);
}

int interrupt_lost_reader(void) {
  return lost_reader;
}

/* --- standard input --------------------------------------------------------------------- */

/* Draining comes first: a handler sets its flag before it writes to the pipe. */
input_news standard_input_wait(int milliseconds) {
  for (;;) {
    drain_wake_pipe();
    if (pending || (terminal_mode == RAW && (resized || stopping || continued))) return INPUT_EVENT;
    struct pollfd files[2] = {{.fd = STDIN_FILENO, .events = POLLIN},
                              {.fd = wake_pipe[0], .events = POLLIN}};
    int ready = poll(files, 2, milliseconds);
    if (ready == 0) return INPUT_QUIET;
    if (ready < 0 && errno != EINTR) return INPUT_TROUBLE;
    if (ready > 0 && !files[1].revents) return INPUT_READY;
  }
}

ptrdiff_t standard_input_read(void *data, size_t bytes) {
  return read(STDIN_FILENO, data, bytes);
}

/* --- the terminal ------------------------------------------------------------------------- */

void terminal_begin(int *argc, char ***argv) {
  (void)argc, (void)argv;
  for (int fd = 0; fd <= 2; fd++) {
    if (fcntl(fd, F_GETFD) >= 0) continue;
    /* The lowest free number is taken, which is this one. */
    if (open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd) return;
  }
}

bool terminal_is(FILE *file) {
  return isatty(fileno(file)) == 1;
}

bool terminal_size(FILE *file, unsigned *columns, unsigned *rows) {
  struct winsize size;
  if (ioctl(fileno(file), TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0)
    return false;
  *columns = size.ws_col;
  *rows = size.ws_row;
  return true;
}

bool terminal_takes_escapes(FILE *file) {
  const char *kind = getenv("TERM");
  return kind && *kind && strcmp(kind, "dumb") != 0 && terminal_is(file);
}

void terminal_write(const char *data, size_t bytes) {
  while (bytes > 0) {
    ssize_t put = write(STDERR_FILENO, data, bytes);
    if (put < 0 && errno == EAGAIN) {
      struct pollfd file = {.fd = STDERR_FILENO, .events = POLLOUT};
      poll(&file, 1, 1000);
    }
    if (put < 0 && errno != EINTR && errno != EAGAIN) return;
    if (put > 0) {
      data += put;
      bytes -= (size_t)put;
    }
  }
}

/* --- the terminal key by key -------------------------------------------------------------- */

/* Signals that are noticed, and those that end the process; SIGQUIT, the first, does so
 * only while the terminal is raw. */
static const int noticed[] = {SIGWINCH, SIGTSTP, SIGCONT};
static const int deadly[] = {SIGQUIT, SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
#define NOTICED (sizeof noticed / sizeof *noticed)
#define DEADLY (sizeof deadly / sizeof *deadly)

static struct termios cooked, hushed; /* as found, and what it becomes; valid unless COOKED */
static struct sigaction noticed_before[NOTICED], deadly_before[DEADLY];

/* A job in the background must leave the terminal to whoever has it. */
static bool owns_terminal(void) {
  return tcgetpgrp(STDIN_FILENO) == getpgrp();
}

/* In the handler: nobody waits for keys, so nobody else could act on it. */
static void stop_hushed(void) {
  struct sigaction ours, usual;
  sigset_t stop, before;
  if (owns_terminal()) tcsetattr(STDIN_FILENO, TCSANOW, &cooked);
  memset(&usual, 0, sizeof usual);
  usual.sa_handler = SIG_DFL;
  sigemptyset(&usual.sa_mask);
  sigemptyset(&stop);
  sigaddset(&stop, SIGTSTP);
  sigaction(SIGTSTP, &usual, &ours);
  kill(getpid(), SIGTSTP); /* arrives when it is let in */
  pthread_sigmask(SIG_UNBLOCK, &stop, &before);
  pthread_sigmask(SIG_SETMASK, &before, NULL); /* it goes on here */
  sigaction(SIGTSTP, &ours, NULL);
}

static void on_notice(int number) {
  int saved = errno;
  if (terminal_mode == HUSHED) {
    if (number == SIGTSTP) stop_hushed();
    if (number != SIGWINCH && owns_terminal()) tcsetattr(STDIN_FILENO, TCSANOW, &hushed);
  } else {
    if (number == SIGWINCH) resized = 1;
    if (number == SIGTSTP) stopping = 1;
    if (number == SIGCONT) continued = 1;
    wake();
  }
  errno = saved;
}

/* Everything here may be called in a signal handler. */
static void on_death(int number) {
  static const char paste_marks_off[] = "\033[?2004l"; /* as the editor asked for them */
  if (terminal_mode != COOKED) tcsetattr(STDIN_FILENO, TCSANOW, &cooked);
  if (terminal_mode == RAW) {
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

/* Keys as they come, but neither shown nor turned into lines: they wait to be edited. */
static void choose_hushed(void) {
  hushed = cooked;
  hushed.c_iflag &= ~(tcflag_t)(ICRNL | INLCR | IGNCR);
  hushed.c_lflag &= ~(tcflag_t)(ECHO | ICANON | IEXTEN);
  hushed.c_cc[VMIN] = 1;
  hushed.c_cc[VTIME] = 0;
}

bool raw_terminal_enter(void) {
  if (terminal_mode == RAW) return true;
  bool handled = terminal_mode == HUSHED;
  if (!handled && tcgetattr(STDIN_FILENO, &cooked) != 0) return false;
  choose_hushed();
  open_wake_pipe();
  resized = stopping = continued = 0;
  terminal_mode = RAW;
  if (!handled) install(noticed, NOTICED, noticed_before, on_notice);
  install(deadly, handled ? 1 : DEADLY, deadly_before, on_death);
  if (set_raw()) return true;
  int failure = errno;
  raw_terminal_leave();
  errno = failure;
  return false;
}

void raw_terminal_hush(void) {
  if (terminal_mode != RAW) return;
  uninstall(deadly, 1, deadly_before);
  terminal_mode = HUSHED;
  set_mode(&hushed);
}

void raw_terminal_leave(void) {
  if (terminal_mode == COOKED) return;
  if (terminal_mode == RAW || owns_terminal()) set_mode(&cooked);
  uninstall(deadly, DEADLY, deadly_before);
  uninstall(noticed, NOTICED, noticed_before);
  terminal_mode = COOKED;
}

void raw_terminal_suspend(void) {
  raw_terminal_leave();
  kill(0, SIGTSTP); /* the whole job, as the key would have */
  raw_terminal_enter();
}

raw_events raw_terminal_events(void) {
  raw_events events = {resized, stopping, continued};
  if (events.resized) resized = 0;
  if (events.stopping) stopping = 0;
  if (events.continued) {
    continued = 0;
    set_raw(); /* a shell may have set it otherwise meanwhile */
  }
  return events;
}

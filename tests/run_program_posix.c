#define _XOPEN_SOURCE 700 /* posix_openpt */
#define _DEFAULT_SOURCE   /* TIOCSCTTY, TIOCSWINSZ */

#include "run_program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "host.h"

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* --- gathered output ------------------------------------------------------------- */

typedef struct gathered {
  char *data;
  size_t bytes;
} gathered;

static void gather(gathered *to, const char *data, size_t bytes) {
  char *grown = realloc(to->data, to->bytes + bytes + 1);
  if (!grown) check_fatal("out of memory", "program output");
  if (bytes) memcpy(grown + to->bytes, data, bytes);
  to->data = grown;
  to->bytes += bytes;
  to->data[to->bytes] = 0;
}

/* Reads once; false at the end. */
static bool gather_from(gathered *to, int fd) {
  char buffer[4096];
  ssize_t got = read(fd, buffer, sizeof buffer);
  if (got < 0 && errno == EINTR) return true;
  if (got <= 0) return false; /* a terminal ends with EIO */
  gather(to, buffer, (size_t)got);
  return true;
}

/* --- processes --------------------------------------------------------------------- */

/* Runs a program of another machine as meson runs this one, through the emulator
 * it names in MESON_EXE_WRAPPER. */
static void run_emulated(char *const argv[]) {
  static const char script[] = "exec $MESON_EXE_WRAPPER \"$0\" \"$@\"";
  const char *arguments[RUN_MOST_ARGUMENTS + 4] = {"sh", "-c", script};
  for (size_t i = 0; argv[i]; i++) arguments[3 + i] = argv[i];
  if (getenv("MESON_EXE_WRAPPER")) execv("/bin/sh", (char *const *)arguments);
}

static void become_program(const char *const argv[], int in, int out, int err) {
  /* What the test runner ignores would be ignored by the program, too. */
  signal(SIGPIPE, SIG_DFL);
  signal(SIGINT, SIG_DFL);
  signal(SIGQUIT, SIG_DFL);
  signal(SIGHUP, SIG_DFL);
  if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0) _exit(127);
  long most = sysconf(_SC_OPEN_MAX);
  for (int fd = 3; fd < (most > 0 && most < 1024 ? (int)most : 1024); fd++) close(fd);
  char *arguments[RUN_MOST_ARGUMENTS + 1];
  size_t count = 0;
  while (argv[count] && count < RUN_MOST_ARGUMENTS) {
    memcpy(&arguments[count], &argv[count], sizeof *arguments);
    count++;
  }
  arguments[count] = NULL;
  execv(arguments[0], arguments);
  if (errno == ENOEXEC) run_emulated(arguments);
  _exit(127);
}

static int wait_for(pid_t pid) {
  int status;
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) check_fatal("waitpid", strerror(errno));
  int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  if (code == 127) check_fatal("the program could not be started", "see GUST_BIN");
  return code;
}

/* A program with pipes on its standard streams. */
struct run_child {
  pid_t pid;
  int in, out, err; /* our ends; -1 when closed */
};

/* `out`: its stdout, or -1 for a pipe. */
static run_child *start_child(const char *const argv[], int out) {
  run_child *child = malloc(sizeof *child);
  if (!child) check_fatal("out of memory", argv[0]);
  int in_pipe[2], out_pipe[2] = {-1, out}, err_pipe[2];
  if (pipe(in_pipe) != 0 || (out < 0 && pipe(out_pipe) != 0) || pipe(err_pipe) != 0)
    check_fatal("pipe", strerror(errno));
  signal(SIGPIPE, SIG_IGN); /* a program need not read its input */
  pid_t pid = fork();
  if (pid < 0) check_fatal("fork", strerror(errno));
  if (pid == 0) become_program(argv, in_pipe[0], out_pipe[1], err_pipe[1]);
  close(in_pipe[0]);
  close(out_pipe[1]);
  close(err_pipe[1]);
  *child = (run_child){pid, in_pipe[1], out_pipe[0], err_pipe[0]};
  return child;
}

static void close_end(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

/* Feeds the input and gathers the output until both output pipes end. */
static void exchange(run_child *child, const char *input, size_t bytes, gathered *out,
                     gathered *err) {
  double deadline = now() + RUN_SECONDS;
  fcntl(child->in, F_SETFL, O_NONBLOCK);
  if (bytes == 0) close_end(&child->in);
  while (child->out >= 0 || child->err >= 0) {
    if (now() > deadline) {
      kill(child->pid, SIGKILL);
      check_fatal("a program ran too long", err->data);
    }
    struct pollfd files[3] = {{.fd = child->in, .events = POLLOUT},
                              {.fd = child->out, .events = POLLIN},
                              {.fd = child->err, .events = POLLIN}};
    if (poll(files, 3, 1000) <= 0) continue;
    if (files[0].revents) {
      ssize_t put = write(child->in, input, bytes);
      if (put > 0) input += put, bytes -= (size_t)put;
      if (bytes == 0 || (put < 0 && errno != EAGAIN && errno != EINTR)) close_end(&child->in);
    }
    if (files[1].revents && !gather_from(out, child->out)) close_end(&child->out);
    if (files[2].revents && !gather_from(err, child->err)) close_end(&child->err);
  }
  close_end(&child->in);
}

run_child *run_child_start(const char *const argv[]) {
  return start_child(argv, -1);
}

run_result run_child_finish(run_child *child, const char *input, size_t input_bytes) {
  gathered out = {0}, err = {0};
  gather(&out, "", 0);
  gather(&err, "", 0);
  exchange(child, input, input_bytes, &out, &err);
  int code = wait_for(child->pid);
  free(child);
  return (run_result){code, out.data, err.data, out.bytes, err.bytes};
}

run_result run_program_to(const char *const argv[], const char *input, const char *out_path) {
  int out;
  if (out_path) {
    out = open(out_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  } else {
    int nobody[2];
    if (pipe(nobody) != 0) check_fatal("pipe", strerror(errno));
    close(nobody[0]);
    out = nobody[1];
  }
  if (out < 0) check_fatal("cannot open", out_path);
  return run_child_finish(start_child(argv, out), input, strlen(input));
}

run_result run_program_signalled(const char *const argv[], unsigned milliseconds,
                                 run_signal signal) {
  run_child *child = run_child_start(argv);
  host_sleep(milliseconds);
  kill(child->pid, (int)signal);
  return run_child_finish(child, "", 0);
}

static bool has_ended(const run_child *child) {
  siginfo_t info = {0};
  return waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid;
}

run_result run_program_when(const char *const argv[], bool (*ready)(void *user), void *user,
                            run_signal signal) {
  run_child *child = run_child_start(argv);
  while (!ready(user) && !has_ended(child)) host_sleep(1);
  kill(child->pid, (int)signal);
  return run_child_finish(child, "", 0);
}

/* --- terminals ---------------------------------------------------------------------- */

struct run_terminal {
  pid_t pid;
  int fd; /* our side */
  gathered seen;
  size_t matched; /* expect looks from here on */
};

static void start_at_terminal(const char *const argv[], const char *name) {
  setsid();
  int fd = open(name, O_RDWR);
  if (fd < 0) _exit(127);
  ioctl(fd, TIOCSCTTY, 0); /* so that Ctrl-C becomes a signal */
  become_program(argv, fd, fd, fd);
}

run_terminal *run_terminal_start(const char *const argv[]) {
  run_terminal *terminal = calloc(1, sizeof *terminal);
  if (!terminal) check_fatal("out of memory", "terminal");
  terminal->fd = posix_openpt(O_RDWR | O_NOCTTY);
  if (terminal->fd < 0 || grantpt(terminal->fd) != 0 || unlockpt(terminal->fd) != 0)
    check_fatal("no pseudo-terminal", strerror(errno));
  struct winsize size = {.ws_row = 24, .ws_col = 100};
  ioctl(terminal->fd, TIOCSWINSZ, &size);
  const char *name = ptsname(terminal->fd);
  if (!name) check_fatal("no pseudo-terminal", strerror(errno));
  gather(&terminal->seen, "", 0);
  terminal->pid = fork();
  if (terminal->pid < 0) check_fatal("fork", strerror(errno));
  if (terminal->pid == 0) start_at_terminal(argv, name);
  return terminal;
}

void run_terminal_type(run_terminal *terminal, const char *text) {
  size_t bytes = strlen(text);
  while (bytes > 0) {
    ssize_t put = write(terminal->fd, text, bytes);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) check_fatal("cannot type", strerror(errno));
    text += put;
    bytes -= (size_t)put;
  }
}

bool run_terminal_resize(run_terminal *terminal, unsigned rows, unsigned columns) {
  struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};
  return ioctl(terminal->fd, TIOCSWINSZ, &size) == 0;
}

/* Gathers for at most `seconds`; false once the program's side is closed. */
static bool watch(run_terminal *terminal, double seconds) {
  struct pollfd file = {.fd = terminal->fd, .events = POLLIN};
  if (poll(&file, 1, (int)(seconds * 1000) + 1) <= 0) return true;
  return gather_from(&terminal->seen, terminal->fd);
}

bool run_terminal_expect(run_terminal *terminal, const char *text, double seconds) {
  double deadline = now() + seconds;
  bool open = true;
  for (;;) {
    const char *found = strstr(terminal->seen.data + terminal->matched, text);
    if (found) {
      terminal->matched = (size_t)(found - terminal->seen.data) + strlen(text);
      return true;
    }
    double left = deadline - now();
    if (!open || left <= 0) return false;
    open = watch(terminal, left);
  }
}

void run_terminal_interrupt(run_terminal *terminal) {
  run_terminal_type(terminal, "\003");
}

void run_terminal_signal(run_terminal *terminal, run_signal signal) {
  if (kill(terminal->pid, (int)signal) != 0) check_fatal("kill", strerror(errno));
}

const char *run_terminal_text(const run_terminal *terminal) {
  return terminal->seen.data;
}

int run_terminal_finish(run_terminal *terminal) {
  double deadline = now() + RUN_SECONDS;
  while (watch(terminal, 1))
    if (now() > deadline) {
      kill(terminal->pid, SIGKILL);
      check_fatal("a program at a terminal ran too long", terminal->seen.data);
    }
  int code = wait_for(terminal->pid);
  close(terminal->fd);
  free(terminal->seen.data);
  free(terminal);
  return code;
}

#define _POSIX_C_SOURCE 200809L

#include "interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static volatile sig_atomic_t pending;
/* The handler may run on any thread, so it cannot count on interrupting the
 * main one; a byte in this pipe wakes whoever polls. */
static int wake_pipe[2] = {-1, -1};

static void on_signal(int number) {
  int saved = errno;
  pending = number;
  if (wake_pipe[1] >= 0) {
    ssize_t written = write(wake_pipe[1], "", 1); /* when full it is readable anyway */
    (void)written;
  }
  errno = saved;
}

void interrupt_install(void) {
  if (wake_pipe[0] < 0) {
    if (pipe(wake_pipe) == 0) {
      for (int i = 0; i < 2; i++) {
        fcntl(wake_pipe[i], F_SETFL, O_NONBLOCK);
        fcntl(wake_pipe[i], F_SETFD, FD_CLOEXEC);
      }
    } else {
      wake_pipe[0] = wake_pipe[1] = -1;
    }
  }
  static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
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

void interrupt_clear(void) {
  char bytes[64];
  pending = 0;
  if (wake_pipe[0] < 0) return;
  while (read(wake_pipe[0], bytes, sizeof bytes) > 0) continue;
}

int interrupt_descriptor(void) {
  return wake_pipe[0];
}

void interrupt_ignore_writes(void) {
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
}

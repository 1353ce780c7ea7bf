#define _DEFAULT_SOURCE /* TIOCGWINSZ */
#define _POSIX_C_SOURCE 200809L

#include "terminal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

void terminal_guard_streams(void) {
  for (int fd = 0; fd <= 2; fd++) {
    if (fcntl(fd, F_GETFD) >= 0) continue;
    /* The lowest free number is taken, which is this one. */
    if (open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd) return;
  }
}

bool terminal_is(FILE *file) {
  return isatty(fileno(file)) == 1;
}

unsigned terminal_columns(FILE *file) {
  struct winsize size;
  if (ioctl(fileno(file), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

bool terminal_has_colour(FILE *file) {
  const char *kind = getenv("TERM"), *refused = getenv("NO_COLOR");
  if (refused && *refused) return false;
  return kind && *kind && strcmp(kind, "dumb") != 0 && terminal_is(file);
}

#define _GNU_SOURCE /* MAP_ANONYMOUS; the rest is POSIX */
#ifdef __APPLE__
#define _DARWIN_C_SOURCE
#endif

#include "host.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

/* --- files --------------------------------------------------------------------------- */

bool host_make_temp_folder(char *path, size_t room) {
  const char *below = getenv("TMPDIR");
  int bytes = snprintf(path, room, "%s/gust-test-XXXXXX", below && *below ? below : "/tmp");
  return bytes > 0 && (size_t)bytes < room && mkdtemp(path) != NULL;
}

bool host_remove(const char *path) {
  return remove(path) == 0;
}

bool host_exists(const char *path) {
  return access(path, F_OK) == 0;
}

bool host_make_link(const char *target, const char *path) {
  return symlink(target, path) == 0;
}

bool host_make_alias(const char *target, const char *path) {
  return host_make_link(target, path);
}

bool host_make_fifo(const char *path) {
  return mkfifo(path, 0600) == 0;
}

bool host_set_changed(const char *path, int64_t seconds, long nanoseconds) {
  const struct timespec time = {.tv_sec = (time_t)seconds, .tv_nsec = nanoseconds};
  const struct timespec times[2] = {time, time};
  return utimensat(AT_FDCWD, path, times, 0) == 0;
}

bool host_has_mode(const char *path, int mode) {
  struct stat info;
  return stat(path, &info) == 0 && (int)(info.st_mode & 0777) == mode;
}

bool host_set_mode(const char *path, int mode) {
  return chmod(path, (mode_t)mode) == 0;
}

bool host_limit_files(uint64_t bytes) {
  struct rlimit limit;
  signal(SIGXFSZ, SIG_IGN);
  if (getrlimit(RLIMIT_FSIZE, &limit) != 0) return false;
  limit.rlim_cur = bytes == HOST_NO_LIMIT ? limit.rlim_max : (rlim_t)bytes;
  return setrlimit(RLIMIT_FSIZE, &limit) == 0;
}

bool host_makes_holes(void) {
  return true;
}

#define NOBODY 65534

bool host_suspend_root(void) {
  return geteuid() != 0 || seteuid(NOBODY) == 0;
}

void host_resume_root(void) {
  if (getuid() == 0 && seteuid(0) != 0) check_fatal("cannot become root again", "");
}

const char *host_full_file(void) {
  return access("/dev/full", W_OK) == 0 ? "/dev/full" : NULL;
}

const char *host_null_device(void) {
  return "/dev/null";
}

/* --- memory -------------------------------------------------------------------------- */

void *host_allocate(size_t bytes) {
  return aligned_alloc(64, bytes);
}

void host_free(void *memory) {
  free(memory);
}

void *host_map_guard(size_t bytes) {
  void *base = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return base == MAP_FAILED ? NULL : base;
}

bool host_unguard(void *at, size_t bytes) {
  return mprotect(at, bytes, PROT_READ | PROT_WRITE) == 0;
}

void host_unmap(void *base, size_t bytes) {
  munmap(base, bytes);
}

/* A child reads the byte and says whether that killed it. */
bool host_is_readable(const volatile uint8_t *at) {
  fflush(NULL);
  pid_t child = fork();
  if (child < 0) check_fatal("cannot fork", "");
  if (child == 0) {
    host_expect_crash();
    if (!freopen("/dev/null", "w", stderr)) _exit(2); /* what a sanitizer would say */
    uint8_t byte = *at;
    _exit(byte == 0 ? 0 : 3);
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child) check_fatal("cannot wait", "");
  return WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 3);
}

/* --- the machine --------------------------------------------------------------------- */

unsigned host_processors(void) {
  long count = sysconf(_SC_NPROCESSORS_ONLN);
  return count > 0 ? (unsigned)count : 0;
}

uint64_t host_memory_bytes(void) {
  long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  return pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0;
}

/* --- the process ----------------------------------------------------------------------- */

void host_set_env(const char *name, const char *value) {
  if ((value ? setenv(name, value, 1) : unsetenv(name)) != 0) check_fatal("cannot set", name);
}

int host_redirect(FILE *stream, const char *path) {
  fflush(stream);
  int saved = dup(fileno(stream));
  FILE *file = fopen(path, "wb");
  if (saved < 0 || !file || dup2(fileno(file), fileno(stream)) < 0) check_fatal("redirect", path);
  fclose(file);
  return saved;
}

void host_restore(FILE *stream, int saved) {
  fflush(stream);
  if (dup2(saved, fileno(stream)) < 0) check_fatal("cannot restore", "a stream");
  close(saved);
}

char *host_working_folder(void) {
  char folder[4096];
  if (!getcwd(folder, sizeof folder)) check_fatal("no working folder", "");
  return strdup(folder);
}

void host_change_folder(const char *path) {
  if (chdir(path) != 0) check_fatal("cannot change to", path);
}

bool host_terminal_edits(void) {
  struct termios mode;
  return tcgetattr(0, &mode) == 0 && (mode.c_lflag & ECHO) && (mode.c_lflag & ICANON) &&
         (mode.c_lflag & ISIG) && (mode.c_oflag & OPOST);
}

bool host_terminal_interrupts(void) {
  struct termios mode;
  return tcgetattr(0, &mode) == 0 && (mode.c_lflag & ISIG) && (mode.c_oflag & OPOST);
}

bool host_has_whole_terminals(void) {
  return true;
}

void host_sleep(unsigned milliseconds) {
  const struct timespec pause = {milliseconds / 1000, (long)(milliseconds % 1000) * 1000000};
  nanosleep(&pause, NULL);
}

void host_yield(void) {
  sched_yield();
}

_Noreturn void host_die(void) {
  raise(SIGKILL);
  abort();
}

static char waited_for[200];

static void give_up(int number) {
  ssize_t written = write(STDERR_FILENO, waited_for, strlen(waited_for));
  (void)number, (void)written;
  _exit(1);
}

void host_expect_soon(const char *what) {
  alarm(0);
  if (!what) return;
  snprintf(waited_for, sizeof waited_for, "waited in vain for %s\n", what);
  signal(SIGALRM, give_up);
  alarm(20);
}

void host_expect_crash(void) {
  const struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
}

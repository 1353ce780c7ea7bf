/* os_guard_maps: files that shrink while they are mapped, and the signal's other
 * handlers and senders. */
#define _GNU_SOURCE /* truncate, fork */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "host.h"
#include "os.h"

static size_t page; /* bytes of one */

static const char *three_pages(const char *name) {
  const char *path = check_temp_file(name);
  char *data = calloc(3, page);
  if (!data) check_fatal("out of memory", path);
  for (size_t i = 0; i < 3; i++) data[i * page] = (char)(i + 1);
  check_write_file(path, data, 3 * page);
  free(data);
  return path;
}

/* Each in a process of its own, whose exit code it returns. */
typedef int child_fn(const char *path);

static int unguarded(const char *path) {
  os_map map;
  if (!os_map_file(&map, path) || truncate(path, (off_t)page) != 0) return 2;
  return map.data[2 * page] == 0 ? 0 : 3;
}

/* Makes the file as long, and when it was last written to the same as ever: what else
 * tells of the change has to. */
static bool set_length(const char *path, size_t bytes) {
  const struct timespec long_ago[2] = {{1000000000, 0}, {1000000000, 0}};
  return truncate(path, (off_t)bytes) == 0 && utimensat(AT_FDCWD, path, long_ago, 0) == 0;
}

static int guarded_map(const char *path) {
  os_map map, whole;
  uint64_t bytes = 0;
  bool guarded = os_guard_maps();
  if (!guarded || !os_guard_maps() || !set_length(path, 3 * page)) return 2; /* again is fine */
  if (!os_map_file(&map, path)) return 13;
  if (!os_map_file(&whole, check_data("heldout.txt"))) return 3;
  if (!os_map_unchanged(&map, &bytes) || bytes != 3 * page) return 4;
  if (!set_length(path, page)) return 5;
  if (os_map_unchanged(&map, &bytes) || bytes != page) return 6; /* before anybody reads */
  if (map.data[0] != 1 || map.data[page] != 0 || map.data[3 * page - 1] != 0) return 7;
  if (!set_length(path, 3 * page)) return 8;
  if (os_map_unchanged(&map, &bytes) || bytes != 3 * page) return 9; /* zeros were read */
  if (!os_map_unchanged(&whole, &bytes) || bytes != whole.bytes) return 10;
  os_unmap_file(&map);
  os_unmap_file(&whole);
  /* What was one map's is not the next one's. */
  if (!os_map_file(&map, path) || !os_map_unchanged(&map, &bytes)) return 11;
  return map.data[0] == 1 ? 0 : 12;
}

/* A mapping that is none of os.h. */
static int fault_elsewhere(const char *path) {
  int fd = open(path, O_RDONLY);
  const volatile uint8_t *data = mmap(NULL, 3 * page, PROT_READ, MAP_SHARED, fd, 0);
  if (fd < 0 || data == MAP_FAILED || truncate(path, (off_t)page) != 0) return 2;
  return data[2 * page] == 0 ? 0 : 3;
}

static int guarded_elsewhere(const char *path) {
  return os_guard_maps() ? fault_elsewhere(path) : 2;
}

static void leave_with_40(int number) {
  (void)number;
  _exit(40);
}

static int handled_elsewhere(const char *path) {
  signal(SIGBUS, leave_with_40);
  return os_guard_maps() ? fault_elsewhere(path) : 2;
}

static int sent(const char *path) {
  (void)path;
  signal(SIGBUS, leave_with_40);
  if (!os_guard_maps()) return 2;
  kill(getpid(), SIGBUS);
  return 3;
}

static volatile sig_atomic_t handled;

static void count_handled(int number) {
  (void)number;
  handled++;
}

/* The handler of before is called whenever there is something for it, not once, and
 * files are guarded all the while. */
static int handed_on_twice(const char *path) {
  signal(SIGBUS, count_handled);
  if (!os_guard_maps()) return 2;
  raise(SIGBUS);
  kill(getpid(), SIGBUS);
  if (handled != 2) return 3;
  int result = guarded_map(path);
  return result ? result + 100 : handled == 2 ? 0 : 4;
}

static struct {
  int count;
  void *address;
} told;

/* Gives what faulted a page, so that the process goes on. */
static void mend(int number, siginfo_t *info, void *context) {
  (void)number;
  (void)context;
  told.count++;
  told.address = info->si_addr;
  uintptr_t begin = (uintptr_t)info->si_addr & ~(uintptr_t)(page - 1);
  mmap((void *)begin, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0); /* NOLINT */
}

/* One that wants to know more is told. */
static int mended_elsewhere(const char *path) {
  struct sigaction action = {.sa_flags = SA_SIGINFO};
  action.sa_sigaction = mend;
  sigaction(SIGBUS, &action, NULL);
  if (!os_guard_maps()) return 2;
  int result = fault_elsewhere(path);
  if (result || truncate(path, 3 * (off_t)page) != 0) return 3;
  return told.count == 1 && told.address ? guarded_map(path) : 5;
}

/* A sent signal that was ignored is; a fault cannot be. */
static int sent_ignored(const char *path) {
  signal(SIGBUS, SIG_IGN);
  if (!os_guard_maps()) return 2;
  kill(getpid(), SIGBUS);
  return guarded_map(path);
}

static int fault_ignored(const char *path) {
  signal(SIGBUS, SIG_IGN);
  return os_guard_maps() ? fault_elsewhere(path) : 2;
}

static int sent_unhandled(const char *path) {
  (void)path;
  if (!os_guard_maps()) return 2;
  kill(getpid(), SIGBUS);
  return 3;
}

static void *get_mask(void *mask) {
  pthread_sigmask(SIG_SETMASK, NULL, mask);
  return NULL;
}

/* What an instruction of a thread causes must reach its handler; the rest is for the
 * program's own threads. */
static void check_thread_signals(void) {
  static const int faults[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL};
  sigset_t mask;
  pthread_t thread;
  sigemptyset(&mask);
  if (!os_start_thread(&thread, (size_t)1 << 20, get_mask, &mask)) check_fatal("no thread", "");
  pthread_join(thread, NULL);
  for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
    CHECK_EQ_INT(sigismember(&mask, faults[i]), 0);
  CHECK_EQ_INT(sigismember(&mask, SIGINT), 1);
  CHECK_EQ_INT(sigismember(&mask, SIGTERM), 1);
  errno = 0;
  CHECK(!os_start_thread(&thread, 1, get_mask, &mask));
  CHECK_EQ_INT(errno, EINVAL);
}

/* Where nobody puts a page in, reading it faults for ever: so much of a processor's time
 * nothing else here takes. */
#define CHILD_SECONDS 2
#define FAULTED_FOR_EVER (-2)

/* 0 to 127, -1 where a signal or a sanitizer ended it, or FAULTED_FOR_EVER. */
static int run_child(child_fn *fn) {
  const char *path = three_pages("shrinking");
  fflush(NULL);
  pid_t child = fork();
  if (child < 0) check_fatal("cannot fork", "");
  if (child == 0) {
    host_expect_crash();
    if (!freopen("/dev/null", "w", stderr)) _exit(2);
    setrlimit(RLIMIT_CPU, &(struct rlimit){CHILD_SECONDS, CHILD_SECONDS + 1});
    _exit(fn(path));
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child) check_fatal("cannot wait", "");
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU) return FAULTED_FOR_EVER;
  return WIFEXITED(status) && WEXITSTATUS(status) != 1 ? WEXITSTATUS(status) : -1;
}

int main(void) {
  page = os_page_bytes();
  CHECK_EQ_INT(run_child(unguarded), -1); /* what the guard is for */
  CHECK_EQ_INT(run_child(guarded_map), 0);
  CHECK_EQ_INT(run_child(guarded_elsewhere), -1);
  CHECK_EQ_INT(run_child(handled_elsewhere), 40);
  CHECK_EQ_INT(run_child(sent), 40);
  CHECK_EQ_INT(run_child(handed_on_twice), 0);
  CHECK_EQ_INT(run_child(mended_elsewhere), 0);
  CHECK_EQ_INT(run_child(sent_ignored), 0);
  CHECK_EQ_INT(run_child(fault_ignored), -1);
  CHECK_EQ_INT(run_child(sent_unhandled), -1);
  check_thread_signals();
  return check_finish();
}

/* Two programs that want one session at once: what the other does between our opening its
 * file and our locking it, or between finding none and making one, is made to happen right
 * there, by this program's own flock and open. One of them has it, the other is told so or
 * takes what the name stands for then; no file that the other wrote is lost. */
#define _GNU_SOURCE /* syscall */
#define _FILE_OFFSET_BITS 64

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "cli/session_records.h"
#include "host.h"
#include "os.h"
#include "run_gust.h"

#if !defined(__linux__) || !defined(__LP64__)
int main(void) {
  CHECK_SKIP("needs the system calls of 64-bit Linux");
}
#else

#include <signal.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "own_open.h"

/* --- the stand-ins ---------------------------------------------------------------------- */

typedef void meanwhile_fn(void);

static meanwhile_fn *before_lock, *before_create; /* called once; NULL: nothing happens */

static void happen(meanwhile_fn **what) {
  meanwhile_fn *fn = *what;
  *what = NULL;
  if (fn) fn();
}

int flock(int fd, int operation) {
  happen(&before_lock);
  return (int)syscall(SYS_flock, fd, operation);
}

static int own_open_file(const char *path, int flags, unsigned mode) {
  if (flags & O_EXCL) happen(&before_create);
  return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

/* --- files ---------------------------------------------------------------------------------- */

#define OURS 1001
#define THEIRS 2002

static const char *path, *other_path;

/* A session that began at that time, by which it is known again. */
static void make(const char *at, uint64_t created) {
  session_file file;
  session_record first = {.type = SESSION_EVENTS};
  gust_error err;
  if (session_file_open(&file, at, true, &err) || session_file_begin(&file, created, &first, &err))
    check_fatal("cannot make a session", err.text);
  session_file_close(&file);
}

static void begin(const char *name) {
  path = check_temp_file(name);
  other_path = check_temp_file("other.session");
}

/* Opens and is at the file that began then, or at a new one (0), which goes with closing. */
static void check_opened(uint64_t created) {
  session_file file;
  gust_error err = {.text = ""};
  if (!CHECK_EQ_INT(session_file_open(&file, path, true, &err), GUST_OK)) puts(err.text);
  CHECK_EQ_INT(file.created, created);
  CHECK_EQ_INT(file.bytes > 0, created != 0);
  CHECK_EQ_INT(file.is_made, created == 0);
  CHECK(os_is_at(file.handle, path));
  CHECK(!before_lock && !before_create);
  session_file_close(&file);
  CHECK_EQ_INT(host_exists(path), created != 0);
}

static void check_busy(void) {
  char words[400];
  session_file file;
  gust_error err = {.text = ""};
  CHECK_EQ_INT(session_file_open(&file, path, true, &err), GUST_E_IO);
  session_file_close(&file);
  snprintf(words, sizeof words,
           "%s: another chat has this session open; end that one or give another --session", path);
  CHECK_EQ_STR(err.text, words);
}

/* --- between opening and locking ------------------------------------------------------------- */

static void replace(void) {
  make(other_path, THEIRS);
  if (!os_rename(other_path, path)) check_fatal("cannot rename to", path);
}

static void take_away(void) {
  if (!os_remove(path)) check_fatal("cannot remove", path);
}

static void replaced_or_removed(void) {
  begin("replaced.session");
  make(path, OURS);
  before_lock = replace;
  check_opened(THEIRS);
  before_lock = take_away;
  check_opened(0);
  before_lock = take_away; /* the file that was just made */
  check_opened(0);
  before_lock = replace;
  check_opened(THEIRS);
}

static session_file theirs;

static void open_theirs(void) {
  session_record first = {.type = SESSION_EVENTS};
  gust_error err;
  if (session_file_open(&theirs, path, true, &err)) check_fatal("cannot open", err.text);
  if (theirs.bytes == 0 && session_file_begin(&theirs, THEIRS, &first, &err))
    check_fatal("cannot write", err.text);
}

/* The other was faster with the lock: also with that of the file we made. */
static void locked_first(void) {
  for (int existing = 0; existing < 2; existing++) {
    begin(existing ? "held.session" : "made.session");
    if (existing) make(path, THEIRS);
    before_lock = open_theirs;
    check_busy();
    CHECK(os_is_at(theirs.handle, path)); /* we did not remove it */
    check_busy();
    session_file_close(&theirs);
    check_opened(THEIRS);
  }
}

static void close_theirs(void) {
  session_file_close(&theirs);
}

/* The other gave its new file up unused, and so removed it, before we asked for the lock. */
static void given_up(void) {
  gust_error err;
  begin("unused.session");
  CHECK_EQ_INT(session_file_open(&theirs, path, true, &err), GUST_OK);
  before_lock = close_theirs;
  check_opened(0);
}

static unsigned replacements;

static void replace_again(void) {
  replace();
  replacements++;
  before_lock = replace_again;
}

/* It does not go on for ever. */
static void always_replaced(void) {
  session_file file;
  gust_error err = {.text = ""};
  begin("always.session");
  make(path, OURS);
  before_lock = replace_again;
  CHECK_EQ_INT(session_file_open(&file, path, true, &err), GUST_E_IO);
  before_lock = NULL;
  CHECK(replacements > 1);
  CHECK_CONTAINS(err.text, ": cannot open or create the session: Resource temporarily unavailable");
  session_file_close(&file);
  check_opened(THEIRS);
}

/* --- between finding none and making one ------------------------------------------------------ */

static void make_theirs(void) {
  make(path, THEIRS);
}

static void made_first(void) {
  begin("first.session");
  before_create = make_theirs;
  check_opened(THEIRS);
  begin("both.session");
  before_create = open_theirs; /* and still holds it */
  check_busy();
  session_file_close(&theirs);
  check_opened(THEIRS);
}

/* --- processes -------------------------------------------------------------------------- */

/* Another process, which holds the session until it is killed. */
static pid_t start_holder(void) {
  int ready[2];
  char byte;
  if (pipe(ready) != 0) check_fatal("pipe", "");
  fflush(NULL);
  pid_t child = fork();
  if (child < 0) check_fatal("fork", "");
  if (child == 0) {
    open_theirs();
    if (write(ready[1], "", 1) == 1) pause();
    _exit(1);
  }
  close(ready[1]);
  if (read(ready[0], &byte, 1) != 1) check_fatal("the other process failed", "");
  close(ready[0]);
  return child;
}

/* The program says the same in its one line, and touches nothing. */
static void check_program(void) {
  char words[400];
  size_t before, after;
  char *text = check_read_file(path, &before);
  snprintf(words, sizeof words,
           "gust chat: %s: another chat has this session open; end that one or give another "
           "--session\n",
           path);
  CHECK_GUST(1, "", words, "hello\n", "chat", run_gust_demo("q4"), "--session", path, "--quiet");
  char *found = check_read_file(path, &after);
  CHECK(before == after && memcmp(text, found, after) == 0);
  free(text);
  free(found);
}

static void held_by_another(void) {
  begin("process.session");
  pid_t holder = start_holder();
  check_busy();
  check_program();
  kill(holder, SIGKILL);
  CHECK(waitpid(holder, NULL, 0) == holder);
  check_opened(THEIRS); /* a lock ends with its process */
}

/* --- conversions ------------------------------------------------------------------------ */

/* The partial file of a conversion is taken in the same way. */
static void exclusive_files(void) {
  uint64_t bytes = 9;
  bool busy = true;
  begin("model.converting");
  check_write_file(path, "before", 6);
  before_lock = replace;
  os_file file = os_open_exclusive(path, &bytes, &busy);
  CHECK(file != -1 && os_is_at(file, path) && !busy);
  CHECK_EQ_INT(bytes, check_file_bytes(path));
  CHECK(bytes > 6);
  os_file second = os_open_exclusive(path, &bytes, &busy);
  CHECK(second == -1 && busy);
  os_close(file);
  before_lock = take_away;
  file = os_open_exclusive(path, &bytes, &busy);
  CHECK(file != -1 && os_is_at(file, path) && bytes == 0);
  os_close(file);
}

/* None leaves a file open, nor anything to happen. */
static void try(void (*scenario)(void)) {
  size_t files = check_files_in("/proc/self/fd");
  scenario();
  CHECK_EQ_INT(check_files_in("/proc/self/fd"), files);
  CHECK(!before_lock && !before_create);
}

int main(void) {
  try(replaced_or_removed);
  try(locked_first);
  try(given_up);
  try(always_replaced);
  try(made_first);
  try(held_by_another);
  try(exclusive_files);
  return check_finish();
}
#endif

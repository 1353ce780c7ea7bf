/* os.h: memory that is reserved, committed and aligned; files mapped, read and
 * written at offsets, refused by name of the right error; sane processor and
 * memory counts. */
#define _XOPEN_SOURCE 700 /* mkfifo, setrlimit */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "os.h"

#define MIB ((size_t)1 << 20)

static bool all_are(const uint8_t *data, size_t bytes, uint8_t value) {
  for (size_t i = 0; i < bytes; i++)
    if (data[i] != value) return false;
  return true;
}

static void reservations(void) {
  /* Only what is committed and touched counts; valgrind has room for no more. */
  size_t bytes = ((size_t)16 << 30) + 12345;
  uint8_t *base = os_reserve(bytes);
  if (!CHECK(base != NULL)) return;
  CHECK_EQ_INT((uintptr_t)base % (2 * MIB), 0);

  size_t offset = 3 * MIB + 100, length = 5 * MIB;
  CHECK(os_commit(base, offset, length));
  CHECK(all_are(base + offset, length, 0));
  memset(base + offset, 7, length);
  CHECK(os_commit(base, offset + 10, length)); /* again and a little more */
  CHECK(all_are(base + offset, length, 7));
  CHECK(all_are(base + offset + length, 10, 0));
  CHECK(os_commit(base, 0, 0));
  CHECK(os_commit(base, bytes - 1, 1));
  base[bytes - 1] = 1;

  errno = 0;
  CHECK(!os_commit(base, SIZE_MAX - 5, 10));
  CHECK_EQ_INT(errno, ENOMEM);
  os_release(base, bytes);

  errno = 0;
  CHECK(os_reserve(SIZE_MAX - 5) == NULL);
  CHECK_EQ_INT(errno, ENOMEM);
  CHECK(os_reserve(SIZE_MAX / 2) == NULL);
  os_release(NULL, 100);
}

/* Reads one byte in a child and says whether that killed it. */
static bool is_unreadable(const volatile uint8_t *at) {
  pid_t child = fork();
  if (child < 0) check_fatal("cannot fork", "");
  if (child == 0) {
    const struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    if (!freopen("/dev/null", "w", stderr)) _exit(2); /* what a sanitizer would say */
    uint8_t byte = *at;
    _exit(byte == 0 ? 0 : 3);
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child) check_fatal("cannot wait", "");
  return !(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 3));
}

static void uncommitted_is_guarded(void) {
  uint8_t *base = os_reserve(8 * MIB);
  if (!CHECK(base != NULL)) return;
  CHECK(os_commit(base, 0, MIB));
  CHECK(!is_unreadable(base + MIB - 1));
  CHECK(is_unreadable(base + 4 * MIB));
  os_release(base, 8 * MIB);
}

static void mapped_files(void) {
  const char *path = check_temp_file("mapped");
  size_t bytes = 3 * 4096 + 17;
  uint8_t *data = malloc(bytes);
  if (!data) check_fatal("out of memory", "data");
  for (size_t i = 0; i < bytes; i++) data[i] = (uint8_t)(i * 7 >> 3);
  check_write_file(path, data, bytes);
  os_map map;
  if (CHECK(os_map_file(&map, path))) {
    CHECK_EQ_INT(map.bytes, bytes);
    os_will_need(&map, 0, bytes);
    os_will_need(&map, bytes - 1, SIZE_MAX); /* clipped */
    os_will_need(&map, SIZE_MAX, SIZE_MAX);
    CHECK(os_fetch(&map, 0, bytes));
    CHECK(os_fetch(&map, bytes - 1, SIZE_MAX)); /* clipped */
    CHECK(os_fetch(&map, SIZE_MAX, SIZE_MAX));
    CHECK(memcmp(map.data, data, bytes) == 0);
    os_dont_need(&map, 100, bytes - 200);
    os_dont_need(&map, 0, SIZE_MAX);
    CHECK(memcmp(map.data, data, bytes) == 0);
    os_unmap_file(&map);
    CHECK(map.data == NULL && map.bytes == 0);
    os_unmap_file(&map); /* once more does no harm */
  }
  free(data);

  const char *empty = check_temp_file("empty");
  check_write_file(empty, "", 0);
  CHECK(os_map_file(&map, empty));
  CHECK_EQ_INT(map.bytes, 0);
  os_will_need(&map, 0, 1);
  os_unmap_file(&map);
}

/* --- files that change while they are mapped --- */

static const char *three_pages(const char *name) {
  static const char page[4096 * 3] = {[0] = 1, [4096] = 2, [8192] = 3};
  const char *path = check_temp_file(name);
  check_write_file(path, page, sizeof page);
  return path;
}

/* Each in a process of its own, whose exit code it returns. */
typedef int child_fn(const char *path);

static int unguarded(const char *path) {
  os_map map;
  if (!os_map_file(&map, path) || truncate(path, 4096) != 0) return 2;
  return map.data[8192] == 0 ? 0 : 3;
}

static int guarded_map(const char *path) {
  os_map map, whole;
  uint64_t bytes = 0;
  if (!os_guard_maps() || !os_guard_maps() || !os_map_file(&map, path)) return 2;
  if (!os_map_file(&whole, check_data("heldout.txt"))) return 3;
  if (!os_map_unchanged(&map, &bytes) || bytes != 3 * 4096) return 4;
  if (truncate(path, 4096) != 0) return 5;
  if (os_map_unchanged(&map, &bytes) || bytes != 4096) return 6; /* before anybody reads */
  if (map.data[0] != 1 || map.data[4096] != 0 || map.data[3 * 4096 - 1] != 0) return 7;
  if (truncate(path, 3 * 4096) != 0) return 8;
  if (os_map_unchanged(&map, &bytes) || bytes != 3 * 4096) return 9; /* grown back */
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
  const volatile uint8_t *data = mmap(NULL, 3 * 4096, PROT_READ, MAP_SHARED, fd, 0);
  if (fd < 0 || data == MAP_FAILED || truncate(path, 4096) != 0) return 2;
  return data[8192] == 0 ? 0 : 3;
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

/* 0 to 127, or -1 where a signal or a sanitizer ended it. */
static int run_child(child_fn *fn) {
  const char *path = three_pages("shrinking");
  fflush(NULL);
  pid_t child = fork();
  if (child < 0) check_fatal("cannot fork", "");
  if (child == 0) {
    const struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    if (!freopen("/dev/null", "w", stderr)) _exit(2);
    _exit(fn(path));
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child) check_fatal("cannot wait", "");
  return WIFEXITED(status) && WEXITSTATUS(status) != 1 ? WEXITSTATUS(status) : -1;
}

static void shrinking_files(void) {
  CHECK_EQ_INT(run_child(unguarded), -1); /* what the guard is for */
  CHECK_EQ_INT(run_child(guarded_map), 0);
  CHECK_EQ_INT(run_child(guarded_elsewhere), -1);
  CHECK_EQ_INT(run_child(handled_elsewhere), 40);
  CHECK_EQ_INT(run_child(sent), 40);
}

static void expect_refused(const char *path, int expected) {
  os_map map;
  errno = 0;
  CHECK(!os_map_file(&map, path));
  CHECK_EQ_INT(errno, expected);
  CHECK(map.data == NULL && map.bytes == 0);
  uint64_t bytes;
  errno = 0;
  CHECK(os_open_read(path, &bytes) < 0);
  CHECK_EQ_INT(errno, expected);
}

static void refused_files(void) {
  const char *fifo = check_temp_file("fifo");
  expect_refused(check_temp(), EISDIR);
  expect_refused(check_temp_file("missing"), ENOENT);
  expect_refused("", ENOENT);
  if (CHECK(mkfifo(fifo, 0600) == 0)) expect_refused(fifo, ENOTSUP);
  expect_refused("/dev/null", ENOTSUP);
}

static void files_at_offsets(void) {
  const char *path = check_temp_file("written");
  os_file file = os_open_write(path);
  if (!CHECK(file >= 0)) return;
  CHECK(os_write_at(file, "world", 5, 7));
  CHECK(os_write_at(file, "hello, ", 7, 0));
  CHECK(os_write_at(file, "", 0, 1000)); /* nothing: the file does not grow */
  errno = 0;
  CHECK(!os_write_at(file, "x", 1, UINT64_MAX));
  CHECK_EQ_INT(errno, EOVERFLOW);
  CHECK(os_sync_close(file));

  uint64_t bytes = 0;
  char text[16] = "";
  file = os_open_read(path, &bytes);
  if (!CHECK(file >= 0)) return;
  CHECK_EQ_INT(bytes, 12);
  CHECK(os_read_at(file, text, 12, 0));
  CHECK_EQ_STR(text, "hello, world");
  memset(text, 0, sizeof text);
  CHECK(os_read_at(file, text, 3, 9));
  CHECK_EQ_STR(text, "rld");
  errno = 0;
  CHECK(!os_read_at(file, text, 4, 9)); /* one byte past the end */
  CHECK_EQ_INT(errno, EIO);
  CHECK(!os_write_at(file, "x", 1, 0)); /* open for reading only */
  os_close(file);
  os_close(-1);

  errno = 0;
  CHECK(!os_sync_close(-1));
  CHECK_EQ_INT(errno, EBADF);
  errno = 0;
  CHECK(os_open_write(check_temp_file("no/such/folder")) < 0);
  CHECK_EQ_INT(errno, ENOENT);
}

static void renamed_and_removed(void) {
  const char *from = check_temp_file("from"), *to = check_temp_file("to");
  check_write_file(from, "new", 3);
  check_write_file(to, "older", 5);
  CHECK(os_rename(from, to));
  char *text = check_read_file(to, NULL);
  CHECK_EQ_STR(text, "new");
  free(text);
  errno = 0;
  CHECK(!os_rename(from, to));
  CHECK_EQ_INT(errno, ENOENT);
  CHECK(os_remove(to));
  errno = 0;
  CHECK(!os_remove(to));
  CHECK_EQ_INT(errno, ENOENT);
  CHECK(!os_may_replace(check_temp()));
  CHECK(!os_may_replace("/dev/null"));
  CHECK(os_may_replace(check_data("heldout.txt")));
  CHECK(os_may_replace(check_temp_file("not there yet")));

  /* A bare name lies in the working folder, whose path has no slash. */
  char folder[4096];
  if (!getcwd(folder, sizeof folder) || chdir(check_temp()) != 0) check_fatal("cannot chdir", "");
  check_write_file("bare", "1", 1);
  CHECK(os_rename("bare", "bare2"));
  CHECK(os_remove("bare2"));
  if (chdir(folder) != 0) check_fatal("cannot go back to", folder);
}

static void same_files(void) {
  const char *file = check_temp_file("one"), *link_path = check_temp_file("link");
  check_write_file(file, "1", 1);
  check_write_file(check_temp_file("two"), "1", 1);
  CHECK(symlink(file, link_path) == 0);
  CHECK(os_same_file(file, file));
  CHECK(os_same_file(link_path, file));
  CHECK(!os_same_file(check_temp_file("two"), file));
  CHECK(!os_same_file(check_temp_file("none"), check_temp_file("none")));
}

/* A rename into a folder that cannot be opened, and so not be synced, is one all
 * the same. Root can open all folders. */
static void rename_without_sync(void) {
  const char *folder = check_temp_file("unreadable"), *to = check_temp_file("unreadable/to");
  const char *from = check_temp_file("from");
  CHECK(mkdir(folder, 0700) == 0);
  check_write_file(from, "1", 1);
  CHECK(chmod(folder, 0300) == 0);
  CHECK(os_rename(from, to));
  CHECK(chmod(folder, 0700) == 0);
  CHECK(os_remove(to));
}

static void machine(void) {
  unsigned cores = os_physical_cores();
  long online = sysconf(_SC_NPROCESSORS_ONLN);
  CHECK(cores >= 1 && (online < 1 || cores <= (unsigned long)online));
  CHECK_EQ_INT(os_physical_cores(), cores);

  uint64_t available = os_available_memory();
  long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  CHECK(available > MIB); /* known on every system this file is built for */
  CHECK(available <= (uint64_t)pages * (uint64_t)page);

  uint64_t begin = os_now_ns();
  nanosleep(&(struct timespec){0, 2000000}, NULL);
  uint64_t waited = os_now_ns() - begin;
  CHECK(waited >= 1900000 && waited < 60000000000u);
}

int main(void) {
  reservations();
  uncommitted_is_guarded();
  mapped_files();
  shrinking_files();
  refused_files();
  files_at_offsets();
  renamed_and_removed();
  same_files();
  rename_without_sync();
  machine();
  return check_finish();
}

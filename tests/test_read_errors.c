/* Reads and writes that fail, are cut short or interrupted: this program's own pread and
 * pwrite stand in for those of the C library. What is short or interrupted is completed;
 * what fails is said, with the file's name. */
#define _GNU_SOURCE /* syscall */
#define _FILE_OFFSET_BITS 64

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "check.h"
#include "checkpoint_maker.h"
#include "convert.h"
#include "gust.h"
#include "host.h"

#if !defined(__linux__) || !defined(__LP64__)
int main(void) {
  CHECK_SKIP("needs the system calls of 64-bit Linux");
}
#else

#include <sys/syscall.h>

/* --- the stand-ins --------------------------------------------------------------------- */

typedef enum fault { NO_FAULT, SHORT, INTERRUPTED, FAILING, ENDING } fault;

static fault read_fault, write_fault;
static int failing_errno = EIO; /* what FAILING fails with */
static long good_calls;         /* so many are left before FAILING and ENDING begin */
static long calls;

/* How many of `bytes` to take part in; -1: fail with errno, 0: the end. */
static ssize_t take_part(fault f, size_t bytes) {
  long call = __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
  if (f == SHORT && bytes > 1) return (ssize_t)(bytes / 3 + 1);
  if (f == INTERRUPTED && call % 2) {
    errno = EINTR;
    return -1;
  }
  if ((f == FAILING || f == ENDING) && call > good_calls) {
    errno = failing_errno;
    return f == FAILING ? -1 : 0;
  }
  return (ssize_t)bytes;
}

static ssize_t read_part(int fd, void *data, size_t bytes, off_t offset) {
  ssize_t part = take_part(read_fault, bytes);
  return part <= 0 ? part : syscall(SYS_pread64, fd, data, (size_t)part, offset);
}

static ssize_t write_part(int fd, const void *data, size_t bytes, off_t offset) {
  ssize_t part = take_part(write_fault, bytes);
  return part <= 0 ? part : syscall(SYS_pwrite64, fd, data, (size_t)part, offset);
}

/* Under both names that off_t of 64 bits gives them. */
ssize_t own_pread(int fd, void *data, size_t bytes, off_t offset) __asm__("pread");
ssize_t own_pread64(int fd, void *data, size_t bytes, off_t offset) __asm__("pread64");
ssize_t own_pwrite(int fd, const void *data, size_t bytes, off_t offset) __asm__("pwrite");
ssize_t own_pwrite64(int fd, const void *data, size_t bytes, off_t offset) __asm__("pwrite64");

ssize_t own_pread(int fd, void *data, size_t bytes, off_t offset) {
  return read_part(fd, data, bytes, offset);
}
ssize_t own_pread64(int fd, void *data, size_t bytes, off_t offset) {
  return read_part(fd, data, bytes, offset);
}
ssize_t own_pwrite(int fd, const void *data, size_t bytes, off_t offset) {
  return write_part(fd, data, bytes, offset);
}
ssize_t own_pwrite64(int fd, const void *data, size_t bytes, off_t offset) {
  return write_part(fd, data, bytes, offset);
}

/* What flock fails with; 0: it does not. */
static int lock_errno;

int flock(int fd, int operation) {
  errno = lock_errno;
  return lock_errno ? -1 : (int)syscall(SYS_flock, fd, operation);
}

static void set_faults(fault reading, fault writing, long good) {
  read_fault = reading;
  write_fault = writing;
  good_calls = good;
  calls = 0;
}

/* --- models ------------------------------------------------------------------------------ */

static const char *source, *path;

static gust_status open_copied(gust_error *err) {
  const gust_model_options options = {.load = GUST_LOAD_COPY};
  gust_model *model;
  *err = (gust_error){0};
  gust_status status = gust_model_open(&model, path, &options, err); /* checksums and all */
  gust_model_close(model);
  return status;
}

static void models(void) {
  gust_error err;
  for (fault f = NO_FAULT; f <= INTERRUPTED; f++) {
    set_faults(f, NO_FAULT, 0);
    CHECK_EQ_INT(open_copied(&err), GUST_OK);
    CHECK(calls > 0);
  }
  for (fault f = FAILING; f <= ENDING; f++) {
    set_faults(f, NO_FAULT, 0);
    CHECK_EQ_INT(open_copied(&err), GUST_E_IO);
    CHECK(strncmp(err.text, path, strlen(path)) == 0);
    CHECK_CONTAINS(err.text, ": cannot read: ");
    CHECK_CONTAINS(err.text, strerror(EIO));
  }
  set_faults(NO_FAULT, NO_FAULT, 0);
}

/* What cannot be a model's file, whatever it is. */
static void no_files(void) {
  const char *fifo = check_temp_file("fifo");
  const char *paths[] = {check_temp(), "/dev/null", "/dev/zero", "/proc/self/mem", fifo};
  if (!host_make_fifo(fifo)) check_fatal("mkfifo", fifo);
  host_expect_soon("a named pipe to be refused");
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
    gust_model *model;
    gust_error err = {0};
    CHECK(gust_model_open(&model, paths[i], NULL, &err) != GUST_OK);
    CHECK(model == NULL && strncmp(err.text, paths[i], strlen(paths[i])) == 0);
    CHECK_CONTAINS(err.text, "; ");
  }
  host_expect_soon(NULL);
}

/* --- conversions ---------------------------------------------------------------------------- */

static gust_status convert_to(const char *target, gust_error *err) {
  const gust_convert_options options = {.type = GUST_TYPE_Q4, .threads = 2};
  *err = (gust_error){0};
  return gust_convert(source, target, &options, NULL, err);
}

static bool same_file(const char *a, const char *b) {
  size_t a_bytes, b_bytes;
  char *x = check_read_file(a, &a_bytes), *y = check_read_file(b, &b_bytes);
  bool same = a_bytes == b_bytes && memcmp(x, y, a_bytes) == 0;
  free(x);
  free(y);
  return same;
}

/* A write fails sooner or later, with this error: what was at the target stays, and the
 * next conversion comes to the same bytes. */
static void failing_writes(const char *target, int error, const char *words) {
  long good;
  gust_error err;
  for (good = 0; good < 60; good += 3) {
    failing_errno = error;
    set_faults(NO_FAULT, FAILING, good);
    check_write_file(target, "before", 6);
    gust_status status = convert_to(target, &err);
    set_faults(NO_FAULT, NO_FAULT, 0);
    if (status == GUST_OK) break;
    CHECK_EQ_INT(status, GUST_E_IO);
    CHECK_CONTAINS(err.text, target);
    CHECK_CONTAINS(err.text, words);
    char *text = check_read_file(target, NULL);
    CHECK_EQ_STR(text, "before");
    free(text);
    CHECK_EQ_INT(convert_to(target, &err), GUST_OK);
    CHECK(same_file(target, path));
  }
  failing_errno = EIO;
  CHECK(good > 0);
}

static void conversions(void) {
  const char *target = check_temp_file("again.gust");
  gust_error err;
  for (fault f = SHORT; f <= INTERRUPTED; f++) {
    set_faults(f, f, 0);
    CHECK_EQ_INT(convert_to(target, &err), GUST_OK);
    CHECK(calls > 0);
    set_faults(NO_FAULT, NO_FAULT, 0);
    CHECK(same_file(target, path));
  }
  /* config.json is the first that is read. */
  set_faults(FAILING, NO_FAULT, 0);
  CHECK_EQ_INT(convert_to(target, &err), GUST_E_IO);
  CHECK_CONTAINS(err.text, "config.json: expected a readable file, found: ");
  CHECK_CONTAINS(err.text, strerror(EIO));
  failing_writes(target, EIO, strerror(EIO));
  failing_writes(target, ENOSPC, "the disk is full: free ");
}

/* File systems that have no locks hold nobody off; any other failure is one. */
static void no_locks(void) {
  static const int none[] = {ENOSYS, EOPNOTSUPP, ENOLCK};
  gust_error err;
  const char *other = check_temp_file("unlocked.gust");
  for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
    lock_errno = none[i];
    CHECK_EQ_INT(convert_to(other, &err), GUST_OK);
    CHECK(same_file(other, path));
    remove(other);
  }
  lock_errno = EIO;
  CHECK_EQ_INT(convert_to(other, &err), GUST_E_IO);
  CHECK_CONTAINS(err.text, "unlocked.gust: expected to create it, found: ");
  CHECK_CONTAINS(err.text, strerror(EIO));
  lock_errno = 0;
}

int main(void) {
  gust_error err;
  maker_model m = maker_small(false, true);
  source = check_temp_file("source");
  path = check_temp_file("small.gust");
  maker_write(&m, source, "BF16", 1);
  maker_free(&m);
  if (convert_to(path, &err)) check_fatal("convert", err.text);
  models();
  no_files();
  conversions();
  no_locks();
  return check_finish();
}
#endif

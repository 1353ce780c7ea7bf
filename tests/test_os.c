/* os.h: memory that is reserved, committed and aligned; files mapped, read and
 * written at offsets, refused by name of the right error; sane processor and
 * memory counts. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "host.h"
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

static void uncommitted_is_guarded(void) {
  uint8_t *base = os_reserve(8 * MIB);
  if (!CHECK(base != NULL)) return;
  CHECK(os_commit(base, 0, MIB));
  CHECK(host_is_readable(base + MIB - 1));
  CHECK(!host_is_readable(base + 4 * MIB));
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
  host_expect_soon("a named pipe to be refused");
  if (host_make_fifo(fifo))
    expect_refused(fifo, ENOTSUP);
  else
    check_part_skipped("a pipe in a folder", "there are none");
  expect_refused(host_null_device(), ENOTSUP);
  host_expect_soon(NULL);
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

/* Offsets that 32 bits do not hold. */
static void beyond_4_gib(void) {
  static const char name[] = "files beyond 4 GiB";
  const char *path = check_temp_file("long");
  const uint64_t at = (uint64_t)5 << 30;
  if (!host_makes_holes()) {
    check_part_skipped(name, "one would take all of that on the disk");
    return;
  }
  host_limit_files(HOST_NO_LIMIT); /* a limit that stays is an error, no signal */
  os_file file = os_open_write(path);
  if (!CHECK(file != -1)) return;
  errno = 0;
  bool written = os_write_at(file, "far away", 8, at);
  bool refused = !written && (errno == EFBIG || errno == ENOSPC);
  os_close(file);
  if (refused) {
    check_part_skipped(name, "the disk or a limit has no room for one");
    return;
  }
  CHECK(written);

  uint64_t bytes = 0;
  char text[9] = "";
  file = os_open_read(path, &bytes);
  CHECK_EQ_INT(bytes, at + 8);
  CHECK(os_read_at(file, text, 8, at));
  CHECK_EQ_STR(text, "far away");
  CHECK(os_read_at(file, text, 8, at & UINT32_MAX));
  CHECK(all_are((const uint8_t *)text, 8, 0));
  os_close(file);

  os_map map;
  if (CHECK(os_map_file(&map, path))) {
    if (CHECK_EQ_INT(map.bytes, at + 8)) {
      CHECK(os_fetch(&map, (size_t)at, 8));
      CHECK(memcmp(map.data + at, "far away", 8) == 0);
      CHECK(all_are(map.data + (at & UINT32_MAX), 8, 0));
    }
    os_unmap_file(&map);
  }
  check_cut_file(path, at + 3);
  CHECK_EQ_INT(check_file_bytes(path), at + 3);
  CHECK(os_remove(path));
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
  CHECK(!os_may_replace(host_null_device()));
  CHECK(os_may_replace(check_data("heldout.txt")));
  CHECK(os_may_replace(check_temp_file("not there yet")));

  /* A bare name lies in the working folder, whose path has no slash. */
  char *folder = host_working_folder();
  host_change_folder(check_temp());
  check_write_file("bare", "1", 1);
  CHECK(os_rename("bare", "bare2"));
  CHECK(os_remove("bare2"));
  host_change_folder(folder);
  free(folder);
}

static void same_files(void) {
  const char *file = check_temp_file("one"), *link_path = check_temp_file("link");
  check_write_file(file, "1", 1);
  check_write_file(check_temp_file("two"), "1", 1);
  CHECK(host_make_alias(file, link_path));
  CHECK(os_same_file(file, file));
  CHECK(os_same_file(link_path, file));
  CHECK(!os_same_file(check_temp_file("two"), file));
  CHECK(!os_same_file(check_temp_file("none"), check_temp_file("none")));
}

static bool any_name(void *user, const char *name) {
  (void)user, (void)name;
  return true;
}

/* A rename into a folder that cannot be opened, and so not be synced, is one all
 * the same. */
static void rename_without_sync(void) {
  const char *folder = check_temp_file("unreadable"), *to = check_temp_file("unreadable/to");
  const char *from = check_temp_file("unreadable/from");
  CHECK(os_make_folder(folder));
  bool hidden =
      host_set_mode(check_temp(), 0711) && host_set_mode(folder, 0333) && host_suspend_root();
  os_file file = hidden ? os_open_write(from) : -1;
  if (file != -1) {
    os_close(file);
    CHECK(!os_list_folder(folder, any_name, NULL));
    CHECK(os_rename(from, to));
    CHECK(os_remove(to));
  } else {
    check_part_skipped("a folder that cannot be opened", "none can be made, or root is needed");
  }
  host_resume_root();
  if (hidden) CHECK(host_set_mode(folder, 0700));
}

/* A file is held until it is closed; where there are no locks nobody is held off. */
static void locks(void) {
  uint64_t bytes;
  bool busy = false;
  const char *path = check_temp_file("locked");
  os_file one = os_open_exclusive(path, &bytes, &busy);
  CHECK(one != (os_file)-1 && !busy);
  CHECK(os_open_exclusive(path, &bytes, &busy) == (os_file)-1 && busy);
  os_close(one);
  one = os_open_exclusive(path, &bytes, &busy);
  CHECK(one != (os_file)-1 && !busy);
  os_close(one);
}

static void machine(void) {
  unsigned cores = os_physical_cores(), processors = host_processors();
  CHECK(cores >= 1 && (!processors || cores <= processors));
  CHECK_EQ_INT(os_physical_cores(), cores);

  uint64_t available = os_available_memory();
  CHECK(available > MIB); /* known on every system this file is built for */
  CHECK(available <= host_memory_bytes());

  uint64_t begin = os_now_ns();
  host_sleep(2);
  uint64_t waited = os_now_ns() - begin;
  CHECK(waited >= 1900000 && waited < 60000000000u);
}

int main(void) {
  reservations();
  uncommitted_is_guarded();
  mapped_files();
  refused_files();
  files_at_offsets();
  beyond_4_gib();
  renamed_and_removed();
  same_files();
  rename_without_sync();
  locks();
  machine();
  return check_finish();
}

/* os.h: names of files and folders in UTF-8, folders made and listed, private files,
 * locks, fopen; paths taken apart. Nothing of the system is used but os.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "os.h"

/* Two, three and four bytes a character; composed, so that no system changes it. */
#define ODD_NAME "\xc3\xa4 \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x8c\xac"
#define TEXT "gust\r\n\n"

static char *join(const char *folder, const char *name) {
  size_t bytes = strlen(folder) + strlen(name) + 2;
  char *path = malloc(bytes);
  if (!path) check_fatal("no memory", name);
  snprintf(path, bytes, "%s/%s", folder, name);
  return path;
}

/* The last error number, or 0 when it did not fail. */
static int error_of(bool done) {
  return done ? 0 : errno;
}

/* --- folders ---------------------------------------------------------------------- */

typedef struct name_count {
  size_t names, odd, most;
} name_count;

static bool count_name(void *user, const char *name) {
  name_count *count = user;
  count->names++;
  if (!strcmp(name, ODD_NAME)) count->odd++;
  CHECK(strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
  return count->names == count->most;
}

static void folders(void) {
  char *folder = join(check_temp(), ODD_NAME), *inner = join(folder, ODD_NAME);
  char *beyond = join(inner, "a/b");
  CHECK(!os_is_folder(folder));
  CHECK(os_make_folder(folder));
  CHECK(os_is_folder(folder));
  CHECK_EQ_INT(error_of(os_make_folder(folder)), EEXIST);
  CHECK_EQ_INT(error_of(os_make_folder(beyond)), ENOENT);

  name_count count = {0};
  CHECK(os_list_folder(folder, count_name, &count));
  CHECK_EQ_INT(count.names, 0);
  CHECK(os_make_folder(inner));
  char *other = join(folder, ".hidden");
  check_write_file(other, TEXT, strlen(TEXT));
  CHECK(os_list_folder(folder, count_name, &count));
  CHECK_EQ_INT(count.names, 2);
  CHECK_EQ_INT(count.odd, 1);
  count = (name_count){.most = 1};
  CHECK(os_list_folder(folder, count_name, &count));
  CHECK_EQ_INT(count.names, 1);

  CHECK_EQ_INT(error_of(os_list_folder(beyond, count_name, &count)), ENOENT);
  CHECK_EQ_INT(error_of(os_list_folder(other, count_name, &count)), ENOTDIR);
  CHECK(!os_is_folder(other));
  CHECK(!os_may_replace(folder));
  CHECK(os_may_replace(other));
  CHECK(os_may_replace(beyond));
  free(other);
  free(beyond);
  free(inner);
  free(folder);
}

/* --- files -------------------------------------------------------------------------- */

static bool holds(const char *path, const char *text) {
  char data[64];
  uint64_t bytes = 0;
  os_file file = os_open_read(path, &bytes);
  bool same = file != -1 && bytes == strlen(text) && bytes <= sizeof data &&
              os_read_at(file, data, (size_t)bytes, 0) && memcmp(data, text, (size_t)bytes) == 0;
  os_close(file);
  return same;
}

static void streams(void) {
  char *path = join(check_temp(), ODD_NAME "-stream");
  errno = 0;
  CHECK(os_fopen(path, "rb") == NULL);
  CHECK_EQ_INT(errno, ENOENT);
  FILE *file = os_fopen(path, "wbx");
  if (!CHECK(file != NULL)) return;
  CHECK(fputs(TEXT, file) >= 0);
  CHECK(fclose(file) == 0);
  CHECK(holds(path, TEXT));
  errno = 0;
  CHECK(os_fopen(path, "wbx") == NULL);
  CHECK_EQ_INT(errno, EEXIST);

  char line[64] = "";
  file = os_fopen(path, "rb");
  if (!CHECK(file != NULL)) return;
  CHECK_EQ_INT(fread(line, 1, sizeof line, file), strlen(TEXT));
  CHECK(memcmp(line, TEXT, strlen(TEXT)) == 0);
  fclose(file);
  file = os_fopen(path, "wb");
  if (!CHECK(file != NULL)) return;
  CHECK(fclose(file) == 0);
  CHECK(holds(path, ""));
  CHECK(os_remove(path));
  free(path);
}

static void private_files(void) {
  char *path = join(check_temp(), ODD_NAME "-private"), data[8];
  uint64_t bytes = 99;
  CHECK_EQ_INT(error_of(os_open_update(path, &bytes) != -1), ENOENT);
  os_file file = os_create_private(path);
  if (!CHECK(file != -1)) return;
  CHECK_EQ_INT(error_of(os_create_private(path) != -1), EEXIST);
  CHECK(os_write_at(file, "abcdef", 6, 0));
  CHECK(os_read_at(file, data, 3, 2) && memcmp(data, "cde", 3) == 0);
  CHECK(os_file_bytes(file, &bytes) && bytes == 6);
  os_make_private(file);
  os_close(file);

  file = os_open_update(path, &bytes);
  if (!CHECK(file != -1)) return;
  CHECK_EQ_INT(bytes, 6);
  CHECK(os_write_at(file, "XY", 2, 1) && os_truncate(file, 4));
  CHECK(os_sync_close(file));
  CHECK(holds(path, "aXYd"));
  CHECK_EQ_INT(error_of(os_open_update(check_temp(), &bytes) != -1), EISDIR);
  free(path);
}

/* A lock keeps others that lock from the file, not those who only read. */
static void locks(void) {
  char *path = join(check_temp(), ODD_NAME "-locked"), *moved = join(check_temp(), "moved");
  bool busy = true;
  uint64_t bytes;
  os_file first = os_create_private(path);
  CHECK(os_write_at(first, TEXT, strlen(TEXT), 0));
  CHECK(os_lock(first, &busy) && !busy);
  os_file second = os_open_update(path, &bytes);
  CHECK(!os_lock(second, &busy) && busy);
  CHECK(os_open_exclusive(path, &bytes, &busy) == -1 && busy);
  CHECK(holds(path, TEXT));
  CHECK(os_write_at(second, "g", 1, 0));
  os_close(first);
  CHECK(os_lock(second, &busy) && !busy);

  CHECK(os_is_at(second, path));
  CHECK(os_rename(path, moved));
  CHECK(!os_is_at(second, path));
  os_file other = os_create_private(path);
  CHECK(!os_is_at(second, path));
  CHECK(os_is_at(other, path) && !os_is_at(other, moved));
  os_close(other);
  os_close(second);
  CHECK(holds(moved, TEXT));
  free(moved);
  free(path);
}

/* Longer than 260 characters, which takes care on Windows, in names that any file
 * system has. */
static void long_paths(void) {
  char name[121], *folder = join(check_temp(), "long");
  memset(name, 'n', sizeof name - 1);
  name[sizeof name - 1] = 0;
  CHECK(os_make_folder(folder));
  for (int i = 0; i < 3; i++) {
    char *below = join(folder, name);
    free(folder);
    folder = below;
    CHECK(os_make_folder(folder));
  }
  char *path = join(folder, "file");
  FILE *file = os_fopen(path, "wb");
  if (CHECK(file != NULL)) {
    CHECK(fputs(TEXT, file) >= 0);
    fclose(file);
  }
  CHECK(holds(path, TEXT));
  name_count count = {0};
  CHECK(os_list_folder(folder, count_name, &count));
  CHECK_EQ_INT(count.names, 1);
  CHECK(os_free_disk(path) > 0);
  CHECK(os_same_file(path, path));
  CHECK(os_remove(path));
  free(path);
  free(folder);
}

/* --- paths ----------------------------------------------------------------------------- */

static void paths(void) {
  CHECK_EQ_STR(os_file_name("a/b/c"), "c");
  CHECK_EQ_STR(os_file_name("/c"), "c");
  CHECK_EQ_STR(os_file_name("c"), "c");
  CHECK_EQ_STR(os_file_name("a/b/"), "");
  CHECK_EQ_STR(os_file_name(""), "");
  CHECK(os_is_separator('/'));
  CHECK(!os_is_separator('a') && !os_is_separator(0));
  /* Where a backslash separates, a drive's colon does as well. */
  bool windows = os_is_separator('\\');
  CHECK_EQ_STR(os_file_name("a\\b"), windows ? "b" : "a\\b");
  CHECK_EQ_STR(os_file_name("C:b"), windows ? "b" : "C:b");
}

static void times(void) {
  time_t day = 86400 * 365;
  struct tm local;
  uint64_t begin = os_now_ns();
  os_sleep_ns(20000000);
  CHECK(os_now_ns() - begin >= 15000000); /* clocks tick in coarse steps on some */
  CHECK(os_local_time(day, &local));
  CHECK(local.tm_year == 70 || local.tm_year == 71); /* either side of midnight */
  CHECK(os_processors() >= os_physical_cores());
  uint64_t total = os_total_memory(), available = os_available_memory();
  CHECK(total == 0 || available <= total);
}

int main(void) {
  folders();
  streams();
  private_files();
  locks();
  long_paths();
  paths();
  times();
  return check_finish();
}

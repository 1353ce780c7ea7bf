/* gust convert: targets that cannot be written or must not be, and what is left of a
 * conversion that fails or is stopped. */
#ifdef __linux__
#define _GNU_SOURCE /* unshare, mount */
#endif

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

#include "check.h"
#include "checkpoint_maker.h"
#include "convert.h"
#include "demo_model.h"
#include "host.h"
#include "os.h"
#include "run_gust.h"

static const char *source, *output, *target; /* a folder, a folder, a file in it */

/* --- disks and places ---------------------------------------------------------------------- */

/* A file may not grow past a limit: every size from nothing on. */
static void limited(void) {
  maker_model m = maker_small(false, true);
  maker_write(&m, source, "BF16", 1);
  const uint64_t sizes[] = {0, 1000, 20000, 100000};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    gust_error err = {0};
    const gust_convert_options options = {.type = GUST_TYPE_F32, .threads = 2};
    check_write_file(target, "old", 3);
    if (!host_limit_files(sizes[i])) {
      check_part_skipped("files that may not grow", "no file can be limited");
      break;
    }
    gust_status status = gust_convert(source, target, &options, NULL, &err);
    CHECK(host_limit_files(HOST_NO_LIMIT));
    CHECK_EQ_INT(status, GUST_E_IO);
    CHECK_CONTAINS(err.text, target);
    CHECK_CONTAINS(err.text,
                   "the file may not grow so large: write to another disk (FAT32 ends at 4 GiB)");
    CHECK_EQ_INT(check_files_in(output), 1);
  }
  maker_free(&m);
}

#ifdef __linux__
/* Converts to a disk mounted at `disk` once it has this size; says on stderr
 * when it goes otherwise than it should. */
static bool convert_to_disk(const char *disk, const char *size, gust_status want, const char *words,
                            int files) {
  char path[512], option[32];
  gust_error err = {0};
  gust_convert_report report = {0};
  gust_convert_options options = {.type = GUST_TYPE_F32, .threads = 1};
  snprintf(option, sizeof option, "size=%s", size);
  snprintf(path, sizeof path, "%s/model.gust", disk);
  if (mount("tmpfs", disk, "tmpfs", MS_REMOUNT, option) != 0) return false;
  gust_status status = gust_convert(source, path, &options, &report, &err);
  bool good = status == want && strstr(err.text, words) && check_files_in(disk) == (size_t)files &&
              (status == GUST_OK) == (report.resumed > 0);
  if (status) good = good && strstr(err.text, path) && strstr(err.text, "the disk is full: free ");
  if (!good) fprintf(stderr, "disk of %s: status %d, %s\n", size, (int)status, err.text);
  return good;
}

static bool put_text(const char *path, const char *text) {
  FILE *file = fopen(path, "w");
  bool put = file && fputs(text, file) >= 0;
  return file && fclose(file) == 0 && put;
}

/* Puts this process into a mount space of its own, in which who is not root is: systems that
 * give everyone a user space of their own allow that. */
static bool enter_mount_space(void) {
  char uid[64], gid[64];
  snprintf(uid, sizeof uid, "0 %lu 1", (unsigned long)getuid());
  snprintf(gid, sizeof gid, "0 %lu 1", (unsigned long)getgid());
  if (unshare(CLONE_NEWNS) != 0 &&
      (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0 || !put_text("/proc/self/setgroups", "deny") ||
       !put_text("/proc/self/uid_map", uid) || !put_text("/proc/self/gid_map", gid)))
    return false;
  return mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0;
}

/* In a process and mount space of its own: 0 when the disk was full and all
 * went as it should, 1 when not, 77 when no small disk could be mounted. */
static int convert_to_full_disk(void) {
  const char *disk = check_temp_file("disk");
  os_make_folder(disk);
  if (!enter_mount_space() || mount("tmpfs", disk, "tmpfs", 0, "size=64k") != 0) return 77;
  return convert_to_disk(disk, "64k", GUST_E_IO, "or write to another disk", 0) &&
                 convert_to_disk(disk, "512k", GUST_E_IO,
                                 "; what is finished is kept: the same command goes on from there, "
                                 "or remove ",
                                 1) &&
                 convert_to_disk(disk, "16m", GUST_OK, "", 1)
             ? 0
             : 1;
}

static void full_disk(void) {
  maker_model m = maker_small(false, true);
  maker_write(&m, source, "BF16", 1);
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) _exit(convert_to_full_disk());
  int status = 0;
  if (CHECK(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status))) {
    if (WEXITSTATUS(status) == 77)
      check_part_skipped("a full disk", "no right to mount a small one");
    else
      CHECK_EQ_INT(WEXITSTATUS(status), 0);
  }
  maker_free(&m);
}
#else
static void full_disk(void) {
  check_part_skipped("a full disk", "no small one can be mounted");
}
#endif

static void bad_places(void) {
  maker_model m = maker_small(false, true);
  gust_error err = {0};
  maker_write(&m, source, "BF16", 1);
  CHECK_EQ_INT(gust_convert(source, output, NULL, NULL, &err), GUST_E_ARGUMENT);
  CHECK_CONTAINS(err.text, "expected a regular file or a new name, found a folder, device or pipe");
  CHECK_EQ_INT(gust_convert(source, check_temp_file("none/m.gust"), NULL, NULL, &err), GUST_E_IO);
  CHECK_CONTAINS(err.text, "none/m.gust: expected to create it, found: No such file");
  CHECK_EQ_INT(gust_convert(check_temp_file("none"), target, NULL, NULL, &err), GUST_E_IO);
  CHECK_CONTAINS(err.text, "none/config.json: expected a readable file, found: No such file");
  gust_convert_options bad = {.type = (gust_type)9};
  CHECK_EQ_INT(gust_convert(source, target, &bad, NULL, &err), GUST_E_ARGUMENT);
  CHECK_EQ_STR(err.text, "type: expected " GUST_TYPE_NAMES ", found 9");
  CHECK_EQ_INT(gust_convert(source, target, NULL, NULL, NULL), GUST_OK); /* all may be NULL */
  maker_free(&m);
}

/* The checkpoint itself is no target, by whatever name. */
static void own_sources(void) {
  static const char *const names[] = {
      "config.json",           "tokenizer.json",           "generation_config.json",
      "tokenizer_config.json", "model-2-of-2.safetensors", "model.safetensors.index.json"};
  const char *folder = check_temp_file("own");
  maker_model m = maker_small(false, true);
  maker_write(&m, folder, "BF16", 2);
  check_write_file(check_temp_file("own/generation_config.json"), "{}", 2);
  check_write_file(check_temp_file("own/tokenizer_config.json"), "{}", 2);
  size_t files = check_files_in(folder);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char path[512], words[1200];
    gust_error err = {0};
    snprintf(path, sizeof path, "%s/%s", folder, names[i]);
    size_t before, after;
    char *old = check_read_file(path, &before);
    CHECK_EQ_INT(gust_convert(folder, path, NULL, NULL, &err), GUST_E_ARGUMENT);
    snprintf(words, sizeof words,
             "%s: expected a file that is no part of the checkpoint, found '%s' of %s; give "
             "another name",
             path, names[i], folder);
    CHECK_EQ_STR(err.text, words);
    char *new = check_read_file(path, &after);
    CHECK(before == after && memcmp(old, new, before) == 0);
    CHECK_EQ_INT(check_files_in(folder), files);
    free(old);
    free(new);
  }
  gust_error err = {0};
  const char *link_path = check_temp_file("output/link.gust");
  CHECK(host_make_alias(check_temp_file("own/model-1-of-2.safetensors"), link_path));
  CHECK_EQ_INT(gust_convert(folder, link_path, NULL, NULL, &err), GUST_E_ARGUMENT);
  CHECK_CONTAINS(err.text,
                 "link.gust: expected a file that is no part of the checkpoint, found "
                 "'model-1-of-2.safetensors' of ");
  remove(link_path);

  /* A link to another file gives way to the file. */
  const char *other = check_temp_file("other");
  check_write_file(other, "other", 5);
  CHECK(host_make_alias(other, link_path));
  CHECK_EQ_INT(gust_convert(folder, link_path, NULL, NULL, &err), GUST_OK);
  CHECK(!os_same_file(other, link_path));
  char *text = check_read_file(other, NULL);
  CHECK_EQ_STR(text, "other");
  free(text);
  remove(link_path);
  maker_free(&m);
}

/* --- the command -------------------------------------------------------------------------- */

#ifdef _WIN32
static void size_limit(void) {
  check_part_skipped("a limit of the shell (ulimit -f)", "there is none");
}

static void quit_key(void) {
  check_part_skipped("Ctrl-\\", "there is no such key, and Ctrl-C comes after the demo's end");
}
#else
static void size_limit(void) {
  char script[2048], words[1024];
  /* The shell's limit counts blocks of 512 bytes. */
  snprintf(script, sizeof script,
           "ulimit -f 100; exec $MESON_EXE_WRAPPER '%s' convert '%s' -o '%s' --quiet",
           run_gust_binary(), check_demo(), target);
  const char *argv[] = {"/bin/sh", "-c", script, NULL};
  remove(target);
  run_result run = run_program(argv, "", 0);
  CHECK_EQ_INT(run.code, 1);
  snprintf(
      words, sizeof words,
      "gust convert: %s: expected to write it, found: File too large; the file may not grow "
      "so large: write to another disk (FAT32 ends at 4 GiB), or raise the limit (ulimit -f)\n",
      target);
  CHECK_EQ_STR(run.err, words);
  CHECK_EQ_INT(check_files_in(output), 0);
  run_result_clear(&run);
}

static bool is_output_begun(void *user) {
  (void)user;
  return check_files_in(output) > 0;
}

/* Ctrl-\ as soon as the partial file is there; test_convert_resume looks at what is left
 * more closely. */
static void quit_key(void) {
  const char *argv[] = {run_gust_binary(), "convert", check_demo(), "-o", target, "--type", "q4",
                        "--threads",       "1",       "--quiet",    NULL};
  run_result run = run_program_when(argv, is_output_begun, NULL, RUN_QUIT);
  CHECK_EQ_INT(run.code, 128 + RUN_QUIT);
  bool left = strstr(run.err, "; nothing is left of it") == NULL;
  CHECK_CONTAINS(run.err, "the conversion was stopped; ");
  run_result_clear(&run);
  CHECK_EQ_INT(check_files_in(output), left);
  remove(check_temp_file("output/model.gust.converting"));
}
#endif

int main(void) {
  source = check_temp_file("source");
  output = check_temp_file("output");
  target = check_temp_file("output/model.gust");
  if (!os_make_folder(output)) check_fatal("cannot make", output);
  limited();
  full_disk();
  bad_places();
  own_sources();
  size_limit();
  quit_key();
  return check_finish();
}

/* Runs a fuzz target without a fuzzing engine: over every file given and every
 * file in the folders given, one level deep. Exits 77 when there was none. */
#define _XOPEN_SOURCE 700

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* The input is copied to memory of exactly its size, so that a sanitizer sees a
 * read past its end. */
static void replay(const char *path) {
  size_t bytes;
  char *text = check_read_file(path, &bytes);
  uint8_t *data = malloc(bytes ? bytes : 1);
  if (!data) check_fatal("out of memory", path);
  memcpy(data, text, bytes);
  free(text);
  printf("%s: %zu bytes\n", path, bytes);
  fflush(stdout); /* should this input be the last one, its name is in the log */
  CHECK(LLVMFuzzerTestOneInput(data, bytes) == 0);
  free(data);
}

static size_t replay_all(const char *path) {
  struct stat st;
  if (stat(path, &st) != 0) return 0;
  if (!S_ISDIR(st.st_mode)) {
    replay(path);
    return 1;
  }
  struct dirent **names = NULL;
  int count = scandir(path, &names, NULL, alphasort);
  size_t replayed = 0;
  for (int i = 0; i < count; i++) {
    char file[4096];
    int n = snprintf(file, sizeof file, "%s/%s", path, names[i]->d_name);
    bool fits = n > 0 && (size_t)n < sizeof file && stat(file, &st) == 0;
    if (fits && S_ISREG(st.st_mode)) {
      replay(file);
      replayed++;
    }
    free(names[i]);
  }
  free(names);
  return replayed;
}

int main(int argc, char **argv) {
  size_t replayed = 0;
  for (int i = 1; i < argc; i++) replayed += replay_all(argv[i]);
  if (replayed == 0) CHECK_SKIP("no inputs to replay");
  return check_finish();
}

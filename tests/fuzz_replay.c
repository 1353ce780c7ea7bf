/* Runs a fuzz target without a fuzzing engine: over every file given and every
 * file in the folders given, one level deep; an argument that holds none is an error. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "host.h"
#include "os.h"

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

typedef struct name_list {
  char **names;
  size_t count;
} name_list;

static bool add_name(void *user, const char *name) {
  name_list *list = user;
  char **grown = realloc(list->names, (list->count + 1) * sizeof *grown);
  char *copy = malloc(strlen(name) + 1);
  if (!grown || !copy) check_fatal("out of memory", name);
  list->names = grown;
  list->names[list->count++] = strcpy(copy, name);
  return false;
}

static int compare_names(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static size_t replay_all(const char *path) {
  if (!os_is_folder(path)) {
    if (!host_exists(path)) return 0;
    replay(path);
    return 1;
  }
  name_list list = {0};
  size_t replayed = 0;
  if (!os_list_folder(path, add_name, &list)) check_fatal("cannot list", path);
  if (list.count) qsort(list.names, list.count, sizeof *list.names, compare_names);
  for (size_t i = 0; i < list.count; i++) {
    char file[4096];
    int n = snprintf(file, sizeof file, "%s/%s", path, list.names[i]);
    if (n > 0 && (size_t)n < sizeof file && !os_is_folder(file)) {
      replay(file);
      replayed++;
    }
    free(list.names[i]);
  }
  free(list.names);
  return replayed;
}

int main(int argc, char **argv) {
  if (argc < 2) check_fatal("no inputs to replay", "name files or folders");
  for (int i = 1; i < argc; i++)
    if (replay_all(argv[i]) == 0) check_fatal("no inputs to replay", argv[i]);
  return check_finish();
}

/* Opening and closing everything a thousand times leaves nothing behind: no memory, file,
 * mapping or thread; nor do failures. Counted as Linux counts them. */
#include <dirent.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "checkpoint_maker.h"
#include "convert.h"
#include "gust.h"

#define CYCLES 1000
#define WARM_UP 100 /* allocators settle */

typedef struct counts {
  size_t resident, allocated; /* bytes; allocated: 0 where the C library does not tell */
  size_t files, threads, mappings;
} counts;

static size_t entries_in(const char *folder) {
  DIR *dir = opendir(folder);
  if (!dir) check_skip("no /proc to count in");
  size_t count = 0;
  while (readdir(dir)) count++;
  closedir(dir);
  return count;
}

static counts count_now(void) {
  counts now = {.files = entries_in("/proc/self/fd"), .threads = entries_in("/proc/self/task")};
  FILE *file = fopen("/proc/self/maps", "r");
  if (!file) check_skip("no /proc to count in");
  for (int c; (c = getc(file)) != EOF;) now.mappings += c == '\n';
  fclose(file);
  unsigned long total = 0, resident = 0;
  file = fopen("/proc/self/statm", "r");
  if (!file || fscanf(file, "%lu %lu", &total, &resident) != 2) check_skip("no /proc/self/statm");
  fclose(file);
  now.resident = (size_t)resident * 4096;
#ifdef __GLIBC__
#if __GLIBC_PREREQ(2, 33)
  now.allocated = mallinfo2().uordblks;
#endif
#endif
  return now;
}

static void use(const gust_model *model, gust_kv kv) {
  static const int32_t ids[] = {1, 5, 9};
  const gust_context_options options = {.positions = 32, .kv = kv, .threads = 2, .batch = 8};
  const gust_sampling sampling = {.temperature = 1, .top_p = 1, .repeat_penalty = 1};
  gust_context *context;
  gust_sampler *sampler;
  gust_decoder *decoder;
  gust_error err;
  int32_t id;
  const char *text;
  size_t bytes;
  CHECK_EQ_INT(gust_context_create(&context, model, &options, &err), GUST_OK);
  CHECK_EQ_INT(gust_sampler_create(&sampler, model, &sampling, &err), GUST_OK);
  CHECK_EQ_INT(gust_decoder_create(&decoder, model, &err), GUST_OK);
  CHECK_EQ_INT(gust_context_feed(context, ids, 3, NULL, NULL, &err), GUST_OK);
  CHECK_EQ_INT(gust_sampler_draw(sampler, context, &id, &err), GUST_OK);
  CHECK_EQ_INT(gust_decoder_push(decoder, id, &text, &bytes, &err), GUST_OK);
  gust_decoder_destroy(decoder);
  gust_sampler_destroy(sampler);
  gust_context_destroy(context);
}

static void cycle(const char *path, const char *no_model, unsigned i) {
  const bool copied = i % 8 == 0; /* which takes threads, and asks the system how many */
  const gust_model_options options = {.load = copied ? GUST_LOAD_COPY : GUST_LOAD_MMAP,
                                      .lazy = true};
  const gust_context_options refused = {.positions = 32, .memory = 1};
  gust_model *model;
  gust_context *context;
  gust_error err;
  if (!CHECK_EQ_INT(gust_model_open(&model, path, &options, &err), GUST_OK)) return;
  use(model, (gust_kv)(i % 3));
  CHECK_EQ_INT(gust_context_create(&context, model, &refused, &err), GUST_E_MEMORY);
  gust_model_close(model);
  CHECK_EQ_INT(gust_model_open(&model, no_model, &options, &err), GUST_E_FORMAT);
}

int main(void) {
  const char *no_model = check_data("heldout.txt");
  const char *folder = check_temp_file("source"), *path = check_temp_file("small.gust");
  const gust_convert_options options = {.type = GUST_TYPE_Q4, .threads = 1};
  maker_model m = maker_small(false, true);
  gust_error err;
  maker_write(&m, folder, "BF16", 1);
  if (gust_convert(folder, path, &options, NULL, &err)) check_fatal("convert", err.text);
  maker_free(&m);
  counts settled = {0}, end;
  for (unsigned i = 0; i < WARM_UP + CYCLES; i++) {
    if (i == WARM_UP) settled = count_now();
    cycle(path, no_model, i);
  }
  end = count_now();
  printf("resident %zu to %zu KiB, allocated %zu to %zu bytes\n", settled.resident >> 10,
         end.resident >> 10, settled.allocated, end.allocated);
  CHECK_EQ_INT(end.files, settled.files);
  CHECK_EQ_INT(end.threads, settled.threads);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  /* A leak of one page a cycle would be 4 MB, of a few bytes 16 KB at least, and 1 KB is
   * what stdio and threads take now and then. Sanitizers keep what was freed. */
  CHECK(end.allocated < settled.allocated + ((size_t)8 << 10) || settled.allocated == 0);
  if (check_emulated()) { /* an emulator keeps of the code what it translated */
    check_part_skipped("pages and mappings", "they are the emulator's");
  } else {
    CHECK(end.resident < settled.resident + ((size_t)1 << 20));
    CHECK(end.mappings <= settled.mappings + 4);
  }
#endif
  return check_finish();
}

/* What cannot fit into memory is refused with the bytes it needs, the bytes there are and
 * what would fit, and before anything of that size is asked for: requests are counted. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "demo_model.h"
#include "failing_memory.h"
#include "format.h"
#include "model.h"

#ifdef __linux__
#include <sys/resource.h>
#endif

#ifndef GUST_COUNTS_MEMORY
int main(void) {
  CHECK_SKIP("this linker cannot lead requests for memory to the test");
}
#else

#define MIB ((uint64_t)1 << 20)
#define FEW_BYTES ((uint64_t)64 << 10)

static gust_model *model;
static uint64_t asked_for;

static void begin(void) {
  failing_memory_begin(FAILING_ONE, 0);
}

static void end(void) {
  failing_memory_end();
  asked_for = failing_memory_bytes();
}

static void check_few(const char *what, uint64_t most) {
  if (!CHECK(asked_for > 0 && asked_for <= most))
    printf("  %s: %llu bytes, expected 1 to %llu\n", what, (unsigned long long)asked_for,
           (unsigned long long)most);
}

/* --- contexts ----------------------------------------------------------------------------- */

static gust_status make(gust_context **context, const gust_context_options *o, gust_error *err) {
  *err = (gust_error){.text = ""};
  begin();
  gust_status status = gust_context_create(context, model, o, err);
  end();
  return status;
}

static void check_context(gust_kv kv, size_t batch, uint64_t available) {
  gust_context_options options = {
      .positions = (size_t)1 << 24, .kv = kv, .threads = 4, .batch = batch, .memory = available};
  gust_context_memory memory;
  gust_context *context;
  gust_error err;
  char words[400], fits[160] = "";
  CHECK_EQ_INT(gust_context_measure(model, &options, &memory, &err), GUST_OK);
  uint64_t needed = memory.cache + memory.scratch;
  CHECK(needed > available && needed > 64 * MIB);
  CHECK_EQ_INT(make(&context, &options, &err), GUST_E_MEMORY);
  CHECK(context == NULL);
  check_few("a context", FEW_BYTES);
  if (memory.most || memory.most_q8)
    snprintf(fits, sizeof fits, "; at most %zu positions fit, with q8 keys and values %zu",
             memory.most, memory.most_q8);
  snprintf(words, sizeof words,
           "context: expected %llu bytes of free memory for 16777216 positions (%llu of keys and "
           "values, %llu to compute in), found %llu%s",
           (unsigned long long)needed, (unsigned long long)memory.cache,
           (unsigned long long)memory.scratch, (unsigned long long)available, fits);
  CHECK_EQ_STR(err.text, words);
  if (memory.most == 0) return;
  /* What it says would fit does, and asks for no more than there is. */
  options.positions = memory.most;
  CHECK_EQ_INT(make(&context, &options, &err), GUST_OK);
  CHECK(asked_for > FEW_BYTES);
  check_few("the context that fits", available);
  gust_context_destroy(context);
}

/* --- copies ----------------------------------------------------------------------------------- */

/* The header and its tables come first: they are a small part of a file. */
static void check_copy(const char *path, uint64_t missing) {
  const uint64_t bytes = check_file_bytes(path);
  const gust_model_options options = {.load = GUST_LOAD_COPY, .memory = bytes - missing};
  gust_model *copy;
  gust_error err = {.text = ""};
  char words[400];
  begin();
  gust_status status = gust_model_open(&copy, path, &options, &err);
  end();
  CHECK_EQ_INT(status, GUST_E_MEMORY);
  CHECK(copy == NULL);
  check_few("a copy", bytes / 4);
  snprintf(words, sizeof words,
           "%s: expected %llu bytes of free memory for a copy, found %llu; mapping the file "
           "(--load mmap) needs none",
           path, (unsigned long long)bytes, (unsigned long long)(bytes - missing));
  CHECK_EQ_STR(err.text, words);
}

/* What counts as available may be refused all the same: whoever left the way of loading
 * open gets a mapping. */
static void check_copy_or_map(const char *path) {
  const long live = failing_memory_live();
  unsigned mapped = 0;
  if (!gust_auto_copies(check_file_bytes(path) + 512 * MIB, os_available_memory())) {
    check_part_skipped("a copy that is refused", "it needs more memory than there is");
    return;
  }
  unsigned long nth = 0, requests;
  do {
    gust_model *opened;
    gust_error err = {.text = ""};
    failing_memory_begin(FAILING_ONE, ++nth);
    gust_status status = gust_model_open(&opened, path, NULL, &err);
    requests = failing_memory_end();
    if (status) continue;
    if (gust_model_get_info(opened)->load == GUST_LOAD_MMAP) {
      mapped++;
      CHECK(opened->copy == NULL && opened->file == opened->map.data);
    }
    CHECK_EQ_INT(gust_model_verify(opened, NULL, NULL, &err), GUST_OK);
    gust_model_close(opened);
  } while (requests >= nth);
  CHECK(mapped >= 2); /* the copy's reservation and its pages */
  CHECK_EQ_INT(failing_memory_live(), live);
}

/* --- synthetic models ----------------------------------------------------------------------------
 */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static bool limit_addresses(void) {
  return false; /* a sanitizer has used more of them already */
}
#else
static bool limit_addresses(void) {
  const struct rlimit limit = {(rlim_t)2 << 30, (rlim_t)2 << 30};
  return !check_emulated() && setrlimit(RLIMIT_AS, &limit) == 0;
}
#endif

/* With 2 GiB of addresses left to this process. */
static void check_synthetic(const char *shape, const char *type) {
  gust_header header;
  gust_model *made;
  gust_error err = {.text = ""};
  char words[160];
  CHECK_EQ_INT(gust_synthetic_header(&header, shape, type, &err), GUST_OK);
  begin();
  gust_status status = gust_model_create_synthetic(&made, shape, type, NULL, NULL, &err);
  end();
  CHECK_EQ_INT(status, GUST_E_MEMORY);
  CHECK(made == NULL);
  check_few("a synthetic model", 4 * MIB);
  snprintf(words, sizeof words, "synthetic %s %s: expected %llu bytes of free memory, found ",
           shape, type, (unsigned long long)header.file_bytes);
  if (CHECK(strncmp(err.text, words, strlen(words)) == 0)) {
    char *rest;
    unsigned long long found = strtoull(err.text + strlen(words), &rest, 10);
    CHECK(found > 0 && found <= 2048 * MIB);
    CHECK_EQ_STR(rest, "; use a smaller type or shape");
  }
  gust_header_clear(&header);
}

int main(void) {
  const char *path = demo_model_path("q4");
  const gust_model_options mapped = {.load = GUST_LOAD_MMAP};
  gust_error err;
  if (!path) check_skip("GUST_DEMO_Q4 is not set: run under meson test");
  if (gust_model_open(&model, path, &mapped, &err)) check_fatal("cannot open", err.text);
  for (int kv = GUST_KV_F16; kv <= GUST_KV_Q8; kv++) {
    check_context((gust_kv)kv, 0, 40 * MIB);
    check_context((gust_kv)kv, 4096, 63 * MIB);
    check_context((gust_kv)kv, 0, 1);
  }
  check_copy(path, 1);
  check_copy(path, check_file_bytes(path) - 1);
  check_copy_or_map(path);
  if (limit_addresses()) {
    check_synthetic("mistral-7b", "q4");
    check_synthetic("llama-2-13b", "f32");
  } else {
    check_part_skipped("synthetic models", "the address space cannot be limited");
  }
  gust_model_close(model);
  return check_finish();
}
#endif

/* Ways of loading a file: the same bytes in all of them, the way auto takes,
 * progress, cancelling, errors. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "demo_model.h"
#include "model.h"
#include "os.h"

#define MIB ((uint64_t)1 << 20)
/* As model_load.c: what auto leaves free. */
#define HEADROOM (1024 * MIB)

typedef struct watch {
  unsigned calls, stop_at; /* stop_at 0: never */
  uint64_t done, total;
  bool went_back;
} watch;

static bool look(void *user, uint64_t done, uint64_t total) {
  watch *w = user;
  if (done <= w->done) w->went_back = true;
  w->done = done;
  w->total = total;
  return ++w->calls == w->stop_at;
}

static gust_model *open_as(gust_load load, bool lazy, uint64_t memory, watch *w) {
  gust_model_options options = {
      .load = load, .lazy = lazy, .memory = memory, .progress = look, .user = w};
  gust_error err;
  gust_model *model;
  if (gust_model_open(&model, demo_model_path("f32"), &options, &err))
    check_fatal("open", err.text);
  return model;
}

static void same_bytes(void) {
  watch w[3] = {{0}};
  gust_model *copied = open_as(GUST_LOAD_COPY, false, 0, &w[0]);
  gust_model *mapped = open_as(GUST_LOAD_MMAP, false, 0, &w[1]);
  gust_model *lazy = open_as(GUST_LOAD_MMAP, true, 0, &w[2]);
  uint64_t bytes = gust_model_get_info(copied)->file_bytes;
  CHECK_EQ_INT(gust_model_get_info(copied)->load, GUST_LOAD_COPY);
  CHECK_EQ_INT(gust_model_get_info(mapped)->load, GUST_LOAD_MMAP);
  CHECK_EQ_INT(gust_model_get_info(mapped)->file_bytes, bytes);
  CHECK(copied->file == copied->copy && mapped->copy == NULL);
  CHECK(copied->map.data == NULL && mapped->file == mapped->map.data);
  CHECK((uintptr_t)copied->copy % (2 * MIB) == 0);
  CHECK(memcmp(copied->file, mapped->file, (size_t)bytes) == 0);
  CHECK(memcmp(lazy->file, mapped->file, (size_t)bytes) == 0);
  for (int i = 0; i < 2; i++) {
    CHECK(w[i].calls >= 1 && !w[i].went_back);
    CHECK_EQ_INT(w[i].done, bytes);
    CHECK_EQ_INT(w[i].total, bytes);
  }
  CHECK_EQ_INT(w[2].calls, 0); /* nothing is read ahead */
  gust_model_close(copied);
  gust_model_close(mapped);
  gust_model_close(lazy);
}

static void check_auto(uint64_t memory, gust_load expected, bool fetched) {
  watch w = {0};
  gust_model *model = open_as(GUST_LOAD_AUTO, false, memory, &w);
  CHECK_EQ_INT(gust_model_get_info(model)->load, expected);
  CHECK_EQ_INT(w.calls > 0, fetched);
  gust_model_close(model);
}

/* Copies when the file fits beside the headroom, reads ahead what it maps when at
 * least the file fits. */
static void auto_decides(void) {
  watch w = {0};
  gust_model *model = open_as(GUST_LOAD_MMAP, true, 0, &w);
  uint64_t bytes = gust_model_get_info(model)->file_bytes;
  gust_model_close(model);
  check_auto(bytes + HEADROOM, GUST_LOAD_MMAP, true);
  check_auto(bytes, GUST_LOAD_MMAP, true);
  check_auto(bytes - 1, GUST_LOAD_MMAP, false);
  if (os_available_memory() > bytes + HEADROOM + 512 * MIB)
    check_auto(bytes + HEADROOM + 1, GUST_LOAD_COPY, true);
}

static void cancelled(gust_load load) {
  watch w = {.stop_at = 1};
  gust_model_options options = {.load = load, .progress = look, .user = &w};
  gust_error err;
  gust_model *model;
  CHECK_EQ_INT(gust_model_open(&model, demo_model_path("f32"), &options, &err), GUST_E_CANCELLED);
  CHECK(model == NULL && w.calls == 1);
  CHECK(strstr(err.text, ": loading was cancelled") != NULL);
}

static void refused(void) {
  gust_model_options options = {.load = (gust_load)7};
  gust_error err;
  gust_model *model;
  CHECK_EQ_INT(gust_model_open(&model, demo_model_path("q4"), &options, &err), GUST_E_ARGUMENT);
  CHECK(strstr(err.text, ": unknown way of loading 7") != NULL);
  CHECK(model == NULL);
}

/* A copy that does not fit is refused with the bytes it would take. */
static void no_room(void) {
  watch w = {0};
  gust_model *model = open_as(GUST_LOAD_MMAP, true, 0, &w);
  uint64_t bytes = gust_model_get_info(model)->file_bytes;
  gust_model_close(model);
  const gust_model_options options = {.load = GUST_LOAD_COPY, .memory = bytes - 1};
  char words[200];
  gust_error err;
  CHECK_EQ_INT(gust_model_open(&model, demo_model_path("f32"), &options, &err), GUST_E_MEMORY);
  CHECK(model == NULL);
  snprintf(words, sizeof words,
           ": expected %llu bytes of free memory for a copy, found %llu; mapping the file (--load "
           "mmap) needs none",
           (unsigned long long)bytes, (unsigned long long)bytes - 1);
  CHECK(strstr(err.text, words) != NULL);
}

/* --- the tensors of a file ------------------------------------------------------------- */

static char *named(const char *name) {
  char *copy = malloc(strlen(name) + 1);
  if (!copy) check_fatal("no memory", name);
  return strcpy(copy, name);
}

/* Resolves the header of a model without weights; `words` of its refusal, NULL: none. */
static void resolve(gust_model *model, const char *words) {
  gust_error err = {.text = ""};
  gust_status status = gust_model_resolve(model, "m.gust", &err);
  CHECK_EQ_INT(status == GUST_OK, words == NULL);
  if (words) CHECK_CONTAINS(err.text, words);
  free(model->layers);
  model->layers = NULL;
}

/* Those of its configuration, in any order, and no others. */
static void needs_its_tensors(void) {
  gust_model model = {0};
  gust_error err;
  if (gust_synthetic_header(&model.header, "demo", "q4", &err)) check_fatal("header", err.text);
  gust_header *h = &model.header;
  uint8_t *file = calloc(1, (size_t)h->file_bytes);
  gust_tensor *more = realloc(h->tensors, (h->tensor_count + 1) * sizeof *more);
  if (!file || !more) check_fatal("no memory", "for a model");
  model.file = file;
  h->tensors = more;
  resolve(&model, NULL);
  for (size_t i = 0; i < h->tensor_count / 2; i++) {
    gust_tensor kept = more[i];
    more[i] = more[h->tensor_count - 1 - i];
    more[h->tensor_count - 1 - i] = kept;
  }
  resolve(&model, NULL);
  CHECK(model.head.panels == file + more[0].offset);
  CHECK(model.embedding.panels == file + more[h->tensor_count - 1].offset);

  static const char *const others[] = {"model.layers.0.self_attn.q_proj.bias",
                                       "model.layers.8.mlp.up_proj.weight",
                                       "model.layers.00.mlp.up_proj.weight",
                                       "model.layers.99999999999999999999.mlp.up_proj.weight",
                                       "model.norm.bias",
                                       ""};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    char words[160];
    snprintf(words, sizeof words, "m.gust: expected the tensors of a model of 8 layers, found %s;",
             others[i]);
    more[h->tensor_count] = more[3];
    more[h->tensor_count++].name = named(others[i]);
    resolve(&model, words);
    free(more[--h->tensor_count].name);
  }
  char *name = more[2].name;
  more[2].name = named("other");
  resolve(&model, "m.gust: expected the tensors of a model of 8 layers, found other;");
  free(more[2].name);
  more[2].name = name;
  more[2].shape[0]++;
  resolve(&model,
          "m.gust: tensor model.layers.7.mlp.down_proj.weight: expected shape [256, 768], "
          "found [257, 768]; convert the model again");
  more[2].shape[0]--;
  h->tensor_count -= 2;
  resolve(&model, "m.gust: tensor model.embed_tokens.weight is missing; convert the model again");
  h->tensor_count += 2;
  resolve(&model, NULL);
  free(file);
  gust_header_clear(h);
}

int main(void) {
  same_bytes();
  auto_decides();
  cancelled(GUST_LOAD_COPY);
  cancelled(GUST_LOAD_MMAP);
  refused();
  no_room();
  needs_its_tensors();
  return check_finish();
}

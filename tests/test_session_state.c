/* Saved and loaded key-value caches: the same bits afterwards, for every type, past
 * the sliding window and at ranges that cut chunks; ranges and bytes that make no
 * sense. And the model's fingerprint. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "demo_model.h"
#include "model.h"

static const gust_model *model;
static size_t vocab;
static int32_t text_ids[2048];

static void fill_ids(void) {
  unsigned long long state = 11;
  for (size_t i = 0; i < 2048; i++) text_ids[i] = (int32_t)(300 + check_random(&state) % 3000);
  text_ids[0] = 1;
}

static gust_context *fed_context(gust_kv kv, size_t count) {
  gust_error err;
  gust_context_options options = {.kv = kv, .batch = 64};
  gust_context *context = context_or_die(model, &options);
  if (count && gust_context_feed(context, text_ids, count, NULL, NULL, &err))
    check_fatal("feed", err.text);
  return context;
}

static void *save(const gust_context *context, size_t begin, size_t end, size_t *bytes) {
  gust_error err;
  *bytes = gust_context_state_bytes(context, begin, end);
  void *state = malloc(*bytes ? *bytes : 1);
  if (!state) check_fatal("out of memory", "state");
  if (gust_context_save_state(context, begin, end, state, *bytes, &err))
    check_fatal("save", err.text);
  return state;
}

/* Copies positions [begin, end) from one context to another. */
static void transfer(gust_context *to, const gust_context *from, size_t begin, size_t end) {
  gust_error err = {.text = ""};
  size_t bytes;
  void *state = save(from, begin, end, &bytes);
  CHECK_EQ_INT(gust_context_load_state(to, gust_context_ids(from), begin, end, state, bytes, &err),
               GUST_OK);
  CHECK_EQ_STR(err.text, "");
  CHECK_EQ_INT(gust_context_length(to), end);
  CHECK(gust_context_logits(to) == NULL);
  free(state);
}

/* Both go on with the same ids, one by one and in a batch, and say the same. */
static void check_same_future(gust_context *a, gust_context *b) {
  gust_error err;
  CHECK_EQ_INT(gust_context_length(a), gust_context_length(b));
  CHECK(memcmp(gust_context_ids(a), gust_context_ids(b), gust_context_length(a) * 4) == 0);
  for (size_t step = 0; step < 2; step++) {
    size_t count = step == 0 ? 1 : 70;
    CHECK_EQ_INT(gust_context_feed(a, text_ids + 1800, count, NULL, NULL, &err), GUST_OK);
    CHECK_EQ_INT(gust_context_feed(b, text_ids + 1800, count, NULL, NULL, &err), GUST_OK);
    const float *x = gust_context_logits(a), *y = gust_context_logits(b);
    if (!CHECK(x && y)) return;
    CHECK(memcmp(x, y, vocab * sizeof *x) == 0);
  }
}

static const size_t cuts[] = {0, 1, 63, 64, 65, 100, 150};

/* Turn by turn, at places that cut chunks. */
static void check_round_trip(gust_kv kv) {
  gust_context *whole = fed_context(kv, 150), *again = fed_context(kv, 0);
  CHECK_EQ_INT(gust_context_kv(whole), kv);
  CHECK_EQ_INT(gust_context_state_first(whole), 0);
  for (size_t i = 0; i + 1 < sizeof cuts / sizeof *cuts; i++)
    transfer(again, whole, cuts[i], cuts[i + 1]);
  check_same_future(whole, again);
  gust_context_destroy(whole);
  gust_context_destroy(again);
}

/* The bytes of a range do not depend on how it is cut, on the context's ring, or on
 * the level that computed it; and their size is what it should be. */
static void check_bytes(gust_kv kv, size_t per_vector) {
  const gust_model_info *info = gust_model_get_info(model);
  gust_context *whole = fed_context(kv, 150);
  gust_context_options options = {.kv = kv, .positions = 200, .cpu = "c", .threads = 1};
  gust_context *other = context_or_die(model, &options);
  gust_error err;
  CHECK_EQ_INT(gust_context_feed(other, text_ids, 80, NULL, NULL, &err), GUST_OK);
  size_t bytes, part;
  uint8_t *state = save(whole, 10, 75, &bytes);
  uint8_t *same = save(other, 10, 75, &part);
  CHECK_EQ_INT(bytes, 65 * 2 * per_vector * info->kv_heads * info->layers);
  CHECK(part == bytes && memcmp(state, same, bytes) == 0);
  free(same);
  uint8_t *cut = save(whole, 60, 70, &part);
  CHECK(memcmp(state + gust_context_state_bytes(whole, 10, 60), cut, part) == 0);
  free(cut);
  free(state);
  gust_context_destroy(whole);
  gust_context_destroy(other);
}

/* Past the window only its positions are there, and only they are needed. */
static void check_window(gust_kv kv) {
  gust_context *whole = fed_context(kv, 700), *again = fed_context(kv, 0);
  size_t window = gust_model_get_info(model)->sliding_window;
  size_t first = gust_context_state_first(whole), need = 700 + 1 - window;
  CHECK(first > 0 && first <= need);
  gust_error err;
  uint8_t byte = 0;
  CHECK_EQ_INT(gust_context_save_state(whole, first - 1, first, &byte, 1, &err), GUST_E_ARGUMENT);
  transfer(again, whole, need, 500);
  /* Not enough yet: the token at 500 sees positions from before `need`. */
  CHECK_EQ_INT(gust_context_feed(again, text_ids, 1, NULL, NULL, &err), GUST_E_ARGUMENT);
  CHECK_EQ_STR(err.text,
               "the context was loaded from position 189 on, the next token sees from 0 on; load "
               "the rest first");
  transfer(again, whole, 500, 700);
  CHECK_EQ_INT(gust_context_state_first(again), need);
  check_same_future(whole, again);
  /* Going back to where the window begins before what was loaded: anew. */
  CHECK_EQ_INT(gust_context_truncate(again, 690), 0);
  CHECK_EQ_INT(gust_context_state_first(again), 0);
  CHECK_EQ_INT(gust_context_feed(again, text_ids, 3, NULL, NULL, &err), GUST_OK);
  gust_context_destroy(whole);
  gust_context_destroy(again);
}

/* More than the ring holds, loaded in one call. */
static void check_whole_ring(void) {
  gust_context_options wide = {.kv = GUST_KV_F16, .batch = 1024}, tight = {.batch = 1};
  gust_context *whole = context_or_die(model, &wide), *again = context_or_die(model, &tight);
  gust_error err;
  CHECK_EQ_INT(gust_context_feed(whole, text_ids, 700, NULL, NULL, &err), GUST_OK);
  CHECK_EQ_INT(gust_context_state_first(whole), 0);
  transfer(again, whole, 0, 700);
  CHECK(gust_context_state_first(again) > 0);
  check_same_future(whole, again);
  gust_context_destroy(whole);
  gust_context_destroy(again);
}

/* After going back, what is saved of the way taken since. */
static void check_after_truncate(void) {
  gust_error err;
  gust_context *context = fed_context(GUST_KV_Q8, 150), *again = fed_context(GUST_KV_Q8, 0);
  CHECK_EQ_INT(gust_context_truncate(context, 70), 70);
  CHECK_EQ_INT(gust_context_feed(context, text_ids + 400, 50, NULL, NULL, &err), GUST_OK);
  transfer(again, context, 0, 120);
  check_same_future(context, again);
  gust_context_destroy(context);
  gust_context_destroy(again);
}

static void check_errors(void) {
  gust_error err;
  gust_context *from = fed_context(GUST_KV_F16, 100), *to = fed_context(GUST_KV_F16, 0);
  size_t bytes;
  uint8_t *state = save(from, 0, 100, &bytes);
  CHECK_EQ_INT(gust_context_state_bytes(from, 5, 4), 0);
  CHECK_EQ_INT(gust_context_state_bytes(from, 0, SIZE_MAX), 0);
  CHECK_EQ_INT(gust_context_save_state(from, 0, 101, state, bytes, &err), GUST_E_ARGUMENT);
  CHECK_EQ_STR(err.text, "state to save: expected positions from 0 to 100, found 0 to 101");
  CHECK_EQ_INT(gust_context_save_state(from, 0, 99, state, bytes, &err), GUST_E_ARGUMENT);
  CHECK_EQ_INT(gust_context_load_state(to, text_ids, 0, 100, state, bytes - 1, &err),
               GUST_E_ARGUMENT);
  CHECK_CONTAINS(err.text, "state of positions 0 to 100: expected ");
  CHECK_EQ_INT(gust_context_load_state(to, text_ids, 2, 1, state, 0, &err), GUST_E_ARGUMENT);
  int32_t ids[100];
  memcpy(ids, text_ids, sizeof ids);
  ids[99] = (int32_t)vocab;
  CHECK_EQ_INT(gust_context_load_state(to, ids, 0, 100, state, bytes, &err), GUST_E_ARGUMENT);
  CHECK_EQ_STR(err.text, "state to load: id 100: expected 0 to 4095, found 4096");
  CHECK_EQ_INT(gust_context_length(to), 0);
  transfer(to, from, 0, 40);
  ids[99] = 5;
  ids[3]++;
  size_t rest = gust_context_state_bytes(to, 40, 100);
  CHECK_EQ_INT(gust_context_load_state(to, ids, 40, 100, state + bytes - rest, rest, &err),
               GUST_E_ARGUMENT);
  CHECK_EQ_INT(gust_context_load_state(to, text_ids, 50, 100, state, 0, &err), GUST_E_ARGUMENT);
  CHECK_EQ_INT(gust_context_length(to), 40);
  gust_context_options small = {.positions = 50};
  gust_context *tight = context_or_die(model, &small);
  CHECK_EQ_INT(gust_context_load_state(tight, text_ids, 0, 100, state, bytes, &err),
               GUST_E_CONTEXT_FULL);
  gust_context_destroy(tight);
  gust_context_destroy(from);
  gust_context_destroy(to);
  free(state);
}

/* Bytes of unknown origin: infinities, NaN, anything. The context lives on. */
static void check_hostile(gust_kv kv, int fill) {
  gust_error err;
  gust_context *context = fed_context(kv, 0);
  size_t bytes = gust_context_state_bytes(context, 0, 100);
  uint8_t *state = malloc(bytes);
  if (!state) check_fatal("out of memory", "state");
  unsigned long long random = 5;
  for (size_t i = 0; i < bytes; i++)
    state[i] = (uint8_t)(fill >= 0 ? (unsigned)fill : (unsigned)check_random(&random));
  CHECK_EQ_INT(gust_context_load_state(context, text_ids, 0, 100, state, bytes, &err), GUST_OK);
  CHECK_EQ_INT(gust_context_feed(context, text_ids + 100, 20, NULL, NULL, &err), GUST_OK);
  gust_sampling sampling = {.temperature = 1, .top_p = 0.9f, .repeat_penalty = 1.1f, .seed = 1};
  gust_sampler *sampler;
  int32_t id = -1;
  CHECK_EQ_INT(gust_sampler_create(&sampler, model, &sampling, &err), GUST_OK);
  CHECK_EQ_INT(gust_sampler_draw(sampler, context, &id, &err), GUST_OK);
  CHECK(id >= 0 && (size_t)id < vocab);
  gust_sampler_destroy(sampler);
  /* What was saved is what was loaded. */
  uint8_t *again = save(context, 0, 100, &bytes);
  CHECK(memcmp(again, state, bytes) == 0);
  free(again);
  free(state);
  gust_context_destroy(context);
}

static void check_sampler(void) {
  gust_error err;
  gust_context *context = fed_context(GUST_KV_F16, 20);
  gust_sampling sampling = {.temperature = 1, .top_p = 1, .repeat_penalty = 1, .seed = 9};
  gust_sampler *one, *two;
  int32_t drawn[20], id;
  if (gust_sampler_create(&one, model, &sampling, &err)) check_fatal("sampler", err.text);
  CHECK(gust_sampler_get_state(one) == 9);
  for (int i = 0; i < 10; i++) gust_sampler_draw(one, context, &drawn[i], &err);
  uint64_t state = gust_sampler_get_state(one);
  for (int i = 10; i < 20; i++) gust_sampler_draw(one, context, &drawn[i], &err);
  if (gust_sampler_create(&two, model, &sampling, &err)) check_fatal("sampler", err.text);
  gust_sampler_set_state(two, state);
  for (int i = 10; i < 20; i++) {
    gust_sampler_draw(two, context, &id, &err);
    CHECK_EQ_INT(id, drawn[i]);
  }
  gust_sampler_destroy(one);
  gust_sampler_destroy(two);
  gust_context_destroy(context);
}

static uint64_t fingerprint_of(const char *type, gust_load load) {
  gust_error err;
  gust_model *other;
  gust_model_options options = {.load = load};
  if (gust_model_open(&other, demo_model_path(type), &options, &err)) check_fatal("open", err.text);
  uint64_t fingerprint = gust_model_fingerprint(other);
  gust_model_close(other);
  return fingerprint;
}

/* The same for every way of loading; another for whatever changes an answer. */
static void check_fingerprint(gust_model *opened) {
  uint64_t here = gust_model_fingerprint(opened);
  CHECK(here == fingerprint_of("q4", GUST_LOAD_COPY));
  CHECK(here == fingerprint_of("q4", GUST_LOAD_MMAP));
  CHECK(here != fingerprint_of("q8", GUST_LOAD_MMAP));
  gust_header *header = &opened->header;
  const struct {
    void *place;
    uint8_t flip;
  } changes[] = {
      {&header->config.sliding_window, 1}, {&header->config.rope_theta, 1},
      {&header->config.eos_ids[0], 1},     {header->tokenizer + header->tokenizer_bytes / 2, 1},
      {header->chat_template + 5, 1},      {&header->tensors[3].checksum, 1},
      {&header->tensors[0].name[2], 1},
  };
  for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
    *(uint8_t *)changes[i].place ^= changes[i].flip;
    CHECK(gust_model_fingerprint(opened) != here);
    *(uint8_t *)changes[i].place ^= changes[i].flip;
  }
  CHECK(gust_model_fingerprint(opened) == here);
  CHECK(gust_checksum("", 0, 0) == 0xef46db3751d8e999u);
}

int main(void) {
  gust_model *opened = demo_model_open("q4");
  model = opened;
  vocab = gust_model_get_info(model)->vocab_size;
  fill_ids();
  size_t dim = gust_model_get_info(model)->head_dim;
  check_bytes(GUST_KV_F16, 2 * dim);
  check_bytes(GUST_KV_F32, 4 * dim);
  check_bytes(GUST_KV_Q8, dim + 4 * ((dim + 31) / 32));
  for (gust_kv kv = GUST_KV_F16; kv <= GUST_KV_Q8; kv++) {
    check_round_trip(kv);
    check_hostile(kv, 0xff);
    check_hostile(kv, 0x7f);
    check_hostile(kv, -1);
  }
  check_window(GUST_KV_F16);
  if (!check_emulated()) check_window(GUST_KV_Q8);
  check_whole_ring();
  check_after_truncate();
  check_errors();
  check_sampler();
  check_fingerprint(opened);
  gust_model_close(opened);
  return check_finish();
}

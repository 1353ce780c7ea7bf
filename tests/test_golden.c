/* The demo model against the outputs of transformers in float32 that came with
 * it (tests/data/golden.json): prompts, ids, logits and greedy answers.
 * Usage: test_golden TYPE, for a type that keeps the weights exact. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "demo_model.h"
#include "json.h"

#define TOLERANCE 2e-4

static double number(const json_value *object, const char *key) {
  double value;
  if (!json_double(json_get(object, key), &value)) check_fatal("golden.json lacks", key);
  return value;
}

/* An array of integers; to be freed. */
static int32_t *int_array(const json_value *array, size_t *count) {
  int32_t *ids = malloc(json_count(array) * sizeof *ids + 1);
  *count = 0;
  for (const json_value *v = json_first(array); v; v = json_next(array, v)) {
    int64_t id;
    if (!ids || !json_int64(v, 0, INT32_MAX, &id)) check_fatal("golden.json", "bad ids");
    ids[(*count)++] = (int32_t)id;
  }
  return ids;
}

typedef struct comparison {
  const json_value *positions, *next; /* the next one to be compared */
  size_t vocab;
  double worst;
} comparison;

static double log_sum_exp(const float *logits, size_t n) {
  double top = -INFINITY, sum = 0;
  for (size_t i = 0; i < n; i++) top = logits[i] > top ? (double)logits[i] : top;
  for (size_t i = 0; i < n; i++) sum += exp((double)logits[i] - top);
  return top + log(sum);
}

static bool compare_position(void *user, size_t position, const float *logits) {
  comparison *c = user;
  if (!c->next || (size_t)number(c->next, "pos") != position) return false;
  size_t count, i = 0;
  int32_t *top = int_array(json_get(c->next, "top"), &count);
  const json_value *expected = json_get(c->next, "logit");
  for (const json_value *v = json_first(expected); v; v = json_next(expected, v), i++) {
    double value = NAN;
    json_double(v, &value);
    double error = fabs(value - (double)logits[top[i]]);
    if (!(error <= c->worst)) c->worst = error;
  }
  free(top);
  double error = fabs(number(c->next, "logsumexp") - log_sum_exp(logits, c->vocab));
  if (!(error <= c->worst)) c->worst = error;
  c->next = json_next(c->positions, c->next);
  return false;
}

/* Feeds the ids and compares the logits at the positions listed. */
static void check_logits(const gust_model *model, const int32_t *ids, size_t count,
                         const json_value *positions, const char *what) {
  gust_error err;
  gust_context_options options = {.kv = GUST_KV_F32, .batch = 100};
  gust_context *context = context_or_die(model, &options);
  comparison c = {positions, json_first(positions), gust_model_get_info(model)->vocab_size, 0};
  CHECK_EQ_INT(gust_context_score(context, ids, count, compare_position, &c, &err), GUST_OK);
  CHECK(c.next == NULL); /* all were compared */
  CHECK(c.worst <= TOLERANCE);
  printf("%s: %zu positions, largest difference %.2e\n", what, json_count(positions), c.worst);
  gust_context_destroy(context);
}

static void check_chat(const gust_model *model, const json_value *chat, size_t index) {
  gust_message messages[8];
  size_t count = 0, id_count, prompt_count;
  gust_error err;
  const json_value *list = json_get(chat, "messages");
  for (const json_value *m = json_first(list); m && count < 8; m = json_next(list, m), count++) {
    messages[count].role = json_text_copy(json_get(m, "role"));
    messages[count].content = json_text(json_get(m, "content"), &messages[count].bytes);
  }
  char *text, *prompt = json_text_copy(json_get(chat, "prompt"));
  CHECK_EQ_INT(gust_chat_render(model, messages, count, true, &text, &err), GUST_OK);
  CHECK_EQ_STR(text, prompt);

  int32_t *ids, *expected = int_array(json_get(chat, "ids"), &id_count);
  CHECK_EQ_INT(gust_chat_tokenize(model, messages, count, true, &ids, &prompt_count, &err),
               GUST_OK);
  CHECK_EQ_INT(prompt_count, id_count);
  CHECK(prompt_count == id_count && memcmp(ids, expected, id_count * sizeof *ids) == 0);
  char name[32];
  snprintf(name, sizeof name, "chat %zu", index);
  check_logits(model, expected, id_count, json_get(chat, "positions"), name);

  gust_context_options options = {.kv = GUST_KV_F32};
  gust_context *context = context_or_die(model, &options);
  CHECK_EQ_INT(gust_context_feed(context, ids, prompt_count, NULL, NULL, &err), GUST_OK);
  char *answer = greedy_text(context, model, 96),
       *golden = json_text_copy(json_get(chat, "greedy_text"));
  CHECK_EQ_STR(answer, golden);
  gust_context_destroy(context);
  free(answer);
  free(golden);
  free(text);
  free(prompt);
  free(expected);
  gust_free(ids);
  for (size_t i = 0; i < count; i++) free((char *)messages[i].role);
}

/* Mean negative log-likelihood of the held-out text, by the golden's protocol. */
typedef struct likelihood {
  const int32_t *ids;
  size_t first, last, vocab;
  double sum;
  size_t count;
} likelihood;

static bool add_likelihood(void *user, size_t position, const float *logits) {
  likelihood *l = user;
  if (position < l->first || position > l->last) return false;
  l->sum += log_sum_exp(logits, l->vocab) - (double)logits[l->ids[position + 1]];
  l->count++;
  return false;
}

static double heldout_nll(const gust_model *model, gust_kv kv, size_t chunks, size_t n) {
  size_t bytes, count;
  int32_t *ids;
  gust_error err;
  char *text = check_read_file(check_data("heldout.txt"), &bytes);
  if (gust_tokenize(model, text, bytes, GUST_TOKENIZE_BOS | GUST_TOKENIZE_SPECIAL, &ids, &count,
                    &err))
    check_fatal("tokenize", err.text);
  CHECK(count >= chunks * n);
  gust_context_options options = {.kv = kv, .positions = n};
  gust_context *context = context_or_die(model, &options);
  likelihood l = {NULL, n / 2, n - 2, gust_model_get_info(model)->vocab_size, 0, 0};
  for (size_t k = 0; k < chunks; k++) {
    l.ids = ids + k * n;
    ids[k * n] = gust_model_get_info(model)->bos_id;
    gust_context_truncate(context, 0);
    if (gust_context_score(context, l.ids, n, add_likelihood, &l, &err))
      check_fatal("score", err.text);
  }
  gust_context_destroy(context);
  gust_free(ids);
  free(text);
  return l.sum / (double)l.count;
}

static void check_heldout(const gust_model *model, const json_value *heldout) {
  size_t chunks = (size_t)number(heldout, "chunks"), n = (size_t)number(heldout, "n_ctx");
  double exact = number(heldout, "nll");
  double f32 = heldout_nll(model, GUST_KV_F32, chunks, n);
  double f16 = heldout_nll(model, GUST_KV_F16, chunks, n);
  printf("held-out nll: transformers %.6f, f32 cache %.6f, f16 cache %.6f\n", exact, f32, f16);
  CHECK(fabs(f32 - exact) <= 1e-4);
  CHECK(fabs(f16 - exact) <= 1e-3);
}

int main(int argc, char **argv) {
  const char *type = argc > 1 ? argv[1] : "f32";
  gust_model *model = demo_model_open(type);
  size_t bytes, count, index = 0;
  gust_error err;
  const char *path = check_data("golden.json");
  char *text = check_read_file(path, &bytes);
  json_document *doc;
  if (json_parse(&doc, text, bytes, path, 0, &err)) check_fatal("parse", err.text);
  const json_value *root = json_root(doc), *chats = json_get(root, "chats");
  CHECK(json_count(chats) > 0);
  bool is_f32 = strcmp(type, "f32") == 0;
  if (check_emulated()) {
    /* Both types compute the same: one chat of the one, the long text of the other. */
    if (is_f32) check_chat(model, json_first(chats), 0);
  } else {
    for (const json_value *chat = json_first(chats); chat; chat = json_next(chats, chat))
      check_chat(model, chat, index++);
    if (is_f32) check_heldout(model, json_get(root, "heldout"));
  }
  if (!check_emulated() || !is_f32) {
    int32_t *ids = int_array(json_get(root, "long_ids"), &count);
    CHECK(count > gust_model_get_info(model)->sliding_window);
    check_logits(model, ids, count, json_get(root, "long"), "past the sliding window");
    free(ids);
  }
  json_free(doc);
  free(text);
  gust_model_close(model);
  return check_finish();
}

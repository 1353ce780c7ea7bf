#include "logprobs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct choice {
  int32_t id;
  double logprob;
} choice;

typedef struct place {
  choice drawn;
  char *text; /* `bytes` of it */
  size_t bytes;
} place;

struct logprobs {
  const gust_context *context;
  size_t vocab, top, count, capacity;
  place *places;   /* [count] */
  choice *choices; /* [count, top] */
};

gust_status logprobs_create(logprobs **out, const gust_model *model, const gust_context *context,
                            size_t top, gust_error *err) {
  size_t vocab = gust_model_get_info(model)->vocab_size;
  *out = calloc(1, sizeof **out);
  if (!*out) return command_error(err, GUST_E_MEMORY, "no memory for log-probabilities");
  (*out)->context = context;
  (*out)->vocab = vocab;
  (*out)->top = top < vocab ? top : vocab;
  return GUST_OK;
}

void logprobs_destroy(logprobs *list) {
  if (!list) return;
  for (size_t i = 0; i < list->count; i++) free(list->places[i].text);
  free(list->places);
  free(list->choices);
  free(list);
}

double logprobs_log_sum(const float *logits, size_t count) {
  double largest = (double)logits[0], sum = 0;
  for (size_t i = 1; i < count; i++)
    if ((double)logits[i] > largest) largest = (double)logits[i];
  for (size_t i = 0; i < count; i++) sum += exp((double)logits[i] - largest);
  return largest + log(sum);
}

/* The `top` largest logits by insertion; equal ones stay in the order of ids. */
static void find_top(choice *best, size_t top, const float *logits, size_t count, double log_sum) {
  size_t held = 0;
  for (size_t i = 0; i < count; i++) {
    double logprob = (double)logits[i] - log_sum;
    if (held == top && (top == 0 || !(logprob > best[top - 1].logprob))) continue;
    size_t at = held < top ? held++ : top - 1;
    for (; at > 0 && logprob > best[at - 1].logprob; at--) best[at] = best[at - 1];
    best[at] = (choice){(int32_t)i, logprob};
  }
}

static bool grow(logprobs *list) {
  if (list->count < list->capacity) return true;
  size_t larger = list->capacity ? list->capacity * 2 : 64;
  size_t width = list->top * sizeof *list->choices + sizeof *list->places;
  if (larger > SIZE_MAX / width) return false;
  place *places = realloc(list->places, larger * sizeof *places);
  if (places) list->places = places;
  choice *choices =
      places ? realloc(list->choices, (larger * list->top + 1) * sizeof *choices) : NULL;
  if (!choices) return false;
  list->choices = choices;
  list->capacity = larger;
  return true;
}

gust_status logprobs_add(void *user, int32_t id, const char *text, size_t bytes, gust_error *err) {
  logprobs *list = user;
  const float *logits = gust_context_logits(list->context);
  char *copy = logits && grow(list) ? malloc(bytes + 1) : NULL;
  if (!copy)
    return command_error(err, GUST_E_MEMORY, "no memory for the log-probabilities of token %zu",
                         list->count + 1);
  if (bytes) memcpy(copy, text, bytes);
  double log_sum = logprobs_log_sum(logits, list->vocab);
  list->places[list->count] =
      (place){.drawn = {id, (double)logits[id] - log_sum}, .text = copy, .bytes = bytes};
  find_top(list->choices + list->count * list->top, list->top, logits, list->vocab, log_sum);
  list->count++;
  return GUST_OK;
}

void logprobs_json(const logprobs *list, json_out *json) {
  json_out_open_array(json, "logprobs", true);
  for (size_t i = 0; i < list->count; i++) {
    const place *token = &list->places[i];
    json_out_open_object(json, NULL, false);
    json_out_integer(json, "id", token->drawn.id);
    json_out_text(json, "text", token->text, token->bytes);
    json_out_real(json, "logprob", token->drawn.logprob);
    json_out_open_array(json, "top", false);
    for (size_t k = 0; k < list->top; k++) {
      const choice *likely = &list->choices[i * list->top + k];
      json_out_open_object(json, NULL, false);
      json_out_integer(json, "id", likely->id);
      json_out_real(json, "logprob", likely->logprob);
      json_out_close(json);
    }
    json_out_close(json);
    json_out_close(json);
  }
  json_out_close(json);
}

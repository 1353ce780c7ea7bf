/* gust_generate: whose text goes on where, what is called when, what a failure leaves. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "demo_model.h"

typedef struct drawn {
  char text[4096];
  size_t bytes, calls, rests; /* rests: calls without an id */
  bool stop_at_half;          /* where half a character waits */
} drawn;

static bool take(void *user, int32_t id, const char *text, size_t bytes) {
  drawn *d = user;
  if (bytes > sizeof d->text - d->bytes) check_fatal("text", "longer than expected");
  memcpy(d->text + d->bytes, text, bytes);
  d->bytes += bytes;
  d->calls++;
  d->rests += id < 0;
  return d->stop_at_half && bytes == 0;
}

static gust_sampler *sampler_or_die(const gust_model *model, float temperature, uint64_t seed) {
  const gust_sampling s = {
      .temperature = temperature, .top_p = 1, .repeat_penalty = 1, .seed = seed};
  gust_sampler *sampler;
  gust_error err;
  if (gust_sampler_create(&sampler, model, &s, &err)) check_fatal("sampler", err.text);
  return sampler;
}

static gust_decoder *decoder_or_die(const gust_model *model) {
  gust_decoder *decoder;
  gust_error err;
  if (gust_decoder_create(&decoder, model, &err)) check_fatal("decoder", err.text);
  return decoder;
}

/* A decoder that saw the prompt keeps the space a new one drops. */
static void goes_on(void) {
  static const char text[] = "Once upon a time, there was a";
  gust_model *model = demo_model_open("q8");
  gust_context *context = context_or_die(model, NULL);
  gust_sampler *sampler = sampler_or_die(model, 0, 0);
  gust_decoder *decoder = decoder_or_die(model);
  int32_t *ids;
  size_t count, bytes;
  const char *piece;
  drawn alone = {.text = ""}, after = {.text = ""};
  if (gust_tokenize(model, text, strlen(text), GUST_TOKENIZE_BOS, &ids, &count, NULL))
    check_fatal("cannot tokenize", text);
  gust_finish finish = GUST_FINISH_EOS;
  CHECK_EQ_INT(gust_context_feed(context, ids, count, NULL, NULL, NULL), GUST_OK);
  CHECK_EQ_INT(gust_generate(context, sampler, NULL, 10, take, &alone, &finish, NULL), GUST_OK);
  CHECK_EQ_INT(finish, GUST_FINISH_LIMIT);
  gust_context_truncate(context, 0);
  CHECK_EQ_INT(gust_context_feed(context, ids, count, NULL, NULL, NULL), GUST_OK);
  for (size_t i = 0; i < count; i++)
    CHECK_EQ_INT(gust_decoder_push(decoder, ids[i], &piece, &bytes, NULL), GUST_OK);
  CHECK_EQ_INT(gust_generate(context, sampler, decoder, 10, take, &after, NULL, NULL), GUST_OK);
  CHECK(alone.text[0] != ' ' && after.text[0] == ' ');
  CHECK_EQ_STR(after.text + 1, alone.text);
  /* At the end it was finished: the next text begins anew. */
  CHECK_EQ_INT(gust_decoder_push(decoder, ids[1], &piece, &bytes, NULL), GUST_OK);
  CHECK(bytes > 0 && piece[0] == 'O');
  gust_free(ids);
  gust_decoder_destroy(decoder);
  gust_sampler_destroy(sampler);
  gust_context_destroy(context);
  gust_model_close(model);
}

/* Each byte is an id there, drawn at random. */
static void half_characters(void) {
  gust_model *model;
  gust_error err;
  if (gust_model_create_synthetic(&model, "demo", "q4", NULL, NULL, &err))
    check_fatal("synthetic model", err.text);
  const int32_t begin = 1;
  size_t stopped = 0, rests = 0;
  for (uint64_t seed = 0; seed < 16; seed++) {
    gust_context *context = context_or_die(model, NULL);
    gust_sampler *sampler = sampler_or_die(model, 1, seed);
    gust_decoder *decoder = decoder_or_die(model);
    gust_finish finish = GUST_FINISH_EOS;
    drawn d = {.stop_at_half = seed % 2 == 0};
    const char *rest;
    size_t bytes;
    CHECK_EQ_INT(gust_context_feed(context, &begin, 1, NULL, NULL, &err), GUST_OK);
    CHECK_EQ_INT(gust_generate(context, sampler, decoder, 24, take, &d, &finish, &err), GUST_OK);
    CHECK_EQ_INT(gust_decoder_finish(decoder, &rest, &bytes, &err), GUST_OK);
    if (finish == GUST_FINISH_CALLBACK) {
      CHECK_EQ_INT(d.rests, 0); /* stopped is stopped; it still waits */
      CHECK(bytes > 0);
      stopped++;
    } else {
      CHECK_EQ_INT(bytes, 0);
      rests += d.rests;
    }
    gust_decoder_destroy(decoder);
    gust_sampler_destroy(sampler);
    gust_context_destroy(context);
  }
  CHECK(stopped > 0 && rests > 0);
  gust_model_close(model);
}

static void failure(void) {
  gust_model *model = demo_model_open("q4");
  gust_context *context = context_or_die(model, NULL);
  gust_sampler *sampler = sampler_or_die(model, 0, 0);
  gust_finish finish = GUST_FINISH_CONTEXT;
  gust_error err;
  drawn d = {.text = ""};
  CHECK_EQ_INT(gust_generate(context, sampler, NULL, 8, take, &d, &finish, &err), GUST_E_ARGUMENT);
  CHECK_EQ_INT(finish, GUST_FINISH_CONTEXT);
  CHECK_EQ_INT(d.calls, 0);
  gust_sampler_destroy(sampler);
  gust_context_destroy(context);
  gust_model_close(model);
}

int main(void) {
  goes_on();
  half_characters();
  failure();
  return check_finish();
}

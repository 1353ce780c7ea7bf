/* The loop of drawing, decoding and feeding. */
#include "context.h"

static bool ends_answer(const gust_config *config, int32_t id) {
  for (uint32_t i = 0; i < config->eos_count; i++)
    if (config->eos_ids[i] == id) return true;
  return false;
}

/* One token: GUST_OK and *finish set when generation is over. */
static gust_status step(gust_context *context, gust_sampler *sampler, gust_decoder *decoder,
                        gust_token_fn *fn, void *user, bool *over, gust_finish *finish,
                        gust_error *err) {
  int32_t id;
  const char *text;
  size_t bytes;
  gust_status status = gust_sampler_draw(sampler, context, &id, err);
  if (status) return status;
  *over = true;
  *finish = GUST_FINISH_EOS;
  if (ends_answer(&context->model->header.config, id)) return GUST_OK;
  status = gust_decoder_push(decoder, id, &text, &bytes, err);
  if (status) return status;
  *finish = GUST_FINISH_CALLBACK;
  if (fn(user, id, text, bytes)) return GUST_OK;
  *finish = GUST_FINISH_CONTEXT;
  if (context->length == context->capacity) return GUST_OK;
  *over = false;
  return gust_context_feed(context, &id, 1, NULL, NULL, err);
}

gust_status gust_generate(gust_context *context, gust_sampler *sampler, gust_decoder *decoder,
                          size_t max_tokens, gust_token_fn *fn, void *user, gust_finish *finish,
                          gust_error *err) {
  gust_decoder *own = NULL;
  gust_finish end = GUST_FINISH_LIMIT;
  bool over = false;
  gust_status status = decoder ? GUST_OK : gust_decoder_create(&own, context->model, err);
  if (own) decoder = own;
  for (size_t n = 0; !status && !over && (max_tokens == 0 || n < max_tokens); n++)
    status = step(context, sampler, decoder, fn, user, &over, &end, err);
  if (!status && !over) end = GUST_FINISH_LIMIT;
  const char *text;
  size_t bytes = 0;
  if (!status && end != GUST_FINISH_CALLBACK)
    status = gust_decoder_finish(decoder, &text, &bytes, err);
  if (!status && bytes) fn(user, -1, text, bytes);
  gust_decoder_destroy(own);
  if (!status && finish) *finish = end;
  return status;
}

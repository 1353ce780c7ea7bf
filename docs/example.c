/* Asks a model one question and prints the answer as it comes:
 *
 *   example MODEL.gust "Who are you?" */
#include <gust.h>
#include <stdio.h>
#include <string.h>

static bool print_token(void *user, int32_t id, const char *text, size_t bytes) {
  (void)user, (void)id;
  fwrite(text, 1, bytes, stdout);
  fflush(stdout);
  return false; /* true would stop */
}

int main(int argc, char **argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: example MODEL.gust QUESTION\n");
    return 2;
  }
  gust_error err;
  gust_model *model = NULL;
  gust_context *context = NULL;
  gust_sampler *sampler = NULL;
  int32_t *ids = NULL;
  size_t count = 0;
  gust_message question = {"user", argv[2], strlen(argv[2])};

  gust_status status = gust_model_open(&model, argv[1], NULL, &err);
  if (status == GUST_OK) {
    gust_sampling sampling = gust_model_sampling(model);
    sampling.temperature = 0; /* the likeliest answer, every time the same */
    status = gust_sampler_create(&sampler, model, &sampling, &err);
  }
  if (status == GUST_OK) status = gust_context_create(&context, model, NULL, &err);
  if (status == GUST_OK) status = gust_chat_tokenize(model, &question, 1, true, &ids, &count, &err);
  if (status == GUST_OK) status = gust_context_feed(context, ids, count, NULL, NULL, &err);
  if (status == GUST_OK)
    status = gust_generate(context, sampler, NULL, 500, print_token, NULL, NULL, &err);

  if (status == GUST_OK)
    printf("\n");
  else
    fprintf(stderr, "example: %s\n", err.text);
  gust_free(ids);
  gust_context_destroy(context);
  gust_sampler_destroy(sampler);
  gust_model_close(model);
  return status == GUST_OK ? 0 : 1;
}

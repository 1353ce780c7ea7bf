/* A real trained Llama checkpoint: widths that are no multiple of 128, a tied
 * head, no sliding window. Reference data, not part of the project. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "convert.h"
#include "demo_model.h"

static const char expected[] =
    ", there was a little girl named Lily. She loved to play outside in the park.";

static void check_story(const char *folder, gust_type type, const char *name) {
  gust_error err;
  const char *path = check_temp_file(name);
  gust_convert_options options = {.type = type};
  if (gust_convert(folder, path, &options, NULL, &err)) check_fatal("convert", err.text);
  gust_model *model = model_open_or_die(path);
  CHECK(gust_model_get_info(model)->tied_head);
  gust_context *context = context_or_die(model, NULL);
  int32_t *ids;
  size_t count;
  static const char prompt[] = "Once upon a time";
  if (gust_tokenize(model, prompt, strlen(prompt), GUST_TOKENIZE_BOS, &ids, &count, &err))
    check_fatal("tokenize", err.text);
  if (gust_context_feed(context, ids, count, NULL, NULL, &err)) check_fatal("feed", err.text);
  char *text = greedy_text(context, model, 60);
  printf("%s: %s\n", gust_type_name(type), text);
  CHECK(strncmp(text, expected, strlen(expected)) == 0);
  free(text);
  gust_free(ids);
  gust_context_destroy(context);
  gust_model_close(model);
}

int main(void) {
  const char *folder = check_refs("stories260K-hf");
  if (!folder) CHECK_SKIP("the stories260K checkpoint is not here");
  check_story(folder, GUST_TYPE_F32, "stories-f32.gust");
  check_story(folder, GUST_TYPE_Q8, "stories-q8.gust");
  return check_finish();
}

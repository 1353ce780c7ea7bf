#include "demo_model.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

const char *demo_model_path(const char *type) {
  char name[32];
  snprintf(name, sizeof name, "GUST_DEMO_%s", type);
  for (char *c = name; *c; c++) *c = (char)toupper((unsigned char)*c);
  const char *path = getenv(name);
  return path && *path ? path : NULL;
}

uint64_t demo_model_logits_hash(const char *type) {
  if (strcmp(type, "q4") == 0) return 0xd2455d243f4ddfbcu;
  if (strcmp(type, "q8") == 0) return 0xe5aa190fa2c58f59u;
  return 0x63e3a5807bb53a4bu; /* the checkpoint is bfloat16: f32 computes the same */
}

gust_model *model_open_or_die(const char *path) {
  gust_model *model;
  gust_error err;
  if (gust_model_open(&model, path, NULL, &err)) check_fatal("open", err.text);
  return model;
}

gust_model *demo_model_open(const char *type) {
  const char *path = demo_model_path(type);
  if (!path) check_skip("GUST_DEMO_F32 and so on are not set: run under meson test");
  return model_open_or_die(path);
}

gust_context *context_or_die(const gust_model *model, const gust_context_options *options) {
  gust_context *context;
  gust_error err;
  if (gust_context_create(&context, model, options, &err)) check_fatal("context", err.text);
  return context;
}

typedef struct text_buffer {
  char *text;
  size_t bytes;
} text_buffer;

static bool append(void *user, int32_t id, const char *text, size_t bytes) {
  (void)id;
  text_buffer *buffer = user;
  buffer->text = realloc(buffer->text, buffer->bytes + bytes + 1);
  if (!buffer->text) check_fatal("out of memory", "answer");
  memcpy(buffer->text + buffer->bytes, text, bytes);
  buffer->bytes += bytes;
  buffer->text[buffer->bytes] = 0;
  return false;
}

char *greedy_text(gust_context *context, const gust_model *model, size_t limit) {
  gust_sampling sampling = {.temperature = 0, .top_p = 1, .repeat_penalty = 1};
  gust_sampler *sampler;
  gust_error err;
  text_buffer buffer = {calloc(1, 1), 0};
  if (gust_sampler_create(&sampler, model, &sampling, &err)) check_fatal("sampler", err.text);
  if (gust_generate(context, sampler, NULL, limit, append, &buffer, NULL, &err))
    check_fatal("generate", err.text);
  gust_sampler_destroy(sampler);
  return buffer.text;
}

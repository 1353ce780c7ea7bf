/* Renders a checkpoint's chat template: the subset of Jinja that chat templates
 * use, interpreted in bounds (depth, steps, output). */
#ifndef GUST_CHAT_TEMPLATE_H
#define GUST_CHAT_TEMPLATE_H

#include "tokenizer.h"

typedef struct gust_template_input {
  const gust_message *messages;
  size_t message_count;
  bool add_generation_prompt;
  const char *bos_token, *eos_token; /* spelled; "" where the model has none */
} gust_template_input;

typedef struct gust_rendered {
  char *text; /* NUL-terminated */
  size_t bytes;
  /* Stretches that came from message contents, ascending and apart: there no
   * special token is to be recognised. */
  gust_text_span *literal;
  size_t literal_count;
} gust_rendered;

/* Renders `source` as transformers does (trim_blocks, lstrip_blocks, one
 * trailing newline of the source dropped). Errors name the template's line. */
gust_status gust_template_render(const char *source, const gust_template_input *input,
                                 gust_rendered *rendered, gust_error *err);
void gust_rendered_clear(gust_rendered *rendered);

#endif

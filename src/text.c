/* Text and conversations to ids, with the model's tokenizer and template. */
#include <stdlib.h>
#include <string.h>

#include "builtin_templates.h"
#include "chat_template.h"
#include "model.h"

void gust_free(void *memory) {
  free(memory);
}

gust_status gust_tokenize(const gust_model *model, const char *text, size_t bytes, unsigned flags,
                          int32_t **ids, size_t *count, gust_error *err) {
  gust_text_ends ends = !(flags & GUST_TOKENIZE_BOS)   ? GUST_ENDS_NONE
                        : !(flags & GUST_TOKENIZE_EOS) ? GUST_ENDS_PREFIX
                                                       : GUST_ENDS_BOTH;
  return gust_tokenizer_text_to_ids(model->tokenizer, text, bytes, ends,
                                    flags & GUST_TOKENIZE_SPECIAL, NULL, 0, ids, count, err);
}

/* A special token as spelled in text, NUL-terminated; "" where there is none. */
static char *spell(const gust_model *model, int32_t id) {
  const char *text = "";
  size_t bytes = 0;
  if (id >= 0 && (uint32_t)id < gust_tokenizer_size(model->tokenizer))
    gust_tokenizer_spelling(model->tokenizer, id, &text, &bytes);
  char *copy = malloc(bytes + 1);
  if (!copy) return NULL;
  memcpy(copy, text, bytes);
  copy[bytes] = 0;
  return copy;
}

const char *gust_chat_template_name(size_t index) {
  size_t i = 0;
  while (i < index && gust_builtin_templates[i].name) i++;
  return gust_builtin_templates[i].name;
}

const char *gust_chat_template_source(const char *name) {
  const gust_builtin_template *known = gust_builtin_templates;
  while (known->name && strcmp(known->name, name) != 0) known++;
  return known->source;
}

/* `source` NULL: the model's own template. */
static gust_status render(const gust_model *model, const char *source, const gust_message *messages,
                          size_t count, bool open_answer, gust_rendered *rendered,
                          gust_error *err) {
  const gust_config *config = &model->header.config;
  if (!source) source = model->header.chat_template;
  if (!source)
    return gust_fail(err, GUST_E_UNSUPPORTED,
                     "the conversation: expected a chat template in the file, found none; choose "
                     "one of gust's own or leave the template out (--template, --raw)");
  char *bos = spell(model, config->bos_id);
  char *eos = spell(model, config->eos_count ? config->eos_ids[0] : -1);
  gust_status status = GUST_OK;
  if (bos && eos) {
    gust_template_input input = {messages, count, open_answer, bos, eos};
    status = gust_template_render(source, &input, rendered, err);
  } else {
    status = gust_fail_memory(err, "special tokens", 64);
  }
  free(bos);
  free(eos);
  return status;
}

gust_status gust_chat_render_as(const gust_model *model, const char *chat_template,
                                const gust_message *messages, size_t count, bool open_answer,
                                char **text, gust_error *err) {
  gust_rendered rendered = {0};
  *text = NULL;
  gust_status status = render(model, chat_template, messages, count, open_answer, &rendered, err);
  if (status) return status;
  *text = rendered.text;
  rendered.text = NULL;
  gust_rendered_clear(&rendered);
  return GUST_OK;
}

gust_status gust_chat_render(const gust_model *model, const gust_message *messages, size_t count,
                             bool open_answer, char **text, gust_error *err) {
  return gust_chat_render_as(model, NULL, messages, count, open_answer, text, err);
}

/* Some templates write the begin-of-sequence token themselves; then the
 * tokenizer must not put a second one before it. */
static bool begins_with_bos(const gust_model *model, const gust_rendered *rendered) {
  const char *bos;
  size_t bytes;
  int32_t id = model->header.config.bos_id;
  if (id < 0 || (uint32_t)id >= gust_tokenizer_size(model->tokenizer)) return false;
  gust_tokenizer_spelling(model->tokenizer, id, &bos, &bytes);
  bool literal = rendered->literal_count && rendered->literal[0].begin < bytes;
  return bytes && !literal && rendered->bytes >= bytes && memcmp(rendered->text, bos, bytes) == 0;
}

gust_status gust_chat_tokenize_as(const gust_model *model, const char *chat_template,
                                  const gust_message *messages, size_t count, bool open_answer,
                                  int32_t **ids, size_t *id_count, gust_error *err) {
  gust_rendered rendered = {0};
  *ids = NULL;
  *id_count = 0;
  gust_status status = render(model, chat_template, messages, count, open_answer, &rendered, err);
  if (status) return status;
  status = gust_tokenizer_text_to_ids(
      model->tokenizer, rendered.text, rendered.bytes,
      begins_with_bos(model, &rendered) ? GUST_ENDS_NONE : GUST_ENDS_PREFIX, true, rendered.literal,
      rendered.literal_count, ids, id_count, err);
  gust_rendered_clear(&rendered);
  return status;
}

gust_status gust_chat_tokenize(const gust_model *model, const gust_message *messages, size_t count,
                               bool open_answer, int32_t **ids, size_t *id_count, gust_error *err) {
  return gust_chat_tokenize_as(model, NULL, messages, count, open_answer, ids, id_count, err);
}

#include "special_tokens.h"

#include <stdlib.h>
#include <string.h>

#include "json_file.h"

/* The id of the piece so spelled, or -1. */
static int32_t find_piece(const gust_vocabulary *v, const char *text, size_t bytes) {
  for (uint32_t id = 0; id < v->piece_count; id++)
    if (v->pieces[id].bytes == bytes && memcmp(v->pieces[id].text, text, bytes) == 0)
      return (int32_t)id;
  return -1;
}

/* A string, or an object with one as its content. */
static gust_status read_token(const json_file *f, const char *key, const gust_vocabulary *v,
                              int32_t *id, gust_error *err) {
  const json_value *value = json_get(f->root, key);
  const json_value *text = json_is(value, JSON_OBJECT) ? json_get(value, "content") : value;
  *id = -1;
  if (json_type_of(value) == JSON_NULL) return GUST_OK;
  size_t bytes;
  const char *spelling = json_text(text, &bytes);
  if (!spelling)
    return json_fail(f->doc, value, GUST_E_FORMAT, err,
                     "%s: expected a string or an object with one as its content, found %s", key,
                     json_type_name(json_type_of(value)));
  *id = find_piece(v, spelling, bytes);
  return GUST_OK;
}

static gust_status read_flag(const json_file *f, const char *key, bool *given, bool *truth,
                             gust_error *err) {
  *given = json_type_of(json_get(f->root, key)) != JSON_NULL;
  return *given ? json_need_bool(f->doc, f->root, key, truth, err) : GUST_OK;
}

gust_status special_tokens_read(special_tokens *t, const char *folder, const gust_vocabulary *v,
                                gust_error *err) {
  *t = (special_tokens){.bos = -1, .eos = -1};
  json_file f;
  gust_status status = json_file_open(&f, folder, "tokenizer_config.json", false, err);
  if (!status) status = read_token(&f, "bos_token", v, &t->bos, err);
  if (!status) status = read_token(&f, "eos_token", v, &t->eos, err);
  if (!status) status = read_flag(&f, "add_bos_token", &t->bos_given, &t->add_bos, err);
  if (!status) status = read_flag(&f, "add_eos_token", &t->eos_given, &t->add_eos, err);
  const json_value *class = json_get(f.root, "tokenizer_class");
  t->llama = json_text_is(class, "LlamaTokenizer") || json_text_is(class, "LlamaTokenizerFast");
  json_file_close(&f);
  return status;
}

/* *ids: `id` alone, or nothing. */
static gust_status put(int32_t **ids, uint32_t *count, bool add, int32_t id, gust_error *err) {
  free(*ids);
  *ids = NULL;
  *count = 0;
  if (!add) return GUST_OK;
  *ids = malloc(sizeof **ids);
  if (!*ids) return gust_fail_memory(err, "the ids around a text", sizeof **ids);
  **ids = id;
  *count = 1;
  return GUST_OK;
}

gust_status special_tokens_put_around(const special_tokens *t, gust_vocabulary *v,
                                      gust_error *err) {
  gust_status status = GUST_OK;
  if (!t->llama) return GUST_OK;
  if (t->bos_given && (t->bos >= 0 || !t->add_bos))
    status = put(&v->prefix_ids, &v->prefix_count, t->add_bos, t->bos, err);
  if (!status && t->eos_given && (t->eos >= 0 || !t->add_eos))
    status = put(&v->suffix_ids, &v->suffix_count, t->add_eos, t->eos, err);
  return status;
}

gust_status special_tokens_configure(const special_tokens *t, gust_config *c, bool *begins,
                                     bool *ends, gust_error *err) {
  *begins = t->bos >= 0 && t->bos != c->bos_id;
  if (t->bos >= 0) c->bos_id = t->bos;
  *ends = false;
  if (t->eos < 0) return GUST_OK;
  uint32_t at = 0;
  while (at < c->eos_count && c->eos_ids[at] != t->eos) at++;
  *ends = at == c->eos_count;
  if (at == GUST_MAX_EOS)
    return gust_fail(
        err, GUST_E_UNSUPPORTED,
        "eos_token_id: expected at most %d ids with tokenizer_config.json's eos_token, "
        "found %d and that; leave one out",
        GUST_MAX_EOS, GUST_MAX_EOS);
  if (*ends) c->eos_count++;
  memmove(c->eos_ids + 1, c->eos_ids, at * sizeof *c->eos_ids);
  c->eos_ids[0] = t->eos;
  return GUST_OK;
}

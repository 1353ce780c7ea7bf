/* Which tokenizer file a checkpoint folder has, and what stands beside it. */
#include "tokenizer_import.h"

#include <stdlib.h>
#include <string.h>

#include "json_file.h"
#include "lfs_pointer.h"

/* Far more than any tokenizer takes. */
#define MAX_TOKENIZER_BYTES ((size_t)1 << 30)

typedef struct input {
  char *path;
  whole_file file;
  bool present;
} input;

static void close_input(input *in) {
  whole_file_free(&in->file);
  free(in->path);
  *in = (input){0};
}

/* Reads FOLDER/NAME; a file that is not there is no failure. */
static gust_status open_input(input *in, const char *folder, const char *name, gust_error *err) {
  *in = (input){.path = path_join(folder, name)};
  if (!in->path) return gust_fail_memory(err, "a path", strlen(folder) + strlen(name) + 2);
  if (!path_exists(in->path)) return GUST_OK;
  in->present = whole_file_read(&in->file, in->path, MAX_TOKENIZER_BYTES);
  if (in->present) return lfs_pointer_refuse(in->file.data, in->file.bytes, in->path, err);
  return whole_file_fail(&in->file, in->path, "a readable file", "", err);
}

/* --- tokenizer.model and what belongs to it ---------------------------------------- */

static gust_status config_bool(const json_file *config, const char *name, bool *truth,
                               gust_error *err) {
  if (json_type_of(json_get(config->root, name)) == JSON_NULL) return GUST_OK;
  return json_need_bool(config->doc, config->root, name, truth, err);
}

static gust_status read_options(const json_file *config, gust_sentencepiece_options *options,
                                gust_error *err) {
  bool prefix = true;
  gust_status status = config_bool(config, "add_bos_token", &options->add_bos, err);
  if (!status) status = config_bool(config, "add_eos_token", &options->add_eos, err);
  if (!status) status = config_bool(config, "legacy", &options->legacy, err);
  if (!status) status = config_bool(config, "add_prefix_space", &prefix, err);
  options->no_prefix = !prefix;
  return status;
}

/* An added token must be the piece with its id, because a tokenizer.model alone
 * cannot say how the others are matched. */
static gust_status check_added(const json_document *doc, const json_value *place,
                               const gust_vocabulary *v, const char *text, size_t bytes, int64_t id,
                               gust_error *err) {
  bool inside = id >= 0 && (uint64_t)id < v->piece_count;
  const gust_piece *piece = inside ? &v->pieces[id] : NULL;
  if (piece && (piece->flags & GUST_PIECE_ADDED) && piece->bytes == bytes &&
      memcmp(piece->text, text, bytes) == 0)
    return GUST_OK;
  return json_fail(doc, place, GUST_E_UNSUPPORTED, err,
                   "expected added tokens that are control pieces of tokenizer.model, found "
                   "\"%.*s\" with id %lld; use a checkpoint with tokenizer.json",
                   (int)(bytes < 60 ? bytes : 60), text, (long long)id);
}

/* added_tokens_decoder of tokenizer_config.json: {"ID": {"content": TEXT}}. */
static gust_status check_added_decoder(const json_file *config, const gust_vocabulary *v,
                                       gust_error *err) {
  const json_document *doc = config->doc;
  const json_value *tokens = json_get(config->root, "added_tokens_decoder");
  for (const json_value *token = json_first(tokens); token; token = json_next(tokens, token)) {
    const json_value *content;
    gust_status status = json_need(doc, token, "content", JSON_STRING, &content, err);
    if (status) return status;
    size_t bytes, key_bytes;
    const char *text = json_text(content, &bytes), *key = json_key(token, &key_bytes);
    int64_t id = key_bytes ? 0 : -1;
    for (size_t i = 0; i < key_bytes && id >= 0; i++) {
      bool digit = key[i] >= '0' && key[i] <= '9' && id < INT32_MAX;
      id = digit ? id * 10 + (key[i] - '0') : -1;
    }
    status = check_added(doc, token, v, text, bytes, id, err);
    if (status) return status;
  }
  return GUST_OK;
}

/* added_tokens.json: {TEXT: ID}. */
static gust_status check_added_file(const char *folder, const gust_vocabulary *v, gust_error *err) {
  json_file file;
  gust_status status = json_file_open(&file, folder, "added_tokens.json", false, err);
  for (const json_value *token = status ? NULL : json_first(file.root); token && !status;
       token = json_next(file.root, token)) {
    size_t bytes;
    const char *text = json_key(token, &bytes);
    int64_t id = -1;
    json_int64(token, 0, INT32_MAX, &id);
    status = check_added(file.doc, token, v, text, bytes, id, err);
  }
  json_file_close(&file);
  return status;
}

static gust_status import_sentencepiece(const char *folder, const input *model, gust_vocabulary *v,
                                        gust_error *err) {
  gust_sentencepiece_options options = {.add_bos = true, .legacy = true};
  json_file config;
  gust_status status = json_file_open(&config, folder, "tokenizer_config.json", false, err);
  if (!status && config.root) status = read_options(&config, &options, err);
  if (!status)
    status = gust_import_sentencepiece((const uint8_t *)model->file.data, model->file.bytes,
                                       model->path, &options, v, err);
  if (!status && config.root) status = check_added_decoder(&config, v, err);
  if (!status) status = check_added_file(folder, v, err);
  json_file_close(&config);
  return status;
}

/* --- a folder ------------------------------------------------------------------------ */

gust_status gust_import_tokenizer(const char *folder, gust_vocabulary *vocabulary,
                                  gust_error *err) {
  *vocabulary = (gust_vocabulary){.unk_id = -1};
  input json, model = {0};
  gust_status status = open_input(&json, folder, "tokenizer.json", err);
  if (!status && json.present) {
    status = gust_import_tokenizer_json((const uint8_t *)json.file.data, json.file.bytes, json.path,
                                        vocabulary, err);
  } else if (!status) {
    status = open_input(&model, folder, "tokenizer.model", err);
    if (!status && !model.present)
      status = gust_fail(err, GUST_E_IO,
                         "%s: expected tokenizer.json or tokenizer.model, found neither; download "
                         "the whole checkpoint",
                         folder);
    if (!status) status = import_sentencepiece(folder, &model, vocabulary, err);
  }
  close_input(&json);
  close_input(&model);
  if (status) gust_vocabulary_clear(vocabulary);
  return status;
}

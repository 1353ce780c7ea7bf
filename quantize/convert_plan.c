/* The header of the file to be, and what can be refused without reading a weight. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conversion.h"
#include "file_receipt.h"
#include "hf_config.h"
#include "json_file.h"
#include "os.h"
#include "special_tokens.h"
#include "status.h"
#include "tensor_types.h"
#include "tokenizer.h"
#include "tokenizer_import.h"

/* Tokens that the tokenizer has of its own and the model no row for: padding, mostly,
 * which was never given one. In a text they are pieces like others. */
static void leave_out_rowless(conversion *c, gust_vocabulary *v) {
  uint32_t rows = c->header.config.vocab_size, count = v->piece_count;
  while (count > rows && (v->pieces[count - 1].flags & GUST_PIECE_OUTSIDE))
    free(v->pieces[--count].text);
  if (count == v->piece_count) return;
  char line[160];
  snprintf(line, sizeof line,
           "%u tokens of the tokenizer have no row in the model (vocab_size %u) and are left out",
           v->piece_count - count, rows);
  v->piece_count = count;
  conversion_note(c, line);
}

/* What tokenizer_config.json says is what the model is used with by others. */
static gust_status name_special_tokens(conversion *c, const char *folder, gust_vocabulary *v,
                                       gust_error *err) {
  special_tokens tokens;
  bool begins = false, ends = false;
  gust_status status = special_tokens_read(&tokens, folder, v, err);
  if (!status) status = special_tokens_put_around(&tokens, v, err);
  if (!status) status = special_tokens_configure(&tokens, &c->header.config, &begins, &ends, err);
  char line[160];
  if (begins) {
    snprintf(line, sizeof line,
             "bos_token of tokenizer_config.json, id %d, begins texts; bos_token_id is another",
             tokens.bos);
    conversion_note(c, line);
  }
  if (ends) {
    snprintf(line, sizeof line,
             "eos_token of tokenizer_config.json, id %d, also ends answers; eos_token_id lacks it",
             tokens.eos);
    conversion_note(c, line);
  }
  return status;
}

static gust_status encode_tokenizer(conversion *c, const char *folder, const gust_vocabulary *v,
                                    gust_error *err) {
  gust_error found = {0};
  gust_status status =
      gust_tokenizer_encode(v, &c->header.tokenizer, &c->header.tokenizer_bytes, &found);
  return status ? gust_fail(err, status, "%s: %s; download its tokenizer again", folder, found.text)
                : status;
}

static gust_status read_tokenizer(conversion *c, const char *folder, gust_error *err) {
  gust_vocabulary vocabulary;
  gust_status status = gust_import_tokenizer(folder, &vocabulary, err);
  if (status) return status;
  leave_out_rowless(c, &vocabulary);
  /* Rows past the tokenizer's pieces are common (padding); pieces past the
   * rows would be ids without an embedding. */
  if (vocabulary.piece_count > c->header.config.vocab_size)
    status = gust_fail(err, GUST_E_FORMAT,
                       "%s: expected a tokenizer of at most vocab_size %u pieces, found %u; "
                       "tokenizer and config.json must belong together",
                       folder, c->header.config.vocab_size, vocabulary.piece_count);
  if (!status) status = name_special_tokens(c, folder, &vocabulary, err);
  if (!status) status = encode_tokenizer(c, folder, &vocabulary, err);
  gust_vocabulary_clear(&vocabulary);
  return status;
}

static gust_status list_sources(conversion *c, gust_error *err) {
  size_t count = c->source.shard_count;
  c->header.sources = calloc(count, sizeof *c->header.sources);
  if (!c->header.sources)
    return gust_fail_memory(err, "source list", count * sizeof *c->header.sources);
  c->header.source_count = count;
  for (size_t i = 0; i < count; i++) {
    const char *name = c->source.shards[i].name;
    gust_source *source = &c->header.sources[i];
    source->bytes = c->source.shards[i].file.map.bytes;
    c->source_bytes += source->bytes - c->source.shards[i].file.data_begin;
    source->name = malloc(strlen(name) + 1);
    if (!source->name) return gust_fail_memory(err, "source name", strlen(name) + 1);
    memcpy(source->name, name, strlen(name) + 1);
  }
  c->total = c->source_bytes;
  return GUST_OK;
}

static gust_status check_not_source(const conversion *c, const char *folder, const char *name,
                                    gust_error *err) {
  char *path = path_join(folder, name);
  if (!path) return gust_fail_memory(err, "path", strlen(folder) + strlen(name) + 2);
  bool same = os_same_file(c->target_path, path);
  free(path);
  if (!same) return GUST_OK;
  return gust_fail(err, GUST_E_ARGUMENT,
                   "%s: expected a file that is no part of the checkpoint, found '%s' of %s; give "
                   "another name",
                   c->target_path, name, folder);
}

/* The last step replaces the target, and with it, were it one of these, what
 * the conversion was made from. */
static gust_status check_target(const conversion *c, const char *folder, gust_error *err) {
  static const char *const names[] = {"config.json",           "generation_config.json",
                                      "tokenizer.json",        "tokenizer.model",
                                      "tokenizer_config.json", "added_tokens.json",
                                      "chat_template.jinja",   "model.safetensors.index.json"};
  gust_status status = GUST_OK;
  for (size_t i = 0; i < c->source.shard_count && !status; i++)
    status = check_not_source(c, folder, c->source.shards[i].name, err);
  for (size_t i = 0; i < sizeof names / sizeof *names && !status; i++)
    status = check_not_source(c, folder, names[i], err);
  return status;
}

static gust_status give_types(conversion *c, gust_error *err) {
  tensor_types_assign(&c->header, c->options.type);
  c->kept = calloc(c->header.tensor_count, sizeof *c->kept);
  if (!c->kept) return gust_fail_memory(err, "types", c->header.tensor_count);
  return tensor_types_keep(&c->header, c->options.keep, c->options.keep_count, c->kept, err);
}

/* The header's length is known before what is in it: encode, place, and encode
 * again when all checksums are there. To be done again when types have changed, which
 * the receipt's parts and the tensors' sizes are made of. */
gust_status conversion_place(conversion *c, gust_error *err) {
  if (!c->options.bare) file_receipt_begin(&c->header, c->options.measure != NULL);
  uint8_t *bytes;
  size_t count;
  gust_status status = gust_header_encode(&c->header, &bytes, &count, err);
  if (status) return status;
  free(bytes);
  return gust_header_place(&c->header, count, err);
}

/* Everything about the file but its tensors' bytes. */
gust_status conversion_plan(conversion *c, const char *folder, gust_error *err) {
  gust_header *header = &c->header;
  const char *note;
  gust_status status = hf_config_read(folder, &header->config, &header->generation,
                                      &header->chat_template, &note, err);
  if (!status && note) conversion_note(c, note);
  if (!status) status = checkpoint_open(&c->source, folder, err);
  if (!status && c->target_path) status = check_target(c, folder, err);
  if (!status) status = tensor_map_build(&c->map, header, &c->source, err);
  if (!status) status = give_types(c, err);
  if (!status) status = read_tokenizer(c, folder, err);
  if (!status) status = list_sources(c, err);
  return status ? status : conversion_place(c, err);
}

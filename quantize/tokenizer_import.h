/* Tokenizer files of a checkpoint become a gust_vocabulary.
 *
 * What gust cannot run exactly is refused by name. On failure *vocabulary is
 * empty; on success it is to be given to gust_vocabulary_clear. `where` is the
 * path that begins errors. */
#ifndef GUST_TOKENIZER_IMPORT_H
#define GUST_TOKENIZER_IMPORT_H

#include "tokenizer.h"

/* Reads FOLDER/tokenizer.json or, where there is none, FOLDER/tokenizer.model
 * with add_bos_token, add_eos_token, legacy and add_prefix_space of
 * FOLDER/tokenizer_config.json (true, false, true and true where they are not
 * given). Added tokens that are no pieces of a tokenizer.model are refused.
 * special_tokens.h has what tokenizer_config.json says on top of either. */
gust_status gust_import_tokenizer(const char *folder, gust_vocabulary *vocabulary, gust_error *err);

/* A Hugging Face tokenizer.json of the SentencePiece-BPE kind: model BPE with
 * byte fallback, a normalizer or Metaspace pre-tokenizer that turns spaces into
 * U+2581, a TemplateProcessing post-processor. */
gust_status gust_import_tokenizer_json(const uint8_t *bytes, size_t count, const char *where,
                                       gust_vocabulary *vocabulary, gust_error *err);

/* How a tokenizer.model is run; the file itself does not say. */
typedef struct gust_sentencepiece_options {
  bool add_bos, add_eos; /* put those ids around a text (add_bos_token ...) */
  bool legacy;           /* a prefix after each special token (legacy) */
  bool no_prefix;        /* no prefix at all (add_prefix_space: false) */
} gust_sentencepiece_options;

/* A SentencePiece tokenizer.model of the BPE type. Control pieces, <unk> and
 * user-defined pieces are read in the text as added tokens, as Hugging Face
 * does. */
gust_status gust_import_sentencepiece(const uint8_t *bytes, size_t count, const char *where,
                                      const gust_sentencepiece_options *options,
                                      gust_vocabulary *vocabulary, gust_error *err);

#endif

/* Tokenizers for tests, from files or from texts. */
#ifndef TOKENIZER_FILES_H
#define TOKENIZER_FILES_H

#include "json.h"
#include "tokenizer.h"

/* From the bytes of a tokenizer.json or tokenizer.model; ends the test program
 * when they are refused. Encodes and decodes the file section on the way. */
gust_tokenizer *tokenizer_of_json(const char *text);
gust_tokenizer *tokenizer_of_file(const char *path);

/* A vocabulary made into a tokenizer; the vocabulary is cleared. */
gust_tokenizer *tokenizer_of_vocabulary(gust_vocabulary *vocabulary);

/* A small tokenizer.json: <unk> <s> </s>, the bytes, ▁ a b c ab ▁a abc.
 * The named parts are JSON values that go in place of the usual ones; NULL: the
 * usual one. To be freed. */
typedef struct tokenizer_parts {
  const char *added, *normalizer, *pre_tokenizer, *post_processor, *decoder, *vocab, *merges;
  const char *model; /* members before "vocab" */
} tokenizer_parts;
char *tokenizer_text(const tokenizer_parts *parts);

/* A vectors file: [{text, ids, ids_no_bos, decoded}, ...]; the path's text must
 * be freed after the document. */
json_document *vectors_open(const char *path, char **text);

#endif

#include "tokenizer_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "tokenizer_import.h"

gust_tokenizer *tokenizer_of_vocabulary(gust_vocabulary *vocabulary) {
  gust_error err;
  uint8_t *section;
  size_t count;
  if (gust_tokenizer_encode(vocabulary, &section, &count, &err)) check_fatal("encode", err.text);
  gust_vocabulary_clear(vocabulary);
  gust_tokenizer *tokenizer;
  if (gust_tokenizer_create(&tokenizer, section, count, "section", &err))
    check_fatal("create", err.text);
  free(section);
  return tokenizer;
}

gust_tokenizer *tokenizer_of_json(const char *text) {
  gust_vocabulary vocabulary;
  gust_error err;
  if (gust_import_tokenizer_json((const uint8_t *)text, strlen(text), "t.json", &vocabulary, &err))
    check_fatal("import", err.text);
  return tokenizer_of_vocabulary(&vocabulary);
}

gust_tokenizer *tokenizer_of_file(const char *path) {
  const gust_sentencepiece_options options = {.add_bos = true, .legacy = true};
  gust_vocabulary vocabulary;
  gust_error err;
  size_t bytes;
  char *text = check_read_file(path, &bytes);
  gust_status status =
      strstr(path, ".model")
          ? gust_import_sentencepiece((const uint8_t *)text, bytes, path, &options, &vocabulary,
                                      &err)
          : gust_import_tokenizer_json((const uint8_t *)text, bytes, path, &vocabulary, &err);
  if (status) check_fatal(path, err.text);
  free(text);
  return tokenizer_of_vocabulary(&vocabulary);
}

static const char *part(const char *given, const char *usual) {
  return given ? given : usual;
}

/* The 256 byte pieces with ids from 12 on, as members of "vocab". */
static void byte_pieces(char *to) {
  for (int i = 0; i < 256; i++) to += sprintf(to, ", \"<0x%02X>\": %d", (unsigned)i, 12 + i);
}

char *tokenizer_text(const tokenizer_parts *parts) {
  static const char usual_added[] =
      "[{\"id\":0,\"content\":\"<unk>\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,"
      "\"normalized\":false,\"special\":true},"
      "{\"id\":1,\"content\":\"<s>\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,"
      "\"normalized\":false,\"special\":true},"
      "{\"id\":2,\"content\":\"</s>\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,"
      "\"normalized\":false,\"special\":true}]";
  static const char usual_normalizer[] =
      "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":\"▁\"},"
      "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"▁\"}]}";
  static const char usual_decoder[] =
      "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"String\":\"▁\"},"
      "\"content\":\" \"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},{\"type\":\"Strip\","
      "\"content\":\" \",\"start\":1,\"stop\":0}]}";
  char bytes[8192], *text = malloc(32768);
  if (!text) check_fatal("malloc", "a tokenizer.json");
  byte_pieces(bytes);
  int length = snprintf(
      text, 32768,
      "{\"added_tokens\":%s,\n\"normalizer\":%s,\n\"pre_tokenizer\":%s,\n\"post_processor\":%s,\n"
      "\"decoder\":%s,\n\"model\":{%s,\n\"vocab\":{%s%s},\n\"merges\":%s}}",
      part(parts->added, usual_added), part(parts->normalizer, usual_normalizer),
      part(parts->pre_tokenizer, "null"), part(parts->post_processor, "null"),
      part(parts->decoder, usual_decoder),
      part(parts->model,
           "\"type\":\"BPE\",\"unk_token\":\"<unk>\",\"fuse_unk\":true,\"byte_fallback\":true"),
      part(parts->vocab,
           "\"<unk>\":0,\"<s>\":1,\"</s>\":2,\"▁\":3,\"a\":4,\"b\":5,\"c\":6,\"ab\":7,\"▁a\":8,"
           "\"abc\":9,\"▁▁\":10,\"<\":11"),
      parts->vocab ? "" : bytes, part(parts->merges, "[\"a b\",\"▁ a\",[\"ab\",\"c\"],\"▁ ▁\"]"));
  if (length < 0 || length >= 32768) check_fatal("snprintf", "a tokenizer.json");
  return text;
}

json_document *vectors_open(const char *path, char **text) {
  size_t bytes;
  json_document *doc;
  gust_error err;
  *text = check_read_file(path, &bytes);
  if (json_parse(&doc, *text, bytes, path, JSON_UNIQUE_KEYS, &err)) check_fatal(path, err.text);
  return doc;
}

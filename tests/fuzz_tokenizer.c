/* libFuzzer: the first byte says what the rest is: '{' begins a tokenizer.json, 'T'
 * goes before a .gust file's tokenizer section, any other byte before a
 * tokenizer.model, whose options its bits are. What is imported must make a section
 * that is accepted, and a tokenizer that gives ids of its own for any text. */
#include <stdlib.h>
#include <string.h>

#include "tokenizer_import.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MOST_TEXT 512u

static void require(bool held) {
  if (!held) abort();
}

static void require_line(const gust_error *err) {
  require(err->text[0] && !strchr(err->text, '\n'));
}

static void check_text(const gust_tokenizer *tokenizer, const char *text, size_t bytes,
                       bool special) {
  const gust_text_span literal = {bytes / 3, bytes / 2};
  size_t literals = literal.begin < literal.end ? 1 : 0, count = 0;
  int32_t *ids = NULL;
  gust_error err = {0};
  if (gust_tokenizer_text_to_ids(tokenizer, text, bytes, special, special, &literal, literals, &ids,
                                 &count, &err) != GUST_OK) {
    require_line(&err);
    return;
  }
  for (size_t i = 0; i < count; i++) {
    const char *piece, *spelling;
    size_t piece_bytes, spelling_bytes;
    require(ids[i] >= 0 && (uint32_t)ids[i] < gust_tokenizer_size(tokenizer));
    gust_tokenizer_piece(tokenizer, ids[i], &piece, &piece_bytes);
    gust_tokenizer_spelling(tokenizer, ids[i], &spelling, &spelling_bytes);
    require(piece_bytes <= spelling_bytes && spelling_bytes <= GUST_MAX_PIECE_BYTES);
  }
  free(ids);
}

/* The text is the input itself: of all texts the likeliest to hold its pieces. */
static bool check_section(const uint8_t *section, size_t count, const uint8_t *data, size_t size) {
  gust_tokenizer *tokenizer = NULL;
  gust_error err = {0};
  if (gust_tokenizer_create(&tokenizer, section, count, "fuzz", &err) != GUST_OK) {
    require_line(&err);
    return false;
  }
  size_t bytes = size < MOST_TEXT ? size : MOST_TEXT;
  check_text(tokenizer, (const char *)data, bytes, false);
  check_text(tokenizer, (const char *)data + (size - bytes), bytes, true);
  check_text(tokenizer, "a b<s> ab\xe2\x96\x81\xff", 13, true);
  gust_tokenizer_destroy(tokenizer);
  return true;
}

static gust_status import(gust_vocabulary *vocabulary, const uint8_t *data, size_t size,
                          gust_error *err) {
  if (data[0] == '{') return gust_import_tokenizer_json(data, size, "fuzz", vocabulary, err);
  const gust_sentencepiece_options options = {.add_bos = data[0] & 1,
                                              .add_eos = data[0] & 2,
                                              .legacy = data[0] & 4,
                                              .no_prefix = data[0] & 8};
  return gust_import_sentencepiece(data + 1, size - 1, "fuzz", &options, vocabulary, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0) return 0;
  if (data[0] == 'T') {
    check_section(data + 1, size - 1, data, size);
    return 0;
  }
  gust_vocabulary vocabulary = {0};
  gust_error err = {0};
  if (import(&vocabulary, data, size, &err) != GUST_OK) {
    require_line(&err);
    require(!vocabulary.pieces && !vocabulary.merges);
    return 0;
  }
  uint8_t *section = NULL;
  size_t count = 0;
  if (gust_tokenizer_encode(&vocabulary, &section, &count, &err) == GUST_OK)
    require(check_section(section, count, data, size));
  else
    require_line(&err);
  free(section);
  gust_vocabulary_clear(&vocabulary);
  return 0;
}

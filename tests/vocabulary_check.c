#include "vocabulary_check.h"

#include <stdlib.h>

#define MOST_TEXT 512u

static void check_text(const gust_tokenizer *tokenizer, const char *text, size_t bytes,
                       bool special) {
  const gust_text_span literal = {bytes / 3, bytes / 2};
  size_t literals = literal.begin < literal.end ? 1 : 0, count = 0;
  int32_t *ids = NULL;
  gust_error err = {0};
  if (gust_tokenizer_text_to_ids(tokenizer, text, bytes, special ? GUST_ENDS_BOTH : GUST_ENDS_NONE,
                                 special, &literal, literals, &ids, &count, &err) != GUST_OK) {
    fuzz_require_line(&err);
    return;
  }
  for (size_t i = 0; i < count; i++) {
    const char *piece, *spelling;
    size_t piece_bytes, spelling_bytes;
    fuzz_require(ids[i] >= 0 && (uint32_t)ids[i] < gust_tokenizer_size(tokenizer));
    gust_tokenizer_piece(tokenizer, ids[i], &piece, &piece_bytes);
    gust_tokenizer_spelling(tokenizer, ids[i], &spelling, &spelling_bytes);
    fuzz_require(piece_bytes <= spelling_bytes && spelling_bytes <= GUST_MAX_PIECE_BYTES);
  }
  free(ids);
}

bool check_section(const uint8_t *section, size_t bytes, fuzz_part input) {
  gust_tokenizer *tokenizer = NULL;
  gust_error err = {0};
  if (gust_tokenizer_create(&tokenizer, section, bytes, "fuzz", &err) != GUST_OK) {
    fuzz_require_line(&err);
    return false;
  }
  size_t text = input.bytes < MOST_TEXT ? input.bytes : MOST_TEXT;
  check_text(tokenizer, (const char *)input.data, text, false);
  check_text(tokenizer, (const char *)input.data + (input.bytes - text), text, true);
  check_text(tokenizer, "a b<s> ab\xe2\x96\x81\xff", 13, true);
  gust_tokenizer_destroy(tokenizer);
  return true;
}

void check_import(gust_status status, gust_vocabulary *vocabulary, const gust_error *err,
                  fuzz_part input) {
  if (status != GUST_OK) {
    fuzz_require_line(err);
    fuzz_require(!vocabulary->pieces && !vocabulary->merges);
    return;
  }
  uint8_t *section = NULL;
  size_t bytes = 0;
  gust_error reason = {0};
  if (gust_tokenizer_encode(vocabulary, &section, &bytes, &reason) == GUST_OK)
    fuzz_require(check_section(section, bytes, input));
  else
    fuzz_require_line(&reason);
  free(section);
  gust_vocabulary_clear(vocabulary);
}

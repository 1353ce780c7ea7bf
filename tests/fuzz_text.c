/* libFuzzer: any bytes as text, with a small vocabulary that has one of everything: merges,
 * a piece for each byte, added tokens of every kind. The first byte of the input says how
 * the tokenizer treats spaces and what it does not know, the second what of the text came
 * from a user; the rest is the text. */
#include <stdlib.h>
#include <string.h>

#include "fuzz_support.h"
#include "tokenizer.h"

#define UNDERLINE "\xe2\x96\x81" /* U+2581, a space */
#define SPECIAL (GUST_PIECE_SPECIAL | GUST_PIECE_ADDED)

enum { UNK, BOS, EOS, BYTES = 8, LETTERS = BYTES + 256, PIECES = LETTERS + 9 };

static const struct {
  const char *text;
  uint32_t flags;
} added[BYTES] = {{"<unk>", SPECIAL},
                  {"<s>", SPECIAL},
                  {"</s>", SPECIAL},
                  {"[l]", GUST_PIECE_ADDED | GUST_PIECE_LSTRIP},
                  {"[r]", GUST_PIECE_ADDED | GUST_PIECE_RSTRIP},
                  {"[n]", GUST_PIECE_ADDED | GUST_PIECE_NORMALIZED},
                  {"word", GUST_PIECE_ADDED | GUST_PIECE_SINGLE_WORD},
                  {"[o]", GUST_PIECE_ADDED | GUST_PIECE_OUTSIDE}};

static const char *const letters[PIECES - LETTERS] = {
    UNDERLINE,           "a",           "b", "\xc3\xa9", "ab", UNDERLINE "a", "aba",
    UNDERLINE UNDERLINE, "\xc3\xa9\x61"};

static gust_merge merges[] = {{LETTERS + 1, LETTERS + 2, LETTERS + 4, 0},
                              {LETTERS + 0, LETTERS + 1, LETTERS + 5, 1},
                              {LETTERS + 4, LETTERS + 1, LETTERS + 6, 2},
                              {LETTERS + 0, LETTERS + 0, LETTERS + 7, 3},
                              {LETTERS + 3, LETTERS + 1, LETTERS + 8, 4}};

static gust_tokenizer *make_tokenizer(uint8_t how) {
  gust_piece pieces[PIECES];
  char spellings[256][7];
  int32_t prefix = BOS, suffix = EOS;
  for (uint32_t i = 0; i < PIECES; i++) {
    const char *text = i < BYTES ? added[i].text : letters[i < LETTERS ? 0 : i - LETTERS];
    uint32_t flags = i < BYTES ? added[i].flags : 0;
    if (i >= BYTES && i < LETTERS) {
      static const char digits[] = "0123456789ABCDEF";
      char *spelling = spellings[i - BYTES];
      memcpy(spelling, "<0x00>", 7);
      spelling[3] = digits[(i - BYTES) >> 4];
      spelling[4] = digits[(i - BYTES) & 15];
      text = spelling;
      flags = GUST_PIECE_BYTE;
    }
    pieces[i] = (gust_piece){(char *)text, (uint32_t)strlen(text), flags};
  }
  const gust_vocabulary vocabulary = {.pieces = pieces,
                                      .piece_count = PIECES,
                                      .merges = merges,
                                      .merge_count = sizeof merges / sizeof *merges,
                                      .unk_id = UNK,
                                      .byte_fallback = !(how & 1),
                                      .fuse_unk = how & 2,
                                      .add_prefix = how & 4,
                                      .prefix_once = how & 8,
                                      .metaspace = how & 16,
                                      .keep_spaces = how & 32,
                                      .prefix_ids = &prefix,
                                      .prefix_count = 1,
                                      .suffix_ids = &suffix,
                                      .suffix_count = 1};
  uint8_t *section;
  size_t bytes;
  gust_tokenizer *tokenizer = NULL;
  gust_error err = {0};
  if (gust_tokenizer_encode(&vocabulary, &section, &bytes, &err) != GUST_OK) {
    fuzz_require_line(&err); /* not every combination holds together */
    return NULL;
  }
  fuzz_require(gust_tokenizer_create(&tokenizer, section, bytes, "fuzz", &err) == GUST_OK);
  free(section);
  return tokenizer;
}

/* Whether the pieces, put together, are the text, in which a U+2581 is a space as well. */
static bool spells(const gust_tokenizer *t, const int32_t *ids, size_t count, const char *text,
                   size_t bytes) {
  size_t at = 0;
  for (size_t i = 0; i < count; i++) {
    const char *piece;
    size_t piece_bytes;
    gust_tokenizer_piece(t, ids[i], &piece, &piece_bytes);
    for (size_t k = 0; k < piece_bytes; k++) {
      bool underline = bytes - at >= 3 && !memcmp(text + at, UNDERLINE, 3);
      if (at == bytes) return false;
      if (piece[k] == text[at])
        at++;
      else if (underline && piece[k] == ' ')
        at += 3;
      else
        return false;
    }
  }
  return at == bytes;
}

/* A text all of which came from a user has no added token, and loses nothing. */
static void check_literal(const gust_tokenizer *t, uint8_t how, const char *text, size_t bytes) {
  const gust_text_span all = {0, bytes};
  int32_t *ids;
  size_t count;
  gust_error err = {0};
  fuzz_require(gust_tokenizer_text_to_ids(t, text, bytes, GUST_ENDS_NONE, true, &all, bytes > 0,
                                          &ids, &count, &err) == GUST_OK);
  for (size_t i = 0; i < count; i++)
    fuzz_require(ids[i] == UNK || !(gust_tokenizer_flags(t, ids[i]) & GUST_PIECE_ADDED));
  bool exact = !(how & (1 | 4)); /* bytes for what is unknown, and no space before it */
  fuzz_require(!exact || spells(t, ids, count, text, bytes));
  free(ids);
}

/* One of which a part did. */
static void check_mixed(const gust_tokenizer *t, uint8_t where, const char *text, size_t bytes) {
  const gust_text_span literal = {bytes * (where >> 4) / 16, bytes * (where & 15) / 16};
  int32_t *ids;
  size_t count;
  gust_error err = {0};
  fuzz_require(gust_tokenizer_text_to_ids(t, text, bytes, GUST_ENDS_BOTH, true, &literal,
                                          literal.begin < literal.end, &ids, &count,
                                          &err) == GUST_OK);
  fuzz_require(count >= 2 && ids[0] == BOS && ids[count - 1] == EOS);
  for (size_t i = 0; i < count; i++) fuzz_require(ids[i] >= 0 && ids[i] < PIECES);
  free(ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static gust_tokenizer *made[64]; /* one for each combination; to make one takes longest */
  if (size < 2) return 0;
  gust_tokenizer **tokenizer = &made[data[0] % 64];
  if (!*tokenizer) *tokenizer = make_tokenizer(data[0]);
  if (!*tokenizer) return 0;
  check_literal(*tokenizer, data[0], (const char *)data + 2, size - 2);
  check_mixed(*tokenizer, data[1], (const char *)data + 2, size - 2);
  return 0;
}

/* Byte-pair tokenizer of the SentencePiece kind, as Hugging Face's tokenizers
 * library runs it: prepend, replace, merge by rank, fall back to bytes.
 *
 * A gust_vocabulary is the plain data an importer fills in (quantize/ reads
 * tokenizer.json or tokenizer.model into one); gust_tokenizer_encode turns it
 * into the bytes of the file's tokenizer section (docs/FORMAT.md), and
 * gust_tokenizer_create makes those bytes usable. */
#ifndef GUST_TOKENIZER_H
#define GUST_TOKENIZER_H

#include "status.h"

#define GUST_PIECE_SPECIAL 1u      /* decodes to nothing; an added token with special: true */
#define GUST_PIECE_ADDED 2u        /* matched in the text as a whole, before merging */
#define GUST_PIECE_BYTE 4u         /* <0xHH>, one byte */
#define GUST_PIECE_LSTRIP 8u       /* an added token that takes the white space before it */
#define GUST_PIECE_RSTRIP 16u      /* ... or after it */
#define GUST_PIECE_NORMALIZED 32u  /* an added token matched in normalized text */
#define GUST_PIECE_SINGLE_WORD 64u /* an added token matched between non-word characters only */
#define GUST_PIECE_OUTSIDE                                                 \
  128u /* an added token that is no piece of the model's own: text that is \
          not matched as a whole never becomes it */

#define GUST_MAX_PIECE_BYTES 1024u

typedef struct gust_piece {
  char *text; /* as in the vocabulary, U+2581 for a space; not NUL-terminated */
  uint32_t bytes;
  uint32_t flags;
} gust_piece;

/* Joining the neighbours left, right gives `result`. The lowest rank goes
 * first; among equals the leftmost place. */
typedef struct gust_merge {
  uint32_t left, right, result;
  uint32_t rank;
} gust_merge;

typedef struct gust_vocabulary {
  gust_piece *pieces; /* id = index */
  uint32_t piece_count;
  gust_merge *merges;
  uint32_t merge_count;
  int32_t unk_id;      /* -1: none */
  bool byte_fallback;  /* unknown characters become byte pieces */
  bool fuse_unk;       /* neighbouring unknown characters become one unk */
  bool add_prefix;     /* a space goes before the text (if not empty) */
  bool prefix_once;    /* ... only before the first of several stretches between
                          special tokens (tokenizers with a "first" scheme),
                          and there is none before it when the text begins with
                          such a token */
  bool metaspace;      /* the prefix and U+2581 come after added tokens marked
                          normalized have been found, and no prefix goes before
                          a space (Hugging Face's Metaspace) */
  bool keep_spaces;    /* a space stays a space instead of becoming U+2581 */
  bool strip_prefix;   /* decoding drops one leading space */
  int32_t *prefix_ids; /* put before the ids when special tokens are asked for (BOS) */
  uint32_t prefix_count;
  int32_t *suffix_ids; /* and after */
  uint32_t suffix_count;
} gust_vocabulary;

void gust_vocabulary_clear(gust_vocabulary *vocabulary);

/* Vocabulary to file bytes (free with free). Refuses what does not hold
 * together: a merge of unknown ids, a result that is not left + right, ... */
gust_status gust_tokenizer_encode(const gust_vocabulary *vocabulary, uint8_t **bytes, size_t *count,
                                  gust_error *err);

typedef struct gust_tokenizer gust_tokenizer;

/* From file bytes, which are hostile and are copied. `where` begins errors. */
gust_status gust_tokenizer_create(gust_tokenizer **tokenizer, const uint8_t *bytes, size_t count,
                                  const char *where, gust_error *err);
void gust_tokenizer_destroy(gust_tokenizer *tokenizer);

uint32_t gust_tokenizer_size(const gust_tokenizer *tokenizer);

/* A stretch [begin, end) of the text in which no added token is recognised. */
typedef struct gust_text_span {
  size_t begin, end;
} gust_text_span;

/* Which of the vocabulary's ids go around those of a text. */
typedef enum gust_text_ends {
  GUST_ENDS_NONE,
  GUST_ENDS_PREFIX, /* of a text to be gone on with */
  GUST_ENDS_BOTH
} gust_text_ends;

/* Text to ids, and around them the `ends`.
 * parse_special recognises added tokens spelled in the text, except where they
 * touch one of the `literal` spans (ascending, apart). Text on both sides of a
 * span's border is merged as one piece. *ids is to be freed. */
gust_status gust_tokenizer_text_to_ids(const gust_tokenizer *tokenizer, const char *text,
                                       size_t bytes, gust_text_ends ends, bool parse_special,
                                       const gust_text_span *literal, size_t literal_count,
                                       int32_t **ids, size_t *count, gust_error *err);

/* The bytes one id stands for when not first (U+2581 turned to a space);
 * *bytes 0 for special pieces. Valid as long as the tokenizer. */
void gust_tokenizer_piece(const gust_tokenizer *tokenizer, int32_t id, const char **text,
                          size_t *bytes);
/* The piece as spelled in the vocabulary. */
void gust_tokenizer_spelling(const gust_tokenizer *tokenizer, int32_t id, const char **text,
                             size_t *bytes);
/* GUST_PIECE_ flags of an id; 0 for one that is out of range. */
uint32_t gust_tokenizer_flags(const gust_tokenizer *tokenizer, int32_t id);
/* Whether decoding drops one leading space. */
bool gust_tokenizer_strips_prefix(const gust_tokenizer *tokenizer);

#endif

/* What a gust_tokenizer is made of, and the parts that work on it:
 * tokenizer_format.c (bytes of the file), tokenizer_merge.c (pieces to ids),
 * added_tokens.c (finding added tokens), tokenizer.c (text to ids). Internal. */
#ifndef GUST_TOKENIZER_DATA_H
#define GUST_TOKENIZER_DATA_H

#include "tokenizer.h"

#define GUST_SPACE_MARK "\xe2\x96\x81" /* U+2581, a space in the vocabulary */
#define GUST_SPACE_MARK_BYTES 3u

/* Option bits of the file's section. */
#define GUST_TOKENIZER_BYTE_FALLBACK 1u
#define GUST_TOKENIZER_FUSE_UNK 2u
#define GUST_TOKENIZER_ADD_PREFIX 4u
#define GUST_TOKENIZER_PREFIX_ONCE 8u
#define GUST_TOKENIZER_STRIP_PREFIX 16u
#define GUST_TOKENIZER_METASPACE 32u
#define GUST_TOKENIZER_KEEP_SPACES 64u
#define GUST_TOKENIZER_OPTIONS 127u

/* One added token as it is looked for. */
typedef struct gust_added_token {
  const char *pattern;
  uint32_t bytes, flags;
  int32_t id;
} gust_added_token;

/* The added tokens looked for in one pass, ascending by pattern. */
typedef struct gust_added_set {
  gust_added_token *tokens;
  uint32_t count;
  bool begins[256]; /* some pattern begins with that byte */
} gust_added_set;

/* A piece of one character. */
typedef struct gust_character {
  uint32_t code;
  int32_t id;
} gust_character;

struct gust_tokenizer {
  uint32_t piece_count, merge_count, options;
  int32_t unk_id;
  uint32_t prefix_count, suffix_count;
  int32_t *prefix_ids, *suffix_ids;

  char *texts;           /* the spellings, one after another */
  uint32_t *text_start;  /* [piece_count + 1] */
  char *plain;           /* the same as decoded */
  uint32_t *plain_start; /* [piece_count + 1] */
  uint16_t *flags;       /* [piece_count] */
  uint32_t *sorted;      /* [piece_count], ids ascending by spelling */

  /* Ascending by (left, right): those of one left piece are
   * [merge_start[left], merge_start[left + 1]). */
  gust_merge *merges;
  uint32_t *merge_start; /* [piece_count + 1] */
  bool breaks_at_spaces; /* no merge joins a space to what is before it, but for spaces */

  int32_t byte_ids[256];
  int32_t ascii_ids[128];
  gust_character *characters; /* ascending by code */
  uint32_t character_count;
  int32_t space_mark_id;

  gust_added_set raw, normalized;
  char *normalized_patterns;
};

static inline const char *gust_spelling(const gust_tokenizer *t, uint32_t id, uint32_t *bytes) {
  *bytes = t->text_start[id + 1] - t->text_start[id];
  return t->texts + t->text_start[id];
}

static inline bool gust_starts_with_mark(const char *text, size_t bytes) {
  return bytes >= GUST_SPACE_MARK_BYTES && text[0] == GUST_SPACE_MARK[0] &&
         text[1] == GUST_SPACE_MARK[1] && text[2] == GUST_SPACE_MARK[2];
}

/* tokenizer_format.c: fills in everything up to `merges` of a zeroed object. */
gust_status gust_tokenizer_decode(gust_tokenizer *tokenizer, const uint8_t *bytes, size_t count,
                                  const char *where, gust_error *err);

/* The byte a piece spelled <0xHH> stands for, or -1. */
int gust_byte_of_spelling(const char *text, size_t bytes);

/* --- tokenizer_merge.c --- */

typedef struct gust_id_list {
  int32_t *ids;
  size_t count, room;
} gust_id_list;

bool gust_id_list_push(gust_id_list *list, int32_t id);

typedef struct gust_symbol {
  int32_t id; /* -1: joined to the one before */
  uint32_t previous, next;
} gust_symbol;

typedef struct gust_candidate {
  uint64_t key; /* rank, then place: the smallest goes first */
  int32_t left, right, result;
} gust_candidate;

/* Room for merging that is kept from stretch to stretch. */
typedef struct gust_merger {
  gust_symbol *symbols;
  gust_candidate *heap;
  size_t symbol_room, heap_room, heap_count;
} gust_merger;

void gust_merger_clear(gust_merger *merger);

/* Appends the ids of one stretch of normalized text; false: out of memory. */
bool gust_merge_stretch(const gust_tokenizer *tokenizer, gust_merger *merger, const char *text,
                        size_t bytes, gust_id_list *ids);

/* --- tokenizer.c --- */

/* Writes the text with its spaces as marks (unless the options keep them), and
 * one mark before it if asked; `to` has room for three times the bytes and three
 * more. The number of bytes. */
size_t gust_mark_spaces(const gust_tokenizer *tokenizer, bool prefix, const char *text,
                        size_t bytes, char *to);

/* --- added_tokens.c --- */

/* Builds both sets from the pieces' flags. */
gust_status gust_added_tokens_create(gust_tokenizer *tokenizer, gust_error *err);
void gust_added_tokens_clear(gust_tokenizer *tokenizer);

/* Where the text being split lies in the user's text: at `origin`, and after
 * `prefix` bytes of its own; when `marked`, each of its spaces is a mark. The
 * cursor goes forward only. */
typedef struct gust_text_origin {
  const char *raw;
  size_t origin, prefix;
  bool marked;
  size_t at, raw_at; /* the cursor: a place here and in `raw` */
} gust_text_origin;

typedef struct gust_splitter {
  const gust_added_set *set;
  const char *text;
  size_t bytes;
  gust_text_origin origin;
  const gust_text_span *literal;
  size_t literal_count;
  size_t scan, done; /* where to look next; where the last part ended */
  int32_t pending;   /* a token to hand out after the text before it, or -1 */
} gust_splitter;

typedef struct gust_text_part {
  size_t begin, end;
  int32_t id; /* -1: text */
} gust_text_part;

/* The next part of the text, or false at its end. */
bool gust_splitter_next(gust_splitter *splitter, gust_text_part *part);

#endif

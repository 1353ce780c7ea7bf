/* Pieces of a vocabulary under way, by spelling. */
#ifndef GUST_PIECE_INDEX_H
#define GUST_PIECE_INDEX_H

#include "tokenizer.h"

typedef struct piece_index {
  const gust_vocabulary *vocabulary;
  uint32_t *ids; /* ascending by spelling, then by id */
  uint32_t count;
} piece_index;

/* Indexes the pieces that have a spelling and none of the flags `but`. The
 * vocabulary must outlive the index and keep its pieces. */
gust_status piece_index_create(piece_index *index, const gust_vocabulary *vocabulary, uint32_t but,
                               gust_error *err);
void piece_index_clear(piece_index *index);

/* The lowest id of that spelling, or -1. */
int32_t piece_index_find(const piece_index *index, const char *text, size_t bytes);

/* Gives a piece a copy of its spelling, of 1 to GUST_MAX_PIECE_BYTES bytes, and
 * GUST_PIECE_BYTE where it is <0xHH>. False: out of memory. */
bool piece_set_text(gust_piece *piece, const char *text, size_t bytes);

#endif

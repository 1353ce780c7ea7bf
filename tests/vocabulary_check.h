/* For fuzz targets: what holds of every vocabulary that was imported, and of every
 * tokenizer section that was accepted. */
#ifndef GUST_VOCABULARY_CHECK_H
#define GUST_VOCABULARY_CHECK_H

#include "fuzz_support.h"
#include "tokenizer_import.h"

/* A section either is refused, which returns false, or makes a tokenizer that gives ids
 * of its own for any text. The text is the input itself: of all texts the likeliest to
 * hold its pieces. */
bool check_section(const uint8_t *section, size_t bytes, fuzz_part input);

/* An import that failed left nothing; one that succeeded makes a section that is
 * accepted. Clears the vocabulary. */
void check_import(gust_status status, gust_vocabulary *vocabulary, const gust_error *err,
                  fuzz_part input);

#endif

/* The text to calibrate on, as ids. */
#ifndef GUST_CALIBRATION_TEXT_H
#define GUST_CALIBRATION_TEXT_H

#include "format.h"

/* The built-in text, in plain English: stories, explanations, dialogue, lists,
 * numbers, code (calibration_text.txt). */
extern const char gust_calibration_text[];
extern const size_t gust_calibration_text_bytes;

/* Sequences of CALIBRATION_SEQUENCE ids one after the other, the last may be
 * shorter. Each begins with the begin-of-sequence id where there is one. */
typedef struct calibration_ids {
  int32_t *ids;
  size_t count;
} calibration_ids;

/* Text to ids with the header's tokenizer, at most `most` of them; special tokens
 * in the text are recognised. Refuses a text of fewer than
 * CALIBRATION_LEAST_TOKENS. `where` begins errors. */
gust_status calibration_ids_create(calibration_ids *ids, const gust_header *header,
                                   const char *text, size_t bytes, const char *where, size_t most,
                                   gust_error *err);
void calibration_ids_clear(calibration_ids *ids);

#endif

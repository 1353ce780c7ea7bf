/* The text to calibrate on, as ids. */
#ifndef GUST_CALIBRATION_TEXT_H
#define GUST_CALIBRATION_TEXT_H

#include "format.h"

/* The built-in text, in plain English: stories, explanations, dialogue, lists,
 * numbers, code (calibration_text.txt). */
extern const char gust_calibration_text[];
extern const size_t gust_calibration_text_bytes;

/* Of a longer text the beginning is used. */
#define CALIBRATION_ACTIVATION_BYTES ((size_t)2 << 30)
#define CALIBRATION_MOST_TOKENS 65536u
/* A text of fewer tokens says too little. */
#define CALIBRATION_LEAST_TOKENS 512u

/* Sequences of CALIBRATION_SEQUENCE ids one after the other, the last may be
 * shorter. Each begins with the begin-of-sequence id where there is one. */
typedef struct calibration_ids {
  int32_t *ids;
  size_t count;
  size_t text_count, text_used; /* tokens of the text, and those of them that are used */
} calibration_ids;

/* Text to ids with the header's tokenizer, as many as may be used for a model of its
 * config; special tokens in the text are recognised. Refuses a text of fewer than
 * CALIBRATION_LEAST_TOKENS, and a model too wide for as many. `where` begins errors
 * about the text. *ids is to be cleared in every case. */
gust_status calibration_ids_create(calibration_ids *ids, const gust_header *header,
                                   const char *text, size_t bytes, const char *where,
                                   gust_error *err);
void calibration_ids_clear(calibration_ids *ids);

#endif

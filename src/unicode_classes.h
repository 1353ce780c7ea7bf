/* UTF-8 and the two character classes that the matching of added tokens asks
 * for. */
#ifndef GUST_UNICODE_CLASSES_H
#define GUST_UNICODE_CLASSES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool gust_is_word_character(uint32_t code); /* \w of a Unicode regular expression */
bool gust_is_white_space(uint32_t code);    /* \s */

/* The length of the UTF-8 character that begins at s, with its code in *code;
 * 0 where no well-formed one lies within `room` (at least 1) bytes. */
static inline size_t gust_utf8_decode(const char *s, size_t room, uint32_t *code) {
  const unsigned char *u = (const unsigned char *)s;
  if (u[0] < 0x80) {
    *code = u[0];
    return 1;
  }
  size_t length = u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : 4;
  if (u[0] < 0xc2 || u[0] > 0xf4 || room < length) return 0;
  uint32_t c = u[0] & (0x7fu >> length);
  for (size_t i = 1; i < length; i++) {
    if ((u[i] & 0xc0) != 0x80) return 0;
    c = c << 6 | (u[i] & 0x3fu);
  }
  static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
  if (c < least[length] || (c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff) return 0;
  *code = c;
  return length;
}

/* Whether all of the text is well-formed UTF-8. */
static inline bool gust_utf8_valid(const char *text, size_t bytes) {
  for (size_t at = 0, length; at < bytes; at += length) {
    uint32_t code;
    length = gust_utf8_decode(text + at, bytes - at, &code);
    if (!length) return false;
  }
  return true;
}

#endif

/* UTF-8, strictly: no longer forms, no surrogates, nothing past U+10FFFF. */
#ifndef GUST_UTF8_TEXT_H
#define GUST_UTF8_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* The length of the character at `text`, or 0 where there is none; `room` is not 0. */
static inline size_t utf8_length(const char *text, size_t room) {
  const unsigned char *s = (const unsigned char *)text;
  size_t length;
  unsigned char low = 0x80, high = 0xbf; /* of the second byte */
  if (s[0] < 0x80) return 1;
  if (s[0] < 0xc2 || s[0] > 0xf4) return 0;
  if (s[0] < 0xe0) {
    length = 2;
  } else if (s[0] < 0xf0) {
    length = 3;
    if (s[0] == 0xe0) low = 0xa0;  /* shorter forms exist */
    if (s[0] == 0xed) high = 0x9f; /* surrogates */
  } else {
    length = 4;
    if (s[0] == 0xf0) low = 0x90;
    if (s[0] == 0xf4) high = 0x8f; /* past U+10FFFF */
  }
  if (room < length || s[1] < low || s[1] > high) return 0;
  for (size_t i = 2; i < length; i++) {
    if ((s[i] & 0xc0) != 0x80) return 0;
  }
  return length;
}

static inline bool utf8_is_text(const char *text, size_t bytes) {
  size_t at = 0, length = 1;
  for (; at < bytes && length; at += length) length = utf8_length(text + at, bytes - at);
  return length > 0;
}

#endif

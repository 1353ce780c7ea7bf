#include "utf8_check.h"

/* Unicode 15, table 3-7: no overlong forms, surrogates or values past U+10FFFF. */
size_t utf8_check_character(const char *lent, size_t bytes) {
  static const struct {
    unsigned char first, last, low, high, length;
  } forms[] = {
      {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
      {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
      {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
  const unsigned char *text = (const unsigned char *)lent;
  for (size_t i = 0; bytes > 0 && i < sizeof forms / sizeof *forms; i++) {
    if (text[0] < forms[i].first || text[0] > forms[i].last) continue;
    if (forms[i].length > bytes) return 0;
    if (forms[i].length > 1 && (text[1] < forms[i].low || text[1] > forms[i].high)) return 0;
    for (size_t k = 2; k < forms[i].length; k++)
      if ((text[k] & 0xc0) != 0x80) return 0;
    return forms[i].length;
  }
  return 0;
}

gust_status utf8_check_text(const char *name, const char *text, size_t bytes, gust_error *err) {
  for (size_t at = 0; at < bytes;) {
    size_t length = utf8_check_character(text + at, bytes - at);
    if (length == 0 || text[at] == 0)
      return command_error(err, GUST_E_ARGUMENT,
                           "%s: expected text in UTF-8, found byte 0x%02x at offset %zu", name,
                           (unsigned)(unsigned char)text[at], at);
    at += length;
  }
  return GUST_OK;
}

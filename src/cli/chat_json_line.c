#include "chat_json_line.h"

#include <stdlib.h>
#include <string.h>

typedef struct json_reader {
  const char *at, *end;
  const char *expected; /* what was missing where it stopped */
} json_reader;

static void skip_space(json_reader *reader) {
  while (reader->at < reader->end && strchr(" \t\r\n", *reader->at)) reader->at++;
}

static bool take(json_reader *reader, char c, const char *expected) {
  skip_space(reader);
  if (reader->at < reader->end && *reader->at == c) {
    reader->at++;
    return true;
  }
  reader->expected = expected;
  return false;
}

static bool read_hex(json_reader *reader, uint32_t *code) {
  *code = 0;
  reader->expected = "four hexadecimal digits";
  if (reader->end - reader->at < 4) return false;
  for (int i = 0; i < 4; i++, reader->at++) {
    static const char digits[] = "0123456789abcdef";
    char c = *reader->at >= 'A' && *reader->at <= 'F' ? (char)(*reader->at + 32) : *reader->at;
    const char *found = c ? strchr(digits, c) : NULL;
    if (!found) return false;
    *code = *code << 4 | (uint32_t)(found - digits);
  }
  return true;
}

/* What follows \u; a pair of surrogates is one character, half a pair and NUL are
 * none. */
static bool read_code(json_reader *reader, uint32_t *code) {
  uint32_t low;
  if (!read_hex(reader, code)) return false;
  reader->expected = "the code of a character";
  if (*code >= 0xd800 && *code < 0xdc00) {
    if (reader->end - reader->at < 2 || memcmp(reader->at, "\\u", 2) != 0) return false;
    reader->at += 2;
    if (!read_hex(reader, &low)) return false;
    reader->expected = "the second half of a character";
    if (low < 0xdc00 || low >= 0xe000) return false;
    *code = 0x10000 + ((*code - 0xd800) << 10) + (low - 0xdc00);
  }
  return *code != 0 && !(*code >= 0xdc00 && *code < 0xe000);
}

static size_t put_code(uint32_t code, char *out) {
  static const unsigned char lead[5] = {0, 0, 0xc0, 0xe0, 0xf0};
  size_t length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  for (size_t i = length; i-- > 1; code >>= 6) out[i] = (char)(0x80 | (code & 0x3f));
  out[0] = (char)(lead[length] | code);
  return length;
}

static bool read_escape(json_reader *reader, char *out, size_t *length) {
  static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
  char c = reader->at < reader->end ? *reader->at++ : 0;
  const char *found = c ? strchr(names, c) : NULL;
  uint32_t code;
  reader->expected = "an escape sequence";
  if (found) {
    *out = values[found - names];
    *length = 1;
    return true;
  }
  if (c != 'u' || !read_code(reader, &code)) return false;
  *length = put_code(code, out);
  return true;
}

/* Appends the string's text to `out`, which has room for all of the line: none is
 * longer than it is spelled. */
static bool read_string(json_reader *reader, char *out, size_t *bytes) {
  *bytes = 0;
  if (!take(reader, '"', "a string")) return false;
  while (reader->at < reader->end && *reader->at != '"') {
    size_t length = 1;
    reader->expected = "no control character in a string";
    if ((unsigned char)*reader->at < 0x20) return false;
    if (*reader->at != '\\') {
      out[*bytes] = *reader->at++;
    } else {
      reader->at++;
      if (!read_escape(reader, out + *bytes, &length)) return false;
    }
    *bytes += length;
  }
  return take(reader, '"', "the end of a string");
}

static bool read_member(json_reader *reader, chat_json_line *line, char *scratch) {
  size_t name_bytes, bytes;
  if (!read_string(reader, scratch, &name_bytes)) return false;
  bool role = name_bytes == 4 && !memcmp(scratch, "role", 4);
  bool content = name_bytes == 7 && !memcmp(scratch, "content", 7);
  if (!take(reader, ':', "':'") || !read_string(reader, scratch, &bytes)) return false;
  if (!role && !content) return true;
  char **slot = role ? &line->role : &line->content;
  char *copy = realloc(*slot, bytes + 1);
  reader->expected = "memory for it";
  if (!copy) return false;
  memcpy(copy, scratch, bytes);
  copy[bytes] = 0;
  *slot = copy;
  *(role ? &line->role_bytes : &line->content_bytes) = bytes;
  return true;
}

static bool read_object(json_reader *reader, chat_json_line *line, char *scratch) {
  if (!take(reader, '{', "'{'")) return false;
  do {
    if (!read_member(reader, line, scratch)) return false;
    skip_space(reader);
  } while (reader->at < reader->end && *reader->at == ',' && reader->at++);
  if (!take(reader, '}', "',' or '}'")) return false;
  skip_space(reader);
  reader->expected = "the end of the line";
  return reader->at == reader->end;
}

gust_status chat_json_line_parse(chat_json_line *line, const char *text, size_t bytes,
                                 const char *path, size_t number, gust_error *err) {
  memset(line, 0, sizeof *line);
  json_reader reader = {.at = text, .end = text + bytes};
  char *scratch = malloc(bytes + 4);
  if (!scratch)
    return command_error(err, GUST_E_MEMORY, "%s: line %zu: no memory for %zu bytes", path, number,
                         bytes);
  bool good = read_object(&reader, line, scratch);
  free(scratch);
  if (!good)
    return command_error(err, GUST_E_FORMAT, "%s: line %zu, byte %zu: expected %s", path, number,
                         (size_t)(reader.at - text) + 1, reader.expected);
  if (!line->role || !line->content)
    return command_error(err, GUST_E_FORMAT,
                         "%s: line %zu: expected the strings \"role\" and \"content\", found no %s",
                         path, number, line->role ? "content" : "role");
  return GUST_OK;
}

void chat_json_line_clear(chat_json_line *line) {
  free(line->role);
  free(line->content);
  memset(line, 0, sizeof *line);
}

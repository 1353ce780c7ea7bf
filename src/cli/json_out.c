#include "json_out.h"

#include <math.h>
#include <string.h>

#include "utf8_check.h"

static void put_quoted(FILE *file, const char *text, size_t bytes) {
  const unsigned char *c = (const unsigned char *)text, *end = c + bytes;
  fputc('"', file);
  while (c < end) {
    size_t length = utf8_check_character((const char *)c, (size_t)(end - c));
    if (length == 0) {
      fputs("\\ufffd", file);
      length = 1;
    } else if (*c == '"' || *c == '\\') {
      fprintf(file, "\\%c", *c);
    } else if (*c == '\n') {
      fputs("\\n", file);
    } else if (*c < 0x20 || *c == 0x7f) {
      fprintf(file, "\\u%04x", *c);
    } else {
      fwrite(c, 1, length, file);
    }
    c += length;
  }
  fputc('"', file);
}

static void indent(json_out *json) {
  fprintf(json->file, "\n%*s", 2 * (int)json->depth, "");
}

/* What stands before every value: comma, place and name. */
static void begin_value(json_out *json, const char *key) {
  if (json->depth > 0) {
    bool lines = json->level[json->depth - 1].lines;
    if (json->level[json->depth - 1].not_first) fputs(lines ? "," : ", ", json->file);
    if (lines) indent(json);
    json->level[json->depth - 1].not_first = true;
  }
  if (!key) return;
  put_quoted(json->file, key, strlen(key));
  fputs(": ", json->file);
}

static void open_level(json_out *json, const char *key, char open, char close, bool lines) {
  begin_value(json, key);
  fputc(open, json->file);
  if (json->depth == JSON_OUT_DEPTH) return; /* no document here is so deep */
  json->level[json->depth].close = close;
  json->level[json->depth].lines = lines;
  json->level[json->depth].not_first = false;
  json->depth++;
}

void json_out_open_object(json_out *json, const char *key, bool lines) {
  open_level(json, key, '{', '}', lines);
}

void json_out_open_array(json_out *json, const char *key, bool lines) {
  open_level(json, key, '[', ']', lines);
}

void json_out_close(json_out *json) {
  if (json->depth == 0) return;
  json->depth--;
  if (json->level[json->depth].lines && json->level[json->depth].not_first) indent(json);
  fputc(json->level[json->depth].close, json->file);
  if (json->depth == 0) fputc('\n', json->file);
}

void json_out_text(json_out *json, const char *key, const char *text, size_t bytes) {
  begin_value(json, key);
  put_quoted(json->file, text, bytes);
}

void json_out_string(json_out *json, const char *key, const char *text) {
  if (text) {
    json_out_text(json, key, text, strlen(text));
  } else {
    json_out_null(json, key);
  }
}

void json_out_count(json_out *json, const char *key, uint64_t value) {
  begin_value(json, key);
  fprintf(json->file, "%llu", (unsigned long long)value);
}

void json_out_integer(json_out *json, const char *key, int64_t value) {
  begin_value(json, key);
  fprintf(json->file, "%lld", (long long)value);
}

static void put_real(json_out *json, const char *key, int digits, double value) {
  begin_value(json, key);
  if (isfinite(value)) {
    fprintf(json->file, "%.*g", digits, value);
  } else {
    fputs("null", json->file);
  }
}

void json_out_real(json_out *json, const char *key, double value) {
  put_real(json, key, 17, value);
}

void json_out_real32(json_out *json, const char *key, float value) {
  put_real(json, key, 9, (double)value);
}

void json_out_bool(json_out *json, const char *key, bool value) {
  begin_value(json, key);
  fputs(value ? "true" : "false", json->file);
}

void json_out_null(json_out *json, const char *key) {
  begin_value(json, key);
  fputs("null", json->file);
}

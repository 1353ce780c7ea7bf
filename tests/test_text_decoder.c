/* Ids to text: the same as Hugging Face's decoder, whole characters only. */
#include "text_decoder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "tokenizer_files.h"

typedef struct collected {
  char text[65536];
  size_t bytes;
} collected;

static bool whole_characters(const char *text, size_t bytes) {
  /* A last character that is cut would begin with more than its length says. */
  for (size_t i = 0; i < bytes;) {
    unsigned char c = (unsigned char)text[i];
    size_t length = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    if ((c & 0xc0) == 0x80 || length > bytes - i) return false;
    i += length;
  }
  return true;
}

static void collect(collected *all, gust_status status, const char *text, size_t bytes) {
  CHECK_EQ_INT(status, GUST_OK);
  CHECK(whole_characters(text, bytes));
  if (bytes > sizeof all->text - all->bytes) check_fatal("decoded text", "longer than expected");
  if (bytes) memcpy(all->text + all->bytes, text, bytes);
  all->bytes += bytes;
}

static void push(gust_decoder *decoder, int32_t id, collected *all) {
  const char *text;
  size_t bytes;
  gust_error err;
  gust_status status = gust_decoder_push(decoder, id, &text, &bytes, &err);
  collect(all, status, text, bytes);
}

static void finish(gust_decoder *decoder, collected *all) {
  const char *text;
  size_t bytes;
  gust_error err;
  gust_status status = gust_decoder_finish(decoder, &text, &bytes, &err);
  collect(all, status, text, bytes);
}

static void check_vectors(const char *vectors, const char *file) {
  gust_tokenizer *t = tokenizer_of_file(file);
  gust_decoder *decoder;
  gust_error err;
  CHECK_EQ_INT(gust_decoder_create_on(&decoder, t, &err), GUST_OK);
  char *source;
  json_document *doc = vectors_open(vectors, &source);
  const json_value *root = json_root(doc);
  static collected all;
  CHECK(json_count(root) >= 300);
  for (const json_value *v = json_first(root); v; v = json_next(root, v)) {
    const json_value *list = json_get(v, "ids");
    all.bytes = 0;
    for (const json_value *id = json_first(list); id; id = json_next(list, id)) {
      int64_t number = -1;
      CHECK(json_int64(id, 0, INT32_MAX, &number));
      push(decoder, (int32_t)number, &all);
    }
    finish(decoder, &all);
    size_t bytes;
    const char *decoded = json_text(json_get(v, "decoded"), &bytes);
    if (!CHECK(bytes == all.bytes && memcmp(decoded, all.text, bytes) == 0))
      printf("expected: %.*s\nfound:    %.*s\n", (int)bytes, decoded, (int)all.bytes, all.text);
  }
  json_free(doc);
  free(source);
  gust_decoder_destroy(decoder);
  gust_tokenizer_destroy(t);
}

static void test_vectors(void) {
  static const char *const names[] = {"tokenizer.json", "tokenizer.model"};
  char path[1024], vectors[1024];
  for (int i = 0; i < 2; i++) {
    snprintf(path, sizeof path, "%s/%s", check_demo(), names[i]);
    check_vectors(check_data("tokenizer_vectors.json"), path);
    snprintf(path, sizeof path, "mistral/%s", names[i]);
    if (!check_refs(path) || !check_refs("mistral/vectors.json")) {
      check_part_skipped(path, "GUST_TEST_REFS does not hold it, or no mistral/vectors.json");
      continue;
    }
    snprintf(vectors, sizeof vectors, "%s", check_refs("mistral/vectors.json"));
    check_vectors(vectors, check_refs(path));
  }
}

/* Decodes the ids, up to -1, one after another; "|" stands for each call's end. */
static void expect(gust_decoder *decoder, const int32_t *ids, const char *expected) {
  static collected all;
  all.bytes = 0;
  for (; *ids >= 0; ids++) {
    push(decoder, *ids, &all);
    all.text[all.bytes++] = '|';
  }
  finish(decoder, &all);
  all.text[all.bytes] = '\0';
  CHECK_EQ_STR(all.text, expected);
}

#define BYTE(b) (12 + (b))

static void test_steps(void) {
  char *text = tokenizer_text(&(tokenizer_parts){0});
  gust_tokenizer *t = tokenizer_of_json(text);
  gust_decoder *decoder;
  gust_error err;
  free(text);
  CHECK_EQ_INT(gust_decoder_create_on(&decoder, t, &err), GUST_OK);
  /* The first space goes, even a special token later; the others stay. */
  expect(decoder, (const int32_t[]){1, 8, 8, 2, 7, -1}, "|a| a||ab|");
  expect(decoder, (const int32_t[]){10, 4, -1}, " |a|");
  expect(decoder, (const int32_t[]){3, 3, -1}, "| |");
  expect(decoder, (const int32_t[]){4, 3, -1}, "a| |");
  expect(decoder, (const int32_t[]){BYTE(' '), BYTE('x'), 4, -1}, "|x|a|");
  expect(decoder, (const int32_t[]){-1}, "");
  /* A character comes out with its last byte; special tokens do not matter. */
  expect(decoder, (const int32_t[]){BYTE(0xc3), BYTE(0xa9), 4, -1}, "|\xc3\xa9|a|");
  expect(decoder, (const int32_t[]){BYTE(0xc3), 1, BYTE(0xa9), -1}, "||\xc3\xa9|");
  expect(decoder, (const int32_t[]){BYTE('\n'), BYTE('x'), -1}, "\n|x|");
  expect(decoder, (const int32_t[]){BYTE(0xf4), BYTE(0x8f), BYTE(0xbf), BYTE(0xbf), -1},
         "|||\xf4\x8f\xbf\xbf|");
  /* Bytes that can be no character become one U+FFFD each, at once: overlong
   * forms, surrogates and what is past U+10FFFF by their second byte. */
  expect(decoder, (const int32_t[]){BYTE(0xe0), BYTE(0x80), -1}, "|\xef\xbf\xbd\xef\xbf\xbd|");
  expect(decoder, (const int32_t[]){BYTE(0xed), BYTE(0xa0), -1}, "|\xef\xbf\xbd\xef\xbf\xbd|");
  expect(decoder, (const int32_t[]){BYTE(0xf4), BYTE(0x90), -1}, "|\xef\xbf\xbd\xef\xbf\xbd|");
  expect(decoder, (const int32_t[]){BYTE(0xe2), BYTE(0x96), 4, -1},
         "||\xef\xbf\xbd\xef\xbf\xbd"
         "a|");
  expect(decoder, (const int32_t[]){4, BYTE('x'), BYTE(0xff), -1}, "a|x|\xef\xbf\xbd|");
  /* The byte that shows it is looked at anew. */
  expect(decoder, (const int32_t[]){BYTE(0xc3), BYTE('\n'), -1}, "|\xef\xbf\xbd\n|");
  expect(decoder, (const int32_t[]){BYTE(0xe2), BYTE(0xc3), BYTE(0xa9), -1},
         "|\xef\xbf\xbd|\xc3\xa9|");
  expect(decoder, (const int32_t[]){BYTE(0xf0), BYTE(0x9f), BYTE(0xf0), BYTE(0xff), 4, -1},
         "||\xef\xbf\xbd\xef\xbf\xbd|\xef\xbf\xbd\xef\xbf\xbd|a|");
  expect(decoder, (const int32_t[]){BYTE(0xf0), -1}, "|\xef\xbf\xbd");
  const char *piece;
  size_t bytes;
  CHECK_EQ_INT(gust_decoder_push(decoder, 268, &piece, &bytes, &err), GUST_E_ARGUMENT);
  CHECK_EQ_STR(err.text, "decoder: expected an id below 268, found 268");
  CHECK_EQ_INT(gust_decoder_push(decoder, -1, &piece, &bytes, NULL), GUST_E_ARGUMENT);
  gust_decoder_destroy(decoder);
  gust_decoder_destroy(NULL);
  gust_tokenizer_destroy(t);
}

static void test_kept_prefix(void) {
  char *text = tokenizer_text(&(tokenizer_parts){
      .decoder = "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":"
                 "{\"String\":\"▁\"},\"content\":\" \"},{\"type\":\"ByteFallback\"},"
                 "{\"type\":\"Fuse\"}]}"});
  gust_tokenizer *t = tokenizer_of_json(text);
  gust_decoder *decoder;
  gust_error err;
  free(text);
  CHECK_EQ_INT(gust_decoder_create_on(&decoder, t, &err), GUST_OK);
  expect(decoder, (const int32_t[]){8, 4, -1}, " a|a|");
  gust_decoder_destroy(decoder);
  gust_tokenizer_destroy(t);
}

int main(void) {
  test_vectors();
  test_steps();
  test_kept_prefix();
  return check_finish();
}

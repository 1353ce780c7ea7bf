/* Text to ids: the same as Hugging Face's tokenizers on whole sets of texts, the
 * rules for added tokens one by one, literal spans, and the time it takes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "check.h"
#include "tokenizer_files.h"

/* --- the vectors ------------------------------------------------------------------ */

static bool same_ids(const json_value *list, const int32_t *ids, size_t count) {
  if (json_count(list) != count) return false;
  size_t i = 0;
  for (const json_value *v = json_first(list); v; v = json_next(list, v), i++) {
    int64_t id;
    if (!json_int64(v, 0, INT32_MAX, &id) || id != ids[i]) return false;
  }
  return true;
}

static void check_vector(const gust_tokenizer *t, const json_value *vector, bool bos) {
  size_t bytes, count;
  int32_t *ids;
  gust_error err;
  const char *text = json_text(json_get(vector, "text"), &bytes);
  gust_status status = gust_tokenizer_text_to_ids(
      t, text, bytes, bos ? GUST_ENDS_BOTH : GUST_ENDS_NONE, true, NULL, 0, &ids, &count, &err);
  CHECK_EQ_INT(status, GUST_OK);
  if (!CHECK(same_ids(json_get(vector, bos ? "ids" : "ids_no_bos"), ids, count)))
    printf("text: %.*s\n", (int)(bytes < 200 ? bytes : 200), text);
  free(ids);
}

static void check_vectors(const char *vectors, const char *file) {
  gust_tokenizer *t = tokenizer_of_file(file);
  char *text;
  json_document *doc = vectors_open(vectors, &text);
  const json_value *root = json_root(doc);
  CHECK(json_count(root) >= 300);
  for (const json_value *v = json_first(root); v; v = json_next(root, v)) {
    check_vector(t, v, true);
    check_vector(t, v, false);
  }
  json_free(doc);
  free(text);
  gust_tokenizer_destroy(t);
}

static void test_vectors(void) {
  char path[1024];
  snprintf(path, sizeof path, "%s/tokenizer.json", check_demo());
  check_vectors(check_data("tokenizer_vectors.json"), path);
  snprintf(path, sizeof path, "%s/tokenizer.model", check_demo());
  check_vectors(check_data("tokenizer_vectors.json"), path);
  if (!check_refs("mistral/vectors.json")) {
    check_part_skipped("Mistral's vocabulary", "GUST_TEST_REFS holds no mistral/vectors.json");
    return;
  }
  char vectors[1024];
  snprintf(vectors, sizeof vectors, "%s", check_refs("mistral/vectors.json"));
  snprintf(path, sizeof path, "%s", check_refs("mistral/tokenizer.json"));
  check_vectors(vectors, path);
  snprintf(path, sizeof path, "%s", check_refs("mistral/tokenizer.model"));
  check_vectors(vectors, path);
}

/* --- rules, one by one -------------------------------------------------------------- */

static void expect_spans(const gust_tokenizer *t, const char *text, const gust_text_span *spans,
                         size_t span_count, const char *expected) {
  int32_t *ids;
  size_t count;
  gust_error err;
  char found[512] = "";
  CHECK_EQ_INT(gust_tokenizer_text_to_ids(t, text, strlen(text), GUST_ENDS_BOTH, true, spans,
                                          span_count, &ids, &count, &err),
               GUST_OK);
  for (size_t i = 0; i < count && i < 60; i++)
    snprintf(found + strlen(found), sizeof found - strlen(found), i ? " %d" : "%d", (int)ids[i]);
  if (!CHECK_EQ_STR(found, expected)) printf("text: %s\n", text);
  free(ids);
}

static void expect(const gust_tokenizer *t, const char *text, const char *expected) {
  expect_spans(t, text, NULL, 0, expected);
}

static gust_tokenizer *make(const tokenizer_parts *parts) {
  char *text = tokenizer_text(parts);
  gust_tokenizer *t = tokenizer_of_json(text);
  free(text);
  return t;
}

/* The usual three added tokens, <s> with some flags, and perhaps more tokens. */
static gust_tokenizer *make_added(const char *flags, const char *more) {
  char added[2048];
  snprintf(added, sizeof added,
           "[{\"id\":2,\"content\":\"</s>\",\"single_word\":false,\"lstrip\":false,"
           "\"rstrip\":false,\"normalized\":false,\"special\":true},"
           "{\"id\":1,\"content\":\"<s>\",%s,\"special\":true}%s]",
           flags, more);
  return make(&(tokenizer_parts){.added = added});
}

#define PLAIN "\"single_word\":false,\"lstrip\":false,\"rstrip\":false,\"normalized\":false"

static void test_merging(void) {
  gust_tokenizer *t = make(&(tokenizer_parts){0});
  expect(t, "", "");
  expect(t, "ab", "3 7"); /* a b goes before U+2581 a */
  expect(t, "a", "8");
  expect(t, "abc", "3 9");
  expect(t, " a", "3 8");
  expect(t, "  ", "10 3"); /* the leftmost of equals */
  expect(t, "aab c", "8 7 3 6");
  expect(t, "x", "3 132");
  expect(t, "\xc3\xa9", "3 207 181");
  expect(t, "\xff", "3 267");
  expect(t,
         "\xe2\x96"
         "a",
         "3 238 162 4");
  expect(t, "\xed\xa0\x80", "3 249 172 140");
  expect(t, "a</s>b", "8 2 3 5");
  expect(t, "<s></s>", "1 2");
  expect(t, "<s", "3 11 127");
  CHECK_EQ_INT(gust_tokenizer_size(t), 268);
  CHECK(gust_tokenizer_strips_prefix(t));
  const char *text;
  size_t bytes;
  gust_tokenizer_piece(t, 8, &text, &bytes);
  CHECK(bytes == 2 && memcmp(text, " a", 2) == 0);
  gust_tokenizer_piece(t, 1, &text, &bytes);
  CHECK_EQ_INT(bytes, 0);
  gust_tokenizer_spelling(t, 1, &text, &bytes);
  CHECK(bytes == 3 && memcmp(text, "<s>", 3) == 0);
  gust_tokenizer_piece(t, 12 + 'x', &text, &bytes);
  CHECK(bytes == 1 && *text == 'x');
  gust_tokenizer_piece(t, 268, &text, &bytes);
  CHECK_EQ_INT(bytes, 0);
  int32_t *ids;
  size_t count;
  gust_error err;
  CHECK_EQ_INT(
      gust_tokenizer_text_to_ids(t, "<s>", 3, GUST_ENDS_NONE, false, NULL, 0, &ids, &count, &err),
      GUST_OK);
  CHECK(count == 4 && ids[0] == 3 && ids[1] == 11);
  free(ids);
  gust_tokenizer_destroy(t);
}

static void test_literal_spans(void) {
  gust_tokenizer *t =
      make_added(PLAIN, ",{\"id\":268,\"content\":\"</s>a\"," PLAIN
                        ",\"special\":false}"
                        ",{\"id\":269,\"content\":\"☃\"," PLAIN ",\"special\":true}");
  expect_spans(t, "<s>a<s>", &(gust_text_span){0, 3}, 1, "3 11 127 74 4 1");
  expect_spans(t, "<s>a<s>", &(gust_text_span){2, 3}, 1, "3 11 127 74 4 1");
  expect_spans(t, "<s>a<s>", &(gust_text_span){3, 4}, 1, "1 8 1");
  const gust_text_span both[] = {{1, 2}, {6, 7}};
  expect_spans(t, "<s>a<s>", both, 2, "3 11 127 74 4 11 127 74");
  expect(t, "</s>a", "268");
  expect_spans(t, "</s>a", &(gust_text_span){4, 5}, 1, "2 8");
  /* What merges across a span's border is merged. */
  expect_spans(t, "abc", &(gust_text_span){1, 2}, 1, "3 9");
  /* A token the model's own vocabulary lacks is out of literal text's reach. */
  expect(t, "a☃", "8 269");
  expect_spans(t, "a☃", &(gust_text_span){1, 4}, 1, "8 238 164 143");
  gust_tokenizer_destroy(t);
}

static void test_added_flags(void) {
  gust_tokenizer *t =
      make_added("\"single_word\":false,\"lstrip\":true,\"rstrip\":false,\"normalized\":false", "");
  expect(t, "a  <s> b", "8 1 10 5");
  expect(t, "\xe2\x80\x83<s>", "1"); /* U+2003 */
  expect(t, "</s> <s>", "2 1");
  gust_tokenizer_destroy(t);
  t = make_added("\"single_word\":false,\"lstrip\":false,\"rstrip\":true,\"normalized\":false", "");
  expect(t, "a <s>  b", "8 3 1 3 5");
  expect(t, "<s> \n", "1");
  gust_tokenizer_destroy(t);
  t = make_added("\"single_word\":true,\"lstrip\":false,\"rstrip\":false,\"normalized\":false", "");
  expect(t, "a<s>", "8 11 127 74");
  expect(t, "<s>\xc3\xa9", "3 11 127 74 207 181");
  expect(t, " <s> ", "10 1 10");
  expect(t, "<s>", "1");
  gust_tokenizer_destroy(t);
}

static void test_normalized_tokens(void) {
  static const char ab[] =
      ",{\"id\":7,\"content\":\"ab\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,"
      "\"normalized\":true,\"special\":false}";
  gust_tokenizer *t = make_added(PLAIN, ab);
  /* It is looked for as normalized, with its prefix. */
  expect(t, "ab c", "7 3 6");
  expect(t, "cab", "3 6 7");
  expect(t, " ab", "3 7");
  expect(t, "c ab", "3 6 7");
  expect(t, "abab", "7 7"); /* what follows gets no prefix of its own */
  expect_spans(t, "ab c", &(gust_text_span){0, 1}, 1, "3 7 3 6");
  expect_spans(t, "c ab", &(gust_text_span){2, 3}, 1, "3 6 3 7");
  expect_spans(t, "<s>  ab ab", &(gust_text_span){9, 10}, 1, "1 10 7 3 7");
  gust_tokenizer_destroy(t);
}

static gust_tokenizer *make_metaspace(const char *scheme) {
  char metaspace[256];
  snprintf(metaspace, sizeof metaspace,
           "{\"type\":\"Metaspace\",\"replacement\":\"▁\",\"prepend_scheme\":\"%s\","
           "\"split\":false}",
           scheme);
  return make(&(tokenizer_parts){.normalizer = "null", .pre_tokenizer = metaspace});
}

static void test_prefix_schemes(void) {
  gust_tokenizer *t = make_metaspace("always");
  expect(t, "ab", "3 7");
  expect(t, " ab", "3 7");
  expect(t, "▁ab", "3 7");
  expect(t, "ab<s>ab", "3 7 1 3 7");
  gust_tokenizer_destroy(t);
  t = make_metaspace("first");
  expect(t, "ab<s>ab", "3 7 1 7");
  expect(t, "<s>ab", "1 7");
  gust_tokenizer_destroy(t);
  t = make_metaspace("never");
  expect(t, "ab a", "7 8");
  gust_tokenizer_destroy(t);
  t = make(&(tokenizer_parts){.normalizer = "null"});
  expect(t, "a b", "4 44 5");
  gust_tokenizer_destroy(t);
  t = make(&(tokenizer_parts){.normalizer = "{\"type\":\"Prepend\",\"prepend\":\"▁\"}"});
  expect(t, "a b", "8 44 5");
  gust_tokenizer_destroy(t);
}

static void test_unknown(void) {
  static const char vocab[] = "\"<unk>\":0,\"<s>\":1,\"</s>\":2,\"▁\":3,\"a\":4,\"b\":5";
  gust_tokenizer *t = make(
      &(tokenizer_parts){.vocab = vocab,
                         .merges = "[]",
                         .model = "\"type\":\"BPE\",\"unk_token\":\"<unk>\",\"fuse_unk\":true"});
  expect(t, "a\xc3\xa9xb\xff", "3 4 0 5 0");
  gust_tokenizer_destroy(t);
  t = make(&(tokenizer_parts){
      .vocab = vocab, .merges = "[]", .model = "\"type\":\"BPE\",\"unk_token\":\"<unk>\""});
  expect(t, "a\xc3\xa9xb", "3 4 0 0 5");
  gust_tokenizer_destroy(t);
}

static void test_affixes(void) {
  gust_tokenizer *t = make(&(tokenizer_parts){
      .post_processor =
          "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<s>\","
          "\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}},{\"SpecialToken\":{\"id\":"
          "\"</s>\",\"type_id\":0}}],\"special_tokens\":{\"<s>\":{\"id\":\"<s>\",\"ids\":[1]},"
          "\"</s>\":{\"id\":\"</s>\",\"ids\":[2,2]}}}"});
  expect(t, "", "1 2 2");
  expect(t, "a", "1 8 2 2");
  gust_tokenizer_destroy(t);
}

/* Text never becomes what is special, but where it is matched as a whole. */
static void test_special(void) {
  static const char added[] =
      "[{\"id\":0,\"content\":\"<unk>\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,"
      "\"normalized\":false,\"special\":true},{\"id\":%d,\"content\":\"%s\",\"single_word\":false,"
      "\"lstrip\":false,\"rstrip\":false,\"normalized\":false,\"special\":true}]";
  char list[1024];
  snprintf(list, sizeof list, added, 5, "b");
  gust_tokenizer *t = make(&(tokenizer_parts){.added = list, .merges = "[]"});
  const gust_text_span message = {1, 3};
  expect(t, "ab", "3 4 5");
  expect_spans(t, "abb", &message, 1, "3 4 110 110"); /* bytes */
  gust_tokenizer_destroy(t);

  gust_vocabulary v = {.unk_id = 0};
  static const char *const texts[] = {"<unk>", "a", "b", "ab"};
  gust_piece pieces[4];
  gust_merge merge = {1, 2, 3, 0};
  for (uint32_t i = 0; i < 4; i++)
    pieces[i] = (gust_piece){(char *)texts[i], (uint32_t)strlen(texts[i]), 0};
  v.pieces = pieces;
  v.piece_count = 4;
  v.merges = &merge;
  v.merge_count = 1;
  uint8_t *bytes;
  size_t count;
  gust_error err;
  CHECK_EQ_INT(gust_tokenizer_encode(&v, &bytes, &count, &err), GUST_OK);
  free(bytes);
  pieces[3].flags = GUST_PIECE_SPECIAL | GUST_PIECE_ADDED;
  CHECK_EQ_INT(gust_tokenizer_encode(&v, &bytes, &count, &err), GUST_E_FORMAT);
  CHECK_EQ_STR(err.text,
               "vocabulary: tokenizer: expected merges to pieces of text, found one to the special "
               "piece 'ab'; convert it again without that merge");
}

/* --- against a plain loop ----------------------------------------------------------- */

/* Joins the lowest-ranked, leftmost pair over and over. */
static size_t merge_plainly(const gust_vocabulary *v, int32_t *ids, size_t count) {
  for (;;) {
    size_t place = count;
    const gust_merge *best = NULL;
    for (uint32_t m = 0; m < v->merge_count; m++) {
      if (best && v->merges[m].rank >= best->rank) continue;
      for (size_t i = 0; i + 1 < count; i++) {
        if ((uint32_t)ids[i] != v->merges[m].left || (uint32_t)ids[i + 1] != v->merges[m].right)
          continue;
        best = &v->merges[m];
        place = i;
        break;
      }
    }
    if (!best) return count;
    ids[place] = (int32_t)best->result;
    memmove(ids + place + 1, ids + place + 2, (count - place - 2) * sizeof *ids);
    count--;
  }
}

/* Random pieces over three letters and the space, with random merges of them. */
static void random_vocabulary(gust_vocabulary *v, unsigned long long *seed) {
  static const char *const letters[] = {"<unk>", "▁", "a", "b", "c"};
  enum { MOST = 40 };
  *v = (gust_vocabulary){.unk_id = 0};
  v->pieces = calloc(MOST, sizeof *v->pieces);
  v->merges = calloc(MOST, sizeof *v->merges);
  if (!v->pieces || !v->merges) check_fatal("calloc", "a vocabulary");
  for (; v->piece_count < 5; v->piece_count++) {
    gust_piece *piece = &v->pieces[v->piece_count];
    piece->bytes = (uint32_t)strlen(letters[v->piece_count]);
    piece->text = malloc(piece->bytes);
    if (piece->text) memcpy(piece->text, letters[v->piece_count], piece->bytes);
  }
  while (v->piece_count < MOST) {
    uint32_t left = 1 + (uint32_t)(check_random(seed) % (v->piece_count - 1));
    uint32_t right = 1 + (uint32_t)(check_random(seed) % (v->piece_count - 1));
    const gust_piece *l = &v->pieces[left], *r = &v->pieces[right];
    char joined[256];
    uint32_t bytes = l->bytes + r->bytes, i = 0;
    if (bytes > 40) continue;
    memcpy(joined, l->text, l->bytes);
    memcpy(joined + l->bytes, r->text, r->bytes);
    while (i < v->piece_count &&
           (v->pieces[i].bytes != bytes || memcmp(v->pieces[i].text, joined, bytes) != 0))
      i++;
    if (i < v->piece_count) continue;
    gust_piece *piece = &v->pieces[v->piece_count];
    piece->text = malloc(bytes);
    if (!piece->text) check_fatal("malloc", "a piece");
    memcpy(piece->text, joined, bytes);
    piece->bytes = bytes;
    v->merges[v->merge_count] = (gust_merge){left, right, v->piece_count, v->merge_count};
    v->merge_count++;
    v->piece_count++;
  }
}

static void check_random_text(const gust_tokenizer *t, const gust_vocabulary *v,
                              unsigned long long *seed) {
  char text[64];
  int32_t plain[64], *ids;
  size_t bytes = check_random(seed) % sizeof text, count;
  for (size_t i = 0; i < bytes; i++) {
    static const char letters[] = " abc";
    uint32_t letter = (uint32_t)(check_random(seed) % 4);
    text[i] = letters[letter];
    plain[i] = (int32_t)letter + 1;
  }
  gust_error err;
  CHECK_EQ_INT(
      gust_tokenizer_text_to_ids(t, text, bytes, GUST_ENDS_NONE, true, NULL, 0, &ids, &count, &err),
      GUST_OK);
  size_t plain_count = merge_plainly(v, plain, bytes);
  CHECK(count == plain_count && (count == 0 || memcmp(ids, plain, count * sizeof *ids) == 0));
  free(ids);
}

static void test_random(void) {
  unsigned long long seed = 11;
  for (int round = 0; round < 40; round++) {
    gust_vocabulary v;
    random_vocabulary(&v, &seed);
    uint8_t *section;
    size_t count;
    gust_error err;
    gust_tokenizer *t;
    if (gust_tokenizer_encode(&v, &section, &count, &err)) check_fatal("encode", err.text);
    if (gust_tokenizer_create(&t, section, count, "section", &err)) check_fatal("create", err.text);
    for (int i = 0; i < 40; i++) check_random_text(t, &v, &seed);
    free(section);
    gust_tokenizer_destroy(t);
    gust_vocabulary_clear(&v);
  }
}

/* --- time ------------------------------------------------------------------------------ */

static double seconds_to_encode(const gust_tokenizer *t, const char *text, size_t bytes,
                                size_t *count) {
  int32_t *ids;
  gust_error err;
  clock_t begin = clock();
  CHECK_EQ_INT(
      gust_tokenizer_text_to_ids(t, text, bytes, GUST_ENDS_BOTH, true, NULL, 0, &ids, count, &err),
      GUST_OK);
  free(ids);
  return (double)(clock() - begin) / CLOCKS_PER_SEC;
}

/* A quadratic merge would take hours; the limit leaves room for sanitizers and valgrind. */
static void test_time(void) {
  enum { MEGABYTE = 1 << 20 };
  char path[1024], *big = malloc(MEGABYTE);
  if (!big) check_fatal("malloc", "a text");
  snprintf(path, sizeof path, "%s/tokenizer.json", check_demo());
  gust_tokenizer *t = tokenizer_of_file(path);
  size_t bytes, count;
  char *prose = check_read_file(check_data("heldout.txt"), &bytes);
  static const char *const names[] = {"one letter", "spaces", "'<'", "bytes 0xff"};
  static const char fills[] = {'a', ' ', '<', (char)0xff};
  for (int i = 0; i < 4; i++) {
    memset(big, fills[i], MEGABYTE);
    double seconds = seconds_to_encode(t, big, MEGABYTE, &count);
    printf("1 MiB of %s: %.3f s, %zu ids\n", names[i], seconds, count);
    CHECK(seconds < 100);
  }
  for (size_t i = 0; i < MEGABYTE; i++) big[i] = prose[i % bytes];
  double seconds = seconds_to_encode(t, big, MEGABYTE, &count);
  printf("1 MiB of prose: %.3f s, %zu ids\n", seconds, count);
  CHECK(seconds < 100);
  free(prose);
  free(big);
  gust_tokenizer_destroy(t);
}

int main(void) {
  test_vectors();
  test_merging();
  test_literal_spans();
  test_added_flags();
  test_normalized_tokens();
  test_prefix_schemes();
  test_unknown();
  test_affixes();
  test_special();
  test_random();
  test_time();
  return check_finish();
}

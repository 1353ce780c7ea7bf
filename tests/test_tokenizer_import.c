/* Tokenizer files that are damaged or ask for what gust lacks: refused with the
 * words that name it. */
#include "tokenizer_import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "tokenizer_files.h"

/* --- tokenizer.json ------------------------------------------------------------------- */

/* Importing and encoding; the error's text contains `message`. */
static void refuse_text(const char *text, gust_status expected, const char *message) {
  gust_vocabulary v;
  gust_error err = {0};
  gust_status status =
      gust_import_tokenizer_json((const uint8_t *)text, strlen(text), "t.json", &v, &err);
  if (!status) {
    uint8_t *section;
    size_t count;
    status = gust_tokenizer_encode(&v, &section, &count, &err);
    if (!status) free(section);
  }
  CHECK(status == GUST_OK || v.pieces == NULL || strncmp(err.text, "vocabulary", 10) == 0);
  gust_vocabulary_clear(&v);
  CHECK_EQ_INT(status, expected);
  CHECK_EQ_INT(err.status, expected);
  CHECK_CONTAINS(err.text, message);
}

static void refuse(tokenizer_parts parts, gust_status expected, const char *message) {
  char *text = tokenizer_text(&parts);
  refuse_text(text, expected, message);
  free(text);
}

#define VOCAB "\"<unk>\":0,\"<s>\":1,\"</s>\":2,\"▁\":3,\"a\":4,\"b\":5"
#define NO_BYTES "\"type\":\"BPE\",\"unk_token\":\"<unk>\""
#define TOKEN(id, content)                     \
  "[{\"id\":" id ",\"content\":\"" content     \
  "\",\"single_word\":false,\"lstrip\":false," \
  "\"rstrip\":false,\"normalized\":false,\"special\":true}]"

static void test_pieces(void) {
  refuse_text("[]", GUST_E_FORMAT, "t.json:1:1: expected an object with \"model\", found an array");
  refuse_text("{}", GUST_E_FORMAT,
              "t.json:1:1: expected \"model\" (an object), found no such member");
  refuse((tokenizer_parts){.vocab = VOCAB ",\"c\":99"}, GUST_E_FORMAT,
         "\"vocab\": expected an id from 0 to 9 for \"c\", found another value");
  refuse((tokenizer_parts){.vocab = VOCAB ",\"c\":-1"}, GUST_E_FORMAT,
         "\"vocab\": expected an id from 0 to 9 for \"c\", found another value");
  refuse((tokenizer_parts){.vocab = VOCAB ",\"c\":5"}, GUST_E_FORMAT,
         "\"vocab\": expected each id once, found 5 for \"b\" and \"c\"");
  refuse((tokenizer_parts){.vocab = VOCAB ",\"b\":6"}, GUST_E_FORMAT,
         "expected each name once in an object, found \"b\" again");
  refuse((tokenizer_parts){.vocab = VOCAB ",\"c\":7", .merges = "[]", .model = NO_BYTES},
         GUST_E_UNSUPPORTED, "\"vocab\": expected ids without gaps, found none with id 6 below 7");
  refuse((tokenizer_parts){.vocab = VOCAB ",\"\":6"}, GUST_E_UNSUPPORTED,
         "expected a piece of 1 to 1024 bytes, found 0");
  refuse((tokenizer_parts){.vocab = VOCAB, .merges = "[]"}, GUST_E_FORMAT,
         "vocabulary: tokenizer: expected byte pieces <0x00> to <0xFF>, found no <0x00>");
  refuse((tokenizer_parts){.vocab = VOCAB, .merges = "[]", .model = "\"type\":\"BPE\""},
         GUST_E_UNSUPPORTED, "expected byte fallback or an unk piece");
  refuse((tokenizer_parts){.added = TOKEN("4", "<s>")}, GUST_E_FORMAT,
         "\"added_tokens\": expected \"a\", which has id 4 already, found \"<s>\"");
  refuse((tokenizer_parts){.added = TOKEN("268", "abc")}, GUST_E_FORMAT,
         "vocabulary: expected each piece once, found \"abc\" as 9 and 268");
  refuse((tokenizer_parts){.added = TOKEN("999", "<x>")}, GUST_E_FORMAT,
         "\"id\": expected an integer from 0 to 268, found 999");
  refuse((tokenizer_parts){.added = "[{\"id\":1,\"content\":\"<s>\"}]"}, GUST_E_FORMAT,
         "expected \"special\" (true or false), found no such member");
}

static void test_merges(void) {
  refuse((tokenizer_parts){.merges = "[\"a b\",\"a z\"]"}, GUST_E_FORMAT,
         "\"merges\": expected pieces of the vocabulary, found \"a\" and \"z\" to be joined");
  refuse((tokenizer_parts){.merges = "[\"b a\"]"}, GUST_E_FORMAT,
         "\"merges\": expected pieces of the vocabulary, found \"b\" and \"a\" to be joined");
  refuse((tokenizer_parts){.merges = "[\"ab\"]"}, GUST_E_FORMAT, "\"merges\": expected \"a b\" or");
  refuse((tokenizer_parts){.merges = "[\"a b c\"]"}, GUST_E_FORMAT, "\"merges\": expected \"a b\"");
  refuse((tokenizer_parts){.merges = "[[\"a\"]]"}, GUST_E_FORMAT,
         "\"merges\": expected \"a b\" or");
  refuse((tokenizer_parts){.merges = "[[\"a\",1]]"}, GUST_E_FORMAT, "\"merges\": expected \"a b\"");
  refuse((tokenizer_parts){.merges = "{}"}, GUST_E_FORMAT,
         "\"merges\": expected an array, found an object");
  refuse((tokenizer_parts){.merges = "[\"a b\",\"a b\"]"}, GUST_E_FORMAT,
         "vocabulary: expected each merge once, found ids 4 and 5 again");
}

static void test_model(void) {
  refuse((tokenizer_parts){.model = "\"type\":\"Unigram\""}, GUST_E_UNSUPPORTED,
         "\"model type\": expected \"BPE\", found \"Unigram\"");
  refuse((tokenizer_parts){.model = NO_BYTES ",\"dropout\":0.1"}, GUST_E_UNSUPPORTED,
         "\"dropout\": expected null, found a number");
  refuse((tokenizer_parts){.model = NO_BYTES ",\"continuing_subword_prefix\":\"##\""},
         GUST_E_UNSUPPORTED, "\"continuing_subword_prefix\": expected null, found \"##\"");
  refuse((tokenizer_parts){.model = NO_BYTES ",\"end_of_word_suffix\":\"</w>\""},
         GUST_E_UNSUPPORTED, "\"end_of_word_suffix\": expected null, found \"</w>\"");
  refuse((tokenizer_parts){.model = NO_BYTES ",\"ignore_merges\":true"}, GUST_E_UNSUPPORTED,
         "\"ignore_merges\": expected false, found true");
  refuse((tokenizer_parts){.model = "\"type\":\"BPE\",\"unk_token\":\"<none>\""},
         GUST_E_UNSUPPORTED, "\"unk_token\": expected a piece of the vocabulary, found \"<none>\"");
  refuse((tokenizer_parts){.model = "\"type\":\"BPE\",\"fuse_unk\":1"}, GUST_E_FORMAT,
         "\"fuse_unk\": expected true or false, found a number");
}

static void test_pipeline(void) {
  refuse((tokenizer_parts){.normalizer = "{\"type\":\"NFC\"}"}, GUST_E_UNSUPPORTED,
         "t.json:2:22: \"normalizer\": expected one Prepend, one Replace or a Sequence of them, "
         "found \"NFC\"");
  refuse((tokenizer_parts){.normalizer = "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":"
                                         "\"Sequence\",\"normalizers\":[]}]}"},
         GUST_E_UNSUPPORTED, "found \"Sequence\"");
  refuse((tokenizer_parts){.normalizer = "{\"type\":\"Prepend\",\"prepend\":\"_\"}"},
         GUST_E_UNSUPPORTED, "expected Prepend of U+2581, found \"_\"");
  refuse((tokenizer_parts){.normalizer = "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\" \"},"
                                         "\"content\":\"▁\"}"},
         GUST_E_UNSUPPORTED, "expected Replace of \" \" by U+2581, found an object");
  refuse((tokenizer_parts){.pre_tokenizer = "{\"type\":\"ByteLevel\"}"}, GUST_E_UNSUPPORTED,
         "\"pre_tokenizer\": expected null or Metaspace, found \"ByteLevel\"");
  refuse((tokenizer_parts){.normalizer = "null",
                           .pre_tokenizer = "{\"type\":\"Metaspace\",\"replacement\":\"▁\"}"},
         GUST_E_UNSUPPORTED, "\"split\": expected false, found an object");
  refuse((tokenizer_parts){.normalizer = "null",
                           .pre_tokenizer = "{\"type\":\"Metaspace\",\"replacement\":\"▁\","
                                            "\"prepend_scheme\":\"last\",\"split\":false}"},
         GUST_E_UNSUPPORTED, "expected \"always\", \"first\" or \"never\", found \"last\"");
  refuse((tokenizer_parts){.pre_tokenizer = "{\"type\":\"Metaspace\",\"replacement\":\"▁\"}"},
         GUST_E_UNSUPPORTED, "\"normalizer\": expected null with Metaspace, found \"Sequence\"");
  refuse((tokenizer_parts){.post_processor = "{\"type\":\"RobertaProcessing\"}"},
         GUST_E_UNSUPPORTED, "expected null or TemplateProcessing, found \"RobertaProcessing\"");
  refuse((tokenizer_parts){.post_processor =
                               "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{"
                               "\"id\":\"<q>\"}}],\"special_tokens\":{}}"},
         GUST_E_UNSUPPORTED,
         "\"post_processor\": expected one of its special_tokens, found \"<q>\"");
  refuse((tokenizer_parts){.decoder = "null"}, GUST_E_UNSUPPORTED,
         "\"decoder\": expected a Sequence of Replace");
  refuse((tokenizer_parts){.decoder = "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Fuse\"}]}"},
         GUST_E_UNSUPPORTED, "Fuse and perhaps Strip (\" \", 1, 0), found \"Fuse\"");
}

/* --- tokenizer.model --------------------------------------------------------------------- */

typedef struct writer {
  uint8_t data[16384];
  size_t count;
} writer;

static void put(writer *w, uint8_t byte) {
  if (w->count == sizeof w->data) check_fatal("tokenizer.model", "longer than expected");
  w->data[w->count++] = byte;
}

static void put_varint(writer *w, uint64_t value) {
  for (; value >= 128; value >>= 7) put(w, (uint8_t)(value | 128));
  put(w, (uint8_t)value);
}

static void put_number(writer *w, uint32_t field, uint64_t value) {
  put_varint(w, field << 3);
  put_varint(w, value);
}

static void put_bytes(writer *w, uint32_t field, const void *data, size_t bytes) {
  put_varint(w, field << 3 | 2);
  put_varint(w, bytes);
  for (size_t i = 0; i < bytes; i++) put(w, ((const uint8_t *)data)[i]);
}

static void put_piece(writer *w, const char *text, float score, uint64_t type) {
  writer piece = {.count = 0};
  uint32_t bits;
  memcpy(&bits, &score, sizeof bits);
  put_bytes(&piece, 1, text, strlen(text));
  put_varint(&piece, 2 << 3 | 5);
  for (int i = 0; i < 4; i++) put(&piece, (uint8_t)(bits >> 8 * i));
  if (type != 1) put_number(&piece, 3, type);
  put_bytes(w, 1, piece.data, piece.count);
}

static void put_specs(writer *w, uint64_t model_type, uint64_t remove_spaces, uint64_t bos) {
  writer trainer = {.count = 0}, normalizer = {.count = 0};
  put_number(&trainer, 3, model_type);
  put_number(&trainer, 41, bos);
  put_bytes(w, 2, trainer.data, trainer.count);
  put_bytes(&normalizer, 1, "identity", 8);
  put_number(&normalizer, 4, remove_spaces);
  put_bytes(w, 3, normalizer.data, normalizer.count);
}

static void put_usual(writer *w) {
  *w = (writer){.count = 0};
  put_piece(w, "<unk>", 0, 2);
  put_piece(w, "<s>", 0, 3);
  put_piece(w, "</s>", 0, 3);
  put_piece(w, "▁", -9, 1);
  put_piece(w, "a", -9, 1);
  put_piece(w, "b", -9, 1);
  put_piece(w, "c", -9, 1);
}

static gust_status import(const writer *w, gust_vocabulary *v, gust_error *err) {
  const gust_sentencepiece_options options = {.add_bos = true, .legacy = true};
  uint8_t *copy = malloc(w->count ? w->count : 1); /* exactly as long, for sanitizers */
  if (!copy) check_fatal("malloc", "a tokenizer.model");
  memcpy(copy, w->data, w->count);
  *err = (gust_error){0};
  gust_status status = gust_import_sentencepiece(copy, w->count, "t.model", &options, v, err);
  CHECK_EQ_INT(err->status, status);
  free(copy);
  return status;
}

static void refuse_model(const writer *w, gust_status expected, const char *message) {
  gust_vocabulary v;
  gust_error err;
  CHECK_EQ_INT(import(w, &v, &err), expected);
  CHECK_EQ_STR(err.text, message);
  CHECK(!v.pieces && !v.merges && !v.prefix_ids);
  gust_vocabulary_clear(&v);
}

/* Scores that are the same give one rank, and the leftmost place wins. */
static void test_equal_scores(void) {
  writer w;
  put_usual(&w);
  put_piece(&w, "bc", -5, 1);
  put_piece(&w, "ab", -5, 1);
  put_piece(&w, "abc", -7, 1);
  put_specs(&w, 2, 0, 1);
  gust_vocabulary v;
  gust_error err;
  CHECK_EQ_INT(import(&w, &v, &err), GUST_OK);
  CHECK_EQ_INT(v.merge_count, 4); /* b c, a b, a bc, ab c */
  CHECK(v.merge_count == 4 && v.merges[0].rank == v.merges[1].rank &&
        v.merges[2].rank == v.merges[3].rank && v.merges[1].rank < v.merges[2].rank);
  gust_tokenizer *t = tokenizer_of_vocabulary(&v);
  int32_t *ids;
  size_t count;
  static const int32_t expected[] = {1, 3, 8, 4, 9}; /* with merges in order: 3 4 7 ... */
  CHECK_EQ_INT(
      gust_tokenizer_text_to_ids(t, "abaabc", 6, GUST_ENDS_BOTH, true, NULL, 0, &ids, &count, &err),
      GUST_OK);
  CHECK(count == 5 && memcmp(ids, expected, sizeof expected) == 0);
  free(ids);
  gust_tokenizer_destroy(t);
}

static void test_models(void) {
  writer w = {.count = 0};
  refuse_model(&w, GUST_E_FORMAT, "t.model: expected a SentencePiece model, found no pieces");
  put_usual(&w);
  refuse_model(&w, GUST_E_UNSUPPORTED,
               "t.model: trainer_spec.model_type: expected 2 (BPE), found 1; use a checkpoint with "
               "tokenizer.json");
  put_specs(&w, 2, 1, 1);
  refuse_model(&w, GUST_E_UNSUPPORTED,
               "t.model: normalizer_spec.remove_extra_whitespaces: expected 0, found 1; use a "
               "checkpoint with tokenizer.json");
  put_usual(&w);
  put_specs(&w, 2, 0, 7);
  refuse_model(&w, GUST_E_FORMAT, "t.model: bos_id: expected an id below 7, found 7");
  put_usual(&w);
  put_specs(&w, 2, 0, 4);
  refuse_model(&w, GUST_E_FORMAT, "t.model: bos_id: expected a piece of type 3, found type 1");
  put_usual(&w);
  put_specs(&w, 2, 0, UINT64_MAX);
  refuse_model(&w, GUST_E_FORMAT, "t.model: bos_id: expected an id to put around a text, found -1");
  put_usual(&w);
  put_piece(&w, "a", -3, 1);
  put_specs(&w, 2, 0, 1);
  refuse_model(&w, GUST_E_FORMAT, "t.model: expected each piece once, found \"a\" as 4 and 7");
  put_usual(&w);
  put_piece(&w, "d", -3, 5);
  refuse_model(&w, GUST_E_UNSUPPORTED,
               "t.model: piece 7: expected type 1, 2, 3, 4 or 6, found 5; use a checkpoint with "
               "tokenizer.json");
  put_usual(&w);
  put_piece(&w, "<0x41>", -3, 1);
  refuse_model(&w, GUST_E_UNSUPPORTED,
               "t.model: piece 7: expected pieces spelled <0xHH> and those of type 6 to be the "
               "same, found another spelling or type");
  put_usual(&w);
  put_piece(&w, "", -3, 1);
  refuse_model(&w, GUST_E_UNSUPPORTED, "t.model: piece 7: expected 1 to 1024 bytes, found 0");
  put_usual(&w);
  writer charsmap = {.count = 0};
  put_bytes(&charsmap, 2, "\x01\x02", 2);
  put_bytes(&w, 3, charsmap.data, charsmap.count);
  refuse_model(&w, GUST_E_UNSUPPORTED,
               "t.model: normalizer_spec: expected no precompiled_charsmap (identity), found 2; "
               "use a checkpoint with tokenizer.json");
}

static void test_wire(void) {
  static const struct {
    const char *bytes;
    size_t count;
    const char *message;
  } cases[] = {
      {"\x0a\x05"
       "ab",
       4,
       "t.model: byte 2: expected a field of at most 2 bytes, found one of 5; is the file "
       "complete?"},
      {"\x08", 1, "t.model: byte 1: expected a number, found the end of the message"},
      {"\x0d\x01", 2, "t.model: byte 1: expected a number, found the end of the message"},
      {"\x08\x01", 2, "t.model: byte 0: pieces: expected wire type 2, found wire type 0"},
      {"\x0b", 1, "t.model: byte 1: expected a field of wire type 0, 1, 2 or 5, found another one"},
      {"\x02", 1, "t.model: byte 1: expected a field number, found another value"},
      {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10,
       "t.model: byte 10: expected a number of 64 bits, found a longer one"},
      {"\x0a\x02\x08\x01", 4, "t.model: byte 2: piece: expected wire type 2, found wire type 0"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    writer w = {.count = cases[i].count};
    memcpy(w.data, cases[i].bytes, cases[i].count);
    refuse_model(&w, GUST_E_FORMAT, cases[i].message);
  }
  writer w;
  put_usual(&w);
  put_specs(&w, 2, 0, 1);
  size_t whole = w.count;
  gust_vocabulary v;
  gust_error err;
  for (w.count = 0; w.count < whole; w.count++) {
    if (import(&w, &v, &err) == GUST_OK) check_that(false, __FILE__, __LINE__, "truncated model");
    gust_vocabulary_clear(&v);
  }
  for (size_t i = 0; i < whole; i++) {
    for (int bit = 0; bit < 8; bit++) {
      w.data[i] ^= (uint8_t)(1 << bit);
      import(&w, &v, &err);
      gust_vocabulary_clear(&v);
      w.data[i] ^= (uint8_t)(1 << bit);
    }
  }
  CHECK_EQ_INT(import(&w, &v, &err), GUST_OK);
  gust_vocabulary_clear(&v);
}

/* --- folders -------------------------------------------------------------------------------- */

static void import_folder(gust_status expected, const char *message, gust_vocabulary *v) {
  gust_error err = {0};
  CHECK_EQ_INT(gust_import_tokenizer(check_temp(), v, &err), expected);
  CHECK_CONTAINS(err.text, message);
}

static void test_folder(void) {
  gust_vocabulary v;
  import_folder(GUST_E_IO,
                ": expected tokenizer.json or tokenizer.model, found neither; download the whole "
                "checkpoint",
                &v);
  writer w;
  put_usual(&w);
  put_specs(&w, 2, 0, 1);
  check_write_file(check_temp_file("tokenizer.model"), w.data, w.count);
  import_folder(GUST_OK, "", &v);
  CHECK(v.prefix_count == 1 && v.suffix_count == 0 && v.prefix_ids[0] == 1 && !v.metaspace);
  gust_vocabulary_clear(&v);
  static const char config[] = "{\"add_bos_token\":false,\"add_eos_token\":true,\"legacy\":false}";
  check_write_file(check_temp_file("tokenizer_config.json"), config, strlen(config));
  import_folder(GUST_OK, "", &v);
  CHECK(v.prefix_count == 0 && v.suffix_count == 1 && v.suffix_ids[0] == 2 && v.metaspace &&
        v.prefix_once && v.add_prefix);
  gust_vocabulary_clear(&v);
  static const char added[] =
      "{\"add_prefix_space\":false,\"add_eos_token\":null,"
      "\"added_tokens_decoder\":{\"2\":{\"content\":\"</s>\"}}}";
  check_write_file(check_temp_file("tokenizer_config.json"), added, strlen(added));
  import_folder(GUST_OK, "", &v);
  CHECK(v.prefix_count == 1 && !v.add_prefix && !v.strip_prefix);
  gust_vocabulary_clear(&v);
  static const char more[] = "{\"added_tokens_decoder\":{\"7\":{\"content\":\"<x>\"}}}";
  check_write_file(check_temp_file("tokenizer_config.json"), more, strlen(more));
  import_folder(GUST_E_UNSUPPORTED,
                "tokenizer_config.json:1:30: expected added tokens that are control pieces of "
                "tokenizer.model, found \"<x>\" with id 7; use a checkpoint with tokenizer.json",
                &v);
  CHECK(!v.pieces);
  check_write_file(check_temp_file("tokenizer_config.json"), "{}", 2);
  static const char tokens[] = "{\"<y>\":9}";
  check_write_file(check_temp_file("added_tokens.json"), tokens, strlen(tokens));
  import_folder(GUST_E_UNSUPPORTED, "added_tokens.json:1:8: expected added tokens", &v);
  check_write_file(check_temp_file("tokenizer.json"), "{", 1);
  import_folder(GUST_E_FORMAT, "; download the file again", &v);
}

/* --- the file's section ---------------------------------------------------------------------- */

static gust_status create(const uint8_t *bytes, size_t count, gust_error *err) {
  uint8_t *copy = malloc(count ? count : 1);
  if (!copy) check_fatal("malloc", "a section");
  memcpy(copy, bytes, count);
  gust_tokenizer *t;
  *err = (gust_error){0};
  gust_status status = gust_tokenizer_create(&t, copy, count, "m.gust", err);
  free(copy);
  CHECK((t == NULL) == (status != GUST_OK));
  if (t) { /* whatever was accepted can be used */
    int32_t *ids;
    size_t id_count;
    CHECK_EQ_INT(gust_tokenizer_text_to_ids(t, "abc <s>\xff", 8, GUST_ENDS_BOTH, true, NULL, 0,
                                            &ids, &id_count, NULL),
                 GUST_OK);
    free(ids);
  }
  gust_tokenizer_destroy(t);
  return status;
}

static void test_section(void) {
  writer w;
  put_usual(&w);
  put_piece(&w, "ab", -5, 1);
  put_specs(&w, 2, 0, 1);
  gust_vocabulary v;
  gust_error err;
  uint8_t *section;
  size_t count;
  CHECK_EQ_INT(import(&w, &v, &err), GUST_OK);
  CHECK_EQ_INT(gust_tokenizer_encode(&v, &section, &count, &err), GUST_OK);
  gust_vocabulary_clear(&v);
  for (size_t i = 0; i < count; i++) CHECK_EQ_INT(create(section, i, &err), GUST_E_FORMAT);
  CHECK_EQ_STR(err.text,
               "m.gust: tokenizer: expected as many bytes as its counts say, found 135; "
               "convert it again");
  for (size_t i = 0; i < count; i++) {
    for (int bit = 0; bit < 8; bit++) {
      section[i] ^= (uint8_t)(1 << bit);
      if (create(section, count, &err)) CHECK_CONTAINS(err.text, "m.gust: tokenizer: expected ");
      section[i] ^= (uint8_t)(1 << bit);
    }
  }
  section[0] = 2;
  CHECK_EQ_INT(create(section, count, &err), GUST_E_FORMAT);
  CHECK_EQ_STR(err.text, "m.gust: tokenizer: expected version 1, found 2; convert it again");
  free(section);
}

int main(void) {
  test_pieces();
  test_merges();
  test_model();
  test_pipeline();
  test_equal_scores();
  test_models();
  test_wire();
  test_folder();
  test_section();
  return check_finish();
}

/* The header of a .gust file: what goes in comes out, and hostile bytes are
 * refused by name. Damage below the checksum is tried with the checksum made
 * right again, so that every check behind it is reached. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "checksum.h"
#include "cli/model_options.h"
#include "format.h"

static char *copy_text(const char *text) {
  char *copy = malloc(strlen(text) + 1);
  if (!copy) check_fatal("out of memory", text);
  return strcpy(copy, text);
}

static gust_receipt make_receipt(void) {
  gust_receipt r = {.exists = true,
                    .prompt_tokens = GUST_PROMPT_TOKENS,
                    .logits_hash = 0x0123456789abcdefu,
                    .part_count = 2,
                    .parts = {{GUST_TYPE_Q8, 1.5, 7.25}, {GUST_TYPE_Q4, 2.5, 9}},
                    .measured = true,
                    .quality = {.chunk = 512,
                                .chunks = 9,
                                .nll = 1.25,
                                .nll_se = 1.5,
                                .reference_nll = 1.125,
                                .reference_nll_se = 1.75,
                                .nll_difference = -1.5,
                                .nll_difference_se = 1.0625,
                                .kl_mean = 1.2,
                                .kl_mean_se = 1.3,
                                .kl_median = 1.1,
                                .kl_p99 = 1.4,
                                .kl_p999 = 1.6,
                                .kl_max = 1.7,
                                .top1_agree = 0.75,
                                .top1_agree_se = 1.8}};
  memset(r.quality.text_sha256, 0x5a, sizeof r.quality.text_sha256);
  return r;
}

static void make_header(gust_header *h) {
  static const struct {
    const char *name;
    gust_type type;
    uint32_t rank;
    uint64_t rows, columns;
  } list[] = {{"model.embed_tokens.weight", GUST_TYPE_Q8, 2, 100, 64},
              {"a", GUST_TYPE_F32, 1, 64, 1},
              {"big.weight", GUST_TYPE_BF16, 2, 1024, 1100},
              {"last.weight", GUST_TYPE_Q4, 2, 17, 129}};
  *h = (gust_header){.config = {.arch = GUST_ARCH_MISTRAL,
                                .vocab_size = 100,
                                .hidden_size = 64,
                                .intermediate_size = 172,
                                .layers = 5,
                                .heads = 8,
                                .kv_heads = 4,
                                .head_dim = 8,
                                .max_positions = 512,
                                .sliding_window = 33,
                                .rope_theta = 10000.5,
                                .norm_eps = 1e-5f,
                                .tied_head = true,
                                .bos_id = -1,
                                .eos_count = 2,
                                .eos_ids = {2, 99}},
                     .generation = {0.7f, 0.95f, 0.05f, 1.1f, 50, 512}};
  h->receipt = make_receipt();
  h->tokenizer_bytes = 5;
  h->tokenizer = (uint8_t *)copy_text("token");
  h->chat_template = copy_text("{{ messages }}");
  h->source_count = 2;
  h->sources = calloc(2, sizeof *h->sources);
  h->tensor_count = sizeof list / sizeof *list;
  h->tensors = calloc(h->tensor_count, sizeof *h->tensors);
  if (!h->sources || !h->tensors) check_fatal("out of memory", "header");
  for (size_t i = 0; i < 2; i++) {
    h->sources[i].name = copy_text(i ? "b.safetensors" : "model-a.safetensors");
    h->sources[i].bytes = 12345678901u + i;
    memset(h->sources[i].sha256, 0x30 + (int)i, 32);
  }
  for (size_t i = 0; i < h->tensor_count; i++)
    h->tensors[i] = (gust_tensor){.name = copy_text(list[i].name),
                                  .type = list[i].type,
                                  .rank = list[i].rank,
                                  .shape = {list[i].rows, list[i].columns},
                                  .checksum = 0x1122334455667788u * (i + 1)};
}

/* The encoded header of make_header, placed. */
static uint8_t *encode(gust_header *h, size_t *count) {
  uint8_t *bytes;
  gust_error err = {0};
  make_header(h);
  CHECK_EQ_INT(gust_header_encode(h, &bytes, count, &err), GUST_OK);
  free(bytes);
  CHECK_EQ_INT(gust_header_place(h, *count, &err), GUST_OK);
  size_t again;
  CHECK_EQ_INT(gust_header_encode(h, &bytes, &again, &err), GUST_OK);
  CHECK_EQ_INT(again, *count);
  return bytes;
}

static void seal(uint8_t *bytes, size_t count) {
  gust_xxh64 sum;
  gust_xxh64_begin(&sum, 0);
  gust_xxh64_update(&sum, bytes, 32);
  gust_xxh64_update(&sum, bytes + 64, count - 64);
  uint64_t value = gust_xxh64_end(&sum);
  for (int i = 0; i < 8; i++) bytes[32 + i] = (uint8_t)(value >> (8 * i));
}

static void check_receipt(const gust_receipt *r) {
  const gust_receipt good = make_receipt();
  CHECK(r->exists && r->prompt_tokens == 24 && r->logits_hash == good.logits_hash);
  CHECK_EQ_INT(r->part_count, 2);
  for (size_t i = 0; i < 2; i++)
    CHECK(r->parts[i].type == good.parts[i].type && r->parts[i].error == good.parts[i].error &&
          r->parts[i].energy == good.parts[i].energy);
  const gust_quality *a = &r->quality, *b = &good.quality;
  CHECK(r->measured && a->chunk == b->chunk && a->chunks == b->chunks);
  CHECK(memcmp(a->text_sha256, b->text_sha256, 32) == 0);
  CHECK(a->nll == b->nll && a->nll_se == b->nll_se && a->reference_nll == b->reference_nll);
  CHECK(a->reference_nll_se == b->reference_nll_se && a->nll_difference == b->nll_difference);
  CHECK(a->nll_difference_se == b->nll_difference_se && a->kl_mean == b->kl_mean);
  CHECK(a->kl_mean_se == b->kl_mean_se && a->kl_median == b->kl_median && a->kl_p99 == b->kl_p99);
  CHECK(a->kl_p999 == b->kl_p999 && a->kl_max == b->kl_max && a->top1_agree == b->top1_agree);
  CHECK(a->top1_agree_se == b->top1_agree_se);
}

static void round_trip(void) {
  gust_header in, out;
  size_t count, size = 0;
  gust_error err = {0};
  uint8_t *bytes = encode(&in, &count);
  CHECK_EQ_INT(gust_header_size(bytes, in.file_bytes, "f", &size, &err), GUST_OK);
  CHECK_EQ_INT(size, count);
  CHECK_EQ_INT(gust_header_decode(&out, bytes, count, in.file_bytes, "f", &err), GUST_OK);
  CHECK_EQ_STR(err.text, "");
  CHECK_EQ_INT(out.config.sliding_window, 33);
  CHECK(out.config.rope_theta == 10000.5 && out.config.norm_eps == 1e-5f);
  CHECK(out.config.tied_head && out.config.bos_id == -1 && out.config.eos_ids[1] == 99);
  CHECK(memcmp(&out.generation, &in.generation, sizeof in.generation) == 0);
  CHECK_EQ_INT(out.tokenizer_bytes, 5);
  CHECK(memcmp(out.tokenizer, "token", 5) == 0);
  CHECK_EQ_STR(out.chat_template, "{{ messages }}");
  CHECK_EQ_INT(out.source_count, 2);
  CHECK_EQ_STR(out.sources[1].name, "b.safetensors");
  check_receipt(&out.receipt);
  CHECK(out.sources[1].bytes == 12345678902u && out.sources[1].sha256[31] == 0x31);
  CHECK_EQ_INT(out.tensor_count, in.tensor_count);
  for (size_t i = 0; i < out.tensor_count; i++) {
    const gust_tensor *a = &in.tensors[i], *b = &out.tensors[i];
    CHECK_EQ_STR(b->name, a->name);
    CHECK(b->type == a->type && b->rank == a->rank && b->shape[0] == a->shape[0] &&
          b->shape[1] == a->shape[1] && b->offset == a->offset && b->bytes == a->bytes &&
          b->checksum == a->checksum);
    CHECK_EQ_INT(b->offset % 64, 0);
  }
  CHECK_EQ_INT(out.tensors[2].offset % (2 << 20), 0); /* 2.36 MB: a large one */
  CHECK_EQ_INT(out.file_bytes, in.tensors[3].offset + in.tensors[3].bytes);
  gust_header_clear(&in);
  gust_header_clear(&out);
  gust_header_clear(&out); /* twice is harmless */
  free(bytes);
}

static void sizes(void) {
  uint64_t bytes = 0;
  const uint64_t small[2] = {17, 129}, vector[2] = {172, 1}, zero[2] = {0, 5};
  CHECK(gust_tensor_bytes(GUST_TYPE_Q4, 2, small, &bytes) && bytes == 2 * 2 * 17 * 64 + 64);
  CHECK(gust_tensor_bytes(GUST_TYPE_Q8, 2, small, &bytes) && bytes == 2 * 2 * 33 * 64 + 64);
  CHECK(gust_tensor_bytes(GUST_TYPE_BF16, 2, small, &bytes) && bytes == 32 * 256 * 2);
  CHECK(gust_tensor_bytes(GUST_TYPE_F32, 2, small, &bytes) && bytes == 32 * 256 * 4);
  CHECK(gust_tensor_bytes(GUST_TYPE_F32, 1, vector, &bytes) && bytes == 256 * 4);
  CHECK(!gust_tensor_bytes(GUST_TYPE_Q4, 1, vector, &bytes));
  CHECK(!gust_tensor_bytes(GUST_TYPE_F32, 1, small, &bytes));
  CHECK(!gust_tensor_bytes(GUST_TYPE_F32, 2, zero, &bytes));
  CHECK(!gust_tensor_bytes(GUST_TYPE_F32, 3, small, &bytes));
  CHECK(!gust_tensor_bytes((gust_type)GUST_TYPE_COUNT, 2, small, &bytes));
  const uint64_t huge[][2] = {{UINT64_MAX, UINT64_MAX},
                              {UINT64_MAX, 1},
                              {1, UINT64_MAX},
                              {(uint64_t)1 << 47, 2},
                              {3, (uint64_t)1 << 63}};
  for (size_t i = 0; i < sizeof huge / sizeof *huge; i++)
    for (int type = 0; type < GUST_TYPE_COUNT; type++)
      CHECK(!gust_tensor_bytes((gust_type)type, 2, huge[i], &bytes));
  gust_type type = GUST_TYPE_F32;
  CHECK(gust_type_parse("q4", &type) && type == GUST_TYPE_Q4);
  CHECK(!gust_type_parse("Q4", &type) && !gust_type_parse("", &type));
  CHECK_EQ_STR(gust_type_name(GUST_TYPE_BF16), "bf16");
}

/* What --type offers, and what errors say there is, are the types, the newest first. */
static void type_names(void) {
  char choices[64] = "", sentence[64] = "";
  for (int i = GUST_TYPE_COUNT - 1; i >= 0; i--) {
    const char *name = gust_type_name((gust_type)i);
    bool first = i == GUST_TYPE_COUNT - 1;
    snprintf(choices + strlen(choices), sizeof choices - strlen(choices), "%s%s", first ? "" : "|",
             name);
    snprintf(sentence + strlen(sentence), sizeof sentence - strlen(sentence), "%s%s",
             first    ? ""
             : i == 0 ? " or "
                      : ", ",
             name);
  }
  CHECK_EQ_STR(MATRIX_TYPES, choices);
  CHECK_EQ_STR(GUST_TYPE_NAMES, sentence);
}

static void refuse_config(void) {
  gust_header h;
  gust_error err = {0};
  make_header(&h);
  gust_config good = h.config;
  CHECK_EQ_INT(gust_config_check(&good, "here", &err), GUST_OK);
#define REFUSED(change, words)                             \
  do {                                                     \
    gust_config c = good;                                  \
    change;                                                \
    CHECK(gust_config_check(&c, "here", &err) != GUST_OK); \
    CHECK_EQ_STR(err.text, "here: " words);                \
  } while (0)
  REFUSED(c.vocab_size = 0, "vocab_size: expected 1 to 16777216, found 0");
  REFUSED(c.hidden_size = 1u << 21, "hidden_size: expected 1 to 1048576, found 2097152");
  REFUSED(c.layers = 0, "num_hidden_layers: expected 1 to 4096, found 0");
  REFUSED(c.kv_heads = 0, "num_key_value_heads: expected 1 to 4096, found 0");
  REFUSED(c.kv_heads = 3,
          "num_attention_heads: expected a multiple of num_key_value_heads 3, found 8");
  REFUSED(c.head_dim = 7, "head_dim: expected an even number (positions turn pairs), found 7");
  REFUSED(c.rope_theta = 0, "rope_theta: expected a number from 1, found 0");
  REFUSED(c.rope_theta = strtod("nan", NULL), "rope_theta: expected a number from 1, found nan");
  REFUSED(c.norm_eps = 2, "rms_norm_eps: expected a number from 0 to 1, found 2");
  REFUSED(c.bos_id = 100, "bos_token_id: expected less than vocab_size 100, found 100");
  REFUSED(c.eos_ids[1] = -1, "eos_token_id: expected less than vocab_size 100, found -1");
  REFUSED(c.eos_count = 9, "eos_token_id: expected at most 8 ids, found 9");
  REFUSED(c.arch = (gust_arch)7, "architecture: expected 0 (llama) or 1 (mistral), found 7");
#undef REFUSED
  gust_header_clear(&h);
}

static void refuse_prologue(void) {
  gust_header h, out;
  size_t count;
  gust_error err = {0};
  uint8_t *bytes = encode(&h, &count);
#define REFUSED(at, value, file_bytes, words)                                             \
  do {                                                                                    \
    uint8_t kept = bytes[at];                                                             \
    bytes[at] = (uint8_t)(value);                                                         \
    CHECK(gust_header_decode(&out, bytes, count, file_bytes, "m.gust", &err) != GUST_OK); \
    CHECK_CONTAINS(err.text, words);                                                      \
    bytes[at] = kept;                                                                     \
  } while (0)
  REFUSED(0, 'X', h.file_bytes, "m.gust: expected a .gust file, found other content");
  REFUSED(8, 2, h.file_bytes, "m.gust: expected format version 1, found 2");
  REFUSED(12, 1, h.file_bytes, "m.gust: expected flags 0, found 0x1");
  REFUSED(50, 9, h.file_bytes, "m.gust: expected 0 at offset 50, found 9");
  REFUSED(23, 255, h.file_bytes, "m.gust: expected a header of 80 to");
  REFUSED(0, 'G', h.file_bytes - 1, "the file is incomplete or damaged");
  REFUSED(100, bytes[100] ^ 1, h.file_bytes, "m.gust: header checksum: expected");
#undef REFUSED
  free(bytes);
  gust_header_clear(&h);
}

/* Where the payload of the section `tag` begins. */
static size_t section(const uint8_t *bytes, size_t count, const char *tag) {
  for (size_t at = 64; at + 16 <= count;) {
    uint64_t length = 0;
    for (int i = 0; i < 8; i++) length |= (uint64_t)bytes[at + 8 + (size_t)i] << (8 * i);
    if (memcmp(bytes + at, tag, 4) == 0) return at + 16;
    at += 16 + (size_t)(length + 7) / 8 * 8;
  }
  check_fatal("no section", tag);
}

static void refuse_sections(void) {
  static const struct {
    const char *tag;
    int at; /* from the payload; negative reaches the section's head */
    uint8_t value;
    const char *words;
  } damages[] = {
      {"CONF", -8, 88, "section CONF: expected 96 bytes"},
      {"CONF", -16, 'X', "expected known sections, found 'XONF'; use a newer gust"},
      {"CONF", -16, 0xb4, "expected known sections, found tag 0x464e4fb4; use a newer gust"},
      {"CONF", -13, '-', "expected known sections, found tag 0x2d4e4f43; use a newer gust"},
      {"CONF", -12, 1, "expected sections that fill the header"},
      {"CONF", -1, 128, "expected sections that fill the header"},
      {"CONF", 52, 3, "section CONF: expected flags 0 or 1, found 0x3"},
      {"CONF", 20, 3, "num_attention_heads: expected a multiple"},
      {"CONF", 95, 1, "section CONF: expected 0 past its 2 end-of-sequence ids, found 16777216"},
      {"GENR", 3, 0xff, "section GENR: expected temperature in [0, 100]"},
      {"TOKN", -16, 't', "expected a section TOKN, found none"},
      {"TMPL", 3, 0, "section TMPL: expected UTF-8 text without NUL, found a NUL"},
      {"TMPL", 3, 0xff, "section TMPL: expected UTF-8 text without NUL, found other bytes"},
      {"SRCS", 0, 200, "section SRCS: expected 1 to 2 entries"},
      {"SRCS", 0, 1, "section SRCS: entry 1: expected whole"},
      {"SRCS", 8, 0, "section SRCS: entry 0: expected a name of 1 to 255 bytes"},
      {"rcpt", -8, 232, "section rcpt: expected as many bytes as its counts and flags make"},
      {"rcpt", -8, 3, "expected sections that fill the header"},
      {"rcpt", 4, 1, "section rcpt: expected as many bytes"},
      {"rcpt", 7, 255, "section rcpt: expected as many bytes"},
      {"rcpt", 8, 25, "section rcpt: expected a hash of 24 tokens or none"},
      {"rcpt", 8, 0, "section rcpt: expected a hash of 24 tokens or none"},
      {"rcpt", 12, 0, "section rcpt: expected as many bytes"},
      {"rcpt", 12, 3, "section rcpt: expected as many bytes"},
      {"rcpt", 24, 4, "section rcpt: expected known types in ascending order"},
      {"rcpt", 24, 3, "section rcpt: expected known types in ascending order"},
      {"rcpt", 28, 1, "section rcpt: expected known types in ascending order"},
      {"rcpt", 39, 0x7f, "section rcpt: expected known types in ascending order, each with finite"},
      {"rcpt", 47, 0xc0, "section rcpt: expected known types in ascending order, each with finite"},
      {"rcpt", 73, 0, "section rcpt: expected chunks, divergences and their errors in their"},
      {"rcpt", 75, 1, "section rcpt: expected chunks"},
      {"rcpt", 76, 0, "section rcpt: expected chunks"},
      {"rcpt", 76, 1, "section rcpt: expected chunks"},     /* of one chunk there are no errors */
      {"rcpt", 119, 0x7f, "section rcpt: expected chunks"}, /* each figure as NaN */
      {"rcpt", 127, 0x7f, "section rcpt: expected chunks"},
      {"rcpt", 135, 0x7f, "section rcpt: expected chunks"},
      {"rcpt", 143, 0x7f, "section rcpt: expected chunks"},
      {"rcpt", 151, 0x7f, "section rcpt: expected chunks"},
      {"rcpt", 159, 0x7f, "section rcpt: expected chunks"},
      {"rcpt", 167, 0x7f, "section rcpt: expected chunks"},
      {"rcpt", 175, 0x7f, "section rcpt: expected chunks"},
      {"rcpt", 183, 0x7f, "section rcpt: expected chunks"},
      {"rcpt", 191, 0x7f, "section rcpt: expected chunks"},
      {"rcpt", 199, 0x7f, "section rcpt: expected chunks"},
      {"rcpt", 207, 0x7f, "section rcpt: expected chunks"},
      {"rcpt", 215, 0x7f, "section rcpt: expected chunks"},
      {"rcpt", 223, 0x7f, "section rcpt: expected chunks"},
      {"rcpt", 119, 0xbf, "section rcpt: expected chunks"}, /* below 0 */
      {"rcpt", 127, 0xbf, "section rcpt: expected chunks"},
      {"rcpt", 167, 0xbf, "section rcpt: expected chunks"},
      {"rcpt", 183, 0x40, "section rcpt: expected chunks"}, /* a median above the rest */
      {"rcpt", 207, 0x3e, "section rcpt: expected chunks"}, /* a largest below the rest */
      {"rcpt", 215, 0x40, "section rcpt: expected chunks"}, /* more than all agree */
      {"TENS", 3, 1, "section TENS: expected 1 to"},
      {"TENS", 12, 9, "expected a known type and shape, found type 9, rank 2, shape [100, 64]"},
      {"TENS", 16, 7, "expected a known type and shape, found type 2, rank 7"},
      {"TENS", 31, 255, "expected a known type and shape"},
      {"TENS", 40, 1, "expected a multiple of 64 from offset"},
      {"TENS", 47, 1, "expected a multiple of 64 from offset"},
      {"TENS", 48, 1, "bytes of its type and shape, found"},
  };
  gust_header h, out;
  size_t count;
  uint8_t *bytes = encode(&h, &count);
  for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
    gust_error err = {0};
    uint8_t *p = bytes + section(bytes, count, damages[i].tag) + damages[i].at;
    uint8_t kept = *p;
    *p = damages[i].value;
    seal(bytes, count);
    CHECK(gust_header_decode(&out, bytes, count, h.file_bytes, "m.gust", &err) != GUST_OK);
    CHECK_CONTAINS(err.text, damages[i].words);
    CHECK(strncmp(err.text, "m.gust: ", 8) == 0);
    *p = kept;
  }
  free(bytes);
  gust_header_clear(&h);
}

/* A receipt of a later version is none, and one more than once is refused. */
static void other_receipts(void) {
  gust_header h, out;
  gust_error err = {0};
  size_t count;
  uint8_t *bytes = encode(&h, &count);
  size_t at = section(bytes, count, "rcpt");
  bytes[at] = 2;
  memset(bytes + at + 4, 0xff, 20);
  seal(bytes, count);
  CHECK_EQ_INT(gust_header_decode(&out, bytes, count, h.file_bytes, "m", &err), GUST_OK);
  CHECK(!out.receipt.exists && out.receipt.part_count == 0);
  gust_header_clear(&out);
  free(bytes);

  /* The smallest: no hash yet, no quality, no types. */
  h.receipt = (gust_receipt){.exists = true};
  size_t shorter;
  CHECK_EQ_INT(gust_header_encode(&h, &bytes, &shorter, &err), GUST_OK);
  CHECK_EQ_INT(shorter, count - 200);
  CHECK_EQ_INT(gust_header_decode(&out, bytes, shorter, h.file_bytes, "m", &err), GUST_OK);
  CHECK(out.receipt.exists && !out.receipt.measured && out.receipt.prompt_tokens == 0);
  gust_header_clear(&out);
  at = section(bytes, shorter, "rcpt");
  bytes[at + 16] = 1; /* a hash of no tokens */
  seal(bytes, shorter);
  CHECK_EQ_INT(gust_header_decode(&out, bytes, shorter, h.file_bytes, "m", &err), GUST_E_FORMAT);
  CHECK_CONTAINS(err.text, "m: section rcpt: expected a hash of 24 tokens or none");
  free(bytes);
  gust_header_clear(&h);
}

/* What is quoted in an error cannot drive a terminal, nor end the line. */
static void quoted_names(void) {
  gust_error err;
  gust_fail(&err, GUST_E_FORMAT, "%s",
            "a\x1b[1m\n\x7f \xc2\x9b"
            "31m \xc2\xa0\xc3\x9b \xc2");
  CHECK_EQ_STR(err.text, "a?[1m?? ??31m \xc2\xa0\xc3\x9b \xc2");
}

/* Not reached by flipping one byte. */
static void refuse_lists(void) {
  gust_header h, out;
  gust_error err = {0};
  uint8_t *bytes;
  size_t count;
  free(encode(&h, &count));
  strcpy(h.tensors[3].name, "big.weight");
  CHECK_EQ_INT(gust_header_encode(&h, &bytes, &count, &err), GUST_OK);
  CHECK_EQ_INT(gust_header_decode(&out, bytes, count, h.file_bytes, "m", &err), GUST_E_FORMAT);
  CHECK_CONTAINS(err.text, "m: tensor 'big.weight': expected a name of its own, found it twice");
  free(bytes);
  strcpy(h.tensors[3].name, "last.weigh2");
  h.file_bytes += 64;
  CHECK_EQ_INT(gust_header_encode(&h, &bytes, &count, &err), GUST_OK);
  CHECK_EQ_INT(gust_header_decode(&out, bytes, count, h.file_bytes, "m", &err), GUST_E_FORMAT);
  CHECK_CONTAINS(err.text, "m: expected the last tensor to end at");
  free(bytes);
  h.file_bytes -= 64;
  static const char *const names[] = {"t\x1b[31m", "t\n",   "t\x7f",
                                      "t\xc2\x9b", "t\xff", "t\xe2\x82"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    snprintf(h.tensors[3].name, sizeof "last.weight", "%-11.11s", names[i]);
    CHECK_EQ_INT(gust_header_encode(&h, &bytes, &count, &err), GUST_OK);
    CHECK_EQ_INT(gust_header_decode(&out, bytes, count, h.file_bytes, "m", &err), GUST_E_FORMAT);
    CHECK_CONTAINS(err.text,
                   "m: section TENS: entry 3: expected a name in UTF-8 without control characters, "
                   "found 't");
    free(bytes);
  }
  h.tensors[3].name[0] = 0;
  CHECK_EQ_INT(gust_header_encode(&h, &bytes, &count, &err), GUST_E_UNSUPPORTED);
  CHECK_CONTAINS(err.text, "tensor 3: expected a name of 1 to 255 bytes");
  CHECK(bytes == NULL);
  gust_header_clear(&h);
}

/* The copy is exactly as long as it claims, so that a sanitizer sees a read
 * past its end. */
static gust_status decode_copy(const uint8_t *bytes, size_t count, uint64_t file_bytes) {
  gust_header out;
  uint8_t *copy = malloc(count ? count : 1);
  if (!copy) check_fatal("out of memory", "copy");
  memcpy(copy, bytes, count);
  gust_status status = gust_header_decode(&out, copy, count, file_bytes, "m", NULL);
  gust_header_clear(&out);
  free(copy);
  return status;
}

static void fuzz(void) {
  gust_header h;
  size_t count;
  uint8_t *bytes = encode(&h, &count);
  for (size_t n = 0; n < count; n++) {
    CHECK(decode_copy(bytes, n, h.file_bytes) != GUST_OK);
    CHECK(decode_copy(bytes, n, n) != GUST_OK);
  }
  size_t accepted = 0;
  for (size_t bit = 0; bit < 8 * count; bit++) {
    bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    CHECK(decode_copy(bytes, count, h.file_bytes) != GUST_OK);
    if (bit >= 64 * 8) {
      seal(bytes, count);
      accepted += decode_copy(bytes, count, h.file_bytes) == GUST_OK;
    }
    bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    seal(bytes, count);
  }
  /* Texts, checksums and free numbers may well change; structure may not. */
  CHECK(accepted > 0 && accepted < 8 * count / 2 + 8 * 64);
  unsigned long long seed = 3;
  for (int round = 0; round < 20000; round++) {
    uint8_t *damaged = malloc(count);
    if (!damaged) check_fatal("out of memory", "copy");
    memcpy(damaged, bytes, count);
    for (unsigned i = 0; i < 1 + check_random(&seed) % 4; i++) {
      unsigned long long r = check_random(&seed);
      damaged[64 + r % (count - 64)] = (uint8_t)(r >> 40 & 1 ? r >> 48 : 0xff);
    }
    seal(damaged, count);
    decode_copy(damaged, count, h.file_bytes);
    free(damaged);
  }
  free(bytes);
  gust_header_clear(&h);
}

int main(void) {
  round_trip();
  sizes();
  type_names();
  refuse_config();
  refuse_prologue();
  refuse_sections();
  other_receipts();
  quoted_names();
  refuse_lists();
  fuzz();
  return check_finish();
}

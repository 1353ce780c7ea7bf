/* Bytes to header structures. The bytes are hostile until all of this has
 * passed: lengths are checked against what is left before they are used, and
 * counts against the least bytes their entries take. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checksum.h"
#include "format.h"
#include "format_layout.h"
#include "unicode_classes.h"

#define DAMAGED "the file is damaged: download or convert it again"

/* Reading past the end yields zeros and sets `overrun`, so that a row of fields
 * is read first and checked once. */
typedef struct gust_cursor {
  const uint8_t *at;
  size_t left;
  bool overrun;
} gust_cursor;

static const uint8_t *take(gust_cursor *c, size_t bytes) {
  if (c->overrun || bytes > c->left) {
    c->overrun = true;
    return NULL;
  }
  const uint8_t *at = c->at;
  c->at += bytes;
  c->left -= bytes;
  return at;
}

static uint64_t little(const uint8_t *p, size_t bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < bytes; i++) value |= (uint64_t)p[i] << (8 * i);
  return value;
}

static uint64_t take_value(gust_cursor *c, size_t bytes) {
  const uint8_t *p = take(c, bytes);
  return p ? little(p, bytes) : 0;
}

static uint32_t take32(gust_cursor *c) {
  return (uint32_t)take_value(c, 4);
}
static uint64_t take64(gust_cursor *c) {
  return take_value(c, 8);
}

static float take_float(gust_cursor *c) {
  uint32_t bits = take32(c);
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static double take_double(gust_cursor *c) {
  uint64_t bits = take64(c);
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* Zeros up to a multiple of 8; `begin` is where the padded stretch began. */
static bool take_padding(gust_cursor *c, const uint8_t *begin) {
  if (c->overrun) return false;
  while ((size_t)(c->at - begin) % SECTION_ALIGN) {
    const uint8_t *p = take(c, 1);
    if (!p || *p) return false;
  }
  return true;
}

typedef struct gust_decoding {
  gust_header *header;
  const char *path;
  gust_error *err;
} gust_decoding;

/* --- prologue --------------------------------------------------------------- */

gust_status gust_header_size(const uint8_t prologue[GUST_PROLOGUE_BYTES], uint64_t file_bytes,
                             const char *path, size_t *count, gust_error *err) {
  *count = 0;
  if (memcmp(prologue, GUST_FORMAT_MAGIC, 8) != 0)
    return gust_fail(err, GUST_E_FORMAT,
                     "%s: expected a .gust file, found other content; make one with: gust convert",
                     path);
  uint64_t version = little(prologue + PROLOGUE_VERSION, 4);
  if (version != GUST_FORMAT_VERSION)
    return gust_fail(err, GUST_E_UNSUPPORTED,
                     "%s: expected format version %u, found %u; convert it again with this gust",
                     path, GUST_FORMAT_VERSION, (unsigned)version);
  uint64_t flags = little(prologue + PROLOGUE_FLAGS, 4);
  if (flags)
    return gust_fail(err, GUST_E_UNSUPPORTED, "%s: expected flags 0, found 0x%x; " DAMAGED, path,
                     (unsigned)flags);
  for (size_t i = PROLOGUE_RESERVED; i < GUST_PROLOGUE_BYTES; i++)
    if (prologue[i])
      return gust_fail(err, GUST_E_FORMAT, "%s: expected 0 at offset %zu, found %u; " DAMAGED, path,
                       i, prologue[i]);
  uint64_t stated = little(prologue + PROLOGUE_FILE_BYTES, 8);
  if (stated != file_bytes)
    return gust_fail(err, GUST_E_FORMAT,
                     "%s: expected %llu bytes as its header says, found %llu; the file is "
                     "incomplete or damaged: download or convert it again",
                     path, (unsigned long long)stated, (unsigned long long)file_bytes);
  uint64_t header = little(prologue + PROLOGUE_HEADER_BYTES, 8);
  uint64_t most = file_bytes < GUST_MAX_HEADER_BYTES ? file_bytes : GUST_MAX_HEADER_BYTES;
  if (header < GUST_PROLOGUE_BYTES + SECTION_HEAD || header > most || header % SECTION_ALIGN)
    return gust_fail(
        err, GUST_E_FORMAT, "%s: expected a header of %u to %llu bytes, found %llu; " DAMAGED, path,
        GUST_PROLOGUE_BYTES + SECTION_HEAD, (unsigned long long)most, (unsigned long long)header);
  *count = (size_t)header;
  return GUST_OK;
}

/* --- sections ------------------------------------------------------------------ */

static gust_status decode_config(gust_decoding *d, gust_cursor c) {
  gust_config *config = &d->header->config;
  uint32_t arch = take32(&c);
  config->arch = (gust_arch)arch;
  config->vocab_size = take32(&c);
  config->hidden_size = take32(&c);
  config->intermediate_size = take32(&c);
  config->layers = take32(&c);
  config->heads = take32(&c);
  config->kv_heads = take32(&c);
  config->head_dim = take32(&c);
  config->max_positions = take32(&c);
  config->sliding_window = take32(&c);
  config->rope_theta = take_double(&c);
  config->norm_eps = take_float(&c);
  uint32_t flags = take32(&c);
  config->tied_head = flags & CONFIG_FLAG_TIED_HEAD;
  config->bos_id = (int32_t)take32(&c);
  config->eos_count = take32(&c);
  for (int i = 0; i < GUST_MAX_EOS; i++) config->eos_ids[i] = (int32_t)take32(&c);
  if (c.overrun || c.left)
    return gust_fail(d->err, GUST_E_FORMAT,
                     "%s: section CONF: expected %u bytes, found another number; " DAMAGED, d->path,
                     CONFIG_BYTES);
  if (flags & ~CONFIG_FLAG_TIED_HEAD)
    return gust_fail(d->err, GUST_E_UNSUPPORTED,
                     "%s: section CONF: expected flags 0 or 1, found 0x%x; use a newer gust",
                     d->path, flags);
  for (uint32_t i = config->eos_count; i < GUST_MAX_EOS; i++)
    if (config->eos_ids[i])
      return gust_fail(
          d->err, GUST_E_FORMAT,
          "%s: section CONF: expected 0 past its %u end-of-sequence ids, found %d; " DAMAGED,
          d->path, config->eos_count, (int)config->eos_ids[i]);
  return gust_config_check(config, d->path, d->err);
}

static gust_status decode_generation(gust_decoding *d, gust_cursor c) {
  gust_generation *g = &d->header->generation;
  g->temperature = take_float(&c);
  g->top_p = take_float(&c);
  g->min_p = take_float(&c);
  g->repeat_penalty = take_float(&c);
  g->top_k = take32(&c);
  g->max_new_tokens = take32(&c);
  if (c.overrun || c.left)
    return gust_fail(d->err, GUST_E_FORMAT,
                     "%s: section GENR: expected %u bytes, found another number; " DAMAGED, d->path,
                     GENERATION_BYTES);
  /* Written so that NaN fails too. */
  bool sane = g->temperature >= 0 && g->temperature <= 100 && g->top_p > 0 && g->top_p <= 1 &&
              g->min_p >= 0 && g->min_p <= 1 && g->repeat_penalty > 0 && g->repeat_penalty <= 100;
  if (!sane)
    return gust_fail(
        d->err, GUST_E_FORMAT,
        "%s: section GENR: expected temperature in [0, 100], top_p in (0, 1], min_p in "
        "[0, 1], repeat_penalty in (0, 100], found %g, %g, %g, %g; " DAMAGED,
        d->path, (double)g->temperature, (double)g->top_p, (double)g->min_p,
        (double)g->repeat_penalty);
  return GUST_OK;
}

static gust_status decode_tokenizer(gust_decoding *d, gust_cursor c) {
  if (!c.left)
    return gust_fail(d->err, GUST_E_FORMAT, "%s: section TOKN: expected data, found none; " DAMAGED,
                     d->path);
  d->header->tokenizer = malloc(c.left);
  if (!d->header->tokenizer) return gust_fail_memory(d->err, "tokenizer", c.left);
  memcpy(d->header->tokenizer, c.at, c.left);
  d->header->tokenizer_bytes = c.left;
  return GUST_OK;
}

static gust_status decode_template(gust_decoding *d, gust_cursor c) {
  const char *found = !c.left                                        ? "nothing"
                      : memchr(c.at, 0, c.left)                      ? "a NUL"
                      : !gust_utf8_valid((const char *)c.at, c.left) ? "other bytes"
                                                                     : NULL;
  if (found)
    return gust_fail(d->err, GUST_E_FORMAT,
                     "%s: section TMPL: expected UTF-8 text without NUL, found %s; " DAMAGED,
                     d->path, found);
  char *text = malloc(c.left + 1);
  if (!text) return gust_fail_memory(d->err, "chat template", c.left + 1);
  memcpy(text, c.at, c.left);
  text[c.left] = 0;
  d->header->chat_template = text;
  return GUST_OK;
}

/* Reads a list's count and checks it against the least its entries take. */
static gust_status take_list(gust_decoding *d, gust_cursor *c, const char *tag, size_t least,
                             size_t *count) {
  uint32_t stated = take32(c), zero = take32(c);
  if (c->overrun || zero || stated == 0 || stated > c->left / least)
    return gust_fail(
        d->err, GUST_E_FORMAT,
        "%s: section %s: expected 1 to %zu entries in its %zu bytes, found %u; " DAMAGED, d->path,
        tag, c->left / least, c->left, stated);
  *count = stated;
  return GUST_OK;
}

static gust_status take_name(gust_decoding *d, gust_cursor *c, const char *tag, size_t index,
                             uint32_t bytes, char **name) {
  const uint8_t *text = take(c, bytes);
  if (!text || bytes == 0 || bytes > MAX_NAME_BYTES || memchr(text, 0, bytes))
    return gust_fail(d->err, GUST_E_FORMAT,
                     "%s: section %s: entry %zu: expected a name of 1 to %u bytes without NUL, "
                     "found %u bytes; " DAMAGED,
                     d->path, tag, index, MAX_NAME_BYTES, bytes);
  *name = malloc((size_t)bytes + 1);
  if (!*name) return gust_fail_memory(d->err, "a name in the file header", (size_t)bytes + 1);
  memcpy(*name, text, bytes);
  (*name)[bytes] = 0;
  size_t at = 0;
  while (at < bytes && !gust_control_bytes(*name + at)) at++;
  if (at == bytes && gust_utf8_valid(*name, bytes)) return GUST_OK;
  return gust_fail(
      d->err, GUST_E_FORMAT,
      "%s: section %s: entry %zu: expected a name in UTF-8 without control characters, "
      "found '%.80s'; " DAMAGED,
      d->path, tag, index, *name);
}

static gust_status fail_entry(gust_decoding *d, const char *tag, size_t index) {
  return gust_fail(d->err, GUST_E_FORMAT,
                   "%s: section %s: entry %zu: expected whole, zero-padded entries, found other "
                   "bytes; " DAMAGED,
                   d->path, tag, index);
}

static gust_status decode_sources(gust_decoding *d, gust_cursor c) {
  const uint8_t *begin = c.at;
  size_t count = 0;
  gust_status status = take_list(d, &c, "SRCS", SOURCE_BYTES, &count);
  if (status) return status;
  gust_source *sources = d->header->sources = calloc(count, sizeof *sources);
  if (!sources) return gust_fail_memory(d->err, "source list", count * sizeof *sources);
  d->header->source_count = count;
  for (size_t i = 0; i < count; i++) {
    uint32_t name_bytes = take32(&c), zero = take32(&c);
    sources[i].bytes = take64(&c);
    const uint8_t *digest = take(&c, sizeof sources[i].sha256);
    if (!digest || zero) return fail_entry(d, "SRCS", i);
    memcpy(sources[i].sha256, digest, sizeof sources[i].sha256);
    status = take_name(d, &c, "SRCS", i, name_bytes, &sources[i].name);
    if (status) return status;
    if (!take_padding(&c, begin)) return fail_entry(d, "SRCS", i);
  }
  return c.left ? fail_entry(d, "SRCS", count) : GUST_OK;
}

static gust_status fail_receipt(gust_decoding *d, const char *expected) {
  return gust_fail(d->err, GUST_E_FORMAT,
                   "%s: section rcpt: expected %s, found other content; " DAMAGED, d->path,
                   expected);
}

/* Written so that NaN fails too. */
static bool is_amount(double value) {
  return isfinite(value) && value >= 0;
}

/* Of a mean over `chunks` chunks; of one there is none. */
static bool is_error(double se, uint32_t chunks) {
  return chunks == 1 ? se == -1 : is_amount(se);
}

static bool quality_is_sane(const gust_quality *q) {
  uint32_t n = q->chunks;
  return q->chunk >= 4 && q->chunk <= 1u << 24 && n >= 1 && is_amount(q->nll) &&
         is_amount(q->reference_nll) && isfinite(q->nll_difference) && is_amount(q->kl_mean) &&
         is_amount(q->kl_median) && q->kl_median <= q->kl_p99 && q->kl_p99 <= q->kl_p999 &&
         q->kl_p999 <= q->kl_max && is_amount(q->kl_max) && q->top1_agree >= 0 &&
         q->top1_agree <= 1 && is_error(q->nll_se, n) && is_error(q->reference_nll_se, n) &&
         is_error(q->nll_difference_se, n) && is_error(q->kl_mean_se, n) &&
         is_error(q->top1_agree_se, n);
}

static gust_status decode_quality(gust_decoding *d, gust_cursor *c, gust_quality *q) {
  double *const figures[] = {&q->nll,
                             &q->nll_se,
                             &q->reference_nll,
                             &q->reference_nll_se,
                             &q->nll_difference,
                             &q->nll_difference_se,
                             &q->kl_mean,
                             &q->kl_mean_se,
                             &q->kl_median,
                             &q->kl_p99,
                             &q->kl_p999,
                             &q->kl_max,
                             &q->top1_agree,
                             &q->top1_agree_se};
  q->chunk = take32(c);
  q->chunks = take32(c);
  const uint8_t *digest = take(c, sizeof q->text_sha256);
  if (digest) memcpy(q->text_sha256, digest, sizeof q->text_sha256);
  for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) *figures[i] = take_double(c);
  if (quality_is_sane(q)) return GUST_OK;
  return fail_receipt(d, "chunks, divergences and their errors in their ranges");
}

static gust_status decode_receipt_parts(gust_decoding *d, gust_cursor *c, gust_receipt *r) {
  for (size_t i = 0; i < r->part_count; i++) {
    gust_receipt_part *part = &r->parts[i];
    part->type = (gust_type)take32(c);
    uint32_t zero = take32(c);
    part->error = take_double(c);
    part->energy = take_double(c);
    if ((unsigned)part->type >= GUST_TYPE_COUNT || zero || !is_amount(part->error) ||
        !is_amount(part->energy) || (i > 0 && part->type <= r->parts[i - 1].type))
      return fail_receipt(d, "known types in ascending order, each with finite sums");
  }
  return GUST_OK;
}

static gust_status decode_receipt(gust_decoding *d, gust_cursor c) {
  gust_receipt *r = &d->header->receipt;
  size_t length = c.left;
  if (take32(&c) != RECEIPT_VERSION && !c.overrun) return GUST_OK; /* of a later gust: skipped */
  uint32_t parts = take32(&c);
  r->prompt_tokens = take32(&c);
  uint32_t flags = take32(&c);
  r->logits_hash = take64(&c);
  r->measured = flags & RECEIPT_FLAG_MEASURED;
  if (c.overrun || parts > GUST_TYPE_COUNT || (flags & ~RECEIPT_FLAG_MEASURED) ||
      length !=
          RECEIPT_HEAD + parts * RECEIPT_PART_BYTES + (r->measured ? RECEIPT_QUALITY_BYTES : 0))
    return fail_receipt(d, "as many bytes as its counts and flags make");
  if (r->prompt_tokens ? r->prompt_tokens != GUST_PROMPT_TOKENS : r->logits_hash != 0)
    return fail_receipt(d, "a hash of 24 tokens or none");
  r->part_count = parts;
  gust_status status = decode_receipt_parts(d, &c, r);
  if (!status && r->measured) status = decode_quality(d, &c, &r->quality);
  r->exists = !status;
  return status;
}

static gust_status decode_tensors(gust_decoding *d, gust_cursor c) {
  const uint8_t *begin = c.at;
  size_t count = 0;
  gust_status status = take_list(d, &c, "TENS", TENSOR_BYTES, &count);
  if (status) return status;
  gust_tensor *tensors = d->header->tensors = calloc(count, sizeof *tensors);
  if (!tensors) return gust_fail_memory(d->err, "tensor list", count * sizeof *tensors);
  d->header->tensor_count = count;
  for (size_t i = 0; i < count; i++) {
    gust_tensor *t = &tensors[i];
    uint32_t name_bytes = take32(&c);
    t->type = (gust_type)take32(&c);
    t->rank = take32(&c);
    uint32_t zero = take32(&c);
    t->shape[0] = take64(&c);
    t->shape[1] = take64(&c);
    t->offset = take64(&c);
    t->bytes = take64(&c);
    t->checksum = take64(&c);
    if (c.overrun || zero) return fail_entry(d, "TENS", i);
    status = take_name(d, &c, "TENS", i, name_bytes, &t->name);
    if (status) return status;
    if (!take_padding(&c, begin)) return fail_entry(d, "TENS", i);
  }
  return c.left ? fail_entry(d, "TENS", count) : GUST_OK;
}

/* --- tensor places ---------------------------------------------------------------- */

static gust_status check_places(gust_decoding *d, size_t header_bytes, uint64_t file_bytes) {
  uint64_t end = header_bytes;
  for (size_t i = 0; i < d->header->tensor_count; i++) {
    const gust_tensor *t = &d->header->tensors[i];
    uint64_t bytes;
    if (!gust_tensor_bytes(t->type, t->rank, t->shape, &bytes))
      return gust_fail(d->err, GUST_E_FORMAT,
                       "%s: tensor '%s': expected a known type and shape, found type %u, rank %u, "
                       "shape [%llu, %llu]; " DAMAGED,
                       d->path, t->name, (unsigned)t->type, t->rank,
                       (unsigned long long)t->shape[0], (unsigned long long)t->shape[1]);
    if (t->bytes != bytes)
      return gust_fail(
          d->err, GUST_E_FORMAT,
          "%s: tensor '%s': expected %llu bytes of its type and shape, found %llu; " DAMAGED,
          d->path, t->name, (unsigned long long)bytes, (unsigned long long)t->bytes);
    if (t->offset % GUST_TENSOR_ALIGN || t->offset < end ||
        t->offset - end >= GUST_LARGE_TENSOR_ALIGN || t->offset > file_bytes ||
        bytes > file_bytes - t->offset)
      return gust_fail(d->err, GUST_E_FORMAT,
                       "%s: tensor '%s': expected a multiple of %u from offset %llu on and inside "
                       "%llu bytes, found offset %llu; " DAMAGED,
                       d->path, t->name, GUST_TENSOR_ALIGN, (unsigned long long)end,
                       (unsigned long long)file_bytes, (unsigned long long)t->offset);
    end = t->offset + bytes;
  }
  if (end != file_bytes)
    return gust_fail(d->err, GUST_E_FORMAT,
                     "%s: expected the last tensor to end at %llu, found %llu; " DAMAGED, d->path,
                     (unsigned long long)file_bytes, (unsigned long long)end);
  return GUST_OK;
}

static int compare_names(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static gust_status check_unique(gust_decoding *d) {
  size_t count = d->header->tensor_count;
  const char **names = malloc(count * sizeof *names);
  if (!names) return gust_fail_memory(d->err, "tensor names", count * sizeof *names);
  for (size_t i = 0; i < count; i++) names[i] = d->header->tensors[i].name;
  qsort(names, count, sizeof *names, compare_names);
  gust_status status = GUST_OK;
  for (size_t i = 1; i < count && !status; i++)
    if (strcmp(names[i - 1], names[i]) == 0)
      status = gust_fail(d->err, GUST_E_FORMAT,
                         "%s: tensor '%s': expected a name of its own, found it twice; " DAMAGED,
                         d->path, names[i]);
  free(names);
  return status;
}

/* --- the whole ---------------------------------------------------------------------- */

typedef gust_status decode_section_fn(gust_decoding *d, gust_cursor payload);

static const struct section {
  uint32_t tag;
  const char *name;
  decode_section_fn *decode;
  bool required;
} sections[] = {
    {TAG_CONFIG, "CONF", decode_config, true},
    {TAG_GENERATION, "GENR", decode_generation, true},
    {TAG_TOKENIZER, "TOKN", decode_tokenizer, true},
    {TAG_TEMPLATE, "TMPL", decode_template, false},
    {TAG_SOURCES, "SRCS", decode_sources, false},
    {TAG_RECEIPT, "rcpt", decode_receipt, false},
    {TAG_TENSORS, "TENS", decode_tensors, true},
};
#define SECTION_COUNT (sizeof sections / sizeof *sections)

/* As its four letters, or as a number when it is none. */
static void spell_tag(uint32_t tag, char spelled[16]) {
  char letters[5] = "";
  for (int i = 0; i < 4; i++) {
    uint32_t c = tag >> 8 * i & 0xff;
    bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    if (!letter) {
      snprintf(spelled, 16, "tag 0x%08x", (unsigned)tag);
      return;
    }
    letters[i] = (char)c;
  }
  snprintf(spelled, 16, "'%s'", letters);
}

static gust_status decode_section(gust_decoding *d, uint32_t tag, gust_cursor payload,
                                  unsigned *seen) {
  for (size_t i = 0; i < SECTION_COUNT; i++) {
    if (sections[i].tag != tag) continue;
    if (*seen & 1u << i)
      return gust_fail(d->err, GUST_E_FORMAT,
                       "%s: section %s: expected once, found twice; " DAMAGED, d->path,
                       sections[i].name);
    *seen |= 1u << i;
    return sections[i].decode(d, payload);
  }
  /* A small first letter marks what readers that do not know it may skip. */
  if ((tag & 0xff) >= 'a' && (tag & 0xff) <= 'z') return GUST_OK;
  char spelled[16];
  spell_tag(tag, spelled);
  return gust_fail(d->err, GUST_E_UNSUPPORTED,
                   "%s: expected known sections, found %s; use a newer gust", d->path, spelled);
}

static gust_status decode_sections(gust_decoding *d, gust_cursor c) {
  unsigned seen = 0;
  while (c.left) {
    const uint8_t *begin = c.at;
    uint32_t tag = take32(&c), zero = take32(&c);
    uint64_t bytes = take64(&c);
    gust_cursor payload = {c.at, (size_t)bytes, false};
    if (c.overrun || zero || bytes > c.left || !take(&c, (size_t)bytes) || !take_padding(&c, begin))
      return gust_fail(d->err, GUST_E_FORMAT,
                       "%s: expected sections that fill the header, found one of %llu bytes with "
                       "%zu left; " DAMAGED,
                       d->path, (unsigned long long)bytes, c.left);
    gust_status status = decode_section(d, tag, payload, &seen);
    if (status) return status;
  }
  for (size_t i = 0; i < SECTION_COUNT; i++)
    if (sections[i].required && !(seen & 1u << i))
      return gust_fail(d->err, GUST_E_FORMAT, "%s: expected a section %s, found none; " DAMAGED,
                       d->path, sections[i].name);
  return GUST_OK;
}

gust_status gust_header_decode(gust_header *header, const uint8_t *bytes, size_t count,
                               uint64_t file_bytes, const char *path, gust_error *err) {
  memset(header, 0, sizeof *header);
  if (count < GUST_PROLOGUE_BYTES)
    return gust_fail(err, GUST_E_FORMAT,
                     "%s: expected a .gust file of at least %u bytes, found %zu; " DAMAGED, path,
                     GUST_PROLOGUE_BYTES, count);
  size_t header_bytes;
  gust_status status = gust_header_size(bytes, file_bytes, path, &header_bytes, err);
  if (status) return status;
  if (count < header_bytes)
    return gust_fail(err, GUST_E_FORMAT, "%s: expected a header of %zu bytes, found %zu; " DAMAGED,
                     path, header_bytes, count);
  gust_xxh64 sum;
  gust_xxh64_begin(&sum, 0);
  gust_xxh64_update(&sum, bytes, PROLOGUE_SUMMED);
  gust_xxh64_update(&sum, bytes + GUST_PROLOGUE_BYTES, header_bytes - GUST_PROLOGUE_BYTES);
  uint64_t found = gust_xxh64_end(&sum), stated = little(bytes + PROLOGUE_CHECKSUM, 8);
  if (found != stated)
    return gust_fail(err, GUST_E_FORMAT,
                     "%s: header checksum: expected %016llx, found %016llx; " DAMAGED, path,
                     (unsigned long long)stated, (unsigned long long)found);

  gust_decoding d = {header, path, err};
  gust_cursor c = {bytes + GUST_PROLOGUE_BYTES, header_bytes - GUST_PROLOGUE_BYTES, false};
  status = decode_sections(&d, c);
  if (!status) status = check_places(&d, header_bytes, file_bytes);
  if (!status) status = check_unique(&d);
  header->file_bytes = file_bytes;
  if (status) gust_header_clear(header);
  return status;
}

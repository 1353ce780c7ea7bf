/* tokenizer.json: the pieces and merges are taken over; the pipeline around them
 * (normalizer, pre-tokenizer, post-processor, decoder) is matched against what
 * gust runs, and anything else is refused with its place and name. */
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "piece_index.h"
#include "tokenizer_import.h"

#define MARK "\xe2\x96\x81" /* U+2581 */
#define MAX_PIECES (1 << 24)
#define MAX_AFFIXES 16

typedef struct importer {
  json_document *doc;
  const json_value *root, *model;
  gust_vocabulary *vocabulary;
  piece_index index; /* the model's own pieces */
  gust_error *err;
} importer;

/* Fails at `value`: "NAME": expected EXPECTED, found what is there. */
static gust_status refuse(const importer *im, const json_value *value, const char *name,
                          const char *expected) {
  size_t bytes;
  const char *text = json_text(value, &bytes);
  if (text)
    return json_fail(im->doc, value, GUST_E_UNSUPPORTED, im->err,
                     "\"%s\": expected %s, found \"%.*s\"", name, expected,
                     (int)(bytes < 60 ? bytes : 60), text);
  bool truth;
  const char *found = json_type_name(json_type_of(value));
  if (json_bool(value, &truth)) found = truth ? "true" : "false";
  return json_fail(im->doc, value, GUST_E_UNSUPPORTED, im->err, "\"%s\": expected %s, found %s",
                   name, expected, found);
}

static bool is_null(const json_value *value) {
  return json_type_of(value) == JSON_NULL;
}

static bool type_is(const json_value *value, const char *type) {
  return json_text_is(json_get(value, "type"), type);
}

/* A step of the pipeline is refused by its type where it has one. */
static gust_status refuse_step(const importer *im, const json_value *step, const char *name,
                               const char *expected) {
  const json_value *type = json_get(step, "type");
  return refuse(im, type ? type : step, name, expected);
}

/* --- pieces ------------------------------------------------------------------------ */

static gust_status set_piece(importer *im, const json_value *place, uint32_t id, const char *text,
                             size_t bytes) {
  if (bytes == 0 || bytes > GUST_MAX_PIECE_BYTES)
    return json_fail(im->doc, place, GUST_E_UNSUPPORTED, im->err,
                     "expected a piece of 1 to %u bytes, found %zu", GUST_MAX_PIECE_BYTES, bytes);
  if (!piece_set_text(&im->vocabulary->pieces[id], text, bytes))
    return gust_fail_memory(im->err, "a piece", bytes);
  return GUST_OK;
}

static gust_status read_model_pieces(importer *im, const json_value *vocab, uint32_t room) {
  for (const json_value *v = json_first(vocab); v; v = json_next(vocab, v)) {
    size_t bytes;
    const char *text = json_key(v, &bytes);
    int64_t id;
    if (!json_int64(v, 0, (int64_t)room - 1, &id))
      return json_fail(im->doc, v, GUST_E_FORMAT, im->err,
                       "\"vocab\": expected an id from 0 to %u for \"%.*s\", found another value",
                       room - 1, (int)(bytes < 60 ? bytes : 60), text);
    const gust_piece *piece = &im->vocabulary->pieces[id];
    if (piece->text)
      return json_fail(im->doc, v, GUST_E_FORMAT, im->err,
                       "\"vocab\": expected each id once, found %u for \"%.*s\" and \"%.*s\"",
                       (unsigned)id, (int)(piece->bytes < 60 ? piece->bytes : 60), piece->text,
                       (int)(bytes < 60 ? bytes : 60), text);
    gust_status status = set_piece(im, v, (uint32_t)id, text, bytes);
    if (status) return status;
  }
  return GUST_OK;
}

static gust_status read_added_flags(importer *im, const json_value *token, uint32_t *flags) {
  static const struct {
    const char *name;
    uint32_t flag;
  } names[] = {{"special", GUST_PIECE_SPECIAL},
               {"lstrip", GUST_PIECE_LSTRIP},
               {"rstrip", GUST_PIECE_RSTRIP},
               {"normalized", GUST_PIECE_NORMALIZED},
               {"single_word", GUST_PIECE_SINGLE_WORD}};
  *flags = GUST_PIECE_ADDED;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    bool set;
    gust_status status = json_need_bool(im->doc, token, names[i].name, &set, im->err);
    if (status) return status;
    if (set) *flags |= names[i].flag;
  }
  return GUST_OK;
}

static gust_status read_added_token(importer *im, const json_value *token, uint32_t room) {
  const json_value *content;
  int64_t id;
  uint32_t flags;
  gust_status status = json_need(im->doc, token, "content", JSON_STRING, &content, im->err);
  if (!status) status = json_need_int64(im->doc, token, "id", 0, (int64_t)room - 1, &id, im->err);
  if (!status) status = read_added_flags(im, token, &flags);
  if (status) return status;
  size_t bytes;
  const char *text = json_text(content, &bytes);
  gust_piece *piece = &im->vocabulary->pieces[id];
  if (!piece->text) {
    status = set_piece(im, content, (uint32_t)id, text, bytes);
    if (status) return status;
    flags |= GUST_PIECE_OUTSIDE;
  } else if ((piece->flags & GUST_PIECE_ADDED) || piece->bytes != bytes ||
             memcmp(piece->text, text, bytes) != 0) {
    return json_fail(im->doc, content, GUST_E_FORMAT, im->err,
                     "\"added_tokens\": expected \"%.*s\", which has id %u already, found \"%.*s\"",
                     (int)(piece->bytes < 60 ? piece->bytes : 60), piece->text, (unsigned)id,
                     (int)(bytes < 60 ? bytes : 60), text);
  }
  piece->flags |= flags;
  return GUST_OK;
}

/* Ids must run from 0 without gaps: a model has one row for each. */
static gust_status check_gaps(importer *im, const json_value *vocab, uint32_t room) {
  gust_vocabulary *v = im->vocabulary;
  while (room && !v->pieces[room - 1].text) room--;
  v->piece_count = room;
  for (uint32_t i = 0; i < room; i++) {
    if (!v->pieces[i].text)
      return json_fail(im->doc, vocab, GUST_E_UNSUPPORTED, im->err,
                       "\"vocab\": expected ids without gaps, found none with id %u below %u", i,
                       room - 1);
  }
  return GUST_OK;
}

static gust_status read_pieces(importer *im) {
  const json_value *vocab, *added = json_get(im->root, "added_tokens");
  gust_status status = json_need(im->doc, im->model, "vocab", JSON_OBJECT, &vocab, im->err);
  if (status) return status;
  if (!is_null(added) && !json_is(added, JSON_ARRAY))
    return refuse(im, added, "added_tokens", "an array");
  size_t room = json_count(vocab) + json_count(added);
  if (room == 0 || room > MAX_PIECES)
    return json_fail(im->doc, vocab, GUST_E_UNSUPPORTED, im->err,
                     "\"vocab\": expected 1 to %d pieces, found %zu", MAX_PIECES, room);
  im->vocabulary->pieces = calloc(room, sizeof *im->vocabulary->pieces);
  if (!im->vocabulary->pieces)
    return gust_fail_memory(im->err, "a vocabulary", room * sizeof *im->vocabulary->pieces);
  im->vocabulary->piece_count = (uint32_t)room;
  status = read_model_pieces(im, vocab, (uint32_t)room);
  for (const json_value *v = json_first(added); v && !status; v = json_next(added, v))
    status = read_added_token(im, v, (uint32_t)room);
  return status ? status : check_gaps(im, vocab, (uint32_t)room);
}

/* --- merges ------------------------------------------------------------------------ */

/* The two halves of "a b" or ["a", "b"]. */
static bool merge_halves(const json_value *merge, const char *text[2], size_t bytes[2]) {
  if (json_is(merge, JSON_STRING)) {
    size_t all;
    text[0] = json_text(merge, &all);
    const char *space = memchr(text[0], ' ', all);
    if (!space) return false;
    bytes[0] = (size_t)(space - text[0]);
    text[1] = space + 1;
    bytes[1] = all - bytes[0] - 1;
    return !memchr(text[1], ' ', bytes[1]);
  }
  if (!json_is(merge, JSON_ARRAY) || json_count(merge) != 2) return false;
  const json_value *first = json_first(merge);
  text[0] = json_text(first, &bytes[0]);
  text[1] = json_text(json_next(merge, first), &bytes[1]);
  return text[0] && text[1];
}

static gust_status read_merge(importer *im, const json_value *value, uint32_t rank,
                              gust_merge *merge) {
  const char *text[2];
  size_t bytes[2];
  if (!merge_halves(value, text, bytes))
    return json_fail(im->doc, value, GUST_E_FORMAT, im->err,
                     "\"merges\": expected \"a b\" or [\"a\", \"b\"], found another value");
  int32_t left = piece_index_find(&im->index, text[0], bytes[0]);
  int32_t right = piece_index_find(&im->index, text[1], bytes[1]);
  char joined[2 * GUST_MAX_PIECE_BYTES];
  if (left >= 0 && right >= 0) {
    memcpy(joined, text[0], bytes[0]);
    memcpy(joined + bytes[0], text[1], bytes[1]);
    int32_t result = piece_index_find(&im->index, joined, bytes[0] + bytes[1]);
    if (result >= 0) {
      *merge = (gust_merge){(uint32_t)left, (uint32_t)right, (uint32_t)result, rank};
      return GUST_OK;
    }
  }
  return json_fail(im->doc, value, GUST_E_FORMAT, im->err,
                   "\"merges\": expected pieces of the vocabulary, found \"%.*s\" and \"%.*s\" to "
                   "be joined",
                   (int)(bytes[0] < 60 ? bytes[0] : 60), text[0],
                   (int)(bytes[1] < 60 ? bytes[1] : 60), text[1]);
}

static gust_status read_merges(importer *im) {
  const json_value *merges;
  gust_status status = json_need(im->doc, im->model, "merges", JSON_ARRAY, &merges, im->err);
  if (!status) status = piece_index_create(&im->index, im->vocabulary, GUST_PIECE_OUTSIDE, im->err);
  if (status) return status;
  size_t count = json_count(merges), bytes = (count + 1) * sizeof *im->vocabulary->merges;
  im->vocabulary->merges = malloc(bytes);
  if (!im->vocabulary->merges) return gust_fail_memory(im->err, "merges", bytes);
  uint32_t rank = 0;
  for (const json_value *v = json_first(merges); v; v = json_next(merges, v), rank++) {
    status = read_merge(im, v, rank, &im->vocabulary->merges[rank]);
    if (status) return status;
  }
  im->vocabulary->merge_count = rank;
  return GUST_OK;
}

/* --- the model's options -------------------------------------------------------------- */

/* A member that must be absent, null, "" or 0 for the model to be plain BPE. */
static gust_status need_unset(importer *im, const char *name) {
  const json_value *value = json_get(im->model, name);
  double number;
  if (is_null(value) || json_text_is(value, "")) return GUST_OK;
  if (json_double(value, &number) && number == 0) return GUST_OK;
  return refuse(im, value, name, "null");
}

static gust_status optional_bool(importer *im, const json_value *object, const char *name,
                                 bool absent, bool *truth) {
  *truth = absent;
  if (is_null(json_get(object, name))) return GUST_OK;
  return json_need_bool(im->doc, object, name, truth, im->err);
}

static gust_status read_unk(importer *im) {
  const json_value *unk = json_get(im->model, "unk_token");
  im->vocabulary->unk_id = -1;
  if (is_null(unk)) return GUST_OK;
  size_t bytes;
  const char *text = json_text(unk, &bytes);
  if (!text) return refuse(im, unk, "unk_token", "a string or null");
  im->vocabulary->unk_id = piece_index_find(&im->index, text, bytes);
  if (im->vocabulary->unk_id < 0) return refuse(im, unk, "unk_token", "a piece of the vocabulary");
  return GUST_OK;
}

static gust_status read_model(importer *im) {
  static const char *const unset[] = {"dropout", "continuing_subword_prefix", "end_of_word_suffix"};
  const json_value *type = json_get(im->model, "type");
  if (!json_text_is(type, "BPE"))
    return refuse(im, type ? type : im->model, "model type", "\"BPE\"");
  for (size_t i = 0; i < sizeof unset / sizeof *unset; i++) {
    gust_status status = need_unset(im, unset[i]);
    if (status) return status;
  }
  gust_vocabulary *v = im->vocabulary;
  bool ignore_merges;
  gust_status status = optional_bool(im, im->model, "ignore_merges", false, &ignore_merges);
  if (!status && ignore_merges)
    return refuse(im, json_get(im->model, "ignore_merges"), "ignore_merges", "false");
  if (!status) status = optional_bool(im, im->model, "fuse_unk", false, &v->fuse_unk);
  if (!status) status = optional_bool(im, im->model, "byte_fallback", false, &v->byte_fallback);
  if (!status) status = read_pieces(im);
  if (!status) status = read_merges(im);
  if (!status) status = read_unk(im);
  return status;
}

/* --- normalizer and pre-tokenizer -------------------------------------------------------- */

static gust_status read_normalizer_step(importer *im, const json_value *step) {
  gust_vocabulary *v = im->vocabulary;
  if (type_is(step, "Prepend") && !v->add_prefix) {
    if (!json_text_is(json_get(step, "prepend"), MARK))
      return refuse(im, json_get(step, "prepend"), "normalizer", "Prepend of U+2581");
    v->add_prefix = true;
    return GUST_OK;
  }
  if (type_is(step, "Replace")) {
    const json_value *pattern = json_get(step, "pattern");
    if (!json_text_is(json_get(pattern, "String"), " ") ||
        !json_text_is(json_get(step, "content"), MARK))
      return refuse(im, pattern, "normalizer", "Replace of \" \" by U+2581");
    v->keep_spaces = false;
    return GUST_OK;
  }
  return refuse_step(im, step, "normalizer", "one Prepend, one Replace or a Sequence of them");
}

static gust_status read_normalizer(importer *im, const json_value *normalizer) {
  im->vocabulary->keep_spaces = true;
  if (is_null(normalizer)) return GUST_OK;
  if (!type_is(normalizer, "Sequence")) return read_normalizer_step(im, normalizer);
  const json_value *steps;
  gust_status status = json_need(im->doc, normalizer, "normalizers", JSON_ARRAY, &steps, im->err);
  for (const json_value *v = status ? NULL : json_first(steps); v && !status;
       v = json_next(steps, v))
    status = read_normalizer_step(im, v);
  return status;
}

static gust_status read_prepend_scheme(importer *im, const json_value *metaspace) {
  gust_vocabulary *v = im->vocabulary;
  const json_value *scheme = json_get(metaspace, "prepend_scheme");
  bool legacy; /* older files say it with a truth value alone */
  gust_status status = optional_bool(im, metaspace, "add_prefix_space", true, &legacy);
  if (status) return status;
  v->add_prefix = is_null(scheme) ? legacy : !json_text_is(scheme, "never");
  v->prefix_once = json_text_is(scheme, "first");
  if (!is_null(scheme) && v->add_prefix && !v->prefix_once && !json_text_is(scheme, "always"))
    return refuse(im, scheme, "prepend_scheme", "\"always\", \"first\" or \"never\"");
  return GUST_OK;
}

static gust_status read_pre_tokenizer(importer *im, const json_value *pre_tokenizer) {
  gust_vocabulary *v = im->vocabulary;
  if (is_null(pre_tokenizer)) return GUST_OK;
  if (!type_is(pre_tokenizer, "Metaspace"))
    return refuse_step(im, pre_tokenizer, "pre_tokenizer", "null or Metaspace");
  if (!is_null(json_get(im->root, "normalizer")))
    return refuse_step(im, json_get(im->root, "normalizer"), "normalizer", "null with Metaspace");
  const json_value *replacement = json_get(pre_tokenizer, "replacement");
  if (!json_text_is(replacement, MARK)) return refuse(im, replacement, "replacement", "U+2581");
  bool split;
  gust_status status = optional_bool(im, pre_tokenizer, "split", true, &split);
  if (!status && split) {
    const json_value *value = json_get(pre_tokenizer, "split");
    return refuse(im, value ? value : pre_tokenizer, "split", "false");
  }
  if (status) return status;
  v->metaspace = true;
  v->keep_spaces = false;
  return read_prepend_scheme(im, pre_tokenizer);
}

/* --- post-processor ------------------------------------------------------------------------ */

/* Appends the ids a template's special token stands for. */
static gust_status add_affix(importer *im, const json_value *processor, const json_value *token,
                             int32_t *ids, uint32_t *count) {
  const json_value *name, *tokens, *entry = NULL, *list;
  gust_status status = json_need(im->doc, token, "id", JSON_STRING, &name, im->err);
  if (!status)
    status = json_need(im->doc, processor, "special_tokens", JSON_OBJECT, &tokens, im->err);
  if (status) return status;
  size_t bytes, key_bytes;
  const char *text = json_text(name, &bytes);
  for (const json_value *v = json_first(tokens); v && !entry; v = json_next(tokens, v)) {
    const char *key = json_key(v, &key_bytes);
    if (key_bytes == bytes && memcmp(key, text, bytes) == 0) entry = v;
  }
  if (!entry) return refuse(im, name, "post_processor", "one of its special_tokens");
  status = json_need(im->doc, entry, "ids", JSON_ARRAY, &list, im->err);
  if (status) return status;
  for (const json_value *v = json_first(list); v; v = json_next(list, v)) {
    int64_t id;
    if (*count == MAX_AFFIXES) return refuse(im, list, "post_processor", "at most 16 ids");
    if (!json_int64(v, 0, (int64_t)im->vocabulary->piece_count - 1, &id))
      return refuse(im, v, "post_processor", "ids of pieces");
    ids[(*count)++] = (int32_t)id;
  }
  return GUST_OK;
}

static gust_status read_template(importer *im, const json_value *processor) {
  gust_vocabulary *v = im->vocabulary;
  const json_value *single;
  gust_status status = json_need(im->doc, processor, "single", JSON_ARRAY, &single, im->err);
  if (status) return status;
  v->prefix_ids = malloc(MAX_AFFIXES * sizeof *v->prefix_ids);
  v->suffix_ids = malloc(MAX_AFFIXES * sizeof *v->suffix_ids);
  if (!v->prefix_ids || !v->suffix_ids)
    return gust_fail_memory(im->err, "ids around a text", MAX_AFFIXES * sizeof(int32_t));
  bool seen = false;
  for (const json_value *part = json_first(single); part && !status;
       part = json_next(single, part)) {
    const json_value *token = json_get(part, "SpecialToken");
    const json_value *sequence = json_get(part, "Sequence");
    if (token) {
      status = seen ? add_affix(im, processor, token, v->suffix_ids, &v->suffix_count)
                    : add_affix(im, processor, token, v->prefix_ids, &v->prefix_count);
    } else if (!seen && json_text_is(json_get(sequence, "id"), "A")) {
      seen = true;
    } else {
      return refuse(im, part, "post_processor", "special tokens around one sequence A");
    }
  }
  if (!status && !seen) return refuse(im, single, "post_processor", "a sequence A");
  return status;
}

static gust_status read_post_processor(importer *im, const json_value *processor) {
  if (is_null(processor)) return GUST_OK;
  if (!type_is(processor, "TemplateProcessing"))
    return refuse_step(im, processor, "post_processor", "null or TemplateProcessing");
  return read_template(im, processor);
}

/* --- decoder --------------------------------------------------------------------------------- */

/* Whether `step` is the decoder's step number `place`. */
static bool is_decoder_step(const json_value *step, int place) {
  int64_t start, stop;
  switch (place) {
    case 0:
      return type_is(step, "Replace") &&
             json_text_is(json_get(json_get(step, "pattern"), "String"), MARK) &&
             json_text_is(json_get(step, "content"), " ");
    case 1: return type_is(step, "ByteFallback");
    case 2: return type_is(step, "Fuse");
    case 3:
      return type_is(step, "Strip") && json_text_is(json_get(step, "content"), " ") &&
             json_int64(json_get(step, "start"), 1, 1, &start) &&
             json_int64(json_get(step, "stop"), 0, 0, &stop);
    default: return false;
  }
}

static gust_status read_decoder(importer *im, const json_value *decoder) {
  static const char expected[] =
      "a Sequence of Replace (U+2581 by \" \"), ByteFallback, Fuse and perhaps Strip (\" \", 1, 0)";
  const json_value *steps = json_get(decoder, "decoders");
  if (!type_is(decoder, "Sequence") || !json_is(steps, JSON_ARRAY))
    return refuse_step(im, decoder, "decoder", expected);
  int place = 0;
  for (const json_value *v = json_first(steps); v; v = json_next(steps, v), place++) {
    if (!is_decoder_step(v, place)) return refuse_step(im, v, "decoder", expected);
  }
  if (place < 3) return refuse(im, steps, "decoder", expected);
  im->vocabulary->strip_prefix = place == 4;
  return GUST_OK;
}

/* --- all of it -----------------------------------------------------------------------------------
 */

static gust_status import_document(importer *im) {
  im->root = json_root(im->doc);
  gust_status status = json_need(im->doc, im->root, "model", JSON_OBJECT, &im->model, im->err);
  if (!status) status = read_normalizer(im, json_get(im->root, "normalizer"));
  if (!status) status = read_pre_tokenizer(im, json_get(im->root, "pre_tokenizer"));
  if (!status) status = read_decoder(im, json_get(im->root, "decoder"));
  if (!status) status = read_model(im);
  if (!status) status = read_post_processor(im, json_get(im->root, "post_processor"));
  return status;
}

gust_status gust_import_tokenizer_json(const uint8_t *bytes, size_t count, const char *where,
                                       gust_vocabulary *vocabulary, gust_error *err) {
  *vocabulary = (gust_vocabulary){.unk_id = -1};
  importer im = {.vocabulary = vocabulary, .err = err};
  gust_status status =
      json_parse(&im.doc, (const char *)bytes, count, where, JSON_UNIQUE_KEYS, err);
  if (status) return json_advise(status, err);
  status = import_document(&im);
  piece_index_clear(&im.index);
  json_free(im.doc);
  if (status) gust_vocabulary_clear(vocabulary);
  return status;
}

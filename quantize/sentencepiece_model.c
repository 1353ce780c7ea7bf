/* tokenizer.model: SentencePiece's ModelProto. Its pieces have scores instead of
 * merges: SentencePiece joins the two neighbours whose joined text has the best
 * score, the leftmost of equals. So every way to cut a piece into two others is a
 * merge, and its rank is the place of the piece's score among all scores. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "piece_index.h"
#include "protobuf.h"
#include "tokenizer_import.h"

#define MAX_PIECES (1u << 24)
#define MAX_MERGES (1u << 26)

enum piece_type { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, USER_DEFINED = 4, UNUSED = 5, BYTE = 6 };
enum { MODEL_UNIGRAM = 1, MODEL_BPE = 2 };

typedef struct importer {
  const char *where;
  gust_vocabulary *vocabulary;
  float *scores; /* [piece_count] */
  uint8_t *types;
  size_t room;
  uint64_t model_type, byte_fallback, whitespace_as_suffix;
  int32_t unk_id, bos_id, eos_id;
  uint64_t dummy_prefix, remove_spaces, escape_spaces;
  gust_error *err;
} importer;

static gust_status unsupported(const importer *im, const char *name, const char *expected,
                               uint64_t found) {
  return gust_fail(im->err, GUST_E_UNSUPPORTED,
                   "%s: %s: expected %s, found %llu; use a checkpoint with tokenizer.json",
                   im->where, name, expected, (unsigned long long)found);
}

/* --- reading ------------------------------------------------------------------------ */

static bool grow(importer *im) {
  gust_vocabulary *v = im->vocabulary;
  if (v->piece_count < im->room) return true;
  size_t room = im->room ? im->room * 2 : 1024;
  gust_piece *pieces = realloc(v->pieces, room * sizeof *pieces);
  if (pieces) v->pieces = pieces;
  float *scores = realloc(im->scores, room * sizeof *scores);
  if (scores) im->scores = scores;
  uint8_t *types = realloc(im->types, room);
  if (types) im->types = types;
  if (!pieces || !scores || !types) return false;
  im->room = room;
  return true;
}

static float float_of_bits(uint64_t bits) {
  uint32_t low = (uint32_t)bits;
  float value;
  memcpy(&value, &low, sizeof value);
  return value;
}

/* Appends a piece; what its type means is settled here. */
static gust_status add_piece(importer *im, const protobuf_field *text, uint64_t type, float score) {
  gust_vocabulary *v = im->vocabulary;
  uint32_t id = v->piece_count;
  if (id == MAX_PIECES) return unsupported(im, "pieces", "at most 16777216", id + 1);
  if (text->bytes == 0 || text->bytes > GUST_MAX_PIECE_BYTES)
    return gust_fail(im->err, GUST_E_UNSUPPORTED, "%s: piece %u: expected 1 to %u bytes, found %zu",
                     im->where, id, GUST_MAX_PIECE_BYTES, text->bytes);
  if (!isfinite(score))
    return gust_fail(im->err, GUST_E_FORMAT, "%s: piece %u: expected a finite score, found %f",
                     im->where, id, (double)score);
  if (type < NORMAL || type > BYTE || type == UNUSED)
    return gust_fail(im->err, GUST_E_UNSUPPORTED,
                     "%s: piece %u: expected type 1, 2, 3, 4 or 6, found %llu; use a checkpoint "
                     "with tokenizer.json",
                     im->where, id, (unsigned long long)type);
  if (!grow(im)) return gust_fail_memory(im->err, "pieces", 2 * im->room * sizeof *v->pieces);
  gust_piece *piece = &v->pieces[id];
  *piece = (gust_piece){0};
  if (!piece_set_text(piece, (const char *)text->data, text->bytes))
    return gust_fail_memory(im->err, "a piece", text->bytes);
  v->piece_count++;
  if ((type == BYTE) != ((piece->flags & GUST_PIECE_BYTE) != 0))
    return gust_fail(im->err, GUST_E_UNSUPPORTED,
                     "%s: piece %u: expected pieces spelled <0xHH> and those of type 6 to be the "
                     "same, found another spelling or type",
                     im->where, id);
  if (type == UNKNOWN || type == CONTROL) piece->flags |= GUST_PIECE_ADDED | GUST_PIECE_SPECIAL;
  if (type == USER_DEFINED) piece->flags |= GUST_PIECE_ADDED;
  im->types[id] = (uint8_t)type;
  im->scores[id] = score;
  return GUST_OK;
}

static gust_status read_piece(importer *im, protobuf_reader reader) {
  protobuf_field field, text = {0};
  uint64_t type = NORMAL;
  float score = 0;
  for (;;) {
    bool more;
    gust_status status = protobuf_next(&reader, &field, &more);
    if (status) return status;
    if (!more) return add_piece(im, &text, type, score);
    if (field.number == 1) {
      status = protobuf_expect(&reader, &field, PROTOBUF_BYTES, "piece");
      text = field;
    } else if (field.number == 2) {
      status = protobuf_expect(&reader, &field, PROTOBUF_FIXED32, "score");
      score = float_of_bits(field.value);
    } else if (field.number == 3) {
      status = protobuf_expect(&reader, &field, PROTOBUF_VARINT, "type");
      type = field.value;
    }
    if (status) return status;
  }
}

/* One number of a message that is wanted: fields[i] goes to values[i]. */
typedef struct wanted {
  uint32_t number;
  const char *name;
  uint64_t *value;
} wanted;

static gust_status read_numbers(protobuf_reader reader, const wanted *list, size_t count) {
  for (;;) {
    protobuf_field field;
    bool more;
    gust_status status = protobuf_next(&reader, &field, &more);
    if (status || !more) return status;
    for (size_t i = 0; i < count; i++) {
      if (field.number != list[i].number) continue;
      status = protobuf_expect(&reader, &field, PROTOBUF_VARINT, list[i].name);
      if (status) return status;
      *list[i].value = field.value;
    }
  }
}

/* An int32 field, which is -1 or an id. */
static gust_status to_id(const importer *im, const char *name, uint64_t value, int32_t *id) {
  if (value == UINT64_MAX || value == UINT32_MAX) {
    *id = -1;
    return GUST_OK;
  }
  if (value > MAX_PIECES) return unsupported(im, name, "-1 or an id", value);
  *id = (int32_t)value;
  return GUST_OK;
}

static gust_status read_trainer(importer *im, protobuf_reader reader) {
  uint64_t unk = (uint64_t)(int64_t)im->unk_id, bos = (uint64_t)(int64_t)im->bos_id;
  uint64_t eos = (uint64_t)(int64_t)im->eos_id;
  const wanted list[] = {{3, "model_type", &im->model_type},
                         {24, "treat_whitespace_as_suffix", &im->whitespace_as_suffix},
                         {35, "byte_fallback", &im->byte_fallback},
                         {40, "unk_id", &unk},
                         {41, "bos_id", &bos},
                         {42, "eos_id", &eos}};
  gust_status status = read_numbers(reader, list, sizeof list / sizeof *list);
  if (!status) status = to_id(im, "unk_id", unk, &im->unk_id);
  if (!status) status = to_id(im, "bos_id", bos, &im->bos_id);
  if (!status) status = to_id(im, "eos_id", eos, &im->eos_id);
  return status;
}

/* A normalizer may change text by a compiled table, which gust has no use for. */
static gust_status refuse_charsmap(const importer *im, protobuf_reader reader, const char *name) {
  for (;;) {
    protobuf_field field;
    bool more;
    gust_status status = protobuf_next(&reader, &field, &more);
    if (status || !more) return status;
    if (field.number == 2 && field.bytes > 0)
      return unsupported(im, name, "no precompiled_charsmap (identity)", field.bytes);
  }
}

static gust_status read_normalizer(importer *im, protobuf_reader reader) {
  const wanted list[] = {{3, "add_dummy_prefix", &im->dummy_prefix},
                         {4, "remove_extra_whitespaces", &im->remove_spaces},
                         {5, "escape_whitespaces", &im->escape_spaces}};
  gust_status status = refuse_charsmap(im, reader, "normalizer_spec");
  return status ? status : read_numbers(reader, list, sizeof list / sizeof *list);
}

static gust_status read_model(importer *im, protobuf_reader reader) {
  static const char *const names[] = {NULL, "pieces",           "trainer_spec", "normalizer_spec",
                                      NULL, "denormalizer_spec"};
  for (;;) {
    protobuf_field field;
    bool more;
    gust_status status = protobuf_next(&reader, &field, &more);
    if (status || !more) return status;
    if (field.number > 5 || !names[field.number]) continue;
    status = protobuf_expect(&reader, &field, PROTOBUF_BYTES, names[field.number]);
    if (status) return status;
    protobuf_reader inner = protobuf_enter(&reader, &field);
    switch (field.number) {
      case 1: status = read_piece(im, inner); break;
      case 2: status = read_trainer(im, inner); break;
      case 3: status = read_normalizer(im, inner); break;
      default: status = refuse_charsmap(im, inner, "denormalizer_spec"); break;
    }
    if (status) return status;
  }
}

/* --- checking ----------------------------------------------------------------------- */

static gust_status check_id(const importer *im, const char *name, int32_t id, uint8_t type) {
  if (id < 0) return GUST_OK;
  if ((uint32_t)id >= im->vocabulary->piece_count)
    return gust_fail(im->err, GUST_E_FORMAT, "%s: %s: expected an id below %u, found %d", im->where,
                     name, im->vocabulary->piece_count, (int)id);
  if (im->types[id] != type)
    return gust_fail(im->err, GUST_E_FORMAT, "%s: %s: expected a piece of type %d, found type %d",
                     im->where, name, type, im->types[id]);
  return GUST_OK;
}

static gust_status check_model(const importer *im) {
  if (im->vocabulary->piece_count == 0)
    return gust_fail(im->err, GUST_E_FORMAT, "%s: expected a SentencePiece model, found no pieces",
                     im->where);
  if (im->model_type != MODEL_BPE)
    return unsupported(im, "trainer_spec.model_type", "2 (BPE)", im->model_type);
  if (im->whitespace_as_suffix)
    return unsupported(im, "trainer_spec.treat_whitespace_as_suffix", "0",
                       im->whitespace_as_suffix);
  if (im->remove_spaces)
    return unsupported(im, "normalizer_spec.remove_extra_whitespaces", "0", im->remove_spaces);
  if (!im->escape_spaces)
    return unsupported(im, "normalizer_spec.escape_whitespaces", "1", im->escape_spaces);
  gust_status status = check_id(im, "unk_id", im->unk_id, UNKNOWN);
  if (!status) status = check_id(im, "bos_id", im->bos_id, CONTROL);
  if (!status) status = check_id(im, "eos_id", im->eos_id, CONTROL);
  return status;
}

/* --- merges -------------------------------------------------------------------------- */

typedef struct scored {
  float score;
  uint32_t id;
} scored;

static int compare_scores(const void *left, const void *right) {
  const scored *a = left, *b = right;
  if (a->score != b->score) return a->score > b->score ? -1 : 1;
  return a->id < b->id ? -1 : a->id > b->id;
}

/* ranks[id]: how many different scores are better than the piece's. */
static gust_status rank_pieces(const importer *im, uint32_t *ranks) {
  uint32_t count = im->vocabulary->piece_count;
  scored *order = malloc(count * sizeof *order);
  if (!order) return gust_fail_memory(im->err, "sorting pieces", count * sizeof *order);
  for (uint32_t i = 0; i < count; i++) order[i] = (scored){im->scores[i], i};
  qsort(order, count, sizeof *order, compare_scores);
  for (uint32_t i = 0, rank = 0; i < count; i++) {
    if (i && order[i].score != order[i - 1].score) rank++;
    ranks[order[i].id] = rank;
  }
  free(order);
  return GUST_OK;
}

/* The merges that make piece `id`. */
static gust_status add_merges(importer *im, const piece_index *index, uint32_t id, uint32_t rank,
                              size_t *room) {
  gust_vocabulary *v = im->vocabulary;
  const gust_piece *piece = &v->pieces[id];
  for (uint32_t cut = 1; cut < piece->bytes; cut++) {
    if (((unsigned char)piece->text[cut] & 0xc0) == 0x80) continue; /* inside a character */
    int32_t left = piece_index_find(index, piece->text, cut);
    int32_t right = left < 0 ? -1 : piece_index_find(index, piece->text + cut, piece->bytes - cut);
    if (right < 0) continue;
    if (v->merge_count == MAX_MERGES)
      return unsupported(im, "pieces", "at most 67108864 merges", (uint64_t)v->merge_count + 1);
    if (v->merge_count == *room) {
      size_t more = *room ? *room * 2 : 1024;
      gust_merge *merges = realloc(v->merges, more * sizeof *merges);
      if (!merges) return gust_fail_memory(im->err, "merges", more * sizeof *merges);
      v->merges = merges;
      *room = more;
    }
    v->merges[v->merge_count++] = (gust_merge){(uint32_t)left, (uint32_t)right, id, rank};
  }
  return GUST_OK;
}

/* A spelling that is there twice has no id of its own. */
static gust_status check_duplicates(const importer *im, const piece_index *index) {
  const gust_vocabulary *v = im->vocabulary;
  for (uint32_t i = 0; i < v->piece_count; i++) {
    const gust_piece *piece = &v->pieces[i];
    int32_t first = piece_index_find(index, piece->text, piece->bytes);
    if (first >= 0 && (uint32_t)first != i)
      return gust_fail(im->err, GUST_E_FORMAT,
                       "%s: expected each piece once, found \"%.*s\" as %d and %u", im->where,
                       (int)(piece->bytes < 60 ? piece->bytes : 60), piece->text, (int)first, i);
  }
  return GUST_OK;
}

static gust_status derive_merges(importer *im) {
  gust_vocabulary *v = im->vocabulary;
  piece_index all, normal = {0};
  gust_status status = piece_index_create(&all, v, 0, im->err);
  if (!status) status = check_duplicates(im, &all);
  if (!status) status = piece_index_create(&normal, v, GUST_PIECE_ADDED | GUST_PIECE_BYTE, im->err);
  uint32_t *ranks = status ? NULL : malloc(v->piece_count * sizeof *ranks);
  if (!status && !ranks)
    status = gust_fail_memory(im->err, "ranks", v->piece_count * sizeof *ranks);
  if (!status) status = rank_pieces(im, ranks);
  size_t room = 0;
  for (uint32_t i = 0; i < v->piece_count && !status; i++) {
    if (im->types[i] == NORMAL) status = add_merges(im, &normal, i, ranks[i], &room);
  }
  free(ranks);
  piece_index_clear(&normal);
  piece_index_clear(&all);
  return status;
}

/* --- all of it ------------------------------------------------------------------------ */

static gust_status affix(const importer *im, bool wanted_id, const char *name, int32_t id,
                         int32_t **ids, uint32_t *count) {
  if (!wanted_id) return GUST_OK;
  if (id < 0)
    return gust_fail(im->err, GUST_E_FORMAT,
                     "%s: %s: expected an id to put around a text, found -1", im->where, name);
  *ids = malloc(sizeof **ids);
  if (!*ids) return gust_fail_memory(im->err, "ids around a text", sizeof **ids);
  **ids = id;
  *count = 1;
  return GUST_OK;
}

static gust_status import_model(importer *im, protobuf_reader reader,
                                const gust_sentencepiece_options *options) {
  gust_vocabulary *v = im->vocabulary;
  gust_status status = read_model(im, reader);
  if (!status) status = check_model(im);
  if (!status) status = derive_merges(im);
  if (!status)
    status = affix(im, options->add_bos, "bos_id", im->bos_id, &v->prefix_ids, &v->prefix_count);
  if (!status)
    status = affix(im, options->add_eos, "eos_id", im->eos_id, &v->suffix_ids, &v->suffix_count);
  v->unk_id = im->unk_id;
  v->byte_fallback = im->byte_fallback != 0;
  v->fuse_unk = true;
  v->add_prefix = im->dummy_prefix != 0 && !options->no_prefix;
  v->strip_prefix = v->add_prefix;
  v->metaspace = !options->legacy;
  v->prefix_once = !options->legacy;
  return status;
}

gust_status gust_import_sentencepiece(const uint8_t *bytes, size_t count, const char *where,
                                      const gust_sentencepiece_options *options,
                                      gust_vocabulary *vocabulary, gust_error *err) {
  *vocabulary = (gust_vocabulary){.unk_id = -1};
  /* The defaults of SentencePiece's own description of the format. */
  importer im = {.where = where,
                 .vocabulary = vocabulary,
                 .model_type = MODEL_UNIGRAM,
                 .unk_id = 0,
                 .bos_id = 1,
                 .eos_id = 2,
                 .dummy_prefix = 1,
                 .remove_spaces = 1,
                 .escape_spaces = 1,
                 .err = err};
  gust_status status = import_model(&im, protobuf_open(bytes, count, where, err), options);
  free(im.scores);
  free(im.types);
  if (status) gust_vocabulary_clear(vocabulary);
  return status;
}

/* The partial file, and going on with what an interrupted conversion left in it. */
#include <stdlib.h>
#include <string.h>

#include "checksum.h"
#include "conversion.h"
#include "os.h"

/* To be raised with every change after which the same source and options give
 * other bytes: what an older gust left unfinished is not gone on with. */
#define REVISION 1u
#define CHECK_BYTES ((size_t)1 << 20) /* read at once when finished tensors are checked */

/* Everything the file's bytes depend on: the header as far as it is known, which
 * names all tensors, types and places, the text calibrated on, and the shards, by what
 * tells a changed one without reading it. */
static gust_status identify(conversion *c, journal_identity *identity, gust_error *err) {
  uint8_t *header;
  size_t count;
  gust_status status = gust_header_encode(&c->header, &header, &count, err);
  if (status) return status;
  const gust_convert_options *o = &c->options;
  const uint64_t numbers[] = {
      REVISION, o->calibration ? gust_xxh64_of(o->calibration, o->calibration_bytes, 1) : 0};
  for (unsigned seed = 0; seed < 2; seed++) {
    gust_xxh64 sum;
    gust_xxh64_begin(&sum, seed);
    gust_xxh64_update(&sum, gust_version(), strlen(gust_version()));
    gust_xxh64_update(&sum, numbers, sizeof numbers);
    gust_xxh64_update(&sum, header, count);
    for (size_t i = 0; i < c->source.shard_count; i++) {
      const safetensors_file *file = &c->source.shards[i].file;
      const uint64_t state[] = {file->map.bytes, os_changed_ns(file->path)};
      gust_xxh64_update(&sum, state, sizeof state);
      gust_xxh64_update(&sum, file->map.data, file->data_begin);
    }
    identity->part[seed] = gust_xxh64_end(&sum);
  }
  free(header);
  return GUST_OK;
}

/* A partial file begins with a header, or where that is to come, with zeros. */
static bool may_be_partial(const file_writer *writer) {
  static const char begins[2][8] = {GUST_FORMAT_MAGIC, ""};
  char begin[8];
  return file_writer_get(writer, begin, sizeof begin, 0) &&
         (memcmp(begin, begins[0], 8) == 0 || memcmp(begin, begins[1], 8) == 0);
}

/* What nobody can have meant by that name is not overwritten. */
static gust_status fail_foreign(file_writer *writer, gust_error *err) {
  gust_status status = gust_fail(
      err, GUST_E_ARGUMENT,
      "%s: expected none, or what an interrupted conversion left, found another file; move "
      "it, or give another name",
      writer->partial);
  file_writer_close(writer, true);
  return status;
}

gust_status conversion_open_target(conversion *c, gust_error *err) {
  uint64_t found;
  c->journal = (convert_journal){
      .writer = &c->writer, .base = c->header.file_bytes, .count = c->header.tensor_count};
  gust_status status = identify(c, &c->journal.identity, err);
  if (!status) status = file_writer_open(&c->writer, c->target_path, &found, err);
  if (status) return status;
  journal_finding finding = journal_look(&c->journal, found);
  if (finding == JOURNAL_OTHER && !may_be_partial(&c->writer)) return fail_foreign(&c->writer, err);
  c->found = c->resuming = finding == JOURNAL_OURS;
  if (c->resuming) conversion_note(c, "going on with a conversion that was interrupted");
  if (finding == JOURNAL_OTHER)
    conversion_note(
        c,
        "an interrupted conversion was of another source, other options or another version: "
        "starting over");
  if (!c->resuming) status = file_writer_restart(&c->writer, err);
  return status || c->resuming ? status : journal_begin(&c->journal, err);
}

/* Whether the bytes of a tensor in the partial file have this checksum. *stopped: the
 * answer was not waited for. */
static bool holds(conversion *c, const gust_tensor *t, uint64_t checksum, bool *stopped) {
  uint8_t *piece = malloc(CHECK_BYTES);
  bool read = piece != NULL;
  gust_xxh64 sum;
  gust_xxh64_begin(&sum, 0);
  for (uint64_t at = 0; at < t->bytes && read && !*stopped; at += CHECK_BYTES) {
    size_t bytes = t->bytes - at < CHECK_BYTES ? (size_t)(t->bytes - at) : CHECK_BYTES;
    read = file_writer_get(&c->writer, piece, bytes, t->offset + at);
    if (read) gust_xxh64_update(&sum, piece, bytes);
    *stopped = at + bytes < t->bytes && conversion_advance(c, 0);
  }
  free(piece);
  return read && !*stopped && gust_xxh64_end(&sum) == checksum;
}

gust_status conversion_resume_shard(conversion *c, size_t shard, size_t *begin, gust_sha256 *hash,
                                    gust_error *err) {
  const safetensors_file *file = &c->source.shards[shard].file;
  uint64_t end = file->data_begin;
  bool stopped = false;
  *begin = 0;
  if (!c->resuming) return GUST_OK;
  for (size_t i = 0; i < file->tensor_count; i++) {
    size_t index = c->map.targets[shard][i];
    if (index == TENSOR_MAP_NONE) continue;
    gust_tensor *target = &c->header.tensors[index];
    journal_entry entry;
    c->resuming =
        journal_find(&c->journal, index, &entry) && holds(c, target, entry.checksum, &stopped);
    if (stopped) return conversion_fail_stopped(c, err);
    if (!c->resuming) break;
    target->checksum = entry.checksum;
    hash->state = entry.hash;
    conversion_count_tensor(c, target, entry.error, entry.energy);
    *begin = i + 1;
    end = file->tensors[i].offset + file->tensors[i].bytes;
  }
  c->resumed = c->finished;
  c->done += end - file->data_begin;
  c->finished_before += end - file->data_begin;
  return GUST_OK;
}

/* What an interrupted conversion left of a tensor. */
bool conversion_restore_tensor(void *user, size_t index, uint8_t *bytes, double *error,
                               double *energy) {
  conversion *c = user;
  gust_tensor *t = &c->header.tensors[index];
  journal_entry entry;
  c->resuming = c->resuming && journal_find(&c->journal, index, &entry) &&
                file_writer_get(&c->writer, bytes, (size_t)t->bytes, t->offset) &&
                gust_xxh64_of(bytes, (size_t)t->bytes, 0) == entry.checksum;
  if (!c->resuming) return false;
  t->checksum = entry.checksum;
  *error = entry.error;
  *energy = entry.energy;
  c->resumed++;
  return true;
}

#include "convert.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calibration.h"
#include "checkpoint.h"
#include "convert_journal.h"
#include "file_receipt.h"
#include "file_writer.h"
#include "hf_config.h"
#include "json_file.h"
#include "os.h"
#include "pool.h"
#include "sensitivity.h"
#include "tensor_map.h"
#include "tensor_packer.h"
#include "tensor_types.h"
#include "tokenizer.h"
#include "tokenizer_import.h"

#define MAX_THREADS 1024u
/* To be raised with every change after which the same source and options give
 * other bytes: what an older gust left unfinished is not gone on with. */
#define REVISION 1u
#define CHECK_BYTES ((size_t)1 << 20) /* read at once when finished tensors are checked */
#define HASH_BYTES ((size_t)16 << 20) /* hashed between two calls of progress */

/* One conversion; everything in it may be unset when it is torn down. */
typedef struct conversion {
  const char *target_path;
  gust_convert_options options;
  checkpoint source;
  tensor_map map;
  gust_header header;
  gust_pool *pool;
  file_writer writer;
  convert_journal journal;
  tensor_packer packer;
  uint64_t source_bytes;
  uint64_t done, total;     /* source bytes, as often as each is handled */
  uint64_t finished_before; /* of `done`: those an interrupted conversion had done */
  bool resuming;            /* so far all tensors were finished by that */
  bool found;               /* there was one of the same source and options */
  size_t finished, resumed; /* tensors; the second of the first */
  calibration_ids calibration;
  bool *kept;       /* per tensor of the header: its type was given */
  bool *calibrated; /* per tensor of the header, whether it is done; or NULL */
  double error[GUST_TYPE_COUNT], energy[GUST_TYPE_COUNT];
} conversion;

static bool advance(void *user, uint64_t bytes) {
  conversion *c = user;
  c->done += bytes;
  return c->options.progress && c->options.progress(c->options.user, c->done - c->finished_before,
                                                    c->total - c->finished_before);
}

static void note(const conversion *c, const char *line) {
  if (c->options.note) c->options.note(c->options.user, line);
}

/* --- header ------------------------------------------------------------------------- */

static gust_status read_tokenizer(conversion *c, const char *folder, gust_error *err) {
  gust_vocabulary vocabulary;
  gust_status status = gust_import_tokenizer(folder, &vocabulary, err);
  if (status) return status;
  /* Rows past the tokenizer's pieces are common (padding); pieces past the
   * rows would be ids without an embedding. */
  if (vocabulary.piece_count > c->header.config.vocab_size)
    status = gust_fail(err, GUST_E_FORMAT,
                       "%s: expected a tokenizer of at most vocab_size %u pieces, found %u; "
                       "tokenizer and config.json must belong together",
                       folder, c->header.config.vocab_size, vocabulary.piece_count);
  if (!status)
    status =
        gust_tokenizer_encode(&vocabulary, &c->header.tokenizer, &c->header.tokenizer_bytes, err);
  gust_vocabulary_clear(&vocabulary);
  return status;
}

static gust_status list_sources(conversion *c, gust_error *err) {
  size_t count = c->source.shard_count;
  c->header.sources = calloc(count, sizeof *c->header.sources);
  if (!c->header.sources)
    return gust_fail_memory(err, "source list", count * sizeof *c->header.sources);
  c->header.source_count = count;
  for (size_t i = 0; i < count; i++) {
    const char *name = c->source.shards[i].name;
    gust_source *source = &c->header.sources[i];
    source->bytes = c->source.shards[i].file.map.bytes;
    c->source_bytes += source->bytes - c->source.shards[i].file.data_begin;
    source->name = malloc(strlen(name) + 1);
    if (!source->name) return gust_fail_memory(err, "source name", strlen(name) + 1);
    memcpy(source->name, name, strlen(name) + 1);
  }
  c->total = c->source_bytes;
  return GUST_OK;
}

/* The header's length is known before what is in it: encode, place, and encode
 * again when all checksums are there. To be done again when types have changed, which
 * the receipt's parts and the tensors' sizes are made of. */
static gust_status place_tensors(conversion *c, gust_error *err) {
  if (!c->options.bare) file_receipt_begin(&c->header, c->options.measure != NULL);
  uint8_t *bytes;
  size_t count;
  gust_status status = gust_header_encode(&c->header, &bytes, &count, err);
  if (status) return status;
  free(bytes);
  return gust_header_place(&c->header, count, err);
}

static gust_status write_header(conversion *c, gust_error *err) {
  uint8_t *bytes;
  size_t count;
  gust_status status = gust_header_encode(&c->header, &bytes, &count, err);
  if (status) return status;
  status = file_writer_put(&c->writer, bytes, count, 0, err);
  free(bytes);
  return status;
}

/* --- target ---------------------------------------------------------------------------- */

static gust_status check_not_source(const conversion *c, const char *folder, const char *name,
                                    gust_error *err) {
  char *path = path_join(folder, name);
  if (!path) return gust_fail_memory(err, "path", strlen(folder) + strlen(name) + 2);
  bool same = os_same_file(c->target_path, path);
  free(path);
  if (!same) return GUST_OK;
  return gust_fail(err, GUST_E_ARGUMENT,
                   "%s: expected a file that is no part of the checkpoint, found '%s' of %s; give "
                   "another name",
                   c->target_path, name, folder);
}

/* The last step replaces the target, and with it, were it one of these, what
 * the conversion was made from. */
static gust_status check_target(const conversion *c, const char *folder, gust_error *err) {
  static const char *const names[] = {"config.json",           "generation_config.json",
                                      "tokenizer.json",        "tokenizer.model",
                                      "tokenizer_config.json", "added_tokens.json",
                                      "chat_template.jinja",   "model.safetensors.index.json"};
  gust_status status = GUST_OK;
  for (size_t i = 0; i < c->source.shard_count && !status; i++)
    status = check_not_source(c, folder, c->source.shards[i].name, err);
  for (size_t i = 0; i < sizeof names / sizeof *names && !status; i++)
    status = check_not_source(c, folder, names[i], err);
  return status;
}

/* --- what an interrupted conversion left ------------------------------------------------- */

/* Everything the file's bytes depend on: the header as far as it is known, which
 * names all tensors, types and places, and the shards, by what tells a changed one
 * without reading it. */
static gust_status identify(conversion *c, journal_identity *identity, gust_error *err) {
  uint8_t *header;
  size_t count;
  gust_status status = gust_header_encode(&c->header, &header, &count, err);
  if (status) return status;
  const uint64_t numbers[] = {REVISION, c->options.recipe};
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

static gust_status fail_stopped(const conversion *c, gust_error *err) {
  return gust_fail(err, GUST_E_CANCELLED, "%s: the conversion was stopped", c->target_path);
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
    *stopped = at + bytes < t->bytes && advance(c, 0);
  }
  free(piece);
  return read && !*stopped && gust_xxh64_end(&sum) == checksum;
}

static void count_tensor(conversion *c, const gust_tensor *target, double error, double energy) {
  c->error[target->type] += error;
  c->energy[target->type] += energy;
  c->finished++;
}

/* Passes over the tensors of a shard that are finished already: sets *begin to how many
 * of its tensors there is nothing left to do for, and the hash to where the last of
 * them ends. The first that is not ends resuming altogether. */
static gust_status resume_shard(conversion *c, size_t shard, size_t *begin, gust_sha256 *hash,
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
    if (stopped) return fail_stopped(c, err);
    if (!c->resuming) break;
    target->checksum = entry.checksum;
    hash->state = entry.hash;
    count_tensor(c, target, entry.error, entry.energy);
    *begin = i + 1;
    end = file->tensors[i].offset + file->tensors[i].bytes;
  }
  c->resumed = c->finished;
  c->done += end - file->data_begin;
  c->finished_before += end - file->data_begin;
  return GUST_OK;
}

static gust_status open_target(conversion *c, gust_error *err) {
  uint64_t found;
  c->journal = (convert_journal){
      .writer = &c->writer, .base = c->header.file_bytes, .count = c->header.tensor_count};
  gust_status status = identify(c, &c->journal.identity, err);
  if (!status) status = file_writer_open(&c->writer, c->target_path, &found, err);
  if (status) return status;
  journal_finding finding = journal_look(&c->journal, found);
  c->found = c->resuming = finding == JOURNAL_OURS;
  if (c->resuming) note(c, "going on with a conversion that was interrupted");
  if (finding == JOURNAL_OTHER)
    note(c,
         "an interrupted conversion was of another source, other options or another version: "
         "starting over");
  if (!c->resuming) status = file_writer_restart(&c->writer, err);
  return status || c->resuming ? status : journal_begin(&c->journal, err);
}

/* --- weights -------------------------------------------------------------------------- */

static gust_status finish_tensor(void *user, const packed_tensor *tensor, gust_error *err) {
  conversion *c = user;
  count_tensor(c, tensor->target, tensor->error, tensor->energy);
  journal_entry entry = {tensor->target->checksum, tensor->error, tensor->energy, tensor->hash};
  return journal_finish(&c->journal, (size_t)(tensor->target - c->header.tensors), &entry, err);
}

/* Takes in a tensor that is not converted here; counted: its bytes are progress. */
static gust_status hash_source(conversion *c, const safetensors_file *file,
                               const safetensors_tensor *source, bool counted, gust_sha256 *hash,
                               gust_error *err) {
  for (size_t at = 0; at < source->bytes; at += HASH_BYTES) {
    size_t bytes = source->bytes - at < HASH_BYTES ? source->bytes - at : HASH_BYTES;
    gust_sha256_update(hash, file->map.data + source->offset + at, bytes);
    os_dont_need(&file->map, source->offset + at, bytes);
    if (advance(c, counted ? bytes : 0)) return fail_stopped(c, err);
  }
  return GUST_OK;
}

/* In the order of the source's bytes, which is the order they are hashed in and
 * the one a disk likes; the writer puts them where the header says. */
static gust_status convert_shard(conversion *c, size_t shard, gust_error *err) {
  const safetensors_file *file = &c->source.shards[shard].file;
  gust_sha256 hash;
  gust_sha256_begin(&hash);
  size_t begin;
  gust_status status = resume_shard(c, shard, &begin, &hash, err);
  if (status) return status;
  if (begin == 0) gust_sha256_update(&hash, file->map.data, file->data_begin);
  for (size_t i = begin; i < file->tensor_count; i++) {
    const safetensors_tensor *source = &file->tensors[i];
    size_t index = c->map.targets[shard][i];
    bool done = index != TENSOR_MAP_NONE && c->calibrated && c->calibrated[index];
    if (index == TENSOR_MAP_NONE || done) {
      status = hash_source(c, file, source, !done, &hash, err);
    } else {
      status = tensor_packer_run(&c->packer, file, source, &c->header.tensors[index], &hash, err);
    }
    if (status) return status;
  }
  gust_sha256_end(&hash, c->header.sources[shard].sha256);
  return GUST_OK;
}

static gust_status convert_shards(conversion *c, gust_error *err) {
  gust_status status = GUST_OK;
  for (size_t i = 0; i < c->source.shard_count && !status; i++) status = convert_shard(c, i, err);
  /* When stopped as well: what is packed is worth keeping. */
  if (!status) return tensor_packer_flush(&c->packer, err);
  if (status == GUST_E_CANCELLED) tensor_packer_flush(&c->packer, NULL);
  return status;
}

static gust_status start_workers(conversion *c, gust_error *err) {
  unsigned threads = c->options.threads ? c->options.threads : os_physical_cores();
  if (threads > MAX_THREADS)
    return gust_fail(err, GUST_E_ARGUMENT, "threads: expected 0 to %u, found %u", MAX_THREADS,
                     threads);
  c->pool = gust_pool_create(threads);
  if (!c->pool)
    return gust_fail(err, GUST_E_MEMORY, "expected to start %u threads, found no room; use fewer",
                     threads);
  gust_kernels kernels;
  if (!gust_kernels_select(&kernels, c->options.cpu))
    return gust_fail(err, GUST_E_ARGUMENT,
                     "unknown CPU level \"%.40s\"; expected c, avx2, avxvnni, avx512, amx, neon, "
                     "dotprod or i8mm",
                     c->options.cpu);
  const packer_calls calls = {advance, finish_tensor, c};
  return tensor_packer_create(&c->packer, &kernels, c->pool, &c->writer, &calls, err);
}

/* --- calibration ---------------------------------------------------------------------- */

/* What can be refused is refused before an interrupted conversion is touched. */
static gust_status read_calibration(conversion *c, gust_error *err) {
  const gust_convert_options *options = &c->options;
  size_t i = 0;
  if (!options->calibration) return GUST_OK;
  while (i < c->header.tensor_count && !calibration_rounds(&c->header.tensors[i])) i++;
  if (i == c->header.tensor_count)
    return gust_fail(err, GUST_E_ARGUMENT,
                     "calibration: expected matrices of type q4 or q8 beside the embedding, found "
                     "none; choose one of these types, or convert without calibration");
  gust_status status =
      calibration_ids_create(&c->calibration, &c->header, options->calibration,
                             options->calibration_bytes, options->calibration_name, err);
  if (status || c->calibration.text_used == c->calibration.text_count) return status;
  char line[160];
  snprintf(line, sizeof line,
           "calibrating on the first %zu of the text's %zu tokens, as many as there is room for",
           c->calibration.text_used, c->calibration.text_count);
  note(c, line);
  return GUST_OK;
}

/* What an interrupted conversion left of a tensor. */
static bool restore_tensor(void *user, size_t index, uint8_t *bytes, double *error,
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

static gust_status keep_calibrated(void *user, size_t index, double error, double energy,
                                   gust_error *err) {
  conversion *c = user;
  count_tensor(c, &c->header.tensors[index], error, energy);
  journal_entry entry = {
      .checksum = c->header.tensors[index].checksum, .error = error, .energy = energy};
  c->calibrated[index] = true;
  return journal_finish(&c->journal, index, &entry, err);
}

static calibration calibration_of(conversion *c) {
  return (calibration){.source = &c->source,
                       .header = &c->header,
                       .kernels = &c->packer.kernels,
                       .pool = c->pool,
                       .writer = &c->writer,
                       .ids = &c->calibration,
                       .progress = advance,
                       .restore = restore_tensor,
                       .finished = keep_calibrated,
                       .user = c};
}

/* Before the rest, which goes shard by shard: calibration goes layer by layer. What
 * is left for the rest takes no time and is not resumed. */
static gust_status calibrate(conversion *c, gust_error *err) {
  if (!c->options.calibration) return GUST_OK;
  size_t bytes = c->header.tensor_count * sizeof *c->calibrated;
  c->calibrated = calloc(1, bytes);
  if (!c->calibrated) return gust_fail_memory(err, "calibration", bytes);
  calibration job = calibration_of(c);
  gust_status status = calibration_run(&job, err);
  c->resuming = false;
  return status;
}

/* --- types ------------------------------------------------------------------------------- */

static gust_status give_types(conversion *c, gust_error *err) {
  tensor_types_assign(&c->header, c->options.type);
  c->kept = calloc(c->header.tensor_count, sizeof *c->kept);
  if (!c->kept) return gust_fail_memory(err, "types", c->header.tensor_count);
  return tensor_types_keep(&c->header, c->options.keep, c->options.keep_count, c->kept, err);
}

/* Source bytes of the matrices that measuring goes over. */
static uint64_t bytes_to_measure(const conversion *c, bool calibrated) {
  uint64_t bytes = 0;
  for (size_t s = 0; s < c->source.shard_count; s++) {
    const safetensors_file *file = &c->source.shards[s].file;
    for (size_t i = 0; i < file->tensor_count; i++) {
      size_t index = c->map.targets[s][i];
      if (index == TENSOR_MAP_NONE || c->kept[index]) continue;
      const gust_tensor *t = &c->header.tensors[index];
      if (calibrated ? calibration_rounds(t) : tensor_types_is_quantized(t))
        bytes += file->tensors[i].bytes;
    }
  }
  return bytes;
}

/* What every matrix suffers; the embedding, which is no linear layer, by its weights
 * in any case. */
static gust_status measure(conversion *c, tensor_sensitivity *sensitivities, gust_error *err) {
  c->total += bytes_to_measure(c, false);
  if (c->options.calibration) c->total += bytes_to_measure(c, true);
  gust_status status =
      sensitivity_measure(&c->source, &c->map, &c->header, c->kept, &c->packer.kernels, c->pool,
                          advance, c, sensitivities, err);
  if (status || !c->options.calibration) return status;
  calibration job = calibration_of(c);
  return calibration_measure(&job, c->kept, sensitivities, err);
}

static gust_status choose_types(conversion *c, gust_error *err) {
  if (!(c->options.target_bits > 0)) return GUST_OK;
  size_t bytes = c->header.tensor_count * sizeof(tensor_sensitivity);
  tensor_sensitivity *sensitivities = calloc(1, bytes);
  if (!sensitivities) return gust_fail_memory(err, "sensitivities", bytes);
  /* Before long work: whether the number is within reach. */
  gust_status status =
      tensor_types_choose(&c->header, sensitivities, c->kept, c->options.target_bits, err);
  if (!status) status = measure(c, sensitivities, err);
  if (!status)
    status = tensor_types_choose(&c->header, sensitivities, c->kept, c->options.target_bits, err);
  free(sensitivities);
  if (status) return status;
  char kinds[256], line[320];
  tensor_types_describe(&c->header, kinds, sizeof kinds);
  snprintf(line, sizeof line, "%.3f bits per weight of the quantized matrices; q8 for %s",
           tensor_types_bits(&c->header), *kinds ? kinds : "none");
  note(c, line);
  return place_tensors(c, err);
}

/* Everything about the file but its tensors' bytes. */
static gust_status plan(conversion *c, const char *folder, gust_error *err) {
  gust_header *header = &c->header;
  gust_status status =
      hf_config_read(folder, &header->config, &header->generation, &header->chat_template, err);
  if (!status) status = checkpoint_open(&c->source, folder, err);
  if (!status && c->target_path) status = check_target(c, folder, err);
  if (!status) status = tensor_map_build(&c->map, header, &c->source, err);
  if (!status) status = give_types(c, err);
  if (!status) status = read_tokenizer(c, folder, err);
  if (!status) status = list_sources(c, err);
  return status ? status : place_tensors(c, err);
}

/* What can only be found out with the file in hand, which therefore gets a header
 * first. */
static gust_status complete_receipt(conversion *c, gust_error *err) {
  gust_receipt *receipt = &c->header.receipt;
  uint64_t bytes = c->header.file_bytes;
  const char *path = c->writer.partial;
  const gust_context_options running = {.threads = c->options.threads, .cpu = c->options.cpu};
  file_receipt_sum(receipt, c->error, c->energy);
  gust_status status = write_header(c, err);
  if (!status) status = file_receipt_hash(receipt, path, bytes, &running, advance, c, err);
  if (!status && c->options.measure)
    status = c->options.measure(c->options.measure_user, path, bytes, &receipt->quality, err);
  return status;
}

static gust_status run(conversion *c, const char *folder, gust_error *err) {
  gust_status status = plan(c, folder, err);
  if (!status) status = read_calibration(c, err);
  if (!status) status = start_workers(c, err);
  if (!status) status = choose_types(c, err);
  if (!status) status = open_target(c, err);
  if (!status) status = calibrate(c, err);
  if (!status) status = convert_shards(c, err);
  if (!status && c->header.receipt.exists) status = complete_receipt(c, err);
  if (!status) status = checkpoint_check(&c->source, err);
  if (!status) status = write_header(c, err);
  return status ? status : file_writer_commit(&c->writer, c->header.file_bytes, err);
}

/* --- report ---------------------------------------------------------------------------- */

static void fill_report(const conversion *c, uint64_t begin_ns, gust_convert_report *report) {
  memset(report, 0, sizeof *report);
  for (size_t i = 0; i < c->header.tensor_count; i++) {
    const gust_tensor *t = &c->header.tensors[i];
    gust_convert_part *part = &report->parts[t->type];
    part->tensors++;
    part->parameters += t->shape[0] * t->shape[1];
    part->bytes += t->bytes;
  }
  for (int type = 0; type < GUST_TYPE_COUNT; type++) {
    gust_convert_part *part = &report->parts[type];
    if (part->parameters)
      part->bits_per_weight = 8.0 * (double)part->bytes / (double)part->parameters;
    if (c->energy[type] > 0) part->rms_error = sqrt(c->error[type] / c->energy[type]);
    report->tensors += part->tensors;
    report->parameters += part->parameters;
  }
  report->calibration_tokens = c->calibration.count;
  report->source_bytes = c->source_bytes;
  report->resumed = c->resumed;
  report->file_bytes = c->header.file_bytes;
  report->bits_per_weight = 8.0 * (double)report->file_bytes / (double)report->parameters;
  report->seconds = (double)(os_now_ns() - begin_ns) * 1e-9;
}

/* Whether the partial file is worth keeping after this failure: what caused it may be
 * gone the next time, and tensors are finished, by this conversion or by the one before
 * it, which this one may have been stopped too early to pass over again. */
static bool to_be_kept(const conversion *c, gust_status status) {
  bool passing = status == GUST_E_CANCELLED || status == GUST_E_IO || status == GUST_E_MEMORY;
  if (!passing || c->options.bare || c->writer.stage == WRITER_CUT) return false;
  return c->writer.stage == WRITER_WHOLE || c->finished > 0 || c->found;
}

static void tell_failure(const conversion *c, gust_status status, bool keep, gust_error *err) {
  static const char next[] = "the same command goes on from there, or remove ";
  const char *partial = keep ? c->writer.partial : "";
  if (status == GUST_E_CANCELLED) {
    gust_fail(err, status, "%s: the conversion was stopped; %s%s", c->target_path,
              keep ? next : "nothing is left of it", partial);
  } else if (keep && err) {
    gust_error why = *err;
    bool whole = c->writer.stage == WRITER_WHOLE;
    gust_fail(err, status, "%s; %s%s%s", why.text,
              whole ? "all of it is there and can be renamed: " : "what is finished is kept: ",
              whole ? "" : next, partial);
  }
}

static void clear(conversion *c, bool keep_partial) {
  tensor_packer_destroy(&c->packer);
  file_writer_close(&c->writer, keep_partial);
  gust_pool_destroy(c->pool);
  gust_header_clear(&c->header);
  tensor_map_clear(&c->map);
  checkpoint_close(&c->source);
  calibration_ids_clear(&c->calibration);
  free(c->calibrated);
  free(c->kept);
}

gust_status gust_convert(const char *source_folder, const char *target_path,
                         const gust_convert_options *options, gust_convert_report *report,
                         gust_error *err) {
  static const gust_convert_options defaults = {.type = GUST_TYPE_Q4};
  uint64_t begin_ns = os_now_ns();
  conversion c = {.target_path = target_path,
                  .options = options ? *options : defaults,
                  .writer = FILE_WRITER_NONE};
  if ((unsigned)c.options.type >= GUST_TYPE_COUNT)
    return gust_fail(err, GUST_E_ARGUMENT, "type: expected q4, q8, bf16 or f32, found %u",
                     (unsigned)c.options.type);
  if (c.options.target_bits > 0 && c.options.type != GUST_TYPE_Q4)
    return gust_fail(err, GUST_E_ARGUMENT,
                     "target bits choose between q4 and q8: expected type q4, found %s",
                     gust_type_name(c.options.type));
  if (c.options.calibration)
    c.options.recipe ^= gust_xxh64_of(c.options.calibration, c.options.calibration_bytes, 1);
  gust_status status = run(&c, source_folder, err);
  if (status && status != GUST_E_CANCELLED) {
    gust_status changed =
        checkpoint_check(&c.source, err); /* whatever else went wrong came of it */
    if (changed) status = changed;
  }
  if (!status && report) fill_report(&c, begin_ns, report);
  bool keep = to_be_kept(&c, status);
  tell_failure(&c, status, keep, err);
  clear(&c, keep);
  return status;
}

/* --- preview ---------------------------------------------------------------------------- */

static gust_type exact_type(const conversion *c) {
  for (size_t s = 0; s < c->source.shard_count; s++) {
    const safetensors_file *file = &c->source.shards[s].file;
    for (size_t t = 0; t < file->tensor_count; t++) {
      size_t index = c->map.targets[s][t];
      if (index != TENSOR_MAP_NONE && c->header.tensors[index].rank == 2 &&
          file->tensors[t].dtype != SAFETENSORS_BF16)
        return GUST_TYPE_F32;
    }
  }
  return GUST_TYPE_BF16;
}

static gust_status place_exact(conversion *c, gust_convert_preview *preview, gust_error *err) {
  preview->exact_type = exact_type(c);
  for (size_t i = 0; i < c->header.tensor_count; i++)
    if (c->header.tensors[i].rank == 2) c->header.tensors[i].type = preview->exact_type;
  c->options.measure = NULL;
  gust_status status = place_tensors(c, err);
  preview->exact_bytes = c->header.file_bytes;
  return status;
}

static gust_status count_tokens(const conversion *c, const char *folder, const char *text,
                                size_t bytes, size_t *count, gust_error *err) {
  gust_tokenizer *tokenizer = NULL;
  int32_t *ids = NULL;
  gust_status status = gust_tokenizer_create(&tokenizer, c->header.tokenizer,
                                             c->header.tokenizer_bytes, folder, err);
  if (!status)
    status =
        gust_tokenizer_text_to_ids(tokenizer, text, bytes, true, true, NULL, 0, &ids, count, err);
  free(ids);
  gust_tokenizer_destroy(tokenizer);
  return status;
}

gust_status gust_convert_look(const char *source_folder, const gust_convert_options *options,
                              const char *text, size_t text_bytes, gust_convert_preview *preview,
                              gust_error *err) {
  conversion c = {.options = *options, .writer = FILE_WRITER_NONE};
  memset(preview, 0, sizeof *preview);
  gust_status status = plan(&c, source_folder, err);
  preview->file_bytes = c.header.file_bytes;
  preview->has_bos = c.header.config.bos_id >= 0;
  if (!status) status = place_exact(&c, preview, err);
  if (!status && text)
    status = count_tokens(&c, source_folder, text, text_bytes, &preview->text_tokens, err);
  clear(&c, false);
  return status;
}

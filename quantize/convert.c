#include "convert.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "calibration.h"
#include "checkpoint.h"
#include "file_writer.h"
#include "hf_config.h"
#include "json_file.h"
#include "os.h"
#include "pool.h"
#include "tensor_map.h"
#include "tensor_packer.h"
#include "tensor_types.h"
#include "tokenizer_import.h"

#define MAX_THREADS 1024u

/* One conversion; everything in it may be unset when it is torn down. */
typedef struct conversion {
  const char *target_path;
  gust_convert_options options;
  checkpoint source;
  tensor_map map;
  gust_header header;
  gust_pool *pool;
  file_writer writer;
  tensor_packer packer;
  uint64_t done, total; /* source bytes */
  size_t calibration_tokens;
  calibrated_tensor *calibrated; /* per tensor of the header; NULL without calibration */
  double error[GUST_TYPE_COUNT], energy[GUST_TYPE_COUNT];
} conversion;

static bool advance(void *user, uint64_t bytes) {
  conversion *c = user;
  c->done += bytes;
  return c->options.progress && c->options.progress(c->options.user, c->done, c->total);
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
    c->total += source->bytes - c->source.shards[i].file.data_begin;
    source->name = malloc(strlen(name) + 1);
    if (!source->name) return gust_fail_memory(err, "source name", strlen(name) + 1);
    memcpy(source->name, name, strlen(name) + 1);
  }
  return GUST_OK;
}

/* The header's length is known before what is in it: encode, place, and encode
 * again when all checksums are there. */
static gust_status place_tensors(conversion *c, gust_error *err) {
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

/* --- weights -------------------------------------------------------------------------- */

/* In the order of the source's bytes, which is the order they are hashed in and
 * the one a disk likes; the writer puts them where the header says. */
static gust_status convert_shard(conversion *c, size_t shard, gust_error *err) {
  const safetensors_file *file = &c->source.shards[shard].file;
  gust_sha256 hash;
  gust_sha256_begin(&hash);
  gust_sha256_update(&hash, file->map.data, file->data_begin);
  for (size_t i = 0; i < file->tensor_count; i++) {
    const safetensors_tensor *source = &file->tensors[i];
    size_t index = c->map.targets[shard][i];
    gust_status status = GUST_OK;
    bool done = index != TENSOR_MAP_NONE && c->calibrated && c->calibrated[index].done;
    if (index == TENSOR_MAP_NONE || done) {
      gust_sha256_update(&hash, file->map.data + source->offset, source->bytes);
      if (!done) c->done += source->bytes;
    } else {
      gust_tensor *target = &c->header.tensors[index];
      status = tensor_packer_run(&c->packer, file, source, NULL, target, &hash,
                                 &c->error[target->type], &c->energy[target->type], err);
    }
    if (status) return status;
  }
  gust_sha256_end(&hash, c->header.sources[shard].sha256);
  return GUST_OK;
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
  return tensor_packer_create(&c->packer, &kernels, c->pool, &c->writer, advance, c, err);
}

/* Before the rest, which goes shard by shard: calibration goes layer by layer. */
static gust_status calibrate(conversion *c, gust_error *err) {
  if (!c->options.calibration) return GUST_OK;
  size_t bytes = c->header.tensor_count * sizeof *c->calibrated;
  c->calibrated = calloc(1, bytes);
  if (!c->calibrated) return gust_fail_memory(err, "calibration", bytes);
  calibration job = {.source = &c->source,
                     .header = &c->header,
                     .kernels = &c->packer.kernels,
                     .pool = c->pool,
                     .writer = &c->writer,
                     .text = c->options.calibration,
                     .text_bytes = c->options.calibration_bytes,
                     .text_name = c->options.calibration_name,
                     .progress = advance,
                     .user = c,
                     .tensors = c->calibrated};
  gust_status status = calibration_run(&job, &c->calibration_tokens, err);
  for (size_t i = 0; i < c->header.tensor_count && !status; i++) {
    c->error[c->header.tensors[i].type] += c->calibrated[i].error;
    c->energy[c->header.tensors[i].type] += c->calibrated[i].energy;
  }
  return status;
}

static gust_status run(conversion *c, const char *folder, gust_error *err) {
  gust_header *header = &c->header;
  gust_status status =
      hf_config_read(folder, &header->config, &header->generation, &header->chat_template, err);
  if (!status) status = checkpoint_open(&c->source, folder, err);
  if (!status) status = check_target(c, folder, err);
  if (!status) status = tensor_map_build(&c->map, header, &c->source, err);
  if (!status) tensor_types_assign(header, c->options.type);
  if (!status) status = read_tokenizer(c, folder, err);
  if (!status) status = list_sources(c, err);
  if (!status) status = place_tensors(c, err);
  if (!status) status = start_workers(c, err);
  if (!status) status = file_writer_open(&c->writer, c->target_path, err);
  if (!status) status = calibrate(c, err);
  for (size_t i = 0; i < c->source.shard_count && !status; i++) status = convert_shard(c, i, err);
  if (!status) status = write_header(c, err);
  return status ? status : file_writer_commit(&c->writer, err);
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
  report->calibration_tokens = c->calibration_tokens;
  report->source_bytes = c->total;
  report->file_bytes = c->header.file_bytes;
  report->bits_per_weight = 8.0 * (double)report->file_bytes / (double)report->parameters;
  report->seconds = (double)(os_now_ns() - begin_ns) * 1e-9;
}

gust_status gust_convert(const char *source_folder, const char *target_path,
                         const gust_convert_options *options, gust_convert_report *report,
                         gust_error *err) {
  static const gust_convert_options defaults = {.type = GUST_TYPE_Q4};
  uint64_t begin_ns = os_now_ns();
  conversion c = {.target_path = target_path, .options = options ? *options : defaults};
  c.writer.file = -1;
  if ((unsigned)c.options.type >= GUST_TYPE_COUNT)
    return gust_fail(err, GUST_E_ARGUMENT, "type: expected q4, q8, bf16 or f32, found %u",
                     (unsigned)c.options.type);
  gust_status status = run(&c, source_folder, err);
  if (!status && report) fill_report(&c, begin_ns, report);
  tensor_packer_destroy(&c.packer);
  file_writer_close(&c.writer);
  gust_pool_destroy(c.pool);
  gust_header_clear(&c.header);
  tensor_map_clear(&c.map);
  checkpoint_close(&c.source);
  free(c.calibrated);
  return status;
}

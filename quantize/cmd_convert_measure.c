/* The part of gust convert that measures what it made. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/evaluation_pair.h"
#include "cli/evaluation_summary.h"
#include "cli/human.h"
#include "cli/progress.h"
#include "file_writer.h"
#include "os.h"
#include "sha256.h"
#include "source_measure.h"

/* Tokens per chunk, as gust eval's default. */
#define CHUNK 512u

#define REFERENCE_SUFFIX ".source.tmp"

/* The length of the file called `target` and this; 0 where there is none. */
static uint64_t bytes_of(const char *target, const char *suffix) {
  uint64_t bytes = 0;
  size_t room = strlen(target) + strlen(suffix) + 1;
  char *path = malloc(room);
  if (!path) return 0;
  snprintf(path, room, "%s%s", target, suffix);
  os_file file = os_open_read(path, &bytes);
  free(path);
  if (file == (os_file)-1) return 0;
  os_close(file);
  return bytes;
}

gust_status source_measure_prepare(source_measure *m, const gust_convert_options *options,
                                   gust_error *err) {
  gust_convert_preview preview;
  gust_status status = gust_convert_look(m->folder, options, m->text, m->bytes, &preview, err);
  if (status != GUST_OK) return status;
  m->exact_type = preview.exact_type;
  if (!preview.has_bos)
    return command_error(err, GUST_E_UNSUPPORTED,
                         "%s: --against-source: expected a begin-of-sequence id to start chunks "
                         "with, found none",
                         m->folder);
  if (preview.text_tokens < CHUNK)
    return command_error(err, GUST_E_ARGUMENT,
                         "%s: --against-source: expected at least one chunk of %u tokens, found "
                         "%zu tokens; give a longer text",
                         m->text_name, CHUNK, preview.text_tokens);
  /* A conversion that was interrupted has some of this on the disk already, and what one
   * that was killed has left of its reference goes before there is another. */
  bool begun = bytes_of(m->target, FILE_WRITER_SUFFIX) > 0;
  uint64_t needed = preview.exact_bytes + (begun ? 0 : preview.file_bytes);
  uint64_t free_bytes = os_free_disk(m->target) + bytes_of(m->target, REFERENCE_SUFFIX) +
                        bytes_of(m->target, REFERENCE_SUFFIX FILE_WRITER_SUFFIX);
  if (needed <= free_bytes) return GUST_OK;
  char own[HUMAN_BYTES], exact[HUMAN_BYTES], found[HUMAN_BYTES];
  return command_error(err, GUST_E_IO,
                       "%s: --against-source: expected free disk for the file (%s, %llu bytes) and "
                       "the source as one %s file beside it for as long as it takes (%s, %llu "
                       "bytes), found %s; free some or write to another disk, or leave it out",
                       m->target, human_bytes(own, (double)preview.file_bytes),
                       (unsigned long long)preview.file_bytes, gust_type_name(preview.exact_type),
                       human_bytes(exact, (double)preview.exact_bytes),
                       (unsigned long long)preview.exact_bytes,
                       human_bytes(found, (double)free_bytes));
}

/* -1 where there is none, for want of chunks. */
static double error_of(evaluation_mean m) {
  return isfinite(m.se) ? m.se : -1;
}

/* The logarithm of a probability that is 1 to the last bit may come out above 0. */
static double not_negative(double value) {
  return value > 0 ? value : 0;
}

static void fill_quality(gust_quality *q, const evaluation_summary *s) {
  q->chunk = CHUNK;
  q->chunks = (uint32_t)s->chunks;
  q->nll = not_negative(s->nll.mean);
  q->nll_se = error_of(s->nll);
  q->reference_nll = not_negative(s->reference_nll.mean);
  q->reference_nll_se = error_of(s->reference_nll);
  q->nll_difference = s->nll_difference.mean;
  q->nll_difference_se = error_of(s->nll_difference);
  q->kl_mean = s->kl.mean;
  q->kl_mean_se = error_of(s->kl);
  q->kl_median = s->kl_median;
  q->kl_p99 = s->kl_p99;
  q->kl_p999 = s->kl_p999;
  q->kl_max = s->kl_max;
  q->top1_agree = s->top1_agree.mean;
  q->top1_agree_se = error_of(s->top1_agree);
}

static void hash_text(const source_measure *m, uint8_t digest[32]) {
  gust_sha256 hash;
  gust_sha256_begin(&hash);
  gust_sha256_update(&hash, m->text, m->bytes);
  gust_sha256_end(&hash, digest);
}

static gust_status evaluate(const source_measure *m, const char *path, uint64_t bytes,
                            const char *reference, gust_quality *quality, gust_error *err) {
  evaluation_pair pair = {.command = m->command,
                          .values = m->values,
                          .text_name = m->text_name,
                          .text = m->text,
                          .bytes = m->bytes,
                          .model_bytes = bytes,
                          .chunk = CHUNK,
                          .chunks = m->chunks};
  evaluation result = {0};
  evaluation_summary summary = {0};
  gust_status status = evaluation_pair_run(&pair, path, reference, &result, err);
  if (status == GUST_OK) status = evaluation_summarize(&summary, &result, err);
  if (status == GUST_OK) {
    fill_quality(quality, &summary);
    hash_text(m, quality->text_sha256);
  }
  evaluation_summary_clear(&summary);
  evaluation_clear(&result);
  evaluation_pair_close(&pair);
  return status;
}

static gust_status write_reference(const source_measure *m, const char *reference,
                                   gust_error *err) {
  progress_line progress;
  gust_convert_options options = {.type = m->exact_type,
                                  .threads = (unsigned)m->values->threads.count,
                                  .cpu = m->values->cpu.text,
                                  .progress = progress_update,
                                  .user = &progress,
                                  .bare = true};
  progress_begin(&progress, "unpacking the source", PROGRESS_BYTES, m->values->quiet.given);
  gust_status status = gust_convert(m->folder, reference, &options, NULL, err);
  progress_end(&progress);
  return status;
}

gust_status source_measure_run(void *user, const char *path, uint64_t bytes, gust_quality *quality,
                               gust_error *err) {
  const source_measure *m = user;
  size_t room = strlen(m->target) + sizeof REFERENCE_SUFFIX;
  char *reference = malloc(room);
  if (!reference) return command_error(err, GUST_E_MEMORY, "no memory for a path");
  progress_end(m->progress);
  snprintf(reference, room, "%s" REFERENCE_SUFFIX, m->target);
  os_remove(reference); /* of a conversion that was killed */
  gust_status status = write_reference(m, reference, err);
  if (status == GUST_OK) {
    status = evaluate(m, path, bytes, reference, quality, err);
    os_remove(reference);
  }
  free(reference);
  return status;
}

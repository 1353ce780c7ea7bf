#include "convert.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "conversion.h"
#include "file_receipt.h"
#include "float_state.h"
#include "os.h"
#include "status.h"

bool conversion_advance(void *user, uint64_t bytes) {
  conversion *c = user;
  c->done += bytes;
  return c->options.progress && c->options.progress(c->options.user, c->done - c->finished_before,
                                                    c->total - c->finished_before);
}

void conversion_note(const conversion *c, const char *line) {
  if (c->options.note) c->options.note(c->options.user, line);
}

gust_status conversion_fail_stopped(const conversion *c, gust_error *err) {
  return gust_fail(err, GUST_E_CANCELLED, "%s: the conversion was stopped", c->target_path);
}

void conversion_count_tensor(conversion *c, const gust_tensor *target, double error,
                             double energy) {
  c->error[target->type] += error;
  c->energy[target->type] += energy;
  c->finished++;
}

/* --- stages ------------------------------------------------------------------------------ */

static gust_status write_header(conversion *c, gust_error *err) {
  uint8_t *bytes;
  size_t count;
  gust_status status = gust_header_encode(&c->header, &bytes, &count, err);
  if (status) return status;
  status = file_writer_put(&c->writer, bytes, count, 0, err);
  free(bytes);
  return status;
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
  if (!status)
    status = file_receipt_hash(receipt, path, bytes, &running, conversion_advance, c, err);
  if (!status && c->options.measure)
    status = c->options.measure(c->options.measure_user, path, bytes, &receipt->quality, err);
  return status;
}

static gust_status run(conversion *c, const char *folder, gust_error *err) {
  gust_status status = conversion_plan(c, folder, err);
  if (!status) status = conversion_read_calibration(c, err);
  if (!status) status = conversion_start_workers(c, err);
  if (!status) status = conversion_choose_types(c, err);
  if (!status) status = conversion_open_target(c, err);
  if (!status) status = conversion_calibrate(c, err);
  if (!status) status = conversion_pack(c, err);
  if (!status && c->header.receipt.exists) status = complete_receipt(c, err);
  if (!status) status = checkpoint_check(&c->source, err);
  if (!status) status = write_header(c, err);
  return status ? status : file_writer_commit(&c->writer, c->header.file_bytes, err);
}

/* --- report ------------------------------------------------------------------------------ */

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
  if (status == GUST_E_CANCELLED && !c->writer.partial) {
    gust_fail(err, status, "%s: the conversion was stopped before anything was written",
              c->target_path);
  } else if (status == GUST_E_CANCELLED) {
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

void conversion_clear(conversion *c, bool keep_partial) {
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
    return gust_fail(err, GUST_E_ARGUMENT, "type: expected " GUST_TYPE_NAMES ", found %u",
                     (unsigned)c.options.type);
  if (c.options.target_bits > 0 && c.options.type != GUST_TYPE_Q4)
    return gust_fail(err, GUST_E_ARGUMENT,
                     "target bits choose between q4 and q8: expected type q4, found %s",
                     gust_type_name(c.options.type));
  gust_float_state caller = gust_float_state_set_default();
  gust_status status = run(&c, source_folder, err), changed = GUST_OK;
  gust_float_state_restore(caller);
  if (status && status != GUST_E_CANCELLED)
    changed = checkpoint_check(&c.source, err); /* whatever else went wrong came of it */
  if (changed) status = changed;
  if (!status && report) fill_report(&c, begin_ns, report);
  /* What was made of shards that are others now is not gone on with. */
  bool keep = !changed && to_be_kept(&c, status);
  tell_failure(&c, status, keep, err);
  conversion_clear(&c, keep);
  return status;
}

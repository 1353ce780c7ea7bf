/* The tensors that are rounded by what a calibration text makes of their inputs. */
#include <stdio.h>
#include <stdlib.h>

#include "conversion.h"
#include "status.h"

/* What can be refused is refused before an interrupted conversion is touched. */
gust_status conversion_read_calibration(conversion *c, gust_error *err) {
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
  conversion_note(c, line);
  return GUST_OK;
}

static gust_status keep_calibrated(void *user, size_t index, double error, double energy,
                                   gust_error *err) {
  conversion *c = user;
  conversion_count_tensor(c, &c->header.tensors[index], error, energy);
  journal_entry entry = {
      .checksum = c->header.tensors[index].checksum, .error = error, .energy = energy};
  c->calibrated[index] = true;
  return journal_finish(&c->journal, index, &entry, err);
}

calibration conversion_calibration(conversion *c) {
  return (calibration){.source = &c->source,
                       .header = &c->header,
                       .kernels = &c->packer.kernels,
                       .pool = c->pool,
                       .writer = &c->writer,
                       .ids = &c->calibration,
                       .progress = conversion_advance,
                       .restore = conversion_restore_tensor,
                       .finished = keep_calibrated,
                       .user = c};
}

/* Before the rest, which goes shard by shard: calibration goes layer by layer. What
 * is left for the rest takes no time and is not resumed. */
gust_status conversion_calibrate(conversion *c, gust_error *err) {
  if (!c->options.calibration) return GUST_OK;
  size_t bytes = c->header.tensor_count * sizeof *c->calibrated;
  c->calibrated = calloc(1, bytes);
  if (!c->calibrated) return gust_fail_memory(err, "calibration", bytes);
  calibration job = conversion_calibration(c);
  gust_status status = calibration_run(&job, err);
  c->resuming = false;
  return status;
}

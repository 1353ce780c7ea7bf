/* One conversion, as its stages see it: convert.c goes through them in order, each of
 * the files convert_*.c is one. Private to these. */
#ifndef GUST_CONVERSION_H
#define GUST_CONVERSION_H

#include "calibration.h"
#include "checkpoint.h"
#include "convert.h"
#include "convert_journal.h"
#include "file_writer.h"
#include "pool.h"
#include "tensor_map.h"
#include "tensor_packer.h"

/* Everything in it may be unset when it is torn down. */
typedef struct conversion {
  const char *target_path; /* NULL: nothing will be written (gust_convert_look) */
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

/* convert.c: what all stages use. The first is a calibration's and a packer's
 * `progress`, with the conversion as `user`: true when the work is to stop. */
bool conversion_advance(void *user, uint64_t bytes);
void conversion_note(const conversion *c, const char *line);
gust_status conversion_fail_stopped(const conversion *c, gust_error *err);
void conversion_count_tensor(conversion *c, const gust_tensor *target, double error, double energy);
void conversion_clear(conversion *c, bool keep_partial);

/* convert_plan.c: everything about the file but its tensors' bytes. The second is part
 * of the first, to be done again when types have changed. */
gust_status conversion_plan(conversion *c, const char *folder, gust_error *err);
gust_status conversion_place(conversion *c, gust_error *err);

/* convert_types.c: the types that come to options.target_bits, if that is given. */
gust_status conversion_choose_types(conversion *c, gust_error *err);

/* convert_resume.c: opens the partial file, and finds what an interrupted conversion
 * left in it.
 * Of a shard, sets *begin to how many of its tensors there is nothing left to do for, and
 * *hash to where the last of them ends. Of one tensor, which is a calibration's
 * `restore`: its bytes, and whether they are there. The first tensor that is not
 * finished ends resuming altogether. */
gust_status conversion_open_target(conversion *c, gust_error *err);
gust_status conversion_resume_shard(conversion *c, size_t shard, size_t *begin, gust_sha256 *hash,
                                    gust_error *err);
bool conversion_restore_tensor(void *user, size_t index, uint8_t *bytes, double *error,
                               double *energy);

/* convert_calibrated.c: the tensors that options.calibration is for, done before the
 * others. Nothing without it. */
gust_status conversion_read_calibration(conversion *c, gust_error *err);
calibration conversion_calibration(conversion *c);
gust_status conversion_calibrate(conversion *c, gust_error *err);

/* convert_tensors.c: threads and kernels; all other tensors. */
gust_status conversion_start_workers(conversion *c, gust_error *err);
gust_status conversion_pack(conversion *c, gust_error *err);

#endif

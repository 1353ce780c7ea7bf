/* gust convert --against-source: the finished file against its source in float32.
 *
 * The source is written once more as a .gust file beside the target, in the smallest
 * type that holds its weights exactly, evaluated against, and removed. A bfloat16
 * checkpoint makes a bf16 file, whose logits are to the bit those of float32: half
 * the disk for the same figures. */
#ifndef GUST_SOURCE_MEASURE_H
#define GUST_SOURCE_MEASURE_H

#include "convert.h"

struct cli_command;
struct model_values;
struct progress_line;

typedef struct source_measure {
  const struct cli_command *command;
  const struct model_values *values; /* threads, cpu, quiet; files are mapped */
  const char *folder, *target;
  const char *text_name, *text; /* the text to predict */
  size_t bytes;
  uint64_t chunks;                /* at most */
  struct progress_line *progress; /* of the conversion, whose place this one's takes */
  gust_type exact_type;           /* set by source_measure_prepare */
} source_measure;

/* Before the conversion: refuses what would make the measurement fail after it, a
 * text too short or a disk too full. `options` are those of the conversion. */
gust_status source_measure_prepare(source_measure *measure, const gust_convert_options *options,
                                   gust_error *err);

/* A gust_convert_measure_fn whose `user` is the source_measure. */
gust_status source_measure_run(void *user, const char *path, uint64_t bytes, gust_quality *quality,
                               gust_error *err);

#endif

/* gust convert: a Hugging Face checkpoint folder becomes one .gust file. */
#ifndef GUST_CONVERT_H
#define GUST_CONVERT_H

#include "format.h"

/* Measures the complete file against its source: the first `bytes` bytes of what lies
 * at `path`, as it does not have its name yet. */
typedef gust_status gust_convert_measure_fn(void *user, const char *path, uint64_t bytes,
                                            gust_quality *quality, gust_error *err);

typedef struct gust_convert_options {
  gust_type type;          /* of the matrices; vectors (norms) are always f32 */
  unsigned threads;        /* 0: gust_default_threads() */
  const char *cpu;         /* fastest CPU level to use; NULL: none. Changes no byte */
  const char *calibration; /* text to calibrate on (calibration.h); NULL: none; refused where
                              no matrix but the embedding is q4 or q8 */
  size_t calibration_bytes;
  const char *calibration_name; /* what errors call it */
  const char *const *keep;      /* rules for single tensors' types (tensor_types.h) */
  size_t keep_count;
  double target_bits;         /* above 0: q4 or q8 for each matrix, by what it suffers, to come to
                                 at most so many bits per weight; needs type q4 */
  gust_progress_fn *progress; /* bytes of source weights; may be NULL */
  /* A line worth showing while the work goes on; may be NULL. */
  void (*note)(void *user, const char *line);
  void *user;
  gust_convert_measure_fn *measure; /* for the file's receipt; may be NULL */
  void *measure_user;
  bool bare; /* no receipt, and nothing left by a failure: for a file that is not to be kept */
} gust_convert_options;

/* What became of the tensors stored in one type. */
typedef struct gust_convert_part {
  uint64_t tensors;
  uint64_t parameters;    /* true ones, without padding */
  uint64_t bytes;         /* in the file, with padding and scales */
  double bits_per_weight; /* 8 bytes / parameters; 0 without tensors */
  double rms_error;       /* relative: sqrt(sum (w - w')^2 / sum w^2) against the source */
} gust_convert_part;

typedef struct gust_convert_report {
  gust_convert_part parts[GUST_TYPE_COUNT]; /* indexed by gust_type */
  uint64_t tensors, parameters, source_bytes, file_bytes;
  double bits_per_weight;      /* 8 file_bytes / parameters */
  uint64_t resumed;            /* tensors that an interrupted conversion had finished */
  uint64_t calibration_tokens; /* that were run, beginnings of sequences included */
  double seconds;
} gust_convert_report;

/* Reads the checkpoint folder `source_folder` (config.json, *.safetensors,
 * tokenizer files) and writes the file `target_path`.
 *
 * The bytes written depend on the checkpoint, the types asked for and the calibration
 * text alone: not on the number of threads, the CPU or the time. Memory holds at most
 * two groups of panels, the tokenizer and the header, whatever the model's size;
 * with calibration what calibration.h says.
 *
 * The file ends up with a receipt (docs/FORMAT.md): errors of the weights by type,
 * the hash of the logits of the fixed prompt, which the finished file is opened and
 * run for, and what options->measure fills in.
 *
 * A matrix type of q4 stores the embedding, the output head and the attention's
 * v matrices in q8, where the bits they cost buy the most.
 *
 * The file is written as TARGET.converting beside the target and renamed when
 * complete and on disk; until then what was at `target_path` is untouched. A
 * conversion that `progress` stopped (GUST_E_CANCELLED), that lacked disk or memory
 * (GUST_E_IO, GUST_E_MEMORY, of options->measure too), or that was killed, leaves
 * TARGET.converting behind, and says so, unless neither it nor the one it went on with
 * had finished a tensor. The next of the same source and options goes on after the
 * last tensor finished, and the result is the same byte for byte; where source,
 * options or gust's version are others it starts over, and says so through `note`.
 * After any other failure TARGET.converting is removed. Where only the renaming failed
 * it is the whole file. Of two conversions to one target at a time the
 * second is refused. A target that is one of the checkpoint's own files is
 * refused. Where `target_path` is a symbolic link, the file takes the link's
 * place, and what the link leads to is untouched.
 *
 * Errors: GUST_E_IO (unreadable source, full disk), GUST_E_FORMAT (damaged or
 * incomplete checkpoint, NaN or infinity in a weight), GUST_E_UNSUPPORTED
 * (architecture, feature or element type gust lacks), GUST_E_ARGUMENT,
 * GUST_E_MEMORY, GUST_E_CANCELLED. `options`, `report` and `err` may be NULL;
 * without options the type is q4. */
gust_status gust_convert(const char *source_folder, const char *target_path,
                         const gust_convert_options *options, gust_convert_report *report,
                         gust_error *err);

/* What a conversion would come to. */
typedef struct gust_convert_preview {
  uint64_t file_bytes; /* of the file with the options given */
  gust_type exact_type;
  uint64_t exact_bytes; /* the smallest type that holds all matrices of the checkpoint
                           exactly (bf16 or f32), and the length of the file with it:
                           its logits are those of the source in float32, to the bit */
  bool has_bos;         /* there is a begin-of-sequence id */
  size_t text_tokens;   /* ids that `text` makes with the checkpoint's tokenizer */
} gust_convert_preview;

/* Looks at the checkpoint without converting it. `text` may be NULL. */
gust_status gust_convert_look(const char *source_folder, const gust_convert_options *options,
                              const char *text, size_t text_bytes, gust_convert_preview *preview,
                              gust_error *err);

#endif

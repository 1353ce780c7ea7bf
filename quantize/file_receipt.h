/* The receipt of a file that is being written: what became of its weights, and the
 * hash of its logits. */
#ifndef GUST_FILE_RECEIPT_H
#define GUST_FILE_RECEIPT_H

#include "format.h"

/* Gives the header a receipt with a part for each type among its tensors: all that
 * its length in the file depends on. `measured`: there will be a quality in it. */
void file_receipt_begin(gust_header *header, bool measured);

/* Sets the sums of squares; both are indexed by type. */
void file_receipt_sum(gust_receipt *receipt, const double error[GUST_TYPE_COUNT],
                      const double energy[GUST_TYPE_COUNT]);

/* Called after every token with 0 bytes; true stops. */
typedef bool file_receipt_progress_fn(void *user, uint64_t bytes);

/* Opens the file, the first `bytes` bytes at `path`, which is complete but for its
 * receipt, runs it and sets the hash. Of `running` only threads and cpu count. */
gust_status file_receipt_hash(gust_receipt *receipt, const char *path, uint64_t bytes,
                              const gust_context_options *running,
                              file_receipt_progress_fn *progress, void *user, gust_error *err);

#endif

/* What an interrupted conversion leaves for the next: which tensors of the
 * partial file are finished. It lies behind the file's own bytes, so that there
 * is one file to find or to remove, and is cut off when that is whole.
 *
 * Tensors are finished in a fixed order. What the journal says is believed only where the identity
 * is the same, which stands for everything the bytes depend on, and the tensor's bytes have the
 * checksum it names. */
#ifndef GUST_CONVERT_JOURNAL_H
#define GUST_CONVERT_JOURNAL_H

#include "file_writer.h"
#include "format.h"
#include "sha256.h"

/* Two checksums with different seeds. */
typedef struct journal_identity {
  uint64_t part[2];
} journal_identity;

/* What is to be known of a finished tensor beside its bytes. */
typedef struct journal_entry {
  uint64_t checksum;      /* of its bytes in the file */
  double error, energy;   /* sum (w - w')^2, sum w^2 */
  gust_sha256_state hash; /* of the shard it came from, up to its end */
} journal_entry;

/* What a partial file turned out to hold. */
typedef enum journal_finding {
  JOURNAL_NOTHING,
  JOURNAL_OTHER, /* an interrupted conversion of another source or with other options */
  JOURNAL_OURS
} journal_finding;

typedef struct convert_journal {
  file_writer *writer; /* which must outlive it */
  uint64_t base;       /* where the journal begins: the file's length */
  journal_identity identity;
  size_t count; /* of tensors */
} convert_journal;

/* Reads what an open writer's partial file holds of `found` bytes. */
journal_finding journal_look(const convert_journal *journal, uint64_t found);
/* Begins a new journal in an empty file. */
gust_status journal_begin(const convert_journal *journal, gust_error *err);
/* Says that tensor `index` is finished. */
gust_status journal_finish(const convert_journal *journal, size_t index, const journal_entry *entry,
                           gust_error *err);
/* Whether tensor `index` was finished; fills in *entry. The bytes are not looked
 * at. */
bool journal_find(const convert_journal *journal, size_t index, journal_entry *entry);

#endif

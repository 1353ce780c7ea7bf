#include "convert_journal.h"

#include <string.h>

#include "checksum.h"

/* Numbers are in the machine's own order: a partial file does not travel, and
 * elsewhere its identity would not be found. */
#define MAGIC "GUSTpart"

typedef struct journal_head {
  char magic[8];
  journal_identity identity;
  uint64_t count;
} journal_head;

/* On disk: the entry, which tensor it is of, and a checksum over both that holds
 * the identity as well; a torn or missing one is zeros or does not check. */
typedef struct journal_slot {
  journal_entry entry;
  uint64_t index, check;
} journal_slot;

static journal_head head_of(const convert_journal *journal) {
  journal_head head;
  memset(&head, 0, sizeof head);
  memcpy(head.magic, MAGIC, sizeof head.magic);
  head.identity = journal->identity;
  head.count = journal->count;
  return head;
}

static uint64_t slot_offset(const convert_journal *journal, size_t index) {
  return journal->base + sizeof(journal_head) + index * sizeof(journal_slot);
}

static uint64_t slot_check(const convert_journal *journal, const journal_slot *slot) {
  return gust_xxh64_of(slot, offsetof(journal_slot, check), journal->identity.part[0]);
}

journal_finding journal_look(const convert_journal *journal, uint64_t found) {
  journal_head head, ours = head_of(journal);
  if (found == 0) return JOURNAL_NOTHING;
  if (found < journal->base || found - journal->base < sizeof head ||
      !file_writer_get(journal->writer, &head, sizeof head, journal->base))
    return JOURNAL_OTHER;
  return memcmp(&head, &ours, sizeof head) == 0 ? JOURNAL_OURS : JOURNAL_OTHER;
}

gust_status journal_begin(const convert_journal *journal, gust_error *err) {
  journal_head head = head_of(journal);
  return file_writer_put(journal->writer, &head, sizeof head, journal->base, err);
}

gust_status journal_finish(const convert_journal *journal, size_t index, const journal_entry *entry,
                           gust_error *err) {
  journal_slot slot;
  memset(&slot, 0, sizeof slot);
  memcpy(&slot.entry, entry, sizeof *entry);
  slot.index = index;
  slot.check = slot_check(journal, &slot);
  return file_writer_put(journal->writer, &slot, sizeof slot, slot_offset(journal, index), err);
}

bool journal_find(const convert_journal *journal, size_t index, journal_entry *entry) {
  journal_slot slot;
  if (index >= journal->count ||
      !file_writer_get(journal->writer, &slot, sizeof slot, slot_offset(journal, index)))
    return false;
  if (slot.index != index || slot.check != slot_check(journal, &slot)) return false;
  *entry = slot.entry;
  return true;
}

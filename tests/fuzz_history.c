/* libFuzzer: the input is the file of input lines entered before. Whatever it is, what is
 * taken over is within bounds; entries come back from the file they are added to, this
 * one or another. */
#include <string.h>

#include "cli/history.h"
#include "fuzz_support.h"

#define MOST_COPIED 4u /* entries; each is an append under a lock */

static void check_entries(const history *list) {
  size_t bytes = 0;
  fuzz_require(list->count <= HISTORY_MOST_ENTRIES && list->count <= list->capacity);
  for (size_t i = 0; i < list->count; i++) {
    const history_entry *entry = &list->entries[i];
    fuzz_require(entry->bytes > 0 && entry->bytes <= HISTORY_ENTRY_BYTES);
    fuzz_require(entry->text[entry->bytes] == 0);
    fuzz_require(history_find(list, i + 1, entry->text, entry->bytes) == i);
    bytes += entry->bytes;
  }
  fuzz_require(bytes == list->bytes && bytes <= HISTORY_MOST_BYTES);
}

/* `count` entries of both. */
static void check_same(const history *a, size_t from, const history *b, size_t count) {
  fuzz_require(b->count == count && a->count - from >= count);
  for (size_t i = 0; i < count; i++) {
    const history_entry *one = &a->entries[from + i], *other = &b->entries[i];
    fuzz_require(one->bytes == other->bytes && memcmp(one->text, other->text, one->bytes) == 0);
  }
}

static void open_file(history *list, const char *path) {
  gust_error err = {0};
  fuzz_require(history_open(list, path, &err) == GUST_OK);
  check_entries(list);
}

/* The youngest entries, in a file of their own. */
static void check_copied(const history *list) {
  gust_error err = {0};
  history copy = {0}, back = {0};
  size_t from = list->count > MOST_COPIED ? list->count - MOST_COPIED : 0;
  const char *path = fuzz_write_file("copied", "", 0);
  open_file(&copy, path);
  for (size_t i = from; i < list->count; i++)
    fuzz_require(history_add(&copy, list->entries[i].text, list->entries[i].bytes, &err) ==
                 GUST_OK);
  open_file(&back, path);
  check_same(list, from, &back, list->count - from);
  history_clear(&copy);
  history_clear(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  gust_error err = {0};
  history list = {0}, back = {0};
  const char *path = fuzz_write_file("history", data, size);
  open_file(&list, path);
  fuzz_require(history_add(&list, "one\\\nmore", 9, &err) == GUST_OK);
  fuzz_require(list.count > 0 && list.entries[list.count - 1].bytes == 9);
  open_file(&back, path);
  check_same(&list, 0, &back, list.count);
  check_copied(&list);
  history_clear(&list);
  history_clear(&back);
  return 0;
}

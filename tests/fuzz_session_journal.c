/* libFuzzer: the input is a session file. Its checksums and the model it names are put
 * right first, or no change would ever get past them; then it is opened, restored, gone
 * on with and opened again: what is in it then must be what was there before. */
#include <stdlib.h>
#include <string.h>

#include "checksum.h"
#include "cli/session_journal.h"
#include "fuzz_support.h"

#define PROLOGUE_BYTES 24u
#define HEAD_BYTES 40u
#define CACHE_TYPE 2u

static uint64_t get(const uint8_t *from, int bytes) {
  uint64_t value = 0;
  for (int i = 0; i < bytes; i++) value |= (uint64_t)from[i] << (8 * i);
  return value;
}

/* Offsets: docs/SESSIONS.md. Records are made to fit as long as there are any. */
static void seal(uint8_t *bytes, size_t size, uint64_t fingerprint) {
  uint64_t chain = gust_xxh64_of(bytes, PROLOGUE_BYTES, 0);
  for (size_t at = PROLOGUE_BYTES; size - at >= HEAD_BYTES;) {
    uint8_t *head = bytes + at, *payload = head + HEAD_BYTES;
    uint64_t left = size - at - HEAD_BYTES;
    uint64_t payload_bytes = get(head + 4, 4), bulk_bytes = get(head + 8, 8);
    if (payload_bytes > left || bulk_bytes > left - payload_bytes) return;
    if (get(head, 4) == CACHE_TYPE && payload_bytes >= 8) fuzz_put64(payload, fingerprint);
    fuzz_put64(head + 16, gust_xxh64_of(payload, (size_t)payload_bytes, 0));
    fuzz_put64(head + 24, gust_xxh64_of(payload + payload_bytes, (size_t)bulk_bytes, 0));
    chain = gust_xxh64_of(head, 32, chain);
    fuzz_put64(head + 32, chain);
    at += HEAD_BYTES + (size_t)payload_bytes + (size_t)bulk_bytes;
  }
}

static void ignore(void *user, const char *line) {
  (void)user;
  fuzz_require(!strchr(line, '\n'));
}

static session_journal *open_file(const char *path, const gust_model *model) {
  const session_options options = {.model_name = "model", .other_model = true, .notice = ignore};
  session_journal *journal;
  gust_error err = {0};
  if (session_journal_open(&journal, path, model, &options, &err) == GUST_OK) return journal;
  fuzz_require_line(&err);
  fuzz_require(!journal);
  return NULL;
}

static void check(const char *path, const gust_model *model, gust_context *context) {
  gust_error err = {0};
  session_summary summary;
  if (session_summary_read(&summary, path, &err) == GUST_OK)
    fuzz_require(!strchr(summary.first_line, '\n'));
  session_summary_clear(&summary);
  session_journal *journal = open_file(path, model);
  if (!journal) return;
  size_t positions = 0, count = session_journal_message_count(journal);
  gust_context_truncate(context, 0);
  fuzz_require(session_journal_restore(journal, context, &positions, &err) == GUST_OK);
  fuzz_require(positions == gust_context_length(context));
  fuzz_require(session_journal_add_message(journal, "user", "more", 4, &err) == GUST_OK);
  fuzz_require(session_journal_commit(journal, context, &err) == GUST_OK);
  session_journal_close(journal);
  journal = open_file(path, model);
  fuzz_require(journal != NULL);
  fuzz_require(session_journal_message_count(journal) == count + 1);
  fuzz_require(strcmp(session_journal_messages(journal)[count].content, "more") == 0);
  session_journal_close(journal);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static gust_model *model;
  static gust_context *context;
  if (!model) {
    const gust_context_options options = {.kv = GUST_KV_Q8, .positions = 64, .threads = 1};
    fuzz_require(gust_model_create_synthetic(&model, "demo", "q4", NULL, NULL, NULL) == GUST_OK);
    fuzz_require(gust_context_create(&context, model, &options, NULL) == GUST_OK);
  }
  if (size < PROLOGUE_BYTES) return 0;
  uint8_t *bytes = malloc(size);
  fuzz_require(bytes != NULL);
  memcpy(bytes, data, size);
  seal(bytes, size, gust_model_fingerprint(model));
  check(fuzz_write_file("session", bytes, size), model, context);
  fuzz_write_part("session.damaged", (fuzz_part){0});
  free(bytes);
  return 0;
}

/* libFuzzer: the input is a conversation as /load reads it, as text or as JSON lines. One
 * that is accepted is made of whole turns, and comes back the same from either kind of
 * file that /save makes of it. */
#include <string.h>

#include "cli/chat_transcript.h"
#include "fuzz_support.h"

static void check_turns(const chat_messages *messages) {
  size_t first = chat_messages_first(messages);
  fuzz_require(messages->count > 0 && (messages->count - first) % 2 == 0);
  for (size_t i = 0; i < messages->count; i++) {
    const gust_message *message = &messages->items[i];
    const char *role = i < first ? "system" : (i - first) % 2 ? "assistant" : "user";
    fuzz_require(strcmp(message->role, role) == 0);
    fuzz_require(strlen(message->content) == message->bytes);
  }
}

static void check_saved(const chat_messages *messages, const char *name) {
  chat_messages back = {0};
  gust_error err = {0};
  const char *path = fuzz_write_file(name, "", 0);
  fuzz_require(chat_transcript_save(messages, path, &err) == GUST_OK);
  fuzz_require(chat_transcript_load(&back, path, &err) == GUST_OK);
  fuzz_require(back.count == messages->count);
  for (size_t i = 0; i < back.count; i++) {
    const gust_message *one = &messages->items[i], *other = &back.items[i];
    fuzz_require(strcmp(one->role, other->role) == 0 && one->bytes == other->bytes);
    fuzz_require(memcmp(one->content, other->content, one->bytes) == 0);
  }
  chat_messages_clear(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  chat_messages messages = {0};
  gust_error err = {0};
  if (chat_transcript_load(&messages, fuzz_write_file("conversation", data, size), &err)) {
    fuzz_require_line(&err);
    fuzz_require(messages.count == 0);
    return 0;
  }
  check_turns(&messages);
  check_saved(&messages, "saved.txt");
  check_saved(&messages, "saved.jsonl");
  chat_messages_clear(&messages);
  return 0;
}

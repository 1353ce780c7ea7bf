#include "chat_messages.h"

#include <stdlib.h>
#include <string.h>

/* The contents are lent as const through gust.h and owned here. */
static void free_content(gust_message *message) {
  union {
    const char *lent;
    char *owned;
  } content = {.lent = message->content};
  free(content.owned);
}

static gust_status no_memory(const chat_messages *messages, gust_error *err) {
  return command_error(err, GUST_E_MEMORY, "no memory for message %zu of the conversation",
                       messages->count + 1);
}

static char *copy_content(const char *content, size_t bytes) {
  char *copy = bytes < SIZE_MAX ? malloc(bytes + 1) : NULL;
  if (!copy) return NULL;
  if (bytes) memcpy(copy, content, bytes);
  copy[bytes] = 0;
  return copy;
}

/* Room for `more` messages behind those there are. */
static bool make_room(chat_messages *messages, size_t more) {
  if (more <= messages->capacity - messages->count) return true;
  size_t larger = messages->capacity ? messages->capacity : 16;
  while (larger - messages->count < more) {
    if (larger > SIZE_MAX / sizeof *messages->items / 2) return false;
    larger *= 2;
  }
  gust_message *grown = realloc(messages->items, larger * sizeof *grown);
  if (!grown) return false;
  messages->items = grown;
  messages->capacity = larger;
  return true;
}

gust_status chat_messages_add(chat_messages *messages, const char *role, const char *content,
                              size_t bytes, gust_error *err) {
  char *copy = make_room(messages, 1) ? copy_content(content, bytes) : NULL;
  if (!copy) return no_memory(messages, err);
  messages->items[messages->count++] = (gust_message){role, copy, bytes};
  return GUST_OK;
}

gust_status chat_messages_replace(chat_messages *messages, size_t index, const char *content,
                                  size_t bytes, gust_error *err) {
  char *copy = copy_content(content, bytes);
  if (!copy) return no_memory(messages, err);
  free_content(&messages->items[index]);
  messages->items[index].content = copy;
  messages->items[index].bytes = bytes;
  return GUST_OK;
}

gust_status chat_messages_set_system(chat_messages *messages, const char *content, size_t bytes,
                                     gust_error *err) {
  size_t there = chat_messages_first(messages);
  if (!content) {
    chat_messages_remove(messages, 0, there);
    return GUST_OK;
  }
  if (there) return chat_messages_replace(messages, 0, content, bytes, err);
  gust_status status = chat_messages_add(messages, "system", content, bytes, err);
  if (status != GUST_OK) return status;
  gust_message system = messages->items[messages->count - 1];
  memmove(messages->items + 1, messages->items, (messages->count - 1) * sizeof system);
  messages->items[0] = system;
  return GUST_OK;
}

static void close_gap(chat_messages *messages, size_t first, size_t count) {
  memmove(messages->items + first, messages->items + first + count,
          (messages->count - first - count) * sizeof *messages->items);
  messages->count -= count;
}

void chat_messages_remove(chat_messages *messages, size_t first, size_t count) {
  if (count == 0) return;
  for (size_t i = first; i < first + count; i++) free_content(&messages->items[i]);
  close_gap(messages, first, count);
}

gust_status chat_messages_cut(chat_messages *messages, size_t first, size_t count,
                              chat_messages *away, gust_error *err) {
  if (count == 0) return GUST_OK;
  if (!make_room(away, count)) return no_memory(messages, err);
  memcpy(away->items, messages->items + first, count * sizeof *away->items);
  away->count = count;
  close_gap(messages, first, count);
  return GUST_OK;
}

void chat_messages_paste(chat_messages *messages, size_t first, chat_messages *away) {
  if (away->count == 0) return;
  gust_message *gap = messages->items + first;
  memmove(gap + away->count, gap, (messages->count - first) * sizeof *gap);
  memcpy(gap, away->items, away->count * sizeof *gap);
  messages->count += away->count;
  away->count = 0;
}

void chat_messages_clear(chat_messages *messages) {
  chat_messages_remove(messages, 0, messages->count);
  free(messages->items);
  memset(messages, 0, sizeof *messages);
}

size_t chat_messages_first(const chat_messages *messages) {
  return messages->count && strcmp(messages->items[0].role, "system") == 0 ? 1 : 0;
}

size_t chat_messages_turns(const chat_messages *messages) {
  size_t turns = 0;
  for (size_t i = 0; i < messages->count; i++) turns += !strcmp(messages->items[i].role, "user");
  return turns;
}

size_t chat_messages_turn(const chat_messages *messages, size_t turn) {
  size_t i = 0;
  for (; i < messages->count; i++)
    if (!strcmp(messages->items[i].role, "user") && turn-- == 0) break;
  return i;
}

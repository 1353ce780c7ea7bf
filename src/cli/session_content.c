#include "session_content.h"

#include <stdlib.h>
#include <string.h>

#include "session_records.h"

/* An event is four numbers of 32 bits, kind, number and the bytes of two texts, and
 * then the texts. */
#define EVENT_BYTES 16u
#define FINGERPRINT_BYTES 8u
#define MAX_VALUE_BYTES (1u << 20)

static const char *const roles[] = {"system", "user", "assistant"};
#define ROLES (sizeof roles / sizeof *roles)

int session_role_number(const char *role) {
  for (size_t i = 0; i < ROLES; i++)
    if (strcmp(roles[i], role) == 0) return (int)i;
  return -1;
}

/* --- content --------------------------------------------------------------------------- */

static gust_status no_memory(size_t bytes, gust_error *err) {
  return command_error(err, GUST_E_MEMORY, "no memory for %zu bytes of the session", bytes);
}

/* A copy with a NUL behind it, or NULL. */
static char *copy_text(const char *text, size_t bytes) {
  char *copy = malloc(bytes + 1);
  if (!copy) return NULL;
  if (text) memcpy(copy, text, bytes);
  copy[bytes] = 0;
  return copy;
}

/* Makes room for one more element. */
static bool reserve_one(void **memory, size_t *capacity, size_t count, size_t size) {
  if (count < *capacity) return true;
  size_t larger = *capacity ? *capacity * 2 : 16;
  void *grown = larger > SIZE_MAX / size ? NULL : realloc(*memory, larger * size);
  if (!grown) return false;
  *memory = grown;
  *capacity = larger;
  return true;
}

static void free_message(const gust_message *message) {
  union {
    const char *lent;
    char *owned;
  } content = {.lent = message->content};
  free(content.owned);
}

static gust_status add_message(session_content *content, const session_event *event,
                               gust_error *err) {
  void *memory = content->messages;
  char *text = NULL;
  if (reserve_one(&memory, &content->message_capacity, content->message_count,
                  sizeof *content->messages))
    text = copy_text(event->second, event->second_bytes);
  content->messages = memory;
  if (!text) return no_memory(event->second_bytes, err);
  content->messages[content->message_count++] =
      (gust_message){roles[event->number], text, event->second_bytes};
  return GUST_OK;
}

static session_setting *find_setting(const session_content *content, const char *name,
                                     size_t bytes) {
  for (size_t i = 0; i < content->setting_count; i++) {
    session_setting *setting = &content->settings[i];
    if (strlen(setting->name) == bytes && memcmp(setting->name, name, bytes) == 0) return setting;
  }
  return NULL;
}

static gust_status set_setting(session_content *content, const session_event *event,
                               gust_error *err) {
  session_setting *setting = find_setting(content, event->first, event->first_bytes);
  char *value = copy_text(event->second, event->second_bytes);
  if (!value) return no_memory(event->second_bytes, err);
  if (setting) {
    free(setting->value);
    setting->value = value;
    return GUST_OK;
  }
  void *memory = content->settings;
  char *name = NULL;
  if (reserve_one(&memory, &content->setting_capacity, content->setting_count,
                  sizeof *content->settings))
    name = copy_text(event->first, event->first_bytes);
  content->settings = memory;
  if (!name) {
    free(value);
    return no_memory(event->first_bytes, err);
  }
  content->settings[content->setting_count++] = (session_setting){name, value};
  return GUST_OK;
}

static gust_status set_model(session_content *content, const session_event *event,
                             gust_error *err) {
  char *name = copy_text(event->second, event->second_bytes);
  if (!name) return no_memory(event->second_bytes, err);
  free(content->model_name);
  content->model_name = name;
  content->fingerprint = session_get64((const uint8_t *)event->first);
  content->has_model = true;
  return GUST_OK;
}

bool session_event_is_valid(const session_event *event, size_t *messages) {
  switch (event->kind) {
    case EVENT_MESSAGE:
      ++*messages;
      return event->number < ROLES && event->first_bytes == 0 &&
             event->second_bytes <= SESSION_MAX_PAYLOAD / 2;
    case EVENT_TRUNCATE: {
      size_t before = *messages;
      *messages = event->number;
      return event->number <= before && event->first_bytes == 0 && event->second_bytes == 0;
    }
    case EVENT_SETTING:
      return event->number == 0 && event->first_bytes >= 1 &&
             event->first_bytes <= SESSION_MAX_NAME && event->second_bytes <= MAX_VALUE_BYTES &&
             !memchr(event->first, 0, event->first_bytes) &&
             !memchr(event->second, 0, event->second_bytes);
    case EVENT_MODEL:
      return event->number == 0 && event->first_bytes == FINGERPRINT_BYTES &&
             event->second_bytes <= MAX_VALUE_BYTES &&
             !memchr(event->second, 0, event->second_bytes);
    default: return false;
  }
}

gust_status session_content_apply(session_content *content, const session_event *event,
                                  gust_error *err) {
  switch (event->kind) {
    case EVENT_MESSAGE: return add_message(content, event, err);
    case EVENT_SETTING: return set_setting(content, event, err);
    case EVENT_MODEL: return set_model(content, event, err);
    default: break;
  }
  while (content->message_count > event->number)
    free_message(&content->messages[--content->message_count]);
  return GUST_OK;
}

/* Takes the event at *at apart and moves behind it; false when it does not fit. */
static bool next_event(const uint8_t *payload, size_t bytes, size_t *at, session_event *event) {
  if (bytes - *at < EVENT_BYTES) return false;
  const uint8_t *head = payload + *at;
  *event = (session_event){.kind = session_get32(head),
                           .number = session_get32(head + 4),
                           .first_bytes = session_get32(head + 8),
                           .second_bytes = session_get32(head + 12)};
  size_t left = bytes - *at - EVENT_BYTES;
  if (event->first_bytes > left || event->second_bytes > left - event->first_bytes) return false;
  event->first = (const char *)head + EVENT_BYTES;
  event->second = event->first + event->first_bytes;
  *at += EVENT_BYTES + event->first_bytes + event->second_bytes;
  return true;
}

gust_status session_content_apply_all(session_content *content, const uint8_t *payload,
                                      size_t bytes, bool *valid, gust_error *err) {
  session_event event;
  size_t messages = content->message_count, at = 0;
  gust_status status = GUST_OK;
  *valid = true;
  while (at < bytes && *valid)
    *valid = next_event(payload, bytes, &at, &event) && session_event_is_valid(&event, &messages);
  if (!*valid) return GUST_OK;
  for (at = 0; at < bytes && !status;) {
    next_event(payload, bytes, &at, &event);
    status = session_content_apply(content, &event, err);
  }
  return status;
}

const char *session_content_setting(const session_content *content, const char *name) {
  const session_setting *setting = find_setting(content, name, strlen(name));
  return setting ? setting->value : NULL;
}

void session_content_clear(session_content *content) {
  for (size_t i = 0; i < content->message_count; i++) free_message(&content->messages[i]);
  for (size_t i = 0; i < content->setting_count; i++) {
    free(content->settings[i].name);
    free(content->settings[i].value);
  }
  free(content->messages);
  free(content->settings);
  free(content->model_name);
  memset(content, 0, sizeof *content);
}

/* --- payloads --------------------------------------------------------------------------- */

gust_status session_buffer_reserve(session_buffer *buffer, size_t bytes, gust_error *err) {
  if (bytes > SESSION_MAX_PAYLOAD - buffer->bytes)
    return command_error(err, GUST_E_ARGUMENT,
                         "a turn of more than %u bytes is too much for a session",
                         SESSION_MAX_PAYLOAD);
  size_t needed = buffer->bytes + bytes;
  if (needed <= buffer->capacity) return GUST_OK;
  size_t larger = buffer->capacity ? buffer->capacity : 256;
  while (larger < needed) larger *= 2;
  uint8_t *grown = realloc(buffer->data, larger);
  if (!grown) return no_memory(larger, err);
  buffer->data = grown;
  buffer->capacity = larger;
  return GUST_OK;
}

gust_status session_buffer_add(session_buffer *buffer, const session_event *event,
                               gust_error *err) {
  if (event->second_bytes > SESSION_MAX_PAYLOAD) return no_memory(event->second_bytes, err);
  gust_status status =
      session_buffer_reserve(buffer, EVENT_BYTES + event->first_bytes + event->second_bytes, err);
  if (status) return status;
  uint8_t *to = buffer->data + buffer->bytes;
  session_put32(to, event->kind);
  session_put32(to + 4, event->number);
  session_put32(to + 8, (uint32_t)event->first_bytes);
  session_put32(to + 12, (uint32_t)event->second_bytes);
  to += EVENT_BYTES;
  if (event->first_bytes) memcpy(to, event->first, event->first_bytes);
  if (event->second_bytes) memcpy(to + event->first_bytes, event->second, event->second_bytes);
  buffer->bytes += EVENT_BYTES + event->first_bytes + event->second_bytes;
  return GUST_OK;
}

static gust_status tell_model(const session_content *content, session_buffer *buffer,
                              gust_error *err) {
  uint8_t fingerprint[FINGERPRINT_BYTES];
  session_put64(fingerprint, content->fingerprint);
  const session_event event = {.kind = EVENT_MODEL,
                               .first = (const char *)fingerprint,
                               .first_bytes = sizeof fingerprint,
                               .second = content->model_name,
                               .second_bytes = strlen(content->model_name)};
  return session_buffer_add(buffer, &event, err);
}

gust_status session_content_tell(const session_content *content, session_buffer *buffer,
                                 gust_error *err) {
  gust_status status = tell_model(content, buffer, err);
  for (size_t i = 0; i < content->setting_count && !status; i++) {
    const session_setting *setting = &content->settings[i];
    const session_event event = {.kind = EVENT_SETTING,
                                 .first = setting->name,
                                 .first_bytes = strlen(setting->name),
                                 .second = setting->value,
                                 .second_bytes = strlen(setting->value)};
    status = session_buffer_add(buffer, &event, err);
  }
  for (size_t i = 0; i < content->message_count && !status; i++) {
    const gust_message *message = &content->messages[i];
    const session_event event = {.kind = EVENT_MESSAGE,
                                 .number = (uint32_t)session_role_number(message->role),
                                 .second = message->content,
                                 .second_bytes = message->bytes};
    status = session_buffer_add(buffer, &event, err);
  }
  return status;
}

void session_buffer_clear(session_buffer *buffer) {
  free(buffer->data);
  memset(buffer, 0, sizeof *buffer);
}

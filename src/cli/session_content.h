/* What a session says: its messages and settings, the model it belongs to, and the
 * events that change them, as they stand in a record's payload. */
#ifndef GUST_CLI_SESSION_CONTENT_H
#define GUST_CLI_SESSION_CONTENT_H

#include "command.h"

#define SESSION_MAX_NAME 64 /* bytes of a setting's name */

typedef struct session_setting {
  char *name, *value;
} session_setting;

/* Zero-filled: nothing said yet. Owns all it points to. */
typedef struct session_content {
  gust_message *messages;
  size_t message_count, message_capacity;
  session_setting *settings;
  size_t setting_count, setting_capacity;
  bool has_model;
  uint64_t fingerprint; /* gust_model_fingerprint */
  char *model_name;
} session_content;

typedef enum session_event_kind {
  EVENT_MESSAGE = 1,  /* number: the role; second: the text */
  EVENT_TRUNCATE = 2, /* number: messages that stay */
  EVENT_SETTING = 3,  /* first: the name; second: the value */
  EVENT_MODEL = 4     /* first: the fingerprint, 8 bytes; second: the name */
} session_event_kind;

typedef struct session_event {
  uint32_t kind, number;
  const char *first, *second;
  size_t first_bytes, second_bytes;
} session_event;

/* A growing payload. */
typedef struct session_buffer {
  uint8_t *data;
  size_t bytes, capacity;
} session_buffer;

/* Whether the event makes sense after `*messages` messages, which becomes what it
 * leaves of them: known kind and role, sizes, no more kept than there are. */
bool session_event_is_valid(const session_event *event, size_t *messages);

/* Changes the content as a valid event says; all or nothing. */
gust_status session_content_apply(session_content *content, const session_event *event,
                                  gust_error *err);

/* Applies every event of a payload, or none, and *valid is false, when one of them makes
 * no sense. */
gust_status session_content_apply_all(session_content *content, const uint8_t *payload,
                                      size_t bytes, bool *valid, gust_error *err);

/* Adds events that say all of it. */
gust_status session_content_tell(const session_content *content, session_buffer *buffer,
                                 gust_error *err);

const char *session_content_setting(const session_content *content, const char *name);
void session_content_clear(session_content *content);

gust_status session_buffer_reserve(session_buffer *buffer, size_t bytes, gust_error *err);
gust_status session_buffer_add(session_buffer *buffer, const session_event *event, gust_error *err);
void session_buffer_clear(session_buffer *buffer);

/* The number of a role, or -1. */
int session_role_number(const char *role);

#endif

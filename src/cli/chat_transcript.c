#include "chat_transcript.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat_json_line.h"
#include "json_out.h"
#include "os.h"
#include "output_file.h"
#include "utf8_check.h"

#define HEAD "--- "
#define HEAD_BYTES 4

char *chat_transcript_path(const char *name) {
  bool expand = name[0] == '~' && os_is_separator(name[1]);
  char *home = expand ? os_home_folder() : NULL;
  expand = home != NULL;
  size_t size = strlen(name) + (expand ? strlen(home) : 0) + 1;
  char *path = malloc(size);
  if (path) snprintf(path, size, "%s%s", expand ? home : "", expand ? name + 1 : name);
  free(home);
  return path;
}

gust_status chat_transcript_read(const char *path, size_t most, char **text, size_t *bytes,
                                 gust_error *err) {
  *text = NULL;
  *bytes = 0;
  if (output_file_is_special(path)) /* a pipe could keep one waiting for ever */
    return command_error(err, GUST_E_IO, "%s: expected a regular file, found a %s", path,
                         os_is_folder(path) ? "folder" : "device or pipe");
  FILE *file = os_fopen(path, "rb");
  if (!file) return command_error(err, GUST_E_IO, "%s: cannot open: %s", path, strerror(errno));
  char *data = NULL;
  size_t used = 0, capacity = 0, got = 0;
  do {
    used += got;
    if (used == capacity && used <= most) {
      capacity = capacity ? capacity * 2 : 65536;
      char *grown = realloc(data, capacity + 1);
      if (!grown) break;
      data = grown;
    }
    got = used < capacity ? fread(data + used, 1, capacity - used, file) : 0;
  } while (got > 0);
  gust_status status = GUST_OK;
  if (ferror(file)) {
    status = command_error(err, GUST_E_IO, "%s: cannot read: %s", path, strerror(errno));
  } else if (used > most) {
    status = command_error(err, GUST_E_ARGUMENT, "%s: expected at most %zu bytes, found more", path,
                           most);
  } else if (!data || !feof(file)) {
    status = command_error(err, GUST_E_MEMORY, "%s: no memory left after %zu bytes", path, used);
  } else {
    status = utf8_check_text(path, data, used, err);
  }
  fclose(file);
  if (status != GUST_OK) {
    free(data);
    return status;
  }
  data[used] = 0;
  *text = data;
  *bytes = used;
  return GUST_OK;
}

/* --- saving ---------------------------------------------------------------------- */

static bool is_json(const char *path) {
  size_t length = strlen(path);
  return length >= 6 && !strcmp(path + length - 6, ".jsonl");
}

static void write_text(FILE *file, const gust_message *message) {
  fprintf(file, HEAD "%s\n", message->role);
  const char *line = message->content, *end = line + message->bytes;
  for (;;) {
    const char *newline = line < end ? memchr(line, '\n', (size_t)(end - line)) : NULL;
    size_t bytes = (size_t)((newline ? newline : end) - line);
    if (bytes && (line[0] == '\\' || (bytes >= 3 && !memcmp(line, HEAD, 3)))) fputc('\\', file);
    fwrite(line, 1, bytes, file);
    fputc('\n', file);
    if (!newline) break;
    line = newline + 1;
  }
}

static void write_json(FILE *file, const gust_message *message) {
  json_out json = {.file = file};
  json_out_open_object(&json, NULL, false);
  json_out_string(&json, "role", message->role);
  json_out_text(&json, "content", message->content, message->bytes);
  json_out_close(&json);
}

gust_status chat_transcript_save(const chat_messages *messages, const char *path, gust_error *err) {
  output_file output;
  gust_status status = output_file_open_private(&output, path, err);
  if (status == GUST_OK) {
    for (size_t i = 0; i < messages->count; i++) {
      if (is_json(path)) {
        write_json(output.file, &messages->items[i]);
      } else {
        write_text(output.file, &messages->items[i]);
      }
    }
    if (fflush(output.file) != 0 || ferror(output.file))
      status = command_error(err, GUST_E_IO, "%s: cannot write: %s", path, strerror(errno));
  }
  return output_file_close(&output, status, err);
}

/* --- loading ---------------------------------------------------------------------- */

/* The role whose name the bytes are, or NULL. */
static const char *find_role(const char *name, size_t bytes) {
  static const char *const roles[] = {"system", "user", "assistant"};
  for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
    if (strlen(roles[i]) == bytes && !memcmp(roles[i], name, bytes)) return roles[i];
  return NULL;
}

/* A conversation begins with the system or the user; then they take turns. */
static gust_status check_role(const chat_messages *messages, const char *role, const char *path,
                              size_t line, gust_error *err) {
  const char *last = messages->count ? messages->items[messages->count - 1].role : NULL;
  const char *expected = last && !strcmp(last, "user") ? "assistant" : "user";
  bool first = !last && role && !strcmp(role, "system");
  if (role && (first || !strcmp(role, expected))) return GUST_OK;
  return command_error(err, GUST_E_FORMAT, "%s: line %zu: expected a message of the %s%s, found %s",
                       path, line, expected, last ? "" : " or the system",
                       role ? role : "an unknown role");
}

static gust_status load_json(chat_messages *messages, const char *path, const char *text,
                             size_t bytes, gust_error *err) {
  size_t line = 0;
  for (const char *at = text, *end = text + bytes; at < end;) {
    const char *newline = memchr(at, '\n', (size_t)(end - at));
    size_t length = (size_t)((newline ? newline : end) - at);
    chat_json_line parsed;
    line++;
    if (strspn(at, " \t\r") < length) {
      gust_status status = chat_json_line_parse(&parsed, at, length, path, line, err);
      const char *role = status == GUST_OK ? find_role(parsed.role, parsed.role_bytes) : NULL;
      if (status == GUST_OK) status = check_role(messages, role, path, line, err);
      if (status == GUST_OK)
        status = chat_messages_add(messages, role, parsed.content, parsed.content_bytes, err);
      chat_json_line_clear(&parsed);
      if (status != GUST_OK) return status;
    }
    at = newline ? newline + 1 : end;
  }
  return GUST_OK;
}

/* Takes the backslashes out of the lines of a message, in place; returns what is left. */
static size_t unescape(char *text, size_t bytes) {
  size_t out = 0;
  bool fresh = true;
  for (size_t i = 0; i < bytes; i++) {
    if (fresh && text[i] == '\\') {
      fresh = false;
      continue;
    }
    fresh = text[i] == '\n';
    text[out++] = text[i];
  }
  return out;
}

static gust_status load_text(chat_messages *messages, const char *path, char *text, size_t bytes,
                             gust_error *err) {
  size_t line = 0;
  const char *role = NULL;
  char *content = NULL, *end = text + bytes;
  gust_status status = GUST_OK;
  for (char *at = text; status == GUST_OK; line++) {
    bool over = at >= end;
    char *newline = over ? NULL : memchr(at, '\n', (size_t)(end - at));
    size_t length = over ? 0 : (size_t)((newline ? newline : end) - at);
    bool head = length > HEAD_BYTES && !memcmp(at, HEAD, HEAD_BYTES);
    if (role && (over || head)) { /* the newline before `at` belongs to the format */
      size_t raw = at > content ? (size_t)(at - content) : 0;
      if (raw && content[raw - 1] == '\n') raw--;
      status = chat_messages_add(messages, role, content, unescape(content, raw), err);
    }
    if (over || status != GUST_OK) break;
    if (head) {
      role = find_role(at + HEAD_BYTES, length - HEAD_BYTES);
      status = check_role(messages, role, path, line + 1, err);
      content = newline ? newline + 1 : end;
    }
    at = newline ? newline + 1 : end;
  }
  return status;
}

gust_status chat_transcript_load(chat_messages *messages, const char *path, gust_error *err) {
  char *text;
  size_t bytes;
  gust_status status = chat_transcript_read(path, CHAT_TRANSCRIPT_BYTES, &text, &bytes, err);
  if (status != GUST_OK) return status;
  if (text[strspn(text, " \t\r\n")] == '{') {
    status = load_json(messages, path, text, bytes, err);
  } else {
    status = load_text(messages, path, text, bytes, err);
  }
  free(text);
  const char *last = messages->count ? messages->items[messages->count - 1].role : "";
  if (status == GUST_OK && messages->count == 0)
    status =
        command_error(err, GUST_E_FORMAT,
                      "%s: expected a conversation as /save writes it, found no message", path);
  if (status == GUST_OK && !strcmp(last, "user"))
    status = command_error(err, GUST_E_FORMAT,
                           "%s: expected an answer after the last message of the user, found the "
                           "end of the file",
                           path);
  if (status != GUST_OK) chat_messages_clear(messages);
  return status;
}

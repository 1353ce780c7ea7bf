#include "session_journal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "session_cache.h"
#include "session_content.h"
#include "session_records.h"

#define FIRST_LINE_BYTES 120u
#define NOTICE_BYTES 1024

/* A file is written anew, under a name beside its own, when it is longer than so many
 * times what counts in it and this. */
#define BLOAT_FACTOR 3u
#define BLOAT_BYTES ((uint64_t)4 << 20)
#define BESIDE ".rewrite"

struct session_journal {
  char *path, *beside;
  session_options options;
  session_file file;
  session_content content;
  session_cache caches[SESSION_KV_TYPES];
  session_buffer pending; /* events not yet in the file */
  uint64_t fingerprint;   /* of the model of today */
  uint32_t window;
  size_t spoiled; /* records of the cache whose payload is damaged */
  bool is_new, told_bloat;
};

COMMAND_PRINTF(2, 3) static void notice(const session_journal *journal, const char *format, ...) {
  char line[NOTICE_BYTES];
  if (!journal->options.notice) return;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  command_one_line(line);
  journal->options.notice(journal->options.user, line);
}

/* --- events --------------------------------------------------------------------------------- */

/* Into memory and into what the next commit writes, or into neither. */
static gust_status add_event(session_journal *journal, const session_event *event,
                             gust_error *err) {
  size_t messages = journal->content.message_count, before = journal->pending.bytes;
  if (!session_event_is_valid(event, &messages))
    return command_error(err, GUST_E_ARGUMENT,
                         "%s: not an event for a session: kind %u, number %u, %zu and %zu bytes",
                         journal->path, event->kind, event->number, event->first_bytes,
                         event->second_bytes);
  gust_status status = session_buffer_add(&journal->pending, event, err);
  if (status) return status;
  status = session_content_apply(&journal->content, event, err);
  if (status) journal->pending.bytes = before;
  return status;
}

gust_status session_journal_add_message(session_journal *journal, const char *role,
                                        const char *text, size_t bytes, gust_error *err) {
  int number = session_role_number(role);
  if (number < 0)
    return command_error(err, GUST_E_ARGUMENT,
                         "expected the role system, user or assistant, found %s", role);
  session_event event = {.kind = EVENT_MESSAGE,
                         .number = (uint32_t)number,
                         .first = "",
                         .second = text,
                         .second_bytes = bytes};
  return add_event(journal, &event, err);
}

gust_status session_journal_add_truncate(session_journal *journal, size_t messages,
                                         gust_error *err) {
  if (messages == journal->content.message_count) return GUST_OK;
  session_event event = {.kind = EVENT_TRUNCATE,
                         .number = messages > UINT32_MAX ? UINT32_MAX : (uint32_t)messages,
                         .first = "",
                         .second = ""};
  return add_event(journal, &event, err);
}

gust_status session_journal_add_setting(session_journal *journal, const char *name,
                                        const char *value, gust_error *err) {
  const char *held = session_content_setting(&journal->content, name);
  if (held && strcmp(held, value) == 0) return GUST_OK;
  session_event event = {.kind = EVENT_SETTING,
                         .first = name,
                         .second = value,
                         .first_bytes = strlen(name),
                         .second_bytes = strlen(value)};
  return add_event(journal, &event, err);
}

static gust_status add_model(session_journal *journal, gust_error *err) {
  uint8_t fingerprint[8];
  const char *name = journal->options.model_name ? journal->options.model_name : "";
  session_put64(fingerprint, journal->fingerprint);
  session_event event = {.kind = EVENT_MODEL,
                         .first = (const char *)fingerprint,
                         .second = name,
                         .first_bytes = sizeof fingerprint,
                         .second_bytes = strlen(name)};
  return add_event(journal, &event, err);
}

/* --- reading a file --------------------------------------------------------------------- */

/* Where reading ended and why. */
typedef struct scan_end {
  record_result result; /* RECORD_END, _TORN or _DAMAGED */
  size_t spoiled;       /* records passed over on the way */
} scan_end;

/* Takes in every good record. `caches` may be NULL. */
static gust_status scan(session_file *file, session_content *content, session_cache *caches,
                        uint64_t fingerprint, scan_end *end, gust_error *err) {
  for (;;) {
    session_record record;
    uint64_t at = file->end, chain = file->chain;
    end->result = session_record_read(file, &record, err);
    if (end->result == RECORD_SPOILED) {
      end->spoiled++;
      continue;
    }
    if (end->result == RECORD_ERROR) return err->status;
    if (end->result != RECORD_GOOD) return GUST_OK;
    gust_status status = GUST_OK;
    bool valid = false;
    if (record.type == SESSION_EVENTS)
      status =
          session_content_apply_all(content, record.payload, record.payload_bytes, &valid, err);
    else if (record.type == SESSION_CACHE && !caches)
      valid = true;
    else if (record.type == SESSION_CACHE)
      status = session_cache_take(caches, &record, fingerprint, &valid, err);
    free(record.payload);
    if (status) return status;
    /* Whole, but not what any gust writes: as good as damaged. */
    if (!valid || !content->has_model) {
      file->end = at;
      file->chain = chain;
      end->result = RECORD_DAMAGED;
      return GUST_OK;
    }
  }
}

/* Drops what cannot be read, saying so. */
static gust_status drop_rest(session_journal *journal, const scan_end *end, gust_error *err) {
  session_file *file = &journal->file;
  unsigned long long bytes = file->bytes - file->end, at = file->end;
  char kept[NOTICE_BYTES / 2];
  if (!journal->content.has_model && end->result == RECORD_DAMAGED)
    return command_error(err, GUST_E_FORMAT,
                         "%s: this session is damaged from its first record on and cannot be read; "
                         "it is left as it is: give another --session",
                         journal->path);
  if (end->result == RECORD_TORN) {
    gust_status status = session_file_cut(file, false, kept, sizeof kept, err);
    if (!status)
      notice(journal,
             "%s: its last record was not written to the end; %llu bytes were dropped, the session "
             "goes on before it",
             journal->path, bytes);
    return status;
  }
  gust_status status = session_file_cut(file, true, kept, sizeof kept, err);
  if (!status)
    notice(journal,
           "%s: damaged at byte %llu; the %llu bytes from there on were dropped and are kept in %s",
           journal->path, at, bytes, kept);
  return status;
}

static gust_status check_model(session_journal *journal, gust_error *err) {
  const session_content *content = &journal->content;
  const char *name = journal->options.model_name ? journal->options.model_name : "";
  if (content->fingerprint == journal->fingerprint) return GUST_OK;
  if (content->message_count == 0) return add_model(journal, err); /* nothing was said */
  if (!journal->options.other_model)
    return command_error(err, GUST_E_ARGUMENT,
                         "%s: this session was held with another model, %s (%016llx), not %s "
                         "(%016llx); use that one, go on with this one by --other-model, or give "
                         "another --session",
                         journal->path, content->model_name,
                         (unsigned long long)content->fingerprint, name,
                         (unsigned long long)journal->fingerprint);
  notice(journal, "%s: the session was held with another model, %s; its messages are read again",
         journal->path, content->model_name);
  return add_model(journal, err);
}

static gust_status begin_new(session_journal *journal, gust_error *err) {
  time_t now = time(NULL);
  journal->is_new = true;
  gust_status status = add_model(journal, err);
  if (status) return status;
  session_record record = {.type = SESSION_EVENTS,
                           .payload = journal->pending.data,
                           .payload_bytes = journal->pending.bytes};
  status = session_file_begin(&journal->file, now > 0 ? (uint64_t)now : 0, &record, err);
  if (!status) journal->pending.bytes = 0;
  return status;
}

static gust_status open_parts(session_journal *journal, gust_error *err) {
  gust_status status = session_file_open(&journal->file, journal->path, true, err);
  if (status) return status;
  scan_end end = {0};
  if (journal->file.bytes > 0) {
    status =
        scan(&journal->file, &journal->content, journal->caches, journal->fingerprint, &end, err);
    if (!status && end.result != RECORD_END) status = drop_rest(journal, &end, err);
    journal->spoiled = end.spoiled;
  }
  if (status) return status;
  /* Also when the machine stopped while the first record was written. */
  if (!journal->content.has_model) return begin_new(journal, err);
  session_file_remove_left(journal->beside); /* by a chat that was killed while it wrote that */
  return check_model(journal, err);
}

static char *join(const char *path, const char *suffix) {
  size_t bytes = strlen(path) + strlen(suffix) + 1;
  char *name = malloc(bytes);
  if (name) snprintf(name, bytes, "%s%s", path, suffix);
  return name;
}

gust_status session_journal_open(session_journal **out, const char *path, const gust_model *model,
                                 const session_options *options, gust_error *err) {
  *out = NULL;
  session_journal *journal = calloc(1, sizeof *journal);
  if (!journal) return command_error(err, GUST_E_MEMORY, "%s: no memory", path);
  journal->file.handle = -1;
  journal->path = join(path, "");
  journal->beside = join(path, BESIDE);
  if (!journal->path || !journal->beside) {
    session_journal_close(journal);
    return command_error(err, GUST_E_MEMORY, "%s: no memory", path);
  }
  if (options) journal->options = *options;
  journal->fingerprint = gust_model_fingerprint(model);
  journal->window = gust_model_get_info(model)->sliding_window;
  gust_status status = open_parts(journal, err);
  if (status) {
    session_journal_close(journal);
    return status;
  }
  *out = journal;
  return GUST_OK;
}

void session_journal_close(session_journal *journal) {
  if (!journal) return;
  session_file_close(&journal->file);
  session_content_clear(&journal->content);
  session_buffer_clear(&journal->pending);
  for (size_t i = 0; i < SESSION_KV_TYPES; i++) session_cache_clear(&journal->caches[i]);
  free(journal->path);
  free(journal->beside);
  free(journal);
}

/* --- asking ----------------------------------------------------------------------------- */

bool session_journal_is_new(const session_journal *journal) {
  return journal->is_new;
}
const char *session_journal_path(const session_journal *journal) {
  return journal->path;
}
size_t session_journal_message_count(const session_journal *journal) {
  return journal->content.message_count;
}
const gust_message *session_journal_messages(const session_journal *journal) {
  return journal->content.messages;
}
const char *session_journal_setting(const session_journal *journal, const char *name) {
  return session_content_setting(&journal->content, name);
}
bool session_journal_is_pending(const session_journal *journal) {
  return journal->pending.bytes > 0;
}

/* --- the cache -------------------------------------------------------------------------- */

static session_cache *cache_of(session_journal *journal, const gust_context *context) {
  return &journal->caches[gust_context_kv(context)];
}

gust_status session_journal_restore(session_journal *journal, gust_context *context,
                                    size_t *positions, gust_error *err) {
  size_t count = 0, spoiled = 0;
  if (positions) *positions = 0;
  if (gust_context_length(context) > 0)
    return command_error(err, GUST_E_ARGUMENT, "%s: a session is restored into an empty context",
                         journal->path);
  gust_status status = session_cache_load(cache_of(journal, context), &journal->file, context,
                                          journal->window, &count, &spoiled, err);
  if (status) return status;
  if (positions) *positions = count;
  spoiled += journal->spoiled;
  if (spoiled > 0)
    notice(journal,
           "%s: %zu records of the saved cache are damaged; %zu positions were restored, the "
           "messages after them are read again",
           journal->path, spoiled, count);
  else if (count == 0 && journal->content.message_count > 0)
    notice(
        journal,
        "%s: it holds no cache for this model, --kv, --ctx and version of gust; its messages are "
        "read again",
        journal->path);
  return GUST_OK;
}

/* --- committing ------------------------------------------------------------------------- */

static gust_status commit_events(session_journal *journal, gust_error *err) {
  session_file *file = &journal->file;
  uint64_t end = file->end, chain = file->chain;
  if (journal->pending.bytes == 0) return GUST_OK;
  session_record record = {.type = SESSION_EVENTS,
                           .payload = journal->pending.data,
                           .payload_bytes = journal->pending.bytes};
  gust_status status = session_record_append(file, &record, NULL, err);
  if (!status) status = session_file_sync(file, err);
  if (status) {
    session_file_rewind(file, end, chain);
    return status;
  }
  journal->pending.bytes = 0;
  return GUST_OK;
}

/* Whether most of the file is what later turns replaced. */
static bool is_bloated(session_journal *journal, const gust_context *context) {
  const session_content *content = &journal->content;
  const session_cache *mine = cache_of(journal, context);
  uint64_t counts = gust_context_state_bytes(context, gust_context_state_first(context),
                                             gust_context_length(context));
  for (size_t i = 0; i < SESSION_KV_TYPES; i++) {
    uint64_t bytes = session_cache_bytes(&journal->caches[i]);
    if (&journal->caches[i] != mine)
      counts += bytes;
    else if (counts < bytes)
      counts = bytes;
  }
  for (size_t i = 0; i < content->message_count; i++) counts += content->messages[i].bytes;
  return journal->file.end / BLOAT_FACTOR > counts + BLOAT_BYTES / BLOAT_FACTOR;
}

/* The conversation, and the cache of this context alone. */
static gust_status write_anew(session_journal *journal, const gust_context *context,
                              session_file *fresh, session_cache *cache, gust_error *err) {
  session_buffer events = {0};
  gust_status status = session_content_tell(&journal->content, &events, err);
  session_record record = {
      .type = SESSION_EVENTS, .payload = events.data, .payload_bytes = events.bytes};
  if (!status) status = session_file_create(fresh, journal->beside, err);
  if (!status) status = session_file_begin(fresh, journal->file.created, &record, err);
  session_buffer_clear(&events);
  /* Pieces there is no room for beside the old file are appended when that is gone. */
  gust_error lost;
  if (!status)
    session_cache_append(cache, fresh, context, journal->window, journal->fingerprint, &lost);
  return status;
}

/* Where that cannot be done the file is as it was and serves on. */
static void shrink(session_journal *journal, const gust_context *context) {
  gust_error err;
  session_file fresh = {.handle = -1};
  session_cache cache = {0};
  gust_status status =
      os_is_link(journal->path)
          ? command_error(&err, GUST_E_IO, "%s: a symbolic link, which that would replace",
                          journal->path)
          : write_anew(journal, context, &fresh, &cache, &err);
  if (!status) status = session_file_replace(&journal->file, &fresh, &err);
  if (!status) {
    for (size_t i = 0; i < SESSION_KV_TYPES; i++) session_cache_clear(&journal->caches[i]);
    *cache_of(journal, context) = cache;
    return;
  }
  session_file_drop(&fresh);
  session_cache_clear(&cache);
  if (!journal->told_bloat)
    notice(journal, "%s; the session's file cannot be written anew and keeps growing", err.text);
  journal->told_bloat = true;
}

/* The messages are safe by now; of the cache nothing can be lost but time. */
static void commit_cache(session_journal *journal, const gust_context *context) {
  gust_error err;
  session_file *file = &journal->file;
  if (is_bloated(journal, context)) shrink(journal, context);
  uint64_t end = file->end;
  gust_status status = session_cache_append(cache_of(journal, context), file, context,
                                            journal->window, journal->fingerprint, &err);
  if (!status && file->end != end) status = session_file_sync(file, &err);
  if (status)
    notice(journal, "%s; the messages are saved, the cache is not: resuming will read them again",
           err.text);
}

gust_status session_journal_commit(session_journal *journal, const gust_context *context,
                                   gust_error *err) {
  gust_status status = commit_events(journal, err);
  if (!status && context) commit_cache(journal, context);
  return status;
}

/* --- summaries -------------------------------------------------------------------------- */

/* The first line of a text for the screen: no control characters, whole UTF-8
 * characters, an ellipsis where it goes on. */
static char *first_line(const char *text, size_t bytes) {
  char *line = malloc(FIRST_LINE_BYTES + 4);
  size_t skip = 0, count = 0;
  if (!line) return NULL;
  while (skip < bytes && (text[skip] == '\n' || text[skip] == '\r' || text[skip] == ' ')) skip++;
  text += skip;
  bytes -= skip;
  while (count < bytes && text[count] != '\n' && text[count] != '\r') count++;
  bool cut = count > FIRST_LINE_BYTES;
  if (cut) {
    count = FIRST_LINE_BYTES;
    while (count > 0 && ((unsigned char)text[count] & 0xc0) == 0x80) count--;
  }
  for (size_t i = 0; i < count; i++) {
    unsigned char c = (unsigned char)text[i];
    line[i] = c < 0x20 || c == 0x7f ? '?' : text[i];
    /* Controls of C1, U+0080 to U+009F, are spelled with two bytes. */
    if (c == 0xc2 && i + 1 < count && (unsigned char)text[i + 1] < 0xa0)
      line[i] = line[i + 1] = '?', i++;
  }
  memcpy(line + count, "...", cut ? 4 : 1);
  if (!cut) line[count] = 0;
  return line;
}

static gust_status summarize(session_summary *summary, session_content *content, const char *path,
                             gust_error *err) {
  const gust_message *first = NULL;
  for (size_t i = 0; i < content->message_count && !first; i++)
    if (strcmp(content->messages[i].role, "user") == 0) first = &content->messages[i];
  summary->messages = content->message_count;
  summary->first_line = first ? first_line(first->content, first->bytes) : first_line("", 0);
  summary->model_name = first_line(content->model_name, strlen(content->model_name));
  if (summary->first_line && summary->model_name) return GUST_OK;
  return command_error(err, GUST_E_MEMORY, "%s: no memory", path);
}

/* Whether a chat has it open: then a record that is not whole may be on its way. */
static bool is_held(const session_file *file) {
  bool busy;
  return !os_lock(file->handle, &busy) && busy;
}

gust_status session_summary_read(session_summary *summary, const char *path, gust_error *err) {
  session_file file;
  session_content content = {0};
  scan_end end = {0};
  memset(summary, 0, sizeof *summary);
  gust_status status = session_file_open(&file, path, false, err);
  if (!status) status = scan(&file, &content, NULL, 0, &end, err);
  if (!status && !content.has_model)
    status = command_error(err, GUST_E_FORMAT, "%s: damaged from its first record on", path);
  if (!status) status = summarize(summary, &content, path, err);
  summary->created = file.created;
  summary->damaged = end.result == RECORD_DAMAGED || (end.result == RECORD_TORN && !is_held(&file));
  summary->spoiled = end.spoiled > 0;
  session_file_close(&file);
  session_content_clear(&content);
  if (status) session_summary_clear(summary);
  return status;
}

void session_summary_clear(session_summary *summary) {
  free(summary->model_name);
  free(summary->first_line);
  memset(summary, 0, sizeof *summary);
}

#include "chat_marks.h"

#include <string.h>

#define PROBES 4
/* Longer pieces of a template are instructions to the model, not marks. */
#define SHORTEST 2

/* --- is a piece of the template a mark? -------------------------------------- */

/* Whether the id is a special token, which the decoder never shows. It is pushed
 * twice: a first space is dropped at the start, half a character shows as
 * U+FFFD once it cannot be finished. */
static gust_status shows_nothing(gust_decoder *decoder, int32_t id, bool *nothing,
                                 gust_error *err) {
  const char *text;
  size_t bytes, shown = 0;
  gust_status status = GUST_OK;
  for (int i = 0; i < 2 && status == GUST_OK; i++) {
    status = gust_decoder_push(decoder, id, &text, &bytes, err);
    if (status == GUST_OK) shown += bytes;
  }
  if (status == GUST_OK) status = gust_decoder_finish(decoder, &text, &bytes, err);
  if (status == GUST_OK) shown += bytes;
  *nothing = shown == 0;
  return status;
}

static bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || is_space(c);
}

/* Adds a piece of ordinary text. One of letters alone, such as ChatML's "user",
 * is a word that any message may begin with. */
static void add_mark(chat_marks *marks, const char *text, size_t bytes) {
  while (bytes && is_space(text[0])) text++, bytes--;
  while (bytes && is_space(text[bytes - 1])) bytes--;
  if (bytes < SHORTEST || bytes >= CHAT_MARK_BYTES || marks->count == CHAT_MARKS_MOST) return;
  size_t words = 0;
  while (words < bytes && is_word(text[words])) words++;
  if (words == bytes) return;
  for (size_t i = 0; i < marks->count; i++)
    if (strlen(marks->text[i]) == bytes && !memcmp(marks->text[i], text, bytes)) return;
  memcpy(marks->text[marks->count], text, bytes);
  marks->text[marks->count++][bytes] = 0;
}

static bool ends_sequence(const gust_model_info *info, int32_t id) {
  for (size_t i = 0; i < info->eos_count; i++)
    if (info->eos_ids[i] == id) return true;
  return id == info->bos_id;
}

/* What a line of the template is made of: tokens that begin or end a sequence
 * only stand beside a mark; any other special token is what the model goes by. */
typedef struct line_reader {
  const gust_model_info *info;
  gust_decoder *text, *probe;
  char run[CHAT_MARK_BYTES];
  size_t bytes;
  bool special; /* in this run */
} line_reader;

static gust_status gather(line_reader *reader, const char *text, size_t bytes) {
  size_t room = sizeof reader->run - reader->bytes;
  if (bytes > room) bytes = room; /* too long for a mark in any case */
  memcpy(reader->run + reader->bytes, text, bytes);
  reader->bytes += bytes;
  return GUST_OK;
}

static gust_status end_run(chat_marks *marks, line_reader *reader, gust_error *err) {
  const char *text;
  size_t bytes;
  gust_status status = gust_decoder_finish(reader->text, &text, &bytes, err);
  if (status != GUST_OK) return status;
  gather(reader, text, bytes);
  if (!reader->special) add_mark(marks, reader->run, reader->bytes);
  reader->bytes = 0;
  reader->special = false;
  return GUST_OK;
}

static gust_status read_ids(chat_marks *marks, line_reader *reader, const int32_t *ids,
                            size_t count, gust_error *err) {
  gust_status status = GUST_OK;
  for (size_t i = 0; i < count && status == GUST_OK; i++) {
    const char *text;
    size_t bytes;
    bool nothing;
    if (ends_sequence(reader->info, ids[i])) {
      status = end_run(marks, reader, err);
      continue;
    }
    status = shows_nothing(reader->probe, ids[i], &nothing, err);
    if (status != GUST_OK) break;
    if (nothing) reader->special = true;
    status = gust_decoder_push(reader->text, ids[i], &text, &bytes, err);
    if (status == GUST_OK) gather(reader, text, bytes);
  }
  return status == GUST_OK ? end_run(marks, reader, err) : status;
}

static gust_status read_line(chat_marks *marks, const gust_model *model, const char *line,
                             size_t bytes, gust_error *err) {
  int32_t *ids = NULL;
  size_t count = 0;
  line_reader reader = {.info = gust_model_get_info(model)};
  gust_status status = gust_tokenize(model, line, bytes, GUST_TOKENIZE_SPECIAL, &ids, &count, err);
  if (status == GUST_OK) status = gust_decoder_create(&reader.text, model, err);
  if (status == GUST_OK) status = gust_decoder_create(&reader.probe, model, err);
  if (status == GUST_OK) status = read_ids(marks, &reader, ids, count, err);
  gust_decoder_destroy(reader.text);
  gust_decoder_destroy(reader.probe);
  gust_free(ids);
  return status;
}

/* --- the text around the probes ------------------------------------------------ */

static const gust_message probes[PROBES] = {{"system", "qzvsystemqzv", 12},
                                            {"user", "qzvfirstqzv", 11},
                                            {"assistant", "qzvanswerqzv", 12},
                                            {"user", "qzvsecondqzv", 12}};

static gust_status read_segment(chat_marks *marks, const gust_model *model, const char *begin,
                                const char *end, gust_error *err) {
  gust_status status = GUST_OK;
  while (begin < end && status == GUST_OK) {
    const char *newline = memchr(begin, '\n', (size_t)(end - begin));
    const char *stop = newline ? newline : end;
    if (stop > begin) status = read_line(marks, model, begin, (size_t)(stop - begin), err);
    begin = stop + 1;
  }
  return status;
}

/* Where the last line of [begin, end) that is not empty begins: of what stands
 * before the first message, more is no mark. */
static const char *last_line(const char *begin, const char *end) {
  while (end > begin && end[-1] == '\n') end--;
  while (end > begin && end[-1] != '\n') end--;
  return end;
}

gust_status chat_marks_find(chat_marks *marks, const gust_model *model, const char *chat_template,
                            gust_error *err) {
  memset(marks, 0, sizeof *marks);
  char *text = NULL;
  gust_error ignored;
  size_t first = 0;
  /* Some templates know no system message. */
  if (gust_chat_render_as(model, chat_template, probes, PROBES, true, &text, &ignored) != GUST_OK) {
    first = 1;
    if (gust_chat_render_as(model, chat_template, probes + 1, PROBES - 1, true, &text, &ignored) !=
        GUST_OK)
      return GUST_OK;
  }
  gust_status status = GUST_OK;
  const char *at = text;
  for (size_t i = first; i < PROBES && status == GUST_OK; i++) {
    const char *found = strstr(at, probes[i].content);
    if (!found) continue; /* left out, as some do with the system's */
    if (at == text) at = last_line(at, found);
    status = read_segment(marks, model, at, found, err);
    at = found + probes[i].bytes;
  }
  if (status == GUST_OK) status = read_segment(marks, model, at, at + strlen(at), err);
  gust_free(text);
  return status;
}

const char *chat_marks_in(const chat_marks *marks, const char *text, size_t bytes) {
  for (size_t at = 0; at < bytes;) {
    for (size_t i = 0; i < marks->count; i++) {
      size_t length = strlen(marks->text[i]);
      if (length <= bytes - at && !memcmp(text + at, marks->text[i], length)) return marks->text[i];
    }
    const char *newline = memchr(text + at, '\n', bytes - at);
    if (!newline) break;
    at = (size_t)(newline - text) + 1;
  }
  return NULL;
}

/* gust logits: the logits of every position of a given sequence, as a file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "feed_pace.h"
#include "input.h"
#include "interrupt.h"
#include "model_options.h"
#include "os.h"
#include "output_file.h"
#include "progress.h"
#include "terminal.h"

typedef struct logits_own {
  option_value output;
} logits_own;

typedef struct logits_values {
  logits_own own;
  model_values model;
} logits_values;

static const cli_option own_options[] = {
    {.name = "output",
     .letter = 'o',
     .kind = OPTION_TEXT,
     .argument = "FILE",
     .help = "where to write, '-': standard output; needed",
     .place = offsetof(logits_own, output)},
    {.name = NULL},
};

/* --- reading ids ---------------------------------------------------------------- */

typedef struct id_list {
  int32_t *ids;
  size_t count;
} id_list;

static bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Reads a word as an id below `vocab`. */
static bool read_id(const char *word, size_t length, uint32_t vocab, int32_t *id) {
  char digits[24];
  uint64_t value;
  if (length >= sizeof digits) return false;
  memcpy(digits, word, length);
  digits[length] = 0;
  if (!options_read_count(digits, &value) || value >= vocab) return false;
  *id = (int32_t)value;
  return true;
}

static gust_status parse_ids(const char *path, const char *text, size_t bytes, uint32_t vocab,
                             id_list *list, gust_error *err) {
  /* Every id takes a digit and, but for the last, a space. */
  list->ids = calloc(bytes / 2 + 1, sizeof *list->ids);
  if (!list->ids) return command_error(err, GUST_E_MEMORY, "%s: no memory for its ids", path);
  size_t line = 1;
  for (size_t at = 0; at < bytes;) {
    if (is_space(text[at])) {
      line += text[at++] == '\n';
      continue;
    }
    size_t end = at;
    while (end < bytes && !is_space(text[end])) end++;
    if (!read_id(text + at, end - at, vocab, &list->ids[list->count]))
      return command_error(err, GUST_E_FORMAT,
                           "%s: line %zu: expected an id from 0 to %u, found '%.*s'", path, line,
                           vocab - 1, end - at < 40 ? (int)(end - at) : 40, text + at);
    list->count++;
    at = end;
  }
  if (list->count > 0) return GUST_OK;
  return command_error(err, GUST_E_FORMAT, "%s: expected ids separated by white space, found none",
                       path);
}

/* --- writing logits --------------------------------------------------------------- */

typedef struct logits_writer {
  output_file output; /* unless it goes to standard output */
  bool to_stdout;
  uint8_t *row; /* one row, encoded */
  size_t vocab;
  gust_status status; /* of the writing */
  gust_error *err;
} logits_writer;

/* A row on standard output is checked as it is written: nobody computes on for a reader
 * who is gone. */
static gust_status put_row(logits_writer *writer) {
  size_t bytes = 4 * writer->vocab;
  if (!writer->to_stdout)
    return output_file_write(&writer->output, writer->row, bytes, writer->err);
  fwrite(writer->row, 1, bytes, stdout);
  return command_flush(writer->err);
}

static bool write_row(void *user, size_t position, const float *logits) {
  logits_writer *writer = user;
  (void)position;
  for (size_t i = 0; i < writer->vocab; i++) {
    uint32_t bits;
    memcpy(&bits, &logits[i], sizeof bits);
    for (int k = 0; k < 4; k++) writer->row[4 * i + (size_t)k] = (uint8_t)(bits >> (8 * k));
  }
  writer->status = put_row(writer);
  return writer->status != GUST_OK;
}

static gust_status write_pieces(logits_writer *writer, gust_context *context, const id_list *list,
                                progress_line *progress, gust_error *err) {
  feed_pace pace = {0};
  gust_error feed_error = {0}; /* a failed write is what matters, not the stop it asks for */
  for (size_t done = 0; done < list->count;) {
    size_t n = feed_pace_next(&pace, list->count - done);
    uint64_t begin = os_now_ns();
    gust_status status =
        gust_context_score(context, list->ids + done, n, write_row, writer, &feed_error);
    if (writer->status != GUST_OK) return writer->status;
    if (status != GUST_OK) {
      *err = feed_error;
      return status;
    }
    feed_pace_learn(&pace, n, (double)(os_now_ns() - begin) * 1e-9);
    done += n;
    if (progress_update(progress, done, list->count) && done < list->count)
      return command_error(err, GUST_E_CANCELLED,
                           "computing the logits was cancelled after %zu of %zu tokens%s", done,
                           list->count, writer->to_stdout ? "" : "; nothing was written");
  }
  return GUST_OK;
}

static gust_status write_rows(logits_writer *writer, gust_context *context, const id_list *list,
                              bool quiet, gust_error *err) {
  progress_line progress;
  progress_begin(&progress, "computing", PROGRESS_TOKENS, quiet);
  gust_status status = write_pieces(writer, context, list, &progress, err);
  progress_end(&progress);
  return status;
}

static bool is_standard_output(const char *path) {
  return strcmp(path, "-") == 0;
}

static gust_status score(const cli_command *command, const gust_model *model,
                         const logits_values *values, const id_list *list, gust_error *err) {
  logits_writer writer = {.to_stdout = is_standard_output(values->own.output.text),
                          .vocab = gust_model_get_info(model)->vocab_size,
                          .err = err};
  gust_context *context = NULL;
  gust_status status =
      model_options_context(&context, command, model, &values->model, list->count, err);
  writer.row = malloc(writer.vocab * 4);
  if (status == GUST_OK && !writer.row)
    status = command_error(err, GUST_E_MEMORY, "no memory for a row of %zu logits", writer.vocab);
  if (status == GUST_OK && !writer.to_stdout)
    status = output_file_open(&writer.output, values->own.output.text, err);
  if (status == GUST_OK)
    status = write_rows(&writer, context, list, values->model.quiet.given, err);
  status = output_file_close(&writer.output, status, err);
  free(writer.row);
  gust_context_destroy(context);
  return status;
}

static int logits(const cli_command *command, int argc, char **argv) {
  logits_values values = {0};
  const char *operands[COMMAND_MAX_OPERANDS];
  int code = options_parse(command, argc, argv, &values, operands);
  if (code == OPTIONS_GO) code = model_options_check(command, &values.model);
  if (code != OPTIONS_GO) return code;
  if (!values.own.output.given)
    return command_misuse(command, "-o FILE is missing; usage: gust %s %s", command->name,
                          command->synopsis);
  if (is_standard_output(values.own.output.text) && terminal_is(stdout))
    return command_misuse(command,
                          "-o -: expected a file or a pipe on standard output, found a terminal; "
                          "logits are bytes, not text");
  interrupt_install();
  gust_error err = {0};
  gust_model *model = NULL;
  id_list list = {0};
  char *text = NULL;
  size_t bytes = 0;
  gust_status status = GUST_OK;
  if (!is_standard_output(values.own.output.text))
    status = output_file_check(values.own.output.text, &err);
  if (status == GUST_OK) status = input_read(operands[1], &text, &bytes, &err);
  if (status == GUST_OK)
    status = model_options_open(&model, command, operands[0], &values.model, &err);
  if (status == GUST_OK)
    status =
        parse_ids(operands[1], text, bytes, gust_model_get_info(model)->vocab_size, &list, &err);
  if (status == GUST_OK) status = score(command, model, &values, &list, &err);
  free(list.ids);
  free(text);
  gust_model_close(model);
  return status == GUST_OK ? 0 : command_fail(command, &err);
}

const cli_command command_logits = {
    .name = "logits",
    .summary = "write the logits of given ids",
    .synopsis = "MODEL IDS_FILE -o FILE [options]",
    .description =
        "IDS_FILE holds ids as decimals separated by white space; '-' is standard input. FILE "
        "becomes little-endian float32 [tokens, vocabulary]: row i is what the model expects after "
        "the first i + 1 ids. It is written beside its place and renamed when complete; '-' is "
        "standard output.",
    .operands = {"MODEL", "IDS_FILE"},
    .groups = {{"Options", own_options, offsetof(logits_values, own)},
               {"Running", model_options, offsetof(logits_values, model)}},
    .run = logits,
};

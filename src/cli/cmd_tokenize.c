/* gust tokenize: text from stdin as ids. */
#include <stdio.h>
#include <stdlib.h>

#include "commands.h"
#include "input.h"
#include "json_out.h"
#include "model_options.h"

typedef struct tokenize_values {
  option_value no_bos, json;
  option_value quiet; /* nothing to silence, but scripts pass it everywhere */
} tokenize_values;

static const cli_option own_options[] = {
    {.name = "no-bos",
     .kind = OPTION_FLAG,
     .help = "leave out what the tokenizer puts before and after a text",
     .place = offsetof(tokenize_values, no_bos)},
    {.name = "json",
     .kind = OPTION_FLAG,
     .help = "print {\"tokens\": COUNT, \"ids\": [...]}",
     .place = offsetof(tokenize_values, json)},
    {.name = NULL},
};

static void print_ids(const int32_t *ids, size_t count, bool as_json) {
  if (!as_json) {
    for (size_t i = 0; i < count; i++) printf("%s%d", i ? " " : "", (int)ids[i]);
    putchar('\n');
    return;
  }
  json_out json = {.file = stdout};
  json_out_open_object(&json, NULL, false);
  json_out_count(&json, "tokens", count);
  json_out_open_array(&json, "ids", false);
  for (size_t i = 0; i < count; i++) json_out_integer(&json, NULL, ids[i]);
  json_out_close(&json);
  json_out_close(&json);
}

static int tokenize(const cli_command *command, int argc, char **argv) {
  tokenize_values values = {0};
  const char *operands[COMMAND_MAX_OPERANDS];
  int code = options_parse(command, argc, argv, &values, operands);
  if (code != OPTIONS_GO) return code;
  gust_error err = {0};
  gust_model *model = NULL;
  char *text = NULL;
  int32_t *ids = NULL;
  size_t bytes = 0, count = 0;
  unsigned ends = values.no_bos.given ? 0 : GUST_TOKENIZE_BOS | GUST_TOKENIZE_EOS;
  unsigned flags = GUST_TOKENIZE_SPECIAL | ends;
  gust_status status = model_options_look(&model, operands[0], &err);
  if (status == GUST_OK) status = input_read(NULL, &text, &bytes, &err);
  if (status == GUST_OK) status = gust_tokenize(model, text, bytes, flags, &ids, &count, &err);
  if (status == GUST_OK) {
    print_ids(ids, count, values.json.given);
    status = command_flush(&err);
  }
  gust_free(ids);
  free(text);
  gust_model_close(model);
  return status == GUST_OK ? 0 : command_fail(command, &err);
}

const cli_command command_tokenize = {
    .name = "tokenize",
    .summary = "turn text into ids",
    .synopsis = "MODEL [--no-bos] [--json] < TEXT",
    .description =
        "Reads all of standard input and prints its ids on one line, separated by spaces. Special "
        "tokens spelled in the text are read as the checkpoint's tokenizer does.",
    .operands = {"MODEL"},
    .groups = {{"Options", own_options, 0},
               {"Messages", quiet_options, offsetof(tokenize_values, quiet)}},
    .run = tokenize,
};

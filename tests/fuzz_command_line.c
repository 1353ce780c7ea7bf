/* libFuzzer: the input is a command line, a NUL byte between two words: the command and
 * its arguments. They are read, and what is read must be within what the command's
 * tables allow; nothing is run. The word of a text option is also given to those who
 * read lists and rules. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/model_options.h"
#include "count_list.h"
#include "fuzz_support.h"
#include "tensor_types.h"

#define MOST_WORDS 64
#define MOST_VALUES 4096 /* bytes of the values of a command */

typedef union values {
  unsigned char bytes[MOST_VALUES];
  max_align_t align;
} values;

static void check_rule(const char *rule) {
  gust_tensor tensors[] = {{.name = "model.embed_tokens.weight", .rank = 2},
                           {.name = "model.norm.weight", .rank = 1}};
  gust_header header = {.tensors = tensors, .tensor_count = 2};
  bool kept[2] = {false, false};
  gust_error err = {0};
  if (tensor_types_keep(&header, &rule, 1, kept, &err) == GUST_OK)
    fuzz_require(kept[0] && !kept[1]);
  else
    fuzz_require_line(&err);
}

static void check_text(const char *text) {
  count_list list;
  if (count_list_read(&list, text, 1000)) {
    fuzz_require(list.count >= 1 && list.count <= COUNT_LIST_MOST);
    for (size_t i = 0; i < list.count; i++) fuzz_require(list.values[i] <= 1000);
  }
  check_rule(text);
}

static void check_value(const cli_option *option, const option_value *value) {
  if (!value->given) return;
  switch (option->kind) {
    case OPTION_FLAG: return;
    case OPTION_COUNT:
      fuzz_require(value->count >= option->least && value->count <= option->most);
      return;
    case OPTION_REAL:
      fuzz_require(isfinite(value->real) && value->real >= option->low &&
                   value->real <= option->high);
      return;
    case OPTION_CHOICE: fuzz_require(strstr(option->argument, value->text) != NULL); return;
    default: check_text(value->text);
  }
}

static void check_option(const cli_option *option, const unsigned char *place) {
  option_texts texts;
  option_value value;
  if (option->kind != OPTION_TEXTS) {
    memcpy(&value, place, sizeof value);
    check_value(option, &value);
    return;
  }
  memcpy(&texts, place, sizeof texts);
  fuzz_require(texts.count <= OPTION_MAX_TEXTS);
  for (size_t i = 0; i < texts.count; i++) check_text(texts.text[i]);
}

static void check_parsed(const cli_command *command, const values *v, const char **operands) {
  for (const option_group *group = command->groups; group->title; group++)
    for (const cli_option *option = group->options; option->name; option++) {
      size_t place = group->place + option->place;
      fuzz_require(place <= sizeof v->bytes - sizeof(option_texts));
      check_option(option, v->bytes + place);
    }
  for (unsigned i = 0; command->operands[i]; i++)
    fuzz_require(operands[i] || command->operands[i + command->optional_operands] == NULL);
}

static void parse(char **words, int count) {
  const cli_command *command = command_find(words[0]);
  const char *operands[COMMAND_MAX_OPERANDS];
  values v = {{0}};
  if (!command) {
    fuzz_require(command_unknown(words[0]) == COMMAND_MISUSE);
    return;
  }
  int code = options_parse(command, count - 1, words + 1, &v, operands);
  fuzz_require(code == OPTIONS_GO || code == 0 || code == COMMAND_MISUSE);
  if (code == OPTIONS_GO) check_parsed(command, &v, operands);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *text = malloc(size + 1), *words[MOST_WORDS + 1];
  int count = 0;
  fuzz_require(text != NULL);
  if (size) memcpy(text, data, size);
  text[size] = 0;
  for (size_t at = 0; at <= size && count < MOST_WORDS; at += strlen(text + at) + 1)
    words[count++] = text + at;
  words[count] = NULL;
  parse(words, count);
  free(text);
  return 0;
}

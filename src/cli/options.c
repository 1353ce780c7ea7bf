#include "options.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"

bool options_read_count(const char *text, uint64_t *count) {
  uint64_t value = 0;
  if (!*text) return false;
  for (; *text; text++) {
    if (*text < '0' || *text > '9') return false;
    uint64_t digit = (uint64_t)(*text - '0');
    if (value > (UINT64_MAX - digit) / 10) return false;
    value = value * 10 + digit;
  }
  *count = value;
  return true;
}

/* strtod would also take white space, hexadecimal, "inf" and "nan". */
static bool read_real(const char *text, double *real) {
  if (!*text || strspn(text, "0123456789+-.eE") != strlen(text)) return false;
  char *end;
  double value = strtod(text, &end);
  if (*end || !isfinite(value)) return false;
  *real = value;
  return true;
}

static bool find_choice(const char *choices, const char *text, uint64_t *index) {
  size_t length = strlen(text);
  *index = 0;
  for (const char *word = choices;; (*index)++) {
    size_t bytes = strcspn(word, "|");
    if (bytes == length && memcmp(word, text, length) == 0) return true;
    if (!word[bytes]) return false;
    word += bytes + 1;
  }
}

void options_spell_choices(const char *choices, char *line, size_t bytes) {
  size_t used = 0;
  *line = 0;
  for (const char *word = choices; used < bytes;) {
    size_t length = strcspn(word, "|");
    const char *next = word[length] ? word + length + 1 : NULL;
    const char *joint = !next ? "" : strchr(next, '|') ? ", " : " or ";
    used += (size_t)snprintf(line + used, bytes - used, "%.*s%s", (int)length, word, joint);
    if (!next) return;
    word = next;
  }
}

static void describe(const cli_option *option, char *line, size_t bytes) {
  if (option->kind == OPTION_COUNT) {
    snprintf(line, bytes, "a whole number from %llu to %llu", (unsigned long long)option->least,
             (unsigned long long)option->most);
  } else if (option->kind == OPTION_REAL) {
    snprintf(line, bytes, "a number from %g to %g", option->low, option->high);
  } else if (option->kind == OPTION_CHOICE) {
    options_spell_choices(option->argument, line, bytes);
  } else {
    snprintf(line, bytes, "%s", option->kind == OPTION_FLAG ? "no value" : option->argument);
  }
}

bool options_read_value(const cli_option *option, const char *text, option_value *value,
                        char *expected, size_t expected_bytes) {
  option_value read = {.given = true, .text = text};
  bool good = true;
  if (option->kind == OPTION_COUNT)
    good = options_read_count(text, &read.count) && read.count >= option->least &&
           read.count <= option->most;
  if (option->kind == OPTION_REAL)
    good = read_real(text, &read.real) && read.real >= option->low && read.real <= option->high;
  if (option->kind == OPTION_CHOICE) good = find_choice(option->argument, text, &read.count);
  if (!good) {
    describe(option, expected, expected_bytes);
    return false;
  }
  *value = read;
  return true;
}

/* --- one command line ------------------------------------------------------- */

typedef struct option_parser {
  const cli_command *command;
  char **argv;
  int argc, next;
  char *values;
} option_parser;

/* Finds an option by name (of `bytes` bytes) or, when name is NULL, by letter. */
static const cli_option *find_option(const option_parser *parser, const char *name, size_t bytes,
                                     char letter, void **slot) {
  for (const option_group *group = parser->command->groups; group->title; group++) {
    for (const cli_option *option = group->options; option->name; option++) {
      bool found = name ? strlen(option->name) == bytes && memcmp(option->name, name, bytes) == 0
                        : option->letter && option->letter == letter;
      if (!found) continue;
      *slot = parser->values + group->place + option->place;
      return option;
    }
  }
  return NULL;
}

static int unknown_option(const option_parser *parser, const char *argument) {
  return command_misuse(parser->command, "unknown option '%s'; 'gust %s --help' lists them",
                        argument, parser->command->name);
}

static int add_text(const cli_command *command, option_texts *texts, const char *spelled,
                    int spelled_bytes, const char *text) {
  if (!*text)
    return command_misuse(command, "%.*s: expected some text, found none", spelled_bytes, spelled);
  if (texts->count == OPTION_MAX_TEXTS)
    return command_misuse(command, "%.*s: expected at most %d of them, found more", spelled_bytes,
                          spelled, OPTION_MAX_TEXTS);
  texts->text[texts->count++] = text;
  return OPTIONS_GO;
}

/* `spelled` is the option as the user wrote it, `attached` the value in the
 * same argument, if any. */
static int take_value(option_parser *parser, const cli_option *option, void *slot,
                      const char *spelled, int spelled_bytes, const char *attached) {
  const cli_command *command = parser->command;
  option_value *value = slot;
  if (option->kind == OPTION_FLAG) {
    if (attached)
      return command_misuse(command, "%.*s: expected no value, found '%s'", spelled_bytes, spelled,
                            attached);
    value->given = true;
    return OPTIONS_GO;
  }
  char expected[160];
  const char *text = attached;
  if (!text && parser->next < parser->argc) text = parser->argv[parser->next++];
  if (!text) {
    describe(option, expected, sizeof expected);
    return command_misuse(command, "%.*s: expected %s, found the end of the command line",
                          spelled_bytes, spelled, expected);
  }
  if (option->kind == OPTION_TEXTS) return add_text(command, slot, spelled, spelled_bytes, text);
  if (!options_read_value(option, text, value, expected, sizeof expected))
    return command_misuse(command, "%.*s: expected %s, found '%s'", spelled_bytes, spelled,
                          expected, text);
  return OPTIONS_GO;
}

static int take_option(option_parser *parser, const char *argument) {
  void *slot = NULL;
  if (argument[1] == '-') {
    size_t bytes = strcspn(argument + 2, "=");
    const char *attached = argument[2 + bytes] ? argument + 3 + bytes : NULL;
    const cli_option *option = find_option(parser, argument + 2, bytes, 0, &slot);
    if (option) return take_value(parser, option, slot, argument, 2 + (int)bytes, attached);
  } else {
    const cli_option *option = find_option(parser, NULL, 0, argument[1], &slot);
    if (option)
      return take_value(parser, option, slot, argument, 2, argument[2] ? argument + 2 : NULL);
  }
  if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0) {
    command_help(parser->command);
    return 0;
  }
  if (strcmp(argument, "--version") == 0) {
    printf("gust %s\n", gust_version());
    return 0;
  }
  return unknown_option(parser, argument);
}

int options_parse(const cli_command *command, int argc, char **argv, void *values,
                  const char **operands) {
  option_parser parser = {.command = command, .argv = argv, .argc = argc, .values = values};
  unsigned wanted = 0, found = 0;
  while (command->operands[wanted]) operands[wanted++] = NULL;
  bool options_over = false;
  while (parser.next < argc) {
    const char *argument = argv[parser.next++];
    if (!options_over && strcmp(argument, "--") == 0) {
      options_over = true;
    } else if (!options_over && argument[0] == '-' && argument[1]) {
      int code = take_option(&parser, argument);
      if (code != OPTIONS_GO) return code;
    } else if (found < wanted) {
      operands[found++] = argument;
    } else {
      return command_misuse(command, "unexpected argument '%s'; usage: gust %s %s", argument,
                            command->name, command->synopsis);
    }
  }
  if (found + command->optional_operands < wanted)
    return command_misuse(command, "%s is missing; usage: gust %s %s", command->operands[found],
                          command->name, command->synopsis);
  return OPTIONS_GO;
}

/* Command-line options as data. A command declares what it takes in tables;
 * the same tables drive parsing, --help and whatever else has to know them.
 *
 * Accepted: --name VALUE, --name=VALUE, -n VALUE, -nVALUE, --flag, -f; options
 * and operands in any order; `--` ends the options; a lone `-` is an operand.
 * The last of several mentions of an option counts, but for OPTION_TEXTS. */
#ifndef GUST_CLI_OPTIONS_H
#define GUST_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum option_kind {
  OPTION_FLAG,   /* no argument */
  OPTION_TEXT,   /* any */
  OPTION_COUNT,  /* decimal digits, in [least, most] */
  OPTION_REAL,   /* a decimal number, in [low, high] */
  OPTION_CHOICE, /* one of the words of `argument`, which are separated by '|' */
  OPTION_TEXTS   /* any but the empty one; every mention counts */
} option_kind;

/* What the command line said about one option; zero-filled before parsing. */
typedef struct option_value {
  bool given;
  const char *text; /* the argument as spelled; lives as long as argv */
  uint64_t count;   /* OPTION_COUNT; OPTION_CHOICE: index of the word */
  double real;      /* OPTION_REAL */
} option_value;

/* The same of an OPTION_TEXTS. */
#define OPTION_MAX_TEXTS 16
typedef struct option_texts {
  size_t count;
  const char *text[OPTION_MAX_TEXTS];
} option_texts;

typedef struct cli_option {
  const char *name; /* without dashes; NULL ends the table */
  char letter;      /* 0: none */
  option_kind kind;
  const char *argument; /* name of the argument in the help */
  const char *help;     /* what it does, without a final full stop */
  uint64_t least, most;
  double low, high;
  size_t place; /* of the option_value (OPTION_TEXTS: option_texts) in the structure
                   of the group's values */
} cli_option;

/* Options that are declared together and stored in one structure. */
typedef struct option_group {
  const char *title;         /* heading in the help; NULL ends the list of groups */
  const cli_option *options; /* ended by name NULL */
  size_t place;              /* of that structure in the command's values */
} option_group;

struct cli_command;

#define OPTIONS_GO (-1)

/* Parses the arguments after the command's name into `values` (the command's
 * structure) and `operands` (one slot for each name in command->operands).
 * Returns OPTIONS_GO, or the exit code with which the program should end: 0
 * after --help and --version, 2 after a mistake it has named on stderr. */
int options_parse(const struct cli_command *command, int argc, char **argv, void *values,
                  const char **operands);

/* Reads one argument by the option's kind and range. False leaves in `expected`
 * what would have been right, such as "a number from 0 to 100". */
bool options_read_value(const cli_option *option, const char *text, option_value *value,
                        char *expected, size_t expected_bytes);

/* "f32|f16|q8" as "f32, f16 or q8". */
void options_spell_choices(const char *choices, char *line, size_t bytes);

/* A whole decimal number without sign or space; false when it is none or does
 * not fit. */
bool options_read_count(const char *text, uint64_t *count);

#endif

/* The command-line tables: what is accepted, and the exact words of refusals. */

#include "cli/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "host.h"

typedef struct sample_values {
  option_value flag, text, count, real, choice, seed, many;
  option_texts texts;
} sample_values;

static const cli_option sample_options[] = {
    {.name = "flag", .letter = 'f', .kind = OPTION_FLAG, .help = "a flag"},
    {.name = "text",
     .letter = 'p',
     .kind = OPTION_TEXT,
     .argument = "TEXT",
     .help = "some text",
     .place = offsetof(sample_values, text)},
    {.name = "count",
     .letter = 'n',
     .kind = OPTION_COUNT,
     .argument = "N",
     .help = "a count",
     .least = 1,
     .most = 1000,
     .place = offsetof(sample_values, count)},
    {.name = "temp",
     .kind = OPTION_REAL,
     .argument = "T",
     .help = "a number",
     .low = 0,
     .high = 100,
     .place = offsetof(sample_values, real)},
    {.name = NULL},
};

static const cli_option more_options[] = {
    {.name = "kv",
     .kind = OPTION_CHOICE,
     .argument = "f16|f32|q8",
     .help = "a choice",
     .place = offsetof(sample_values, choice)},
    {.name = "seed",
     .kind = OPTION_COUNT,
     .argument = "N",
     .help = "a seed",
     .most = UINT64_MAX,
     .place = offsetof(sample_values, seed)},
    {.name = "end",
     .kind = OPTION_TEXTS,
     .argument = "TEXT",
     .help = "several texts",
     .place = offsetof(sample_values, texts)},
    {.name = "kind",
     .kind = OPTION_CHOICE,
     .argument = "one-of-many-words|another-of-many|a-third-one|and-the-last",
     .help = "a long choice",
     .place = offsetof(sample_values, many)},
    {.name = NULL},
};

static const cli_command sample = {
    .name = "sample",
    .summary = "nothing",
    .synopsis = "MODEL FILE",
    .description = "One paragraph.\nAnother one.",
    .operands = {"MODEL", "FILE"},
    .groups = {{"Options", sample_options, 0}, {"More", more_options, 0}},
};

/* One parsed command line and what it printed. */
typedef struct parsed {
  int code;
  sample_values values;
  const char *operands[COMMAND_MAX_OPERANDS];
  char out[4096], err[1024];
} parsed;

static void restore(FILE *stream, int saved, const char *path, char *text, size_t size) {
  host_restore(stream, saved);
  char *all = check_read_file(path, NULL);
  snprintf(text, size, "%s", all);
  free(all);
}

/* Splits `line` at spaces (none is inside an argument here). */
static parsed parse_with(const cli_command *command, const char *line) {
  static char copy[1024];
  static char *argv[64];
  const char *out_path = check_temp_file("out"), *err_path = check_temp_file("err");
  parsed result;
  memset(&result, 0, sizeof result);
  int argc = 0;
  snprintf(copy, sizeof copy, "%s", line);
  for (char *word = strtok(copy, " "); word; word = strtok(NULL, " ")) argv[argc++] = word;
  int out = host_redirect(stdout, out_path), err = host_redirect(stderr, err_path);
  result.code = options_parse(command, argc, argv, &result.values, result.operands);
  restore(stderr, err, err_path, result.err, sizeof result.err);
  restore(stdout, out, out_path, result.out, sizeof result.out);
  return result;
}

static parsed parse(const char *line) {
  return parse_with(&sample, line);
}

static void test_accepted(void) {
  parsed p = parse("a.gust --temp 0.7 -n 12 b --text=x=y --kv q8 -f");
  CHECK_EQ_INT(p.code, OPTIONS_GO);
  CHECK_EQ_STR(p.err, "");
  CHECK_EQ_STR(p.operands[0], "a.gust");
  CHECK_EQ_STR(p.operands[1], "b");
  CHECK(p.values.real.given && p.values.real.real == 0.7);
  CHECK_EQ_INT(p.values.count.count, 12);
  CHECK_EQ_STR(p.values.text.text, "x=y");
  CHECK(p.values.choice.given && p.values.choice.count == 2);
  CHECK(p.values.flag.given);
  CHECK(!p.values.seed.given);

  p = parse("a b -n7 -pword --count=1 --temp=1e1 --temp 3");
  CHECK_EQ_INT(p.code, OPTIONS_GO);
  CHECK_EQ_INT(p.values.count.count, 1); /* the last one counts */
  CHECK_EQ_STR(p.values.text.text, "word");
  CHECK(p.values.real.real == 3);

  p = parse("-- -n --temp");
  CHECK_EQ_INT(p.code, OPTIONS_GO);
  CHECK_EQ_STR(p.operands[0], "-n");
  CHECK_EQ_STR(p.operands[1], "--temp");

  p = parse("- b --text --flag --text= --seed 18446744073709551615");
  CHECK_EQ_INT(p.code, OPTIONS_GO);
  CHECK_EQ_STR(p.operands[0], "-");
  CHECK(!p.values.flag.given); /* it was the text */
  CHECK_EQ_STR(p.values.text.text, "");
  CHECK(p.values.seed.count == UINT64_MAX);
}

static void test_texts(void) {
  parsed p = parse("a b --end x --end=y=z --end -f");
  CHECK_EQ_INT(p.code, OPTIONS_GO);
  CHECK_EQ_INT(p.values.texts.count, 3);
  CHECK_EQ_STR(p.values.texts.text[0], "x");
  CHECK_EQ_STR(p.values.texts.text[1], "y=z");
  CHECK_EQ_STR(p.values.texts.text[2], "-f");
  CHECK(!p.values.flag.given);
  p = parse("a b");
  CHECK_EQ_INT(p.values.texts.count, 0);
  char line[1024] = "a b";
  for (int i = 0; i < OPTION_MAX_TEXTS; i++) strcat(line, " --end t");
  p = parse(line);
  CHECK_EQ_INT(p.values.texts.count, OPTION_MAX_TEXTS);
  strcat(line, " --end t");
  p = parse(line);
  CHECK_EQ_INT(p.code, COMMAND_MISUSE);
  CHECK_EQ_STR(p.err, "gust sample: --end: expected at most 16 of them, found more\n");
}

static void refused(const char *line, const char *expected) {
  parsed p = parse(line);
  CHECK_EQ_INT(p.code, COMMAND_MISUSE);
  CHECK_EQ_STR(p.err, expected);
  CHECK_EQ_STR(p.out, "");
}

static void test_refused(void) {
  refused("a b --end=", "gust sample: --end: expected some text, found none\n");
  refused("a b --end", "gust sample: --end: expected TEXT, found the end of the command line\n");
  refused("a b --temp x", "gust sample: --temp: expected a number from 0 to 100, found 'x'\n");
  refused("a b --temp=-1", "gust sample: --temp: expected a number from 0 to 100, found '-1'\n");
  refused("a b --temp 101", "gust sample: --temp: expected a number from 0 to 100, found '101'\n");
  refused("a b --temp nan", "gust sample: --temp: expected a number from 0 to 100, found 'nan'\n");
  refused("a b --temp 0x10",
          "gust sample: --temp: expected a number from 0 to 100, found '0x10'\n");
  refused("a b --temp 1e999",
          "gust sample: --temp: expected a number from 0 to 100, found '1e999'\n");
  refused("a b --temp=", "gust sample: --temp: expected a number from 0 to 100, found ''\n");
  refused("a b -n 0", "gust sample: -n: expected a whole number from 1 to 1000, found '0'\n");
  refused("a b -n 1001", "gust sample: -n: expected a whole number from 1 to 1000, found '1001'\n");
  refused("a b -n -5", "gust sample: -n: expected a whole number from 1 to 1000, found '-5'\n");
  refused("a b -n 1.5", "gust sample: -n: expected a whole number from 1 to 1000, found '1.5'\n");
  refused("a b --seed 18446744073709551616",
          "gust sample: --seed: expected a whole number from 0 to 18446744073709551615, found "
          "'18446744073709551616'\n");
  refused("a b --kv f8", "gust sample: --kv: expected f16, f32 or q8, found 'f8'\n");
  refused("a b --kv f1", "gust sample: --kv: expected f16, f32 or q8, found 'f1'\n");
  refused("a b -p", "gust sample: -p: expected TEXT, found the end of the command line\n");
  refused("a b --flag=1", "gust sample: --flag: expected no value, found '1'\n");
  refused("a b --fla", "gust sample: unknown option '--fla'; 'gust sample --help' lists them\n");
  refused("a b -x", "gust sample: unknown option '-x'; 'gust sample --help' lists them\n");
  refused("a b --te\nmp",
          "gust sample: unknown option '--te?mp'; 'gust sample --help' lists them\n");
  refused("a", "gust sample: FILE is missing; usage: gust sample MODEL FILE\n");
  refused("", "gust sample: MODEL is missing; usage: gust sample MODEL FILE\n");
  refused("a b c", "gust sample: unexpected argument 'c'; usage: gust sample MODEL FILE\n");
}

static void test_help(void) {
  parsed p = parse("--help");
  CHECK_EQ_INT(p.code, 0);
  CHECK_EQ_STR(p.err, "");
  CHECK_CONTAINS(p.out, "usage: gust sample MODEL FILE\n\nOne paragraph.\nAnother one.\n");
  CHECK_CONTAINS(p.out, "\nOptions:\n  -f, --flag              a flag\n");
  CHECK_CONTAINS(p.out, "  -n, --count N           a count (1 to 1000)\n");
  CHECK_CONTAINS(p.out, "      --temp T            a number (0 to 100)\n");
  CHECK_CONTAINS(p.out, "\nMore:\n      --kv f16|f32|q8     a choice\n");
  CHECK_CONTAINS(p.out, "      --seed N            a seed\n"); /* any number: no range */
  CHECK_CONTAINS(p.out,
                 "      --kind NAME         a long choice: one-of-many-words, another-of-many,\n"
                 "                          a-third-one or and-the-last\n");
  CHECK_CONTAINS(p.out, "  -h, --help              print this and end\n");
  p = parse("a -h b --nonsense");
  CHECK_EQ_INT(p.code, 0);
  p = parse("--version");
  CHECK_EQ_INT(p.code, 0);
  CHECK_EQ_STR(p.out, "gust " GUST_VERSION "\n");
}

static void test_optional_operands(void) {
  cli_command loose = sample;
  loose.optional_operands = 1;
  parsed p = parse_with(&loose, "a");
  CHECK_EQ_INT(p.code, OPTIONS_GO);
  CHECK_EQ_STR(p.operands[0], "a");
  CHECK(p.operands[1] == NULL);
  p = parse_with(&loose, "");
  CHECK_EQ_INT(p.code, COMMAND_MISUSE);
}

/* Where an option's value lies in the structure of its command's values. */
typedef struct value_place {
  const char *name;
  size_t begin, end;
} value_place;

/* No two options of a command store into the same place. */
static void check_places(const cli_command *command) {
  value_place places[64];
  size_t count = 0;
  for (const option_group *group = command->groups; group->title; group++)
    for (const cli_option *option = group->options; option->name; option++) {
      size_t begin = group->place + option->place;
      size_t bytes = option->kind == OPTION_TEXTS ? sizeof(option_texts) : sizeof(option_value);
      if (count == sizeof places / sizeof *places) check_fatal("too many options", command->name);
      for (size_t i = 0; i < count; i++)
        if (!CHECK(begin >= places[i].end || begin + bytes <= places[i].begin))
          printf("  gust %s: --%s and --%s\n", command->name, places[i].name, option->name);
      places[count++] = (value_place){option->name, begin, begin + bytes};
    }
}

static void test_tables(void) {
  check_places(&sample);
  for (const cli_command *const *command = command_list; *command; command++)
    check_places(*command);
}

int main(void) {
  test_tables();
  test_accepted();
  test_texts();
  test_refused();
  test_help();
  test_optional_operands();
  return check_finish();
}

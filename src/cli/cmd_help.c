/* gust help: what there is, for people, for man and for shells. */
#include <stdio.h>

#include "commands.h"
#include "completion_script.h"
#include "manual.h"

typedef struct help_values {
  option_value man, completion;
} help_values;

static const cli_option own_options[] = {
    {.name = "man",
     .kind = OPTION_FLAG,
     .help = "print the manual page, of gust itself without COMMAND, as troff source",
     .place = offsetof(help_values, man)},
    {.name = "completion",
     .kind = OPTION_CHOICE,
     .argument = COMPLETION_SHELLS,
     .help = "print the completion script for a shell",
     .place = offsetof(help_values, completion)},
    {.name = NULL},
};

static int help(const cli_command *command, int argc, char **argv) {
  help_values values = {0};
  const char *operands[COMMAND_MAX_OPERANDS];
  int code = options_parse(command, argc, argv, &values, operands);
  if (code != OPTIONS_GO) return code;
  const cli_command *about = operands[0] ? command_find(operands[0]) : NULL;
  if (operands[0] && !about) return command_unknown(operands[0]);
  if (values.completion.given && (about || values.man.given))
    return command_misuse(command, "--completion stands alone: one script is for all commands");
  if (values.completion.given) {
    completion_script_print((completion_shell)values.completion.count);
  } else if (values.man.given && about) {
    manual_print_command(about);
  } else if (values.man.given) {
    manual_print_overview();
  } else if (about) {
    command_help(about);
  } else {
    command_overview();
  }
  return 0;
}

const cli_command command_for_help = {
    .name = "help",
    .summary = "explain a command; print manual pages and shell completion",
    .synopsis = "[COMMAND] [--man] | --completion " COMPLETION_SHELLS,
    .description =
        "Prints what 'gust COMMAND --help' prints, or without COMMAND the list of commands. Manual "
        "pages and completion scripts are made of the same tables that the commands read their "
        "options with; an installed gust has them in their places already.",
    .operands = {"COMMAND"},
    .optional_operands = 1,
    .groups = {{"Options", own_options, 0}},
    .run = help,
};

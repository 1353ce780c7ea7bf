#include <stdio.h>
#include <string.h>

#include "commands.h"

const cli_command *const command_list[] = {
    &command_convert, &command_chat,   &command_run,      &command_tokenize,
    &command_logits,  &command_eval,   &command_bench,    &command_inspect,
    &command_verify,  &command_doctor, &command_for_help, NULL,
};

const cli_command *command_find(const char *name) {
  const cli_command *const *command = command_list;
  while (*command && strcmp((*command)->name, name) != 0) command++;
  return *command;
}

int command_unknown(const char *name) {
  return command_misuse(NULL, "unknown command '%s'; 'gust --help' lists them", name);
}

void command_overview(void) {
  printf(
      "usage: gust COMMAND ...\n\nRuns Mistral- and Llama-shaped chat models from one quantized "
      "file.\n\nCommands:\n");
  for (const cli_command *const *command = command_list; *command; command++)
    printf("  %-10s %s\n", (*command)->name, (*command)->summary);
  printf(
      "\n'gust COMMAND --help' tells more; 'gust --version' prints the version.\n"
      "Exit codes: 0 success, 1 a failure named in one line, 2 wrong usage, 128 + N\n"
      "ended by signal N (130: Ctrl-C; 141: the reader of a pipe left).\n");
}

/* gust: finds the subcommand and runs it. */
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "interrupt.h"
#include "terminal.h"

static const cli_command *const commands[] = {
    &command_convert, &command_chat,  &command_run,     &command_tokenize, &command_logits,
    &command_eval,    &command_bench, &command_inspect, &command_verify,
};
#define COMMAND_COUNT (sizeof commands / sizeof *commands)

static const cli_command *find_command(const char *name) {
  for (size_t i = 0; i < COMMAND_COUNT; i++)
    if (strcmp(commands[i]->name, name) == 0) return commands[i];
  return NULL;
}

static int unknown_command(const char *name) {
  return command_misuse(NULL, "unknown command '%s'; 'gust --help' lists them", name);
}

static int print_help(void) {
  printf(
      "usage: gust COMMAND ...\n\nRuns Mistral- and Llama-shaped chat models from one quantized "
      "file.\n\nCommands:\n");
  for (size_t i = 0; i < COMMAND_COUNT; i++)
    printf("  %-10s %s\n", commands[i]->name, commands[i]->summary);
  printf(
      "\n'gust COMMAND --help' tells more; 'gust --version' prints the version.\n"
      "Exit codes: 0 success, 1 a failure named in one line, 2 wrong usage, 130 Ctrl-C.\n");
  return 0;
}

static int dispatch(int argc, char **argv) {
  if (argc < 2) return command_misuse(NULL, "expected a command; 'gust --help' lists them");
  const char *name = argv[1];
  if (strcmp(name, "--version") == 0) {
    printf("gust %s\n", gust_version());
    return 0;
  }
  bool help = strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0;
  if (help && argc == 2) return print_help();
  if (help) {
    const cli_command *command = find_command(argv[2]);
    if (!command) return unknown_command(argv[2]);
    command_help(command);
    return 0;
  }
  const cli_command *command = find_command(name);
  return command ? command->run(command, argc - 2, argv + 2) : unknown_command(name);
}

int main(int argc, char **argv) {
  terminal_guard_streams();
  interrupt_ignore_pipe();
  int code = dispatch(argc, argv);
  gust_error err;
  /* A command may have returned before the last of its output was written. */
  if (code == 0 && command_flush(&err) != GUST_OK) {
    const cli_command *command = argc > 1 ? find_command(argv[1]) : NULL;
    code = command_fail(command, &err);
  }
  return code;
}

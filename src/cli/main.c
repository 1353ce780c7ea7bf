/* gust: finds the subcommand and runs it. */
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "interrupt.h"
#include "terminal.h"

static int dispatch(int argc, char **argv) {
  if (argc < 2) return command_misuse(NULL, "expected a command; 'gust --help' lists them");
  const char *name = argv[1];
  if (strcmp(name, "--version") == 0) {
    printf("gust %s\n", gust_version());
    return 0;
  }
  if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) name = "help";
  const cli_command *command = command_find(name);
  return command ? command->run(command, argc - 2, argv + 2) : command_unknown(name);
}

int main(int argc, char **argv) {
  terminal_begin(&argc, &argv);
  interrupt_ignore_writes();
  gust_guard_mapped_files(); /* without it, a file that shrinks ends us unexplained */
  int code = dispatch(argc, argv);
  gust_error err;
  /* A command may have returned before the last of its output was written. */
  if (code == 0 && command_flush(&err) != GUST_OK) {
    const cli_command *command = argc > 1 ? command_find(argv[1]) : NULL;
    code = command_fail(command, &err);
  }
  return code;
}

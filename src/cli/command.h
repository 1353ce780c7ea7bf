/* A subcommand, and how it talks: results go to stdout, everything else in
 * single lines to stderr that begin with "gust COMMAND: ". */
#ifndef GUST_CLI_COMMAND_H
#define GUST_CLI_COMMAND_H

#include <stdbool.h>

#include "../gust.h"
#include "options.h"

#if defined(__MINGW32__) && !defined(__clang__)
#define COMMAND_PRINTF(format_index, first) __attribute__((format(gnu_printf, format_index, first)))
#elif defined(__GNUC__)
#define COMMAND_PRINTF(format_index, first) __attribute__((format(printf, format_index, first)))
#else
#define COMMAND_PRINTF(format_index, first)
#endif

#define COMMAND_MAX_OPERANDS 2
#define COMMAND_MAX_GROUPS 4

/* Exit codes beside 0. A command that a signal stopped ends with 128 + its
 * number, as shells count: 130 for Ctrl-C. */
#define COMMAND_FAILURE 1
#define COMMAND_MISUSE 2

typedef struct cli_command {
  const char *name;
  const char *summary;                            /* one line for `gust --help` */
  const char *synopsis;                           /* what follows the name in the usage line */
  const char *description;                        /* paragraphs for --help, separated by newlines */
  const char *operands[COMMAND_MAX_OPERANDS + 1]; /* names, ended by NULL */
  unsigned optional_operands;                     /* so many at the end may be left out */
  option_group groups[COMMAND_MAX_GROUPS + 1];    /* ended by title NULL */
  /* Runs with the arguments after the name; returns the exit code. */
  int (*run)(const struct cli_command *command, int argc, char **argv);
} cli_command;

/* Prints the error as the command's one line; returns its exit code: 1, or
 * that of the signal when the work was cancelled by one. */
int command_fail(const cli_command *command, const gust_error *err);

/* Prints a mistake in the command line; returns 2. `command` may be NULL. */
int command_misuse(const cli_command *command, const char *format, ...) COMMAND_PRINTF(2, 3);

/* Prints one line of information. */
void command_note(const cli_command *command, const char *format, ...) COMMAND_PRINTF(2, 3);

/* Formats an error of the command's own; returns `status`. */
gust_status command_error(gust_error *err, gust_status status, const char *format, ...)
    COMMAND_PRINTF(3, 4);
#ifdef __clang_analyzer__ /* as in status.h */
#define command_error(err, status, ...) ((command_error)(err, status, __VA_ARGS__), (status))
#endif

/* Makes one line of a text, whatever came into it from a file, its name or an argument:
 * what could forge lines or drive the terminal (text_width.h) becomes '?'. */
void command_one_line(char *text);

/* Hands what was printed to stdout on to the system; GUST_E_IO when that or an
 * earlier write failed. */
gust_status command_flush(gust_error *err);

/* --help and --version, which every command has. */
extern const cli_option command_common_options[];

/* Prints words to stdout from column `column` on, and a newline; before column `columns`
 * it goes on in the next line, behind `indent` spaces. */
void command_print_words(const char *text, int column, int indent, int columns);

/* Prints --help to stdout. */
void command_help(const cli_command *command);

#endif

#include "command.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "interrupt.h"
#include "os.h"
#include "terminal.h"
#include "text_width.h"

void command_one_line(char *text) {
  for (size_t left = strlen(text); left > 0;) {
    text_glyph glyph = text_glyph_at(text, left, 0);
    if (glyph.spelled) memset(text, '?', glyph.bytes);
    text += glyph.bytes;
    left -= glyph.bytes;
  }
}

static void print_line(const cli_command *command, const char *text) {
  char line[1024];
  int used = command ? snprintf(line, sizeof line, "gust %s: %s", command->name, text)
                     : snprintf(line, sizeof line, "gust: %s", text);
  if (used < 0) return;
  command_one_line(line);
  size_t length = strlen(line);
  if (length > sizeof line - 2) length = sizeof line - 2;
  memcpy(line + length, "\n", 2);
  terminal_say(line);
}

int command_fail(const cli_command *command, const gust_error *err) {
  int signal = interrupt_signal();
  /* A reader that took what it wanted, such as head, is no failure to complain of. */
  if (err->status == GUST_E_IO && ferror(stdout) && interrupt_lost_reader())
    return 128 + interrupt_lost_reader();
  print_line(command, err->text);
  return err->status == GUST_E_CANCELLED && signal ? 128 + signal : COMMAND_FAILURE;
}

int command_misuse(const cli_command *command, const char *format, ...) {
  char text[1024];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  print_line(command, text);
  return COMMAND_MISUSE;
}

void command_note(const cli_command *command, const char *format, ...) {
  char text[1024];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  print_line(command, text);
}

gust_status(command_error)(gust_error *err, gust_status status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  err->status = status;
  vsnprintf(err->text, sizeof err->text, format, arguments);
  va_end(arguments);
  command_one_line(err->text);
  return status;
}

gust_status command_flush(gust_error *err) {
  errno = 0;
  if (fflush(stdout) == 0 && !ferror(stdout)) return GUST_OK;
  return command_error(err, GUST_E_IO, "standard output: cannot write: %s",
                       errno ? strerror(os_stream_errno()) : "an earlier write failed");
}

/* --- help -------------------------------------------------------------------- */

#define HELP_COLUMNS 80
#define HELP_INDENT 26

void command_print_words(const char *text, int column, int indent, int columns) {
  for (bool first = true; *text; first = false) {
    int bytes = (int)strcspn(text, " ");
    if (!first && column + 1 + bytes >= columns) {
      printf("\n%*s", indent, "");
      column = indent;
    } else if (!first) {
      putchar(' ');
      column++;
    }
    printf("%.*s", bytes, text);
    column += bytes;
    text += bytes;
    while (*text == ' ') text++;
  }
  putchar('\n');
}

/* More words than this many bytes stand behind the help, not in its margin. */
#define HELP_LONGEST_CHOICES 48

static void print_option(const cli_option *option) {
  char head[96], help[512];
  const char *argument = option->argument;
  bool many = option->kind == OPTION_CHOICE && strlen(argument) > HELP_LONGEST_CHOICES;
  if (many) argument = "NAME";
  char letter[8] = "    ";
  if (option->letter) snprintf(letter, sizeof letter, "-%c, ", option->letter);
  int used = snprintf(head, sizeof head, "  %s--%s%s%s", letter, option->name, argument ? " " : "",
                      argument ? argument : "");
  int length = snprintf(help, sizeof help, "%s", option->help);
  if (length < 0 || (size_t)length >= sizeof help) length = sizeof help - 1;
  if (option->kind == OPTION_COUNT && option->most != UINT64_MAX)
    snprintf(help + length, sizeof help - (size_t)length, " (%llu to %llu)",
             (unsigned long long)option->least, (unsigned long long)option->most);
  if (option->kind == OPTION_REAL)
    snprintf(help + length, sizeof help - (size_t)length, " (%g to %g)", option->low, option->high);
  if (many) {
    size_t end =
        (size_t)length + (size_t)snprintf(help + length, sizeof help - (size_t)length, ": ");
    if (end < sizeof help) options_spell_choices(option->argument, help + end, sizeof help - end);
  }
  if (used + 2 > HELP_INDENT) {
    printf("%s\n%*s", head, HELP_INDENT, "");
  } else {
    printf("%-*s", HELP_INDENT, head);
  }
  command_print_words(help, HELP_INDENT, HELP_INDENT, HELP_COLUMNS);
}

const cli_option command_common_options[] = {
    {.name = "help", .letter = 'h', .help = "print this and end"},
    {.name = "version", .help = "print the version and end"},
    {.name = NULL},
};

void command_help(const cli_command *command) {
  printf("usage: gust %s %s\n\n", command->name, command->synopsis);
  for (const char *paragraph = command->description; *paragraph;) {
    size_t bytes = strcspn(paragraph, "\n");
    char text[1024];
    snprintf(text, sizeof text, "%.*s", (int)bytes, paragraph);
    command_print_words(text, 0, 0, HELP_COLUMNS);
    paragraph += bytes + (paragraph[bytes] == '\n');
  }
  for (const option_group *group = command->groups; group->title; group++) {
    printf("\n%s:\n", group->title);
    for (const cli_option *option = group->options; option->name; option++) print_option(option);
  }
  printf("\nHelp:\n");
  for (const cli_option *option = command_common_options; option->name; option++)
    print_option(option);
}

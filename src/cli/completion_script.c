#include "completion_script.h"

#include <stdio.h>
#include <string.h>

#include "commands.h"

/* What can stand in a place of the command line. */
typedef enum fill_in {
  FILL_WORDS,
  FILL_FILES,
  FILL_MODELS, /* folders and *.gust */
  FILL_FOLDERS,
  FILL_SESSIONS,
  FILL_COMMANDS,
  FILL_ANY
} fill_in;

static bool ends_with(const char *text, const char *end) {
  size_t length = strlen(text), bytes = strlen(end);
  return length >= bytes && strcmp(text + length - bytes, end) == 0;
}

/* By the name the argument or operand has in the usage line. */
static fill_in fill_of_name(const char *name) {
  if (strcmp(name, "COMMAND") == 0) return FILL_COMMANDS;
  if (ends_with(name, "DIR")) return FILL_FOLDERS;
  if (strcmp(name, "MODEL") == 0) return FILL_MODELS;
  if (ends_with(name, "FILE")) return FILL_FILES;
  return FILL_ANY;
}

static fill_in fill_of_option(const cli_option *option) {
  if (strcmp(option->name, "session") == 0) return FILL_SESSIONS;
  return option->kind == OPTION_CHOICE ? FILL_WORDS : fill_of_name(option->argument);
}

static bool takes_argument(const cli_option *option) {
  return option->argument != NULL;
}

typedef void option_visitor(const cli_command *command, const cli_option *option);

static void each_option(const cli_command *command, option_visitor *visit) {
  for (const option_group *group = command->groups; group->title; group++)
    for (const cli_option *option = group->options; option->name; option++) visit(command, option);
  for (const cli_option *option = command_common_options; option->name; option++)
    visit(command, option);
}

/* "f32|f16" separated by blanks. */
static void put_choices(const char *choices) {
  for (; *choices; choices++) putchar(*choices == '|' ? ' ' : *choices);
}

static void put_commands(void) {
  for (const cli_command *const *command = command_list; *command; command++)
    printf("%s%s", command == command_list ? "" : " ", (*command)->name);
}

/* Text within single quotes, whose end would otherwise be taken for theirs. */
static void put_quoted(const char *text, const char *quote, const char *more, char escape) {
  for (; *text; text++) {
    if (*text == '\'') {
      fputs(quote, stdout);
    } else {
      if (strchr(more, *text)) putchar(escape);
      putchar(*text);
    }
  }
}

/* --- bash -------------------------------------------------------------------------- */

static void bash_words(const cli_command *command, const cli_option *option) {
  (void)command;
  if (option->letter) printf("-%c ", option->letter);
  printf("--%s ", option->name);
}

/* What may follow the option. */
static void bash_value(const cli_command *command, const cli_option *option) {
  if (!takes_argument(option)) return;
  printf("    '%s --%s'", command->name, option->name);
  if (option->letter) printf(" | '%s -%c'", command->name, option->letter);
  switch (fill_of_option(option)) {
    case FILL_WORDS:
      printf(") _gust_words '");
      put_choices(option->argument);
      printf("'; return ;;\n");
      break;
    case FILL_FILES: printf(") _gust_files -f; return ;;\n"); break;
    case FILL_FOLDERS: printf(") _gust_files -d; return ;;\n"); break;
    case FILL_MODELS: printf(") _gust_models; return ;;\n"); break;
    case FILL_SESSIONS: printf(") _gust_sessions; return ;;\n"); break;
    case FILL_COMMANDS:
    case FILL_ANY: printf(") return ;;\n"); break;
  }
}

/* The script does not count operands: where one may be any file, all are offered. */
static fill_in bash_fill(const cli_command *command) {
  if (!command->operands[0]) return FILL_ANY;
  fill_in first = fill_of_name(command->operands[0]);
  return command->operands[1] && fill_of_name(command->operands[1]) != first ? FILL_FILES : first;
}

static void bash_operand(const cli_command *command) {
  fill_in fill = bash_fill(command);
  printf("    %s) ", command->name);
  if (fill == FILL_COMMANDS) {
    printf("_gust_words '");
    put_commands();
    printf("'");
  } else if (fill == FILL_MODELS) {
    printf("_gust_models");
  } else {
    printf("_gust_files %s", fill == FILL_FOLDERS ? "-d" : "-f");
  }
  printf(" ;;\n");
}

static void print_bash(void) {
  printf(
      "# bash completion for gust; made by gust help --completion bash.\n\n"
      "_gust_words() {\n"
      "  COMPREPLY=($(IFS=' '; compgen -W \"$1\" -- \"$cur\"))\n}\n\n"
      "_gust_files() {\n"
      "  compopt -o filenames 2>/dev/null\n"
      "  COMPREPLY=($(compgen \"$1\" -- \"$cur\"))\n}\n\n"
      "_gust_models() {\n"
      "  compopt -o filenames 2>/dev/null\n"
      "  COMPREPLY=($(compgen -d -- \"$cur\"; compgen -f -X '!*.gust' -- \"$cur\"))\n}\n\n"
      "_gust_sessions() {\n"
      "  local folder=${XDG_STATE_HOME:-$HOME/.local/state}/gust/sessions\n"
      "  if [[ $cur == */* ]]; then\n    _gust_files -f\n    return\n  fi\n"
      "  COMPREPLY=($(compgen -f -X '!*.session' -- \"$folder/$cur\"))\n"
      "  COMPREPLY=(\"${COMPREPLY[@]##*/}\")\n"
      "  COMPREPLY=(\"${COMPREPLY[@]%%.session}\")\n}\n\n"
      "_gust() {\n"
      "  local IFS=$'\\n' cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
      "  local command=${COMP_WORDS[1]}\n"
      "  COMPREPLY=()\n"
      "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n    _gust_words '");
  put_commands();
  printf(" --help --version'\n    return\n  fi\n  case \"$command $prev\" in\n");
  for (const cli_command *const *command = command_list; *command; command++)
    each_option(*command, bash_value);
  printf("  esac\n  case \"$command $cur\" in\n");
  for (const cli_command *const *command = command_list; *command; command++) {
    printf("    '%s -'*) _gust_words '", (*command)->name);
    each_option(*command, bash_words);
    printf("'; return ;;\n");
  }
  printf("  esac\n  case \"$command\" in\n");
  for (const cli_command *const *command = command_list; *command; command++)
    bash_operand(*command);
  printf("  esac\n}\n\ncomplete -F _gust gust\n");
}

/* --- zsh --------------------------------------------------------------------------- */

static void zsh_text(const char *text) {
  put_quoted(text, "'\\''", "[]:\\", '\\');
}

static void zsh_fill(fill_in fill, const char *choices) {
  switch (fill) {
    case FILL_WORDS:
      putchar('(');
      put_choices(choices);
      putchar(')');
      break;
    case FILL_FILES: printf("_files"); break;
    case FILL_MODELS: printf("_files -g \"*.gust\""); break;
    case FILL_FOLDERS: printf("_files -/"); break;
    case FILL_COMMANDS:
      putchar('(');
      put_commands();
      putchar(')');
      break;
    case FILL_SESSIONS: printf("_gust_sessions"); break;
    case FILL_ANY: putchar(' '); break;
  }
}

/* One way to spell the option. _arguments takes every spelling as a name of its
 * own; "+" and "=" allow the value in the same word and in the next. */
static void zsh_spelling(const cli_option *option, const char *dashes, const char *name,
                         const char *joint) {
  bool taken = takes_argument(option);
  printf("    '*%s%s%s[", dashes, name, taken ? joint : "");
  zsh_text(option->help);
  putchar(']');
  if (taken) {
    printf(":%s:", option->kind == OPTION_CHOICE ? "word" : option->argument);
    zsh_fill(fill_of_option(option), option->argument);
  }
  printf("' \\\n");
}

static void zsh_option(const cli_command *command, const cli_option *option) {
  (void)command;
  char letter[2] = {option->letter, 0};
  if (option->letter) zsh_spelling(option, "-", letter, "+");
  zsh_spelling(option, "--", option->name, "=");
}

static void zsh_command(const cli_command *command) {
  printf("_gust_%s() {\n  _arguments \\\n", command->name);
  each_option(command, zsh_option);
  size_t operands = 0;
  while (command->operands[operands]) operands++;
  for (size_t i = 0; i < operands; i++) {
    bool optional = i + command->optional_operands >= operands;
    printf("    '%zu:%s%s:", i + 1, optional ? ":" : "", command->operands[i]);
    zsh_fill(fill_of_name(command->operands[i]), NULL);
    printf("' \\\n");
  }
  printf("    && return\n}\n\n");
}

static void print_zsh(void) {
  printf(
      "#compdef gust\n# zsh completion for gust; made by gust help --completion zsh.\n\n"
      "_gust_sessions() {\n"
      "  local folder=${XDG_STATE_HOME:-$HOME/.local/state}/gust/sessions\n"
      "  local -a sessions=($folder/*.session(N:t:r))\n"
      "  compadd -a sessions\n"
      "  [[ $PREFIX == */* ]] && _files\n}\n\n");
  for (const cli_command *const *command = command_list; *command; command++) zsh_command(*command);
  printf("_gust() {\n  local -a commands\n  commands=(\n");
  for (const cli_command *const *command = command_list; *command; command++) {
    printf("    '%s:", (*command)->name);
    zsh_text((*command)->summary);
    printf("'\n");
  }
  printf(
      "  )\n"
      "  if (( CURRENT == 2 )); then\n"
      "    _describe -t commands command commands\n"
      "    return\n"
      "  fi\n"
      "  local name=$words[2]\n"
      "  (( $+functions[_gust_$name] )) || return\n"
      "  shift words\n"
      "  (( CURRENT-- ))\n"
      "  _gust_$name\n"
      "}\n\n"
      "if [ \"$funcstack[1]\" = _gust ]; then\n  _gust \"$@\"\nelse\n  compdef _gust gust\nfi\n");
}

/* --- fish -------------------------------------------------------------------------- */

static void fish_text(const char *text) {
  put_quoted(text, "\\'", "\\", '\\');
}

static void fish_option(const cli_command *command, const cli_option *option) {
  printf("complete -c gust -n '__fish_seen_subcommand_from %s' -l %s", command->name, option->name);
  if (option->letter) printf(" -s %c", option->letter);
  if (takes_argument(option)) {
    static const char *const ways[] = {[FILL_WORDS] = "-x",
                                       [FILL_FILES] = "-r -F",
                                       [FILL_MODELS] = "-x -a '(__fish_complete_suffix .gust)'",
                                       [FILL_FOLDERS] = "-x -a '(__fish_complete_directories)'",
                                       [FILL_SESSIONS] = "-r -F -a '(__gust_sessions)'",
                                       [FILL_COMMANDS] = "-x",
                                       [FILL_ANY] = "-x"};
    fill_in fill = fill_of_option(option);
    printf(" %s", ways[fill]);
    if (fill == FILL_WORDS) {
      printf(" -a '");
      put_choices(option->argument);
      printf("'");
    }
  }
  printf(" -d '");
  fish_text(option->help);
  printf("'\n");
}

/* What the command's first operand may be; fish offers all files by itself. */
static void fish_operand(const cli_command *command) {
  fill_in fill = command->operands[0] ? fill_of_name(command->operands[0]) : FILL_ANY;
  if (fill != FILL_COMMANDS && fill != FILL_MODELS && fill != FILL_FOLDERS) return;
  printf("complete -c gust -n '__fish_seen_subcommand_from %s' ", command->name);
  if (fill == FILL_COMMANDS) {
    printf("-f -a '");
    put_commands();
    printf("'\n");
  } else if (fill == FILL_MODELS) {
    printf("-k -a '(__fish_complete_suffix .gust)'\n");
  } else {
    printf("-f -a '(__fish_complete_directories)'\n");
  }
}

static void print_fish(void) {
  printf(
      "# fish completion for gust; made by gust help --completion fish.\n\n"
      "function __gust_sessions\n"
      "  set -l state $XDG_STATE_HOME\n"
      "  test -n \"$state\"; or set state ~/.local/state\n"
      "  set -l sessions $state/gust/sessions/*.session\n"
      "  for session in $sessions\n"
      "    basename $session .session\n"
      "  end\n"
      "end\n\n");
  for (const cli_command *const *command = command_list; *command; command++) {
    printf("complete -c gust -n __fish_use_subcommand -f -a %s -d '", (*command)->name);
    fish_text((*command)->summary);
    printf("'\n");
  }
  for (const cli_option *option = command_common_options; option->name; option++) {
    printf("complete -c gust -n __fish_use_subcommand -f -l %s -d '", option->name);
    fish_text(option->help);
    printf("'\n");
  }
  for (const cli_command *const *command = command_list; *command; command++) {
    printf("\n");
    fish_operand(*command);
    each_option(*command, fish_option);
  }
}

void completion_script_print(completion_shell shell) {
  switch (shell) {
    case COMPLETION_BASH: print_bash(); break;
    case COMPLETION_ZSH: print_zsh(); break;
    case COMPLETION_FISH: print_fish(); break;
  }
}

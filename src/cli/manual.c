#include "manual.h"

#include <stdio.h>
#include <string.h>

#include "chat_commands.h"
#include "commands.h"

/* --- text ------------------------------------------------------------------------ */

/* What troff would take for itself (groff_char(7)): a plain hyphen or quote is
 * typeset as another character than the shell wants. */
static void put_text(const char *text, size_t bytes) {
  static const struct {
    char c;
    const char *written;
  } special[] = {{'\\', "\\e"},  {'-', "\\-"},   {'\'', "\\(aq"}, {'`', "\\(ga"},
                 {'^', "\\(ha"}, {'~', "\\(ti"}, {'"', "\\(dq"}};
  for (size_t i = 0; i < bytes; i++) {
    const char *written = NULL;
    for (size_t k = 0; k < sizeof special / sizeof *special; k++)
      if (text[i] == special[k].c) written = special[k].written;
    if (written) {
      fputs(written, stdout);
    } else {
      putchar(text[i]);
    }
  }
}

/* One input line of running text: a control character at its start is none. */
static void put_line(const char *text, size_t bytes) {
  if (bytes > 0 && (text[0] == '.' || text[0] == '\'')) fputs("\\&", stdout);
  put_text(text, bytes);
  putchar('\n');
}

static void put_words(const char *text) {
  put_text(text, strlen(text));
}

static void put_paragraphs(const char *text) {
  for (bool first = true; *text; first = false) {
    size_t bytes = strcspn(text, "\n");
    if (!first) printf(".PP\n");
    put_line(text, bytes);
    text += bytes + (text[bytes] == '\n');
  }
}

static void put_upper(const char *text) {
  for (; *text; text++) {
    char c = *text >= 'a' && *text <= 'z' ? (char)(*text - 'a' + 'A') : *text;
    put_text(&c, 1);
  }
}

/* --- options --------------------------------------------------------------------- */

static void put_range(const cli_option *option) {
  if (option->kind == OPTION_COUNT && option->most != UINT64_MAX)
    printf(" (%llu to %llu)", (unsigned long long)option->least, (unsigned long long)option->most);
  if (option->kind == OPTION_REAL) {
    char range[64];
    snprintf(range, sizeof range, " (%g to %g)", option->low, option->high);
    put_words(range);
  }
}

static void put_option(const cli_option *option) {
  printf(".TP\n");
  if (option->letter) printf("\\fB\\-%c\\fR, ", option->letter);
  printf("\\fB\\-\\-");
  put_words(option->name);
  printf("\\fR");
  if (option->kind == OPTION_CHOICE) {
    char choices[256];
    options_spell_choices(option->argument, choices, sizeof choices);
    printf(" \\fIWORD\\fR\n");
    put_words(option->help);
    printf(". ");
    printf("\\fIWORD\\fR is ");
    put_words(choices);
  } else {
    if (option->argument) {
      printf(" \\fI");
      put_words(option->argument);
      printf("\\fR");
    }
    putchar('\n');
    put_words(option->help);
    put_range(option);
  }
  printf(".\n");
}

static void put_options(const char *title, const cli_option *options) {
  printf(".SS ");
  put_words(title);
  putchar('\n');
  for (; options->name; options++) put_option(options);
}

/* --- what surrounds them ----------------------------------------------------------- */

static void put_head(const char *name) {
  printf(".\\\" Made by gust help --man.\n.TH GUST");
  if (name) printf("\\-");
  if (name) put_upper(name);
  printf(" 1 \"\" \"gust ");
  put_words(gust_version());
  printf("\" \"User Commands\"\n");
}

static bool has_option(const cli_command *command, const char *name) {
  for (const option_group *group = command->groups; group->title; group++)
    for (const cli_option *option = group->options; option->name; option++)
      if (strcmp(option->name, name) == 0) return true;
  return false;
}

/* `command` NULL: of any command. */
static void put_environment(const cli_command *command) {
  static const struct {
    const char *name, *help;
    const char *option; /* commands that have it look at the variable */
  } variables[] = {
      {"GUST_CPU", "stands in for --cpu where that is not given", "cpu"},
      {"NO_COLOR", "when set to anything, nothing is coloured", "session"},
      {"TERM",
       "\"dumb\" or unset: no colours, and lines are read without editing; on Windows only "
       "\"dumb\" matters",
       "session"},
      {"XDG_STATE_HOME",
       "the folder in which gust/ holds the history of what was typed and the sessions that have a "
       "bare name; default ~/.local/state, on Windows %LOCALAPPDATA%",
       "session"},
  };
  bool begun = false;
  for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
    if (command && !has_option(command, variables[i].option)) continue;
    if (!begun) printf(".SH ENVIRONMENT\n");
    begun = true;
    printf(".TP\n\\fB%s\\fR\n", variables[i].name);
    put_words(variables[i].help);
    printf(".\n");
  }
}

static void put_exit_status(void) {
  static const struct {
    int code;
    const char *help;
  } codes[] = {{0, "Success."},
               {1, "A failure, named in one line on standard error."},
               {2, "Wrong usage, named likewise."},
               {130, "Ctrl-C; another signal gives 128 and its number."},
               {141, "The reader of a pipe on standard output left, which is no failure."}};
  printf(".SH EXIT STATUS\n");
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
    printf(".TP\n\\fB%d\\fR\n", codes[i].code);
    put_words(codes[i].help);
    putchar('\n');
  }
}

/* What gust chat understands while it runs. */
static void put_chat_commands(void) {
  printf(".SH COMMANDS IN A CHAT\n");
  for (const chat_command *known = chat_commands; known->name; known++) {
    printf(".TP\n\\fB/%s\\fR", known->name);
    if (known->argument) {
      printf(" \\fI");
      put_words(known->argument);
      printf("\\fR");
    }
    putchar('\n');
    put_line(known->help, strlen(known->help));
  }
  printf(".TP\n\\fB");
  put_words(CHAT_SLASH_HEAD);
  printf("\\fR\n");
  put_line(CHAT_SLASH_HELP, strlen(CHAT_SLASH_HELP));
}

/* What the line editor understands (key_reader.h, edit_core.h). */
static void put_chat_keys(void) {
  static const char when[] =
      "At a terminal. What is typed while an answer is written waits, unseen, for the next prompt; "
      "several lines that are pasted are one message.";
  static const struct {
    const char *keys, *help;
  } keys[] = {
      {"Enter", "send the message; after a backslash at its end, begin another line"},
      {"Alt-Enter, Shift-Enter",
       "begin another line of the message; few terminals tell "
       "Shift-Enter from Enter"},
      {"Tab", "complete a command, a setting or a file's name; a second time, list what fits"},
      {"Ctrl-C", "stop the answer; at the prompt, give the message up"},
      {"Ctrl-D", "leave; in a message, delete the character at the cursor"},
      {"Ctrl-Z", "stop the program, which the shell's fg lets go on"},
      {"Up, Down",
       "move between the message's lines and, from its first and last, through what "
       "was typed before"},
      {"Ctrl-P, Ctrl-N, Alt-<, Alt->",
       "the message typed before or after this one, the first, "
       "the last"},
      {"Ctrl-R",
       "search what was typed for the text that follows; again, further back; Escape "
       "or Ctrl-G gives up"},
      {"Left, Right, Ctrl-B, Ctrl-F", "move by a character"},
      {"Alt-B, Alt-F, Ctrl-Left, Ctrl-Right", "move by a word"},
      {"Home, End, Ctrl-A, Ctrl-E", "move to the beginning or end of the line"},
      {"Backspace, Delete", "delete the character before or at the cursor"},
      {"Ctrl-U, Ctrl-K", "cut to the beginning or end of the line"},
      {"Ctrl-W, Alt-Backspace, Alt-D",
       "cut back to white space, back over a word, over the next "
       "word"},
      {"Ctrl-Y", "insert what was cut"},
      {"Ctrl-T", "exchange two characters"},
      {"Ctrl-L", "clear the screen"},
  };
  printf(".SH KEYS\n");
  put_line(when, sizeof when - 1);
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    printf(".TP\n\\fB");
    put_words(keys[i].keys);
    printf("\\fR\n");
    put_line(keys[i].help, strlen(keys[i].help));
  }
}

void manual_print_command(const cli_command *command) {
  put_head(command->name);
  printf(".SH NAME\ngust\\-%s \\- ", command->name);
  put_words(command->summary);
  printf("\n.SH SYNOPSIS\n\\fBgust %s\\fR ", command->name);
  put_words(command->synopsis);
  printf("\n.SH DESCRIPTION\n");
  put_paragraphs(command->description);
  printf(".SH OPTIONS\n");
  for (const option_group *group = command->groups; group->title; group++)
    put_options(group->title, group->options);
  put_options("Help", command_common_options);
  if (command == &command_chat) {
    put_chat_commands();
    put_chat_keys();
  }
  put_environment(command);
  put_exit_status();
  printf(".SH SEE ALSO\n\\fBgust\\fR(1)\n");
}

void manual_print_overview(void) {
  put_head(NULL);
  printf(".SH NAME\ngust \\- run chat models from one quantized file\n");
  printf(".SH SYNOPSIS\n\\fBgust\\fR \\fICOMMAND\\fR [\\fIargument\\fR...]\n");
  printf(".SH DESCRIPTION\n");
  put_paragraphs(
      "gust runs Mistral- and Llama-shaped chat models on an ordinary processor. It converts a "
      "Hugging Face checkpoint once into one quantized file and then chats from that file.\n"
      "Results go to standard output, everything else to standard error. Progress is shown only "
      "there and only on a terminal.");
  printf(".SH COMMANDS\n");
  for (const cli_command *const *command = command_list; *command; command++) {
    printf(".TP\n\\fBgust\\-%s\\fR(1)\n", (*command)->name);
    put_words((*command)->summary);
    putchar('\n');
  }
  printf(".SH OPTIONS\n");
  for (const cli_option *option = command_common_options; option->name; option++)
    put_option(option);
  put_environment(NULL);
  put_exit_status();
}

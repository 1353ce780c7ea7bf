/* Manual pages and completion: every option of every command is in every one of
 * them, and they are what the tools that read them expect. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "cli/chat_commands.h"
#include "cli/commands.h"
#include "cli/completion_script.h"
#include "host.h"
#include "os.h"
#include "run_gust.h"

typedef void option_check(const cli_command *command, const cli_option *option, const char *text);

static size_t each_option(const cli_command *command, const char *text, option_check *check) {
  size_t count = 0;
  for (const option_group *group = command->groups; group->title; group++)
    for (const cli_option *option = group->options; option->name; option++, count++)
      check(command, option, text);
  for (const cli_option *option = command_common_options; option->name; option++, count++)
    check(command, option, text);
  return count;
}

/* The part of `text` from `begin` up to `end`, to be freed. */
static char *part_of(const char *text, const char *begin, const char *end) {
  const char *from = strstr(text, begin);
  const char *to = from ? strstr(from + strlen(begin), end) : NULL;
  if (!CHECK(to != NULL)) check_fatal("this part is missing", begin);
  size_t bytes = (size_t)(to - from);
  char *part = malloc(bytes + 1);
  if (!part) check_fatal("no memory", begin);
  memcpy(part, from, bytes);
  part[bytes] = 0;
  return part;
}

/* --- manual pages ------------------------------------------------------------------- */

/* "--top-k" as troff spells it. */
static void spell_for_troff(char *out, const char *text) {
  for (; *text; text++) {
    if (*text == '-') *out++ = '\\';
    *out++ = *text;
  }
  *out = 0;
}

static void check_in_page(const cli_command *command, const cli_option *option, const char *text) {
  char name[64], line[128], help[1200];
  (void)command;
  spell_for_troff(name, option->name);
  if (option->letter) {
    snprintf(line, sizeof line, ".TP\n\\fB\\-%c\\fR, \\fB\\-\\-%s\\fR", option->letter, name);
  } else {
    snprintf(line, sizeof line, ".TP\n\\fB\\-\\-%s\\fR", name);
  }
  CHECK_CONTAINS(text, line);
  spell_for_troff(help, option->help);
  char *quote = strpbrk(help, "'\""); /* spelled otherwise */
  if (quote) *quote = 0;
  CHECK_CONTAINS(text, help);
}

/* A line that begins with a dot is a request; all of them must be known ones. */
static void check_requests(const char *text) {
  static const char *const known[] = {".TH ", ".SH ", ".SS ", ".TP\n", ".PP\n", ".\\\""};
  for (const char *line = text; line && *line; line = strchr(line, '\n')) {
    if (*line == '\n') line++;
    if (*line != '.' && *line != '\'') continue;
    bool good = false;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
      good = good || strncmp(line, known[i], strlen(known[i])) == 0;
    if (!CHECK(good)) printf("  %.40s\n", line);
  }
}

static void test_pages(void) {
  char *listed = check_read_file("docs/meson.build", NULL);
  char *readme = check_read_file("README.md", NULL);
  for (const cli_command *const *command = command_list; *command; command++) {
    const char *name = (*command)->name;
    char line[128];
    run_result page = run_gust(NULL, "help", "--man", name, (const char *)NULL);
    CHECK_EQ_INT(page.code, 0);
    CHECK_EQ_STR(page.err, "");
    snprintf(line, sizeof line, ".SH NAME\ngust\\-%s \\- ", name);
    CHECK_CONTAINS(page.out, line);
    CHECK(each_option(*command, page.out, check_in_page) >= 2);
    check_requests(page.out);
    run_result_clear(&page);
    snprintf(line, sizeof line, "'%s'", name);
    CHECK_CONTAINS(listed, line); /* is installed */
    snprintf(line, sizeof line, "\n| `gust %s", name);
    CHECK_CONTAINS(readme, line);
  }
  free(listed);
  free(readme);
  run_result page = run_gust(NULL, "help", "--man", (const char *)NULL);
  for (const cli_command *const *command = command_list; *command; command++) {
    char line[64];
    snprintf(line, sizeof line, "\\fBgust\\-%s\\fR(1)\n%.8s", (*command)->name,
             (*command)->summary);
    CHECK_CONTAINS(page.out, line);
  }
  check_requests(page.out);
  run_result_clear(&page);
}

static void test_chat_commands(void) {
  run_result page = run_gust(NULL, "help", "--man", "chat", (const char *)NULL);
  size_t count = 0;
  for (; chat_commands[count].name; count++) {
    char line[64];
    snprintf(line, sizeof line, ".TP\n\\fB/%s\\fR", chat_commands[count].name);
    CHECK_CONTAINS(page.out, line);
  }
  CHECK(count >= 13);
  CHECK_CONTAINS(page.out, ".TP\n\\fB//TEXT\\fR\nsend a message that begins with \\(aq/\\(aq\n");
  CHECK_CONTAINS(page.out, "\n.SH KEYS\n");
  static const char *const keys[] = {"Alt\\-Enter, Shift\\-Enter", "Ctrl\\-R", "Ctrl\\-D",
                                     "Alt\\-B, Alt\\-F, Ctrl\\-Left, Ctrl\\-Right"};
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    char line[96];
    snprintf(line, sizeof line, ".TP\n\\fB%s\\fR\n", keys[i]);
    CHECK_CONTAINS(page.out, line);
  }
  CHECK_CONTAINS(page.out, "\\fBXDG_STATE_HOME\\fR\n");
  run_result_clear(&page);
}

/* --- completion ------------------------------------------------------------------------ */

static void check_in_bash(const cli_command *command, const cli_option *option, const char *text) {
  char line[160], begin[64], word[64];
  snprintf(begin, sizeof begin, "    '%s -'*) _gust_words '", command->name);
  char *words = part_of(text, begin, "'; return ;;");
  snprintf(word, sizeof word, "--%s ", option->name);
  CHECK_CONTAINS(words, word);
  free(words);
  snprintf(line, sizeof line, "'%s --%s'", command->name, option->name);
  if (option->argument) CHECK_CONTAINS(text, line);
}

static void check_in_zsh(const cli_command *command, const cli_option *option, const char *text) {
  char line[160], begin[64];
  snprintf(begin, sizeof begin, "_gust_%s() {", command->name);
  char *function = part_of(text, begin, "\n}\n");
  snprintf(line, sizeof line, "\n    '*--%s%s[", option->name, option->argument ? "=" : "");
  CHECK_CONTAINS(function, line);
  snprintf(line, sizeof line, "\n    '*-%c%s[", option->letter, option->argument ? "+" : "");
  if (option->letter) CHECK_CONTAINS(function, line);
  free(function);
}

static void check_in_fish(const cli_command *command, const cli_option *option, const char *text) {
  char line[160];
  snprintf(line, sizeof line, "\ncomplete -c gust -n '__fish_seen_subcommand_from %s' -l %s ",
           command->name, option->name);
  CHECK_CONTAINS(text, line);
}

/* Where there is such a shell; it has to know the paths of this program. */
static bool has_shell(const char *path) {
#ifdef _WIN32
  check_part_skipped(path, "not a program of this system");
  return false;
#else
  if (host_exists(path)) return true;
  check_part_skipped(path, "not installed");
  return false;
#endif
}

/* Whether the shell itself takes the script; 0 also where it is not installed. */
static int shell_complaint(const char *shell, const char *script) {
  char path[64];
  snprintf(path, sizeof path, "/usr/bin/%s", shell);
  if (!has_shell(path)) return 0;
  const char *file = check_temp_file(shell);
  check_write_file(file, script, strlen(script));
  const char *argv[] = {path, "-n", file, NULL};
  run_result result = run_program(argv, "", 0);
  int code = result.code;
  if (code != 0) printf("  %s: %s\n", shell, result.err);
  run_result_clear(&result);
  return code;
}

static void test_completion(void) {
  static option_check *const checks[] = {check_in_bash, check_in_zsh, check_in_fish};
  static const char *const shells[] = {"bash", "zsh", "fish"};
  CHECK_EQ_STR(COMPLETION_SHELLS, "bash|zsh|fish");
  for (size_t i = 0; i < 3; i++) {
    run_result script = run_gust(NULL, "help", "--completion", shells[i], (const char *)NULL);
    CHECK_EQ_INT(script.code, 0);
    CHECK_EQ_STR(script.err, "");
    for (const cli_command *const *command = command_list; *command; command++)
      each_option(*command, script.out, checks[i]);
    CHECK_EQ_INT(shell_complaint(shells[i], script.out), 0);
    run_result_clear(&script);
  }
}

/* What there is to complete: a folder with models, other files, and sessions. */
static void make_state_folder(void) {
  static const char *const folders[] = {"state", "state/gust", "state/gust/sessions"};
  static const char *const files[] = {"state/a.gust", "state/b.txt",
                                      "state/gust/sessions/boat trip.session",
                                      "state/gust/sessions/$(touch ran).session"};
  for (size_t i = 0; i < 3; i++) os_make_folder(check_temp_file(folders[i]));
  for (size_t i = 0; i < 4; i++) check_write_file(check_temp_file(files[i]), "", 0);
}

/* Shells read and keep nothing of the user's. */
static void leave_home(void) {
  static const char *const names[] = {"HOME", "ZDOTDIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME",
                                      "XDG_CACHE_HOME"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) host_set_env(names[i], check_temp());
  host_set_env("XDG_STATE_HOME", check_temp_file("state"));
  host_set_env("TERM", "xterm");
}

/* What the shell prints when it reads its script and then `probe`. */
static void check_probe(const char *const *argv, const char *shell, const char *probe,
                        const char *expected) {
  run_result script = run_gust(NULL, "help", "--completion", shell, (const char *)NULL);
  size_t bytes = script.out_bytes + strlen(probe) + 1;
  char *input = malloc(bytes);
  if (!input) check_fatal("no memory", shell);
  snprintf(input, bytes, "%s%s", script.out, probe);
  run_result result = run_program(argv, input, bytes - 1);
  CHECK_EQ_STR(result.out, expected);
  CHECK_EQ_INT(result.code, 0);
  CHECK(!host_exists(check_temp_file("state/ran")));
  run_result_clear(&result);
  run_result_clear(&script);
  free(input);
}

/* bash really completes with it. */
static void test_in_bash(void) {
  static const char probe[] =
      "\nask() { COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _gust; echo \"${COMPREPLY[*]}\"; }\n"
      "ask gust ver\nask gust run --logp\nask gust run x --kv q\nask gust help ch\n"
      "ask gust convert model\nask gust run --seed ''\n"
      "cd \"$XDG_STATE_HOME\"\nask gust run ''\nask gust logits x b\nask gust inspect a.\n"
      "ask gust chat x --session bo\n"
      "ask gust chat x --session '$'\nask gust chat x --session ./b\nask gust chat x --session "
      "none\n";
  const char *argv[] = {"/usr/bin/bash", NULL};
  if (has_shell(argv[0]))
    check_probe(argv, "bash", probe,
                "verify\n--logprobs\nq8\nchat\nmodels\n\n"
                "gust a.gust\nb.txt\na.gust\nboat trip\n$(touch ran)\n./b.txt\n\n");
}

/* So does zsh, at a terminal, where it says with Ctrl-T what the line has become. */
static void test_in_zsh(void) {
  static const char setup[] =
      "fpath=(${0:h}/functions $fpath)\n"
      "autoload -Uz compinit && compinit -D -u\n"
      "show() { print -r -- \"<$BUFFER>\"; BUFFER=; }\n"
      "zle-line-init() { print -r -- '<ready>'; }\n"
      "zle -N show && zle -N zle-line-init && bindkey '^T' show\n"
      "PS1= && cd $XDG_STATE_HOME\n";
  static const char *const lines[][2] = {
      {"ver", "verify "},
      {"run x --kv q", "run x --kv q8 "},
      {"help ch", "help chat "},
      {"run a", "run a.gust "},
      {"logits x b", "logits x b.txt "},
      {"chat x --session bo", "chat x --session boat\\ trip "},
      {"chat x --session \\$", "chat x --session \\$\\(touch\\ ran\\) "},
      {"chat x --session ./b", "chat x --session ./b.txt "}};
  const char *argv[] = {"/usr/bin/zsh", "-f", NULL};
  char text[1200];
  if (!has_shell(argv[0])) return;
  run_result script = run_gust(NULL, "help", "--completion", "zsh", (const char *)NULL);
  os_make_folder(check_temp_file("functions"));
  check_write_file(check_temp_file("functions/_gust"), script.out, script.out_bytes);
  check_write_file(check_temp_file("setup"), setup, sizeof setup - 1);
  run_result_clear(&script);
  run_terminal *terminal = run_terminal_start(argv);
  snprintf(text, sizeof text, "source %s\n", check_temp_file("setup"));
  run_terminal_type(terminal, text);
  bool there = CHECK(run_terminal_expect(terminal, "<ready>", 60));
  for (size_t i = 0; there && i < sizeof lines / sizeof *lines; i++) {
    snprintf(text, sizeof text, "gust %s\t\024", lines[i][0]);
    run_terminal_type(terminal, text);
    snprintf(text, sizeof text, "<gust %s>", lines[i][1]);
    there = CHECK(run_terminal_expect(terminal, text, 60));
  }
  if (!there) fprintf(stderr, "  %s\n", run_terminal_text(terminal));
  run_terminal_type(terminal, "\025exit\n"); /* of whatever stands there */
  CHECK_EQ_INT(run_terminal_finish(terminal), 0);
  CHECK(!host_exists(check_temp_file("state/ran")));
}

/* So does fish, asked for what it would offer first, without the description after a tab. */
static void test_in_fish(void) {
  static const char probe[] =
      "\ncd $XDG_STATE_HOME\n"
      "for line in 'ver' 'run x --kv q' 'help ch' 'run ' 'logits x b' 'convert ' "
      "'chat x --session bo' 'chat x --session ./b'\n"
      "  complete -C \"gust $line\" | string replace -r '\\t.*' '' | head -n 1\n"
      "  echo\nend\n";
  const char *argv[] = {"/usr/bin/fish", "--no-config", NULL};
  if (has_shell(argv[0]))
    check_probe(argv, "fish", probe,
                "verify\n\nq8\n\nchat\n\na.gust\n\nb.txt\n\n"
                "gust/\n\nboat trip\n\n./b.txt\n\n");
}

static void test_misuse(void) {
  CHECK_GUST(2, "", "gust: unknown command 'sing'; 'gust --help' lists them\n", NULL, "help",
             "--man", "sing");
  CHECK_GUST(2, "", "gust help: --completion: expected bash, zsh or fish, found 'csh'\n", NULL,
             "help", "--completion", "csh");
  CHECK_GUST(2, "", "gust help: --completion stands alone: one script is for all commands\n", NULL,
             "help", "chat", "--completion", "bash");
}

int main(void) {
  run_gust_binary();
  test_pages();
  test_chat_commands();
  test_completion();
  make_state_folder();
  leave_home();
  test_in_bash();
  test_in_zsh();
  test_in_fish();
  test_misuse();
  return check_finish();
}

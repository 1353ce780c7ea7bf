/* Completion scripts for shells, made of the commands' tables. */
#ifndef GUST_CLI_COMPLETION_SCRIPT_H
#define GUST_CLI_COMPLETION_SCRIPT_H

/* Names of the shells, in the order of completion_shell. */
#define COMPLETION_SHELLS "bash|zsh|fish"

typedef enum completion_shell { COMPLETION_BASH, COMPLETION_ZSH, COMPLETION_FISH } completion_shell;

/* To stdout. */
void completion_script_print(completion_shell shell);

#endif

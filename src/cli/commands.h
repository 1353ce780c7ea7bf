/* Every subcommand. Each is defined in the folder it belongs to; command_list.c
 * lists them in the order of the help. */
#ifndef GUST_CLI_COMMANDS_H
#define GUST_CLI_COMMANDS_H

#include "command.h"

extern const cli_command command_convert; /* quantize/cmd_convert.c */
extern const cli_command command_chat;
extern const cli_command command_run;
extern const cli_command command_tokenize;
extern const cli_command command_logits;
extern const cli_command command_eval;
extern const cli_command command_inspect;
extern const cli_command command_verify;
extern const cli_command command_bench;    /* bench/cmd_bench.c */
extern const cli_command command_doctor;   /* bench/cmd_doctor.c */
extern const cli_command command_for_help; /* cmd_help.c */

/* All of them, ended by NULL. */
extern const cli_command *const command_list[];

/* NULL when there is none of that name. */
const cli_command *command_find(const char *name);

/* Names the mistake; returns 2. */
int command_unknown(const char *name);

/* Prints `gust --help` to stdout. */
void command_overview(void);

#endif

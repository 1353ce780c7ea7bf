/* Manual pages in troff (macros of man(7)), made of the commands' tables. */
#ifndef GUST_CLI_MANUAL_H
#define GUST_CLI_MANUAL_H

#include "command.h"

/* gust-COMMAND(1) to stdout. */
void manual_print_command(const cli_command *command);

/* gust(1) to stdout. */
void manual_print_overview(void);

#endif

/* Where the program keeps what outlives it but nobody would miss much. */
#ifndef GUST_CLI_STATE_FOLDER_H
#define GUST_CLI_STATE_FOLDER_H

#include <stdbool.h>

/* "$XDG_STATE_HOME/gust/NAME", else "$HOME/.local/state/gust/NAME", or on Windows
 * "%LOCALAPPDATA%/gust/NAME"; to be freed. NULL when none of these variables holds an
 * absolute path, or without memory. Nothing is created. */
char *state_folder_path(const char *name);

/* Makes the folders that lead to `path`, for their owner alone; false, with
 * errno, when that fails. */
bool state_folder_make(const char *path);

#endif

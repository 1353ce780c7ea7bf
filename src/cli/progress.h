/* One line of progress on stderr: percent, bar, rate and time left.
 *
 * Shown only when stderr is a terminal and the user did not ask for quiet, not
 * within the first half second, at most ten times a second; gone at the end. */
#ifndef GUST_CLI_PROGRESS_H
#define GUST_CLI_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum progress_unit { PROGRESS_BYTES, PROGRESS_TOKENS } progress_unit;

typedef struct progress_line {
  const char *label; /* what is going on, such as "converting" */
  progress_unit unit;
  bool shown;                 /* may be drawn at all */
  unsigned drawn;             /* columns on the screen now */
  uint64_t begun_ns, last_ns; /* of the begin and of the last drawing */
} progress_line;

void progress_begin(progress_line *progress, const char *label, progress_unit unit, bool quiet);

/* A gust_progress_fn whose `user` is the progress; returns true, which asks the
 * work to stop, once a signal has arrived. */
bool progress_update(void *user, uint64_t done, uint64_t total);

/* Clears the line. */
void progress_end(progress_line *progress);

/* Writes the line, at most columns - 1 of ASCII, NUL-terminated, into
 * line[size]; returns its length. `seconds` have passed since the start. */
size_t progress_format(char *line, size_t size, unsigned columns, const char *label,
                       progress_unit unit, uint64_t done, uint64_t total, double seconds);

#endif

/* Quantities and names as people read them. Where there is a `text` it is filled and returned. */
#ifndef GUST_CLI_HUMAN_H
#define GUST_CLI_HUMAN_H

#include <stddef.h>
#include <stdint.h>

/* Large enough for any of these. */
#define HUMAN_BYTES 32

/* "912 B", "8.93 MB", "4.13 GB": three digits, powers of 1000. */
char *human_bytes(char text[HUMAN_BYTES], double bytes);

/* "0:07", "12:30", "2:05:00"; "--:--" when negative, not finite or over 99 h. */
char *human_duration(char text[HUMAN_BYTES], double seconds);

/* "7,241,732,096". */
char *human_count(char text[HUMAN_BYTES], uint64_t count);

/* What follows the last separator of a path, or all of it when nothing does. */
const char *human_file_name(const char *path);

#endif

/* The test harness: count, report and go on; exit 77 when nothing was tested. */
#ifndef GUST_CHECK_H
#define GUST_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#define CHECK(condition) check_that((condition) ? true : false, __FILE__, __LINE__, #condition)
#define CHECK_EQ_INT(a, b) \
  check_eq_int((long long)(a), (long long)(b), __FILE__, __LINE__, #a " == " #b)
#define CHECK_EQ_STR(a, b) check_eq_str((a), (b), __FILE__, __LINE__, #a " == " #b)
#define CHECK_CONTAINS(text, part) check_contains((text), (part), __FILE__, __LINE__)
#define CHECK_SKIP(why) check_skip(why)

/* Each returns whether the check held. */
bool check_that(bool held, const char *file, int line, const char *what);
bool check_eq_int(long long a, long long b, const char *file, int line, const char *what);
bool check_eq_str(const char *a, const char *b, const char *file, int line, const char *what);
bool check_contains(const char *text, const char *part, const char *file, int line);

/* Prints the summary; 0 when at least one check ran and all held, else 1. */
int check_finish(void);
/* Ends the process with 77; where a check has failed before, with 1. */
_Noreturn void check_skip(const char *why);
/* Says in the test's output that a part of it has nothing to test on this system. */
void check_part_skipped(const char *part, const char *why);
/* Ends the process with 1: the test cannot go on. */
_Noreturn void check_fatal(const char *what, const char *detail);

/* Paths; valid until the program ends. */
const char *check_data(const char *name); /* tests/data/NAME */
const char *check_demo(void);             /* models/demo */
const char *check_refs(const char *name); /* $GUST_TEST_REFS/NAME; NULL where absent */
const char *check_temp(void);             /* a fresh folder, removed at the end */
/* "<check_temp()>/NAME". */
const char *check_temp_file(const char *name);

/* Whether the processor is emulated, so that arithmetic takes some fifty times as
 * long ($GUST_TEST_EMULATED): a test then makes the same checks of shorter sequences. */
bool check_emulated(void);

/* How many files a folder holds, hidden ones apart. */
size_t check_files_in(const char *folder);

/* The length of a file; ends the test when there is none. */
unsigned long long check_file_bytes(const char *path);
/* Makes a file so long: shorter, or longer by zeros. */
void check_cut_file(const char *path, unsigned long long bytes);

/* A whole file, NUL-terminated, to be freed. */
char *check_read_file(const char *path, size_t *bytes);
void check_write_file(const char *path, const void *data, size_t bytes);

/* A reproducible stream of 64-bit numbers (splitmix64). */
unsigned long long check_random(unsigned long long *state);

#endif

/* Which levels this processor is found to have, and what --cpu makes of them.
 *
 *   test_levels [LEVEL]...     expects exactly these, slowest first */
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "cli/model_options.h"
#include "kernels.h"

/* All that any processor has, as --cpu knows them. */
static const char *const known[] = {"c",   "avx2", "avxvnni", "avx512",
                                    "amx", "neon", "dotprod", "i8mm"};
#define KNOWN (sizeof known / sizeof *known)

static size_t rank_of(const char *level) {
  size_t i = 0;
  while (i < KNOWN && strcmp(known[i], level) != 0) i++;
  return i;
}

static void check_expected(char **expected) {
  size_t i = 0;
  for (; expected[i]; i++) {
    const char *found = gust_kernels_level(i);
    CHECK_EQ_STR(found ? found : "(no more)", expected[i]);
  }
  const char *more = gust_kernels_level(i);
  CHECK_EQ_STR(more ? more : "(no more)", "(no more)");
}

/* The level that `cap` ends up with: the last one not above it. */
static const char *best_up_to(size_t rank) {
  const char *best = NULL, *level;
  for (size_t i = 0; (level = gust_kernels_level(i)) != NULL; i++)
    if (rank_of(level) <= rank) best = level;
  return best;
}

/* What --cpu offers, and what errors say it takes, is what there is. */
static void check_names(void) {
  char all[128] = "", sentence[128] = "";
  for (size_t i = 0; i < KNOWN; i++) {
    const char *comma = i + 1 == KNOWN ? " or " : ", ";
    snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", i ? "|" : "", known[i]);
    snprintf(sentence + strlen(sentence), sizeof sentence - strlen(sentence), "%s%s",
             i ? comma : "", known[i]);
  }
  /* Of all, --cpu takes those of one architecture: c and a run of the others. */
  const char *own = CPU_LEVELS;
  CHECK(own[0] == 'c' && strstr(all, own + 1) != NULL);
  for (size_t i = 0; gust_kernels_level(i); i++)
    CHECK(strstr(CPU_LEVELS, gust_kernels_level(i)) != NULL);
  CHECK_EQ_STR(GUST_KERNEL_LEVELS, sentence);
}

/* Of every kernel there is a definition, on every level. Entries are pointers to functions
 * from matmul_q4 on. */
static void check_entries(const gust_kernels *kernels) {
  typedef void (*entry)(void);
  entry entries[(sizeof *kernels - offsetof(gust_kernels, matmul_q4)) / sizeof(entry)];
  memcpy(entries, (const char *)kernels + offsetof(gust_kernels, matmul_q4), sizeof entries);
  for (size_t i = 0; i < sizeof entries / sizeof *entries; i++)
    if (!CHECK(entries[i] != NULL)) printf("  %s: entry %zu\n", kernels->level, i);
}

int main(int argc, char **argv) {
  check_names();
  if (argc > 1) check_expected(argv + 1);
  const char *level, *before = NULL;
  for (size_t i = 0; (level = gust_kernels_level(i)) != NULL; before = level, i++) {
    CHECK(rank_of(level) < KNOWN);
    CHECK(before ? rank_of(level) > rank_of(before) : rank_of(level) == 0);
  }
  gust_kernels kernels;
  for (size_t i = 0; i < KNOWN; i++)
    if (CHECK(gust_kernels_select(&kernels, known[i]))) {
      CHECK_EQ_STR(kernels.level, best_up_to(i));
      check_entries(&kernels);
    }
  CHECK(gust_kernels_select(&kernels, NULL));
  CHECK_EQ_STR(kernels.level, before);
  CHECK(!gust_kernels_select(&kernels, "mmx"));
  CHECK(!gust_kernels_select(&kernels, ""));
  return check_finish();
}

/* What the system tells about the machine: cores by kind, memory, pages. */
#ifndef GUST_BENCH_MACHINE_FACTS_H
#define GUST_BENCH_MACHINE_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum huge_page_policy {
  HUGE_PAGES_UNKNOWN,
  HUGE_PAGES_ALWAYS,
  HUGE_PAGES_MADVISE, /* for those who ask, as gust does */
  HUGE_PAGES_NEVER
} huge_page_policy;

/* Zero, HUGE_PAGES_UNKNOWN: the system does not tell. */
typedef struct machine_facts {
  unsigned cpus;              /* logical ones */
  unsigned performance_cores; /* physical ones; all of them where there is one kind */
  unsigned efficiency_cores;
  uint64_t memory_total, memory_available; /* bytes */
  uint64_t page_bytes, huge_page_bytes;
  huge_page_policy huge_pages;
  bool virtual_machine; /* known to be one */
} machine_facts;

/* Linux's files below `root` ("" is the machine itself): /proc/meminfo and
 * cpuinfo, /sys/devices and /sys/kernel/mm. What is not there stays zero. Kinds of
 * cores are what the kernel calls cpu_core and cpu_atom; else, by capacity or by
 * highest frequency, whatever has less than four fifths of the best. */
void machine_facts_read(machine_facts *facts, const char *root);

/* This machine, also where there are no such files. */
void machine_facts_here(machine_facts *facts);

/* "always", "madvise", "never"; NULL for unknown. */
const char *huge_page_policy_name(huge_page_policy policy);

/* How many of the bytes of the mappings that touch [begin, begin + bytes) lie in
 * huge pages, by /proc/self/smaps below `root`; false when it does not tell. */
bool machine_huge_bytes(uint64_t *huge, const char *root, uintptr_t begin, size_t bytes);

#endif

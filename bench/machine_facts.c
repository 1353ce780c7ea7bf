#include "machine_facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __APPLE__
#include <sys/sysctl.h>
#endif

#include "os.h"

#define PATH_BYTES 512
#define MOST_CPUS 4096u

/* --- small files ------------------------------------------------------------------------ */

static FILE *open_below(const char *root, const char *path) {
  char whole[PATH_BYTES];
  int n = snprintf(whole, sizeof whole, "%s%s", root, path);
  return n > 0 && (size_t)n < sizeof whole ? fopen(whole, "r") : NULL;
}

/* The first line, without its end. */
static bool read_line(const char *root, const char *path, char *line, size_t bytes) {
  FILE *file = open_below(root, path);
  if (!file) return false;
  bool found = fgets(line, (int)bytes, file) != NULL;
  fclose(file);
  if (found) line[strcspn(line, "\n")] = 0;
  return found;
}

/* 0 when there is none. */
static uint64_t read_number(const char *root, const char *path) {
  char line[64];
  return read_line(root, path, line, sizeof line) ? strtoull(line, NULL, 10) : 0;
}

/* What follows "key:" in the first line that begins so. */
static bool find_value(const char *root, const char *path, const char *key, char *value,
                       size_t bytes) {
  FILE *file = open_below(root, path);
  if (!file) return false;
  char line[8192];
  bool found = false;
  while (!found && fgets(line, sizeof line, file)) {
    const char *colon = strchr(line, ':');
    size_t length = strlen(key);
    found = colon && strncmp(line, key, length) == 0 &&
            strspn(line + length, " \t") == (size_t)(colon - line) - length;
    if (found) snprintf(value, bytes, "%s", colon + 1);
  }
  fclose(file);
  return found;
}

/* --- cores ------------------------------------------------------------------------------- */

/* A set of CPUs as Linux writes it: "0-3,8". */
typedef struct cpu_list {
  bool has[MOST_CPUS];
} cpu_list;

static bool read_cpus(const char *root, const char *path, cpu_list *list) {
  char line[4096];
  memset(list, 0, sizeof *list);
  if (!read_line(root, path, line, sizeof line)) return false;
  for (char *at = line; *at >= '0' && *at <= '9';) {
    unsigned long first = strtoul(at, &at, 10), last = first;
    if (*at == '-') last = strtoul(at + 1, &at, 10);
    for (unsigned long cpu = first; cpu <= last && cpu < MOST_CPUS; cpu++) list->has[cpu] = true;
    if (*at == ',') at++;
  }
  return true;
}

static uint64_t read_of_cpu(const char *root, unsigned cpu, const char *name) {
  char path[PATH_BYTES];
  snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/%s", cpu, name);
  return read_number(root, path);
}

/* Whether it is the first CPU of its core. */
static bool leads_core(const char *root, unsigned cpu) {
  char path[PATH_BYTES], line[64];
  snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/topology/thread_siblings_list", cpu);
  if (!read_line(root, path, line, sizeof line) || *line < '0' || *line > '9') return true;
  return strtoul(line, NULL, 10) == cpu;
}

/* How much a CPU can do, in some unit of its machine; 0: unknown. */
static uint64_t strength_of(const char *root, unsigned cpu) {
  uint64_t capacity = read_of_cpu(root, cpu, "cpu_capacity");
  return capacity ? capacity : read_of_cpu(root, cpu, "cpufreq/cpuinfo_max_freq");
}

/* Neighbouring cores may differ by a few percent in the frequency they may reach
 * without being of another kind. */
static void mark_weak(const char *root, const cpu_list *online, cpu_list *weak) {
  uint64_t best = 0;
  memset(weak, 0, sizeof *weak);
  for (unsigned cpu = 0; cpu < MOST_CPUS; cpu++) {
    uint64_t strength = online->has[cpu] ? strength_of(root, cpu) : 0;
    if (strength > best) best = strength;
  }
  for (unsigned cpu = 0; cpu < MOST_CPUS && best; cpu++) {
    uint64_t strength = online->has[cpu] ? strength_of(root, cpu) : 0;
    weak->has[cpu] = strength && strength < best / 5 * 4;
  }
}

static void read_cores(machine_facts *facts, const char *root) {
  cpu_list online, weak, strong;
  if (!read_cpus(root, "/sys/devices/system/cpu/online", &online)) return;
  bool named = read_cpus(root, "/sys/devices/cpu_core/cpus", &strong) &&
               read_cpus(root, "/sys/devices/cpu_atom/cpus", &weak);
  if (!named) mark_weak(root, &online, &weak);
  for (unsigned cpu = 0; cpu < MOST_CPUS; cpu++) {
    if (!online.has[cpu]) continue;
    facts->cpus++;
    if (!leads_core(root, cpu)) continue;
    if (weak.has[cpu])
      facts->efficiency_cores++;
    else
      facts->performance_cores++;
  }
}

/* --- memory ------------------------------------------------------------------------------- */

static uint64_t read_meminfo(const char *root, const char *key) {
  char value[64];
  if (!find_value(root, "/proc/meminfo", key, value, sizeof value)) return 0;
  return strtoull(value, NULL, 10) * 1024;
}

static huge_page_policy read_policy(const char *root) {
  char line[128];
  if (!read_line(root, "/sys/kernel/mm/transparent_hugepage/enabled", line, sizeof line))
    return HUGE_PAGES_UNKNOWN;
  if (strstr(line, "[always]")) return HUGE_PAGES_ALWAYS;
  if (strstr(line, "[madvise]")) return HUGE_PAGES_MADVISE;
  return strstr(line, "[never]") ? HUGE_PAGES_NEVER : HUGE_PAGES_UNKNOWN;
}

const char *huge_page_policy_name(huge_page_policy policy) {
  static const char *const names[] = {NULL, "always", "madvise", "never"};
  return names[policy];
}

bool machine_huge_bytes(uint64_t *huge, const char *root, uintptr_t begin, size_t bytes) {
  FILE *file = open_below(root, "/proc/self/smaps");
  if (!file) return false;
  char line[512];
  bool inside = false, found = false;
  *huge = 0;
  while (fgets(line, sizeof line, file)) {
    unsigned long long from, to, kilobytes;
    char blank;
    if (sscanf(line, "%llx-%llx%c", &from, &to, &blank) == 3 && blank == ' ')
      inside = from < (unsigned long long)begin + bytes && to > begin;
    if (!inside || sscanf(line, "AnonHugePages: %llu kB", &kilobytes) != 1) continue;
    *huge += kilobytes * 1024;
    found = true;
  }
  fclose(file);
  return found;
}

/* --- all of it ------------------------------------------------------------------------------ */

void machine_facts_read(machine_facts *facts, const char *root) {
  char flags[8192];
  memset(facts, 0, sizeof *facts);
  read_cores(facts, root);
  facts->memory_total = read_meminfo(root, "MemTotal");
  facts->memory_available = read_meminfo(root, "MemAvailable");
  facts->huge_pages = read_policy(root);
  facts->huge_page_bytes = read_number(root, "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size");
  facts->virtual_machine = find_value(root, "/proc/cpuinfo", "flags", flags, sizeof flags) &&
                           strstr(flags, " hypervisor ") != NULL;
}

#ifdef __APPLE__
static uint64_t read_sysctl(const char *name) {
  uint64_t value = 0; /* little-endian: right for 32-bit values as well */
  size_t bytes = sizeof value;
  return sysctlbyname(name, &value, &bytes, NULL, 0) == 0 ? value : 0;
}

static void read_system(machine_facts *facts) {
  facts->cpus = (unsigned)read_sysctl("hw.logicalcpu");
  facts->performance_cores = (unsigned)read_sysctl("hw.perflevel0.physicalcpu");
  facts->efficiency_cores = (unsigned)read_sysctl("hw.perflevel1.physicalcpu");
  facts->memory_total = read_sysctl("hw.memsize");
  facts->virtual_machine = read_sysctl("kern.hv_vmm_present") != 0;
}
#else
static void read_system(machine_facts *facts) {
  machine_facts_read(facts, "");
}
#endif

void machine_facts_here(machine_facts *facts) {
  memset(facts, 0, sizeof *facts);
  read_system(facts);
  /* It also knows the limits of a container. */
  uint64_t available = os_available_memory();
  if (available) facts->memory_available = available;
  facts->page_bytes = os_page_bytes();
  if (facts->cpus == 0) facts->cpus = os_processors();
  if (facts->memory_total == 0) facts->memory_total = os_total_memory();
  if (facts->performance_cores == 0) {
    facts->performance_cores = os_physical_cores();
    facts->efficiency_cores = 0;
  }
}

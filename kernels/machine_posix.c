/* os.h on POSIX systems: what the machine has, and what the container, control groups and
 * limits around this process leave it of that. */
#define _GNU_SOURCE

#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __linux__
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#endif
#ifdef __APPLE__
#include <mach/mach.h>
#include <sys/sysctl.h>
#endif
#ifdef GUST_HAVE_HWLOC
#include <hwloc.h>
#endif

/* --- what Linux tells in files ----------------------------------------------------- */

#ifdef __linux__

/* The first bytes of a small file as a string; false when there is none. */
static bool read_text(const char *path, char *text, size_t capacity) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  size_t have = 0;
  while (have < capacity - 1) {
    ssize_t n = read(fd, text + have, capacity - 1 - have);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    have += (size_t)n;
  }
  close(fd);
  text[have] = 0;
  return have > 0;
}

static bool read_in(const char *folder, const char *name, char *text, size_t capacity) {
  char path[PATH_MAX];
  int n = snprintf(path, sizeof path, "%s/%s", folder, name);
  return n > 0 && (size_t)n < sizeof path && read_text(path, text, capacity);
}

/* The number after `key` at the beginning of a line; 0 when there is none. */
static uint64_t number_after(const char *text, const char *key) {
  size_t bytes = strlen(key);
  for (const char *line = text; line; line = strchr(line, '\n')) {
    line += *line == '\n';
    if (strncmp(line, key, bytes) == 0 && (line[bytes] == ' ' || line[bytes] == ':'))
      return strtoull(line + bytes + 1, NULL, 10);
  }
  return 0;
}

/* --- control groups ---------------------------------------------------------------- */

/* What one control group leaves us of something; UINT64_MAX: it sets no limit. */
typedef uint64_t group_limit_fn(const char *folder, bool v2);

/* The number in a file of the group's; UINT64_MAX where there is none. */
static uint64_t group_number(const char *folder, const char *name) {
  char text[64];
  if (!read_in(folder, name, text, sizeof text) || *text < '0' || *text > '9') return UINT64_MAX;
  return strtoull(text, NULL, 10);
}

static uint64_t group_memory(const char *folder, bool v2) {
  char text[64], stat[16384];
  uint64_t limit = group_number(folder, v2 ? "memory.max" : "memory.limit_in_bytes");
  if (v2) { /* above this one processes are held up while their pages are taken away */
    uint64_t high = group_number(folder, "memory.high");
    if (high < limit) limit = high;
  }
  if (limit >= INT64_MAX / 2) return UINT64_MAX; /* the first version's way to say none */
  if (!read_in(folder, v2 ? "memory.current" : "memory.usage_in_bytes", text, sizeof text))
    return limit;
  uint64_t used = strtoull(text, NULL, 10);
  /* Cached file pages count as used but give way. */
  if (read_in(folder, "memory.stat", stat, sizeof stat)) {
    uint64_t cached = number_after(stat, v2 ? "inactive_file" : "total_inactive_file") +
                      number_after(stat, v2 ? "active_file" : "total_active_file");
    used -= cached < used ? cached : used;
  }
  return used < limit ? limit - used : 0;
}

/* The first version limits memory and swap together: nothing is counted there. */
static uint64_t group_swap(const char *folder, bool v2) {
  char text[64];
  if (!v2) return 0;
  uint64_t limit = group_number(folder, "memory.swap.max");
  if (limit == UINT64_MAX) return limit;
  if (!read_in(folder, "memory.swap.current", text, sizeof text)) return limit;
  uint64_t used = strtoull(text, NULL, 10);
  return used < limit ? limit - used : 0;
}

static uint64_t group_cores(const char *folder, bool v2) {
  char text[64];
  long long quota = 0, period = 0;
  if (v2) {
    if (!read_in(folder, "cpu.max", text, sizeof text) ||
        sscanf(text, "%lld %lld", &quota, &period) != 2)
      return UINT64_MAX; /* "max 100000" */
  } else {
    if (!read_in(folder, "cpu.cfs_quota_us", text, sizeof text)) return UINT64_MAX;
    quota = strtoll(text, NULL, 10);
    if (!read_in(folder, "cpu.cfs_period_us", text, sizeof text)) return UINT64_MAX;
    period = strtoll(text, NULL, 10);
  }
  if (quota <= 0 || period <= 0) return UINT64_MAX;
  return (uint64_t)(quota / period + (quota % period != 0));
}

/* This process's group below the controller's mount, from /proc/self/cgroup:
 * lines "4:memory:/path" of the first version, "0::/path" of the second. */
static bool find_group(const char *controller, char *path, size_t capacity, bool *v2) {
  char text[8192];
  if (!read_text("/proc/self/cgroup", text, sizeof text)) return false;
  bool found = false;
  char *next = NULL;
  for (char *line = strtok_r(text, "\n", &next); line; line = strtok_r(NULL, "\n", &next)) {
    char *names = strchr(line, ':'), *where = names ? strchr(names + 1, ':') : NULL;
    if (!where) continue;
    *where++ = 0;
    names++;
    bool unified = *names == 0, mine = false;
    for (char *end = NULL, *name = strtok_r(names, ",", &end); name;
         name = strtok_r(NULL, ",", &end))
      mine = mine || strcmp(name, controller) == 0;
    if (!mine && (!unified || found)) continue;
    if (strlen(where) >= capacity) continue;
    memcpy(path, where, strlen(where) + 1);
    *v2 = unified;
    found = true;
    if (mine) break; /* with both versions mounted, the first one rules */
  }
  return found;
}

/* The least that the process's group and those around it leave. In a container
 * the path may name groups that cannot be seen: they are passed over. */
static uint64_t least_in_groups(const char *controller, group_limit_fn *limit) {
  char group[PATH_MAX / 2], folder[PATH_MAX];
  bool v2 = false;
  if (!find_group(controller, group, sizeof group, &v2)) return UINT64_MAX;
  int root =
      snprintf(folder, sizeof folder, "/sys/fs/cgroup%s%s", v2 ? "" : "/", v2 ? "" : controller);
  if (root <= 0 || (size_t)root >= sizeof folder - sizeof group) return UINT64_MAX;
  memcpy(folder + root, group, strlen(group) + 1);
  uint64_t least = UINT64_MAX;
  for (;;) {
    uint64_t left = limit(folder, v2);
    if (left < least) least = left;
    if (strlen(folder) <= (size_t)root) return least;
    *strrchr(folder, '/') = 0;
  }
}

#endif

/* --- processors -------------------------------------------------------------------- */

#ifdef __linux__

/* The lowest-numbered of the CPUs that share a core with `cpu`. */
static unsigned first_sibling(unsigned cpu) {
  char path[96], text[64];
  snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/topology/thread_siblings_list", cpu);
  if (!read_text(path, text, sizeof text) || *text < '0' || *text > '9') return cpu;
  return (unsigned)strtoul(text, NULL, 10);
}

/* Cores this thread may run on; 0 when the system does not say. */
static unsigned affinity_cores(void) {
  unsigned cores = 0;
  for (unsigned cpus = 1024; cpus <= 1u << 20; cpus *= 4) {
    cpu_set_t *allowed = CPU_ALLOC(cpus), *counted = CPU_ALLOC(cpus);
    size_t bytes = CPU_ALLOC_SIZE(cpus);
    bool known = allowed && counted && sched_getaffinity(0, bytes, allowed) == 0;
    bool larger = !known && errno == EINVAL; /* the kernel's set does not fit */
    if (known) {
      CPU_ZERO_S(bytes, counted);
      for (unsigned cpu = 0; cpu < cpus; cpu++) {
        if (!CPU_ISSET_S(cpu, bytes, allowed)) continue;
        unsigned first = first_sibling(cpu);
        if (first >= cpus) first = cpu;
        CPU_SET_S(first, bytes, counted);
      }
      cores = (unsigned)CPU_COUNT_S(bytes, counted);
    }
    if (allowed) CPU_FREE(allowed);
    if (counted) CPU_FREE(counted);
    if (!larger) break;
  }
  return cores;
}

#endif

#ifdef GUST_HAVE_HWLOC

static unsigned hwloc_cores(void) {
  hwloc_topology_t topology;
  if (hwloc_topology_init(&topology) != 0) return 0;
  /* Cores are all we ask for: looking at nothing else makes loading faster. */
  hwloc_topology_set_all_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_NONE);
  hwloc_topology_set_type_filter(topology, HWLOC_OBJ_CORE, HWLOC_TYPE_FILTER_KEEP_ALL);
  unsigned cores = 0;
  hwloc_bitmap_t mine = hwloc_bitmap_alloc();
  if (mine && hwloc_topology_load(topology) == 0) {
    if (hwloc_get_cpubind(topology, mine, HWLOC_CPUBIND_THREAD) != 0) hwloc_bitmap_fill(mine);
    hwloc_obj_t core = NULL;
    while ((core = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_CORE, core)) != NULL)
      cores += hwloc_bitmap_intersects(core->cpuset, mine) ? 1 : 0;
  }
  hwloc_bitmap_free(mine);
  hwloc_topology_destroy(topology);
  return cores;
}

#endif

static unsigned machine_cores(void) {
  unsigned cores = 0;
#ifdef GUST_HAVE_HWLOC
  cores = hwloc_cores();
  if (cores) return cores;
#endif
#if defined(__linux__)
  cores = affinity_cores();
#elif defined(__APPLE__)
  int count = 0;
  size_t bytes = sizeof count;
  if (sysctlbyname("hw.physicalcpu", &count, &bytes, NULL, 0) == 0 && count > 0)
    cores = (unsigned)count;
#endif
  if (cores) return cores;
  unsigned processors = os_processors();
  return processors ? processors : 1;
}

unsigned os_processors(void) {
  long online = sysconf(_SC_NPROCESSORS_ONLN);
  return online > 0 ? (unsigned)online : 0;
}

unsigned os_physical_cores(void) {
  unsigned cores = machine_cores();
#ifdef __linux__
  uint64_t quota = least_in_groups("cpu", group_cores);
  if (quota < cores) cores = (unsigned)quota;
#endif
  return cores;
}

/* Tiles are state of 8 KiB a thread; Linux saves it for processes that asked. */
bool os_enable_tiles(void) {
#if defined(__linux__) && defined(__x86_64__) && defined(SYS_arch_prctl)
  const long request_permission = 0x1023, tile_data = 18; /* ARCH_REQ_XCOMP_PERM */
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
#else
  return false;
#endif
}

/* --- memory ------------------------------------------------------------------------ */

#ifdef __linux__

/* What the limit on this process's address space (ulimit -v) leaves. */
static uint64_t address_space_left(void) {
  struct rlimit limit;
  char text[256];
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
      !read_text("/proc/self/statm", text, sizeof text))
    return UINT64_MAX;
  uint64_t used = strtoull(text, NULL, 10) * os_page_bytes();
  return used < limit.rlim_cur ? limit.rlim_cur - used : 0;
}

/* What the machine and every limit around this process leave. */
static uint64_t memory_left(bool with_swap) {
  char text[8192];
  if (!read_text("/proc/meminfo", text, sizeof text)) return 0;
  uint64_t available = number_after(text, "MemAvailable") * 1024;
  if (available == 0) return 0;
  uint64_t swap = with_swap ? number_after(text, "SwapFree") * 1024 : 0;
  uint64_t group = least_in_groups("memory", group_memory), own = address_space_left();
  uint64_t swap_of_group = swap ? least_in_groups("memory", group_swap) : 0;
  if (swap_of_group > swap) swap_of_group = swap;
  available += swap;
  if (group < available && group + swap_of_group < available) available = group + swap_of_group;
  if (own < available) available = own;
  return available ? available : 1; /* none is not unknown */
}
#endif

uint64_t os_available_with_swap(void) {
#ifdef __linux__
  return memory_left(true);
#else
  return os_available_memory(); /* macOS makes its swap as it needs it, and does not say */
#endif
}

uint64_t os_available_memory(void) {
#if defined(__linux__)
  return memory_left(false);
#elif defined(__APPLE__)
  vm_statistics64_data_t vm;
  mach_msg_type_number_t count = HOST_VM_INFO64_COUNT;
  mach_port_t host = mach_host_self();
  kern_return_t result = host_statistics64(host, HOST_VM_INFO64, (host_info64_t)&vm, &count);
  mach_port_deallocate(mach_task_self(), host);
  if (result != KERN_SUCCESS) return 0;
  /* Pages of files and what programs may lose give way without swapping. What was read
   * ahead of a file is among the free ones as well. */
  uint64_t pages = (uint64_t)vm.free_count + vm.external_page_count + vm.purgeable_count;
  return (pages - vm.speculative_count) * os_page_bytes();
#else
  return 0;
#endif
}

uint64_t os_total_memory(void) {
  long pages = 0;
#ifdef _SC_PHYS_PAGES
  pages = sysconf(_SC_PHYS_PAGES);
#endif
  return pages > 0 ? (uint64_t)pages * os_page_bytes() : 0;
}

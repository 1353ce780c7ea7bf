/* How much memory and how many cores the control groups around a process leave it, and
 * that a context keeps within that: this program's own open leads to files of the test's
 * instead of those in which Linux tells. Both versions of control groups. */
#define _GNU_SOURCE /* syscall */
#define _FILE_OFFSET_BITS 64

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "demo_model.h"
#include "os.h"

#if !defined(__linux__) || !defined(__LP64__)
int main(void) {
  CHECK_SKIP("needs the system calls of 64-bit Linux");
}
#else

#include <sys/syscall.h>
#include <unistd.h>

#include "own_open.h"

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

/* --- the stand-in ------------------------------------------------------------------------ */

static const char *root; /* the folder in which the files lie; NULL: the system's */

static bool is_ours(const char *path) {
  static const char *const places[] = {"/proc/self/cgroup", "/proc/meminfo", "/sys/fs/cgroup/"};
  for (size_t i = 0; root && i < sizeof places / sizeof *places; i++)
    if (strncmp(path, places[i], strlen(places[i])) == 0) return true;
  return false;
}

static int own_open_file(const char *path, int flags, unsigned mode) {
  char moved[4096];
  if (is_ours(path)) {
    snprintf(moved, sizeof moved, "%s%s", root, path);
    path = moved;
  }
  return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

/* --- the files ---------------------------------------------------------------------------- */

static void put(const char *name, const char *text) {
  char path[2048];
  int bytes = snprintf(path, sizeof path, "%s%s", root, name);
  if (bytes <= 0 || (size_t)bytes >= sizeof path) check_fatal("too long", name);
  for (char *slash = path + strlen(root) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
    *slash = 0;
    os_make_folder(path);
    *slash = '/';
  }
  check_write_file(path, text, strlen(text));
}

static void put_number(const char *name, uint64_t number) {
  char text[32];
  snprintf(text, sizeof text, "%llu\n", (unsigned long long)number);
  put(name, text);
}

/* A fresh machine of 8 GiB to be had and 4 GiB of swap, and the groups this process is in. */
static void begin(const char *name, const char *groups) {
  root = check_temp_file(name);
  if (!os_make_folder(root)) check_fatal("cannot make", root);
  put("/proc/meminfo",
      "MemTotal: 16777216 kB\nMemFree: 1 kB\nMemAvailable: 8388608 kB\n"
      "SwapTotal: 9 kB\nSwapFree: 4194304 kB\n");
  put("/proc/self/cgroup", groups);
}

static void check_left(uint64_t memory, uint64_t with_swap, int line) {
  bool same = CHECK_EQ_INT(os_available_memory(), memory);
  if (!CHECK_EQ_INT(os_available_with_swap(), with_swap) || !same) printf("  at line %d\n", line);
}

#define CHECK_LEFT(memory, with_swap) check_left(memory, with_swap, __LINE__)

/* --- memory -------------------------------------------------------------------------------- */

#define A "/sys/fs/cgroup/a"
#define B A "/b"

static void second_version(void) {
  begin("v2", "0::/a/b\n");
  CHECK_LEFT(8 * GIB, 12 * GIB); /* groups that cannot be seen */
  put(B "/memory.max", "max\n");
  put(B "/memory.current", "5\n");
  CHECK_LEFT(8 * GIB, 12 * GIB);
  put_number(B "/memory.max", GIB);
  put_number(B "/memory.current", 300 * MIB);
  CHECK_LEFT(724 * MIB, 724 * MIB + 4 * GIB); /* of swap it says nothing */
  put(B "/memory.stat",
      "anon 7\nactive_file_not 99\ninactive_file 104857600\nactive_file 52428800\n");
  CHECK_LEFT(874 * MIB, 874 * MIB + 4 * GIB); /* cached pages give way */
  put_number(B "/memory.swap.max", GIB);
  CHECK_LEFT(874 * MIB, 874 * MIB + GIB);
  put_number(B "/memory.swap.current", 1000 * MIB);
  CHECK_LEFT(874 * MIB, 898 * MIB);
  put(B "/memory.swap.max", "max\n");
  CHECK_LEFT(874 * MIB, 874 * MIB + 4 * GIB);
  put(B "/memory.swap.max", "0\n");
  CHECK_LEFT(874 * MIB, 874 * MIB);
  /* The lower limit of the two rules, where there is one. */
  put_number(B "/memory.high", 800 * MIB);
  CHECK_LEFT(650 * MIB, 650 * MIB);
  put(B "/memory.max", "max\n");
  CHECK_LEFT(650 * MIB, 650 * MIB);
  put_number(B "/memory.max", 700 * MIB);
  CHECK_LEFT(550 * MIB, 550 * MIB);
  put(B "/memory.high", "max\n");
  put_number(B "/memory.max", GIB);
  CHECK_LEFT(874 * MIB, 874 * MIB);
  /* Groups around it count as well, the outermost too. */
  put_number(A "/memory.max", 512 * MIB);
  put_number(A "/memory.current", 500 * MIB);
  CHECK_LEFT(12 * MIB, 12 * MIB);
  put_number("/sys/fs/cgroup/memory.max", 5 * MIB);
  CHECK_LEFT(5 * MIB, 5 * MIB);
  /* Nothing left is not unknown. */
  put_number(B "/memory.current", 3 * GIB);
  CHECK_LEFT(1, 1);
}

static void first_version(void) {
#define MEMORY "/sys/fs/cgroup/memory"
  begin("v1", "12:pids:/x\n9:cpu,memory:/x/y\n0::/elsewhere\n");
  put(MEMORY "/x/y/memory.limit_in_bytes", "9223372036854771712\n"); /* none */
  put_number("/sys/fs/cgroup/elsewhere/memory.max", MIB); /* the other version does not rule */
  CHECK_LEFT(8 * GIB, 12 * GIB);
  put_number(MEMORY "/x/y/memory.limit_in_bytes", GIB);
  CHECK_LEFT(GIB, GIB); /* it limits memory and swap together */
  put_number(MEMORY "/x/y/memory.usage_in_bytes", 600 * MIB);
  put(MEMORY "/x/y/memory.stat",
      "inactive_file 9\ntotal_inactive_file 104857600\n"
      "total_active_file 1048576\n");
  CHECK_LEFT(525 * MIB, 525 * MIB);
  put("/proc/self/cgroup", "0::/elsewhere\n9:memory:/x/y\n"); /* in whatever order */
  CHECK_LEFT(525 * MIB, 525 * MIB);
  put_number(MEMORY "/memory.limit_in_bytes", 100 * MIB);
  put_number(MEMORY "/memory.usage_in_bytes", 99 * MIB);
  CHECK_LEFT(MIB, MIB);
}

/* What no kernel writes is no limit; what is missing neither. */
static void odd_files(void) {
  begin("odd", "nonsense\n::\n0:/no\n3:memoryx,xmemory:/a\n0::/a/b\n");
  CHECK_LEFT(8 * GIB, 12 * GIB);
  put(B "/memory.max", "");
  CHECK_LEFT(8 * GIB, 12 * GIB);
  put(B "/memory.max", "-1\n");
  CHECK_LEFT(8 * GIB, 12 * GIB);
  put(B "/memory.max", "99999999999999999999999999\n");
  CHECK_LEFT(8 * GIB, 12 * GIB);
  static char longest[4000] = "0::/";
  memset(longest + 4, 'a', sizeof longest - 6);
  longest[sizeof longest - 2] = '\n';
  put("/proc/self/cgroup", longest);
  CHECK_LEFT(8 * GIB, 12 * GIB);
  put("/proc/self/cgroup", "");
  CHECK_LEFT(8 * GIB, 12 * GIB);
  put("/proc/meminfo", "MemTotal: 1 kB\n"); /* a kernel that does not say */
  CHECK_LEFT(0, 0);
}

/* --- cores ---------------------------------------------------------------------------------- */

static void check_cores(void) {
  begin("cores2", "0::/a/b\n");
  const unsigned all = os_physical_cores(), two = all < 2 ? all : 2;
  put(B "/cpu.max", "max 100000\n");
  CHECK_EQ_INT(os_physical_cores(), all);
  put(B "/cpu.max", "100001 100000\n"); /* a core and a bit of another */
  CHECK_EQ_INT(os_physical_cores(), two);
  put(A "/cpu.max", "20000 100000\n");
  CHECK_EQ_INT(os_physical_cores(), 1);
  put(A "/cpu.max", "0 0\n");
  CHECK_EQ_INT(os_physical_cores(), two);
#define CPU "/sys/fs/cgroup/cpu/x"
  begin("cores1", "4:cpu,cpuacct:/x\n0::/a\n");
  put(A "/cpu.max", "100000 100000\n");
  put(CPU "/cpu.cfs_quota_us", "-1\n");
  put(CPU "/cpu.cfs_period_us", "100000\n");
  CHECK_EQ_INT(os_physical_cores(), all);
  put(CPU "/cpu.cfs_quota_us", "50000\n");
  CHECK_EQ_INT(os_physical_cores(), 1);
}

/* --- a context -------------------------------------------------------------------------------- */

/* Refused by what the group leaves, with that figure. */
static void check_context(void) {
  const gust_context_options large = {.positions = (size_t)1 << 24, .threads = 1};
  gust_model *model = demo_model_open("q4");
  gust_context *context;
  gust_context_memory memory;
  gust_error err;
  char words[256];
  begin("context", "0::/a\n");
  put_number(A "/memory.max", 50 * MIB);
  put_number(A "/memory.current", 20 * MIB);
  put(A "/memory.swap.max", "0\n");
  CHECK_EQ_INT(gust_context_measure(model, &large, &memory, &err), GUST_OK);
  CHECK_EQ_INT(memory.available, 30 * MIB);
  CHECK(memory.most > 0 && memory.most < large.positions);
  CHECK_EQ_INT(gust_context_create(&context, model, &large, &err), GUST_E_MEMORY);
  snprintf(words, sizeof words, ", found 31457280; at most %zu positions fit, ", memory.most);
  CHECK_CONTAINS(err.text, words);
  const gust_context_options fitting = {.positions = memory.most, .threads = 1};
  CHECK_EQ_INT(gust_context_create(&context, model, &fitting, &err), GUST_OK);
  gust_context_destroy(context);
  gust_model_close(model);
}

int main(void) {
  second_version();
  first_version();
  odd_files();
  check_cores();
  check_context();
  return check_finish();
}
#endif

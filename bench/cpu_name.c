#include "cpu_name.h"

#include <stdio.h>
#include <string.h>

/* x86 processors hold their name; it is the same text everywhere. On Arm it is
 * the system's to tell. */
#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif

#if defined(__x86_64__) || defined(__i386__)
static void read_name(char text[CPU_NAME_BYTES]) {
  unsigned words[12];
  for (unsigned i = 0; i < 3; i++) {
    unsigned *w = words + (size_t)4 * i;
    if (!__get_cpuid(0x80000002u + i, &w[0], &w[1], &w[2], &w[3])) return;
  }
  memcpy(text, words, sizeof words);
  text[sizeof words] = 0;
}
#elif defined(__APPLE__)
static void read_name(char text[CPU_NAME_BYTES]) {
  size_t bytes = CPU_NAME_BYTES;
  if (sysctlbyname("machdep.cpu.brand_string", text, &bytes, NULL, 0) != 0) *text = 0;
}
#else
/* The value of the first line that begins with `key`. */
static void read_line(char text[CPU_NAME_BYTES], const char *path, const char *key) {
  FILE *file = fopen(path, "r");
  if (!file) return;
  char line[256];
  while (!*text && fgets(line, sizeof line, file)) {
    const char *value = strchr(line, ':');
    if (value && strncmp(line, key, strlen(key)) == 0)
      snprintf(text, CPU_NAME_BYTES, "%.*s", CPU_NAME_BYTES - 1, value + 1);
  }
  fclose(file);
}
/* 64-bit Arm has no such lines: the name of the board, where firmware tells it, */
static void read_board(char text[CPU_NAME_BYTES]) {
  FILE *file = fopen("/sys/firmware/devicetree/base/model", "r");
  if (!file) return;
  text[fread(text, 1, CPU_NAME_BYTES - 1, file)] = 0;
  fclose(file);
}
/* and on servers the numbers of the core's maker and of its design. */
static void read_part(char text[CPU_NAME_BYTES]) {
  char implementer[CPU_NAME_BYTES] = "", part[CPU_NAME_BYTES] = "";
  read_line(implementer, "/proc/cpuinfo", "CPU implementer");
  read_line(part, "/proc/cpuinfo", "CPU part");
  if (*implementer && *part)
    snprintf(text, CPU_NAME_BYTES, "CPU implementer %.16s part %.16s", implementer, part);
}
static void read_name(char text[CPU_NAME_BYTES]) {
  static const char *const keys[] = {"model name", "Model", "Hardware"};
  for (size_t i = 0; i < sizeof keys / sizeof *keys && !*text; i++)
    read_line(text, "/proc/cpuinfo", keys[i]);
  if (!*text) read_board(text);
  if (!*text) read_part(text);
}
#endif

/* Blanks at the ends go, runs of them become one; anything odd becomes '?'. */
static void tidy(char *text) {
  char *to = text;
  for (const char *from = text; *from; from++) {
    char c = *from == '\n' || *from == '\t' ? ' ' : *from;
    if (c < 0x20 || c > 0x7e) c = '?';
    if (c == ' ' && (to == text || to[-1] == ' ')) continue;
    *to++ = c;
  }
  if (to > text && to[-1] == ' ') to--;
  *to = 0;
}

char *cpu_name(char text[CPU_NAME_BYTES]) {
  *text = 0;
  read_name(text);
  tidy(text);
  if (!*text) snprintf(text, CPU_NAME_BYTES, "unknown");
  return text;
}

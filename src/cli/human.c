#include "human.h"

#include <stdio.h>
#include <string.h>

#include "os.h"

char *human_bytes(char text[HUMAN_BYTES], double bytes) {
  static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  size_t unit = 0;
  /* 999.5 would be rounded to four digits. */
  while (bytes >= 999.5 && unit + 1 < sizeof units / sizeof *units) {
    bytes /= 1000;
    unit++;
  }
  int decimals = unit == 0 || bytes >= 99.95 ? 0 : bytes >= 9.995 ? 1 : 2;
  snprintf(text, HUMAN_BYTES, "%.*f %s", decimals, bytes, units[unit]);
  return text;
}

char *human_duration(char text[HUMAN_BYTES], double seconds) {
  if (!(seconds >= 0 && seconds < 99 * 3600)) {
    snprintf(text, HUMAN_BYTES, "--:--");
    return text;
  }
  unsigned whole = (unsigned)(seconds + 0.5);
  if (whole >= 3600) {
    snprintf(text, HUMAN_BYTES, "%u:%02u:%02u", whole / 3600, whole / 60 % 60, whole % 60);
  } else {
    snprintf(text, HUMAN_BYTES, "%u:%02u", whole / 60, whole % 60);
  }
  return text;
}

char *human_count(char text[HUMAN_BYTES], uint64_t count) {
  char digits[HUMAN_BYTES];
  int length = snprintf(digits, sizeof digits, "%llu", (unsigned long long)count);
  char *end = text;
  for (int i = 0; i < length; i++) {
    if (i > 0 && (length - i) % 3 == 0) *end++ = ',';
    *end++ = digits[i];
  }
  *end = 0;
  return text;
}

const char *human_file_name(const char *path) {
  const char *name = os_file_name(path);
  return *name ? name : path;
}

#include "progress.h"

#include <stdio.h>
#include <string.h>

#include "human.h"
#include "interrupt.h"
#include "os.h"
#include "terminal.h"

#define SILENT_NS 500000000u
#define INTERVAL_NS 100000000u
#define BAR_COLUMNS 40u

void progress_begin(progress_line *progress, const char *label, progress_unit unit, bool quiet) {
  memset(progress, 0, sizeof *progress);
  progress->label = label;
  progress->unit = unit;
  progress->shown = !quiet && terminal_is(stderr);
  progress->begun_ns = os_now_ns();
}

size_t progress_format(char *line, size_t size, unsigned columns, const char *label,
                       progress_unit unit, uint64_t done, uint64_t total, double seconds) {
  char left[96], right[96], text[HUMAN_BYTES], time[HUMAN_BYTES];
  double rate = seconds > 0 ? (double)done / seconds : 0;
  double share = total > 0 ? (double)done / (double)total : 0;
  if (share > 1) share = 1;
  snprintf(left, sizeof left, "%.64s %3u%% ", label, (unsigned)(share * 100));
  human_duration(time, rate > 0 && total >= done ? (double)(total - done) / rate : -1);
  if (unit == PROGRESS_BYTES) {
    snprintf(right, sizeof right, " %8s/s  ETA %s", human_bytes(text, rate), time);
  } else {
    snprintf(right, sizeof right, " %8.1f t/s  ETA %s", rate, time);
  }
  size_t room = columns > 0 ? columns - 1 : 0; /* the last column would wrap */
  if (room >= size) room = size - 1;
  char bar[BAR_COLUMNS + 3] = "";
  size_t fixed = strlen(left) + strlen(right);
  if (room >= fixed + 12) {
    size_t width = room - fixed - 2 < BAR_COLUMNS ? room - fixed - 2 : BAR_COLUMNS;
    size_t filled = (size_t)(share * (double)width);
    bar[0] = '[';
    memset(bar + 1, '#', filled);
    memset(bar + 1 + filled, ' ', width - filled);
    bar[1 + width] = ']';
  }
  char whole[sizeof left + sizeof bar + sizeof right];
  int length = snprintf(whole, sizeof whole, "%s%s%s", left, bar, right);
  size_t kept = (size_t)length < room ? (size_t)length : room;
  memcpy(line, whole, kept);
  line[kept] = 0;
  return kept;
}

/* Blanks rather than an escape sequence: any terminal knows them. */
static void draw(progress_line *progress, const char *line, unsigned length) {
  unsigned blanks = progress->drawn > length ? progress->drawn - length : 0;
  char text[512];
  snprintf(text, sizeof text, "\r%s%*s%s", line, (int)blanks, "", length == 0 ? "\r" : "");
  terminal_say(text);
  progress->drawn = length;
}

bool progress_update(void *user, uint64_t done, uint64_t total) {
  progress_line *progress = user;
  if (interrupt_signal() != 0) return true; /* no news of what ends now */
  if (progress->shown) {
    uint64_t now = os_now_ns();
    if (now - progress->begun_ns >= SILENT_NS && now - progress->last_ns >= INTERVAL_NS) {
      char line[256];
      size_t length =
          progress_format(line, sizeof line, terminal_columns(stderr), progress->label,
                          progress->unit, done, total, (double)(now - progress->begun_ns) * 1e-9);
      draw(progress, line, (unsigned)length);
      progress->last_ns = now;
    }
  }
  return false;
}

void progress_end(progress_line *progress) {
  if (progress->drawn) draw(progress, "", 0);
}

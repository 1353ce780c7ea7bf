#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/human.h"
#include "doctor.h"

/* Below these something is amiss. */
#define GOOD_HUGE_SHARE 0.9
#define STEADY_BANDWIDTH 0.8

typedef struct advice {
  char (*lines)[DOCTOR_ADVICE_BYTES];
  size_t count;
} advice;

static void add(advice *list, const char *format, ...) GUST_PRINTF(2, 3);
static void add(advice *list, const char *format, ...) {
  va_list args;
  if (list->count == DOCTOR_ADVICE_MOST) return;
  va_start(args, format);
  vsnprintf(list->lines[list->count++], DOCTOR_ADVICE_BYTES, format, args);
  va_end(args);
}

static void advise_on_memory(advice *list, const doctor_findings *f) {
  if (f->facts.memory_available == 0) return; /* unknown */
  for (size_t i = 0; i < DOCTOR_MODELS; i++) {
    const doctor_model *model = &f->models[i];
    char need[HUMAN_BYTES], have[HUMAN_BYTES];
    human_bytes(need, (double)model->prediction.peak_memory);
    human_bytes(have, (double)f->facts.memory_available);
    if (model->prediction.limit == LIMIT_DISK)
      add(list, "%s needs %s of memory and %s are free: close other programs%s", model->type, need,
          have, i > 0 ? ", or use q4" : ", or use a smaller model");
    if (model->prediction.limit == LIMIT_MAPPED)
      add(list,
          "%s: too little free memory (%s) for a copy, so the file is mapped, which can be slower; "
          "closing other programs would help",
          model->type, have);
  }
}

static void advise_on_pages(advice *list, const doctor_findings *f) {
  if (f->facts.huge_pages == HUGE_PAGES_NEVER)
    add(list,
        "transparent huge pages are off, which slows reading: as root, echo madvise > "
        "/sys/kernel/mm/transparent_hugepage/enabled");
  else if (f->huge_share < GOOD_HUGE_SHARE)
    add(list,
        "only %.0f %% of the memory asked for came in huge pages: it is fragmented; a restart of "
        "the machine helps",
        100 * f->huge_share);
}

static void advise_on_processor(advice *list, const doctor_findings *f) {
  if (strcmp(f->level, "c") == 0)
    add(list, "gust has no kernels for this processor's vector instructions and runs plain C");
  if (strcmp(f->level, "avx2") == 0)
    add(list,
        "with AVX2 a multiply-add of bytes is three instructions; processors with AVX-VNNI or "
        "AVX-512 need one, and read prompts faster");
  if (f->facts.efficiency_cores > 0 && f->facts.performance_cores > 0)
    add(list,
        "cores of two kinds: compare --threads %u with --threads %u by gust bench --synthetic "
        "%s",
        f->facts.performance_cores, f->facts.performance_cores + f->facts.efficiency_cores,
        DOCTOR_SHAPE);
}

static void advise_on_neighbours(advice *list, const doctor_findings *f) {
  if (f->bandwidth_least < STEADY_BANDWIDTH * f->bandwidth_best)
    add(list,
        "the read bandwidth varied from %.1f to %.1f GB/s within seconds: something else uses the "
        "memory, and decoding varies with it",
        f->bandwidth_least * 1e-9, f->bandwidth_best * 1e-9);
  if (f->facts.virtual_machine)
    add(list, "this is a virtual machine: others may share its cores and its memory bus");
}

size_t doctor_advise(const doctor_findings *f,
                     char lines[DOCTOR_ADVICE_MOST][DOCTOR_ADVICE_BYTES]) {
  advice list = {.lines = lines};
  advise_on_memory(&list, f);
  advise_on_pages(&list, f);
  advise_on_processor(&list, f);
  advise_on_neighbours(&list, f);
  return list.count;
}

/* The program that is linked statically: one file that needs nothing beside it, and
 * nothing of the processor but what every x86-64 has.
 *
 *   test_static_program PROGRAM [EMULATOR]...
 *
 * PROGRAM is stripped as when installed; EMULATOR runs it on the oldest processor. */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "demo_model.h"
#include "run_program.h"

#define MOST_BYTES (2u << 20)

/* No loader and no library is asked for. */
static void is_static(const char *program) {
  size_t bytes;
  char *file = check_read_file(program, &bytes);
  Elf64_Ehdr head;
  if (bytes < sizeof head || memcmp(file, ELFMAG, SELFMAG) != 0 || file[EI_CLASS] != ELFCLASS64)
    check_fatal("expected a 64-bit ELF program", program);
  memcpy(&head, file, sizeof head);
  CHECK_EQ_INT(head.e_machine, EM_X86_64);
  CHECK_EQ_INT(head.e_phentsize, sizeof(Elf64_Phdr));
  CHECK(head.e_phnum > 0);
  for (size_t i = 0; i < head.e_phnum; i++) {
    Elf64_Phdr segment;
    memcpy(&segment, file + head.e_phoff + i * sizeof segment, sizeof segment);
    CHECK(segment.p_type != PT_INTERP);
    if (segment.p_type != PT_DYNAMIC) continue; /* a static-pie has one, without needs */
    for (size_t at = 0; at < segment.p_filesz; at += sizeof(Elf64_Dyn)) {
      Elf64_Dyn entry;
      memcpy(&entry, file + segment.p_offset + at, sizeof entry);
      CHECK(entry.d_tag != DT_NEEDED);
    }
  }
  printf("%s: %zu bytes\n", program, bytes);
  CHECK(bytes < MOST_BYTES);
  free(file);
}

/* gust verify computes logits and compares them with the file's; that those are the
 * right ones is for the known hash to tell. Without an environment. */
static void verifies(char *const emulator[], const char *program, const char *level) {
  const char *argv[24] = {"/usr/bin/env", "-i"};
  size_t count = 2;
  for (size_t i = 0; emulator[i] && count < 16; i++) argv[count++] = emulator[i];
  argv[count++] = program;
  argv[count++] = "verify";
  argv[count++] = demo_model_path("q4");
  if (level) {
    argv[count++] = "--cpu";
    argv[count++] = level;
  }
  argv[count] = NULL;
  run_result r = run_program(argv, "", 0);
  CHECK_EQ_INT(r.code, 0);
  char line[64];
  snprintf(line, sizeof line, "ok: logits hash %016llx on level %s",
           (unsigned long long)demo_model_logits_hash("q4"), level ? level : "c");
  if (!CHECK_CONTAINS(r.out, line)) fprintf(stderr, "  standard error: %s\n", r.err);
  run_result_clear(&r);
}

int main(int argc, char **argv) {
  if (argc < 2) check_fatal("usage", "test_static_program PROGRAM [EMULATOR]...");
  if (argc == 2) {
    is_static(argv[1]);
    verifies(argv + 2, argv[1], gust_cpu_level(0));
    for (size_t i = 1; gust_cpu_level(i); i++) verifies(argv + 2, argv[1], gust_cpu_level(i));
  } else {
    /* Without --cpu: it has to find out by itself that there is nothing but c. */
    verifies(argv + 2, argv[1], NULL);
  }
  return check_finish();
}

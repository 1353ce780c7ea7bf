/* Writes a text as a C array to stdout; run by meson.
 *
 *   embed_text FILE HEADER NAME
 *
 * NAME[] and NAME_bytes are what HEADER declares. */
#include <stdio.h>
#include <stdlib.h>

static void fail(const char *what, const char *path) {
  fprintf(stderr, "embed_text: %s: %s\n", path, what);
  exit(1);
}

int main(int argc, char **argv) {
  if (argc != 4) fail("expected FILE HEADER NAME", "usage");
  FILE *file = fopen(argv[1], "rb");
  if (!file) fail("cannot open", argv[1]);
  printf("/* Made by scripts/embed_text.c. */\n#include \"%s\"\n\n", argv[2]);
  /* Numbers instead of a string literal, whose length compilers may limit. */
  printf("const char %s[] = {", argv[3]);
  unsigned column = 0;
  for (int c = getc(file); c != EOF; c = getc(file)) {
    if (c == 0 || c > 0x7f) fail("expected ASCII text, found another byte", argv[1]);
    printf("%s%d,", column++ % 24 == 0 ? "\n    " : " ", c);
  }
  if (ferror(file)) fail("cannot read", argv[1]);
  fclose(file);
  printf("\n    0};\n\nconst size_t %s_bytes = sizeof %s - 1;\n", argv[3], argv[3]);
  return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
}

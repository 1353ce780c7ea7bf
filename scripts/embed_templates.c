/* Writes the C table of builtin_templates.h to stdout; run by meson.
 *
 *   embed_templates FILE.jinja... */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fail(const char *what, const char *path) {
  fprintf(stderr, "embed_templates: %s: %s\n", path, what);
  exit(1);
}

/* Numbers instead of a string literal, whose length compilers may limit. */
static void write_text(const char *path, int index) {
  FILE *file = fopen(path, "rb");
  if (!file) fail("cannot open", path);
  printf("static const char text_%d[] = {", index);
  unsigned column = 0;
  for (int c = getc(file); c != EOF; c = getc(file)) {
    if (c == 0 || c > 0x7f) fail("expected ASCII text, found another byte", path);
    printf("%s%d,", column++ % 24 == 0 ? "\n    " : " ", c);
  }
  if (ferror(file)) fail("cannot read", path);
  fclose(file);
  printf("\n    0};\n\n");
}

static void write_entry(const char *path, int index) {
  const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
  const char *end = strstr(name, ".jinja");
  if (!end || end[6]) fail("expected a name that ends in .jinja", path);
  printf("    {\"%.*s\", text_%d},\n", (int)(end - name), name, index);
}

int main(int argc, char **argv) {
  printf("/* Made by scripts/embed_templates.c. */\n#include \"builtin_templates.h\"\n\n");
  printf("#include <stddef.h>\n\n");
  for (int i = 1; i < argc; i++) write_text(argv[i], i);
  printf("const gust_builtin_template gust_builtin_templates[] = {\n");
  for (int i = 1; i < argc; i++) write_entry(argv[i], i);
  printf("    {NULL, NULL},\n};\n");
  return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
}

/* Names and text beyond ASCII, on every system: paths, arguments and standard streams
 * are UTF-8, and what goes through them comes out byte for byte. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "demo_model.h"
#include "host.h"
#include "os.h"
#include "run_gust.h"

/* "m\u00fcller \u4e16\u754c \U0001f600": two, three and four bytes a character. */
#define NAME "m\xc3\xbcller \xe4\xb8\x96\xe7\x95\x8c \xf0\x9f\x98\x80"

static const char *folder, *model;

/* The folder, and the demo model in it. */
static void convert(void) {
  folder = check_temp_file(NAME);
  model = check_temp_file(NAME "/" NAME ".gust");
  if (!os_make_folder(folder)) check_fatal("cannot make", folder);
  CHECK_GUST(0, NULL, "", NULL, "convert", check_demo(), "-o", model, "--quiet");
  CHECK_EQ_INT(check_files_in(folder), 1);
  CHECK_GUST(0, NULL, "", NULL, "verify", model, "--quiet");
  run_result run =
      run_gust(NULL, "inspect", check_temp_file(NAME "/none.gust"), (const char *)NULL);
  CHECK_EQ_INT(run.code, 1);
  CHECK_CONTAINS(run.err, NAME "/none.gust: ");
  run_result_clear(&run);
}

/* The same prompt as an argument and on standard input gives the same answer; lines end
 * as the model ends them. */
static void arguments(void) {
  static const char prompt[] = "Say \"" NAME "\" \\ twice\\\\";
  run_result a = run_gust(NULL, "run", model, "-p", prompt, "--temp", "0", "-n", "24", "--quiet",
                          (const char *)NULL);
  run_result b =
      run_gust(prompt, "run", model, "--temp", "0", "-n", "24", "--quiet", (const char *)NULL);
  CHECK_EQ_INT(a.code, 0);
  CHECK_EQ_STR(a.err, "");
  CHECK(a.out_bytes > 1 && a.out[a.out_bytes - 1] == '\n' && !strchr(a.out, '\r'));
  CHECK_EQ_STR(a.out, b.out);
  run_result_clear(&a);
  run_result_clear(&b);
  CHECK_GUST(2, "", "gust: unknown command '" NAME "'; 'gust --help' lists them\n", NULL, NAME);
}

/* Bytes that text modes change or stop at: "\r\n", Ctrl-Z, NUL and what is no UTF-8. The
 * command reads them as they are: its ids are those of the library. */
static void streams(void) {
  static const char text[] =
      "a\r\nb\x1a"
      "c\0d\xff" NAME "\n";
  gust_model *opened = model_open_or_die(model);
  int32_t *ids = NULL;
  size_t count = 0;
  gust_error err = {0};
  CHECK_EQ_INT(
      gust_tokenize(opened, text, sizeof text - 1, GUST_TOKENIZE_SPECIAL, &ids, &count, &err),
      GUST_OK);
  const char *argv[] = {run_gust_binary(), "tokenize", model, "--no-bos", NULL};
  run_result run = run_program(argv, text, sizeof text - 1);
  CHECK_EQ_INT(run.code, 0);
  CHECK(count > 10 && !strchr(run.out, '\r'));
  char *at = run.out;
  for (size_t i = 0; i < count; i++) CHECK_EQ_INT(strtol(at, &at, 10), ids[i]);
  CHECK_EQ_STR(at, "\n");
  run_result_clear(&run);
  gust_free(ids);
  gust_model_close(opened);
}

/* Files that options name, and a conversation that outlives the program. */
static void files(void) {
  const char *text = check_temp_file(NAME "/text.txt");
  const char *ids = check_temp_file(NAME "/ids.txt"), *out = check_temp_file(NAME "/out.f32");
  char *heldout = check_read_file(check_data("heldout.txt"), NULL);
  check_write_file(text, heldout, 4000);
  free(heldout);
  CHECK_GUST(0, NULL, NULL, NULL, "eval", model, "--text", text, "--ctx", "64", "--chunks", "1");
  check_write_file(ids, "1 17 300\r\n5\n", 12);
  CHECK_GUST(0, "", NULL, NULL, "logits", model, ids, "-o", out);
  CHECK_EQ_INT(check_file_bytes(out), 4 * 4096 * sizeof(float));

  const char *session = check_temp_file(NAME "/" NAME ".session");
  CHECK_GUST(0, NULL, NULL, "Hello, " NAME "!\n", "chat", model, "--session", session, "--temp",
             "0");
  CHECK(host_exists(session));
  run_result again = run_gust("", "chat", model, "--session", session, (const char *)NULL);
  CHECK_EQ_INT(again.code, 0);
  CHECK_CONTAINS(again.err, "session resumed: 1 turn, ");
  run_result_clear(&again);
  size_t bytes;
  char *journal = check_read_file(session, &bytes);
  bool found = false;
  for (size_t i = 0; i + sizeof NAME <= bytes; i++)
    found = found || memcmp(journal + i, NAME, sizeof NAME - 1) == 0;
  CHECK(found); /* as it was typed */
  free(journal);
}

int main(void) {
  run_gust_binary();
  convert();
  arguments();
  streams();
  files();
  return check_finish();
}

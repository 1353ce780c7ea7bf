/* docs/example.c does what it says. Usage: test_example EXAMPLE MODEL */
#include "check.h"
#include "run_program.h"

/* As the C library writes it, which is not told otherwise. */
#ifdef _WIN32
#define LINE_END "\r\n"
#else
#define LINE_END "\n"
#endif

int main(int argc, char **argv) {
  if (argc != 3) check_fatal("usage", "test_example EXAMPLE MODEL");
  const char *const ask[] = {argv[1], argv[2], "Who are you?", NULL};
  run_result result = run_program(ask, "", 0);
  CHECK_EQ_INT(result.code, 0);
  CHECK_EQ_STR(result.err, "");
  CHECK_EQ_STR(result.out,
               "I am the demo model of gust, a tiny language model with about eight million "
               "parameters. I can tell short stories and chat a little." LINE_END);
  run_result_clear(&result);

  const char *const missing[] = {argv[1], "no-such-model.gust", "Who are you?", NULL};
  result = run_program(missing, "", 0);
  CHECK_EQ_INT(result.code, 1);
  CHECK_EQ_STR(result.out, "");
  CHECK_CONTAINS(result.err, "example: no-such-model.gust: ");
  run_result_clear(&result);

  const char *const usage[] = {argv[1], NULL};
  result = run_program(usage, "", 0);
  CHECK_EQ_INT(result.code, 2);
  run_result_clear(&result);
  return check_finish();
}

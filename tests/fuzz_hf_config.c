/* libFuzzer: the input is the files beside a checkpoint's weights: config.json,
 * generation_config.json, tokenizer_config.json, chat_template.jinja, with a NUL byte
 * between two. What is accepted is a model that gust runs. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "fuzz_support.h"
#include "hf_config.h"

static void check_accepted(const gust_config *c, const gust_generation *g, const char *template) {
  gust_error err = {0};
  fuzz_require(gust_config_check(c, "fuzz", &err) == GUST_OK);
  fuzz_require(c->eos_count <= GUST_MAX_EOS);
  fuzz_require(g->temperature >= 0 && g->temperature <= 100 && g->min_p >= 0 && g->min_p <= 1);
  if (template) fuzz_require(*template != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const char *const names[] = {"config.json", "generation_config.json",
                                      "tokenizer_config.json", "chat_template.jinja"};
  fuzz_part rest = {data, size};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    fuzz_write_part(names[i], fuzz_take_part(&rest));
  gust_config config;
  gust_generation generation;
  char *template = NULL;
  const char *note;
  gust_error err = {0};
  if (hf_config_read(check_temp(), &config, &generation, &template, &note, &err) == GUST_OK)
    check_accepted(&config, &generation, template);
  else
    fuzz_require_line(&err);
  free(template);
  return 0;
}

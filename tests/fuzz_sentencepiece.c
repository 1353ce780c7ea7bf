/* libFuzzer: the input is tokenizer_config.json, added_tokens.json and a
 * tokenizer.model, with a NUL byte between two. What is imported must make a section
 * that is accepted, and a tokenizer that gives ids of its own for any text. */
#include "check.h"
#include "vocabulary_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fuzz_part model = {data, size};
  fuzz_write_part("tokenizer_config.json", fuzz_take_part(&model));
  fuzz_write_part("added_tokens.json", fuzz_take_part(&model));
  fuzz_write_file("tokenizer.model", model.data, model.bytes);
  gust_vocabulary vocabulary = {0};
  gust_error err = {0};
  gust_status status = gust_import_tokenizer(check_temp(), &vocabulary, &err);
  check_import(status, &vocabulary, &err, model);
  return 0;
}

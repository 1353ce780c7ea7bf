/* libFuzzer: the input is a tokenizer.json. What is imported must make a section that
 * is accepted, and a tokenizer that gives ids of its own for any text. */
#include "vocabulary_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const fuzz_part input = {data, size};
  gust_vocabulary vocabulary = {0};
  gust_error err = {0};
  gust_status status = gust_import_tokenizer_json(data, size, "fuzz", &vocabulary, &err);
  check_import(status, &vocabulary, &err, input);
  return 0;
}

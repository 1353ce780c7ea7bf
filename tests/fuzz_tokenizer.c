/* libFuzzer: the input is a .gust file's tokenizer section, and the text as well. What
 * is accepted must be a tokenizer that gives ids of its own for any text. */
#include "vocabulary_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  check_section(data, size, (fuzz_part){data, size});
  return 0;
}

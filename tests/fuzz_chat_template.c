/* libFuzzer: the input is a template, and as much of it as follows a zero byte
 * a message. Whatever it says, rendering ends, in a text or in one error line,
 * and the spans lie in order inside the text. */
#include <stdlib.h>
#include <string.h>

#include "chat_template.h"
#include "fuzz_support.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *source = malloc(size + 1);
  if (!source) return 0;
  if (size) memcpy(source, data, size);
  source[size] = 0;
  size_t template_bytes = strlen(source);
  const char *content = source + template_bytes;
  size_t content_bytes = size - template_bytes;
  if (content_bytes) content++, content_bytes--;
  const gust_message messages[] = {{"system", "Be kind.", 8},
                                   {"user", content, content_bytes},
                                   {"assistant", "</s> [INST]", 11},
                                   {"</s>", "{{ x }}\n", 8}};
  const gust_template_input input = {messages, 4, true, "<s>", "</s>"};
  gust_rendered r;
  gust_error err = {GUST_OK, ""};
  if (gust_template_render(source, &input, &r, &err) == GUST_OK) {
    size_t at = 0;
    fuzz_require(r.text[r.bytes] == 0);
    for (size_t i = 0; i < r.literal_count; i++) {
      fuzz_require(r.literal[i].begin < r.literal[i].end && (i == 0 || r.literal[i].begin > at));
      at = r.literal[i].end;
    }
    fuzz_require(at <= r.bytes);
  } else {
    fuzz_require(r.text == NULL && r.literal == NULL && err.text[0] != 0);
  }
  gust_rendered_clear(&r);
  free(source);
  return 0;
}

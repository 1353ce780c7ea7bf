/* libFuzzer: the input is a .safetensors file, the length of whose header is put
 * right first. What is accepted has tensors that lie side by side up to the file's
 * end, and whose every element can be read. */
#include <stdlib.h>
#include <string.h>

#include "fuzz_support.h"
#include "safetensors.h"

#define LENGTH_BYTES 8u

/* A header ends with the input's last brace, unless the length's top bit is set:
 * then the length stays as it is. */
static void seal(uint8_t *bytes, size_t size) {
  if (bytes[LENGTH_BYTES - 1] & 0x80) return;
  uint64_t length = size - LENGTH_BYTES;
  while (length > 0 && bytes[LENGTH_BYTES + length - 1] != '}') length--;
  for (unsigned i = 0; i < LENGTH_BYTES; i++) bytes[i] = (uint8_t)(length >> (8 * i));
}

static void read_elements(const safetensors_file *file, const safetensors_tensor *t) {
  const uint8_t *data = file->map.data + t->offset;
  size_t element = safetensors_element_bytes(t->dtype), count = t->bytes / element;
  float *values = malloc(count ? count * sizeof *values : 1);
  fuzz_require(values && t->bytes % element == 0);
  fuzz_require(safetensors_to_floats(t->dtype, data, count, values) <= count);
  free(values);
}

static void check(const safetensors_file *file, size_t size) {
  size_t at = file->data_begin;
  for (size_t i = 0; i < file->tensor_count; i++) {
    const safetensors_tensor *t = &file->tensors[i];
    char text[SAFETENSORS_SHAPE_TEXT];
    fuzz_require(t->rank <= SAFETENSORS_MAX_RANK && t->offset == at && t->bytes <= size - at);
    fuzz_require(safetensors_shape_text(t->shape, t->rank, text)[0] == '[');
    read_elements(file, t);
    at += t->bytes;
  }
  fuzz_require(at == size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  uint8_t *bytes = malloc(size ? size : 1);
  fuzz_require(bytes != NULL);
  if (size) memcpy(bytes, data, size);
  if (size >= LENGTH_BYTES) seal(bytes, size);
  const char *path = fuzz_write_file("model.safetensors", bytes, size);
  free(bytes);
  safetensors_file file;
  gust_error err = {0};
  if (safetensors_open(&file, path, &err) == GUST_OK)
    check(&file, size);
  else
    fuzz_require_line(&err);
  safetensors_close(&file);
  return 0;
}

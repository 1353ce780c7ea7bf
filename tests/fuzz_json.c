/* libFuzzer: the input is parsed; whatever it says, that ends in one error line
 * or in a tree that can be walked and asked everything. */
#include <stdlib.h>

#include "fuzz_support.h"
#include "json.h"

/* The parser bounds the depth. Returns the number of values below. */
static size_t walk(const json_value *value) {
  size_t bytes, below = 0, children = 0;
  double number;
  int64_t integer;
  bool truth;
  fuzz_require(json_type_name(json_type_of(value)) != NULL);
  json_double(value, &number);
  if (json_int64(value, -5, 5, &integer)) fuzz_require(integer >= -5 && integer <= 5);
  json_bool(value, &truth);
  for (const json_value *v = json_first(value); v; v = json_next(value, v)) {
    if (json_is(value, JSON_OBJECT)) fuzz_require(json_key(v, &bytes) != NULL);
    below += 1 + walk(v);
    children++;
  }
  fuzz_require(children == json_count(value));
  return below;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  for (unsigned unique = 0; unique < 2; unique++) {
    json_document *doc = NULL;
    gust_error err = {0};
    gust_status status =
        json_parse(&doc, (const char *)data, size, "fuzz", unique ? JSON_UNIQUE_KEYS : 0, &err);
    fuzz_require((status == GUST_OK) == (doc != NULL));
    if (status == GUST_OK)
      fuzz_require(walk(json_root(doc)) < size);
    else
      fuzz_require_line(&err);
    json_free(doc);
  }
  return 0;
}

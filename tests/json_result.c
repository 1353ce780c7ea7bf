#include "json_result.h"

#include <math.h>
#include <string.h>

#include "check.h"

json_document *json_result_parse(const run_result *result) {
  json_document *document;
  gust_error err;
  if (json_parse(&document, result->out, strlen(result->out), "stdout", JSON_UNIQUE_KEYS, &err))
    check_fatal("no JSON", err.text);
  return document;
}

double json_result_number(const json_value *object, const char *key) {
  double number = (double)NAN;
  json_double(json_get(object, key), &number);
  return number;
}

/* What a program printed as JSON. */
#ifndef GUST_TESTS_JSON_RESULT_H
#define GUST_TESTS_JSON_RESULT_H

#include "json.h"
#include "run_gust.h"

/* The document, to be freed; it points into the result. Ends the test program when
 * the output is none. */
json_document *json_result_parse(const run_result *result);

/* The number `key` of an object; NaN when there is none. */
double json_result_number(const json_value *object, const char *key);

#endif

/* Values as text: what {{ }} prints, Python's repr, JSON. */
#ifndef JINJA_PRINT_H
#define JINJA_PRINT_H

#include "jinja_value.h"

/* Appends str(value). */
bool jinja_print(jinja_session *j, jinja_builder *b, const jinja_value *value);
/* The same as a string of its own; a string is returned as it is. */
bool jinja_to_string(jinja_session *j, const jinja_value *value, jinja_string *out);

typedef struct jinja_json_style {
  bool ensure_ascii, sort_keys, pretty;
  jinja_string indent; /* of one level, when pretty */
  jinja_string item_separator, key_separator;
} jinja_json_style;

/* Appends the value as json.dumps of Python writes it. */
bool jinja_print_json(jinja_session *j, jinja_builder *b, const jinja_value *value,
                      const jinja_json_style *style);

/* A number spelled in decimal ("12", "-1.5e3"), read whatever the locale;
 * false when it is none. At most 400 bytes are looked at. */
bool jinja_parse_float(jinja_string s, double *out);

#endif

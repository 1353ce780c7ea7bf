/* What chat templates do to text, as Python's str does it: positions count
 * characters, white space is Unicode's. A byte that is no UTF-8 is a character
 * of its own. Results share memory with their input where they can. */
#ifndef JINJA_TEXT_H
#define JINJA_TEXT_H

#include "jinja_value.h"

#define JINJA_NOWHERE SIZE_MAX
#define JINJA_NO_LIMIT SIZE_MAX

/* Bytes of the character at byte `at` < count. */
size_t jinja_char_bytes(jinja_string s, size_t at);
/* Its code point; a malformed byte yields U+FFFD. */
uint32_t jinja_char(jinja_string s, size_t at);
/* Writes 1 to 4 bytes; the code point is at most 0x10FFFF. */
size_t jinja_encode_char(uint32_t point, char out[4]);
bool jinja_is_space(uint32_t point);

size_t jinja_length(jinja_string s); /* characters */
/* The byte where character `index` <= length begins. */
size_t jinja_offset(jinja_string s, size_t index);

/* First place at or after byte `from` where `part` stands, or JINJA_NOWHERE. */
bool jinja_find(jinja_session *j, jinja_string s, jinja_string part, size_t from, size_t *at);
bool jinja_starts(jinja_string s, jinja_string prefix);
bool jinja_ends(jinja_string s, jinja_string suffix);

/* `set` names the characters to strip; NULL: white space. */
bool jinja_strip(jinja_session *j, jinja_string s, const jinja_string *set, bool left, bool right,
                 jinja_string *out);
/* At most `limit` times, from the left. */
bool jinja_replace(jinja_session *j, jinja_string s, jinja_string old, jinja_string with,
                   size_t limit, jinja_string *out);
/* Appends the parts of s between separators (NULL: runs of white space) to
 * `list`, cutting at most `limit` times. */
bool jinja_split(jinja_session *j, jinja_string s, const jinja_string *separator, size_t limit,
                 jinja_list *list);
/* The same, cutting from the right. */
bool jinja_split_right(jinja_session *j, jinja_string s, const jinja_string *separator,
                       size_t limit, jinja_list *list);
bool jinja_split_lines(jinja_session *j, jinja_string s, bool keep_ends, jinja_list *list);

typedef enum jinja_case {
  JINJA_UPPER,
  JINJA_LOWER,
  JINJA_CAPITALIZE,  /* first character up, others down */
  JINJA_TITLE,       /* letters after a non-letter up: str.title */
  JINJA_TITLE_FILTER /* after white space or -([{< up: the filter `title` */
} jinja_case;

/* Latin, Greek and Cyrillic letters whose two cases take the same room. Other
 * letters that have cases fail by name rather than come out wrong. */
bool jinja_change_case(jinja_session *j, jinja_string s, jinja_case how, jinja_string *out);

#endif

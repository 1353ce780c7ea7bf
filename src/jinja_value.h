/* Values of the chat-template interpreter, and what every part of it shares:
 * one arena, one error, one budget.
 *
 * Every byte of a string knows whether it came from a message ("marked"). All
 * operations that move bytes move the marks with them, so the rendered prompt
 * tells the template's own text from what a user wrote, whatever the template
 * did in between.
 *
 * Functions that can fail return false and leave the error in the session;
 * what they point to lives in its arena until jinja_end. */
#ifndef JINJA_VALUE_H
#define JINJA_VALUE_H

#include "status.h"

/* A template is hostile: these bound what it can take. */
#define JINJA_MAX_SOURCE ((size_t)256 << 10) /* bytes of template */
#define JINJA_MAX_OUTPUT ((size_t)16 << 20)  /* bytes of one rendering */
#define JINJA_MAX_MEMORY ((size_t)256 << 20) /* bytes of arena */
#define JINJA_MAX_STEPS ((size_t)20000000)   /* operations; 16 bytes moved are one */
#define JINJA_MAX_DEPTH 200u                 /* nested calls, blocks, expressions, values */
#define JINJA_MAX_RANGE 100000               /* as jinja2's sandbox */

typedef struct jinja_chunk jinja_chunk;

/* One rendering: template, values and output all live and die with it. */
typedef struct jinja_session {
  jinja_chunk *chunks;
  size_t memory; /* bytes taken from the system */
  size_t steps;  /* taken so far */
  unsigned depth;
  uint32_t line; /* of the template, for errors */
  gust_status status;
  gust_error *err;
} jinja_session;

void jinja_begin(jinja_session *j, gust_error *err);
void jinja_end(jinja_session *j);

/* NULL (and the error is set) when memory or its bound is exhausted. Not zeroed. */
void *jinja_alloc(jinja_session *j, size_t count, size_t size);

/* "chat template line N: ..."; always false, to be returned. */
bool jinja_fail(jinja_session *j, gust_status status, const char *format, ...) GUST_PRINTF(3, 4);
#ifdef __clang_analyzer__ /* as in status.h */
#define jinja_fail(j, status, ...) ((jinja_fail)(j, status, __VA_ARGS__), false)
#endif

/* Counts work that is done; false when a template works longer than it may. */
bool jinja_charge(jinja_session *j, size_t steps);

/* Around everything that recurses. After a false jinja_enter no jinja_leave. */
bool jinja_enter(jinja_session *j);
void jinja_leave(jinja_session *j);

/* --- Strings --- */

typedef struct jinja_string {
  const char *bytes;   /* UTF-8, maybe malformed; not NUL-terminated */
  const uint8_t *mark; /* one per byte, not 0: from a message. NULL: none is */
  size_t count;
} jinja_string;

jinja_string jinja_text(const char *literal);
/* Bytes [begin, end) of a string. */
jinja_string jinja_cut(jinja_string s, size_t begin, size_t end);
bool jinja_same(jinja_string a, jinja_string b);
bool jinja_is(jinja_string s, const char *literal);

/* Arguments of printf's "%.*s" for a name in an error, cut to a sane length. */
#define JINJA_SHOWN(s) ((int)((s).count < 60 ? (s).count : 60)), (s).bytes

/* A string that grows. Zero it to begin. */
typedef struct jinja_builder {
  char *bytes;
  uint8_t *mark; /* NULL until marked text came */
  size_t count, capacity;
  size_t limit; /* bytes; 0: none but the arena's */
} jinja_builder;

bool jinja_put(jinja_session *j, jinja_builder *b, jinja_string s);
/* `bytes` all marked as `mark`, which is 0 or 1. */
bool jinja_put_bytes(jinja_session *j, jinja_builder *b, const char *bytes, size_t count,
                     uint8_t mark);
jinja_string jinja_built(const jinja_builder *b);

/* --- Values --- */

typedef enum jinja_kind {
  JINJA_ABSENT = 0, /* an argument that was not given; no value of a template */
  JINJA_UNDEFINED,  /* .string is the name that was looked for */
  JINJA_NONE,
  JINJA_BOOL,
  JINJA_INT,
  JINJA_FLOAT,
  JINJA_STRING,
  JINJA_LIST,
  JINJA_TUPLE, /* .list */
  JINJA_DICT,
  JINJA_NAMESPACE, /* .dict */
  JINJA_LOOP,
  JINJA_MACRO,
  JINJA_FUNCTION,
  JINJA_METHOD
} jinja_kind;

typedef struct jinja_value jinja_value;

typedef struct jinja_list {
  jinja_value *items;
  size_t count, capacity;
} jinja_list;

typedef struct jinja_dict {
  jinja_value *keys, *values; /* in order of insertion */
  size_t count, capacity;
} jinja_dict;

/* The variable `loop` inside a for. */
typedef struct jinja_loop {
  const jinja_list *items;
  size_t index; /* from 0 */
} jinja_loop;

struct jinja_macro;
struct jinja_function;
struct jinja_method;

struct jinja_value {
  jinja_kind kind;
  union {
    bool truth;
    int64_t integer;
    double real;
    jinja_string string;
    jinja_list *list;
    jinja_dict *dict;
    const jinja_loop *loop;
    const struct jinja_macro *macro;
    const struct jinja_function *function;
    const struct jinja_method *method;
  };
};

jinja_value jinja_none(void);
jinja_value jinja_bool(bool truth);
jinja_value jinja_int(int64_t integer);
jinja_value jinja_float(double real);
jinja_value jinja_str(jinja_string string);
jinja_value jinja_undefined(jinja_string name);

/* An empty list (kind JINJA_LIST) or dict; false without memory. */
bool jinja_new_list(jinja_session *j, jinja_value *value);
bool jinja_new_dict(jinja_session *j, jinja_value *value);
bool jinja_append(jinja_session *j, jinja_list *list, jinja_value item);
/* Sets or replaces. Fails when the key is of a kind that cannot be one. */
bool jinja_dict_set(jinja_session *j, jinja_dict *dict, jinja_value key, jinja_value value);
/* *found is NULL when there is no such key. */
bool jinja_dict_find(jinja_session *j, const jinja_dict *dict, jinja_value key,
                     const jinja_value **found);

/* What an error calls a value: "a string", "an undefined value" ... */
const char *jinja_kind_name(jinja_kind kind);
/* Fails with "expected WHAT, found ..." and what the value is. */
bool jinja_refuse(jinja_session *j, const char *what, const jinja_value *value);
bool jinja_truth(const jinja_value *value);
bool jinja_is_number(const jinja_value *value); /* bool counts, as in Python */
double jinja_as_float(const jinja_value *value);
int64_t jinja_as_int(const jinja_value *value); /* of an int or bool */

bool jinja_equal(jinja_session *j, const jinja_value *a, const jinja_value *b, bool *equal);
/* *order is < 0, 0 or > 0; NaN compares as unordered (2). Fails unless both are
 * numbers or both strings. */
bool jinja_compare(jinja_session *j, const jinja_value *a, const jinja_value *b, int *order);
/* Whether `item` is in `container`, as Python's `in`. */
bool jinja_contains(jinja_session *j, const jinja_value *container, const jinja_value *item,
                    bool *contains);
/* The items a loop over the value sees: of a list, the keys of a dict, the
 * characters of a string, none of an undefined value. *items may be shared and
 * must not be changed. */
bool jinja_iterate(jinja_session *j, const jinja_value *value, const jinja_list **items);

#endif

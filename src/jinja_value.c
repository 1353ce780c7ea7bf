#include "jinja_value.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jinja_text.h"

#define CHUNK_BYTES ((size_t)64 << 10)

struct jinja_chunk {
  jinja_chunk *next;
  size_t used, capacity;
  max_align_t data[];
};

void jinja_begin(jinja_session *j, gust_error *err) {
  memset(j, 0, sizeof *j);
  j->err = err;
  j->line = 1;
}

void jinja_end(jinja_session *j) {
  while (j->chunks) {
    jinja_chunk *next = j->chunks->next;
    free(j->chunks);
    j->chunks = next;
  }
}

bool(jinja_fail)(jinja_session *j, gust_status status, const char *format, ...) {
  char text[480];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  j->status = gust_fail(j->err, status, "chat template line %u: %s", (unsigned)j->line, text);
  return false;
}

void *jinja_alloc(jinja_session *j, size_t count, size_t size) {
  if (size != 0 && count > JINJA_MAX_MEMORY / size) count = JINJA_MAX_MEMORY, size = 2;
  size_t bytes = (count * size + sizeof(max_align_t) - 1) / sizeof(max_align_t);
  bytes *= sizeof(max_align_t);
  jinja_chunk *chunk = j->chunks;
  if (!chunk || chunk->capacity - chunk->used < bytes) {
    size_t capacity = bytes > CHUNK_BYTES / 4 ? bytes : CHUNK_BYTES;
    if (capacity > JINJA_MAX_MEMORY - j->memory) {
      jinja_fail(j, GUST_E_UNSUPPORTED,
                 "expected at most %zu MiB of memory in use, found more; shorten the "
                 "conversation or simplify the template",
                 JINJA_MAX_MEMORY >> 20);
      return NULL;
    }
    chunk = malloc(sizeof *chunk + capacity);
    if (!chunk) {
      j->status = gust_fail_memory(j->err, "a chat template", sizeof *chunk + capacity);
      return NULL;
    }
    chunk->used = 0;
    chunk->capacity = capacity;
    j->memory += capacity;
    /* A large object gets a chunk of its own, behind the one being filled. */
    if (j->chunks && capacity == bytes) {
      chunk->next = j->chunks->next;
      j->chunks->next = chunk;
    } else {
      chunk->next = j->chunks;
      j->chunks = chunk;
    }
  }
  void *memory = (char *)chunk->data + chunk->used;
  chunk->used += bytes;
  return memory;
}

bool jinja_charge(jinja_session *j, size_t steps) {
  if (steps > JINJA_MAX_STEPS - j->steps)
    return jinja_fail(j, GUST_E_UNSUPPORTED,
                      "expected at most %zu steps, found more; shorten the conversation or "
                      "simplify the template's loops",
                      JINJA_MAX_STEPS);
  j->steps += steps;
  return true;
}

bool jinja_enter(jinja_session *j) {
  if (j->depth >= JINJA_MAX_DEPTH)
    return jinja_fail(j, GUST_E_UNSUPPORTED,
                      "expected at most %u nested levels, found more; simplify the template",
                      JINJA_MAX_DEPTH);
  j->depth++;
  return true;
}

void jinja_leave(jinja_session *j) {
  j->depth--;
}

/* --- Strings --- */

jinja_string jinja_text(const char *literal) {
  return (jinja_string){literal, NULL, strlen(literal)};
}

jinja_string jinja_cut(jinja_string s, size_t begin, size_t end) {
  return (jinja_string){s.bytes + begin, s.mark ? s.mark + begin : NULL, end - begin};
}

bool jinja_same(jinja_string a, jinja_string b) {
  return a.count == b.count && (a.count == 0 || memcmp(a.bytes, b.bytes, a.count) == 0);
}

bool jinja_is(jinja_string s, const char *literal) {
  return jinja_same(s, jinja_text(literal));
}

static bool builder_reserve(jinja_session *j, jinja_builder *b, size_t more) {
  if (b->limit && more > b->limit - b->count)
    return jinja_fail(j, GUST_E_UNSUPPORTED,
                      "expected a prompt of at most %zu MiB, found more; shorten the "
                      "conversation or simplify the template",
                      b->limit >> 20);
  if (more <= b->capacity - b->count) return true;
  if (more > JINJA_MAX_MEMORY) more = JINJA_MAX_MEMORY; /* jinja_alloc will refuse it */
  size_t capacity = b->capacity * 2 > b->count + more ? b->capacity * 2 : b->count + more;
  if (capacity < 64) capacity = 64;
  char *bytes = jinja_alloc(j, capacity, 1);
  if (!bytes) return false;
  if (b->count) memcpy(bytes, b->bytes, b->count);
  if (b->mark) {
    uint8_t *mark = jinja_alloc(j, capacity, 1);
    if (!mark) return false;
    memcpy(mark, b->mark, b->count);
    b->mark = mark;
  }
  b->bytes = bytes;
  b->capacity = capacity;
  return true;
}

/* Gives a builder its marks: nothing that is in it yet has any. */
static bool builder_mark(jinja_session *j, jinja_builder *b) {
  if (b->mark) return true;
  b->mark = jinja_alloc(j, b->capacity, 1);
  if (!b->mark) return false;
  memset(b->mark, 0, b->count);
  return true;
}

bool jinja_put(jinja_session *j, jinja_builder *b, jinja_string s) {
  if (s.count == 0) return true;
  if (!jinja_charge(j, s.count / 16) || !builder_reserve(j, b, s.count)) return false;
  if (s.mark && !builder_mark(j, b)) return false;
  memcpy(b->bytes + b->count, s.bytes, s.count);
  if (s.mark)
    memcpy(b->mark + b->count, s.mark, s.count);
  else if (b->mark)
    memset(b->mark + b->count, 0, s.count);
  b->count += s.count;
  return true;
}

bool jinja_put_bytes(jinja_session *j, jinja_builder *b, const char *bytes, size_t count,
                     uint8_t mark) {
  if (!jinja_put(j, b, (jinja_string){bytes, NULL, count})) return false;
  if (count == 0 || (!mark && !b->mark)) return true;
  if (!builder_mark(j, b)) return false;
  memset(b->mark + b->count - count, mark, count);
  return true;
}

jinja_string jinja_built(const jinja_builder *b) {
  return (jinja_string){b->count ? b->bytes : "", b->mark, b->count};
}

/* --- Values --- */

jinja_value jinja_none(void) {
  return (jinja_value){.kind = JINJA_NONE};
}

jinja_value jinja_bool(bool truth) {
  return (jinja_value){.kind = JINJA_BOOL, .truth = truth};
}

jinja_value jinja_int(int64_t integer) {
  return (jinja_value){.kind = JINJA_INT, .integer = integer};
}

jinja_value jinja_float(double real) {
  return (jinja_value){.kind = JINJA_FLOAT, .real = real};
}

jinja_value jinja_str(jinja_string string) {
  return (jinja_value){.kind = JINJA_STRING, .string = string};
}

jinja_value jinja_undefined(jinja_string name) {
  return (jinja_value){.kind = JINJA_UNDEFINED, .string = name};
}

bool jinja_new_list(jinja_session *j, jinja_value *value) {
  jinja_list *list = jinja_alloc(j, 1, sizeof *list);
  if (!list) return false;
  *list = (jinja_list){NULL, 0, 0};
  *value = (jinja_value){.kind = JINJA_LIST, .list = list};
  return true;
}

bool jinja_new_dict(jinja_session *j, jinja_value *value) {
  jinja_dict *dict = jinja_alloc(j, 1, sizeof *dict);
  if (!dict) return false;
  *dict = (jinja_dict){NULL, NULL, 0, 0};
  *value = (jinja_value){.kind = JINJA_DICT, .dict = dict};
  return true;
}

/* Moves an array of values to a larger place. */
static bool grow_values(jinja_session *j, jinja_value **values, size_t count, size_t capacity) {
  jinja_value *grown = jinja_alloc(j, capacity, sizeof *grown);
  if (!grown) return false;
  if (count) memcpy(grown, *values, count * sizeof *grown);
  *values = grown;
  return true;
}

bool jinja_append(jinja_session *j, jinja_list *list, jinja_value item) {
  if (!jinja_charge(j, 1)) return false;
  if (list->count == list->capacity) {
    size_t capacity = list->capacity ? list->capacity * 2 : 4;
    if (!grow_values(j, &list->items, list->count, capacity)) return false;
    list->capacity = capacity;
  }
  list->items[list->count++] = item;
  return true;
}

bool jinja_dict_find(jinja_session *j, const jinja_dict *dict, jinja_value key,
                     const jinja_value **found) {
  *found = NULL;
  for (size_t i = 0; i < dict->count; i++) {
    bool equal;
    if (!jinja_equal(j, &dict->keys[i], &key, &equal)) return false;
    if (equal) {
      *found = &dict->values[i];
      return true;
    }
  }
  return true;
}

bool jinja_dict_set(jinja_session *j, jinja_dict *dict, jinja_value key, jinja_value value) {
  if (key.kind != JINJA_STRING && key.kind != JINJA_NONE && !jinja_is_number(&key))
    return jinja_refuse(j, "a string or number as the key of a dict", &key);
  const jinja_value *found;
  if (!jinja_dict_find(j, dict, key, &found)) return false;
  if (found) {
    dict->values[found - dict->values] = value;
    return true;
  }
  if (dict->count == dict->capacity) {
    size_t capacity = dict->capacity ? dict->capacity * 2 : 4;
    if (!grow_values(j, &dict->keys, dict->count, capacity) ||
        !grow_values(j, &dict->values, dict->count, capacity))
      return false;
    dict->capacity = capacity;
  }
  dict->keys[dict->count] = key;
  dict->values[dict->count++] = value;
  return true;
}

const char *jinja_kind_name(jinja_kind kind) {
  switch (kind) {
    case JINJA_ABSENT: return "nothing";
    case JINJA_UNDEFINED: return "an undefined value";
    case JINJA_NONE: return "none";
    case JINJA_BOOL: return "a boolean";
    case JINJA_INT: return "an integer";
    case JINJA_FLOAT: return "a float";
    case JINJA_STRING: return "a string";
    case JINJA_LIST: return "a list";
    case JINJA_TUPLE: return "a tuple";
    case JINJA_DICT: return "a dict";
    case JINJA_NAMESPACE: return "a namespace";
    case JINJA_LOOP: return "the loop";
    case JINJA_MACRO: return "a macro";
    case JINJA_FUNCTION: return "a function";
    case JINJA_METHOD: return "a method";
  }
  return "a value";
}

bool jinja_refuse(jinja_session *j, const char *what, const jinja_value *value) {
  if (value->kind == JINJA_UNDEFINED)
    return jinja_fail(j, GUST_E_FORMAT,
                      "expected %s, found '%.*s', which is undefined; correct the template or "
                      "give it what it asks for",
                      what, JINJA_SHOWN(value->string));
  return jinja_fail(j, GUST_E_FORMAT, "expected %s, found %s; correct the template", what,
                    jinja_kind_name(value->kind));
}

bool jinja_truth(const jinja_value *value) {
  switch (value->kind) {
    case JINJA_ABSENT:
    case JINJA_UNDEFINED:
    case JINJA_NONE: return false;
    case JINJA_BOOL: return value->truth;
    case JINJA_INT: return value->integer != 0;
    case JINJA_FLOAT: return value->real < 0 || value->real > 0 || value->real != value->real;
    case JINJA_STRING: return value->string.count != 0;
    case JINJA_LIST:
    case JINJA_TUPLE: return value->list->count != 0;
    case JINJA_DICT: return value->dict->count != 0;
    default: return true;
  }
}

bool jinja_is_number(const jinja_value *value) {
  return value->kind == JINJA_BOOL || value->kind == JINJA_INT || value->kind == JINJA_FLOAT;
}

int64_t jinja_as_int(const jinja_value *value) {
  return value->kind == JINJA_BOOL ? value->truth : value->integer;
}

double jinja_as_float(const jinja_value *value) {
  return value->kind == JINJA_FLOAT ? value->real : (double)jinja_as_int(value);
}

static int compare_numbers(const jinja_value *a, const jinja_value *b) {
  if (a->kind != JINJA_FLOAT && b->kind != JINJA_FLOAT) {
    int64_t x = jinja_as_int(a), y = jinja_as_int(b);
    return x < y ? -1 : x > y;
  }
  double x = jinja_as_float(a), y = jinja_as_float(b);
  if (x < y) return -1;
  if (x > y) return 1;
  return x == x && y == y ? 0 : 2;
}

static bool lists_equal(jinja_session *j, const jinja_list *a, const jinja_list *b, bool *equal) {
  *equal = a->count == b->count;
  for (size_t i = 0; i < a->count && *equal; i++)
    if (!jinja_equal(j, &a->items[i], &b->items[i], equal)) return false;
  return true;
}

static bool dicts_equal(jinja_session *j, const jinja_dict *a, const jinja_dict *b, bool *equal) {
  *equal = a->count == b->count;
  for (size_t i = 0; i < a->count && *equal; i++) {
    const jinja_value *other;
    if (!jinja_dict_find(j, b, a->keys[i], &other)) return false;
    *equal = other != NULL;
    if (other && !jinja_equal(j, &a->values[i], other, equal)) return false;
  }
  return true;
}

bool jinja_equal(jinja_session *j, const jinja_value *a, const jinja_value *b, bool *equal) {
  *equal = false;
  if (!jinja_charge(j, 1)) return false;
  if (jinja_is_number(a) && jinja_is_number(b)) {
    *equal = compare_numbers(a, b) == 0;
    return true;
  }
  if (a->kind != b->kind) return true;
  bool done = true;
  switch (a->kind) {
    case JINJA_STRING:
      if (!jinja_charge(j, a->string.count / 64)) return false;
      *equal = jinja_same(a->string, b->string);
      break;
    case JINJA_LIST:
    case JINJA_TUPLE:
    case JINJA_DICT:
      if (!jinja_enter(j)) return false;
      done = a->kind == JINJA_DICT ? dicts_equal(j, a->dict, b->dict, equal)
                                   : lists_equal(j, a->list, b->list, equal);
      jinja_leave(j);
      break;
    case JINJA_NAMESPACE: *equal = a->dict == b->dict; break;
    case JINJA_LOOP: *equal = a->loop == b->loop; break;
    case JINJA_MACRO: *equal = a->macro == b->macro; break;
    case JINJA_FUNCTION: *equal = a->function == b->function; break;
    case JINJA_METHOD: *equal = a->method == b->method; break;
    default: *equal = true; break; /* none and none, undefined and undefined */
  }
  return done;
}

bool jinja_compare(jinja_session *j, const jinja_value *a, const jinja_value *b, int *order) {
  if (jinja_is_number(a) && jinja_is_number(b)) {
    *order = compare_numbers(a, b);
    return true;
  }
  if (a->kind == JINJA_STRING && b->kind == JINJA_STRING) {
    /* The order of UTF-8 bytes is that of code points. */
    size_t shorter = a->string.count < b->string.count ? a->string.count : b->string.count;
    if (!jinja_charge(j, shorter / 64)) return false;
    *order = shorter ? memcmp(a->string.bytes, b->string.bytes, shorter) : 0;
    if (*order == 0) *order = (a->string.count > shorter) - (b->string.count > shorter);
    *order = *order < 0 ? -1 : *order > 0;
    return true;
  }
  return jinja_refuse(j, "two numbers or two strings to put in order",
                      a->kind == JINJA_STRING || jinja_is_number(a) ? b : a);
}

bool jinja_contains(jinja_session *j, const jinja_value *container, const jinja_value *item,
                    bool *contains) {
  *contains = false;
  switch (container->kind) {
    case JINJA_UNDEFINED: return true;
    case JINJA_STRING: {
      if (item->kind != JINJA_STRING)
        return jinja_refuse(j, "a string to look for in a string", item);
      size_t at;
      if (!jinja_find(j, container->string, item->string, 0, &at)) return false;
      *contains = at != JINJA_NOWHERE;
      return true;
    }
    case JINJA_LIST:
    case JINJA_TUPLE:
      for (size_t i = 0; i < container->list->count && !*contains; i++)
        if (!jinja_equal(j, &container->list->items[i], item, contains)) return false;
      return true;
    case JINJA_DICT: {
      const jinja_value *found;
      if (!jinja_dict_find(j, container->dict, *item, &found)) return false;
      *contains = found != NULL;
      return true;
    }
    default: return jinja_refuse(j, "a string, list or dict after 'in'", container);
  }
}

static bool list_characters(jinja_session *j, jinja_string s, jinja_list *list) {
  for (size_t at = 0; at < s.count;) {
    size_t next = at + jinja_char_bytes(s, at);
    if (!jinja_append(j, list, jinja_str(jinja_cut(s, at, next)))) return false;
    at = next;
  }
  return true;
}

bool jinja_iterate(jinja_session *j, const jinja_value *value, const jinja_list **items) {
  if (value->kind == JINJA_LIST || value->kind == JINJA_TUPLE) {
    *items = value->list;
    return true;
  }
  jinja_value made;
  if (!jinja_new_list(j, &made)) return false;
  *items = made.list;
  switch (value->kind) {
    case JINJA_UNDEFINED: return true;
    case JINJA_STRING: return list_characters(j, value->string, made.list);
    case JINJA_DICT:
      for (size_t i = 0; i < value->dict->count; i++)
        if (!jinja_append(j, made.list, value->dict->keys[i])) return false;
      return true;
    default: return jinja_refuse(j, "a list, dict or string to go through", value);
  }
}

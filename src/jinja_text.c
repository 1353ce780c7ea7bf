#include "jinja_text.h"

#include <string.h>

#include "unicode_classes.h"

/* --- Characters --- */

size_t jinja_char_bytes(jinja_string s, size_t at) {
  uint32_t point;
  size_t bytes = gust_utf8_decode(s.bytes + at, s.count - at, &point);
  return bytes ? bytes : 1;
}

uint32_t jinja_char(jinja_string s, size_t at) {
  uint32_t point;
  return gust_utf8_decode(s.bytes + at, s.count - at, &point) ? point : 0xfffd;
}

size_t jinja_encode_char(uint32_t point, char out[4]) {
  if (point < 0x80) {
    out[0] = (char)point;
    return 1;
  }
  if (point < 0x800) {
    out[0] = (char)(0xc0 | point >> 6);
    out[1] = (char)(0x80 | (point & 0x3f));
    return 2;
  }
  if (point < 0x10000) {
    out[0] = (char)(0xe0 | point >> 12);
    out[1] = (char)(0x80 | (point >> 6 & 0x3f));
    out[2] = (char)(0x80 | (point & 0x3f));
    return 3;
  }
  out[0] = (char)(0xf0 | point >> 18);
  out[1] = (char)(0x80 | (point >> 12 & 0x3f));
  out[2] = (char)(0x80 | (point >> 6 & 0x3f));
  out[3] = (char)(0x80 | (point & 0x3f));
  return 4;
}

/* Python's str.isspace, which `\s` of its regular expressions shares. */
bool jinja_is_space(uint32_t c) {
  if (c < 0x80) return c == ' ' || (c >= 9 && c <= 13) || (c >= 28 && c <= 31);
  return c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 ||
         c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

size_t jinja_length(jinja_string s) {
  size_t length = 0;
  for (size_t at = 0; at < s.count; at += jinja_char_bytes(s, at)) length++;
  return length;
}

size_t jinja_offset(jinja_string s, size_t index) {
  size_t at = 0;
  while (index-- && at < s.count) at += jinja_char_bytes(s, at);
  return at;
}

/* The byte where the character that ends before byte `end` > 0 begins. */
static size_t char_before(jinja_string s, size_t end) {
  for (size_t back = 2; back <= 4 && back <= end; back++)
    if (jinja_char_bytes(jinja_cut(s, 0, end), end - back) == back) return end - back;
  return end - 1;
}

/* --- Searching and cutting --- */

bool jinja_find(jinja_session *j, jinja_string s, jinja_string part, size_t from, size_t *at) {
  *at = JINJA_NOWHERE;
  if (part.count > s.count || from > s.count - part.count) return true;
  if (part.count == 0) {
    *at = from;
    return true;
  }
  const char *begin = s.bytes + from;
  const char *last = s.bytes + (s.count - part.count);
  for (const char *p = begin; p <= last; p++) {
    const char *hit = memchr(p, part.bytes[0], (size_t)(last - p) + 1);
    size_t passed = (size_t)((hit ? hit : last) - p);
    /* What a hostile needle makes memcmp walk counts too. */
    if (!jinja_charge(j, 1 + passed / 64 + part.count / 64)) return false;
    if (!hit) return true;
    if (memcmp(hit, part.bytes, part.count) == 0) {
      *at = (size_t)(hit - s.bytes);
      return true;
    }
    p = hit;
  }
  return true;
}

/* The last place before byte `end` where `part` stands wholly. */
static bool find_last(jinja_session *j, jinja_string s, jinja_string part, size_t end, size_t *at) {
  *at = JINJA_NOWHERE;
  for (size_t p = end; p >= part.count; p--) {
    if (!jinja_charge(j, 1 + part.count / 64)) return false;
    if (memcmp(s.bytes + p - part.count, part.bytes, part.count) == 0) {
      *at = p - part.count;
      return true;
    }
    if (p == 0) break;
  }
  return true;
}

bool jinja_starts(jinja_string s, jinja_string prefix) {
  return prefix.count <= s.count && jinja_same(jinja_cut(s, 0, prefix.count), prefix);
}

bool jinja_ends(jinja_string s, jinja_string suffix) {
  return suffix.count <= s.count &&
         jinja_same(jinja_cut(s, s.count - suffix.count, s.count), suffix);
}

static bool in_set(jinja_string s, size_t at, const jinja_string *set) {
  if (!set) return jinja_is_space(jinja_char(s, at));
  jinja_string c = jinja_cut(s, at, at + jinja_char_bytes(s, at));
  for (size_t i = 0; i < set->count; i += jinja_char_bytes(*set, i))
    if (jinja_same(c, jinja_cut(*set, i, i + jinja_char_bytes(*set, i)))) return true;
  return false;
}

bool jinja_strip(jinja_session *j, jinja_string s, const jinja_string *set, bool left, bool right,
                 jinja_string *out) {
  size_t begin = 0, end = s.count, cost = set ? 1 + set->count : 1;
  while (left && begin < end) {
    if (!jinja_charge(j, cost)) return false;
    if (!in_set(s, begin, set)) break;
    begin += jinja_char_bytes(s, begin);
  }
  while (right && begin < end) {
    size_t before = char_before(s, end);
    if (!jinja_charge(j, cost)) return false;
    if (!in_set(jinja_cut(s, 0, end), before, set)) break;
    end = before;
  }
  *out = jinja_cut(s, begin, end);
  return true;
}

bool jinja_replace(jinja_session *j, jinja_string s, jinja_string old, jinja_string with,
                   size_t limit, jinja_string *out) {
  jinja_builder b = {0};
  size_t from = 0;
  for (size_t done = 0; done < limit; done++) {
    size_t at;
    if (!jinja_charge(j, 1) || !jinja_find(j, s, old, from, &at)) return false;
    if (at == JINJA_NOWHERE) break;
    if (old.count == 0) {
      /* The empty string stands before every character and at the end. */
      size_t next = from < s.count ? from + jinja_char_bytes(s, from) : from;
      if (!jinja_put(j, &b, with) || !jinja_put(j, &b, jinja_cut(s, from, next))) return false;
      if (next == from) break;
      from = next;
      continue;
    }
    if (!jinja_put(j, &b, jinja_cut(s, from, at)) || !jinja_put(j, &b, with)) return false;
    from = at + old.count;
  }
  if (!jinja_put(j, &b, jinja_cut(s, from, s.count))) return false;
  *out = jinja_built(&b);
  return true;
}

static bool split_spaces(jinja_session *j, jinja_string s, size_t limit, jinja_list *list) {
  for (size_t at = 0;;) {
    jinja_string rest = jinja_cut(s, at, s.count);
    if (!jinja_strip(j, rest, NULL, true, false, &rest)) return false;
    if (rest.count == 0) return true;
    at = s.count - rest.count;
    if (limit-- == 0) return jinja_append(j, list, jinja_str(rest));
    size_t end = at;
    while (end < s.count && !jinja_is_space(jinja_char(s, end))) end += jinja_char_bytes(s, end);
    if (!jinja_charge(j, (end - at) / 16)) return false;
    if (!jinja_append(j, list, jinja_str(jinja_cut(s, at, end)))) return false;
    at = end;
  }
}

static bool empty_separator(jinja_session *j) {
  return jinja_fail(j, GUST_E_FORMAT,
                    "expected a separator to split at, found an empty string; correct the "
                    "template");
}

bool jinja_split(jinja_session *j, jinja_string s, const jinja_string *separator, size_t limit,
                 jinja_list *list) {
  if (!separator) return split_spaces(j, s, limit, list);
  if (separator->count == 0) return empty_separator(j);
  size_t from = 0;
  for (; limit > 0; limit--) {
    size_t at;
    if (!jinja_find(j, s, *separator, from, &at)) return false;
    if (at == JINJA_NOWHERE) break;
    if (!jinja_append(j, list, jinja_str(jinja_cut(s, from, at)))) return false;
    from = at + separator->count;
  }
  return jinja_append(j, list, jinja_str(jinja_cut(s, from, s.count)));
}

static void reverse_items(jinja_list *list) {
  for (size_t i = 0; i < list->count / 2; i++) {
    jinja_value item = list->items[i];
    list->items[i] = list->items[list->count - 1 - i];
    list->items[list->count - 1 - i] = item;
  }
}

static bool split_spaces_right(jinja_session *j, jinja_string s, size_t limit, jinja_list *list) {
  for (;;) {
    if (!jinja_strip(j, s, NULL, false, true, &s)) return false;
    if (s.count == 0) return true;
    size_t begin = s.count;
    while (limit > 0 && begin > 0 && !jinja_is_space(jinja_char(s, char_before(s, begin))))
      begin = char_before(s, begin);
    if (limit-- == 0) return jinja_append(j, list, jinja_str(s));
    if (!jinja_charge(j, (s.count - begin) / 16)) return false;
    if (!jinja_append(j, list, jinja_str(jinja_cut(s, begin, s.count)))) return false;
    s = jinja_cut(s, 0, begin);
  }
}

bool jinja_split_right(jinja_session *j, jinja_string s, const jinja_string *separator,
                       size_t limit, jinja_list *list) {
  if (separator && separator->count == 0) return empty_separator(j);
  if (!separator) {
    if (!split_spaces_right(j, s, limit, list)) return false;
  } else {
    size_t end = s.count, at;
    for (; limit > 0; limit--) {
      if (!find_last(j, s, *separator, end, &at)) return false;
      if (at == JINJA_NOWHERE) break;
      if (!jinja_append(j, list, jinja_str(jinja_cut(s, at + separator->count, end)))) return false;
      end = at;
    }
    if (!jinja_append(j, list, jinja_str(jinja_cut(s, 0, end)))) return false;
  }
  reverse_items(list);
  return true;
}

static bool ends_line(uint32_t c) {
  return (c >= 10 && c <= 13) || (c >= 28 && c <= 30) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

bool jinja_split_lines(jinja_session *j, jinja_string s, bool keep_ends, jinja_list *list) {
  for (size_t begin = 0; begin < s.count;) {
    size_t end = begin;
    while (end < s.count && !ends_line(jinja_char(s, end))) end += jinja_char_bytes(s, end);
    size_t next = end < s.count ? end + jinja_char_bytes(s, end) : end;
    if (next < s.count && s.bytes[end] == '\r' && s.bytes[next] == '\n') next++;
    if (!jinja_charge(j, (next - begin) / 16)) return false;
    if (!jinja_append(j, list, jinja_str(jinja_cut(s, begin, keep_ends ? next : end))))
      return false;
    begin = next;
  }
  return true;
}

/* --- Letters --- */

/* The other case of a letter: *upper and *lower are the letter itself where it
 * has none. False: a letter with cases that the ranges below do not cover. */
static bool letter_cases(uint32_t c, uint32_t *upper, uint32_t *lower) {
  *upper = *lower = c;
  if (c < 0x80) {
    if (c >= 'a' && c <= 'z') *upper = c - 32;
    if (c >= 'A' && c <= 'Z') *lower = c + 32;
    return true;
  }
  if (c < 0xc0) return c != 0xb5; /* a micro sign's capital is Greek */
  if (c <= 0xfe) {
    if (c == 0xd7 || c == 0xf7) return true;
    if (c == 0xdf) return false; /* a sharp s has a capital of two letters */
    *(c < 0xe0 ? lower : upper) = c ^ 0x20;
    return true;
  }
  /* Pairs that alternate: even capitals, then odd ones. */
  if ((c >= 0x100 && c <= 0x12f) || (c >= 0x132 && c <= 0x137) || (c >= 0x14a && c <= 0x177)) {
    *(c & 1 ? upper : lower) = c ^ 1;
    return true;
  }
  if ((c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17e)) {
    if (c & 1)
      *lower = c + 1;
    else
      *upper = c - 1;
    return true;
  }
  if (c >= 0x391 && c <= 0x3ab && c != 0x3a2 && c != 0x3a3)
    *lower = c + 32; /* 3a3: final sigma */
  else if (c >= 0x3b1 && c <= 0x3cb && c != 0x3c2)
    *upper = c - 32;
  else if (c >= 0x410 && c <= 0x42f)
    *lower = c + 32;
  else if (c >= 0x430 && c <= 0x44f)
    *upper = c - 32;
  else if (c >= 0x400 && c <= 0x40f)
    *lower = c + 80;
  else if (c >= 0x450 && c <= 0x45f)
    *upper = c - 80;
  else if (c >= 0x460 && c <= 0x481)
    *(c & 1 ? upper : lower) = c ^ 1;
  else
    /* Blocks in which no letter has cases. */
    return (c >= 0x2b0 && c <= 0x36f && c != 0x345) || (c >= 0x590 && c <= 0x109f) ||
           (c >= 0x1100 && c <= 0x139f) || (c >= 0x1400 && c <= 0x1c7f) ||
           (c >= 0x2000 && c <= 0x20ff) || (c >= 0x2190 && c <= 0x24b5) ||
           (c >= 0x24ea && c <= 0x2bff) || (c >= 0x2e00 && c <= 0xa63f) ||
           (c >= 0xa800 && c <= 0xab2f) || (c >= 0xabc0 && c <= 0xfaff) ||
           (c >= 0xfb20 && c <= 0xff20) || (c >= 0xff5b && c <= 0x103ff) || c >= 0x1ea00;
  return true;
}

/* Where a word ends for the filter `title`. */
static bool title_breaks(uint32_t c) {
  return jinja_is_space(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
}

bool jinja_change_case(jinja_session *j, jinja_string s, jinja_case how, jinja_string *out) {
  char *bytes = jinja_alloc(j, s.count + 1, 1);
  if (!bytes || !jinja_charge(j, s.count / 4)) return false;
  bool first = true; /* the next letter begins a word */
  for (size_t at = 0, next; at < s.count; at = next) {
    next = at + jinja_char_bytes(s, at);
    uint32_t c = jinja_char(s, at), upper, lower;
    if (!letter_cases(c, &upper, &lower))
      return jinja_fail(j, GUST_E_UNSUPPORTED,
                        "expected letters gust knows both cases of, found U+%04X; leave the case "
                        "of this text alone",
                        (unsigned)c);
    bool up = how == JINJA_UPPER || (how != JINJA_LOWER && first);
    if (how == JINJA_TITLE)
      first = upper == lower;
    else
      first = how == JINJA_TITLE_FILTER && title_breaks(c);
    /* Both cases take as many bytes, so the marks stay in place. */
    if (upper == lower)
      memcpy(bytes + at, s.bytes + at, next - at);
    else
      jinja_encode_char(up ? upper : lower, bytes + at);
  }
  *out = (jinja_string){bytes, s.mark, s.count};
  return true;
}

#include "xml_check.h"

#include <stdbool.h>
#include <string.h>

#include "cli/utf8_check.h"

#define MOST_DEPTH 32
#define MOST_ATTRIBUTES 32

typedef struct name {
  const char *at;
  size_t bytes;
} name;

typedef struct xml_reader {
  const char *at, *end;
  const char *wrong;
} xml_reader;

static bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void fail(xml_reader *r, const char *what) {
  if (!r->wrong) r->wrong = what;
  r->at = r->end;
}

static void skip_space(xml_reader *r) {
  while (r->at < r->end && is_space(*r->at)) r->at++;
}

static bool take(xml_reader *r, const char *text) {
  size_t bytes = strlen(text);
  if ((size_t)(r->end - r->at) < bytes || memcmp(r->at, text, bytes) != 0) return false;
  r->at += bytes;
  return true;
}

static name take_name(xml_reader *r) {
  name n = {r->at, 0};
  while (r->at < r->end &&
         (*r->at == '-' || *r->at == ':' || *r->at == '_' || (*r->at >= '0' && *r->at <= '9') ||
          (*r->at >= 'A' && *r->at <= 'Z') || (*r->at >= 'a' && *r->at <= 'z')))
    r->at++;
  n.bytes = (size_t)(r->at - n.at);
  if (n.bytes == 0 || *n.at == '-' || (*n.at >= '0' && *n.at <= '9')) fail(r, "expected a name");
  return n;
}

static bool same(name a, name b) {
  return a.bytes == b.bytes && memcmp(a.at, b.at, a.bytes) == 0;
}

/* One character of text or of an attribute's value. */
static void take_character(xml_reader *r) {
  static const char *const references[] = {"&lt;", "&gt;", "&amp;", "&quot;", "&apos;"};
  if (*r->at == '&') {
    for (size_t i = 0; i < sizeof references / sizeof *references; i++)
      if (take(r, references[i])) return;
    fail(r, "an unknown reference");
    return;
  }
  size_t length = utf8_check_character(r->at, (size_t)(r->end - r->at));
  if (length == 0 || *r->at == '<' || ((unsigned char)*r->at < 0x20 && !is_space(*r->at)) ||
      (length == 3 &&
       (memcmp(r->at, "\xef\xbf\xbe", 3) == 0 || memcmp(r->at, "\xef\xbf\xbf", 3) == 0))) {
    fail(r, "a character XML does not allow");
    return;
  }
  r->at += length;
}

static void take_attributes(xml_reader *r) {
  name seen[MOST_ATTRIBUTES];
  size_t count = 0;
  for (;;) {
    const char *before = r->at;
    skip_space(r);
    if (r->at == r->end || *r->at == '>' || *r->at == '/') return;
    if (before == r->at) fail(r, "expected a space before an attribute");
    name n = take_name(r);
    for (size_t i = 0; i < count; i++)
      if (same(seen[i], n)) fail(r, "an attribute twice");
    if (count == MOST_ATTRIBUTES) fail(r, "too many attributes");
    if (!take(r, "=\"")) fail(r, "expected =\" after an attribute's name");
    if (r->wrong) return;
    seen[count++] = n;
    while (r->at < r->end && *r->at != '"') take_character(r);
    if (!take(r, "\"")) fail(r, "a value without an end");
  }
}

const char *xml_check(const char *text, size_t bytes) {
  xml_reader r = {text, text + bytes, NULL};
  name open[MOST_DEPTH];
  size_t depth = 0, roots = 0;
  while (r.at < r.end) {
    if (*r.at != '<') {
      if (depth == 0 && !is_space(*r.at)) fail(&r, "text outside of the element");
      if (r.at < r.end) take_character(&r);
    } else if (take(&r, "</")) {
      name n = take_name(&r);
      skip_space(&r);
      if (depth == 0 || !take(&r, ">") || !same(open[depth - 1], n))
        fail(&r, "an end tag that closes nothing");
      else
        depth--;
    } else {
      take(&r, "<");
      name n = take_name(&r);
      take_attributes(&r);
      if (depth == 0 && roots++) fail(&r, "a second element");
      if (take(&r, "/>") || r.wrong) continue;
      if (!take(&r, ">") || depth == MOST_DEPTH) fail(&r, "a tag without an end, or too deep");
      if (!r.wrong) open[depth++] = n;
    }
  }
  if (!r.wrong && (depth || !roots)) r.wrong = "an element without an end";
  return r.wrong ? r.wrong : "";
}

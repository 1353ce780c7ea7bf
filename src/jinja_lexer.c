/* Cuts a template into text and tags. White space control is jinja2's with
 * trim_blocks and lstrip_blocks: a block or comment takes the newline right
 * after it and the blanks before it when nothing else is on its line; '-' takes
 * all white space on its side, '+' none. */
#include <string.h>

#include "jinja_print.h"
#include "jinja_syntax.h"
#include "jinja_text.h"

#define MAX_BRACKETS 100u

typedef struct lexer {
  jinja_session *j;
  jinja_string s;
  size_t at;
  uint32_t line;
  bool line_starting; /* nothing but a newline before `at`, or nothing at all */
  jinja_token *tokens;
  size_t count, capacity;
  char closing[MAX_BRACKETS]; /* what closes each open bracket */
  unsigned open;
} lexer;

static bool lex_fail(lexer *x, const char *what, const char *found) {
  x->j->line = x->line;
  return jinja_fail(x->j, GUST_E_FORMAT, "expected %s, found %s; correct the template", what,
                    found);
}

static bool add_token(lexer *x, jinja_token_type type, jinja_string text) {
  if (x->count == x->capacity) {
    size_t capacity = x->capacity ? x->capacity * 2 : 256;
    jinja_token *grown = jinja_alloc(x->j, capacity, sizeof *grown);
    if (!grown) return false;
    if (x->count) memcpy(grown, x->tokens, x->count * sizeof *grown);
    x->tokens = grown;
    x->capacity = capacity;
  }
  x->tokens[x->count++] = (jinja_token){.type = type, .line = x->line, .text = text};
  return true;
}

static char peek(const lexer *x, size_t ahead) {
  return ahead < x->s.count - x->at ? x->s.bytes[x->at + ahead] : 0;
}

/* Moves on to byte `end`, counting lines. */
static void advance(lexer *x, size_t end) {
  for (; x->at < end; x->at++)
    if (x->s.bytes[x->at] == '\n') x->line++;
}

static size_t skip_spaces(const lexer *x, size_t at) {
  while (at < x->s.count && jinja_is_space(jinja_char(x->s, at))) at += jinja_char_bytes(x->s, at);
  return at;
}

/* The text from x->at to a tag at `end` whose white space sign is `sign`;
 * moves to the tag. */
static bool add_data(lexer *x, size_t end, char sign, bool lstrip) {
  size_t begin = x->at, stop = end;
  if (sign == '-') {
    jinja_string text = jinja_cut(x->s, begin, end);
    if (!jinja_strip(x->j, text, NULL, false, true, &text)) return false;
    stop = begin + text.count;
  } else if (sign != '+' && lstrip) {
    size_t line = end;
    while (line > begin && x->s.bytes[line - 1] != '\n') line--;
    if ((line > begin || x->line_starting) && skip_spaces(x, line) >= end) stop = line;
  }
  if (stop > begin && !add_token(x, JINJA_T_DATA, jinja_cut(x->s, begin, stop))) return false;
  advance(x, end);
  return true;
}

/* The end of a tag at byte `at`, such as "-%}": where what follows begins, or 0
 * when none is there. Only blocks and comments know '+' and take a newline. */
static size_t tag_end(const lexer *x, size_t at, char close, bool block) {
  size_t p = at;
  char sign = p < x->s.count ? x->s.bytes[p] : 0;
  if (sign == '-' || (block && sign == '+'))
    p++;
  else
    sign = 0;
  if (x->s.count - p < 2 || x->s.bytes[p] != close || x->s.bytes[p + 1] != '}') return 0;
  p += 2;
  if (sign == '-') return skip_spaces(x, p);
  if (block && sign == 0 && p < x->s.count && x->s.bytes[p] == '\n') p++;
  return p;
}

/* Ends a tag whose end tag_end found. */
static void leave_tag(lexer *x, size_t end) {
  advance(x, end);
  x->line_starting = end > 0 && x->s.bytes[end - 1] == '\n';
}

static bool lex_comment(lexer *x) {
  for (size_t p = x->at; p < x->s.count; p++) {
    size_t end = tag_end(x, p, '#', true);
    if (end) {
      leave_tag(x, end);
      return true;
    }
  }
  return lex_fail(x, "'#}' after '{#'", "the end of the template");
}

/* When "{% WORD %}" stands at byte `at`: where what follows begins, else 0. */
static size_t word_tag(const lexer *x, size_t at, const char *word, bool trims, char *sign) {
  jinja_string rest = jinja_cut(x->s, at, x->s.count);
  if (!jinja_starts(rest, jinja_text("{%"))) return 0;
  at += 2;
  *sign = at < x->s.count ? x->s.bytes[at] : 0;
  if (*sign == '-' || *sign == '+')
    at++;
  else
    *sign = 0;
  at = skip_spaces(x, at);
  if (!jinja_starts(jinja_cut(x->s, at, x->s.count), jinja_text(word))) return 0;
  at = skip_spaces(x, at + strlen(word));
  if (trims) return tag_end(x, at, '%', true);
  /* "{% raw %}" keeps the newline after it. */
  return tag_end(x, at, '%', false);
}

static bool lex_raw(lexer *x, size_t body) {
  leave_tag(x, body);
  for (size_t p = x->at; p < x->s.count; p++) {
    char sign;
    size_t end = x->s.bytes[p] == '{' ? word_tag(x, p, "endraw", true, &sign) : 0;
    if (!end) continue;
    if (!add_data(x, p, sign, true)) return false;
    leave_tag(x, end);
    return true;
  }
  return lex_fail(x, "the tag endraw", "the end of the template");
}

/* --- Inside a tag --- */

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/* Reads up to `digits` digits of `base` at s[*at]; their number is returned. */
static unsigned read_digits(jinja_string s, size_t *at, unsigned digits, int base,
                            uint32_t *value) {
  unsigned n = 0;
  for (*value = 0; n < digits && *at < s.count; n++, (*at)++) {
    int digit = hex_digit(s.bytes[*at]);
    if (digit < 0 || digit >= base) break;
    *value = *value * (uint32_t)base + (uint32_t)digit;
  }
  return n;
}

/* The escape after the backslash at s[*at - 1], written to out (4 bytes are
 * enough); moves *at past it. */
static bool unescape(lexer *x, jinja_string s, size_t *at, char *out, size_t *bytes) {
  static const char letters[] = "\\'\"abfnrtv", meanings[] = "\\'\"\a\b\f\n\r\t\v";
  char c = s.bytes[*at];
  const char *hit = c ? strchr(letters, c) : NULL;
  uint32_t point = 0;
  *bytes = 0;
  if (c == '\n') {
    (*at)++; /* a line that goes on */
  } else if (hit) {
    (*at)++;
    out[(*bytes)++] = meanings[hit - letters];
  } else if (c >= '0' && c <= '7') {
    read_digits(s, at, 3, 8, &point);
    *bytes = jinja_encode_char(point, out);
  } else if (c == 'x' || c == 'u' || c == 'U') {
    unsigned digits = c == 'x' ? 2 : c == 'u' ? 4 : 8;
    (*at)++;
    if (read_digits(s, at, digits, 16, &point) != digits || point > 0x10ffff ||
        (point >= 0xd800 && point <= 0xdfff))
      return lex_fail(x, "a character's number after \\x, \\u or \\U", "something else");
    *bytes = jinja_encode_char(point, out);
  } else if (c == 'N') {
    return lex_fail(x, "no \\N escape in a string", "one");
  } else {
    out[(*bytes)++] = '\\'; /* Python keeps what it does not know */
  }
  return true;
}

/* What a literal's inside means. */
static bool unescape_string(lexer *x, jinja_string s, jinja_string *out) {
  if (s.count == 0 || !memchr(s.bytes, '\\', s.count)) {
    *out = s;
    return true;
  }
  /* "\7" makes one byte of two and "\U0001F600" four of ten; "\d" stays. */
  char *text = jinja_alloc(x->j, s.count + 4, 1);
  if (!text) return false;
  size_t n = 0;
  for (size_t at = 0; at < s.count;) {
    size_t bytes = 0;
    if (s.bytes[at++] != '\\') {
      text[n++] = s.bytes[at - 1];
    } else if (!unescape(x, s, &at, text + n, &bytes)) {
      return false;
    }
    n += bytes;
  }
  *out = (jinja_string){text, NULL, n};
  return true;
}

static bool lex_string(lexer *x) {
  char quote = x->s.bytes[x->at];
  size_t end = x->at + 1;
  while (end < x->s.count && x->s.bytes[end] != quote) end += x->s.bytes[end] == '\\' ? 2 : 1;
  if (end >= x->s.count) return lex_fail(x, "a closing quote", "the end of the template");
  jinja_string text;
  if (!unescape_string(x, jinja_cut(x->s, x->at + 1, end), &text) ||
      !add_token(x, JINJA_T_STRING, text))
    return false;
  advance(x, end + 1);
  return true;
}

static size_t skip_digits(const lexer *x, size_t at) {
  while (at < x->s.count && x->s.bytes[at] >= '0' && x->s.bytes[at] <= '9') at++;
  return at;
}

/* Past ".5" and "e-3" behind the digits that end at `at`; `at` when neither. */
static size_t skip_fraction(const lexer *x, size_t at) {
  const char *b = x->s.bytes;
  size_t end = at;
  if (end < x->s.count && b[end] == '.' && skip_digits(x, end + 1) > end + 1)
    end = skip_digits(x, end + 1);
  if (end < x->s.count && (b[end] == 'e' || b[end] == 'E')) {
    size_t digits = end + 1;
    if (digits < x->s.count && (b[digits] == '+' || b[digits] == '-')) digits++;
    if (skip_digits(x, digits) > digits) end = skip_digits(x, digits);
  }
  return end;
}

static bool lex_number(lexer *x) {
  size_t digits = skip_digits(x, x->at);
  bool after_dot = x->at > 0 && x->s.bytes[x->at - 1] == '.'; /* "list.0.5" has no float */
  size_t end = after_dot ? digits : skip_fraction(x, digits);
  jinja_string text = jinja_cut(x->s, x->at, end);
  if (!add_token(x, end > digits ? JINJA_T_FLOAT : JINJA_T_INT, text)) return false;
  jinja_token *token = &x->tokens[x->count - 1];
  if (end > digits) {
    if (!jinja_parse_float(text, &token->real))
      return lex_fail(x, "a float of sane length", "a longer one");
  } else {
    if (text.count > 1 && text.bytes[0] == '0')
      return lex_fail(x, "a decimal number without leading zeros", "one with them");
    token->integer = 0;
    for (size_t i = 0; i < text.count; i++) {
      int digit = text.bytes[i] - '0';
      if (token->integer > (INT64_MAX - digit) / 10)
        return lex_fail(x, "an integer below 2^63", "a larger one");
      token->integer = token->integer * 10 + digit;
    }
  }
  advance(x, end);
  return true;
}

static bool name_char(char c, bool first) {
  return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (!first && c >= '0' && c <= '9');
}

static bool lex_name(lexer *x) {
  size_t end = x->at + 1;
  while (end < x->s.count && name_char(x->s.bytes[end], false)) end++;
  if (!add_token(x, JINJA_T_NAME, jinja_cut(x->s, x->at, end))) return false;
  advance(x, end);
  return true;
}

static bool track_bracket(lexer *x, char c) {
  static const char opening[] = "([{", closing[] = ")]}";
  const char *hit = strchr(opening, c);
  if (hit) {
    if (x->open == MAX_BRACKETS) return lex_fail(x, "at most 100 open brackets", "more");
    x->closing[x->open++] = closing[hit - opening];
  } else if (strchr(closing, c)) {
    const char found[] = {'\'', c, '\'', 0};
    if (x->open == 0) return lex_fail(x, "an open bracket before its closing one", found);
    const char wanted[] = {'\'', x->closing[x->open - 1], '\'', 0};
    if (wanted[1] != c) return lex_fail(x, wanted, found);
    x->open--;
  }
  return true;
}

static bool lex_operator(lexer *x) {
  static const struct {
    char spelled[3];
    jinja_token_type type;
  } operators[] = {{"**", JINJA_T_POW},     {"//", JINJA_T_FLOORDIV}, {"==", JINJA_T_EQ},
                   {"!=", JINJA_T_NE},      {">=", JINJA_T_GE},       {"<=", JINJA_T_LE},
                   {">", JINJA_T_GT},       {"<", JINJA_T_LT},        {"=", JINJA_T_ASSIGN},
                   {"+", JINJA_T_ADD},      {"-", JINJA_T_SUB},       {"*", JINJA_T_MUL},
                   {"/", JINJA_T_DIV},      {"%", JINJA_T_MOD},       {"~", JINJA_T_TILDE},
                   {"(", JINJA_T_LPAREN},   {")", JINJA_T_RPAREN},    {"[", JINJA_T_LBRACKET},
                   {"]", JINJA_T_RBRACKET}, {"{", JINJA_T_LBRACE},    {"}", JINJA_T_RBRACE},
                   {"|", JINJA_T_PIPE},     {".", JINJA_T_DOT},       {",", JINJA_T_COMMA},
                   {":", JINJA_T_COLON},    {";", JINJA_T_SEMICOLON}};
  jinja_string rest = jinja_cut(x->s, x->at, x->s.count);
  for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
    jinja_string spelled = jinja_text(operators[i].spelled);
    if (!jinja_starts(rest, spelled)) continue;
    if (!track_bracket(x, spelled.bytes[0])) return false;
    if (!add_token(x, operators[i].type, jinja_cut(rest, 0, spelled.count))) return false;
    x->at += spelled.count;
    return true;
  }
  x->j->line = x->line;
  return jinja_fail(x->j, GUST_E_FORMAT,
                    "expected a name, value or operator, found the character U+%04X; correct the "
                    "template",
                    (unsigned)jinja_char(x->s, x->at));
}

/* The inside of "{% ... %}" or "{{ ... }}" up to its end. */
static bool lex_tag(lexer *x, bool block) {
  x->open = 0;
  while (x->at < x->s.count) {
    size_t end = x->open ? 0 : tag_end(x, x->at, block ? '%' : '}', block);
    if (end) {
      jinja_token_type type = block ? JINJA_T_BLOCK_END : JINJA_T_VARIABLE_END;
      if (!add_token(x, type, jinja_text(block ? "%}" : "}}"))) return false;
      leave_tag(x, end);
      return true;
    }
    char c = peek(x, 0);
    bool done = true;
    if (jinja_is_space(jinja_char(x->s, x->at)))
      advance(x, skip_spaces(x, x->at));
    else if (c >= '0' && c <= '9')
      done = lex_number(x);
    else if (name_char(c, true))
      done = lex_name(x);
    else if (c == '\'' || c == '"')
      done = lex_string(x);
    else
      done = lex_operator(x);
    if (!done) return false;
  }
  return lex_fail(x, block ? "'%}' after '{%'" : "'}}' after '{{'", "the end of the template");
}

/* The next "{%", "{{" or "{#" at or after x->at; the source's end if none. */
static size_t find_tag(const lexer *x) {
  for (size_t p = x->at; p + 1 < x->s.count; p++)
    if (x->s.bytes[p] == '{' && strchr("%{#", x->s.bytes[p + 1]) && x->s.bytes[p + 1]) return p;
  return x->s.count;
}

static bool lex_template(lexer *x) {
  while (x->at < x->s.count) {
    size_t tag = find_tag(x);
    if (tag == x->s.count) return add_data(x, tag, '+', false);
    char kind = x->s.bytes[tag + 1], raw_sign = 0;
    char sign = tag + 2 < x->s.count ? x->s.bytes[tag + 2] : 0;
    if (sign != '-' && sign != '+') sign = 0;
    size_t raw = word_tag(x, tag, "raw", false, &raw_sign);
    if (!add_data(x, tag, sign, kind != '{')) return false;
    if (raw) {
      if (!lex_raw(x, raw)) return false;
      continue;
    }
    x->at = tag + 2 + (sign != 0);
    if (kind == '#') {
      if (!lex_comment(x)) return false;
      continue;
    }
    bool block = kind == '%';
    jinja_token_type type = block ? JINJA_T_BLOCK_BEGIN : JINJA_T_VARIABLE_BEGIN;
    if (!add_token(x, type, jinja_text(block ? "{%" : "{{")) || !lex_tag(x, block)) return false;
  }
  return true;
}

/* A copy with every line ended by "\n", without the last line's end. */
static bool normalize_lines(jinja_session *j, jinja_string *source) {
  char *text = jinja_alloc(j, source->count + 1, 1);
  if (!text) return false;
  size_t n = 0;
  for (size_t i = 0; i < source->count; i++) {
    char c = source->bytes[i];
    if (c == '\r') {
      c = '\n';
      if (i + 1 < source->count && source->bytes[i + 1] == '\n') i++;
    }
    text[n++] = c;
  }
  if (n > 0 && text[n - 1] == '\n') n--;
  *source = (jinja_string){text, NULL, n};
  return true;
}

bool jinja_lex(jinja_session *j, jinja_string source, jinja_token **tokens) {
  if (source.count > JINJA_MAX_SOURCE)
    return jinja_fail(j, GUST_E_UNSUPPORTED,
                      "expected a template of at most %zu bytes, found %zu; shorten it",
                      JINJA_MAX_SOURCE, source.count);
  if (!normalize_lines(j, &source)) return false;
  lexer x = {.j = j, .s = source, .line = 1, .line_starting = true};
  if (!lex_template(&x) || !add_token(&x, JINJA_T_END, jinja_text(""))) return false;
  *tokens = x.tokens;
  return true;
}

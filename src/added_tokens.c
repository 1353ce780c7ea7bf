/* Finding added tokens in text: at each place from the left the longest one, as
 * Hugging Face's tokenizers does. The tokens are sorted, so the ones that begin
 * with what has been read are a range, which each byte narrows. */
#include <stdlib.h>
#include <string.h>

#include "tokenizer_data.h"
#include "unicode_classes.h"

/* --- building ------------------------------------------------------------------- */

static int compare_tokens(const void *left, const void *right) {
  const gust_added_token *a = left, *b = right;
  int order = memcmp(a->pattern, b->pattern, a->bytes < b->bytes ? a->bytes : b->bytes);
  if (order) return order;
  if (a->bytes != b->bytes) return a->bytes < b->bytes ? -1 : 1;
  return a->id < b->id ? -1 : a->id > b->id;
}

static void finish_set(gust_added_set *set) {
  if (set->count) qsort(set->tokens, set->count, sizeof *set->tokens, compare_tokens);
  for (uint32_t i = 0; i < set->count; i++)
    set->begins[(unsigned char)set->tokens[i].pattern[0]] = true;
}

static gust_status allocate_sets(gust_tokenizer *t, gust_error *err) {
  size_t raw = 0, normalized = 0, pattern_bytes = 0;
  for (uint32_t i = 0; i < t->piece_count; i++) {
    if (!(t->flags[i] & GUST_PIECE_ADDED)) continue;
    if (t->flags[i] & GUST_PIECE_NORMALIZED) {
      uint32_t bytes;
      gust_spelling(t, i, &bytes);
      normalized++;
      pattern_bytes += GUST_SPACE_MARK_BYTES * ((size_t)bytes + 1);
    } else {
      raw++;
    }
  }
  size_t bytes = (raw + normalized + 2) * sizeof *t->raw.tokens + pattern_bytes + 1;
  t->raw.tokens = malloc((raw + 1) * sizeof *t->raw.tokens);
  t->normalized.tokens = malloc((normalized + 1) * sizeof *t->normalized.tokens);
  t->normalized_patterns = malloc(pattern_bytes + 1);
  if (!t->raw.tokens || !t->normalized.tokens || !t->normalized_patterns)
    return gust_fail_memory(err, "added tokens", bytes);
  return GUST_OK;
}

gust_status gust_added_tokens_create(gust_tokenizer *t, gust_error *err) {
  gust_status status = allocate_sets(t, err);
  if (status) return status;
  char *pattern = t->normalized_patterns;
  for (uint32_t i = 0; i < t->piece_count; i++) {
    if (!(t->flags[i] & GUST_PIECE_ADDED)) continue;
    gust_added_token token = {.flags = t->flags[i], .id = (int32_t)i};
    token.pattern = gust_spelling(t, i, &token.bytes);
    if (!(token.flags & GUST_PIECE_NORMALIZED)) {
      t->raw.tokens[t->raw.count++] = token;
      continue;
    }
    /* Normalized text is searched for the token normalized like any text. */
    if (!(t->options & GUST_TOKENIZER_METASPACE)) {
      bool prefix = (t->options & GUST_TOKENIZER_ADD_PREFIX) != 0;
      token.bytes = (uint32_t)gust_mark_spaces(t, prefix, token.pattern, token.bytes, pattern);
      token.pattern = pattern;
      pattern += token.bytes;
    }
    t->normalized.tokens[t->normalized.count++] = token;
  }
  finish_set(&t->raw);
  finish_set(&t->normalized);
  return GUST_OK;
}

void gust_added_tokens_clear(gust_tokenizer *t) {
  free(t->raw.tokens);
  free(t->normalized.tokens);
  free(t->normalized_patterns);
}

/* --- matching ------------------------------------------------------------------- */

/* The first of tokens [low, high), which agree on `depth` bytes, whose next byte
 * is at least `byte`. A token that ends there comes before all bytes. */
static uint32_t lower_bound(const gust_added_set *set, uint32_t low, uint32_t high, uint32_t depth,
                            int byte) {
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    const gust_added_token *token = &set->tokens[middle];
    int next = token->bytes > depth ? (unsigned char)token->pattern[depth] : -1;
    if (next < byte) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

/* Moves the cursor to `place` and returns where that is in the user's text. */
static size_t raw_place(gust_text_origin *o, size_t place) {
  if (place <= o->prefix) return o->origin;
  if (!o->marked) return o->origin + (place - o->prefix);
  if (o->at < o->prefix) {
    o->at = o->prefix;
    o->raw_at = o->origin;
  }
  while (o->at < place) o->at += o->raw[o->raw_at++] == ' ' ? GUST_SPACE_MARK_BYTES : 1;
  return o->raw_at;
}

/* Whether [begin, end) of the text being split overlaps a literal span. */
static bool touches_literal(gust_splitter *s, size_t begin, size_t end) {
  if (s->literal_count == 0) return false;
  size_t raw_begin = raw_place(&s->origin, begin);
  gust_text_origin ahead = s->origin;
  size_t raw_end = raw_place(&ahead, end);
  size_t low = 0, high = s->literal_count; /* the first span that ends past raw_begin */
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (s->literal[middle].end <= raw_begin) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low < s->literal_count && s->literal[low].begin < raw_end;
}

/* The longest token at `place` that touches no literal span, or NULL. */
static const gust_added_token *token_at(gust_splitter *s, size_t place) {
  const gust_added_set *set = s->set;
  const gust_added_token *best = NULL;
  uint32_t low = 0, high = set->count;
  for (uint32_t depth = 0; place + depth < s->bytes; depth++) {
    int byte = (unsigned char)s->text[place + depth];
    low = lower_bound(set, low, high, depth, byte);
    high = lower_bound(set, low, high, depth, byte + 1);
    if (low == high) break;
    const gust_added_token *token = &set->tokens[low];
    if (token->bytes == depth + 1 && !touches_literal(s, place, place + token->bytes)) best = token;
  }
  return best;
}

/* --- what is around a match --------------------------------------------------------- */

/* The character that ends at `place` (which is not 0): its length, or 0. */
static size_t character_before(const char *text, size_t place, uint32_t *code) {
  for (size_t length = 1; length <= 4 && length <= place; length++) {
    if (gust_utf8_decode(text + place - length, length, code) == length) return length;
  }
  return 0;
}

static bool is_single_word(const gust_splitter *s, size_t begin, size_t end) {
  uint32_t code;
  if (begin > 0 && character_before(s->text, begin, &code) && gust_is_word_character(code))
    return false;
  return end == s->bytes || !gust_utf8_decode(s->text + end, s->bytes - end, &code) ||
         !gust_is_word_character(code);
}

static size_t skip_space_before(const gust_splitter *s, size_t begin) {
  uint32_t code;
  while (begin > s->done) {
    size_t length = character_before(s->text, begin, &code);
    if (!length || !gust_is_white_space(code) || length > begin - s->done) break;
    begin -= length;
  }
  return begin;
}

static size_t skip_space_after(const gust_splitter *s, size_t end) {
  uint32_t code;
  while (end < s->bytes) {
    size_t length = gust_utf8_decode(s->text + end, s->bytes - end, &code);
    if (!length || !gust_is_white_space(code)) break;
    end += length;
  }
  return end;
}

/* --- splitting ---------------------------------------------------------------------- */

static const gust_added_token *next_token(gust_splitter *s) {
  while (s->scan < s->bytes) {
    const gust_added_token *token =
        s->set->begins[(unsigned char)s->text[s->scan]] ? token_at(s, s->scan) : NULL;
    if (!token) {
      s->scan++;
      continue;
    }
    size_t begin = s->scan;
    s->scan += token->bytes;
    if (!(token->flags & GUST_PIECE_SINGLE_WORD) || is_single_word(s, begin, s->scan)) return token;
  }
  return NULL;
}

bool gust_splitter_next(gust_splitter *s, gust_text_part *part) {
  if (s->pending >= 0) {
    *part = (gust_text_part){s->done, s->done, s->pending};
    s->pending = -1;
    return true;
  }
  const gust_added_token *token = s->set->count ? next_token(s) : NULL;
  if (!token) {
    if (s->done >= s->bytes) return false;
    *part = (gust_text_part){s->done, s->bytes, -1};
    s->done = s->bytes;
    s->scan = s->bytes;
    return true;
  }
  size_t end = s->scan, begin = end - token->bytes;
  if (begin > s->done && (token->flags & GUST_PIECE_LSTRIP)) begin = skip_space_before(s, begin);
  if (token->flags & GUST_PIECE_RSTRIP) end = skip_space_after(s, end);
  *part = (gust_text_part){begin, end, token->id};
  if (begin > s->done) {
    *part = (gust_text_part){s->done, begin, -1};
    s->pending = token->id;
  }
  if (end > s->done) s->done = end;
  return true;
}

#include "tensor_types.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void tensor_types_assign(gust_header *header, gust_type matrix_type) {
  for (size_t i = 0; i < header->tensor_count; i++) {
    gust_tensor_spec spec = gust_config_tensor(&header->config, i);
    header->tensors[i].type = gust_tensor_usual_type(&spec, matrix_type);
  }
}

/* --- by name -------------------------------------------------------------------------- */

/* Whether the pattern of `bytes` bytes matches the whole name. A * that turns out to
 * be too short is extended, which only the last one ever needs to be. */
static bool matches(const char *pattern, size_t bytes, const char *name) {
  size_t p = 0, star = bytes;
  const char *resume = NULL;
  while (*name) {
    if (p < bytes && pattern[p] == '*') {
      star = p++;
      resume = name;
    } else if (p < bytes && (pattern[p] == '?' || pattern[p] == *name)) {
      p++;
      name++;
    } else if (resume) {
      p = star + 1;
      name = ++resume;
    } else {
      return false;
    }
  }
  while (p < bytes && pattern[p] == '*') p++;
  return p == bytes;
}

static gust_status keep_one(gust_header *header, const char *rule, bool *kept, gust_error *err) {
  const char *equals = strrchr(rule, '=');
  gust_type type;
  if (!equals || equals == rule || !gust_type_parse(equals + 1, &type))
    return gust_fail(err, GUST_E_ARGUMENT,
                     "keep: expected PATTERN=TYPE with type " GUST_TYPE_NAMES ", found '%.200s'",
                     rule);
  size_t found = 0;
  for (size_t i = 0; i < header->tensor_count; i++) {
    gust_tensor *t = &header->tensors[i];
    if (t->rank == 1 || !matches(rule, (size_t)(equals - rule), t->name)) continue;
    t->type = type;
    kept[i] = true;
    found++;
  }
  if (found) return GUST_OK;
  return gust_fail(err, GUST_E_ARGUMENT,
                   "keep: expected a pattern that matches a matrix of the model, such as "
                   "'*.down_proj.weight', found '%.*s', which matches none",
                   (int)(equals - rule < 200 ? equals - rule : 200), rule);
}

gust_status tensor_types_keep(gust_header *header, const char *const *rules, size_t count,
                              bool *kept, gust_error *err) {
  gust_status status = GUST_OK;
  for (size_t i = 0; i < count && !status; i++) status = keep_one(header, rules[i], kept, err);
  return status;
}

/* --- by sensitivity ---------------------------------------------------------------------- */

bool tensor_types_is_quantized(const gust_tensor *t) {
  return t->type == GUST_TYPE_Q4 || t->type == GUST_TYPE_Q8;
}

static double weights_of(const gust_tensor *t) {
  return (double)t->shape[0] * (double)t->shape[1];
}

static double bytes_as(const gust_tensor *t, gust_type type) {
  uint64_t bytes = 0;
  gust_tensor_bytes(type, t->rank, t->shape, &bytes);
  return (double)bytes;
}

double tensor_types_bits(const gust_header *header) {
  double bytes = 0, weights = 0;
  for (size_t i = 0; i < header->tensor_count; i++) {
    const gust_tensor *t = &header->tensors[i];
    if (!tensor_types_is_quantized(t)) continue;
    bytes += bytes_as(t, t->type);
    weights += weights_of(t);
  }
  return weights > 0 ? 8 * bytes / weights : 0;
}

typedef struct type_raise {
  size_t tensor;
  double bytes; /* that q8 takes more than q4 */
  double gain;  /* error it takes away, per byte */
} type_raise;

static int by_gain(const void *a, const void *b) {
  const type_raise *x = a, *y = b;
  if (x->gain != y->gain) return x->gain > y->gain ? -1 : 1;
  return x->tensor < y->tensor ? -1 : 1;
}

static void set_free(gust_header *header, const bool *kept, gust_type type) {
  for (size_t i = 0; i < header->tensor_count; i++)
    if (tensor_types_is_quantized(&header->tensors[i]) && !kept[i]) header->tensors[i].type = type;
}

/* All free matrices are q4 now; `room` bytes are left. */
static gust_status raise_best(gust_header *header, const tensor_sensitivity *sensitivities,
                              const bool *kept, double room, gust_error *err) {
  size_t count = 0, bytes = (header->tensor_count + 1) * sizeof(type_raise);
  type_raise *raises = malloc(bytes);
  if (!raises) return gust_fail_memory(err, "choice of types", bytes);
  for (size_t i = 0; i < header->tensor_count; i++) {
    const gust_tensor *t = &header->tensors[i];
    if (!tensor_types_is_quantized(t) || kept[i]) continue;
    type_raise *r = &raises[count++];
    r->tensor = i;
    r->bytes = bytes_as(t, GUST_TYPE_Q8) - bytes_as(t, GUST_TYPE_Q4);
    r->gain = (sensitivities[i].q4 - sensitivities[i].q8) / r->bytes;
  }
  qsort(raises, count, sizeof *raises, by_gain);
  for (size_t i = 0; i < count; i++) {
    if (raises[i].bytes > room) continue;
    room -= raises[i].bytes;
    header->tensors[raises[i].tensor].type = GUST_TYPE_Q8;
  }
  free(raises);
  return GUST_OK;
}

/* To three digits, as it is printed, and not below. */
static double shown(double bits) {
  return ceil(bits * 1000) / 1000;
}

gust_status tensor_types_choose(gust_header *header, const tensor_sensitivity *sensitivities,
                                const bool *kept, double bits, gust_error *err) {
  set_free(header, kept, GUST_TYPE_Q8);
  double most = shown(tensor_types_bits(header));
  set_free(header, kept, GUST_TYPE_Q4);
  double least = tensor_types_bits(header), weights = 0;
  if (!(bits >= least && bits <= most))
    return gust_fail(
        err, GUST_E_ARGUMENT,
        "--target-bits: expected %.3f (all q4) to %.3f (all q8) for this checkpoint, found %.3f",
        shown(least), most, bits);
  for (size_t i = 0; i < header->tensor_count; i++)
    if (tensor_types_is_quantized(&header->tensors[i])) weights += weights_of(&header->tensors[i]);
  return raise_best(header, sensitivities, kept, (bits - least) * weights / 8, err);
}

/* --- telling ------------------------------------------------------------------------------- */

/* The kind of a matrix: what its name has before ".weight", after the last dot. */
static const char *kind_of(const char *name, size_t *bytes) {
  const char *end = strrchr(name, '.'), *begin = name;
  if (!end) end = name + strlen(name);
  for (const char *p = name; p < end; p++)
    if (*p == '.') begin = p + 1;
  *bytes = (size_t)(end - begin);
  return begin;
}

static bool same_kind(const gust_tensor *a, const gust_tensor *b) {
  size_t x, y;
  const char *first = kind_of(a->name, &x), *second = kind_of(b->name, &y);
  return b->rank == 2 && x == y && memcmp(first, second, x) == 0;
}

void tensor_types_describe(const gust_header *header, char *line, size_t bytes) {
  size_t at = 0;
  line[0] = 0;
  for (size_t i = 0; i < header->tensor_count; i++) {
    const gust_tensor *t = &header->tensors[i];
    size_t all = 0, precise = 0, kind_bytes;
    bool first = t->rank == 2;
    for (size_t j = 0; j < i && first; j++) first = !same_kind(t, &header->tensors[j]);
    for (size_t j = i; j < header->tensor_count && first; j++) {
      if (!same_kind(t, &header->tensors[j])) continue;
      all++;
      precise += header->tensors[j].type == GUST_TYPE_Q8;
    }
    if (!precise) continue;
    const char *kind = kind_of(t->name, &kind_bytes);
    int n = snprintf(line + at, bytes - at, "%s%.*s %zu of %zu", at ? ", " : "", (int)kind_bytes,
                     kind, precise, all);
    if (n < 0 || (size_t)n >= bytes - at) return;
    at += (size_t)n;
  }
}

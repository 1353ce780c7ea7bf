#include "safetensors.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "lfs_pointer.h"

/* What the reference implementation allows. */
#define MAX_HEADER_BYTES 100000000u
#define LENGTH_BYTES 8u

static const struct dtype {
  const char *name;
  size_t bytes;
} dtypes[] = {{"BF16", 2}, {"F16", 2}, {"F32", 4}};
#define DTYPE_COUNT (sizeof dtypes / sizeof *dtypes)

size_t safetensors_element_bytes(safetensors_dtype dtype) {
  return dtypes[dtype].bytes;
}

const char *safetensors_shape_text(const uint64_t *shape, uint32_t rank,
                                   char text[SAFETENSORS_SHAPE_TEXT]) {
  size_t at = 0;
  text[at++] = '[';
  for (uint32_t i = 0; i < rank; i++)
    at += (size_t)snprintf(text + at, SAFETENSORS_SHAPE_TEXT - at, "%s%" PRIu64, i ? ", " : "",
                           shape[i]);
  text[at++] = ']';
  text[at] = 0;
  return text;
}

/* --- header ------------------------------------------------------------------ */

/* Where an entry is read: for errors and for the bounds of the data. */
typedef struct header_reader {
  safetensors_file *file;
  const json_document *doc;
  uint64_t data_bytes;
  gust_error *err;
} header_reader;

static gust_status read_dtype(header_reader *r, const json_value *entry, safetensors_tensor *t) {
  const json_value *value;
  gust_status status = json_need(r->doc, entry, "dtype", JSON_STRING, &value, r->err);
  if (status) return status;
  for (size_t i = 0; i < DTYPE_COUNT; i++) {
    if (!json_text_is(value, dtypes[i].name)) continue;
    t->dtype = (safetensors_dtype)i;
    return GUST_OK;
  }
  size_t bytes;
  const char *text = json_text(value, &bytes);
  return gust_fail(r->err, GUST_E_UNSUPPORTED,
                   "%s: tensor '%s': dtype: expected BF16, F16 or F32, found '%.*s'; export the "
                   "checkpoint in one of those",
                   r->file->path, t->name, bytes > 40 ? 40 : (int)bytes, text);
}

static gust_status read_shape(header_reader *r, const json_value *entry, safetensors_tensor *t,
                              uint64_t *bytes) {
  const json_value *shape;
  gust_status status = json_need(r->doc, entry, "shape", JSON_ARRAY, &shape, r->err);
  if (status) return status;
  if (json_count(shape) > SAFETENSORS_MAX_RANK)
    return gust_fail(r->err, GUST_E_UNSUPPORTED,
                     "%s: tensor '%s': shape: expected at most %d dimensions, found %zu",
                     r->file->path, t->name, SAFETENSORS_MAX_RANK, json_count(shape));
  uint64_t product = dtypes[t->dtype].bytes;
  for (const json_value *v = json_first(shape); v; v = json_next(shape, v)) {
    int64_t size;
    if (!json_int64(v, 0, INT64_MAX, &size))
      return json_fail(r->doc, v, GUST_E_FORMAT, r->err,
                       "tensor '%s': shape: expected whole numbers from 0, found another value",
                       t->name);
    if (size && product > INT64_MAX / (uint64_t)size)
      return gust_fail(r->err, GUST_E_FORMAT,
                       "%s: tensor '%s': shape: expected less than 2^63 bytes, found more",
                       r->file->path, t->name);
    product *= (uint64_t)size;
    t->shape[t->rank++] = (uint64_t)size;
  }
  *bytes = product;
  return GUST_OK;
}

static gust_status read_offsets(header_reader *r, const json_value *entry, safetensors_tensor *t,
                                uint64_t bytes) {
  const json_value *offsets;
  gust_status status = json_need(r->doc, entry, "data_offsets", JSON_ARRAY, &offsets, r->err);
  if (status) return status;
  const json_value *first = json_first(offsets);
  const json_value *second = first ? json_next(offsets, first) : NULL;
  int64_t begin, end;
  if (json_count(offsets) != 2 || !json_int64(first, 0, INT64_MAX, &begin) ||
      !json_int64(second, begin, INT64_MAX, &end))
    return json_fail(r->doc, offsets, GUST_E_FORMAT, r->err,
                     "tensor '%s': data_offsets: expected [begin, end], found another value",
                     t->name);
  if ((uint64_t)end > r->data_bytes)
    return gust_fail(r->err, GUST_E_FORMAT,
                     "%s: tensor '%s': data_offsets: expected an end within the file's %" PRIu64
                     " bytes of data, found %" PRId64
                     " (past the end); the file is truncated: download it again",
                     r->file->path, t->name, r->data_bytes, end);
  if ((uint64_t)(end - begin) != bytes) {
    char text[SAFETENSORS_SHAPE_TEXT];
    return gust_fail(r->err, GUST_E_FORMAT,
                     "%s: tensor '%s': data_offsets: expected %" PRIu64
                     " bytes for %s of shape %s, found %" PRId64 "; download the file again",
                     r->file->path, t->name, bytes, dtypes[t->dtype].name,
                     safetensors_shape_text(t->shape, t->rank, text), end - begin);
  }
  t->offset = r->file->data_begin + (size_t)begin;
  t->bytes = (size_t)bytes;
  return GUST_OK;
}

static gust_status read_entry(header_reader *r, const json_value *entry, safetensors_tensor *t) {
  size_t key_bytes;
  const char *key = json_key(entry, &key_bytes);
  if (key_bytes == 0 || memchr(key, 0, key_bytes))
    return json_fail(r->doc, entry, GUST_E_FORMAT, r->err,
                     "expected a tensor name without NUL, found %s",
                     key_bytes ? "a NUL" : "an empty one");
  t->name = malloc(key_bytes + 1);
  if (!t->name) return gust_fail_memory(r->err, "tensor name", key_bytes + 1);
  memcpy(t->name, key, key_bytes);
  t->name[key_bytes] = 0;
  if (!json_is(entry, JSON_OBJECT))
    return json_fail(r->doc, entry, GUST_E_FORMAT, r->err,
                     "tensor '%s': expected an object, found %s", t->name,
                     json_type_name(json_type_of(entry)));
  uint64_t bytes = 0;
  gust_status status = read_dtype(r, entry, t);
  if (!status) status = read_shape(r, entry, t, &bytes);
  if (!status) status = read_offsets(r, entry, t, bytes);
  return status;
}

static gust_status read_entries(header_reader *r) {
  const json_value *root = json_root(r->doc);
  if (!json_is(root, JSON_OBJECT))
    return json_fail(r->doc, root, GUST_E_FORMAT, r->err,
                     "expected a header that is an object, found %s",
                     json_type_name(json_type_of(root)));
  size_t count = json_count(root);
  r->file->tensors = calloc(count ? count : 1, sizeof *r->file->tensors);
  if (!r->file->tensors)
    return gust_fail_memory(r->err, "tensor list", count * sizeof *r->file->tensors);
  for (const json_value *entry = json_first(root); entry; entry = json_next(root, entry)) {
    if (json_key_is(entry, "__metadata__")) continue;
    /* Counted before it is read, so that closing frees a half-read one. */
    gust_status status = read_entry(r, entry, &r->file->tensors[r->file->tensor_count++]);
    if (status) return status;
  }
  return GUST_OK;
}

static int compare_offsets(const void *a, const void *b) {
  const safetensors_tensor *x = a, *y = b;
  if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
  if (x->bytes != y->bytes) return x->bytes < y->bytes ? -1 : 1;
  return strcmp(x->name, y->name);
}

/* Every byte of data belongs to exactly one tensor. */
static gust_status check_cover(safetensors_file *file, gust_error *err) {
  size_t end = file->data_begin;
  qsort(file->tensors, file->tensor_count, sizeof *file->tensors, compare_offsets);
  for (size_t i = 0; i < file->tensor_count; i++) {
    const safetensors_tensor *t = &file->tensors[i];
    if (t->offset != end)
      return gust_fail(err, GUST_E_FORMAT,
                       "%s: tensor '%s': data_offsets: expected to begin at %zu, found %zu (%s the "
                       "tensor before it); download the file again",
                       file->path, t->name, end - file->data_begin, t->offset - file->data_begin,
                       t->offset < end ? "overlaps" : "leaves a gap after");
    end += t->bytes;
  }
  if (end != file->map.bytes)
    return gust_fail(err, GUST_E_FORMAT,
                     "%s: expected tensors for all %zu bytes of data, found them to end at %zu "
                     "(leaves a gap at the end); download the file again",
                     file->path, file->map.bytes - file->data_begin, end - file->data_begin);
  return GUST_OK;
}

static gust_status read_header(safetensors_file *file, gust_error *err) {
  gust_status pointer = lfs_pointer_refuse(file->map.data, file->map.bytes, file->path, err);
  if (pointer) return pointer;
  if (file->map.bytes < LENGTH_BYTES)
    return gust_fail(err, GUST_E_FORMAT,
                     "%s: expected a safetensors file of at least 8 bytes, found %zu; download it "
                     "again",
                     file->path, file->map.bytes);
  uint64_t length = 0;
  for (unsigned i = 0; i < LENGTH_BYTES; i++) length |= (uint64_t)file->map.data[i] << (8 * i);
  uint64_t most = file->map.bytes - LENGTH_BYTES;
  if (most > MAX_HEADER_BYTES) most = MAX_HEADER_BYTES;
  if (length > most)
    return gust_fail(err, GUST_E_FORMAT,
                     "%s: expected a header of at most %" PRIu64 " bytes, found %" PRIu64
                     "; the file is truncated or no safetensors file: download it again",
                     file->path, most, length);
  file->data_begin = LENGTH_BYTES + (size_t)length;
  json_document *doc = NULL;
  gust_status status = json_parse(&doc, (const char *)file->map.data + LENGTH_BYTES, (size_t)length,
                                  file->path, JSON_UNIQUE_KEYS, err);
  status = json_advise(status, err);
  header_reader r = {file, doc, file->map.bytes - file->data_begin, err};
  if (!status) status = read_entries(&r);
  json_free(doc);
  return status ? status : check_cover(file, err);
}

gust_status safetensors_open(safetensors_file *file, const char *path, gust_error *err) {
  memset(file, 0, sizeof *file);
  size_t path_bytes = strlen(path) + 1;
  file->path = malloc(path_bytes);
  if (!file->path) return gust_fail_memory(err, "path", path_bytes);
  memcpy(file->path, path, path_bytes);
  if (!os_map_file(&file->map, path))
    return gust_fail(err, GUST_E_IO, "%s: expected a readable safetensors file, found: %s%s", path,
                     os_error_text(errno),
                     errno == ENOENT ? "; the checkpoint is incomplete: download it again" : "");
  gust_status status = read_header(file, err);
  gust_status changed = safetensors_check(file, err);
  return changed ? changed : status;
}

gust_status safetensors_check(const safetensors_file *file, gust_error *err) {
  uint64_t bytes;
  if (os_map_unchanged(&file->map, &bytes)) return GUST_OK;
  return gust_fail_changed(err, file->path, file->map.bytes, bytes);
}

void safetensors_close(safetensors_file *file) {
  for (size_t i = 0; i < file->tensor_count; i++) free(file->tensors[i].name);
  free(file->tensors);
  os_unmap_file(&file->map);
  free(file->path);
  memset(file, 0, sizeof *file);
}

/* --- weights -------------------------------------------------------------------- */

static uint32_t float_bits_of_half(uint32_t half) {
  uint32_t sign = (half & 0x8000) << 16, exponent = half >> 10 & 31, fraction = half & 0x3ff;
  if (exponent == 31) return sign | 0x7f800000 | fraction << 13;
  if (exponent) return sign | (exponent + 112) << 23 | fraction << 13;
  if (!fraction) return sign;
  /* A subnormal half is a normal float: move its leading bit to the top. */
  for (exponent = 113; !(fraction & 0x400); exponent--) fraction <<= 1;
  return sign | exponent << 23 | (fraction & 0x3ff) << 13;
}

static bool bits_are_finite(uint32_t bits) {
  return (bits & 0x7f800000) != 0x7f800000;
}

/* The type nearly all checkpoints have, in a loop that compilers vectorize; false
 * when a number is not finite. */
static bool floats_of_bf16(const uint8_t *data, size_t count, float *out) {
  uint32_t every_finite = 1;
  for (size_t i = 0; i < count; i++) {
    uint16_t half;
    memcpy(&half, data + 2 * i, sizeof half);
    uint32_t bits = (uint32_t)half << 16;
    every_finite &= bits_are_finite(bits);
    memcpy(out + i, &bits, sizeof bits);
  }
  return every_finite;
}

size_t safetensors_to_floats(safetensors_dtype dtype, const uint8_t *data, size_t count,
                             float *out) {
  if (dtype == SAFETENSORS_BF16 && floats_of_bf16(data, count, out)) return count;
  uint32_t every_finite = 1;
  for (size_t i = 0; i < count; i++) {
    uint32_t bits;
    if (dtype == SAFETENSORS_F32) {
      bits = (uint32_t)data[4 * i] | (uint32_t)data[4 * i + 1] << 8 |
             (uint32_t)data[4 * i + 2] << 16 | (uint32_t)data[4 * i + 3] << 24;
    } else {
      uint32_t half = (uint32_t)data[2 * i] | (uint32_t)data[2 * i + 1] << 8;
      bits = dtype == SAFETENSORS_BF16 ? half << 16 : float_bits_of_half(half);
    }
    every_finite &= bits_are_finite(bits);
    memcpy(out + i, &bits, sizeof bits);
  }
  if (every_finite) return count;
  for (size_t i = 0; i < count; i++) {
    uint32_t bits;
    memcpy(&bits, out + i, sizeof bits);
    if (!bits_are_finite(bits)) return i;
  }
  return count;
}

#include "protobuf.h"

#define MAX_FIELD 0x1fffffffu

protobuf_reader protobuf_open(const uint8_t *bytes, size_t count, const char *where,
                              gust_error *err) {
  static const uint8_t nothing[1];
  if (count == 0) bytes = nothing;
  return (protobuf_reader){bytes, bytes, bytes + count, where, err};
}

protobuf_reader protobuf_enter(const protobuf_reader *reader, const protobuf_field *field) {
  protobuf_reader inner = *reader;
  inner.at = field->data;
  inner.end = field->data + field->bytes;
  return inner;
}

static gust_status fail(const protobuf_reader *r, const char *expected, const char *found) {
  return gust_fail(r->err, GUST_E_FORMAT, "%s: byte %zu: expected %s, found %s", r->where,
                   (size_t)(r->at - r->file), expected, found);
}

static gust_status read_varint(protobuf_reader *r, uint64_t *value) {
  *value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (r->at == r->end) return fail(r, "a number", "the end of the message");
    uint8_t byte = *r->at++;
    if (shift == 63 && byte > 1) break;
    *value |= (uint64_t)(byte & 0x7f) << shift;
    if (byte < 0x80) return GUST_OK;
  }
  return fail(r, "a number of 64 bits", "a longer one");
}

static gust_status read_fixed(protobuf_reader *r, size_t bytes, uint64_t *value) {
  if ((size_t)(r->end - r->at) < bytes) return fail(r, "a number", "the end of the message");
  *value = 0;
  for (size_t i = 0; i < bytes; i++) *value |= (uint64_t)*r->at++ << 8 * i;
  return GUST_OK;
}

static gust_status read_bytes(protobuf_reader *r, protobuf_field *field) {
  uint64_t length;
  gust_status status = read_varint(r, &length);
  if (status) return status;
  if (length > (uint64_t)(r->end - r->at))
    return gust_fail(r->err, GUST_E_FORMAT,
                     "%s: byte %zu: expected a field of at most %zu bytes, found one of %llu; is "
                     "the file complete?",
                     r->where, (size_t)(r->at - r->file), (size_t)(r->end - r->at),
                     (unsigned long long)length);
  field->data = r->at;
  field->bytes = (size_t)length;
  r->at += length;
  return GUST_OK;
}

gust_status protobuf_next(protobuf_reader *r, protobuf_field *field, bool *more) {
  *field = (protobuf_field){.offset = (size_t)(r->at - r->file)};
  *more = r->at < r->end;
  if (!*more) return GUST_OK;
  uint64_t key;
  gust_status status = read_varint(r, &key);
  if (status) return status;
  if (key >> 3 == 0 || key >> 3 > MAX_FIELD) return fail(r, "a field number", "another value");
  field->number = (uint32_t)(key >> 3);
  switch (key & 7) {
    case 0: field->wire = PROTOBUF_VARINT; return read_varint(r, &field->value);
    case 1: field->wire = PROTOBUF_FIXED64; return read_fixed(r, 8, &field->value);
    case 2: field->wire = PROTOBUF_BYTES; return read_bytes(r, field);
    case 5: field->wire = PROTOBUF_FIXED32; return read_fixed(r, 4, &field->value);
    default: return fail(r, "a field of wire type 0, 1, 2 or 5", "another one");
  }
}

gust_status protobuf_expect(const protobuf_reader *r, const protobuf_field *field,
                            protobuf_wire wire, const char *name) {
  if (field->wire == wire) return GUST_OK;
  return gust_fail(r->err, GUST_E_FORMAT,
                   "%s: byte %zu: %s: expected wire type %d, found wire type %d", r->where,
                   field->offset, name, (int)wire, (int)field->wire);
}

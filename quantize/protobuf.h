/* The Protocol Buffers wire format, as much of it as reading needs. */
#ifndef GUST_PROTOBUF_H
#define GUST_PROTOBUF_H

#include "status.h"

typedef enum protobuf_wire {
  PROTOBUF_VARINT = 0,
  PROTOBUF_FIXED64 = 1,
  PROTOBUF_BYTES = 2,
  PROTOBUF_FIXED32 = 5
} protobuf_wire;

/* A message: bytes [at, end) of a file. */
typedef struct protobuf_reader {
  const uint8_t *file; /* where offsets in errors count from */
  const uint8_t *at, *end;
  const char *where;
  gust_error *err;
} protobuf_reader;

typedef struct protobuf_field {
  uint32_t number;
  protobuf_wire wire;
  uint64_t value;      /* of a varint, fixed64 or fixed32 */
  const uint8_t *data; /* of bytes: `bytes` of them */
  size_t bytes;
  size_t offset; /* where the field begins in the file */
} protobuf_field;

protobuf_reader protobuf_open(const uint8_t *bytes, size_t count, const char *where,
                              gust_error *err);
/* The message in a field of bytes. */
protobuf_reader protobuf_enter(const protobuf_reader *reader, const protobuf_field *field);

/* Reads one field; *more is false at the message's end. GUST_E_FORMAT where the
 * bytes are no message. */
gust_status protobuf_next(protobuf_reader *reader, protobuf_field *field, bool *more);

/* Fails unless the field is of that wire type. */
gust_status protobuf_expect(const protobuf_reader *reader, const protobuf_field *field,
                            protobuf_wire wire, const char *name);

#endif

/* Ids to text, character by character. Byte pieces wait until they make up a
 * whole character; bytes that no longer can become a U+FFFD each, and the one that
 * showed it may begin another. For valid text that is what Hugging Face's decoder
 * gives. That one turns a whole run of byte pieces to U+FFFD when there is a flaw
 * anywhere in it, which it can only do because it does not stream. */
#include "text_decoder.h"

#include <stdlib.h>
#include <string.h>

#include "model.h"
#include "unicode_classes.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */
#define REPLACEMENT_BYTES 3u

typedef struct byte_buffer {
  char *data;
  size_t count, room;
} byte_buffer;

struct gust_decoder {
  const gust_tokenizer *tokenizer;
  uint32_t size;   /* ids below this; those past the pieces have no text */
  char run[4];     /* byte pieces, the beginning of a character: */
  size_t waiting;  /* so many of them, not all of one */
  byte_buffer out; /* what the last call handed out */
  bool begun;      /* text has come out */
};

/* Room for `bytes` more, so that what follows cannot fail. */
static bool reserve(byte_buffer *buffer, size_t bytes) {
  if (buffer->room - buffer->count >= bytes) return true;
  if (bytes > SIZE_MAX / 2 - buffer->count) return false;
  size_t room = 2 * (buffer->count + bytes);
  char *data = realloc(buffer->data, room);
  if (!data) return false;
  buffer->data = data;
  buffer->room = room;
  return true;
}

/* Whether more bytes could make a character of these. Of the bytes that may
 * follow, the lowest and the highest stand for all. */
static bool may_become_utf8(const char *text, size_t bytes) {
  unsigned char lead = (unsigned char)text[0];
  size_t length = lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  char low[4], high[4];
  if (bytes >= length) return false;
  memset(low, 0x80, sizeof low);
  memset(high, 0xbf, sizeof high);
  memcpy(low, text, bytes);
  memcpy(high, text, bytes);
  return gust_utf8_valid(low, length) || gust_utf8_valid(high, length);
}

static void append(byte_buffer *buffer, const char *data, size_t bytes) {
  if (bytes) memcpy(buffer->data + buffer->count, data, bytes);
  buffer->count += bytes;
}

gust_status gust_decoder_create_on(gust_decoder **decoder, const gust_tokenizer *tokenizer,
                                   gust_error *err) {
  *decoder = calloc(1, sizeof **decoder);
  if (!*decoder) return gust_fail_memory(err, "a text decoder", sizeof **decoder);
  (*decoder)->tokenizer = tokenizer;
  (*decoder)->size = gust_tokenizer_size(tokenizer);
  return GUST_OK;
}

gust_status gust_decoder_create(gust_decoder **decoder, const gust_model *model, gust_error *err) {
  gust_status status = gust_decoder_create_on(decoder, model->tokenizer, err);
  if (!status) (*decoder)->size = gust_model_get_info(model)->vocab_size;
  return status;
}

void gust_decoder_destroy(gust_decoder *decoder) {
  if (!decoder) return;
  free(decoder->out.data);
  free(decoder);
}

/* Puts out U+FFFD for each of the `broken` bytes that waited and then `piece`, less the
 * sequence's leading space; none wait any longer. Nothing changes when memory is short. */
static gust_status emit(gust_decoder *d, size_t broken, const char *piece, size_t bytes,
                        const char **text, size_t *text_bytes, gust_error *err) {
  d->out.count = 0;
  size_t most = REPLACEMENT_BYTES * broken + bytes;
  if (!reserve(&d->out, most)) return gust_fail_memory(err, "decoded text", most);
  for (size_t i = 0; i < broken; i++) append(&d->out, REPLACEMENT, REPLACEMENT_BYTES);
  append(&d->out, piece, bytes);
  d->waiting = 0;
  size_t skip = 0;
  if (!d->begun && d->out.count) {
    d->begun = true;
    if (gust_tokenizer_strips_prefix(d->tokenizer) && d->out.data[0] == ' ') skip = 1;
  }
  *text = d->out.count ? d->out.data + skip : "";
  *text_bytes = d->out.count - skip;
  return GUST_OK;
}

static gust_status push_byte(gust_decoder *d, char byte, const char **text, size_t *bytes,
                             gust_error *err) {
  size_t count = d->waiting + 1;
  d->run[d->waiting] = byte;
  if (may_become_utf8(d->run, count)) {
    d->waiting = count;
    return GUST_OK;
  }
  if (gust_utf8_valid(d->run, count)) return emit(d, 0, d->run, count, text, bytes, err);
  /* What waited is broken off: the byte stands for itself, begins anew, or is broken too. */
  if (gust_utf8_valid(&byte, 1)) return emit(d, d->waiting, &byte, 1, text, bytes, err);
  bool begins = may_become_utf8(&byte, 1);
  gust_status status = emit(d, begins ? d->waiting : count, NULL, 0, text, bytes, err);
  if (status || !begins) return status;
  d->run[0] = byte;
  d->waiting = 1;
  return GUST_OK;
}

gust_status gust_decoder_push(gust_decoder *d, int32_t id, const char **text, size_t *bytes,
                              gust_error *err) {
  *text = "";
  *bytes = 0;
  if (id < 0 || (uint32_t)id >= d->size)
    return gust_fail(err, GUST_E_ARGUMENT, "decoder: expected an id below %u, found %d", d->size,
                     (int)id);
  uint32_t flags = gust_tokenizer_flags(d->tokenizer, id);
  if (flags & GUST_PIECE_SPECIAL || (uint32_t)id >= gust_tokenizer_size(d->tokenizer))
    return GUST_OK;
  const char *piece;
  size_t piece_bytes;
  gust_tokenizer_piece(d->tokenizer, id, &piece, &piece_bytes);
  if (flags & GUST_PIECE_BYTE) return push_byte(d, *piece, text, bytes, err);
  return emit(d, d->waiting, piece, piece_bytes, text, bytes, err);
}

gust_status gust_decoder_finish(gust_decoder *d, const char **text, size_t *bytes,
                                gust_error *err) {
  *text = "";
  *bytes = 0;
  gust_status status = emit(d, d->waiting, NULL, 0, text, bytes, err);
  if (!status) d->begun = false;
  return status;
}

/* dequantize IN.gust OUT.gust: the weights a file stands for, as an f32 file.
 *
 * An f32 file runs with exact activations. So the divergence of OUT from the
 * original's f32 file is what rounding the weights costs, and the divergence of
 * IN from OUT what rounding the activations costs (docs/QUALITY.md). Not
 * installed; it maps IN and holds one tensor of OUT. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checksum.h"
#include "file_writer.h"
#include "quantizers.h"

typedef struct work {
  os_map in;
  gust_header from, to; /* `to` owns nothing but its tensors */
  file_writer writer;
} work;

static gust_status write_tensor(work *w, const gust_tensor *from, gust_tensor *to,
                                gust_error *err) {
  size_t bytes = (size_t)to->bytes;
  uint8_t *out = malloc(bytes);
  if (!out) return gust_fail_memory(err, "tensor", bytes);
  const uint8_t *in = w->in.data + from->offset;
  if (from->rank == 1) {
    memcpy(out, in, bytes);
  } else {
    size_t k_padded = gust_round_up((size_t)from->shape[1], GUST_TILE_K);
    size_t panels = ((size_t)from->shape[0] + GUST_PANEL_ROWS - 1) / GUST_PANEL_ROWS;
    size_t panel_bytes = gust_type_panel_bytes(from->type, k_padded);
    const uint8_t *row_codes = in + panels * panel_bytes;
    for (size_t p = 0; p < panels; p++)
      gust_panel_unpack(from->type, in + p * panel_bytes, row_codes + p * GUST_PANEL_ROWS, k_padded,
                        (float *)(void *)(out + p * gust_f32_panel_bytes(k_padded)));
  }
  to->checksum = gust_xxh64_of(out, bytes, 0);
  gust_status status = file_writer_put(&w->writer, out, bytes, to->offset, err);
  free(out);
  return status;
}

static gust_status write_header(work *w, gust_error *err) {
  uint8_t *bytes;
  size_t count;
  gust_status status = gust_header_encode(&w->to, &bytes, &count, err);
  if (status) return status;
  status = file_writer_put(&w->writer, bytes, count, 0, err);
  free(bytes);
  return status;
}

static gust_status place(work *w, gust_error *err) {
  w->to = w->from;
  w->to.receipt = (gust_receipt){0}; /* says what IN computes */
  size_t tensor_bytes = w->from.tensor_count * sizeof *w->to.tensors;
  w->to.tensors = malloc(tensor_bytes);
  if (!w->to.tensors) return gust_fail_memory(err, "tensor table", tensor_bytes);
  memcpy(w->to.tensors, w->from.tensors, tensor_bytes);
  for (size_t i = 0; i < w->to.tensor_count; i++) w->to.tensors[i].type = GUST_TYPE_F32;
  uint8_t *bytes;
  size_t count;
  gust_status status = gust_header_encode(&w->to, &bytes, &count, err);
  if (status) return status;
  free(bytes);
  return gust_header_place(&w->to, count, err);
}

static gust_status dequantize(work *w, const char *in, const char *out, gust_error *err) {
  if (!os_map_file(&w->in, in)) return gust_fail(err, GUST_E_IO, "%s: cannot be read", in);
  gust_status status = gust_header_decode(&w->from, w->in.data, w->in.bytes, w->in.bytes, in, err);
  if (!status) status = place(w, err);
  uint64_t found;
  if (!status) status = file_writer_open(&w->writer, out, &found, err);
  if (!status) status = file_writer_restart(&w->writer, err);
  for (size_t i = 0; i < w->from.tensor_count && !status; i++)
    status = write_tensor(w, &w->from.tensors[i], &w->to.tensors[i], err);
  if (!status) status = write_header(w, err);
  return status ? status : file_writer_commit(&w->writer, w->to.file_bytes, err);
}

int main(int argc, char **argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: dequantize IN.gust OUT.gust\n");
    return 2;
  }
  work w = {.writer = FILE_WRITER_NONE};
  gust_error err = {0};
  gust_status status = dequantize(&w, argv[1], argv[2], &err);
  if (status) fprintf(stderr, "dequantize: %s\n", err.text);
  file_writer_close(&w.writer, false);
  free(w.to.tensors);
  gust_header_clear(&w.from);
  os_unmap_file(&w.in);
  return status ? 1 : 0;
}

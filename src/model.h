/* An open model: the mapped or copied file, its header, and typed views of the
 * tensors the forward pass uses. Internal to src. */
#ifndef GUST_MODEL_H
#define GUST_MODEL_H

#include "format.h"
#include "os.h"
#include "tokenizer.h"

/* A packed matrix: panels of 16 rows (kernels/panel.h). */
typedef struct gust_matrix {
  gust_type type;
  const uint8_t *panels;
  const uint8_t *row_codes; /* of quantized types */
  size_t panel_bytes, panel_count;
  size_t rows, k_padded;
} gust_matrix;

typedef struct gust_layer {
  const float *attention_norm, *ffn_norm; /* [hidden], zero-padded to 128 */
  gust_matrix q, k, v, o, gate, up, down;
} gust_layer;

struct gust_model {
  gust_header header;
  gust_model_info info;
  gust_tokenizer *tokenizer;
  char *path; /* of the file; NULL when there is none */
  os_map map; /* GUST_LOAD_MMAP, and while copying */
  void *copy; /* GUST_LOAD_COPY: the whole file in huge pages */
  size_t copy_bytes;
  const uint8_t *file; /* whichever of the two holds the bytes */
  gust_matrix embedding, head;
  const float *final_norm;
  gust_layer *layers;
};

/* The last step of making a model: points its typed views at the tensors that
 * `header` places in `file`, and fills in `info` (but info.load). `where` begins
 * errors. */
gust_status gust_model_resolve(gust_model *model, const char *where, gust_error *err);

/* Fails with GUST_E_IO when the mapped file was changed in place since it was opened:
 * to be asked after its weights were read and before what came of them is handed
 * out. A copy cannot change. */
gust_status gust_model_check_file(const gust_model *model, gust_error *err);

/* What GUST_LOAD_AUTO leaves free besides the copy: caches, scratch, other
 * programs. */
#define GUST_AUTO_HEADROOM ((uint64_t)1 << 30)

/* Whether it copies, given how much memory is available (0: unknown, it maps). */
static inline bool gust_auto_copies(uint64_t file_bytes, uint64_t available) {
  return available > GUST_AUTO_HEADROOM && file_bytes < available - GUST_AUTO_HEADROOM;
}

/* The configuration and the placed tensors of a synthetic model (gust.h), without
 * weights and tokenizer: what it would cost. For gust_header_clear. */
gust_status gust_synthetic_header(gust_header *header, const char *shape, const char *type,
                                  gust_error *err);

#endif

/* The .gust file: header structures and their encoding. docs/FORMAT.md is the
 * normative description; this is its implementation, shared by the reader
 * (src) and the writer (quantize).
 *
 * file = prologue (64 bytes) | sections | padding | tensors, little-endian. */
#ifndef GUST_FORMAT_H
#define GUST_FORMAT_H

#include "status.h"

#define GUST_FORMAT_MAGIC "GUST\r\n\x1a\n" /* 8 bytes; shows text-mode damage */
#define GUST_FORMAT_VERSION 1u
#define GUST_PROLOGUE_BYTES 64u
#define GUST_TENSOR_ALIGN 64u
#define GUST_LARGE_TENSOR_BYTES (2u << 20) /* tensors of this size or more ... */
#define GUST_LARGE_TENSOR_ALIGN (2u << 20) /* ... begin at such an offset */
#define GUST_MAX_EOS 8
#define GUST_MAX_HEADER_BYTES (64u << 20)

/* Tensor element types; the numbers are in the file. */
typedef enum gust_type {
  GUST_TYPE_F32 = 0,
  GUST_TYPE_BF16 = 1,
  GUST_TYPE_Q8 = 2,
  GUST_TYPE_Q4 = 3
} gust_type;
#define GUST_TYPE_COUNT 4

const char *gust_type_name(gust_type type);              /* "f32" ... */
bool gust_type_parse(const char *name, gust_type *type); /* false: unknown */
/* All of them, for messages. */
#define GUST_TYPE_NAMES "q4, q8, bf16 or f32"

/* Whether its matrices are codes with scales, to be multiplied with quantized
 * activations, and end with row codes; the others hold floats. */
bool gust_type_is_quantized(gust_type type);

typedef enum gust_arch { GUST_ARCH_LLAMA = 0, GUST_ARCH_MISTRAL = 1 } gust_arch;

/* Hyper-parameters. Ranges are checked on decoding (gust_config_check). */
typedef struct gust_config {
  gust_arch arch;
  uint32_t vocab_size, hidden_size, intermediate_size, layers;
  uint32_t heads, kv_heads, head_dim;
  uint32_t max_positions;
  uint32_t sliding_window; /* 0: none */
  double rope_theta;
  float norm_eps;
  bool tied_head; /* no lm_head.weight: the embedding is the output head */
  int32_t bos_id; /* -1: none */
  uint32_t eos_count;
  int32_t eos_ids[GUST_MAX_EOS];
} gust_config;

/* generation_config.json; a field the checkpoint lacks holds gust's default. */
typedef struct gust_generation {
  float temperature, top_p, min_p, repeat_penalty;
  uint32_t top_k, max_new_tokens;
} gust_generation;

typedef struct gust_tensor {
  char *name;
  gust_type type;
  uint32_t rank;     /* 1 (always f32) or 2 */
  uint64_t shape[2]; /* [rows = out features, columns = in features]; rank 1: [n, 1] */
  uint64_t offset;   /* from the start of the file */
  uint64_t bytes;    /* gust_tensor_bytes of type and shape */
  uint64_t checksum; /* XXH64, seed 0, of the bytes */
} gust_tensor;

typedef struct gust_source {
  char *name;
  uint64_t bytes;
  uint8_t sha256[32];
} gust_source;

/* Weights of one type: their error against the source, and what it is relative to. */
typedef struct gust_receipt_part {
  gust_type type;
  double error, energy; /* sum (w - w')^2, sum w^2; finite, not negative */
} gust_receipt_part;

/* What the converter found out about the file. Its length in the file depends on
 * part_count and `measured` alone. */
typedef struct gust_receipt {
  bool exists;
  uint32_t prompt_tokens; /* GUST_PROMPT_TOKENS, or 0: no hash yet */
  uint64_t logits_hash;
  size_t part_count;
  gust_receipt_part parts[GUST_TYPE_COUNT]; /* types ascending */
  bool measured;                            /* `quality` holds */
  gust_quality quality;
} gust_receipt;

/* A decoded header; owns everything it points to. */
typedef struct gust_header {
  gust_config config;
  gust_generation generation;
  uint8_t *tokenizer; /* gust_tokenizer_encode's bytes */
  size_t tokenizer_bytes;
  char *chat_template; /* NUL-terminated Jinja source, or NULL */
  gust_source *sources;
  size_t source_count;
  gust_receipt receipt;
  gust_tensor *tensors; /* in file order */
  size_t tensor_count;
  uint64_t file_bytes;
} gust_header;

/* Checks every range and relation (sizes not 0, heads a multiple of kv_heads,
 * products below 2^48 ...). `where` begins the error's line. */
gust_status gust_config_check(const gust_config *config, const char *where, gust_error *err);

/* What a tensor is for; those of a layer from GUST_ROLE_ATTENTION_NORM to GUST_ROLE_DOWN. */
typedef enum gust_tensor_role {
  GUST_ROLE_EMBEDDING,
  GUST_ROLE_ATTENTION_NORM,
  GUST_ROLE_Q,
  GUST_ROLE_K,
  GUST_ROLE_V,
  GUST_ROLE_O,
  GUST_ROLE_FFN_NORM,
  GUST_ROLE_GATE,
  GUST_ROLE_UP,
  GUST_ROLE_DOWN,
  GUST_ROLE_FINAL_NORM,
  GUST_ROLE_HEAD
} gust_tensor_role;
#define GUST_ROLE_COUNT 12

/* A tensor that a model has. */
typedef struct gust_tensor_spec {
  char name[64];
  gust_tensor_role role;
  uint32_t layer, rank;
  uint64_t shape[2];
} gust_tensor_spec;

/* The tensors of a checked configuration: how many, those by number, in the order of
 * docs/FORMAT.md, and the one of a name; false: there is none. */
size_t gust_config_tensor_count(const gust_config *config);
gust_tensor_spec gust_config_tensor(const gust_config *config, size_t index);
bool gust_config_find_tensor(const gust_config *config, const char *name, gust_tensor_spec *spec);

/* What a file whose matrices are of a type stores this tensor as, unless told otherwise. */
gust_type gust_tensor_usual_type(const gust_tensor_spec *spec, gust_type matrix_type);

/* Bytes of a tensor in the file; false when the shape is 0 or too large.
 * Rank 2: rows padded to 16, columns to 128, in panels, then row codes where the
 * type has them (kernels/panel.h); rank 1: f32, length padded to 128. */
bool gust_tensor_bytes(gust_type type, uint32_t rank, const uint64_t shape[2], uint64_t *bytes);

/* Bytes of one panel of k_padded columns. */
size_t gust_type_panel_bytes(gust_type type, size_t k_padded);

/* Gives every tensor its offset after a header of header_bytes, in order, and
 * sets bytes and file_bytes. */
gust_status gust_header_place(gust_header *header, uint64_t header_bytes, gust_error *err);

/* Encodes prologue and sections into a fresh buffer (free with free). The
 * length depends on names and counts only, not on offsets or checksums, so a
 * writer may encode once to learn it and again when all is known. */
gust_status gust_header_encode(const gust_header *header, uint8_t **bytes, size_t *count,
                               gust_error *err);

/* From the prologue alone: how many bytes prologue and sections take. */
gust_status gust_header_size(const uint8_t prologue[GUST_PROLOGUE_BYTES], uint64_t file_bytes,
                             const char *path, size_t *count, gust_error *err);

/* Decodes and checks everything: section bounds, header checksum, ranges,
 * names unique, tensors aligned, in order, without overlap and inside a file
 * of file_bytes. */
gust_status gust_header_decode(gust_header *header, const uint8_t *bytes, size_t count,
                               uint64_t file_bytes, const char *path, gust_error *err);

/* Frees what the header owns and zeroes it. */
void gust_header_clear(gust_header *header);

#endif

/* What the encoder and the decoder of a .gust header share: types, sizes,
 * places and ranges. */
#include "format.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "panel.h"

/* Products of two sizes stay below this, so that sums and byte counts of them
 * cannot leave 64 bits. */
#define MAX_ELEMENTS ((uint64_t)1 << 48)

static const char *const type_names[GUST_TYPE_COUNT] = {"f32", "bf16", "q8", "q4"};

const char *gust_type_name(gust_type type) {
  return (unsigned)type < GUST_TYPE_COUNT ? type_names[type] : "unknown";
}

bool gust_type_parse(const char *name, gust_type *type) {
  for (int i = 0; i < GUST_TYPE_COUNT; i++) {
    if (strcmp(name, type_names[i]) != 0) continue;
    *type = (gust_type)i;
    return true;
  }
  return false;
}

bool gust_type_is_quantized(gust_type type) {
  switch (type) {
    case GUST_TYPE_F32:
    case GUST_TYPE_BF16: return false;
    case GUST_TYPE_Q8:
    case GUST_TYPE_Q4: return true;
  }
  return false;
}

/* --- configuration --------------------------------------------------------- */

typedef struct size_range {
  const char *name;
  uint32_t value, least, most;
} size_range;

static gust_status check_sizes(const gust_config *c, const char *where, gust_error *err) {
  const size_range ranges[] = {
      {"vocab_size", c->vocab_size, 1, 1u << 24},
      {"hidden_size", c->hidden_size, 1, 1u << 20},
      {"intermediate_size", c->intermediate_size, 1, 1u << 22},
      {"num_hidden_layers", c->layers, 1, 4096},
      {"num_attention_heads", c->heads, 1, 4096},
      {"num_key_value_heads", c->kv_heads, 1, 4096},
      {"head_dim", c->head_dim, 2, 512},
      {"max_position_embeddings", c->max_positions, 1, 1u << 30},
      {"sliding_window", c->sliding_window, 0, 1u << 30},
  };
  for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
    const size_range *r = &ranges[i];
    if (r->value < r->least || r->value > r->most)
      return gust_fail(err, GUST_E_UNSUPPORTED, "%s: %s: expected %u to %u, found %u", where,
                       r->name, r->least, r->most, r->value);
  }
  return GUST_OK;
}

static gust_status check_ids(const gust_config *c, const char *where, gust_error *err) {
  int64_t vocab_size = c->vocab_size;
  if (c->bos_id < -1 || c->bos_id >= vocab_size)
    return gust_fail(err, GUST_E_FORMAT,
                     "%s: bos_token_id: expected less than vocab_size %u, found %d", where,
                     c->vocab_size, c->bos_id);
  if (c->eos_count > GUST_MAX_EOS)
    return gust_fail(err, GUST_E_UNSUPPORTED, "%s: eos_token_id: expected at most %d ids, found %u",
                     where, GUST_MAX_EOS, c->eos_count);
  for (uint32_t i = 0; i < c->eos_count; i++)
    if (c->eos_ids[i] < 0 || c->eos_ids[i] >= vocab_size)
      return gust_fail(err, GUST_E_FORMAT,
                       "%s: eos_token_id: expected less than vocab_size %u, found %d", where,
                       c->vocab_size, c->eos_ids[i]);
  return GUST_OK;
}

gust_status gust_config_check(const gust_config *c, const char *where, gust_error *err) {
  if (c->arch != GUST_ARCH_LLAMA && c->arch != GUST_ARCH_MISTRAL)
    return gust_fail(err, GUST_E_UNSUPPORTED,
                     "%s: architecture: expected 0 (llama) or 1 (mistral), found %u", where,
                     (unsigned)c->arch);
  gust_status status = check_sizes(c, where, err);
  if (status) return status;
  if (c->heads % c->kv_heads)
    return gust_fail(err, GUST_E_UNSUPPORTED,
                     "%s: num_attention_heads: expected a multiple of num_key_value_heads %u, "
                     "found %u",
                     where, c->kv_heads, c->heads);
  if (c->head_dim % 2)
    return gust_fail(err, GUST_E_UNSUPPORTED,
                     "%s: head_dim: expected an even number (positions turn pairs), found %u",
                     where, c->head_dim);
  if (!isfinite(c->rope_theta) || c->rope_theta < 1.0)
    return gust_fail(err, GUST_E_UNSUPPORTED, "%s: rope_theta: expected a number from 1, found %g",
                     where, c->rope_theta);
  if (!isfinite(c->norm_eps) || c->norm_eps < 0.0f || c->norm_eps > 1.0f)
    return gust_fail(err, GUST_E_UNSUPPORTED,
                     "%s: rms_norm_eps: expected a number from 0 to 1, found %g", where,
                     (double)c->norm_eps);
  return check_ids(c, where, err);
}

/* --- the tensors of a model ---------------------------------------------------- */

#define LAYERS "model.layers."
#define LAYER_TENSORS ((size_t)GUST_ROLE_FINAL_NORM - GUST_ROLE_ATTENTION_NORM)

static gust_tensor_spec make_spec(const gust_config *c, gust_tensor_role role, uint32_t layer) {
  uint64_t hidden = c->hidden_size, ffn = c->intermediate_size, vocab = c->vocab_size;
  uint64_t q = (uint64_t)c->heads * c->head_dim, kv = (uint64_t)c->kv_heads * c->head_dim;
  const struct {
    const char *name;
    uint64_t rows, columns; /* columns 0: a vector */
  } tensors[GUST_ROLE_COUNT] = {
      [GUST_ROLE_EMBEDDING] = {"model.embed_tokens", vocab, hidden},
      [GUST_ROLE_ATTENTION_NORM] = {"input_layernorm", hidden, 0},
      [GUST_ROLE_Q] = {"self_attn.q_proj", q, hidden},
      [GUST_ROLE_K] = {"self_attn.k_proj", kv, hidden},
      [GUST_ROLE_V] = {"self_attn.v_proj", kv, hidden},
      [GUST_ROLE_O] = {"self_attn.o_proj", hidden, q},
      [GUST_ROLE_FFN_NORM] = {"post_attention_layernorm", hidden, 0},
      [GUST_ROLE_GATE] = {"mlp.gate_proj", ffn, hidden},
      [GUST_ROLE_UP] = {"mlp.up_proj", ffn, hidden},
      [GUST_ROLE_DOWN] = {"mlp.down_proj", hidden, ffn},
      [GUST_ROLE_FINAL_NORM] = {"model.norm", hidden, 0},
      [GUST_ROLE_HEAD] = {"lm_head", vocab, hidden},
  };
  uint64_t columns = tensors[role].columns;
  gust_tensor_spec spec = {.role = role,
                           .layer = layer,
                           .rank = columns ? 2 : 1,
                           .shape = {tensors[role].rows, columns ? columns : 1}};
  if (role >= GUST_ROLE_ATTENTION_NORM && role <= GUST_ROLE_DOWN)
    snprintf(spec.name, sizeof spec.name, LAYERS "%u.%s.weight", layer, tensors[role].name);
  else
    snprintf(spec.name, sizeof spec.name, "%s.weight", tensors[role].name);
  return spec;
}

size_t gust_config_tensor_count(const gust_config *c) {
  return c->layers * LAYER_TENSORS + (c->tied_head ? 2 : 3);
}

gust_tensor_spec gust_config_tensor(const gust_config *c, size_t index) {
  size_t in_layers = c->layers * LAYER_TENSORS;
  if (index == 0) return make_spec(c, GUST_ROLE_EMBEDDING, 0);
  index--;
  if (index >= in_layers)
    return make_spec(c, (gust_tensor_role)(GUST_ROLE_FINAL_NORM + (index - in_layers)), 0);
  return make_spec(c, (gust_tensor_role)(GUST_ROLE_ATTENTION_NORM + index % LAYER_TENSORS),
                   (uint32_t)(index / LAYER_TENSORS));
}

bool gust_config_find_tensor(const gust_config *c, const char *name, gust_tensor_spec *spec) {
  const size_t prefix = strlen(LAYERS);
  unsigned long layer = strncmp(name, LAYERS, prefix) ? 0 : strtoul(name + prefix, NULL, 10);
  if (layer >= c->layers) return false;
  for (int role = 0; role < (c->tied_head ? GUST_ROLE_HEAD : GUST_ROLE_COUNT); role++) {
    *spec = make_spec(c, (gust_tensor_role)role, (uint32_t)layer);
    if (strcmp(spec->name, name) == 0) return true;
  }
  return false;
}

/* The embedding and the head touch every token, and errors of v go into the residual
 * stream unmixed: in a q4 file these matrices are q8. */
gust_type gust_tensor_usual_type(const gust_tensor_spec *spec, gust_type matrix_type) {
  if (spec->rank == 1) return GUST_TYPE_F32;
  bool precise = spec->role == GUST_ROLE_EMBEDDING || spec->role == GUST_ROLE_V ||
                 spec->role == GUST_ROLE_HEAD;
  return precise && matrix_type == GUST_TYPE_Q4 ? GUST_TYPE_Q8 : matrix_type;
}

/* --- tensors ----------------------------------------------------------------- */

static uint64_t round_up64(uint64_t n, uint64_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

bool gust_tensor_bytes(gust_type type, uint32_t rank, const uint64_t shape[2], uint64_t *bytes) {
  if ((unsigned)type >= GUST_TYPE_COUNT || shape[0] == 0 || shape[1] == 0) return false;
  if (shape[0] >= MAX_ELEMENTS || shape[1] >= MAX_ELEMENTS / shape[0]) return false;
  if (rank == 1) {
    if (type != GUST_TYPE_F32 || shape[1] != 1) return false;
    *bytes = round_up64(shape[0], GUST_TILE_K) * 4;
    return true;
  }
  if (rank != 2) return false;
  uint64_t rows = round_up64(shape[0], GUST_PANEL_ROWS), k = round_up64(shape[1], GUST_TILE_K);
  if (rows >= MAX_ELEMENTS / k) return false;
  uint64_t panels = rows / GUST_PANEL_ROWS, tiles = k / GUST_TILE_K;
  switch (type) {
    case GUST_TYPE_F32: *bytes = rows * k * 4; return true;
    case GUST_TYPE_BF16: *bytes = rows * k * 2; return true;
    case GUST_TYPE_Q8:
      *bytes = panels * tiles * GUST_Q8_TILE_BYTES + round_up64(rows, GUST_LINE);
      return true;
    case GUST_TYPE_Q4:
      *bytes = panels * tiles * GUST_Q4_TILE_BYTES + round_up64(rows, GUST_LINE);
      return true;
  }
  return false;
}

size_t gust_type_panel_bytes(gust_type type, size_t k_padded) {
  switch (type) {
    case GUST_TYPE_F32: return gust_f32_panel_bytes(k_padded);
    case GUST_TYPE_BF16: return gust_bf16_panel_bytes(k_padded);
    case GUST_TYPE_Q8: return gust_q8_panel_bytes(k_padded);
    case GUST_TYPE_Q4: return gust_q4_panel_bytes(k_padded);
  }
  return 0;
}

gust_status gust_header_place(gust_header *header, uint64_t header_bytes, gust_error *err) {
  uint64_t at = header_bytes;
  for (size_t i = 0; i < header->tensor_count; i++) {
    gust_tensor *tensor = &header->tensors[i];
    if (!gust_tensor_bytes(tensor->type, tensor->rank, tensor->shape, &tensor->bytes) ||
        tensor->bytes > MAX_ELEMENTS || at > MAX_ELEMENTS * 4096)
      return gust_fail(err, GUST_E_UNSUPPORTED,
                       "tensor '%s': expected a shape of 1 to 2^48 elements, found [%llu, %llu]",
                       tensor->name, (unsigned long long)tensor->shape[0],
                       (unsigned long long)tensor->shape[1]);
    bool large = tensor->bytes >= GUST_LARGE_TENSOR_BYTES;
    tensor->offset = round_up64(at, large ? GUST_LARGE_TENSOR_ALIGN : GUST_TENSOR_ALIGN);
    at = tensor->offset + tensor->bytes;
  }
  header->file_bytes = at;
  return GUST_OK;
}

void gust_header_clear(gust_header *header) {
  if (!header) return;
  free(header->tokenizer);
  free(header->chat_template);
  if (header->sources)
    for (size_t i = 0; i < header->source_count; i++) free(header->sources[i].name);
  free(header->sources);
  if (header->tensors)
    for (size_t i = 0; i < header->tensor_count; i++) free(header->tensors[i].name);
  free(header->tensors);
  memset(header, 0, sizeof *header);
}

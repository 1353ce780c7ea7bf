#include "tensor_types.h"

#include <string.h>

static bool ends_with(const char *text, const char *end) {
  size_t a = strlen(text), b = strlen(end);
  return a >= b && strcmp(text + a - b, end) == 0;
}

/* The embedding and the head touch every token, and errors of v go into the
 * residual stream unmixed: in a q4 file these matrices are q8. */
static bool is_precise(const char *name) {
  return strcmp(name, "model.embed_tokens.weight") == 0 || strcmp(name, "lm_head.weight") == 0 ||
         ends_with(name, ".self_attn.v_proj.weight");
}

void tensor_types_assign(gust_header *header, gust_type matrix_type) {
  for (size_t i = 0; i < header->tensor_count; i++) {
    gust_tensor *t = &header->tensors[i];
    bool precise = matrix_type == GUST_TYPE_Q4 && is_precise(t->name);
    t->type = t->rank == 1 ? GUST_TYPE_F32 : precise ? GUST_TYPE_Q8 : matrix_type;
  }
}

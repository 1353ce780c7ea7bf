/* The demo model in every type, converted once per build: paths come from the
 * environment (GUST_DEMO_F32 ...), set by meson. */
#ifndef GUST_DEMO_MODEL_H
#define GUST_DEMO_MODEL_H

#include "gust.h"

/* The path of the demo model of a type ("f32", "bf16", "q8", "q4"), or NULL. */
const char *demo_model_path(const char *type);
/* The hash of its logits for the receipt's prompt (docs/FORMAT.md). Between compilers
 * and systems there is no second run to compare with, so it is written down; it changes
 * only with the numerics contract, a quantizer or the demo checkpoint. */
uint64_t demo_model_logits_hash(const char *type);
/* Opens it; the test ends when it cannot. */
gust_model *demo_model_open(const char *type);
gust_model *model_open_or_die(const char *path);
gust_context *context_or_die(const gust_model *model, const gust_context_options *options);

/* The whole greedy answer to what the context was fed: at most `limit` tokens,
 * NUL-terminated, to be freed. */
char *greedy_text(gust_context *context, const gust_model *model, size_t limit);

#endif

/* Attention of a batch of tokens over the key-value cache. Internal to src:
 * forward.c calls it between two matrix products. */
#ifndef GUST_ATTENTION_H
#define GUST_ATTENTION_H

#include "context.h"

/* Query rows (heads times tokens) one thread takes through the cache together:
 * enough to spread the cost of reading keys and values thin, few enough for
 * their states to stay in a core's caches. */
#define GUST_ATTENTION_ROWS 48u

/* For `count` tokens at positions from `position` on, whose products are in q, k
 * and v: rotates q and k, stores k and v in the cache, and leaves in `attended`
 * what the heads gathered. */
void gust_attention(gust_context *context, size_t layer, size_t position, size_t count);

#endif

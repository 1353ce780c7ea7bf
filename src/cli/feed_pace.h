/* How many tokens to give a model at once, so that progress moves and Ctrl-C is heard
 * between pieces: few at first, then as many as take about a second, but not so few that
 * reading the weights for each piece costs more than it tells. The logits are the same
 * however a sequence is cut. */
#ifndef GUST_CLI_FEED_PACE_H
#define GUST_CLI_FEED_PACE_H

#include <stddef.h>

/* Of one model; zero-filled it knows nothing of it yet. */
typedef struct feed_pace {
  size_t piece;
} feed_pace;

/* Of `left` tokens, how many come next: at least one. */
size_t feed_pace_next(feed_pace *pace, size_t left);

/* The `tokens` that feed_pace_next said took so many seconds. */
void feed_pace_learn(feed_pace *pace, size_t tokens, double seconds);

#endif

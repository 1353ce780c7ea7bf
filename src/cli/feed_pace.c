#include "feed_pace.h"

#define FIRST 16u
#define LEAST 64u
#define MOST 256u /* above it the library cuts on its own */
#define SECONDS 1.0
/* Where fewer than LEAST tokens take so long, reading the weights is the smaller part by
 * far, and even a few at once cost little. */
#define SLOW_SECONDS 4.0
#define SLOW_LEAST 4u

size_t feed_pace_next(feed_pace *pace, size_t left) {
  if (pace->piece == 0) pace->piece = FIRST;
  return left < pace->piece ? left : pace->piece;
}

void feed_pace_learn(feed_pace *pace, size_t tokens, double seconds) {
  if (tokens < pace->piece) return; /* the last ones of a sequence */
  double soon = pace->piece < LEAST ? SLOW_SECONDS / 2 : SECONDS / 2;
  double late = pace->piece <= LEAST ? SLOW_SECONDS : SECONDS;
  if (seconds < soon && pace->piece < MOST) pace->piece *= 2;
  if (seconds > late && pace->piece > SLOW_LEAST) pace->piece /= 2;
}

#include "feed_pace.h"

#define FIRST 16u
#define LEAST 32u
#define MOST 256u /* above it the library cuts on its own */
#define SECONDS 1.0
/* Where LEAST tokens take so long, reading the weights is the smaller part by far and
 * even a few at once cost little. */
#define SLOW_SECONDS 4.0
#define SLOW_LEAST 4u

size_t feed_pace_next(feed_pace *pace, size_t left) {
  if (pace->piece == 0) pace->piece = FIRST;
  return left < pace->piece ? left : pace->piece;
}

void feed_pace_learn(feed_pace *pace, double seconds) {
  if (seconds < SECONDS / 2) {
    pace->piece = pace->piece < MOST ? pace->piece * 2 : MOST;
  } else if (seconds > SECONDS && pace->piece > LEAST) {
    pace->piece /= 2;
  } else if (seconds > SLOW_SECONDS && pace->piece > SLOW_LEAST) {
    pace->piece /= 2;
  }
}

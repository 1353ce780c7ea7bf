/* The order of measurements, for medians. */
#ifndef GUST_ASCENDING_H
#define GUST_ASCENDING_H

/* qsort's comparison of doubles, none of them NaN. */
static inline int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

#endif

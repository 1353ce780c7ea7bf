/* exp and log in double precision whose bits do not depend on the C library:
 * additions, multiplications and divisions in a written order, which IEEE 754
 * defines to the bit. Figures that go into files are computed with these.
 * Within two units in the last place of the true values. */
#ifndef GUST_CLI_PORTABLE_MATH_H
#define GUST_CLI_PORTABLE_MATH_H

#include <stdint.h>
#include <string.h>

/* ln 2 in two parts: products of the first with whole numbers below 2^20 are exact. */
#define PORTABLE_LN2_HIGH 0x1.62e42feep-1
#define PORTABLE_LN2_LOW 0x1.a39ef35793c76p-33

static inline double portable_from_bits(uint64_t bits) {
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* e^x for finite x. 0 below -700, and x is held at 700 above it: far more than
 * log-probabilities need, and no subnormal or infinity comes out.
 *
 * x = n ln 2 + r with |r| <= ln 2 / 2, e^r by its Taylor series to r^13 / 13!
 * (the rest is below 2^-57), times 2^n put together from its bits. */
static inline double portable_exp(double x) {
  if (x > 700) x = 700;
  double held = x < -700 ? -700 : x;
  /* Added to 1.5 2^52 a number is rounded to a whole one, which then stands in
   * the low bits. */
  double shifted = held * 0x1.71547652b82fep0 + 0x1.8p52;
  double n = shifted - 0x1.8p52;
  double r = (held - n * PORTABLE_LN2_HIGH) - n * PORTABLE_LN2_LOW;
  double sum = 1.0 / 6227020800;
  sum = sum * r + 1.0 / 479001600;
  sum = sum * r + 1.0 / 39916800;
  sum = sum * r + 1.0 / 3628800;
  sum = sum * r + 1.0 / 362880;
  sum = sum * r + 1.0 / 40320;
  sum = sum * r + 1.0 / 5040;
  sum = sum * r + 1.0 / 720;
  sum = sum * r + 1.0 / 120;
  sum = sum * r + 1.0 / 24;
  sum = sum * r + 1.0 / 6;
  sum = sum * r + 0.5;
  sum = sum * r + 1.0;
  sum = sum * r + 1.0;
  uint64_t bits;
  memcpy(&bits, &shifted, sizeof bits);
  double power = portable_from_bits((bits + 1023) << 52); /* what is above n is shifted out */
  return x < -700 ? 0 : sum * power;
}

/* ln x for finite x >= 2^-1022.
 *
 * x = 2^e m with m from sqrt(1/2) to sqrt(2), ln m = 2 artanh s with
 * s = (m - 1) / (m + 1), by its series to s^23 (the rest is below 2^-58). */
static inline double portable_log(double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  int exponent = (int)(bits >> 52 & 0x7ff) - 1023;
  double m = portable_from_bits((bits & (UINT64_MAX >> 12)) | (uint64_t)1023 << 52);
  if (m > 0x1.6a09e667f3bcdp0) {
    m *= 0.5;
    exponent++;
  }
  double s = (m - 1) / (m + 1), z = s * s, sum = 0;
  for (int k = 23; k > 1; k -= 2) sum = (sum + 1.0 / k) * z;
  double e = exponent;
  return e * PORTABLE_LN2_HIGH + (2 * s + (2 * s * sum + e * PORTABLE_LN2_LOW));
}

#endif

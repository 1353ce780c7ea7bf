/* Angles of rotary embedding, from IEEE double arithmetic alone: libm's pow,
 * sin and cos differ between systems in the last bit, and one bit is one too
 * many (docs/NUMERICS.md). Scalar, as a token needs only head_dim / 2 of them. */
#include <math.h>
#include <string.h>

#include "kernels.h"

/* ln x for normal x > 0, by x = m 2^e, m in [sqrt 1/2, sqrt 2], and the series
 * ln m = 2 artanh s, s = (m - 1) / (m + 1). */
static double natural_log(double x) {
  int e;
  double m = frexp(x, &e);
  if (m < 0.70710678118654752440) {
    m *= 2;
    e--;
  }
  double s = (m - 1) / (m + 1), s2 = s * s, sum = 0;
  for (int i = 27; i >= 3; i -= 2) sum = (sum + 1.0 / i) * s2;
  return 2 * (s + s * sum) + e * 0.69314718055994530942;
}

/* e^x for |x| < 700: 2^n times the Taylor series of the rest. */
static double natural_exp(double x) {
  double n = floor(x * 1.44269504088896340736 + 0.5);
  double r = (x - n * 0.693145751953125) - n * 1.42860682030941723212e-6, sum = 1;
  for (int i = 16; i >= 1; i--) sum = 1 + sum * r / i;
  return ldexp(sum, (int)n);
}

void gust_rope_frequencies(float *frequencies, size_t head_dim, double theta) {
  double log_theta = natural_log(theta);
  for (size_t i = 0; i < head_dim / 2; i++) {
    float exponent = (float)(2 * i) / (float)head_dim;
    float power = (float)natural_exp((double)exponent * log_theta);
    frequencies[i] = 1.0f / power;
  }
}

/* Both for |r| <= pi / 4. */
static double sine(double r) {
  double r2 = r * r, sum = 0;
  for (int i = 17; i >= 3; i -= 2) sum = (1 - sum) * r2 / (double)(i * (i - 1));
  return r - r * sum;
}
static double cosine(double r) {
  double r2 = r * r, sum = 0;
  for (int i = 16; i >= 2; i -= 2) sum = (1 - sum) * r2 / (double)(i * (i - 1));
  return 1 - sum;
}

void gust_rope_table(float *cos_out, float *sin_out, const float *frequencies, size_t half,
                     uint32_t position) {
  for (size_t i = 0; i < half; i++) {
    double angle = (double)((float)position * frequencies[i]);
    double quarter = floor(angle * 0.63661977236758134308 + 0.5);
    /* pi / 2 in parts of 33 bits: the first two products are exact. */
    double r = angle - quarter * 1.57079632673412561417e+00;
    r -= quarter * 6.07710050630396597660e-11;
    r -= quarter * 2.02226624879595063154e-21;
    float s = (float)sine(r), c = (float)cosine(r);
    switch ((uint64_t)quarter & 3) {
      case 0: sin_out[i] = s, cos_out[i] = c; break;
      case 1: sin_out[i] = c, cos_out[i] = -s; break;
      case 2: sin_out[i] = -s, cos_out[i] = -c; break;
      default: sin_out[i] = -c, cos_out[i] = s; break;
    }
  }
}

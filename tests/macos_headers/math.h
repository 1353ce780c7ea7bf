#ifndef MACOS_MATH_H
#define MACOS_MATH_H
#define INFINITY __builtin_huge_valf()
#define HUGE_VAL __builtin_huge_val()
#define NAN __builtin_nanf("0x7fc00000")
#define isfinite(x) __builtin_isfinite(x)
#define isinf(x) __builtin_isinf_sign(x)
#define isnan(x) __builtin_isnan(x)
#define signbit(x) __builtin_signbit(x)
double ceil(double);
float ceilf(float);
double copysign(double, double);
float copysignf(float, float);
double cos(double);
float cosf(float);
double cbrt(double);
double hypot(double, double);
double erf(double);
double exp(double);
float expf(float);
float exp2f(float);
double exp2(double);
double fabs(double);
float fabsf(float);
double floor(double);
float floorf(float);
double fma(double, double, double);
float fmaf(float, float, float);
double fmax(double, double);
float fmaxf(float, float);
double fmin(double, double);
float fminf(float, float);
double fmod(double, double);
double frexp(double, int *);
float frexpf(float, int *);
double ldexp(double, int);
float ldexpf(float, int);
double log(double);
float logf(float);
float log2f(float);
double log2(double);
double log10(double);
double log1p(double);
long lrint(double);
long lrintf(float);
long long llrint(double);
double modf(double, double *);
double nearbyint(double);
float nearbyintf(float);
double nextafter(double, double);
float nextafterf(float, float);
double pow(double, double);
float powf(float, float);
double rint(double);
float rintf(float);
double round(double);
float roundf(float);
long lround(double);
long lroundf(float);
double scalbn(double, int);
float scalbnf(float, int);
double sin(double);
float sinf(float);
double sqrt(double);
float sqrtf(float);
double trunc(double);
float truncf(float);
#endif

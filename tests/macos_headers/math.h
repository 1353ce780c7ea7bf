#ifndef MACOS_MATH_H
#define MACOS_MATH_H
#define INFINITY __builtin_huge_valf()
#define NAN __builtin_nanf("0x7fc00000")
#define isfinite(x) __builtin_isfinite(x)
#define isinf(x) __builtin_isinf_sign(x)
#define isnan(x) __builtin_isnan(x)
double ceil(double);
double cos(double);
double exp(double);
float expf(float);
double fabs(double);
float fabsf(float);
double floor(double);
double fma(double, double, double);
double fmax(double, double);
double fmin(double, double);
double fmod(double, double);
double frexp(double, int *);
float frexpf(float, int *);
double ldexp(double, int);
double log(double);
double pow(double, double);
float rintf(float);
double round(double);
double sin(double);
double sqrt(double);
float sqrtf(float);
#endif

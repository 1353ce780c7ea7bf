#include_next <limits.h>
#ifndef MACOS_LIMITS_H
#define MACOS_LIMITS_H
#define PATH_MAX 1024
#endif

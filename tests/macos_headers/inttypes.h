#ifndef MACOS_INTTYPES_H
#define MACOS_INTTYPES_H
#include <stdint.h>
#define PRId64 "lld"
#define PRIu64 "llu"
#endif

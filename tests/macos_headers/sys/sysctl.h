#ifndef MACOS_SYS_SYSCTL_H
#define MACOS_SYS_SYSCTL_H
#include <sys/cdefs.h>
#ifndef MACOS_EXTENSIONS
#error "sys/sysctl.h on macOS needs types that _POSIX_C_SOURCE hides"
#endif
int sysctlbyname(const char *, void *, size_t *, void *, size_t);
#endif

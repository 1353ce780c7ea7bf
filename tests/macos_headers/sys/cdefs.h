/* Included by all the others: the types they share, and which names are visible.
 * As on macOS, a file that defines _POSIX_C_SOURCE sees no other names unless it,
 * or the build, defines _DARWIN_C_SOURCE too. */
#ifndef MACOS_SYS_CDEFS_H
#define MACOS_SYS_CDEFS_H

#if !defined(_POSIX_C_SOURCE) || defined(_DARWIN_C_SOURCE)
#define MACOS_EXTENSIONS 1
#endif

#include <stddef.h>

typedef long ssize_t;
typedef long long off_t;
typedef long time_t;
typedef long suseconds_t;
typedef int pid_t;
typedef unsigned int uid_t;
typedef unsigned int gid_t;
typedef unsigned short mode_t;
typedef unsigned short nlink_t;
typedef int dev_t;
typedef unsigned long long ino_t;
typedef long long blkcnt_t;
typedef int blksize_t;
typedef unsigned int sigset_t;

struct timespec {
  time_t tv_sec;
  long tv_nsec;
};

#endif

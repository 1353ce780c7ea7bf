#ifndef MACOS_FCNTL_H
#define MACOS_FCNTL_H
#include <sys/cdefs.h>
#define O_RDONLY 0x0000
#define O_WRONLY 0x0001
#define O_RDWR 0x0002
#define O_NONBLOCK 0x0004
#define O_NOFOLLOW 0x0100
#define O_CREAT 0x0200
#define O_TRUNC 0x0400
#define O_EXCL 0x0800
#define O_NOCTTY 0x20000
#define O_CLOEXEC 0x1000000
#define F_GETFD 1
#define F_SETFD 2
#define F_SETFL 4
#define FD_CLOEXEC 1
struct flock {
  off_t l_start, l_len;
  pid_t l_pid;
  short l_type, l_whence;
};
#ifdef MACOS_EXTENSIONS
#define F_FULLFSYNC 51
#define LOCK_EX 2
#define LOCK_NB 4
int flock(int, int);
#endif
int fcntl(int, int, ...);
int open(const char *, int, ...);
#endif

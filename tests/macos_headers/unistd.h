#ifndef MACOS_UNISTD_H
#define MACOS_UNISTD_H
#include <sys/cdefs.h>
#define STDIN_FILENO 0
#define STDERR_FILENO 2
#define _SC_PAGESIZE 29
#define _SC_NPROCESSORS_ONLN 58
int access(const char *, int);
int close(int);
int fsync(int);
int ftruncate(int, off_t);
pid_t getpgrp(void);
pid_t getpid(void);
int isatty(int);
int pipe(int[2]);
ssize_t pread(int, void *, size_t, off_t);
ssize_t pwrite(int, const void *, size_t, off_t);
ssize_t read(int, void *, size_t);
long sysconf(int);
pid_t tcgetpgrp(int);
int unlink(const char *);
ssize_t write(int, const void *, size_t);
#endif

#ifndef MACOS_UNISTD_H
#define MACOS_UNISTD_H
#include <sys/cdefs.h>
#define STDIN_FILENO 0
#define STDOUT_FILENO 1
#define STDERR_FILENO 2
#define R_OK 4
#define W_OK 2
#define _SC_OPEN_MAX 5
#define _SC_PAGESIZE 29
#define _SC_NPROCESSORS_ONLN 58
_Noreturn void _exit(int);
int access(const char *, int);
int close(int);
int dup(int);
int dup2(int, int);
int fsync(int);
int ftruncate(int, off_t);
char *getcwd(char *, size_t);
pid_t getpid(void);
uid_t getuid(void);
uid_t geteuid(void);
int isatty(int);
off_t lseek(int, off_t, int);
int pipe(int[2]);
ssize_t pread(int, void *, size_t, off_t);
ssize_t pwrite(int, const void *, size_t, off_t);
ssize_t read(int, void *, size_t);
int rmdir(const char *);
long sysconf(int);
int unlink(const char *);
ssize_t write(int, const void *, size_t);
#endif

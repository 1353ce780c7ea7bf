#ifndef MACOS_SYS_STAT_H
#define MACOS_SYS_STAT_H
#include <sys/cdefs.h>
struct stat {
  dev_t st_dev;
  mode_t st_mode;
  nlink_t st_nlink;
  ino_t st_ino;
  uid_t st_uid;
  gid_t st_gid;
  dev_t st_rdev;
#ifdef MACOS_EXTENSIONS
  struct timespec st_atimespec, st_mtimespec, st_ctimespec, st_birthtimespec;
#define st_mtime st_mtimespec.tv_sec
#else
  time_t st_atime;
  long st_atimensec;
  time_t st_mtime;
  long st_mtimensec;
  time_t st_ctime;
  long st_ctimensec;
  time_t st_birthtime;
  long st_birthtimensec;
#endif
  off_t st_size;
  blkcnt_t st_blocks;
  blksize_t st_blksize;
};
#define S_IFMT 0170000
#define S_ISDIR(mode) (((mode)&S_IFMT) == 0040000)
#define S_ISLNK(mode) (((mode)&S_IFMT) == 0120000)
#define S_ISREG(mode) (((mode)&S_IFMT) == 0100000)
int fchmod(int, mode_t);
int fstat(int, struct stat *);
int lstat(const char *, struct stat *);
int mkdir(const char *, mode_t);
int stat(const char *, struct stat *);
#endif

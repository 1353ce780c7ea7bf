#ifndef MACOS_DIRENT_H
#define MACOS_DIRENT_H
#include <sys/cdefs.h>
typedef struct __dirstream DIR;
struct dirent {
  ino_t d_ino;
  unsigned long long d_seekoff;
  unsigned short d_reclen, d_namlen;
  unsigned char d_type;
  char d_name[1024];
};
int closedir(DIR *);
DIR *opendir(const char *);
struct dirent *readdir(DIR *);
#endif

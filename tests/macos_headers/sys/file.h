#ifndef MACOS_SYS_FILE_H
#define MACOS_SYS_FILE_H
#include <fcntl.h>
#endif

#ifndef MACOS_TERMIOS_H
#define MACOS_TERMIOS_H
#include <sys/cdefs.h>
typedef unsigned long tcflag_t;
typedef unsigned char cc_t;
typedef unsigned long speed_t;
struct termios {
  tcflag_t c_iflag, c_oflag, c_cflag, c_lflag;
  cc_t c_cc[20];
  speed_t c_ispeed, c_ospeed;
};
#define VMIN 16
#define VTIME 17
#define BRKINT 0x2
#define ISTRIP 0x20
#define INPCK 0x10
#define INLCR 0x40
#define IGNCR 0x80
#define ICRNL 0x100
#define IXON 0x200
#define OPOST 0x1
#define ECHO 0x8
#define ISIG 0x80
#define ICANON 0x100
#define IEXTEN 0x400
#define TCSANOW 0
#define TCSADRAIN 1
int tcgetattr(int, struct termios *);
int tcsetattr(int, int, const struct termios *);
#endif

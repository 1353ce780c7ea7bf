#ifndef MACOS_SYS_IOCTL_H
#define MACOS_SYS_IOCTL_H
struct winsize {
  unsigned short ws_row, ws_col, ws_xpixel, ws_ypixel;
};
#define TIOCGWINSZ 0x40087468UL
int ioctl(int, unsigned long, ...);
#endif

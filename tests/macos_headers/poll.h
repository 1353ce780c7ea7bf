#ifndef MACOS_POLL_H
#define MACOS_POLL_H
struct pollfd {
  int fd;
  short events, revents;
};
#define POLLIN 0x0001
#define POLLOUT 0x0004
typedef unsigned int nfds_t;
int poll(struct pollfd[], nfds_t, int);
#endif

#ifndef MACOS_LOCALE_H
#define MACOS_LOCALE_H
struct lconv {
  char *decimal_point;
};
struct lconv *localeconv(void);
#endif

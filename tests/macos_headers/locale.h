#ifndef MACOS_LOCALE_H
#define MACOS_LOCALE_H
#define LC_ALL 0
#define LC_CTYPE 2
#define LC_NUMERIC 4
struct lconv {
  char *decimal_point;
};
struct lconv *localeconv(void);
char *setlocale(int, const char *);
#endif

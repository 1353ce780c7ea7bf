#ifndef MACOS_STDIO_H
#define MACOS_STDIO_H
#include <stdarg.h>
#include <sys/cdefs.h>
typedef struct __sFILE FILE;
extern FILE *__stdinp, *__stdoutp, *__stderrp;
#define stdin __stdinp
#define stdout __stdoutp
#define stderr __stderrp
#define _IOFBF 0
#define MACOS_PRINTF(text, first) __attribute__((format(printf, text, first)))
#define MACOS_SCANF(text, first) __attribute__((format(scanf, text, first)))
int fclose(FILE *);
int feof(FILE *);
int ferror(FILE *);
int fflush(FILE *);
char *fgets(char *, int, FILE *);
int fileno(FILE *);
FILE *fopen(const char *, const char *);
int fprintf(FILE *, const char *, ...) MACOS_PRINTF(2, 3);
int fputc(int, FILE *);
int fputs(const char *, FILE *);
size_t fread(void *, size_t, size_t, FILE *);
size_t fwrite(const void *, size_t, size_t, FILE *);
int printf(const char *, ...) MACOS_PRINTF(1, 2);
int putchar(int);
int puts(const char *);
int remove(const char *);
int rename(const char *, const char *);
int setvbuf(FILE *, char *, int, size_t);
int snprintf(char *, size_t, const char *, ...) MACOS_PRINTF(3, 4);
int sscanf(const char *, const char *, ...) MACOS_SCANF(2, 3);
int vsnprintf(char *, size_t, const char *, va_list) MACOS_PRINTF(3, 0);
#endif

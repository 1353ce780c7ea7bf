/* The processor's name, as people would recognise it in a result. */
#ifndef GUST_BENCH_CPU_NAME_H
#define GUST_BENCH_CPU_NAME_H

#define CPU_NAME_BYTES 64

/* Fills `text` and returns it: printable ASCII, blanks trimmed; "unknown" where
 * the machine does not tell. */
char *cpu_name(char text[CPU_NAME_BYTES]);

#endif

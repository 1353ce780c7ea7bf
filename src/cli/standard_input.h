/* Standard input, whatever it is, without stdio: that would start a read anew after
 * a signal, or forget one that came just before. console_posix.c and
 * console_windows.c implement it. Whatever the terminal's encoding, text is UTF-8. */
#ifndef GUST_CLI_STANDARD_INPUT_H
#define GUST_CLI_STANDARD_INPUT_H

#include <stddef.h>

typedef enum input_news {
  INPUT_READY,  /* a read will not wait: there is something, or the end */
  INPUT_EVENT,  /* interrupt_signal or raw_terminal_events have something */
  INPUT_QUIET,  /* neither, within the time given */
  INPUT_TROUBLE /* errno says what */
} input_news;

/* Waits for so long, or for as long as it takes when negative. A signal that came
 * before and was not cleared is an event each time. */
input_news standard_input_wait(int milliseconds);

/* Reads what there is; 0 at the end, -1 with errno, which may be EINTR. */
ptrdiff_t standard_input_read(void *data, size_t bytes);

#endif

/* The terminal, standard input and signals on Windows: what terminal.h,
 * standard_input.h, raw_terminal.h and interrupt.h leave to the system. They are one
 * file because whoever waits for input waits for signals as well. */
#define WIN32_LEAN_AND_MEAN
#define _WIN32_WINNT 0x0A00

#include <errno.h>
#include <fcntl.h>
#include <io.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

#include <shellapi.h>

#include "interrupt.h"
#include "raw_terminal.h"
#include "standard_input.h"
#include "terminal.h"

/* A pipe cannot be waited for, only looked at. */
#define PIPE_LOOK_MILLISECONDS 10u
/* Between Ctrl-C ending a read of the console and the handler's call. */
#define HANDLER_MILLISECONDS 1000u
#define SCREEN_BUFFER_BYTES 8192
#define CONSOLE_UNITS 1024 /* of UTF-16, read at once */
#define CONSOLE_RECORDS 64

/* --- signals ----------------------------------------------------------------------------- */

static volatile LONG pending; /* interrupt.h; the handler has a thread of its own */
static HANDLE arrived;        /* set while one is pending */

static void note_signal(int number) {
  InterlockedExchange(&pending, number);
  if (arrived) SetEvent(arrived);
}

/* When this returns from one of the last three the process is ended at once, else some
 * seconds later: time to finish what is being written. */
static BOOL WINAPI on_control(DWORD kind) {
  note_signal(kind == CTRL_C_EVENT ? SIGINT : SIGTERM);
  if (kind == CTRL_CLOSE_EVENT || kind == CTRL_LOGOFF_EVENT || kind == CTRL_SHUTDOWN_EVENT)
    Sleep(INFINITE);
  return TRUE;
}

void interrupt_install(void) {
  if (arrived) return;
  arrived = CreateEventW(NULL, TRUE, FALSE, NULL);
  SetConsoleCtrlHandler(on_control, TRUE);
}

int interrupt_signal(void) {
  return (int)pending;
}

bool interrupt_is_key(void) {
  return pending == SIGINT;
}

void interrupt_raise_key(void) {
  note_signal(SIGINT);
}

void interrupt_clear(void) {
  InterlockedExchange(&pending, 0);
  if (arrived) ResetEvent(arrived);
}

/* Writing to a closed pipe fails here anyway. */
void interrupt_ignore_writes(void) {}

int interrupt_lost_reader(void) {
  return 0;
}

/* --- standard streams ------------------------------------------------------------------------ */

static HANDLE handle_of(FILE *file) {
  DWORD which = file == stdin    ? STD_INPUT_HANDLE
                : file == stdout ? STD_OUTPUT_HANDLE
                                 : STD_ERROR_HANDLE;
  return GetStdHandle(which);
}

/* What is to be as it was found when the program ends. */
static UINT input_page_before, output_page_before;
static struct {
  HANDLE handle;
  DWORD mode;
} screens_before[2];

static void restore_console(void) {
  raw_terminal_leave();
  for (size_t i = 0; i < 2; i++)
    if (screens_before[i].handle) SetConsoleMode(screens_before[i].handle, screens_before[i].mode);
  if (input_page_before) SetConsoleCP(input_page_before);
  if (output_page_before) SetConsoleOutputCP(output_page_before);
}

/* The system's own way to end a process, which comes next where interrupt_install was
 * not called, does without atexit. */
static BOOL WINAPI restore_on_control(DWORD kind) {
  (void)kind;
  restore_console();
  return FALSE;
}

/* The arguments as UTF-8; what the C library made of them is in the system's code
 * page. They live as long as the process. Without memory they stay as they were. */
static void take_arguments(int *argc, char ***argv) {
  int count = 0;
  LPWSTR *wide = CommandLineToArgvW(GetCommandLineW(), &count);
  char **list = wide ? calloc((size_t)count + 1, sizeof *list) : NULL;
  bool done = list != NULL;
  for (int i = 0; done && i < count; i++) {
    int bytes = WideCharToMultiByte(CP_UTF8, 0, wide[i], -1, NULL, 0, NULL, NULL);
    list[i] = bytes > 0 ? malloc((size_t)bytes) : NULL;
    done = list[i] && WideCharToMultiByte(CP_UTF8, 0, wide[i], -1, list[i], bytes, NULL, NULL);
  }
  if (wide) LocalFree(wide);
  if (done) {
    *argc = count;
    *argv = list;
    return;
  }
  for (int i = 0; list && i < count; i++) free(list[i]);
  free(list);
}

void terminal_begin(int *argc, char ***argv) {
  take_arguments(argc, argv);
  FILE *const files[] = {stdin, stdout, stderr};
  for (size_t i = 0; i < 3; i++) _setmode(_fileno(files[i]), _O_BINARY);
  input_page_before = GetConsoleCP();
  output_page_before = GetConsoleOutputCP();
  for (size_t i = 0; i < 2; i++) {
    HANDLE handle = handle_of(files[i + 1]);
    DWORD mode;
    if (!GetConsoleMode(handle, &mode)) continue;
    /* The C library would write character by character, or byte by byte what takes
     * several, to a console. */
    setvbuf(files[i + 1], NULL, _IOFBF, SCREEN_BUFFER_BYTES);
    screens_before[i].handle = handle;
    screens_before[i].mode = mode;
    SetConsoleMode(handle, mode | ENABLE_PROCESSED_OUTPUT | ENABLE_VIRTUAL_TERMINAL_PROCESSING);
  }
  if (input_page_before) SetConsoleCP(CP_UTF8);
  if (output_page_before) SetConsoleOutputCP(CP_UTF8);
  atexit(restore_console);
  SetConsoleCtrlHandler(restore_on_control, TRUE);
}

/* The C library takes any device for a terminal, NUL among them. */
bool terminal_is(FILE *file) {
  DWORD mode;
  return GetConsoleMode(handle_of(file), &mode);
}

bool terminal_size(FILE *file, unsigned *columns, unsigned *rows) {
  CONSOLE_SCREEN_BUFFER_INFO info;
  if (!GetConsoleScreenBufferInfo(handle_of(file), &info)) return false;
  int width = info.srWindow.Right - info.srWindow.Left + 1;
  int height = info.srWindow.Bottom - info.srWindow.Top + 1;
  if (width <= 0 || height <= 0) return false;
  *columns = (unsigned)width;
  *rows = (unsigned)height;
  return true;
}

/* TERM is what programs of other systems set, if anybody. */
bool terminal_takes_escapes(FILE *file) {
  const char *kind = getenv("TERM");
  DWORD mode;
  return !(kind && strcmp(kind, "dumb") == 0) && GetConsoleMode(handle_of(file), &mode) &&
         (mode & ENABLE_VIRTUAL_TERMINAL_PROCESSING);
}

void terminal_write(const char *data, size_t bytes) {
  HANDLE handle = GetStdHandle(STD_ERROR_HANDLE);
  while (bytes > 0) {
    DWORD put = 0, step = bytes < 16384 ? (DWORD)bytes : 16384;
    if (!WriteFile(handle, data, step, &put, NULL) || put == 0) return;
    data += put;
    bytes -= put;
  }
}

/* --- the console's text ----------------------------------------------------------------- */

/* Bytes that were made of the console's input and not taken yet. */
static char held[4 * CONSOLE_UNITS];
static size_t held_begin, held_end;
static wchar_t high_half; /* of a pair, whose other half did not come yet */

static void hold_bytes(const char *bytes, size_t count) {
  if (count > sizeof held - held_end) return; /* cannot be: each unit gives four at most */
  memcpy(held + held_end, bytes, count);
  held_end += count;
}

static void hold_unit(wchar_t unit) {
  wchar_t units[2];
  char bytes[8];
  int count = 0;
  bool low = unit >= 0xdc00 && unit <= 0xdfff;
  if (high_half && low) units[count++] = high_half;
  high_half = 0;
  if (unit >= 0xd800 && unit <= 0xdbff) {
    high_half = unit;
    return;
  }
  units[count++] = unit; /* half a pair alone becomes U+FFFD */
  int used = WideCharToMultiByte(CP_UTF8, 0, units, count, bytes, sizeof bytes, NULL, NULL);
  if (used > 0) hold_bytes(bytes, (size_t)used);
}

static size_t take_held(char *data, size_t bytes) {
  size_t count = held_end - held_begin;
  if (count > bytes) count = bytes;
  memcpy(data, held + held_begin, count);
  held_begin += count;
  if (held_begin == held_end) held_begin = held_end = 0;
  return count;
}

/* --- the console key by key ------------------------------------------------------------- */

static bool is_raw, resized;
static DWORD cooked; /* the mode as found; valid while is_raw */

/* What terminals send for keys that have no character. A console that does so itself
 * (ENABLE_VIRTUAL_TERMINAL_INPUT) shows characters instead of these keys. */
static const struct {
  WORD key;
  const char *plain, *with_control;
} key_bytes[] = {
    {VK_UP, "\033[A", "\033[1;5A"},      {VK_DOWN, "\033[B", "\033[1;5B"},
    {VK_RIGHT, "\033[C", "\033[1;5C"},   {VK_LEFT, "\033[D", "\033[1;5D"},
    {VK_HOME, "\033[H", "\033[1;5H"},    {VK_END, "\033[F", "\033[1;5F"},
    {VK_DELETE, "\033[3~", "\033[3;5~"}, {VK_PRIOR, "\033[5~", "\033[5;5~"},
    {VK_NEXT, "\033[6~", "\033[6;5~"},
};

static bool sends_sequences(void) {
  DWORD mode;
  return GetConsoleMode(GetStdHandle(STD_INPUT_HANDLE), &mode) &&
         (mode & ENABLE_VIRTUAL_TERMINAL_INPUT);
}

/* Alt with digits gives its character when Alt is let go. */
static void take_key(const KEY_EVENT_RECORD *key) {
  wchar_t unit = key->uChar.UnicodeChar;
  DWORD state = key->dwControlKeyState;
  if (!key->bKeyDown && !(key->wVirtualKeyCode == VK_MENU && unit)) return;
  bool control = state & (LEFT_CTRL_PRESSED | RIGHT_CTRL_PRESSED);
  for (WORD n = key->wRepeatCount ? key->wRepeatCount : 1; n > 0; n--) {
    if (sizeof held - held_end < 16) return;
    if (unit) {
      /* Control and Alt together is how many keyboards type characters. */
      bool meta = (state & LEFT_ALT_PRESSED) && !control && key->bKeyDown && !sends_sequences();
      if (meta) hold_unit(L'\033');
      /* A console gives '\b' for Backspace and 0x7f with Control; terminals the other. */
      if (unit == L'\b' && key->wVirtualKeyCode == VK_BACK && !sends_sequences()) unit = 0x7f;
      hold_unit(unit);
      continue;
    }
    for (size_t i = 0; i < sizeof key_bytes / sizeof *key_bytes; i++)
      if (key_bytes[i].key == key->wVirtualKeyCode) {
        const char *text = control ? key_bytes[i].with_control : key_bytes[i].plain;
        hold_bytes(text, strlen(text));
      }
  }
}

/* Takes what waits in the console's queue; most of it is no text. False with errno. */
static bool take_records(void) {
  HANDLE input = GetStdHandle(STD_INPUT_HANDLE);
  INPUT_RECORD records[CONSOLE_RECORDS];
  DWORD waiting = 0, got = 0;
  if (held_begin > 0) {
    memmove(held, held + held_begin, held_end - held_begin);
    held_end -= held_begin;
    held_begin = 0;
  }
  while (sizeof held - held_end >= 16 * CONSOLE_RECORDS) {
    if (!GetNumberOfConsoleInputEvents(input, &waiting)) break;
    if (waiting == 0) return true;
    if (!ReadConsoleInputW(input, records, CONSOLE_RECORDS, &got)) break;
    for (DWORD i = 0; i < got; i++) {
      if (records[i].EventType == KEY_EVENT) take_key(&records[i].Event.KeyEvent);
      if (records[i].EventType == WINDOW_BUFFER_SIZE_EVENT) resized = true;
    }
  }
  if (held_end > held_begin) return true;
  errno = EIO;
  return false;
}

bool raw_terminal_enter(void) {
  HANDLE input = GetStdHandle(STD_INPUT_HANDLE);
  if (is_raw) return true;
  if (!GetConsoleMode(input, &cooked)) {
    errno = ENOTTY;
    return false;
  }
  DWORD raw = cooked & ~(DWORD)(ENABLE_LINE_INPUT | ENABLE_ECHO_INPUT | ENABLE_PROCESSED_INPUT);
  raw |= ENABLE_WINDOW_INPUT;
  /* Windows before version 1607 does not know sequences. */
  if (!SetConsoleMode(input, raw | ENABLE_VIRTUAL_TERMINAL_INPUT) && !SetConsoleMode(input, raw)) {
    errno = EIO;
    return false;
  }
  resized = false;
  is_raw = true;
  return true;
}

void raw_terminal_leave(void) {
  if (!is_raw) return;
  SetConsoleMode(GetStdHandle(STD_INPUT_HANDLE), cooked);
  is_raw = false;
}

/* A console shows keys only while a line is read from it. */
void raw_terminal_hush(void) {
  raw_terminal_leave();
}

void raw_terminal_suspend(void) {}

raw_events raw_terminal_events(void) {
  raw_events events = {.resized = resized};
  resized = false;
  return events;
}

/* --- waiting and reading ---------------------------------------------------------------- */

static DWORD left_until(ULONGLONG end, bool forever) {
  if (forever) return INFINITE;
  ULONGLONG now = GetTickCount64();
  return now < end ? (DWORD)(end - now) : 0;
}

static bool has_event(void) {
  return pending || (is_raw && resized);
}

/* Key by key. A queue without text in it, of keys let go and the mouse, is no news. */
static input_news wait_for_keys(ULONGLONG end, bool forever) {
  HANDLE handles[] = {GetStdHandle(STD_INPUT_HANDLE), arrived};
  for (;;) {
    if (!take_records()) return INPUT_TROUBLE;
    if (has_event()) return INPUT_EVENT;
    if (held_end > held_begin) return INPUT_READY;
    DWORD left = left_until(end, forever);
    DWORD result = WaitForMultipleObjects(arrived ? 2 : 1, handles, FALSE, left);
    if (result == WAIT_TIMEOUT) return INPUT_QUIET;
    if (result == WAIT_FAILED) {
      errno = EIO;
      return INPUT_TROUBLE;
    }
  }
}

/* False when a read would wait. A pipe nobody writes to any more is at its end. */
static bool pipe_is_ready(HANDLE input) {
  DWORD waiting = 0;
  return !PeekNamedPipe(input, NULL, 0, NULL, &waiting, NULL) || waiting > 0;
}

static input_news wait_for_pipe(HANDLE input, ULONGLONG end, bool forever) {
  for (;;) {
    if (has_event()) return INPUT_EVENT;
    if (pipe_is_ready(input)) return INPUT_READY;
    DWORD left = left_until(end, forever);
    if (left == 0) return INPUT_QUIET;
    if (left > PIPE_LOOK_MILLISECONDS) left = PIPE_LOOK_MILLISECONDS;
    if (arrived)
      WaitForSingleObject(arrived, left);
    else
      Sleep(left);
  }
}

/* Reading a line from a console ends when a signal comes, so that there is no need to
 * wait; and files never let one wait. */
input_news standard_input_wait(int milliseconds) {
  HANDLE input = GetStdHandle(STD_INPUT_HANDLE);
  bool forever = milliseconds < 0;
  ULONGLONG end = forever ? 0 : GetTickCount64() + (ULONGLONG)milliseconds;
  if (is_raw) return wait_for_keys(end, forever);
  if (GetFileType(input) == FILE_TYPE_PIPE) return wait_for_pipe(input, end, forever);
  return has_event() ? INPUT_EVENT : INPUT_READY;
}

/* A line as the console lets it be edited. Ctrl-Z at its beginning ends the input. */
static ptrdiff_t read_line(void *data, size_t bytes) {
  wchar_t units[CONSOLE_UNITS];
  DWORD got = 0;
  SetLastError(0);
  BOOL ok = ReadConsoleW(GetStdHandle(STD_INPUT_HANDLE), units, CONSOLE_UNITS / 2, &got, NULL);
  if (!ok || (got == 0 && GetLastError() == ERROR_OPERATION_ABORTED)) {
    bool signalled = GetLastError() == ERROR_OPERATION_ABORTED;
    if (signalled && arrived) WaitForSingleObject(arrived, HANDLER_MILLISECONDS);
    errno = signalled ? EINTR : EIO;
    return -1;
  }
  if (got > 0 && units[0] == 0x1a) return 0;
  for (DWORD i = 0; i < got; i++) hold_unit(units[i]);
  return (ptrdiff_t)take_held(data, bytes);
}

static ptrdiff_t read_file(HANDLE input, void *data, size_t bytes) {
  DWORD got = 0;
  if (ReadFile(input, data, bytes < INT_MAX ? (DWORD)bytes : INT_MAX, &got, NULL)) return got;
  if (GetLastError() == ERROR_BROKEN_PIPE || GetLastError() == ERROR_HANDLE_EOF) return 0;
  errno = GetLastError() == ERROR_INVALID_HANDLE ? EBADF : EIO;
  return -1;
}

ptrdiff_t standard_input_read(void *data, size_t bytes) {
  if (held_end > held_begin) return (ptrdiff_t)take_held(data, bytes);
  if (is_raw) {
    errno = EINTR; /* nothing there: the caller waits again */
    return -1;
  }
  return terminal_is(stdin) ? read_line(data, bytes)
                            : read_file(GetStdHandle(STD_INPUT_HANDLE), data, bytes);
}

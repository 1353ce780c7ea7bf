#ifndef _WIN32_WINNT
#define _WIN32_WINNT 0x0A00 /* pseudo-consoles */
#endif
#define NTDDI_VERSION 0x0A000006

#include "windows_process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

static _Noreturn void fail(const char *what) {
  char code[32];
  snprintf(code, sizeof code, "system error %lu", GetLastError());
  check_fatal(what, code);
}

wchar_t *windows_wide(const char *text) {
  int units = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, NULL, 0);
  wchar_t *wide = units > 0 ? malloc((size_t)units * sizeof *wide) : NULL;
  if (!wide) check_fatal("no UTF-8 text", text);
  MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, wide, units);
  return wide;
}

/* --- the command line ------------------------------------------------------------------ */

/* Appends an argument as the C library takes it apart again: in quotes, where quotes and
 * the backslashes before them are escaped. */
static wchar_t *put_argument(wchar_t *to, const wchar_t *from) {
  *to++ = L'"';
  while (*from) {
    size_t slashes = wcsspn(from, L"\\");
    bool doubled = from[slashes] == L'"' || !from[slashes];
    for (size_t i = 0; i < (doubled ? 2 * slashes : slashes); i++) *to++ = L'\\';
    from += slashes;
    if (*from == L'"') *to++ = L'\\';
    if (*from) *to++ = *from++;
  }
  *to++ = L'"';
  *to++ = L' ';
  return to;
}

static wchar_t *command_line(const char *const argv[]) {
  size_t units = 1;
  for (size_t i = 0; argv[i]; i++) units += 2 * strlen(argv[i]) + 3;
  wchar_t *line = malloc(units * sizeof *line), *at = line;
  if (!line) check_fatal("out of memory", argv[0]);
  for (size_t i = 0; argv[i]; i++) {
    wchar_t *argument = windows_wide(argv[i]);
    at = put_argument(at, argument);
    free(argument);
  }
  at[-1] = 0;
  return line;
}

/* --- processes --------------------------------------------------------------------------- */

/* What a process is started with beyond a command line. */
static LPPROC_THREAD_ATTRIBUTE_LIST make_attributes(HANDLE *inherited, size_t count,
                                                    const windows_console *console) {
  SIZE_T bytes = 0;
  InitializeProcThreadAttributeList(NULL, 2, 0, &bytes);
  LPPROC_THREAD_ATTRIBUTE_LIST list = malloc(bytes);
  if (!list || !InitializeProcThreadAttributeList(list, 2, 0, &bytes)) fail("attribute list");
  if (count && !UpdateProcThreadAttribute(list, 0, PROC_THREAD_ATTRIBUTE_HANDLE_LIST, inherited,
                                          count * sizeof *inherited, NULL, NULL))
    fail("inherited handles");
  if (console && !UpdateProcThreadAttribute(list, 0, PROC_THREAD_ATTRIBUTE_PSEUDOCONSOLE,
                                            console->pseudo, sizeof console->pseudo, NULL, NULL))
    fail("pseudo-console");
  return list;
}

/* The distinct ones of the streams, made inheritable. */
static size_t make_inheritable(const HANDLE streams[3], HANDLE distinct[3]) {
  size_t count = 0;
  for (int i = 0; i < 3; i++) {
    SetHandleInformation(streams[i], HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT);
    bool known = false;
    for (size_t k = 0; k < count; k++) known = known || distinct[k] == streams[i];
    if (!known) distinct[count++] = streams[i];
  }
  return count;
}

/* A job dies with the last handle of it, so that nothing outlives a failed test. */
static HANDLE make_job(void) {
  JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits = {0};
  HANDLE job = CreateJobObjectW(NULL, NULL);
  limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
  if (!job ||
      !SetInformationJobObject(job, JobObjectExtendedLimitInformation, &limits, sizeof limits))
    fail("job");
  return job;
}

static windows_process start(const char *const argv[], const HANDLE streams[3],
                             const windows_console *console) {
  HANDLE inherited[3];
  size_t count = streams ? make_inheritable(streams, inherited) : 0;
  STARTUPINFOEXW info = {.StartupInfo = {.cb = sizeof info, .dwFlags = STARTF_USESTDHANDLES},
                         .lpAttributeList = make_attributes(inherited, count, console)};
  if (streams) {
    info.StartupInfo.hStdInput = streams[0];
    info.StartupInfo.hStdOutput = streams[1];
    info.StartupInfo.hStdError = streams[2];
  }
  DWORD flags = EXTENDED_STARTUPINFO_PRESENT | CREATE_SUSPENDED;
  if (!console) flags |= CREATE_NO_WINDOW;
  wchar_t *line = command_line(argv);
  PROCESS_INFORMATION started;
  if (!CreateProcessW(NULL, line, NULL, NULL, count > 0, flags, NULL, NULL, &info.StartupInfo,
                      &started))
    fail(argv[0]);
  windows_process process = {started.hProcess, make_job()};
  if (!AssignProcessToJobObject(process.job, process.process)) fail("job");
  ResumeThread(started.hThread);
  CloseHandle(started.hThread);
  DeleteProcThreadAttributeList(info.lpAttributeList);
  free(info.lpAttributeList);
  free(line);
  return process;
}

/* The program that stands between a console and others. */
static const char *at_console(void) {
  const char *path = getenv("GUST_AT_CONSOLE");
  if (!path || !*path) check_skip("GUST_AT_CONSOLE does not name the program at_console");
  return path;
}

windows_process windows_process_start(const char *const argv[], const HANDLE streams[3],
                                      const windows_console *console) {
  const char *arguments[RUN_MOST_ARGUMENTS + 2] = {NULL};
  size_t count = 0;
  if (!streams) arguments[count++] = at_console();
  for (size_t i = 0; argv[i] && count <= RUN_MOST_ARGUMENTS; i++) arguments[count++] = argv[i];
  return start(arguments, streams, console);
}

static void kill_all(const windows_process *process) {
  TerminateJobObject(process->job, 128 + RUN_KILL);
}

bool windows_process_has_ended(const windows_process *process) {
  return WaitForSingleObject(process->process, 0) == WAIT_OBJECT_0;
}

int windows_process_wait(windows_process *process, const char *said) {
  if (WaitForSingleObject(process->process, RUN_SECONDS * 1000) != WAIT_OBJECT_0) {
    kill_all(process);
    check_fatal("a program ran too long", said);
  }
  DWORD code = 0;
  GetExitCodeProcess(process->process, &code);
  CloseHandle(process->process);
  CloseHandle(process->job);
  return (int)code;
}

/* --- consoles --------------------------------------------------------------------------- */

void windows_pipe(HANDLE *read_end, HANDLE *write_end) {
  if (!CreatePipe(read_end, write_end, NULL, 0)) fail("pipe");
}

windows_console windows_console_open(void) {
  windows_console console;
  HANDLE typed, printed;
  windows_pipe(&typed, &console.in);
  windows_pipe(&console.out, &printed);
  const COORD size = {.X = WINDOWS_CONSOLE_COLUMNS, .Y = 24};
  if (CreatePseudoConsole(size, typed, printed, 0, &console.pseudo) != S_OK)
    fail("no pseudo-console");
  CloseHandle(typed);
  CloseHandle(printed);
  return console;
}

void windows_console_close(windows_console *console) {
  ClosePseudoConsole(console->pseudo);
  CloseHandle(console->in);
}

bool windows_console_resize(const windows_console *console, unsigned rows, unsigned columns) {
  const COORD size = {.X = (SHORT)columns, .Y = (SHORT)rows};
  return ResizePseudoConsole(console->pseudo, size) == S_OK;
}

/* From a program at the console itself, for Ctrl-Break has no key among those a terminal
 * sends, and some consoles take a typed Ctrl-C for the end of all input. */
static void send_event(const windows_console *console, const char *event) {
  const char *argv[] = {at_console(), event, NULL};
  windows_process process = start(argv, NULL, console);
  windows_process_wait(&process, event);
}

void windows_process_end(const windows_process *process, const windows_console *console,
                         run_signal signal) {
  if (signal == RUN_KILL)
    kill_all(process);
  else
    send_event(console, signal == RUN_INTERRUPT ? "--interrupt" : "--break");
}

/* --- reading ------------------------------------------------------------------------------ */

struct windows_reader {
  HANDLE handle, thread;
  CRITICAL_SECTION lock; /* of what follows */
  char *data;
  size_t bytes;
};

static void take(windows_reader *reader, const char *data, size_t bytes) {
  EnterCriticalSection(&reader->lock);
  char *grown = realloc(reader->data, reader->bytes + bytes + 1);
  if (!grown) check_fatal("out of memory", "program output");
  if (bytes) memcpy(grown + reader->bytes, data, bytes);
  reader->data = grown;
  reader->bytes += bytes;
  reader->data[reader->bytes] = 0;
  LeaveCriticalSection(&reader->lock);
}

static DWORD WINAPI read_all(void *user) {
  windows_reader *reader = user;
  char buffer[4096];
  DWORD got;
  while (ReadFile(reader->handle, buffer, sizeof buffer, &got, NULL))
    if (got) take(reader, buffer, got);
  return 0;
}

windows_reader *windows_reader_start(HANDLE handle) {
  windows_reader *reader = calloc(1, sizeof *reader);
  if (!reader) check_fatal("out of memory", "reader");
  reader->handle = handle;
  InitializeCriticalSection(&reader->lock);
  take(reader, "", 0);
  reader->thread = CreateThread(NULL, 0, read_all, reader, 0, NULL);
  if (!reader->thread) fail("thread");
  return reader;
}

bool windows_reader_wait(const windows_reader *reader, unsigned milliseconds) {
  return WaitForSingleObject(reader->thread, milliseconds) == WAIT_OBJECT_0;
}

bool windows_reader_has_ended(const windows_reader *reader) {
  return windows_reader_wait(reader, 0);
}

char *windows_reader_text(windows_reader *reader, size_t *bytes) {
  EnterCriticalSection(&reader->lock);
  char *copy = malloc(reader->bytes + 1);
  if (!copy) check_fatal("out of memory", "program output");
  memcpy(copy, reader->data, reader->bytes + 1);
  if (bytes) *bytes = reader->bytes;
  LeaveCriticalSection(&reader->lock);
  return copy;
}

void windows_reader_finish(windows_reader *reader) {
  WaitForSingleObject(reader->thread, INFINITE);
  CloseHandle(reader->thread);
  CloseHandle(reader->handle);
  DeleteCriticalSection(&reader->lock);
  free(reader->data);
  free(reader);
}

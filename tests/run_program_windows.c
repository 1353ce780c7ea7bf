#include "run_program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "host.h"
#include "windows_process.h"

/* A program with pipes on its standard streams. */
struct run_child {
  windows_process process;
  HANDLE in;                 /* our end */
  windows_reader *out, *err; /* out: NULL when it goes elsewhere */
};

/* `out`: its stdout, or NULL for a pipe. */
static run_child *start_child(const char *const argv[], HANDLE out,
                              const windows_console *console) {
  run_child *child = calloc(1, sizeof *child);
  if (!child) check_fatal("out of memory", argv[0]);
  HANDLE streams[3], out_end = NULL, err_end;
  windows_pipe(&streams[0], &child->in);
  windows_pipe(&err_end, &streams[2]);
  streams[1] = out;
  if (!out) windows_pipe(&out_end, &streams[1]);
  child->process = windows_process_start(argv, streams, console);
  for (int i = 0; i < 3; i++) CloseHandle(streams[i]);
  child->out = out_end ? windows_reader_start(out_end) : NULL;
  child->err = windows_reader_start(err_end);
  return child;
}

typedef struct input_text {
  HANDLE to;
  const char *data;
  size_t bytes;
} input_text;

/* Ends early when the program does not read its input. */
static DWORD WINAPI feed(void *user) {
  input_text *input = user;
  DWORD put;
  while (input->bytes > 0) {
    DWORD step = input->bytes < 65536 ? (DWORD)input->bytes : 65536;
    if (!WriteFile(input->to, input->data, step, &put, NULL)) break;
    input->data += put;
    input->bytes -= put;
  }
  CloseHandle(input->to);
  return 0;
}

run_child *run_child_start(const char *const argv[]) {
  return start_child(argv, NULL, NULL);
}

run_result run_child_finish(run_child *child, const char *input, size_t input_bytes) {
  input_text text = {child->in, input, input_bytes};
  HANDLE feeder = CreateThread(NULL, 0, feed, &text, 0, NULL);
  if (!feeder) check_fatal("no thread", "input");
  /* An exit without reading the input breaks the pipe, which ends the feeder. */
  run_result result = {0};
  result.code = windows_process_wait(&child->process, "its output may tell why");
  WaitForSingleObject(feeder, INFINITE);
  CloseHandle(feeder);
  windows_reader *readers[] = {child->out, child->err};
  char **texts[] = {&result.out, &result.err};
  size_t *counts[] = {&result.out_bytes, &result.err_bytes};
  for (int i = 0; i < 2; i++) {
    if (!readers[i]) {
      *texts[i] = calloc(1, 1);
      continue;
    }
    if (!windows_reader_wait(readers[i], RUN_SECONDS * 1000))
      check_fatal("a program ended and left its output open", "");
    *texts[i] = windows_reader_text(readers[i], counts[i]);
    windows_reader_finish(readers[i]);
  }
  free(child);
  return result;
}

run_result run_program_to(const char *const argv[], const char *input, const char *out_path) {
  HANDLE out, nobody;
  if (out_path) {
    wchar_t *path = windows_wide(out_path);
    out = CreateFileW(path, GENERIC_WRITE, FILE_SHARE_READ, NULL, CREATE_ALWAYS,
                      FILE_ATTRIBUTE_NORMAL, NULL);
    free(path);
    if (out == INVALID_HANDLE_VALUE) check_fatal("cannot open", out_path);
  } else {
    windows_pipe(&nobody, &out);
    CloseHandle(nobody);
  }
  return run_child_finish(start_child(argv, out, NULL), input, strlen(input));
}

typedef bool ready_fn(void *user);

static run_result run_at_console(const char *const argv[], ready_fn *ready, void *user,
                                 run_signal signal) {
  windows_console console = windows_console_open();
  windows_reader *printed = windows_reader_start(console.out);
  run_child *child = start_child(argv, NULL, &console);
  while (!ready(user) && !windows_process_has_ended(&child->process)) host_sleep(1);
  windows_process_end(&child->process, &console, signal);
  run_result result = run_child_finish(child, "", 0);
  windows_console_close(&console);
  windows_reader_finish(printed);
  return result;
}

static bool is_late(void *user) {
  return GetTickCount64() >= *(ULONGLONG *)user;
}

run_result run_program_signalled(const char *const argv[], unsigned milliseconds,
                                 run_signal signal) {
  ULONGLONG until = GetTickCount64() + milliseconds;
  return run_at_console(argv, is_late, &until, signal);
}

run_result run_program_when(const char *const argv[], bool (*ready)(void *user), void *user,
                            run_signal signal) {
  return run_at_console(argv, ready, user, signal);
}

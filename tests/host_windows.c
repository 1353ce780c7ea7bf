#define WIN32_LEAN_AND_MEAN
#ifndef _WIN32_WINNT
#define _WIN32_WINNT 0x0A00
#endif

#include "host.h"

#include <io.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

#include "check.h"
#include "os.h"
#include "windows_process.h"

/* --- files --------------------------------------------------------------------------- */

bool host_make_temp_folder(char *path, size_t room) {
  wchar_t below[MAX_PATH + 1];
  char folder[3 * MAX_PATH + 1];
  if (!GetTempPathW(MAX_PATH, below) ||
      !WideCharToMultiByte(CP_UTF8, 0, below, -1, folder, sizeof folder, NULL, NULL))
    return false;
  for (char *c = folder; *c; c++)
    if (*c == '\\') *c = '/';
  for (unsigned attempt = 0; attempt < 100; attempt++) {
    int bytes = snprintf(path, room, "%sgust-test-%lx-%llx", folder, GetCurrentProcessId(),
                         (unsigned long long)GetTickCount64() + attempt);
    if (bytes < 0 || (size_t)bytes >= room) return false;
    wchar_t *wide = windows_wide(path);
    bool made = CreateDirectoryW(wide, NULL);
    free(wide);
    if (made) return true;
    if (GetLastError() != ERROR_ALREADY_EXISTS) return false;
  }
  return false;
}

static DWORD attributes_of(const char *path) {
  wchar_t *wide = windows_wide(path);
  DWORD attributes = GetFileAttributesW(wide);
  free(wide);
  return attributes;
}

bool host_exists(const char *path) {
  return attributes_of(path) != INVALID_FILE_ATTRIBUTES;
}

bool host_remove(const char *path) {
  DWORD attributes = attributes_of(path);
  if (attributes == INVALID_FILE_ATTRIBUTES) return false;
  wchar_t *wide = windows_wide(path);
  bool removed = attributes & FILE_ATTRIBUTE_DIRECTORY ? RemoveDirectoryW(wide) : DeleteFileW(wide);
  free(wide);
  return removed;
}

/* Some systems say they made one and did not. */
bool host_make_link(const char *target, const char *path) {
  wchar_t *to = windows_wide(target), *from = windows_wide(path);
  bool made = CreateSymbolicLinkW(from, to, SYMBOLIC_LINK_FLAG_ALLOW_UNPRIVILEGED_CREATE);
  free(to);
  free(from);
  DWORD attributes = attributes_of(path);
  return made && attributes != INVALID_FILE_ATTRIBUTES &&
         (attributes & FILE_ATTRIBUTE_REPARSE_POINT);
}

bool host_make_alias(const char *target, const char *path) {
  if (host_make_link(target, path)) return true;
  wchar_t *to = windows_wide(target), *from = windows_wide(path);
  bool made = CreateHardLinkW(from, to, NULL);
  free(to);
  free(from);
  return made;
}

bool host_make_fifo(const char *path) {
  (void)path;
  return false;
}

/* The system counts units of 100 ns from the year 1601. */
bool host_set_changed(const char *path, int64_t seconds, long nanoseconds) {
  const int64_t seconds_before_1970 = 11644473600;
  uint64_t units =
      (uint64_t)(seconds + seconds_before_1970) * 10000000 + (uint64_t)nanoseconds / 100;
  const FILETIME time = {(DWORD)units, (DWORD)(units >> 32)};
  wchar_t *wide = windows_wide(path);
  HANDLE file = CreateFileW(wide, FILE_WRITE_ATTRIBUTES, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL,
                            OPEN_EXISTING, 0, NULL);
  free(wide);
  if (file == INVALID_HANDLE_VALUE) return false;
  bool set = SetFileTime(file, NULL, NULL, &time);
  CloseHandle(file);
  return set;
}

bool host_has_mode(const char *path, int mode) {
  (void)mode;
  return host_exists(path);
}

bool host_set_mode(const char *path, int mode) {
  (void)path;
  (void)mode;
  return false;
}

bool host_limit_files(uint64_t bytes) {
  (void)bytes;
  return false;
}

static bool is_wine(void) {
  return GetProcAddress(GetModuleHandleW(L"ntdll.dll"), "wine_get_version") != NULL;
}

bool host_makes_holes(void) {
  return is_wine();
}

bool host_suspend_root(void) {
  return false;
}

void host_resume_root(void) {}

const char *host_full_file(void) {
  return NULL;
}

const char *host_null_device(void) {
  return "NUL";
}

/* --- memory -------------------------------------------------------------------------- */

void *host_allocate(size_t bytes) {
  return _aligned_malloc(bytes, 64);
}

void host_free(void *memory) {
  _aligned_free(memory);
}

void *host_map_guard(size_t bytes) {
  return VirtualAlloc(NULL, bytes, MEM_RESERVE, PAGE_NOACCESS);
}

bool host_unguard(void *at, size_t bytes) {
  return VirtualAlloc(at, bytes, MEM_COMMIT, PAGE_READWRITE) != NULL;
}

void host_unmap(void *base, size_t bytes) {
  (void)bytes;
  VirtualFree(base, 0, MEM_RELEASE);
}

bool host_is_readable(const volatile uint8_t *at) {
  MEMORY_BASIC_INFORMATION page;
  return VirtualQuery((const void *)at, &page, sizeof page) && page.State == MEM_COMMIT &&
         !(page.Protect & (PAGE_NOACCESS | PAGE_GUARD));
}

/* --- the machine --------------------------------------------------------------------- */

unsigned host_processors(void) {
  return GetActiveProcessorCount(ALL_PROCESSOR_GROUPS);
}

uint64_t host_memory_bytes(void) {
  MEMORYSTATUSEX status = {.dwLength = sizeof status};
  return GlobalMemoryStatusEx(&status) ? status.ullTotalPhys : 0;
}

/* --- the process ----------------------------------------------------------------------- */

void host_set_env(const char *name, const char *value) {
  wchar_t *wide_name = windows_wide(name), *wide_value = windows_wide(value ? value : "");
  /* Of the C library's copy and the system's; empty means none. */
  if (_wputenv_s(wide_name, wide_value) != 0) check_fatal("cannot set", name);
  free(wide_name);
  free(wide_value);
}

int host_redirect(FILE *stream, const char *path) {
  fflush(stream);
  int saved = _dup(_fileno(stream));
  FILE *file = os_fopen(path, "wb");
  if (saved < 0 || !file || _dup2(_fileno(file), _fileno(stream)) < 0)
    check_fatal("redirect", path);
  fclose(file);
  return saved;
}

void host_restore(FILE *stream, int saved) {
  fflush(stream);
  if (_dup2(saved, _fileno(stream)) < 0) check_fatal("cannot restore", "a stream");
  _close(saved);
}

char *host_working_folder(void) {
  wchar_t wide[4096];
  DWORD units = GetCurrentDirectoryW(4096, wide);
  char *folder = malloc(3 * 4096);
  if (!folder || units == 0 || units >= 4096 ||
      !WideCharToMultiByte(CP_UTF8, 0, wide, -1, folder, 3 * 4096, NULL, NULL))
    check_fatal("no working folder", "");
  return folder;
}

void host_change_folder(const char *path) {
  wchar_t *wide = windows_wide(path);
  if (!SetCurrentDirectoryW(wide)) check_fatal("cannot change to", path);
  free(wide);
}

bool host_terminal_edits(void) {
  const DWORD needed = ENABLE_LINE_INPUT | ENABLE_ECHO_INPUT | ENABLE_PROCESSED_INPUT;
  DWORD mode;
  return GetConsoleMode(GetStdHandle(STD_INPUT_HANDLE), &mode) && (mode & needed) == needed;
}

bool host_terminal_interrupts(void) {
  DWORD mode;
  return GetConsoleMode(GetStdHandle(STD_INPUT_HANDLE), &mode) && (mode & ENABLE_PROCESSED_INPUT);
}

bool host_has_whole_terminals(void) {
  return !is_wine();
}

void host_sleep(unsigned milliseconds) {
  Sleep(milliseconds);
}

void host_yield(void) {
  SwitchToThread();
}

_Noreturn void host_die(void) {
  TerminateProcess(GetCurrentProcess(), HOST_KILLED);
  abort();
}

static LONG WINAPI end_quietly(EXCEPTION_POINTERS *exception) {
  TerminateProcess(GetCurrentProcess(), exception->ExceptionRecord->ExceptionCode);
  return EXCEPTION_CONTINUE_SEARCH;
}

/* A handler of our own keeps the system from starting a debugger or a dialogue. */
void host_expect_soon(const char *what) {
  (void)what;
}

void host_expect_crash(void) {
  SetErrorMode(SEM_FAILCRITICALERRORS | SEM_NOGPFAULTERRORBOX);
  SetUnhandledExceptionFilter(end_quietly);
}

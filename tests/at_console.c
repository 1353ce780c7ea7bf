/* Runs a program with the console it is started at on its standard streams; with
 * --interrupt or --break, sends all programs at the console Ctrl-C or Ctrl-Break. Tests start
 * programs whose own streams are files and pipes, which a program started by them would be given.
 */
#include <stdio.h>
#include <string.h>
#include <windows.h>

/* Keys that are for the program at the console. */
static BOOL WINAPI ignore(DWORD event) {
  (void)event;
  return TRUE;
}

/* What follows this program's name, as it was written. */
static wchar_t *rest_of_line(void) {
  wchar_t *at = GetCommandLineW();
  BOOL quoted = FALSE;
  for (; *at && (quoted || *at != L' '); at++)
    if (*at == L'"') quoted = !quoted;
  while (*at == L' ') at++;
  return at;
}

static HANDLE open_console(const wchar_t *name) {
  SECURITY_ATTRIBUTES inheritable = {.nLength = sizeof inheritable, .bInheritHandle = TRUE};
  return CreateFileW(name, GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE,
                     &inheritable, OPEN_EXISTING, 0, NULL);
}

static int run(void) {
  STARTUPINFOW info = {.cb = sizeof info, .dwFlags = STARTF_USESTDHANDLES};
  info.hStdInput = open_console(L"CONIN$");
  info.hStdOutput = info.hStdError = open_console(L"CONOUT$");
  PROCESS_INFORMATION started;
  DWORD code = 127;
  if (info.hStdInput == INVALID_HANDLE_VALUE || info.hStdOutput == INVALID_HANDLE_VALUE ||
      !CreateProcessW(NULL, rest_of_line(), NULL, NULL, TRUE, 0, NULL, NULL, &info, &started))
    return 127;
  WaitForSingleObject(started.hProcess, INFINITE);
  GetExitCodeProcess(started.hProcess, &code);
  return (int)code;
}

static int send_event(DWORD event) {
  return GenerateConsoleCtrlEvent(event, 0) ? 0 : 1;
}

int main(int argc, char **argv) {
  SetConsoleCtrlHandler(ignore, TRUE);
  if (argc == 2 && strcmp(argv[1], "--interrupt") == 0) return send_event(CTRL_C_EVENT);
  if (argc == 2 && strcmp(argv[1], "--break") == 0) return send_event(CTRL_BREAK_EVENT);
  return run();
}

/* os.h on Windows 10 and later, but for machine_windows.c's part. Handles share everything, as
 * files do on POSIX systems, and are opened for overlapped use: on others the system lets one
 * thread read at a time. */
#define WIN32_LEAN_AND_MEAN
#define _WIN32_WINNT 0x0A000002 /* Windows 10 1607, for FileRenameInfoEx */
#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <io.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <windows.h>

#define ALIGNMENT ((size_t)2 << 20)
#define IO_STEP ((size_t)1 << 30) /* a DWORD counts the bytes of one transfer */
#define SHARE_ALL (FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE)
/* Longer full paths need a prefix; a folder's leaves room for a short file name. */
#define LONGEST_PLAIN_PATH (MAX_PATH - 13)
/* A name of 255 UTF-16 units and a NUL in UTF-8. */
#define NAME_BYTES (3 * 260)

/* --- errors and names ------------------------------------------------------- */

static const struct {
  DWORD code;
  int error;
} errors[] = {
    {ERROR_FILE_NOT_FOUND, ENOENT},
    {ERROR_PATH_NOT_FOUND, ENOENT},
    {ERROR_INVALID_NAME, ENOENT},
    {ERROR_INVALID_DRIVE, ENOENT},
    {ERROR_BAD_PATHNAME, ENOENT},
    {ERROR_BAD_NETPATH, ENOENT},
    {ERROR_BAD_NET_NAME, ENOENT},
    {ERROR_DIRECTORY, ENOTDIR},
    {ERROR_FILENAME_EXCED_RANGE, ENAMETOOLONG},
    {ERROR_ACCESS_DENIED, EACCES},
    {ERROR_SHARING_VIOLATION, EACCES},
    {ERROR_LOCK_VIOLATION, EACCES},
    {ERROR_USER_MAPPED_FILE, EACCES},
    {ERROR_DELETE_PENDING, EACCES},
    {ERROR_WRITE_PROTECT, EROFS},
    {ERROR_FILE_EXISTS, EEXIST},
    {ERROR_ALREADY_EXISTS, EEXIST},
    {ERROR_DISK_FULL, ENOSPC},
    {ERROR_HANDLE_DISK_FULL, ENOSPC},
    {ERROR_FILE_TOO_LARGE, EFBIG},
    {ERROR_NOT_ENOUGH_MEMORY, ENOMEM},
    {ERROR_OUTOFMEMORY, ENOMEM},
    {ERROR_COMMITMENT_LIMIT, ENOMEM},
    {ERROR_INVALID_ADDRESS, ENOMEM},
    {ERROR_TOO_MANY_OPEN_FILES, EMFILE},
    {ERROR_INVALID_HANDLE, EBADF},
    {ERROR_INVALID_PARAMETER, EINVAL},
};

static void set_errno(DWORD code) {
  errno = EIO;
  for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
    if (errors[i].code == code) errno = errors[i].error;
}

static bool failed(void) {
  set_errno(GetLastError());
  return false;
}

/* Full paths too long for the system's usual rules, which end at MAX_PATH, are
 * spelled so that no rules apply: "\\?\C:\..." or "\\?\UNC\server\...". */
static wchar_t *unruled_path(const wchar_t *path, DWORD units) {
  static const wchar_t plain[] = L"\\\\?\\", network[] = L"\\\\?\\UNC";
  wchar_t *full = malloc(((size_t)units + 8) * sizeof *full);
  if (!full) return NULL;
  wchar_t *at = full + 7;
  DWORD got = GetFullPathNameW(path, units, at, NULL);
  if (got == 0 || got >= units) {
    free(full);
    errno = ENAMETOOLONG;
    return NULL;
  }
  const wchar_t *prefix = plain;
  if (wcsncmp(at, L"\\\\?\\", 4) == 0 || wcsncmp(at, L"\\\\.\\", 4) == 0) {
    prefix = L"";
  } else if (at[0] == L'\\' && at[1] == L'\\') {
    prefix = network;
    at++;
  }
  size_t length = wcslen(prefix);
  memmove(full + length, at, (wcslen(at) + 1) * sizeof *full);
  memcpy(full, prefix, length * sizeof *full);
  return full;
}

/* A path as the system takes it, to be freed; NULL with errno. */
static wchar_t *wide_path(const char *path) {
  int units = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, NULL, 0);
  if (units <= 0) {
    errno = EILSEQ;
    return NULL;
  }
  wchar_t *wide = malloc((size_t)units * sizeof *wide);
  if (!wide) return NULL;
  MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, wide, units);
  DWORD full = GetFullPathNameW(wide, 0, NULL, NULL);
  if (full <= LONGEST_PLAIN_PATH) return wide;
  wchar_t *unruled = unruled_path(wide, full);
  free(wide);
  return unruled;
}

/* --- memory ------------------------------------------------------------------ */

size_t os_page_bytes(void) {
  SYSTEM_INFO info;
  GetSystemInfo(&info);
  return info.dwPageSize;
}

/* Large pages are not used: they need a right that users do not have, and cannot be
 * committed piece by piece. The alignment is kept all the same. The excess it needs
 * stays reserved, which costs address space alone. */
void *os_reserve(size_t bytes) {
  if (bytes > SIZE_MAX - 2 * ALIGNMENT) {
    errno = ENOMEM;
    return NULL;
  }
  char *got = VirtualAlloc(NULL, (bytes ? bytes : 1) + ALIGNMENT, MEM_RESERVE, PAGE_NOACCESS);
  if (!got) {
    errno = ENOMEM; /* whatever the system calls it */
    return NULL;
  }
  return got + ((ALIGNMENT - ((uintptr_t)got & (ALIGNMENT - 1))) & (ALIGNMENT - 1));
}

bool os_commit(void *base, size_t offset, size_t bytes) {
  if (bytes == 0) return true;
  bool possible = bytes <= SIZE_MAX - offset;
  if (possible && VirtualAlloc((char *)base + offset, bytes, MEM_COMMIT, PAGE_READWRITE))
    return true;
  errno = ENOMEM;
  return false;
}

void os_release(void *base, size_t bytes) {
  MEMORY_BASIC_INFORMATION info;
  (void)bytes;
  if (base && VirtualQuery(base, &info, sizeof info))
    VirtualFree(info.AllocationBase, 0, MEM_RELEASE);
}

/* --- opening files ------------------------------------------------------------ */

static os_file open_handle(const char *path, DWORD access, DWORD creation, DWORD flags) {
  wchar_t *wide = wide_path(path);
  if (!wide) return -1;
  HANDLE handle = CreateFileW(wide, access, SHARE_ALL, NULL, creation, flags, NULL);
  if (handle == INVALID_HANDLE_VALUE) {
    failed();
    DWORD attributes = errno == EACCES ? GetFileAttributesW(wide) : INVALID_FILE_ATTRIBUTES;
    if (attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY))
      errno = EISDIR;
  }
  free(wide);
  return (os_file)handle;
}

static os_file open_file(const char *path, DWORD access, DWORD creation, DWORD flags) {
  return open_handle(path, access, creation, flags | FILE_FLAG_OVERLAPPED);
}

/* Closes what is no file on a disk, such as the device NUL, and tells the length. */
static os_file only_regular(os_file file, uint64_t *bytes) {
  if (file == -1) return -1;
  bool regular = GetFileType((HANDLE)file) == FILE_TYPE_DISK;
  if (regular && os_file_bytes(file, bytes)) return file;
  int error = regular ? errno : ENOTSUP;
  os_close(file);
  errno = error;
  return -1;
}

os_file os_open_read(const char *path, uint64_t *bytes) {
  return only_regular(open_file(path, GENERIC_READ, OPEN_EXISTING, 0), bytes);
}

os_file os_open_update(const char *path, uint64_t *bytes) {
  return only_regular(open_file(path, GENERIC_READ | GENERIC_WRITE, OPEN_EXISTING, 0), bytes);
}

os_file os_open_write(const char *path) {
  return open_file(path, GENERIC_WRITE, CREATE_ALWAYS, FILE_ATTRIBUTE_NORMAL);
}

/* The user's folders are the user's alone, and so are the files made in them. */
os_file os_create_private(const char *path) {
  return open_file(path, GENERIC_READ | GENERIC_WRITE, CREATE_NEW, FILE_ATTRIBUTE_NORMAL);
}

void os_make_private(os_file file) {
  (void)file;
}

/* Locked bytes cannot be read by others here, so a byte is locked that no file has. */
bool os_lock(os_file file, bool *busy) {
  OVERLAPPED place = {.OffsetHigh = 0x40000000};
  const DWORD how = LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY;
  *busy = false;
  if (LockFileEx((HANDLE)file, how, 0, 1, 0, &place)) return true;
  DWORD code = GetLastError();
  *busy = code == ERROR_LOCK_VIOLATION || code == ERROR_IO_PENDING;
  set_errno(code);
  return false;
}

/* Which file a handle leads to; false when that cannot be told. */
static bool identify(HANDLE handle, BY_HANDLE_FILE_INFORMATION *info) {
  return handle != INVALID_HANDLE_VALUE && GetFileInformationByHandle(handle, info);
}

/* FILE_FLAG_BACKUP_SEMANTICS: folders, too. */
static os_file open_to_look(const char *path) {
  return open_file(path, 0, OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS);
}

static bool are_same(const BY_HANDLE_FILE_INFORMATION *a, const BY_HANDLE_FILE_INFORMATION *b) {
  return a->dwVolumeSerialNumber == b->dwVolumeSerialNumber &&
         a->nFileIndexHigh == b->nFileIndexHigh && a->nFileIndexLow == b->nFileIndexLow;
}

bool os_is_at(os_file file, const char *path) {
  BY_HANDLE_FILE_INFORMATION mine, named;
  os_file there = open_to_look(path);
  bool same =
      identify((HANDLE)file, &mine) && identify((HANDLE)there, &named) && are_same(&mine, &named);
  os_close(there);
  return same;
}

bool os_file_bytes(os_file file, uint64_t *bytes) {
  LARGE_INTEGER size;
  if (!GetFileSizeEx((HANDLE)file, &size)) return failed();
  *bytes = (uint64_t)size.QuadPart;
  return true;
}

os_file os_open_exclusive(const char *path, uint64_t *bytes, bool *busy) {
  *busy = false;
  for (;;) {
    os_file file = only_regular(open_file(path, GENERIC_READ | GENERIC_WRITE, OPEN_ALWAYS,
                                          FILE_FLAG_OPEN_REPARSE_POINT | FILE_ATTRIBUTE_NORMAL),
                                bytes);
    if (file == -1) return -1;
    BY_HANDLE_FILE_INFORMATION info;
    int error = 0;
    bool there = true;
    if (!identify((HANDLE)file, &info))
      error = EIO;
    else if (info.dwFileAttributes & FILE_ATTRIBUTE_REPARSE_POINT)
      error = ENOTSUP;
    else if (!os_lock(file, busy))
      error = errno;
    else if (!(there = os_is_at(file, path))) /* the one before us renamed or removed it */
      error = ENOENT;
    else if (!os_file_bytes(file, bytes))
      error = errno;
    if (!error) return file;
    os_close(file);
    errno = error;
    if (there) return -1;
  }
}

void os_close(os_file file) {
  if (file != -1) CloseHandle((HANDLE)file);
}

/* --- reading and writing -------------------------------------------------------- */

/* Reads when `to` is given, else writes. */
static bool transfer(os_file file, char *to, const char *from, size_t bytes, uint64_t offset) {
  if (offset > INT64_MAX || bytes > INT64_MAX - offset) {
    errno = EOVERFLOW;
    return false;
  }
  HANDLE handle = (HANDLE)file, event = CreateEventW(NULL, TRUE, FALSE, NULL);
  if (!event) return failed();
  bool done = true;
  for (size_t at = 0; done && at < bytes;) {
    OVERLAPPED place = {.Offset = (DWORD)(offset + at),
                        .OffsetHigh = (DWORD)((offset + at) >> 32),
                        .hEvent = event};
    DWORD step = (DWORD)(bytes - at < IO_STEP ? bytes - at : IO_STEP), moved = 0;
    BOOL ok = to ? ReadFile(handle, to + at, step, NULL, &place)
                 : WriteFile(handle, from + at, step, NULL, &place);
    ok = (ok || GetLastError() == ERROR_IO_PENDING) &&
         GetOverlappedResult(handle, &place, &moved, TRUE);
    if (!ok) done = failed();
    if (ok && moved == 0) {
      errno = EIO;
      done = false;
    }
    at += moved;
  }
  int error = errno;
  CloseHandle(event);
  errno = error;
  return done;
}

bool os_read_at(os_file file, void *data, size_t bytes, uint64_t offset) {
  return bytes == 0 || transfer(file, data, NULL, bytes, offset);
}

bool os_write_at(os_file file, const void *data, size_t bytes, uint64_t offset) {
  return bytes == 0 || transfer(file, NULL, data, bytes, offset);
}

bool os_truncate(os_file file, uint64_t bytes) {
  FILE_END_OF_FILE_INFO end = {.EndOfFile.QuadPart = (LONGLONG)bytes};
  if (bytes > INT64_MAX) {
    errno = EFBIG;
    return false;
  }
  return SetFileInformationByHandle((HANDLE)file, FileEndOfFileInfo, &end, sizeof end) || failed();
}

/* What cannot be flushed, a pipe for one, has no disk behind it. */
bool os_sync(os_file file) {
  return FlushFileBuffers((HANDLE)file) || GetLastError() == ERROR_INVALID_FUNCTION || failed();
}

bool os_sync_close(os_file file) {
  if (file == -1) {
    errno = EBADF;
    return false;
  }
  bool synced = os_sync(file);
  int error = errno;
  bool closed = CloseHandle((HANDLE)file) || failed();
  if (!synced) errno = error;
  return synced && closed;
}

/* Mode "r", "w" or "wx"; the C library would take the name for one of the
 * system's code page. */
FILE *os_fopen(const char *path, const char *mode) {
  bool reads = mode[0] == 'r';
  os_file handle = open_handle(path, reads ? GENERIC_READ : GENERIC_WRITE,
                               reads               ? OPEN_EXISTING
                               : strchr(mode, 'x') ? CREATE_NEW
                                                   : CREATE_ALWAYS,
                               FILE_ATTRIBUTE_NORMAL);
  if (handle == -1) return NULL;
  int fd = _open_osfhandle(handle, _O_BINARY | (reads ? _O_RDONLY : _O_WRONLY));
  if (fd < 0) {
    os_close(handle);
    errno = EMFILE;
    return NULL;
  }
  FILE *file = _fdopen(fd, reads ? "rb" : "wb");
  if (!file) _close(fd);
  return file;
}

const char *os_error_text(int error) {
  return error == ENOTSUP ? "not a regular file" : strerror(error);
}

int os_stream_errno(void) {
  unsigned long code = _doserrno;
  bool unread = code == ERROR_NO_DATA || code == ERROR_PIPE_NOT_CONNECTED;
  return errno == EINVAL && unread ? EPIPE : errno;
}

FILE *os_fopen_private(const char *path) {
  return os_fopen(path, "wbx"); /* as os_create_private */
}

bool os_sync_stream(FILE *file) {
  return fflush(file) == 0 && os_sync((os_file)_get_osfhandle(_fileno(file)));
}

/* --- mapping ---------------------------------------------------------------------- */

struct os_map_watch {
  os_file file; /* which the mapping keeps open anyway */
  FILETIME changed;
};

static os_map_watch *begin_watch(os_file file) {
  BY_HANDLE_FILE_INFORMATION info;
  os_map_watch *watch = identify((HANDLE)file, &info) ? malloc(sizeof *watch) : NULL;
  if (watch) *watch = (os_map_watch){file, info.ftLastWriteTime};
  return watch;
}

/* The view keeps the mapping. */
static void *map_all(os_file file, uint64_t bytes) {
  HANDLE mapping = CreateFileMappingW((HANDLE)file, NULL, PAGE_READONLY, 0, 0, NULL);
  void *data = mapping ? MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, (SIZE_T)bytes) : NULL;
  if (!data) failed();
  if (mapping) CloseHandle(mapping);
  return data;
}

bool os_map_file(os_map *map, const char *path) {
  *map = (os_map){0};
  uint64_t bytes;
  os_file file = os_open_read(path, &bytes);
  if (file == -1) return false;
  if (bytes == 0) {
    os_close(file);
    return true;
  }
  void *data = bytes <= SIZE_MAX ? map_all(file, bytes) : NULL;
  os_map_watch *watch = data ? begin_watch(file) : NULL;
  if (!watch) {
    int error = bytes <= SIZE_MAX ? errno : EFBIG;
    if (data) UnmapViewOfFile(data);
    os_close(file);
    errno = error;
    return false;
  }
  *map = (os_map){data, (size_t)bytes, watch};
  return true;
}

void os_unmap_file(os_map *map) {
  if (map->bytes) UnmapViewOfFile(map->data);
  if (map->watch) os_close(map->watch->file);
  free(map->watch);
  *map = (os_map){0};
}

bool os_map_unchanged(const os_map *map, uint64_t *bytes) {
  BY_HANDLE_FILE_INFORMATION info;
  *bytes = map->bytes;
  if (!map->watch) return true;
  if (!identify((HANDLE)map->watch->file, &info)) return false;
  *bytes = (uint64_t)info.nFileSizeHigh << 32 | info.nFileSizeLow;
  return *bytes == map->bytes && CompareFileTime(&info.ftLastWriteTime, &map->watch->changed) == 0;
}

/* A mapped file cannot be shortened here; what is left, a disk that fails, ends the
 * process. */
bool os_guard_maps(void) {
  return false;
}

/* The part of the range that the map holds; false when there is none. */
static bool clip(const os_map *map, size_t offset, size_t *bytes) {
  if (offset >= map->bytes) return false;
  if (*bytes > map->bytes - offset) *bytes = map->bytes - offset;
  return *bytes > 0;
}

void os_will_need(const os_map *map, size_t offset, size_t bytes) {
  if (!clip(map, offset, &bytes)) return;
  WIN32_MEMORY_RANGE_ENTRY range = {(void *)(uintptr_t)(map->data + offset), bytes};
  PrefetchVirtualMemory(GetCurrentProcess(), 1, &range, 0);
}

/* Unlocking pages that are not locked takes them out of the working set, so that
 * the system may take their memory first. */
void os_dont_need(const os_map *map, size_t offset, size_t bytes) {
  size_t page = os_page_bytes();
  if (!clip(map, offset, &bytes)) return;
  size_t begin = (offset + page - 1) & ~(page - 1), end = offset + bytes;
  if (end < map->bytes) end &= ~(page - 1);
  if (begin < end) VirtualUnlock((void *)(uintptr_t)(map->data + begin), end - begin);
}

/* A page that cannot be read is an exception for who touches it; the system, asked
 * to copy it, says so instead. */
bool os_fetch(const os_map *map, size_t offset, size_t bytes) {
  char copy[32768];
  if (!clip(map, offset, &bytes)) return true;
  for (size_t at = offset, end = offset + bytes; at < end; at += sizeof copy) {
    size_t step = end - at < sizeof copy ? end - at : sizeof copy;
    SIZE_T got;
    if (ReadProcessMemory(GetCurrentProcess(), map->data + at, copy, step, &got)) continue;
    errno = EIO;
    return false;
  }
  return true;
}

/* --- names of files ------------------------------------------------------------------ */

/* Replaces a target that is open, which MoveFileExW refuses and POSIX systems, and
 * this call of Windows 10 1709 and later, do not. */
static bool replace_open(const wchar_t *from, const wchar_t *to) {
  size_t name_bytes = wcslen(to) * sizeof *to, bytes = sizeof(FILE_RENAME_INFO) + name_bytes;
  FILE_RENAME_INFO *info = calloc(1, bytes);
  if (!info) return false;
  HANDLE handle = CreateFileW(from, DELETE | SYNCHRONIZE, SHARE_ALL, NULL, OPEN_EXISTING, 0, NULL);
  bool done = false;
  if (handle != INVALID_HANDLE_VALUE) {
    info->Flags = FILE_RENAME_FLAG_REPLACE_IF_EXISTS | FILE_RENAME_FLAG_POSIX_SEMANTICS;
    info->FileNameLength = (DWORD)name_bytes;
    memcpy(info->FileName, to, name_bytes);
    done = SetFileInformationByHandle(handle, FileRenameInfoEx, info, (DWORD)bytes);
    CloseHandle(handle);
  }
  free(info);
  return done;
}

bool os_rename(const char *from, const char *to) {
  wchar_t *old = wide_path(from), *fresh = old ? wide_path(to) : NULL;
  bool done = fresh && MoveFileExW(old, fresh, MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH);
  if (fresh && !done) {
    failed();
    int error = errno;
    done = error == EACCES && replace_open(old, fresh);
    errno = error;
  }
  int error = errno;
  free(old);
  free(fresh);
  errno = error;
  return done;
}

bool os_remove(const char *path) {
  wchar_t *wide = wide_path(path);
  bool done = wide && (DeleteFileW(wide) || failed());
  free(wide);
  return done;
}

uint64_t os_changed_ns(const char *path) {
  const uint64_t year_1970 = 116444736000000000u; /* in units of 100 ns since 1601 */
  WIN32_FILE_ATTRIBUTE_DATA data;
  wchar_t *wide = wide_path(path);
  bool known = wide && GetFileAttributesExW(wide, GetFileExInfoStandard, &data);
  free(wide);
  if (!known) return 0;
  uint64_t changed =
      (uint64_t)data.ftLastWriteTime.dwHighDateTime << 32 | data.ftLastWriteTime.dwLowDateTime;
  return changed > year_1970 ? (changed - year_1970) * 100 : 0;
}

bool os_may_replace(const char *path) {
  BY_HANDLE_FILE_INFORMATION info;
  os_file file = open_to_look(path);
  if (file == -1) return true;
  bool regular = GetFileType((HANDLE)file) == FILE_TYPE_DISK && identify((HANDLE)file, &info) &&
                 !(info.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY);
  os_close(file);
  return regular;
}

bool os_is_link(const char *path) {
  wchar_t *wide = wide_path(path);
  DWORD attributes = wide ? GetFileAttributesW(wide) : INVALID_FILE_ATTRIBUTES;
  free(wide);
  return attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_REPARSE_POINT);
}

bool os_same_file(const char *a, const char *b) {
  os_file file = open_to_look(a);
  bool same = file != -1 && os_is_at(file, b);
  os_close(file);
  return same;
}

/* A renamed file's name is written through, and a created one's is the business of
 * the file system's journal. */
void os_sync_name(const char *path) {
  (void)path;
}

/* --- folders and paths ------------------------------------------------------------------ */

bool os_is_separator(char c) {
  return c == '/' || c == '\\';
}

const char *os_file_name(const char *path) {
  const char *name = path;
  if (path[0] && path[1] == ':') name += 2; /* "C:name" */
  for (const char *c = name; *c; c++)
    if (os_is_separator(*c)) name = c + 1;
  return name;
}

bool os_is_folder(const char *path) {
  wchar_t *wide = wide_path(path);
  DWORD attributes = wide ? GetFileAttributesW(wide) : INVALID_FILE_ATTRIBUTES;
  free(wide);
  return attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY);
}

bool os_make_folder(const char *path) {
  wchar_t *wide = wide_path(path);
  bool done = wide && (CreateDirectoryW(wide, NULL) || failed());
  free(wide);
  return done;
}

bool os_list_folder(const char *path, os_name_fn *fn, void *user) {
  size_t bytes = strlen(path);
  char name[NAME_BYTES];
  bool is_file = !os_is_folder(path) && os_changed_ns(path) > 0;
  if (is_file) errno = ENOTDIR; /* searching would find no such path */
  char *pattern = is_file ? NULL : malloc(bytes + 3);
  if (!pattern) return false;
  memcpy(pattern, path, bytes);
  memcpy(pattern + bytes, "/*", 3);
  wchar_t *wide = wide_path(pattern);
  free(pattern);
  if (!wide) return false;
  WIN32_FIND_DATAW found;
  HANDLE search = FindFirstFileW(wide, &found);
  if (search == INVALID_HANDLE_VALUE) failed();
  free(wide);
  if (search == INVALID_HANDLE_VALUE) return false;
  do {
    if (!WideCharToMultiByte(CP_UTF8, 0, found.cFileName, -1, name, sizeof name, NULL, NULL))
      continue;
    if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && fn(user, name)) break;
  } while (FindNextFileW(search, &found));
  FindClose(search);
  return true;
}

uint64_t os_free_disk(const char *path) {
  size_t bytes = (size_t)(os_file_name(path) - path);
  char *folder = malloc(bytes + 2);
  if (!folder) return UINT64_MAX;
  memcpy(folder, bytes ? path : ".", bytes ? bytes : 1);
  folder[bytes ? bytes : 1] = 0;
  wchar_t *wide = wide_path(folder);
  free(folder);
  ULARGE_INTEGER left;
  bool known = wide && GetDiskFreeSpaceExW(wide, &left, NULL, NULL);
  free(wide);
  return known ? left.QuadPart : UINT64_MAX;
}

/* The folder a variable names by an absolute path; to be freed. */
static char *folder_from(const wchar_t *variable) {
  DWORD units = GetEnvironmentVariableW(variable, NULL, 0);
  wchar_t *wide = units ? malloc((size_t)units * sizeof *wide) : NULL;
  if (!wide) return NULL;
  DWORD got = GetEnvironmentVariableW(variable, wide, units);
  size_t room = (size_t)units * 3 + 1;
  char *folder = got > 0 && got < units ? malloc(room) : NULL;
  bool known =
      folder && WideCharToMultiByte(CP_UTF8, 0, wide, -1, folder, (int)room, NULL, NULL) > 0;
  free(wide);
  if (known && (os_is_separator(folder[0]) || (folder[0] && folder[1] == ':'))) return folder;
  free(folder);
  return NULL;
}

char *os_home_folder(void) {
  char *folder = folder_from(L"HOME"); /* of who brings it along from elsewhere */
  return folder ? folder : folder_from(L"USERPROFILE");
}

char *os_state_folder(void) {
  char *folder = folder_from(L"XDG_STATE_HOME");
  return folder ? folder : folder_from(L"LOCALAPPDATA");
}

/* --- threads and time ------------------------------------------------------------------- */

bool os_start_thread(pthread_t *thread, size_t stack_bytes, void *(*fn)(void *), void *arg) {
  pthread_attr_t attributes;
  int error = pthread_attr_init(&attributes);
  if (!error) {
    error = pthread_attr_setstacksize(&attributes, stack_bytes);
    if (!error) error = pthread_create(thread, &attributes, fn, arg);
    pthread_attr_destroy(&attributes);
  }
  if (error) errno = error;
  return !error;
}

uint64_t os_now_ns(void) {
  LARGE_INTEGER frequency, count;
  QueryPerformanceFrequency(&frequency);
  QueryPerformanceCounter(&count);
  uint64_t rate = (uint64_t)frequency.QuadPart, now = (uint64_t)count.QuadPart;
  return now / rate * 1000000000u + now % rate * 1000000000u / rate;
}

void os_sleep_ns(uint64_t nanoseconds) {
  Sleep((DWORD)(nanoseconds / 1000000u));
}

bool os_local_time(time_t seconds, struct tm *local) {
  return localtime_s(local, &seconds) == 0;
}

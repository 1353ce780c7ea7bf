/* os.h on Windows 10 and later: what the machine has, and what of it this process may use. */
#define WIN32_LEAN_AND_MEAN
#define _WIN32_WINNT 0x0A00
#include "os.h"

#include <stdlib.h>
#include <windows.h>

/* Cores of which this process may use a processor. With more than 64 processors it
 * may run on several groups of them, and then all count; else the mask is of its group. */
static unsigned count_cores(const char *list, DWORD bytes) {
  DWORD_PTR mine = 0, machine = 0;
  USHORT group = 0, groups = 1;
  GetProcessAffinityMask(GetCurrentProcess(), &mine, &machine);
  if (!GetProcessGroupAffinity(GetCurrentProcess(), &groups, &group)) mine = 0;
  unsigned cores = 0;
  for (DWORD at = 0; at < bytes;) {
    const SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX *item = (const void *)(list + at);
    if (item->Size == 0) break;
    if (item->Relationship == RelationProcessorCore &&
        (mine == 0 || (item->Processor.GroupMask[0].Group == group &&
                       (item->Processor.GroupMask[0].Mask & mine))))
      cores++;
    at += item->Size;
  }
  return cores;
}

unsigned os_physical_cores(void) {
  DWORD bytes = 0;
  GetLogicalProcessorInformationEx(RelationProcessorCore, NULL, &bytes);
  SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX *list = bytes ? malloc(bytes) : NULL;
  unsigned cores = 0;
  if (list && GetLogicalProcessorInformationEx(RelationProcessorCore, list, &bytes))
    cores = count_cores((const char *)list, bytes);
  free(list);
  if (cores > 0) return cores;
  unsigned processors = os_processors();
  return processors ? processors : 1;
}

unsigned os_processors(void) {
  return GetActiveProcessorCount(ALL_PROCESSOR_GROUPS);
}

bool os_enable_tiles(void) {
  return false; /* not tried on a processor that has them */
}

uint64_t os_available_memory(void) {
  MEMORYSTATUSEX status = {.dwLength = sizeof status};
  if (!GlobalMemoryStatusEx(&status)) return 0;
  /* The second is what may still be committed. */
  return status.ullAvailPhys < status.ullAvailPageFile ? status.ullAvailPhys
                                                       : status.ullAvailPageFile;
}

uint64_t os_available_with_swap(void) {
  MEMORYSTATUSEX status = {.dwLength = sizeof status};
  return GlobalMemoryStatusEx(&status) ? status.ullAvailPageFile : 0;
}

uint64_t os_total_memory(void) {
  MEMORYSTATUSEX status = {.dwLength = sizeof status};
  return GlobalMemoryStatusEx(&status) ? status.ullTotalPhys : 0;
}

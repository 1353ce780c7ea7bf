#include "guarded.h"

#include <string.h>

#include "check.h"
#include "host.h"
#include "os.h"

static struct {
  void *base;
  size_t bytes;
} mappings[64];
static size_t mapping_count;

void *guarded(size_t bytes) {
  size_t page = os_page_bytes();
  size_t data = (bytes + page - 1) / page * page, whole = data + 2 * page;
  if (mapping_count == sizeof mappings / sizeof *mappings)
    check_fatal("guarded", "too many buffers");
  unsigned char *base = host_map_guard(whole);
  if (!base || (data && !host_unguard(base + page, data))) check_fatal("guarded", "out of memory");
  mappings[mapping_count].base = base;
  mappings[mapping_count++].bytes = whole;
  unsigned char *start = base + page + data - bytes;
  memset(start, 0xa5, bytes);
  return start;
}

void guarded_free_last(size_t count) {
  while (mapping_count && count--) {
    mapping_count--;
    host_unmap(mappings[mapping_count].base, mappings[mapping_count].bytes);
  }
}

void guarded_free_all(void) {
  guarded_free_last(mapping_count);
}

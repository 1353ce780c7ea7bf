#include "failing_memory.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "os.h"

static atomic_bool armed;
static failing_mode chosen_mode;
static unsigned long chosen;
static atomic_ulong requests;
static atomic_ullong requested;
static atomic_long live;

void failing_memory_begin(failing_mode mode, unsigned long nth) {
  chosen_mode = mode;
  chosen = nth;
  atomic_store(&requests, 0);
  atomic_store(&requested, 0);
  atomic_store(&armed, true);
}

unsigned long failing_memory_end(void) {
  atomic_store(&armed, false);
  return atomic_load(&requests);
}

uint64_t failing_memory_bytes(void) {
  return atomic_load(&requested);
}

long failing_memory_live(void) {
  return atomic_load(&live);
}

static bool refuse(size_t bytes) {
  if (!atomic_load(&armed)) return false;
  atomic_fetch_add(&requested, bytes);
  unsigned long number = atomic_fetch_add(&requests, 1) + 1;
  bool refused = chosen && (number == chosen || (number > chosen && chosen_mode == FAILING_ALL));
  if (refused) errno = ENOMEM;
  return refused;
}

static void *counted(void *memory) {
  if (memory) atomic_fetch_add(&live, 1);
  return memory;
}

/* What --wrap calls the functions themselves, and what stands in for them.
 * NOLINTBEGIN(bugprone-reserved-identifier): the names are the linker's. */
void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *memory, size_t bytes);
void __real_free(void *memory);
void *__real_os_reserve(size_t bytes);
bool __real_os_commit(void *base, size_t offset, size_t bytes);
void __real_os_release(void *base, size_t bytes);
bool __real_os_map_file(os_map *map, const char *path);
void __real_os_unmap_file(os_map *map);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *argument);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes);
char *__wrap_strdup(const char *text);
void __wrap_free(void *memory);
void *__wrap_os_reserve(size_t bytes);
bool __wrap_os_commit(void *base, size_t offset, size_t bytes);
void __wrap_os_release(void *base, size_t bytes);
bool __wrap_os_map_file(os_map *map, const char *path);
void __wrap_os_unmap_file(os_map *map);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *argument);
bool __wrap_os_sync(os_file file);

/* In a static program the C library's own calls come here as well: what calloc asks malloc
 * for is one request. */
static _Thread_local int inside;

void *__wrap_malloc(size_t bytes) {
  if (inside) return __real_malloc(bytes);
  return refuse(bytes) ? NULL : counted(__real_malloc(bytes));
}

void *__wrap_calloc(size_t count, size_t bytes) {
  if (refuse(bytes && count > SIZE_MAX / bytes ? SIZE_MAX : count * bytes)) return NULL;
  inside++;
  void *memory = __real_calloc(count, bytes);
  inside--;
  return counted(memory);
}

void *__wrap_realloc(void *memory, size_t bytes) {
  if (refuse(bytes)) return NULL;
  inside++;
  void *grown = __real_realloc(memory, bytes);
  inside--;
  return memory ? grown : counted(grown);
}

char *__wrap_strdup(const char *text) {
  size_t bytes = strlen(text) + 1;
  char *copy = __wrap_malloc(bytes);
  if (copy) memcpy(copy, text, bytes);
  return copy;
}

void __wrap_free(void *memory) {
  if (memory && !inside) atomic_fetch_sub(&live, 1);
  __real_free(memory);
}

void *__wrap_os_reserve(size_t bytes) {
  return refuse(bytes) ? NULL : counted(__real_os_reserve(bytes));
}

bool __wrap_os_commit(void *base, size_t offset, size_t bytes) {
  return !refuse(0) && __real_os_commit(base, offset, bytes);
}

void __wrap_os_release(void *base, size_t bytes) {
  if (base) atomic_fetch_sub(&live, 1);
  __real_os_release(base, bytes);
}

bool __wrap_os_map_file(os_map *map, const char *path) {
  if (!refuse(0)) {
    bool mapped = __real_os_map_file(map, path);
    if (mapped && map->bytes) atomic_fetch_add(&live, 1);
    return mapped;
  }
  memset(map, 0, sizeof *map);
  return false;
}

void __wrap_os_unmap_file(os_map *map) {
  if (map->bytes) atomic_fetch_sub(&live, 1);
  __real_os_unmap_file(map);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *argument) {
  size_t stack = 0;
  if (attributes) pthread_attr_getstacksize(attributes, &stack);
  return refuse(stack) ? EAGAIN : __real_pthread_create(thread, attributes, run, argument);
}

/* Thousands of conversions end here, each with nothing to be saved from a crash. */
bool __wrap_os_sync(os_file file) {
  (void)file;
  return true;
}
/* NOLINTEND(bugprone-reserved-identifier) */

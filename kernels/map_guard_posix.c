#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64

#include "map_guard.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#if !defined(MAP_ANONYMOUS) && defined(MAP_ANON)
#define MAP_ANONYMOUS MAP_ANON
#endif

/* --- the list of watches ------------------------------------------------------
 *
 * A signal handler finds the mapping that an address belongs to here, without locks
 * and while other threads map and unmap. Therefore watches are never freed: one that
 * ended is taken again by the next mapping, so there are as many as ever were mapped
 * at once. Global mutable state, since signals are the process's. */

struct os_map_watch {
  os_map_watch *next;      /* constant once in the list */
  atomic_bool taken;       /* by a mapping */
  atomic_uintptr_t begin;  /* 0: not to be looked at */
  atomic_uintptr_t end;    /* meaningful while `begin` stays the same */
  atomic_bool page_missed; /* zeros were put in place of the file's bytes */
  int fd;
  uint64_t changed_ns; /* when the file was last written to before it was mapped */
};

static _Atomic(os_map_watch *) all_watches;

static os_map_watch *take_watch(void) {
  for (os_map_watch *w = atomic_load(&all_watches); w; w = w->next)
    if (!atomic_exchange(&w->taken, true)) return w;
  os_map_watch *fresh = calloc(1, sizeof *fresh);
  if (!fresh) return NULL;
  atomic_store(&fresh->taken, true);
  fresh->next = atomic_load(&all_watches);
  while (!atomic_compare_exchange_weak(&all_watches, &fresh->next, fresh)) continue;
  return fresh;
}

static uint64_t changed_ns(const struct stat *st) {
#ifdef __APPLE__
  struct timespec changed = st->st_mtimespec;
#else
  struct timespec changed = st->st_mtim;
#endif
  return (uint64_t)changed.tv_sec * 1000000000u + (uint64_t)changed.tv_nsec;
}

os_map_watch *map_guard_begin(const void *data, size_t bytes, int fd) {
  struct stat st;
  if (fstat(fd, &st) != 0) return NULL;
  os_map_watch *w = take_watch();
  if (!w) return NULL;
  w->fd = fd;
  w->changed_ns = changed_ns(&st);
  atomic_store(&w->page_missed, false);
  atomic_store(&w->end, (uintptr_t)data + bytes);
  atomic_store(&w->begin, (uintptr_t)data);
  return w;
}

void map_guard_end(os_map_watch *w) {
  if (!w) return;
  atomic_store(&w->begin, 0);
  close(w->fd);
  atomic_store(&w->taken, false);
}

bool os_map_unchanged(const os_map *map, uint64_t *bytes) {
  const os_map_watch *w = map->watch;
  struct stat st;
  *bytes = map->bytes;
  if (!w) return true;
  if (fstat(w->fd, &st) != 0) return false;
  *bytes = (uint64_t)st.st_size;
  return *bytes == map->bytes && changed_ns(&st) == w->changed_ns && !atomic_load(&w->page_missed);
}

/* --- the signal -------------------------------------------------------------------
 *
 * All of this may be called in a signal handler, mmap as the bare system call it is
 * on these systems. */

static struct sigaction before; /* what handled the signal; constant once installed */
static size_t page_bytes;

/* The watch of the mapping that holds `address`, and that mapping's end. */
static os_map_watch *watch_of(uintptr_t address, uintptr_t *end) {
  for (os_map_watch *w = atomic_load(&all_watches); w; w = w->next) {
    uintptr_t begin = atomic_load(&w->begin);
    *end = atomic_load(&w->end);
    /* An end read while the watch changed hands may belong to another beginning. */
    if (begin == 0 || atomic_load(&w->begin) != begin) continue;
    if (address >= begin && address < *end) return w;
  }
  return NULL;
}

/* Zeros from the page at `address` to the end: what a shortened file lacks is all of
 * it, and beyond a page that cannot be read nothing is wanted any more. */
static bool put_zeros(uintptr_t address, uintptr_t end) {
  uintptr_t begin = address & ~(uintptr_t)(page_bytes - 1);
  void *place = (void *)begin; /* NOLINT: the address of a fault comes as a number */
  return mmap(place, end - begin, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
         place;
}

/* Linux numbers what processes send from 0 down; macOS does not. */
static bool was_sent(const siginfo_t *info) {
  return info->si_code <= 0 || info->si_code == SI_USER || info->si_code == SI_QUEUE;
}

/* As the process would have it without us. Who ends it by the signal, because nobody
 * handles it or because a fault cannot be ignored, does so once we are gone: the
 * instruction faults again, and what was sent is sent once more. */
static void hand_on(int number, siginfo_t *info, void *context) {
  bool sent = was_sent(info);
  if (before.sa_flags & SA_SIGINFO) {
    before.sa_sigaction(number, info, context);
  } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
    before.sa_handler(number);
  } else if (before.sa_handler == SIG_DFL || !sent) {
    signal(number, SIG_DFL);
    if (sent) raise(number);
  }
}

static void on_missing_page(int number, siginfo_t *info, void *context) {
  int saved = errno;
  uintptr_t address = (uintptr_t)info->si_addr, end;
  os_map_watch *w = was_sent(info) ? NULL : watch_of(address, &end);
  if (w) atomic_store(&w->page_missed, true);
  if (!w || !put_zeros(address, end)) hand_on(number, info, context);
  errno = saved;
}

static bool is_installed;

static void install(void) {
  long bytes = sysconf(_SC_PAGESIZE);
  page_bytes = bytes > 0 ? (size_t)bytes : 4096;
  struct sigaction action;
  if (sigaction(SIGBUS, NULL, &before) != 0) return;
  action.sa_sigaction = on_missing_page;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
  /* While that handler runs, what it asked for is blocked. */
  action.sa_mask = before.sa_mask;
  is_installed = sigaction(SIGBUS, &action, NULL) == 0;
}

bool os_guard_maps(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  return pthread_once(&once, install) == 0 && is_installed;
}

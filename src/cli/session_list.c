#include "session_list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "os.h"
#include "state_folder.h"

#define SUFFIX ".session"
#define SUFFIX_BYTES (sizeof SUFFIX - 1)
#define MAX_NAME_BYTES 200u

/* --- paths ---------------------------------------------------------------------------------- */

/* The parts, ended by NULL, joined; NULL without memory. */
static char *join(const char *const *parts) {
  size_t bytes = 1;
  for (size_t i = 0; parts[i]; i++) bytes += strlen(parts[i]);
  char *text = malloc(bytes), *to = text;
  if (!text) return NULL;
  for (size_t i = 0; parts[i]; i++) {
    memcpy(to, parts[i], strlen(parts[i]));
    to += strlen(parts[i]);
  }
  *to = 0;
  return text;
}

static gust_status no_memory(gust_error *err) {
  return command_error(err, GUST_E_MEMORY, "no memory for the names of sessions");
}

static gust_status sessions_folder(char **folder, gust_error *err) {
  *folder = state_folder_path("sessions");
  if (*folder) return GUST_OK;
  return command_error(err, GUST_E_ARGUMENT,
                       "no folder for sessions: neither XDG_STATE_HOME nor HOME (on Windows "
                       "LOCALAPPDATA) is an absolute path; give --session a path with a slash");
}

static bool ends_with_suffix(const char *name) {
  size_t bytes = strlen(name);
  return bytes > SUFFIX_BYTES && strcmp(name + bytes - SUFFIX_BYTES, SUFFIX) == 0;
}

static gust_status check_name(const char *name, gust_error *err) {
  bool fine = *name && *name != '.' && strlen(name) <= MAX_NAME_BYTES;
  for (const unsigned char *c = (const unsigned char *)name; *c; c++)
    if (*c < 0x20 || *c == 0x7f) fine = false;
  if (fine) return GUST_OK;
  return command_error(
      err, GUST_E_ARGUMENT,
      "--session: expected a name of 1 to %u characters that does not begin with a "
      "dot, or a path with a slash, found \"%.40s\"",
      MAX_NAME_BYTES, name);
}

gust_status session_path(char **path, const char *name, gust_error *err) {
  *path = NULL;
  if (os_file_name(name) != name) {
    *path = join((const char *[]){name, NULL});
    return *path ? GUST_OK : no_memory(err);
  }
  char *folder = NULL;
  gust_status status = check_name(name, err);
  if (!status) status = sessions_folder(&folder, err);
  if (!status) {
    const char *suffix = ends_with_suffix(name) ? "" : SUFFIX;
    *path = join((const char *[]){folder, "/", name, suffix, NULL});
    if (!*path) status = no_memory(err);
  }
  if (!status && !state_folder_make(*path)) {
    status = command_error(err, GUST_E_IO,
                           "%s: cannot make the folder for sessions: %s; give a file with a slash "
                           "in its name: --session ./FILE",
                           folder, strerror(errno));
    free(*path);
    *path = NULL;
  }
  free(folder);
  return status;
}

/* --- listing ---------------------------------------------------------------------------------- */

typedef struct found_session {
  char *name, *path;
  uint64_t changed;
} found_session;

typedef struct found_list {
  found_session *items;
  size_t count, capacity;
} found_list;

static gust_status add_found(found_list *list, const char *folder, const char *file,
                             gust_error *err) {
  if (list->count == list->capacity) {
    size_t larger = list->capacity ? list->capacity * 2 : 32;
    found_session *grown =
        larger > SIZE_MAX / sizeof *grown ? NULL : realloc(list->items, larger * sizeof *grown);
    if (!grown) return no_memory(err);
    list->items = grown;
    list->capacity = larger;
  }
  found_session *item = &list->items[list->count++];
  *item = (found_session){.name = join((const char *[]){file, NULL}),
                          .path = join((const char *[]){folder, "/", file, NULL})};
  if (!item->name || !item->path) return no_memory(err);
  item->name[strlen(file) - SUFFIX_BYTES] = 0;
  item->changed = os_changed_ns(item->path) / 1000000000u;
  return GUST_OK;
}

static int by_change(const void *a, const void *b) {
  const found_session *x = a, *y = b;
  if (x->changed != y->changed) return x->changed < y->changed ? 1 : -1;
  return strcmp(x->name, y->name);
}

typedef struct folder_scan {
  found_list *list;
  const char *folder;
  gust_status status;
  gust_error *err;
} folder_scan;

static bool take_name(void *user, const char *name) {
  folder_scan *scan = user;
  if (*name != '.' && ends_with_suffix(name))
    scan->status = add_found(scan->list, scan->folder, name, scan->err);
  return scan->status != GUST_OK;
}

static gust_status find_all(found_list *list, const char *folder, gust_error *err) {
  folder_scan scan = {.list = list, .folder = folder, .err = err};
  if (!os_list_folder(folder, take_name, &scan) && errno != ENOENT)
    return command_error(err, GUST_E_IO, "%s: cannot read the folder of sessions: %s", folder,
                         strerror(errno));
  if (!scan.status && list->count > 1)
    qsort(list->items, list->count, sizeof *list->items, by_change);
  return scan.status;
}

static bool hand_out(const found_session *item, session_entry_fn *fn, void *user) {
  session_summary summary;
  gust_error problem;
  session_entry entry = {.name = item->name, .path = item->path, .changed = item->changed};
  if (session_summary_read(&summary, item->path, &problem) == GUST_OK)
    entry.summary = &summary;
  else
    entry.problem = problem.text;
  bool stop = fn(user, &entry);
  session_summary_clear(&summary);
  return stop;
}

gust_status session_list(session_entry_fn *fn, void *user, char **folder, gust_error *err) {
  char *path = NULL;
  found_list list = {0};
  if (folder) *folder = NULL;
  gust_status status = sessions_folder(&path, err);
  if (!status) status = find_all(&list, path, err);
  for (size_t i = 0; !status && i < list.count; i++)
    if (hand_out(&list.items[i], fn, user)) break;
  for (size_t i = 0; i < list.count; i++) {
    free(list.items[i].name);
    free(list.items[i].path);
  }
  free(list.items);
  if (folder && !status)
    *folder = path;
  else
    free(path);
  return status;
}

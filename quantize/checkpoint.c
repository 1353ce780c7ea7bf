#include "checkpoint.h"

#include <stdlib.h>
#include <string.h>

#include "json_file.h"

#define SINGLE_NAME "model.safetensors"
#define INDEX_NAME "model.safetensors.index.json"
#define MAX_SHARDS 4096

/* --- names ---------------------------------------------------------------------- */

static int compare_shards(const void *a, const void *b) {
  return strcmp(((const checkpoint_shard *)a)->name, ((const checkpoint_shard *)b)->name);
}

static int compare_entries(const void *a, const void *b) {
  return strcmp(((const checkpoint_entry *)a)->name, ((const checkpoint_entry *)b)->name);
}

static checkpoint_shard *find_shard(const checkpoint *c, const char *name) {
  checkpoint_shard key = {.name = (char *)name};
  return bsearch(&key, c->shards, c->shard_count, sizeof key, compare_shards);
}

static checkpoint_entry *find_entry(const checkpoint *c, const char *name) {
  checkpoint_entry key = {.name = name};
  if (!c->entry_count) return NULL;
  return bsearch(&key, c->entries, c->entry_count, sizeof key, compare_entries);
}

const checkpoint_entry *checkpoint_find(const checkpoint *c, const char *name) {
  return find_entry(c, name);
}

/* Takes over `name`, also when it fails. */
static gust_status add_shard(checkpoint *c, char *name, gust_error *err) {
  if (!name) return gust_fail_memory(err, "shard name", 64);
  checkpoint_shard *grown = realloc(c->shards, (c->shard_count + 1) * sizeof *grown);
  if (!grown) {
    free(name);
    return gust_fail_memory(err, "shard list", (c->shard_count + 1) * sizeof *grown);
  }
  c->shards = grown;
  c->shards[c->shard_count++] = (checkpoint_shard){.name = name};
  return GUST_OK;
}

/* --- index ---------------------------------------------------------------------- */

/* A file of this very folder and nothing else. */
static bool name_is_plain(const char *name) {
  if (!*name || *name == '.' || strpbrk(name, "/\\:")) return false;
  while (*name && !gust_control_bytes(name)) name++;
  return !*name;
}

static gust_status shard_of_member(const json_file *index, const json_value *member, char **name,
                                   gust_error *err) {
  *name = NULL;
  if (!json_is(member, JSON_STRING))
    return json_fail(index->doc, member, GUST_E_FORMAT, err,
                     "weight_map: expected a file name, found %s",
                     json_type_name(json_type_of(member)));
  size_t bytes;
  const char *text = json_text(member, &bytes);
  *name = json_text_copy(member);
  if (!*name && !memchr(text, 0, bytes)) return gust_fail_memory(err, "shard name", bytes + 1);
  if (!*name || !name_is_plain(*name)) {
    gust_status status =
        json_fail(index->doc, member, GUST_E_FORMAT, err,
                  "weight_map: expected the name of a file in this folder, found '%.80s'",
                  *name ? *name : "");
    free(*name);
    *name = NULL;
    return status;
  }
  return GUST_OK;
}

/* Collects the distinct shard names. Names of one shard mostly follow each
 * other, but the list stays short in any case. */
static gust_status list_shards(checkpoint *c, const json_file *index, const json_value *weight_map,
                               gust_error *err) {
  for (const json_value *m = json_first(weight_map); m; m = json_next(weight_map, m)) {
    char *name;
    gust_status status = shard_of_member(index, m, &name, err);
    if (status) return status;
    bool known = false;
    for (size_t i = c->shard_count; i-- && !known;) known = strcmp(c->shards[i].name, name) == 0;
    if (known) {
      free(name);
      continue;
    }
    if (c->shard_count == MAX_SHARDS) {
      free(name);
      return json_fail(index->doc, m, GUST_E_UNSUPPORTED, err,
                       "weight_map: expected at most %d files, found more", MAX_SHARDS);
    }
    status = add_shard(c, name, err);
    if (status) return status;
  }
  qsort(c->shards, c->shard_count, sizeof *c->shards, compare_shards);
  return GUST_OK;
}

static gust_status check_member(const checkpoint *c, const json_file *index,
                                const json_value *member, const char *name, const char *shard_name,
                                gust_error *err) {
  checkpoint_entry *entry = find_entry(c, name);
  if (entry && &c->shards[entry->shard] == find_shard(c, shard_name)) {
    entry->listed = true;
    return GUST_OK;
  }
  return json_fail(index->doc, member, GUST_E_FORMAT, err,
                   "tensor '%.120s': expected it in '%.80s', found it %s%.80s; download the "
                   "checkpoint again",
                   name, shard_name, entry ? "in " : "in no shard",
                   entry ? c->shards[entry->shard].name : "");
}

static gust_status check_index(const checkpoint *c, const json_file *index,
                               const json_value *weight_map, gust_error *err) {
  for (const json_value *m = json_first(weight_map); m; m = json_next(weight_map, m)) {
    size_t bytes;
    const char *key = json_key(m, &bytes);
    char *name = malloc(bytes + 1), *shard_name = json_text_copy(m);
    gust_status status = GUST_OK;
    if (name && shard_name) {
      memcpy(name, key, bytes);
      name[bytes] = 0;
      status = check_member(c, index, m, name, shard_name, err);
    } else {
      status = gust_fail_memory(err, "tensor name", bytes + 1);
    }
    free(name);
    free(shard_name);
    if (status) return status;
  }
  for (size_t i = 0; i < c->entry_count; i++)
    if (!c->entries[i].listed)
      return gust_fail(err, GUST_E_FORMAT,
                       "%s: tensor '%s': expected it in weight_map, found it only in '%s'; "
                       "download the checkpoint again",
                       index->path, c->entries[i].name, c->shards[c->entries[i].shard].name);
  return GUST_OK;
}

/* --- opening -------------------------------------------------------------------- */

static gust_status open_shards(checkpoint *c, gust_error *err) {
  for (size_t i = 0; i < c->shard_count; i++) {
    char *path = path_join(c->folder, c->shards[i].name);
    if (!path) return gust_fail_memory(err, "path", strlen(c->folder));
    gust_status status = safetensors_open(&c->shards[i].file, path, err);
    free(path);
    if (status) return status;
    c->entry_count += c->shards[i].file.tensor_count;
  }
  return GUST_OK;
}

static gust_status list_entries(checkpoint *c, gust_error *err) {
  size_t count = c->entry_count, at = 0;
  c->entries = malloc((count ? count : 1) * sizeof *c->entries);
  if (!c->entries) return gust_fail_memory(err, "tensor list", count * sizeof *c->entries);
  for (size_t s = 0; s < c->shard_count; s++)
    for (size_t t = 0; t < c->shards[s].file.tensor_count; t++)
      c->entries[at++] = (checkpoint_entry){c->shards[s].file.tensors[t].name, s, t, false};
  qsort(c->entries, count, sizeof *c->entries, compare_entries);
  for (size_t i = 1; i < count; i++)
    if (strcmp(c->entries[i - 1].name, c->entries[i].name) == 0)
      return gust_fail(err, GUST_E_FORMAT,
                       "%s: tensor '%s': expected it once, found it in '%s' and in '%s'; download "
                       "the checkpoint again",
                       c->folder, c->entries[i].name, c->shards[c->entries[i - 1].shard].name,
                       c->shards[c->entries[i].shard].name);
  return GUST_OK;
}

static gust_status open_single(checkpoint *c, gust_error *err) {
  char *name = malloc(sizeof SINGLE_NAME);
  if (name) memcpy(name, SINGLE_NAME, sizeof SINGLE_NAME);
  gust_status status = add_shard(c, name, err);
  if (!status) status = open_shards(c, err);
  return status ? status : list_entries(c, err);
}

static gust_status open_sharded(checkpoint *c, gust_error *err) {
  json_file index;
  const json_value *weight_map = NULL;
  gust_status status = json_file_open(&index, c->folder, INDEX_NAME, true, err);
  if (!status)
    status = json_need(index.doc, index.root, "weight_map", JSON_OBJECT, &weight_map, err);
  if (!status && !json_count(weight_map))
    status = json_fail(index.doc, weight_map, GUST_E_FORMAT, err,
                       "weight_map: expected tensors, found none");
  if (!status) status = list_shards(c, &index, weight_map, err);
  if (!status) status = open_shards(c, err);
  if (!status) status = list_entries(c, err);
  if (!status) status = check_index(c, &index, weight_map, err);
  json_file_close(&index);
  return status;
}

static gust_status file_in_folder(const char *folder, const char *name, bool *exists,
                                  gust_error *err) {
  char *path = path_join(folder, name);
  if (!path) return gust_fail_memory(err, "path", strlen(folder) + strlen(name) + 2);
  *exists = path_exists(path);
  free(path);
  return GUST_OK;
}

gust_status checkpoint_open(checkpoint *c, const char *folder, gust_error *err) {
  memset(c, 0, sizeof *c);
  c->folder = folder;
  bool single = false, sharded = false;
  gust_status status = file_in_folder(folder, SINGLE_NAME, &single, err);
  if (!status) status = file_in_folder(folder, INDEX_NAME, &sharded, err);
  if (status) return status;
  if (single) return open_single(c, err);
  if (sharded) return open_sharded(c, err);
  return gust_fail(err, GUST_E_IO,
                   "%s: expected " SINGLE_NAME " or " INDEX_NAME
                   ", found neither; give the folder of a Hugging Face checkpoint with safetensors",
                   folder);
}

gust_status checkpoint_check(const checkpoint *c, gust_error *err) {
  gust_status status = GUST_OK;
  for (size_t i = 0; i < c->shard_count && !status; i++)
    status = safetensors_check(&c->shards[i].file, err);
  return status;
}

void checkpoint_close(checkpoint *c) {
  for (size_t i = 0; i < c->shard_count; i++) {
    safetensors_close(&c->shards[i].file);
    free(c->shards[i].name);
  }
  free(c->shards);
  free(c->entries);
  memset(c, 0, sizeof *c);
}

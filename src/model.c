#include "model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checksum.h"
#include "model_load.h"
#include "panel.h"

/* Verification reads in parts of this size, so that progress shows. */
#define VERIFY_PART (4u << 20)

/* --- typed views ------------------------------------------------------------- */

/* Looks first where it stands in files that gust wrote. */
static const gust_tensor *find_tensor(const gust_header *header, const char *name, size_t index) {
  for (size_t i = 0; i < header->tensor_count; i++) {
    const gust_tensor *tensor = &header->tensors[(index + i) % header->tensor_count];
    if (strcmp(tensor->name, name) == 0) return tensor;
  }
  return NULL;
}

static gust_matrix view_matrix(const gust_model *model, const gust_tensor *tensor) {
  size_t rows = (size_t)tensor->shape[0];
  size_t k_padded = gust_round_up((size_t)tensor->shape[1], GUST_TILE_K);
  size_t panel_count = gust_round_up(rows, GUST_PANEL_ROWS) / GUST_PANEL_ROWS;
  size_t panel_bytes = gust_type_panel_bytes(tensor->type, k_padded);
  const uint8_t *panels = model->file + tensor->offset;
  return (gust_matrix){.type = tensor->type,
                       .panels = panels,
                       .panel_bytes = panel_bytes,
                       .row_codes = panels + panel_count * panel_bytes,
                       .panel_count = panel_count,
                       .rows = rows,
                       .k_padded = k_padded};
}

static const float *view_vector(const gust_model *model, const gust_tensor *tensor) {
  return (const float *)(const void *)(model->file + tensor->offset);
}

static void set_view(gust_model *model, const gust_tensor_spec *spec, const gust_tensor *tensor) {
  gust_layer *layer = &model->layers[spec->layer];
  switch (spec->role) {
    case GUST_ROLE_EMBEDDING: model->embedding = view_matrix(model, tensor); break;
    case GUST_ROLE_ATTENTION_NORM: layer->attention_norm = view_vector(model, tensor); break;
    case GUST_ROLE_Q: layer->q = view_matrix(model, tensor); break;
    case GUST_ROLE_K: layer->k = view_matrix(model, tensor); break;
    case GUST_ROLE_V: layer->v = view_matrix(model, tensor); break;
    case GUST_ROLE_O: layer->o = view_matrix(model, tensor); break;
    case GUST_ROLE_FFN_NORM: layer->ffn_norm = view_vector(model, tensor); break;
    case GUST_ROLE_GATE: layer->gate = view_matrix(model, tensor); break;
    case GUST_ROLE_UP: layer->up = view_matrix(model, tensor); break;
    case GUST_ROLE_DOWN: layer->down = view_matrix(model, tensor); break;
    case GUST_ROLE_FINAL_NORM: model->final_norm = view_vector(model, tensor); break;
    case GUST_ROLE_HEAD: model->head = view_matrix(model, tensor); break;
  }
}

/* Another tensor, such as a bias, would change what the model computes. */
static gust_status set_known_view(gust_model *model, const char *path, const gust_tensor *tensor,
                                  gust_error *err) {
  gust_tensor_spec spec;
  if (!gust_config_find_tensor(&model->header.config, tensor->name, &spec))
    return gust_fail(err, GUST_E_UNSUPPORTED,
                     "%s: expected the tensors of a model of %u layers, found %s; use a newer gust",
                     path, model->header.config.layers, tensor->name);
  if (tensor->rank != spec.rank || tensor->shape[0] != spec.shape[0] ||
      tensor->shape[1] != spec.shape[1])
    return gust_fail(err, GUST_E_FORMAT,
                     "%s: tensor %s: expected shape [%llu, %llu], found [%llu, %llu]; convert the "
                     "model again",
                     path, tensor->name, (unsigned long long)spec.shape[0],
                     (unsigned long long)spec.shape[1], (unsigned long long)tensor->shape[0],
                     (unsigned long long)tensor->shape[1]);
  set_view(model, &spec, tensor);
  return GUST_OK;
}

static gust_status fail_missing(const gust_model *model, const char *path, gust_error *err) {
  gust_tensor_spec spec = gust_config_tensor(&model->header.config, 0);
  for (size_t i = 0; find_tensor(&model->header, spec.name, i);)
    spec = gust_config_tensor(&model->header.config, ++i);
  return gust_fail(err, GUST_E_FORMAT, "%s: tensor %s is missing; convert the model again", path,
                   spec.name);
}

/* Their names differ: when all are known and there are enough, none is missing. */
static gust_status get_all_tensors(gust_model *model, const char *path, gust_error *err) {
  const gust_header *header = &model->header;
  const gust_config *c = &header->config;
  gust_status status = GUST_OK;
  model->layers = calloc(c->layers, sizeof *model->layers);
  if (!model->layers)
    return gust_fail_memory(err, "the layer table", c->layers * sizeof *model->layers);
  for (size_t i = 0; i < header->tensor_count && !status; i++)
    status = set_known_view(model, path, &header->tensors[i], err);
  if (!status && header->tensor_count < gust_config_tensor_count(c))
    status = fail_missing(model, path, err);
  if (c->tied_head) model->head = model->embedding;
  return status;
}

/* --- opening ---------------------------------------------------------------------- */

static void fill_info(gust_model *model) {
  const gust_header *header = &model->header;
  const gust_config *c = &header->config;
  gust_model_info *info = &model->info;
  double parameters = 0;
  for (size_t i = 0; i < header->tensor_count; i++) {
    const gust_tensor *t = &header->tensors[i];
    parameters += (double)t->shape[0] * (double)t->shape[1];
    info->weight_bytes_per_token += t->bytes;
  }
  /* Of the embedding one row is read, unless it is the head as well. */
  gust_tensor_spec embedding = gust_config_tensor(c, 0);
  if (!c->tied_head) info->weight_bytes_per_token -= find_tensor(header, embedding.name, 0)->bytes;
  info->architecture = c->arch == GUST_ARCH_MISTRAL ? "mistral" : "llama";
  info->vocab_size = c->vocab_size;
  info->hidden_size = c->hidden_size;
  info->intermediate_size = c->intermediate_size;
  info->layers = c->layers;
  info->heads = c->heads;
  info->kv_heads = c->kv_heads;
  info->head_dim = c->head_dim;
  info->max_positions = c->max_positions;
  info->sliding_window = c->sliding_window;
  info->rope_theta = c->rope_theta;
  info->norm_eps = c->norm_eps;
  info->tied_head = c->tied_head;
  info->has_chat_template = header->chat_template != NULL;
  info->bos_id = c->bos_id;
  info->eos_count = c->eos_count;
  info->eos_ids = c->eos_ids;
  info->tensor_count = header->tensor_count;
  info->file_bytes = header->file_bytes;
  info->bits_per_weight = (double)header->file_bytes * 8 / parameters;
}

gust_status gust_model_resolve(gust_model *model, const char *where, gust_error *err) {
  gust_status status = get_all_tensors(model, where, err);
  if (!status) fill_info(model);
  return status;
}

bool gust_guard_mapped_files(void) {
  return os_guard_maps();
}

gust_status gust_model_check_file(const gust_model *model, gust_error *err) {
  uint64_t bytes;
  if (model->map.bytes == 0 || os_map_unchanged(&model->map, &bytes)) return GUST_OK;
  return gust_fail_changed(err, model->path, model->map.bytes, bytes);
}

/* Whether it is a folder from which gust convert makes a file. */
static bool is_checkpoint(const char *folder) {
  static const char name[] = "/config.json";
  size_t bytes = strlen(folder);
  char *path = malloc(bytes + sizeof name);
  if (!path) return false;
  memcpy(path, folder, bytes);
  memcpy(path + bytes, name, sizeof name);
  uint64_t length;
  os_file file = os_open_read(path, &length);
  free(path);
  if (file == -1) return false;
  os_close(file);
  return true;
}

/* What goes by that name instead of a file, from errno on. */
static gust_status fail_open(const char *path, gust_error *err) {
  int reason = errno;
  if (os_is_folder(path) && is_checkpoint(path))
    return gust_fail(err, GUST_E_IO,
                     "%s: expected a .gust file, found a checkpoint's folder; make one with: gust "
                     "convert %s",
                     path, path);
  if (os_is_folder(path))
    return gust_fail(err, GUST_E_IO, "%s: expected a .gust file, found a folder; give the file",
                     path);
  if (reason == ENOTSUP)
    return gust_fail(err, GUST_E_IO,
                     "%s: expected a .gust file, found a device or pipe; give the file's name",
                     path);
  return gust_fail(err, GUST_E_IO, "%s: cannot open: %s; expected a .gust file", path,
                   os_error_text(reason));
}

/* `most`: the file's length when something else follows it, or 0. */
static gust_status open_header(gust_model *model, const char *path, uint64_t most,
                               gust_error *err) {
  size_t header_bytes, path_bytes = strlen(path) + 1;
  model->path = malloc(path_bytes);
  if (!model->path) return gust_fail_memory(err, "a path", path_bytes);
  memcpy(model->path, path, path_bytes);
  if (!os_map_file(&model->map, path)) return fail_open(path, err);
  if (model->map.bytes < GUST_PROLOGUE_BYTES)
    return gust_fail(err, GUST_E_FORMAT,
                     "%s: expected a .gust file of at least %u bytes, found %zu; convert the model "
                     "with gust convert",
                     path, GUST_PROLOGUE_BYTES, model->map.bytes);
  uint64_t bytes = most && most < model->map.bytes ? most : model->map.bytes;
  gust_status status = gust_header_size(model->map.data, bytes, path, &header_bytes, err);
  if (!status)
    status = gust_header_decode(&model->header, model->map.data, header_bytes, bytes, path, err);
  if (!status)
    status = gust_tokenizer_create(&model->tokenizer, model->header.tokenizer,
                                   model->header.tokenizer_bytes, path, err);
  if (!status && gust_tokenizer_size(model->tokenizer) > model->header.config.vocab_size)
    status = gust_fail(err, GUST_E_FORMAT,
                       "%s: the tokenizer has %u pieces, the model only %u; convert it again", path,
                       gust_tokenizer_size(model->tokenizer), model->header.config.vocab_size);
  return status;
}

/* What is wrong with a file that changes while it is read says little: that it does
 * is named instead. */
static gust_status name_change(const gust_model *model, gust_status status, gust_error *err) {
  gust_status changed = gust_model_check_file(model, err);
  return changed ? changed : status;
}

gust_status gust_model_open(gust_model **out, const char *path, const gust_model_options *options,
                            gust_error *err) {
  static const gust_model_options defaults;
  *out = NULL;
  gust_model *model = calloc(1, sizeof *model);
  if (!model) return gust_fail_memory(err, "a model", sizeof *model);
  if (!options) options = &defaults;
  gust_status status = open_header(model, path, options->bytes, err);
  if (!status) status = gust_model_load(model, path, options, err);
  if (status == GUST_OK || status == GUST_E_IO || status == GUST_E_FORMAT)
    status = name_change(model, status, err);
  if (!status) status = gust_model_resolve(model, path, err);
  if (status) {
    gust_model_close(model);
    return status;
  }
  /* The copy has it all; the mapping would only hold the file's pages. */
  if (model->copy) os_unmap_file(&model->map);
  *out = model;
  return GUST_OK;
}

void gust_model_close(gust_model *model) {
  if (!model) return;
  gust_tokenizer_destroy(model->tokenizer);
  gust_header_clear(&model->header);
  free(model->layers);
  free(model->path);
  if (model->copy) os_release(model->copy, model->copy_bytes);
  os_unmap_file(&model->map);
  free(model);
}

/* --- asking ------------------------------------------------------------------------ */

const gust_model_info *gust_model_get_info(const gust_model *model) {
  return &model->info;
}

gust_status gust_model_get_tensor(const gust_model *model, size_t index, gust_tensor_info *info) {
  if (index >= model->header.tensor_count) return GUST_E_ARGUMENT;
  const gust_tensor *t = &model->header.tensors[index];
  *info = (gust_tensor_info){.name = t->name,
                             .type = gust_type_name(t->type),
                             .rank = t->rank,
                             .shape = {t->shape[0], t->shape[1]},
                             .offset = t->offset,
                             .bytes = t->bytes,
                             .checksum = t->checksum};
  return GUST_OK;
}

size_t gust_model_source_count(const gust_model *model) {
  return model->header.source_count;
}

gust_status gust_model_get_source(const gust_model *model, size_t index, gust_source_info *info) {
  if (index >= model->header.source_count) return GUST_E_ARGUMENT;
  const gust_source *source = &model->header.sources[index];
  info->name = source->name;
  info->bytes = source->bytes;
  for (int i = 0; i < 32; i++) snprintf(info->sha256 + 2 * i, 3, "%02x", source->sha256[i]);
  return GUST_OK;
}

const char *gust_model_chat_template(const gust_model *model) {
  return model->header.chat_template;
}

gust_sampling gust_model_sampling(const gust_model *model) {
  const gust_generation *g = &model->header.generation;
  return (gust_sampling){g->temperature, g->top_k, g->top_p, g->min_p, g->repeat_penalty, 0};
}

uint32_t gust_model_max_new_tokens(const gust_model *model) {
  return model->header.generation.max_new_tokens;
}

gust_status gust_model_verify(const gust_model *model, gust_progress_fn *progress, void *user,
                              gust_error *err) {
  const gust_header *header = &model->header;
  uint64_t total = 0, done = 0;
  for (size_t i = 0; i < header->tensor_count; i++) total += header->tensors[i].bytes;
  for (size_t i = 0; i < header->tensor_count; i++) {
    const gust_tensor *t = &header->tensors[i];
    gust_xxh64 hash;
    gust_xxh64_begin(&hash, 0);
    for (uint64_t at = 0; at < t->bytes;) {
      uint64_t left = t->bytes - at;
      size_t n = left < VERIFY_PART ? (size_t)left : VERIFY_PART;
      gust_xxh64_update(&hash, model->file + t->offset + at, n);
      at += n;
      done += n;
      gust_status status = gust_model_check_file(model, err);
      if (status) return status;
      if (progress && progress(user, done, total))
        return gust_fail(err, GUST_E_CANCELLED, "verification was cancelled");
    }
    uint64_t found = gust_xxh64_end(&hash);
    if (found != t->checksum)
      return gust_fail(err, GUST_E_FORMAT,
                       "tensor %s: expected checksum %016llx, found %016llx; the file is damaged: "
                       "copy or convert it again",
                       t->name, (unsigned long long)t->checksum, (unsigned long long)found);
  }
  return GUST_OK;
}

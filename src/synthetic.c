/* Models of published shapes with random weights, written straight into the
 * packed layout: the speed of a model depends on its shapes and types, not on
 * what it has learned. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checksum.h"
#include "float_state.h"
#include "model.h"
#include "panel.h"
#include "pool.h"
#include "random64.h"

/* Panels between two calls of the progress function. */
#define PANELS_PER_STEP 512u

/* --- shapes -------------------------------------------------------------------- */

#define SPECIAL_PIECES 3 /* unknown, begin and end of a sequence */
#define BOS_ID 1
#define EOS_ID 2

typedef struct known_shape {
  const char *name;
  gust_arch arch;
  uint32_t vocab_size, hidden_size, intermediate_size, layers;
  uint32_t heads, kv_heads, head_dim, max_positions, sliding_window;
} known_shape;

/* Rows are multiples of 16 and columns of 128, so that no panel has padding. */
static const known_shape shapes[] = {
    {"mistral-7b", GUST_ARCH_MISTRAL, 32000, 4096, 14336, 32, 32, 8, 128, 32768, 4096},
    {"zephyr-7b", GUST_ARCH_MISTRAL, 32000, 4096, 14336, 32, 32, 8, 128, 32768, 4096},
    {"llama-2-7b", GUST_ARCH_LLAMA, 32000, 4096, 11008, 32, 32, 32, 128, 4096, 0},
    {"llama-2-13b", GUST_ARCH_LLAMA, 32000, 5120, 13824, 40, 40, 40, 128, 4096, 0},
    {"demo", GUST_ARCH_MISTRAL, 4096, 256, 768, 8, 4, 2, 64, 2048, 512},
};

static const known_shape *find_shape(const char *name) {
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
    if (strcmp(shapes[i].name, name) == 0) return &shapes[i];
  return NULL;
}

static gust_config config_of(const known_shape *shape) {
  return (gust_config){.arch = shape->arch,
                       .vocab_size = shape->vocab_size,
                       .hidden_size = shape->hidden_size,
                       .intermediate_size = shape->intermediate_size,
                       .layers = shape->layers,
                       .heads = shape->heads,
                       .kv_heads = shape->kv_heads,
                       .head_dim = shape->head_dim,
                       .max_positions = shape->max_positions,
                       .sliding_window = shape->sliding_window,
                       .rope_theta = 10000,
                       .norm_eps = 1e-5f,
                       .bos_id = BOS_ID,
                       .eos_count = 1,
                       .eos_ids = {EOS_ID}};
}

/* --- tokenizer: every byte is a token --------------------------------------------- */

static bool add_piece(gust_vocabulary *v, const char *text, uint32_t flags) {
  size_t bytes = strlen(text);
  char *copy = malloc(bytes);
  if (!copy) return false;
  memcpy(copy, text, bytes);
  v->pieces[v->piece_count++] = (gust_piece){copy, (uint32_t)bytes, flags};
  return true;
}

static bool fill_vocabulary(gust_vocabulary *v) {
  static const char *const specials[SPECIAL_PIECES] = {"<unk>", "<s>", "</s>"};
  bool enough = true;
  v->pieces = calloc(SPECIAL_PIECES + 256, sizeof *v->pieces);
  v->prefix_ids = malloc(sizeof *v->prefix_ids);
  if (!v->pieces || !v->prefix_ids) return false;
  for (int i = 0; i < SPECIAL_PIECES && enough; i++)
    enough = add_piece(v, specials[i], GUST_PIECE_SPECIAL | GUST_PIECE_ADDED);
  for (unsigned byte = 0; byte < 256 && enough; byte++) {
    char spelling[8];
    snprintf(spelling, sizeof spelling, "<0x%02X>", byte);
    enough = add_piece(v, spelling, GUST_PIECE_BYTE);
  }
  v->byte_fallback = true;
  v->keep_spaces = true;
  v->prefix_ids[0] = BOS_ID;
  v->prefix_count = 1;
  return enough;
}

static gust_status create_tokenizer(gust_model *model, const char *where, gust_error *err) {
  gust_header *header = &model->header;
  gust_vocabulary vocabulary = {0};
  gust_status status = GUST_OK;
  if (!fill_vocabulary(&vocabulary))
    status = gust_fail_memory(err, "a vocabulary", (SPECIAL_PIECES + 256) * sizeof(gust_piece));
  if (!status)
    status = gust_tokenizer_encode(&vocabulary, &header->tokenizer, &header->tokenizer_bytes, err);
  gust_vocabulary_clear(&vocabulary);
  if (status) return status;
  return gust_tokenizer_create(&model->tokenizer, header->tokenizer, header->tokenizer_bytes, where,
                               err);
}

/* --- the tensor table ------------------------------------------------------------------ */

static gust_status add_tensor(gust_header *header, const gust_tensor_spec *spec, gust_type type,
                              gust_error *err) {
  size_t bytes = strlen(spec->name) + 1;
  char *copy = malloc(bytes);
  if (!copy) return gust_fail_memory(err, "a tensor's name", bytes);
  memcpy(copy, spec->name, bytes);
  header->tensors[header->tensor_count++] =
      (gust_tensor){.name = copy,
                    .type = gust_tensor_usual_type(spec, type),
                    .rank = spec->rank,
                    .shape = {spec->shape[0], spec->shape[1]}};
  return GUST_OK;
}

static gust_status add_all_tensors(gust_header *header, gust_type type, gust_error *err) {
  size_t count = gust_config_tensor_count(&header->config);
  gust_status status = GUST_OK;
  header->tensors = calloc(count, sizeof *header->tensors);
  if (!header->tensors)
    return gust_fail_memory(err, "the tensor table", count * sizeof *header->tensors);
  for (size_t i = 0; i < count && !status; i++) {
    gust_tensor_spec spec = gust_config_tensor(&header->config, i);
    status = add_tensor(header, &spec, type, err);
  }
  return status ? status : gust_header_place(header, 0, err);
}

/* --- weights ------------------------------------------------------------------------- */

/* What random bytes amount to, so that row scales can make the root mean square
 * of the weights what it should be:
 *   q4 scales have magnitudes 32 .. 63 and 33 .. 64, rms 48.9; uniform codes
 *      with and without shift have rms 33.8, and lie as densely around 0 as the
 *      levels do;
 *   q8 scales are 128 .. 255, rms 195; codes are the odd numbers, rms 73.9;
 *   floats are uniform over the 16-bit integers, rms 2^15 / sqrt(3). */
#define Q4_RMS (48.9f * 33.8f)
#define Q8_RMS (195.0f * 73.9f)
#define INT16_RMS 18918.6f

#define EACH_BYTE(b) (0x0101010101010101u * (b))

static void put_random(uint8_t *p, size_t bytes, uint64_t set, uint64_t *state) {
  for (size_t i = 0; i < bytes; i += 8) {
    uint64_t word = gust_random64(state) | set;
    memcpy(p + i, &word, 8);
  }
}

static void fill_q4(uint8_t *panel, size_t bytes, uint64_t *state) {
  for (uint8_t *p = panel, *end = panel + bytes; p < end; p += GUST_Q4_TILE_BYTES) {
    for (size_t i = 0; i < GUST_LINE; i += 8) {
      /* The bit below the sign is its opposite: a magnitude from 32 on. */
      uint64_t word = gust_random64(state);
      word = (word & ~EACH_BYTE(0x40)) | (~word >> 1 & EACH_BYTE(0x40));
      memcpy(p + i, &word, 8);
    }
    put_random(p + GUST_LINE, GUST_Q4_TILE_BYTES - GUST_LINE, 0, state);
  }
}

static void fill_q8(uint8_t *panel, size_t bytes, uint64_t *state) {
  for (uint8_t *p = panel, *end = panel + bytes; p < end; p += GUST_Q8_TILE_BYTES) {
    put_random(p, GUST_LINE, EACH_BYTE(0x80), state);
    /* Odd, so never -128. */
    put_random(p + GUST_LINE, GUST_Q8_TILE_BYTES - GUST_LINE, EACH_BYTE(0x01), state);
  }
}

static void draw_floats(float values[4], float unit, uint64_t *state) {
  uint64_t word = gust_random64(state);
  for (int i = 0; i < 4; i++) values[i] = unit * (float)((int)(word >> 16 * i & 0xffff) - 0x8000);
}

static void fill_bf16(uint8_t *panel, size_t bytes, float rms, uint64_t *state) {
  for (size_t at = 0; at < bytes; at += 8) {
    float values[4];
    uint32_t bits[4];
    uint16_t high[4];
    draw_floats(values, rms / INT16_RMS, state);
    memcpy(bits, values, sizeof bits);
    for (int i = 0; i < 4; i++) high[i] = (uint16_t)(bits[i] >> 16);
    memcpy(panel + at, high, sizeof high);
  }
}

static void fill_f32(uint8_t *panel, size_t bytes, float rms, uint64_t *state) {
  for (size_t at = 0; at < bytes; at += 16) {
    float values[4];
    draw_floats(values, rms / INT16_RMS, state);
    memcpy(panel + at, values, sizeof values);
  }
}

typedef struct fill_job {
  uint8_t *data;
  gust_type type;
  size_t panel_bytes, first_panel;
  uint64_t seed; /* the tensor's index */
  float rms;
} fill_job;

static void fill_panels(void *arg, size_t begin, size_t end, unsigned worker) {
  (void)worker;
  const fill_job *job = arg;
  for (size_t i = begin; i < end; i++) {
    size_t panel = job->first_panel + i;
    uint8_t *p = job->data + panel * job->panel_bytes;
    uint64_t state = gust_mix64(job->seed << 32 | panel);
    switch (job->type) {
      case GUST_TYPE_Q4: fill_q4(p, job->panel_bytes, &state); break;
      case GUST_TYPE_Q8: fill_q8(p, job->panel_bytes, &state); break;
      case GUST_TYPE_BF16: fill_bf16(p, job->panel_bytes, job->rms, &state); break;
      case GUST_TYPE_F32: fill_f32(p, job->panel_bytes, job->rms, &state); break;
    }
  }
}

/* A progress call's state over all tensors. */
typedef struct fill_progress {
  gust_progress_fn *fn;
  void *user;
  uint64_t done, total;
} fill_progress;

static gust_status report(fill_progress *progress, uint64_t bytes, gust_error *err) {
  progress->done += bytes;
  if (!progress->fn || !progress->fn(progress->user, progress->done, progress->total))
    return GUST_OK;
  return gust_fail(err, GUST_E_CANCELLED, "making a synthetic model was cancelled");
}

/* The power of two next to the scale that gives the weights their rms. */
static void fill_row_codes(const gust_tensor *tensor, uint8_t *codes, float rms) {
  if (!gust_type_is_quantized(tensor->type)) return;
  int exponent;
  frexpf(rms / (tensor->type == GUST_TYPE_Q4 ? Q4_RMS : Q8_RMS), &exponent);
  memset(codes, exponent - 1 + 127, (size_t)tensor->shape[0]);
}

/* Inputs of a matrix have mean square 1 or so behind a norm; weights of mean
 * square 1/columns keep its outputs there, and the logits finite. */
static gust_status fill_matrix(gust_pool *pool, const gust_tensor *tensor, size_t index,
                               uint8_t *data, fill_progress *progress, gust_error *err) {
  size_t panels = (size_t)tensor->shape[0] / GUST_PANEL_ROWS;
  fill_job job = {.data = data,
                  .type = tensor->type,
                  .panel_bytes = gust_type_panel_bytes(
                      tensor->type, gust_round_up((size_t)tensor->shape[1], GUST_TILE_K)),
                  .seed = index};
  gust_float_state caller = gust_float_state_set_default();
  job.rms = 1.0f / sqrtf((float)tensor->shape[1]);
  fill_row_codes(tensor, data + panels * job.panel_bytes, job.rms);
  gust_float_state_restore(caller);
  while (job.first_panel < panels) {
    size_t left = panels - job.first_panel, step = left < PANELS_PER_STEP ? left : PANELS_PER_STEP;
    gust_pool_run(pool, fill_panels, &job, step, 4);
    job.first_panel += step;
    gust_status status = report(progress, step * job.panel_bytes, err);
    if (status) return status;
  }
  return report(progress, tensor->bytes - panels * job.panel_bytes, err);
}

static gust_status fill_norm(const gust_tensor *tensor, uint8_t *data, fill_progress *progress,
                             gust_error *err) {
  float *weights = (float *)(void *)data;
  for (uint64_t i = 0; i < tensor->shape[0]; i++) weights[i] = 1.0f;
  return report(progress, tensor->bytes, err);
}

static void sum_tensors(void *arg, size_t begin, size_t end, unsigned worker) {
  (void)worker;
  gust_model *model = arg;
  for (size_t i = begin; i < end; i++) {
    gust_tensor *tensor = &model->header.tensors[i];
    tensor->checksum = gust_xxh64_of(model->file + tensor->offset, (size_t)tensor->bytes, 0);
  }
}

static gust_status fill_tensors(gust_model *model, fill_progress *progress, gust_error *err) {
  const gust_header *header = &model->header;
  unsigned threads = gust_default_threads();
  gust_pool *pool = gust_pool_create(threads);
  if (!pool) return gust_fail_threads(err, threads);
  gust_status status = GUST_OK;
  for (size_t i = 0; i < header->tensor_count && !status; i++) {
    const gust_tensor *tensor = &header->tensors[i];
    uint8_t *data = (uint8_t *)model->copy + tensor->offset;
    if (tensor->rank == 1)
      status = fill_norm(tensor, data, progress, err);
    else
      status = fill_matrix(pool, tensor, i, data, progress, err);
  }
  if (!status) gust_pool_run(pool, sum_tensors, model, header->tensor_count, 1);
  gust_pool_destroy(pool);
  return status;
}

/* --- creation --------------------------------------------------------------------------- */

/* Systems promise more memory than they have and end whoever uses it; asking
 * first gives an error instead. */
static gust_status reserve_memory(gust_model *model, const char *where, gust_error *err) {
  uint64_t bytes = model->header.file_bytes, available = os_available_memory();
  if ((available && bytes > available) || bytes > SIZE_MAX)
    return gust_fail(
        err, GUST_E_MEMORY,
        "%s: expected %llu bytes of free memory, found %llu; use a smaller type or shape", where,
        (unsigned long long)bytes, (unsigned long long)available);
  model->copy_bytes = (size_t)bytes;
  model->copy = os_reserve(model->copy_bytes);
  if (!model->copy || !os_commit(model->copy, 0, model->copy_bytes))
    return gust_fail_memory(err, "a synthetic model", model->copy_bytes);
  model->file = model->copy;
  model->info.load = GUST_LOAD_COPY;
  return GUST_OK;
}

/* The first step of both: what the names stand for. */
static gust_status read_names(const known_shape **shape, gust_type *type, const char *shape_name,
                              const char *type_name, gust_error *err) {
  *shape = find_shape(shape_name);
  if (!*shape)
    return gust_fail(err, GUST_E_ARGUMENT,
                     "synthetic model: expected mistral-7b, zephyr-7b, llama-2-7b, llama-2-13b or "
                     "demo, found %s",
                     shape_name);
  if (!gust_type_parse(type_name, type))
    return gust_fail(err, GUST_E_ARGUMENT,
                     "synthetic model: expected type " GUST_TYPE_NAMES ", found %s", type_name);
  return GUST_OK;
}

gust_status gust_synthetic_header(gust_header *header, const char *shape_name,
                                  const char *type_name, gust_error *err) {
  const known_shape *shape;
  gust_type type;
  memset(header, 0, sizeof *header);
  gust_status status = read_names(&shape, &type, shape_name, type_name, err);
  if (status) return status;
  header->config = config_of(shape);
  status = add_all_tensors(header, type, err);
  if (status) gust_header_clear(header);
  return status;
}

static gust_status create_parts(gust_model *model, const known_shape *shape, gust_type type,
                                fill_progress *progress, gust_error *err) {
  gust_header *header = &model->header;
  char where[64];
  snprintf(where, sizeof where, "synthetic %s %s", shape->name, gust_type_name(type));
  header->config = config_of(shape);
  header->generation = (gust_generation){.top_p = 1, .repeat_penalty = 1};
  gust_status status = create_tokenizer(model, where, err);
  if (!status) status = add_all_tensors(header, type, err);
  if (!status) status = reserve_memory(model, where, err);
  if (status) return status;
  for (size_t i = 0; i < header->tensor_count; i++) progress->total += header->tensors[i].bytes;
  status = fill_tensors(model, progress, err);
  return status ? status : gust_model_resolve(model, where, err);
}

gust_status gust_model_create_synthetic(gust_model **out, const char *shape_name,
                                        const char *type_name, gust_progress_fn *progress,
                                        void *user, gust_error *err) {
  *out = NULL;
  const known_shape *shape;
  gust_type type;
  gust_status status = read_names(&shape, &type, shape_name, type_name, err);
  if (status) return status;
  gust_model *model = calloc(1, sizeof *model);
  if (!model) return gust_fail_memory(err, "a model", sizeof *model);
  fill_progress steps = {.fn = progress, .user = user};
  status = create_parts(model, shape, type, &steps, err);
  if (status) {
    gust_model_close(model);
    return status;
  }
  *out = model;
  return GUST_OK;
}

/* make_checkpoint SHAPE FOLDER [--layers N] [--seed N] [--correlated]
 *                 [--tokenizer FOLDER] [--threads N]
 *
 * Writes a Hugging Face checkpoint of a published shape with random weights:
 * config.json, the tokenizer's files and bfloat16 shards with their index. For
 * measuring a conversion at full size, and for tests of models whose weights
 * nobody has to download.
 *
 * Weights have the statistics of real ones as far as quantization cares: bell-shaped
 * with heavy tails (one in 25 twice, one in 256 four times as large), rows and
 * columns of differing scale, and a few channels of the residual stream that are
 * outliers throughout. With --correlated, neighbouring channels that feed a
 * matrix move together, as those of trained models do. All arithmetic is exact
 * or correctly rounded, so a shape, a seed and the options name the same bytes on
 * every machine. Built with the tree, not installed. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_file.h"
#include "os.h"
#include "pool.h"
#include "quantizers.h"
#include "random64.h"

#define NAME_BYTES 96
#define CHUNK_BYTES ((size_t)1 << 20) /* of weights between two writes of a thread */
#define OUTLIERS 4u                   /* channels of the residual stream */
#define GROUP 8u                      /* neighbouring channels that move together */

typedef struct shape {
  const char *name, *model_type, *architecture;
  unsigned vocab, hidden, ffn, layers, heads, kv_heads, head_dim, positions, window, shards;
} shape;

static const shape shapes[] = {
    {"mistral-7b", "mistral", "MistralForCausalLM", 32000, 4096, 14336, 32, 32, 8, 128, 32768, 4096,
     8},
    {"llama-2-7b", "llama", "LlamaForCausalLM", 32000, 4096, 11008, 32, 32, 32, 128, 4096, 0, 2},
    {"llama-2-13b", "llama", "LlamaForCausalLM", 32000, 5120, 13824, 40, 40, 40, 128, 4096, 0, 3},
    {"demo", "mistral", "MistralForCausalLM", 4096, 256, 768, 8, 4, 2, 64, 2048, 512, 2},
};

/* What a tensor's rows and columns are. */
typedef enum channel { OTHER, RESIDUAL } channel;

typedef struct tensor {
  char name[NAME_BYTES];
  uint64_t rows, columns; /* columns 0: a vector */
  channel row_channel, column_channel;
  unsigned shard;
  uint64_t offset; /* in the shard's file */
} tensor;

typedef struct maker {
  shape shape;
  const char *folder, *tokenizer;
  uint64_t seed;
  bool correlated;
  gust_pool *pool;
  tensor *tensors;
  size_t count;
  uint64_t *shard_bytes; /* of weights */
  unsigned threads;
} maker;

static _Noreturn void fail(const char *what, const char *where) {
  fprintf(stderr, "make_checkpoint: %s: %s%s%s\n", where, what, errno ? ": " : "",
          errno ? strerror(errno) : "");
  exit(1);
}

static void *need(void *memory) {
  if (!memory) fail("out of memory", "tables");
  return memory;
}

/* --- weights ---------------------------------------------------------------------- */

static uint64_t stream(const maker *m, size_t index, uint64_t row) {
  return gust_mix64(m->seed ^ gust_mix64((uint64_t)index << 32 ^ row));
}

/* Variance one but for the tails: the sum of four uniform numbers of 12 bits; the
 * eight bits at the top say whether it is one of the large. */
static float draw_bell(uint64_t *state) {
  uint64_t r = gust_random64(state);
  int sum = (int)(r & 4095) + (int)(r >> 12 & 4095) + (int)(r >> 24 & 4095) + (int)(r >> 36 & 4095);
  float x = (float)(sum - 8190) * (1.0f / 2364.8f);
  unsigned tail = (unsigned)(r >> 56);
  return tail == 0 ? 4 * x : tail <= 10 ? 2 * x : x;
}

/* 0.5 to 2, most near 0.8. */
static float draw_scale(uint64_t *state) {
  float u = (float)(gust_random64(state) >> 40) * 0x1p-24f;
  return 0.5f + u * u * 1.5f;
}

static bool is_outlier(const maker *m, uint64_t index) {
  for (uint64_t i = 0; i < OUTLIERS; i++)
    if (gust_mix64(m->seed + i) % m->shape.hidden == index) return true;
  return false;
}

static float channel_scale(const maker *m, channel kind, size_t matrix, uint64_t index) {
  uint64_t state = stream(m, matrix, ~index);
  float scale = draw_scale(&state);
  return kind == RESIDUAL && is_outlier(m, index) ? 8 * scale : scale;
}

typedef struct fill_job {
  const maker *m;
  size_t index; /* of the tensor */
  os_file file;
  float *column_scales;
  uint64_t rows_per_chunk;
  uint16_t **buffers; /* per thread */
} fill_job;

/* Row `row` of a matrix that writes to the residual stream shares half of its
 * variance with the others of its group, so that what it adds to neighbouring
 * channels is correlated. */
static void fill_row(const fill_job *job, uint64_t row, uint16_t *out) {
  const maker *m = job->m;
  const tensor *t = &m->tensors[job->index];
  uint64_t own = stream(m, job->index, row);
  float scale = channel_scale(m, t->row_channel, job->index, (uint64_t)1 << 40 | row);
  if (t->row_channel == RESIDUAL && is_outlier(m, row)) scale *= 8;
  bool by_row = m->correlated && t->row_channel == RESIDUAL;
  bool by_column = m->correlated && t->column_channel == RESIDUAL && t->row_channel != RESIDUAL &&
                   job->index == 0; /* the embedding */
  uint64_t shared = stream(m, job->index, (uint64_t)1 << 48 | row / GROUP);
  float common = by_column ? draw_bell(&shared) : 0;
  for (uint64_t k = 0; k < t->columns; k++) {
    float x = draw_bell(&own);
    if (by_column && k % GROUP == 0) common = draw_bell(&shared);
    if (by_row) common = draw_bell(&shared);
    if (by_row || by_column) x = 0.70710678f * (x + common);
    out[k] = gust_bf16_from_float(x * scale * job->column_scales[k]);
  }
}

static void fill_chunks(void *arg, size_t begin, size_t end, unsigned worker) {
  const fill_job *job = arg;
  const tensor *t = &job->m->tensors[job->index];
  uint16_t *buffer = job->buffers[worker];
  for (size_t chunk = begin; chunk < end; chunk++) {
    uint64_t first = chunk * job->rows_per_chunk, rows = t->rows - first;
    if (rows > job->rows_per_chunk) rows = job->rows_per_chunk;
    for (uint64_t r = 0; r < rows; r++) fill_row(job, first + r, buffer + r * t->columns);
    if (!os_write_at(job->file, buffer, rows * t->columns * 2, t->offset + first * t->columns * 2))
      fail("cannot be written", t->name);
  }
}

static void write_matrix(const maker *m, size_t index, os_file file) {
  const tensor *t = &m->tensors[index];
  fill_job job = {.m = m, .index = index, .file = file};
  job.rows_per_chunk = CHUNK_BYTES / (t->columns * 2);
  if (job.rows_per_chunk == 0) job.rows_per_chunk = 1;
  job.column_scales = need(malloc(t->columns * sizeof(float)));
  float norm = 1.0f / sqrtf((float)t->columns);
  for (uint64_t k = 0; k < t->columns; k++)
    job.column_scales[k] = norm * channel_scale(m, t->column_channel, index, k);
  job.buffers = need(malloc(m->threads * sizeof *job.buffers));
  for (unsigned i = 0; i < m->threads; i++)
    job.buffers[i] = need(malloc(job.rows_per_chunk * t->columns * 2));
  uint64_t chunks = (t->rows + job.rows_per_chunk - 1) / job.rows_per_chunk;
  gust_pool_run(m->pool, fill_chunks, &job, chunks, 1);
  for (unsigned i = 0; i < m->threads; i++) free(job.buffers[i]);
  free(job.buffers);
  free(job.column_scales);
}

/* Norms: near 0.5, small where the channel is an outlier. */
static void write_vector(const maker *m, size_t index, os_file file) {
  const tensor *t = &m->tensors[index];
  uint16_t *values = need(malloc(t->rows * 2));
  for (uint64_t k = 0; k < t->rows; k++) {
    uint64_t state = stream(m, index, k);
    float x = 0.6f * draw_scale(&state);
    values[k] = gust_bf16_from_float(is_outlier(m, k) ? 0.25f * x : x);
  }
  if (!os_write_at(file, values, t->rows * 2, t->offset)) fail("cannot be written", t->name);
  free(values);
}

/* --- tensors and shards ------------------------------------------------------------ */

static uint64_t tensor_bytes(const tensor *t) {
  return t->rows * (t->columns ? t->columns : 1) * 2;
}

static void add(maker *m, const char *name, uint64_t rows, uint64_t columns, channel row_channel,
                channel column_channel) {
  tensor *t = &m->tensors[m->count++];
  *t = (tensor){.rows = rows,
                .columns = columns,
                .row_channel = row_channel,
                .column_channel = column_channel};
  snprintf(t->name, sizeof t->name, "%s", name);
}

static void list_tensors(maker *m) {
  const shape *s = &m->shape;
  uint64_t h = s->hidden, q = (uint64_t)s->heads * s->head_dim, v = s->kv_heads * s->head_dim;
  m->tensors = need(calloc(3 + (size_t)s->layers * 9, sizeof *m->tensors));
  add(m, "model.embed_tokens.weight", s->vocab, h, OTHER, RESIDUAL);
  for (unsigned i = 0; i < s->layers; i++) {
    const struct {
      const char *name;
      uint64_t rows, columns;
      channel row_channel, column_channel;
    } parts[] = {
        {"input_layernorm", h, 0, RESIDUAL, OTHER},
        {"mlp.down_proj", h, s->ffn, RESIDUAL, OTHER},
        {"mlp.gate_proj", s->ffn, h, OTHER, OTHER},
        {"mlp.up_proj", s->ffn, h, OTHER, OTHER},
        {"post_attention_layernorm", h, 0, RESIDUAL, OTHER},
        {"self_attn.k_proj", v, h, OTHER, OTHER},
        {"self_attn.o_proj", h, q, RESIDUAL, OTHER},
        {"self_attn.q_proj", q, h, OTHER, OTHER},
        {"self_attn.v_proj", v, h, OTHER, OTHER},
    };
    for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
      char name[NAME_BYTES];
      snprintf(name, sizeof name, "model.layers.%u.%s.weight", i, parts[p].name);
      add(m, name, parts[p].rows, parts[p].columns, parts[p].row_channel, parts[p].column_channel);
    }
  }
  add(m, "model.norm.weight", h, 0, RESIDUAL, OTHER);
  add(m, "lm_head.weight", s->vocab, h, OTHER, OTHER);
}

/* Into shards of about the same size, in order. */
static void deal_out(maker *m) {
  uint64_t total = 0, before = 0;
  for (size_t i = 0; i < m->count; i++) total += tensor_bytes(&m->tensors[i]);
  m->shard_bytes = need(calloc(m->shape.shards, sizeof *m->shard_bytes));
  for (size_t i = 0; i < m->count; i++) {
    tensor *t = &m->tensors[i];
    t->shard = (unsigned)(before * m->shape.shards / total);
    t->offset = m->shard_bytes[t->shard]; /* in its data, until the header is known */
    m->shard_bytes[t->shard] += tensor_bytes(t);
    before += tensor_bytes(t);
  }
}

/* --- files ------------------------------------------------------------------------ */

static char *path_in(const char *folder, const char *name) {
  return need(path_join(folder, name));
}

static FILE *open_text(const maker *m, const char *name) {
  char *path = path_in(m->folder, name);
  FILE *f = os_fopen(path, "wb");
  if (!f) fail("cannot be written", path);
  free(path);
  return f;
}

static void close_text(FILE *f, const char *name) {
  if (fclose(f) != 0) fail("cannot be written", name);
}

static void shard_name(const maker *m, unsigned shard, char name[64]) {
  snprintf(name, 64, "model-%05u-of-%05u.safetensors", shard + 1, m->shape.shards);
}

/* The JSON of one shard's header, padded with spaces to whole 8 bytes. */
static char *header_of(const maker *m, unsigned shard, size_t *bytes) {
  size_t room = 256 + m->count * (NAME_BYTES + 160), at = 0;
  char *text = need(malloc(room));
  at += (size_t)snprintf(text, room, "{\"__metadata__\":{\"format\":\"pt\"}");
  for (size_t i = 0; i < m->count; i++) {
    const tensor *t = &m->tensors[i];
    if (t->shard != shard) continue;
    char dims[48];
    if (t->columns)
      snprintf(dims, sizeof dims, "%" PRIu64 ",%" PRIu64, t->rows, t->columns);
    else
      snprintf(dims, sizeof dims, "%" PRIu64, t->rows);
    at += (size_t)snprintf(text + at, room - at,
                           ",\"%s\":{\"dtype\":\"BF16\",\"shape\":[%s],\"data_offsets\":[%" PRIu64
                           ",%" PRIu64 "]}",
                           t->name, dims, t->offset, t->offset + tensor_bytes(t));
  }
  text[at++] = '}';
  while (at % 8) text[at++] = ' ';
  *bytes = at;
  return text;
}

static void write_shard(maker *m, unsigned shard) {
  char name[64];
  shard_name(m, shard, name);
  char *path = path_in(m->folder, name);
  os_file file = os_open_write(path);
  if (file < 0) fail("cannot be written", path);
  size_t bytes;
  char *header = header_of(m, shard, &bytes);
  uint8_t length[8];
  for (int i = 0; i < 8; i++) length[i] = (uint8_t)((uint64_t)bytes >> 8 * i);
  if (!os_write_at(file, length, 8, 0) || !os_write_at(file, header, bytes, 8))
    fail("cannot be written", path);
  free(header);
  for (size_t i = 0; i < m->count; i++) {
    tensor *t = &m->tensors[i];
    if (t->shard != shard) continue;
    t->offset += 8 + bytes;
    (t->columns ? write_matrix : write_vector)(m, i, file);
  }
  os_close(file);
  fprintf(stderr, "%s: %.2f GB\n", path, (double)m->shard_bytes[shard] * 1e-9);
  free(path);
}

static void write_index(const maker *m) {
  uint64_t total = 0;
  for (unsigned s = 0; s < m->shape.shards; s++) total += m->shard_bytes[s];
  FILE *f = open_text(m, "model.safetensors.index.json");
  fprintf(f, "{\"metadata\": {\"total_size\": %" PRIu64 "}, \"weight_map\": {", total);
  for (size_t i = 0; i < m->count; i++) {
    char name[64];
    shard_name(m, m->tensors[i].shard, name);
    fprintf(f, "%s\n  \"%s\": \"%s\"", i ? "," : "", m->tensors[i].name, name);
  }
  fprintf(f, "\n}}\n");
  close_text(f, "model.safetensors.index.json");
}

static void write_config(const maker *m) {
  const shape *s = &m->shape;
  FILE *f = open_text(m, "config.json");
  fprintf(f,
          "{\"architectures\": [\"%s\"], \"model_type\": \"%s\", \"vocab_size\": %u,\n"
          " \"hidden_size\": %u, \"intermediate_size\": %u, \"num_hidden_layers\": %u,\n"
          " \"num_attention_heads\": %u, \"num_key_value_heads\": %u, \"head_dim\": %u,\n"
          " \"hidden_act\": \"silu\", \"max_position_embeddings\": %u,%s",
          s->architecture, s->model_type, s->vocab, s->hidden, s->ffn, s->layers, s->heads,
          s->kv_heads, s->head_dim, s->positions, s->window ? "" : "\n");
  if (s->window) fprintf(f, " \"sliding_window\": %u,\n", s->window);
  fprintf(f,
          " \"rms_norm_eps\": 1e-05, \"rope_theta\": 10000.0, \"tie_word_embeddings\": false,\n"
          " \"bos_token_id\": 1, \"eos_token_id\": 2, \"torch_dtype\": \"bfloat16\"}\n");
  close_text(f, "config.json");
}

static void copy_file(const maker *m, const char *name) {
  char *from = path_in(m->tokenizer, name), *to = path_in(m->folder, name);
  os_map map;
  if (os_map_file(&map, from)) {
    os_file file = os_open_write(to);
    if (file < 0 || !os_write_at(file, map.data, map.bytes, 0)) fail("cannot be written", to);
    os_close(file);
    os_unmap_file(&map);
  }
  free(from);
  free(to);
}

static void make(maker *m) {
  static const char *const copied[] = {"tokenizer.json", "tokenizer.model", "tokenizer_config.json",
                                       "generation_config.json", "chat_template.jinja"};
  if (!os_make_folder(m->folder) && errno != EEXIST) fail("cannot be made", m->folder);
  errno = 0;
  m->threads = m->threads ? m->threads : os_physical_cores();
  m->pool = need(gust_pool_create(m->threads));
  list_tensors(m);
  deal_out(m);
  for (unsigned s = 0; s < m->shape.shards; s++) write_shard(m, s);
  write_index(m);
  write_config(m);
  for (size_t i = 0; i < sizeof copied / sizeof *copied; i++) copy_file(m, copied[i]);
  gust_pool_destroy(m->pool);
  free(m->shard_bytes);
  free(m->tensors);
}

/* --- command line ------------------------------------------------------------------- */

static int usage(void) {
  fprintf(stderr,
          "usage: make_checkpoint mistral-7b|llama-2-7b|llama-2-13b|demo FOLDER\n"
          "       [--layers N] [--seed N] [--correlated] [--tokenizer FOLDER] "
          "[--threads N]\n");
  return 2;
}

int main(int argc, char **argv) {
  if (argc < 3) return usage();
  maker m = {.folder = argv[2], .tokenizer = GUST_DEMO_FOLDER, .seed = 1};
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
    if (strcmp(argv[1], shapes[i].name) == 0) m.shape = shapes[i];
  if (!m.shape.name) return usage();
  for (int i = 3; i < argc; i++) {
    const char *value = i + 1 < argc ? argv[i + 1] : NULL;
    if (strcmp(argv[i], "--correlated") == 0) {
      m.correlated = true;
      continue;
    }
    if (!value) return usage();
    if (strcmp(argv[i], "--layers") == 0)
      m.shape.layers = (unsigned)strtoul(value, NULL, 10);
    else if (strcmp(argv[i], "--seed") == 0)
      m.seed = strtoull(value, NULL, 10);
    else if (strcmp(argv[i], "--tokenizer") == 0)
      m.tokenizer = value;
    else if (strcmp(argv[i], "--threads") == 0)
      m.threads = (unsigned)strtoul(value, NULL, 10);
    else
      return usage();
    i++;
  }
  if (m.shape.layers < 1 || m.shape.layers > 4096 || m.threads > 1024) return usage();
  make(&m);
  return 0;
}

/* Calibration's parts: the factorization against doubles, rounding and correction
 * against the sums they are to make small, the forward pass against the runtime's;
 * all of it with the same bits on every level and number of threads. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calibration_forward.h"
#include "calibration_text.h"
#include "check.h"
#include "checkpoint.h"
#include "cholesky.h"
#include "covariance.h"
#include "demo_model.h"
#include "error_feedback.h"
#include "hf_config.h"
#include "host.h"
#include "output_correction.h"
#include "quantizers.h"
#include "tensor_map.h"

#define COLUMNS 200u /* true ones, of K */
#define K 256u
#define TOKENS 700u
#define PANELS 3u
#define ROWS (PANELS * 16)
#define DAMPING 0.3f

static unsigned long long seed = 3;

static float uniform(void) {
  return (float)((double)(check_random(&seed) >> 11) * 0x1p-52 - 1);
}

static float *floats(size_t count) {
  float *p = host_allocate(gust_round_up(count * sizeof(float), 64));
  if (!p) check_fatal("out of memory", "floats");
  return memset(p, 0, gust_round_up(count * sizeof(float), 64));
}

/* A level and a number of threads to compute with. */
typedef struct setting {
  gust_kernels kernels;
  gust_pool *pool;
} setting;

static setting setting_of(size_t level, unsigned threads) {
  setting s;
  gust_kernels_select(&s.kernels, gust_kernels_level(level));
  s.pool = gust_pool_create(threads);
  if (!s.pool) check_fatal("no threads", "pool");
  return s;
}

/* --- factorization -------------------------------------------------------------------- */

#define N 384u

static void factorization(void) {
  static double exact[N][N];
  float *a = floats(N * N), *u = floats(N * N), *first = floats(N * N);
  for (size_t i = 0; i < N; i++)
    for (size_t j = i; j < N; j++) a[i * N + j] = 0.4f * uniform() / sqrtf((float)N);
  for (size_t i = 0; i < N; i++) a[i * N + i] = 1.0f + 0.5f * fabsf(uniform());
  for (size_t i = 0; i < N; i++)
    for (size_t j = i; j < N; j++) {
      double sum = (double)a[i * N + j];
      for (size_t p = 0; p < i; p++) sum -= exact[p][i] * exact[p][j];
      exact[i][j] = i == j ? sqrt(sum) : sum / exact[i][i];
    }
  for (size_t level = 0; gust_kernels_level(level); level++)
    for (unsigned threads = 1; threads <= 3; threads++) {
      setting s = setting_of(level, threads);
      gust_error err;
      memcpy(u, a, N * N * sizeof *a);
      CHECK(cholesky_factor(u, N, 0.01f, &s.kernels, s.pool, NULL, NULL, &err) == GUST_OK);
      if (level == 0 && threads == 1) memcpy(first, u, N * N * sizeof *u);
      CHECK(memcmp(first, u, N * N * sizeof *u) == 0);
      gust_pool_destroy(s.pool);
    }
  for (size_t i = 0; i < N; i++)
    for (size_t j = i; j < N; j++) CHECK(fabs((double)u[i * N + j] - exact[i][j]) < 2e-6);
  host_free(a);
  host_free(u);
  host_free(first);
}

static bool stop_second(void *user, uint64_t bytes) {
  CHECK_EQ_INT(bytes, 0);
  return ++*(int *)user == 2;
}

/* It asks after every 128 rows but the last, and stops when it is told to. */
static void stopped(void) {
  setting s = setting_of(0, 2);
  float *a = floats(N * N);
  gust_error err;
  int calls = 0;
  for (size_t i = 0; i < N; i++) a[i * N + i] = 1.0f;
  CHECK(cholesky_factor(a, N, 0.01f, &s.kernels, s.pool, stop_second, &calls, &err) ==
        GUST_E_CANCELLED);
  CHECK_EQ_INT(calls, 2);
  CHECK(cholesky_factor(a, N, 0.01f, &s.kernels, s.pool, stop_second, &calls, &err) == GUST_OK);
  CHECK_EQ_INT(calls, 4);
  gust_pool_destroy(s.pool);
  host_free(a);
}

/* A matrix that is singular but for rounding: pivots are lifted, nothing is NaN. */
static void singular(void) {
  setting s = setting_of(0, 1);
  float *a = floats(128 * 128);
  gust_error err;
  for (size_t i = 0; i < 128; i++)
    for (size_t j = 0; j < 128; j++) a[i * 128 + j] = i == j ? 1.0001f : 1.0f;
  CHECK(cholesky_factor(a, 128, 1e-4f, &s.kernels, s.pool, NULL, NULL, &err) == GUST_OK);
  for (size_t i = 0; i < 128; i++)
    for (size_t j = i; j < 128; j++) CHECK(isfinite(a[i * 128 + j]));
  for (size_t i = 0; i < 128; i++) CHECK(a[i * 128 + i] >= 0.00999f);
  gust_pool_destroy(s.pool);
  host_free(a);
}

/* --- a layer with correlated inputs ------------------------------------------------------ */

typedef struct problem {
  float *x, *difference; /* [TOKENS][K] */
  float *weights;        /* [PANELS][K][16] */
} problem;

static problem make_problem(void) {
  problem p = {floats(TOKENS * K), floats(TOKENS * K), floats(PANELS * K * 16)};
  static float mix[8][K];
  for (size_t f = 0; f < 8; f++)
    for (size_t i = 0; i < COLUMNS; i++) mix[f][i] = uniform();
  for (size_t t = 0; t < TOKENS; t++) {
    float factor[8];
    for (size_t f = 0; f < 8; f++) factor[f] = uniform();
    for (size_t i = 0; i < COLUMNS; i++) {
      float value = 0.5f * uniform();
      for (size_t f = 0; f < 8; f++) value += factor[f] * mix[f][i];
      p.x[t * K + i] = value * (i % 50 == 7 ? 20.0f : 1.0f); /* some outliers */
      p.difference[t * K + i] = 0.05f * uniform() + 0.03f * value;
    }
  }
  for (size_t panel = 0; panel < PANELS; panel++)
    for (size_t i = 0; i < COLUMNS; i++)
      for (size_t r = 0; r < 16; r++)
        p.weights[(panel * K + i) * 16 + r] = 0.02f * (uniform() + uniform() + uniform());
  return p;
}

static void free_problem(problem *p) {
  host_free(p->x);
  host_free(p->difference);
  host_free(p->weights);
}

static covariance factored(const problem *p, const setting *s) {
  covariance c;
  double moments[K] = {0};
  gust_error err;
  for (size_t t = 0; t < TOKENS; t++)
    for (size_t i = 0; i < K; i++) moments[i] += (double)p->x[t * K + i] * (double)p->x[t * K + i];
  CHECK(covariance_create(&c, K, &s->kernels, s->pool, &err) == GUST_OK);
  CHECK(covariance_begin(&c, COLUMNS, moments, &err) == GUST_OK);
  covariance_add(&c, p->x, K, 512);
  covariance_add(&c, p->x + 512 * K, K, TOKENS - 512);
  CHECK(covariance_factor(&c, DAMPING, NULL, NULL, &err) == GUST_OK);
  return c;
}

/* Mean over tokens of the squares of W x, W being a - b (b NULL: a). */
static double output_square(const problem *p, const float *a, const float *b) {
  double sum = 0;
  for (size_t t = 0; t < TOKENS; t++)
    for (size_t row = 0; row < ROWS; row++) {
      double y = 0;
      for (size_t i = 0; i < COLUMNS; i++) {
        size_t at = (row / 16 * K + i) * 16 + row % 16;
        y += ((double)a[at] - (b ? (double)b[at] : 0)) * (double)p->x[t * K + i];
      }
      sum += y * y;
    }
  return sum / TOKENS;
}

static int by_size(const void *a, const void *b) {
  const double *x = a, *y = b;
  return *x < *y ? -1 : *x > *y;
}

/* What damping adds to that: the diagonal's share. */
static double damping_square(const problem *p, const float *a, const float *b) {
  double moments[COLUMNS] = {0}, sorted[COLUMNS], sum = 0;
  for (size_t t = 0; t < TOKENS; t++)
    for (size_t i = 0; i < COLUMNS; i++)
      moments[i] += (double)p->x[t * K + i] * (double)p->x[t * K + i] / TOKENS;
  memcpy(sorted, moments, sizeof sorted);
  qsort(sorted, COLUMNS, sizeof *sorted, by_size);
  double floor = COVARIANCE_FLOOR * sorted[COLUMNS / 2];
  for (size_t row = 0; row < ROWS; row++)
    for (size_t i = 0; i < COLUMNS; i++) {
      size_t at = (row / 16 * K + i) * 16 + row % 16;
      double d = (double)a[at] - (b ? (double)b[at] : 0);
      sum += d * d * (floor + (double)DAMPING * (moments[i] + floor));
    }
  return sum;
}

static void feedback(void) {
  problem p = make_problem();
  size_t floats_needed = feedback_scratch_floats(K), panel_bytes[2];
  float *values = floats(PANELS * K * 16), *plain = floats(PANELS * K * 16);
  float *scratch = floats(floats_needed), *back = floats(PANELS * K * 16);
  static uint8_t first[2][PANELS * K * 33], packed[PANELS * K * 33], row_codes[ROWS];
  for (size_t level = 0; gust_kernels_level(level); level++)
    for (unsigned threads = 1; threads <= 3; threads += 2) {
      setting s = setting_of(level, threads);
      covariance c = factored(&p, &s);
      double energy = feedback_energy(&c, p.weights, PANELS, scratch);
      double real = output_square(&p, p.weights, NULL) + damping_square(&p, p.weights, NULL);
      CHECK(fabs(energy / real - 1) < 1e-4);
      for (int q8 = 0; q8 < 2; q8++) {
        gust_type type = q8 ? GUST_TYPE_Q8 : GUST_TYPE_Q4;
        size_t bytes = panel_bytes[q8] = gust_type_panel_bytes(type, K);
        memcpy(values, p.weights, PANELS * K * 16 * sizeof *values);
        double cost = feedback_round(type, &c, values, PANELS, scratch, packed, row_codes);
        if (level == 0 && threads == 1) memcpy(first[q8], packed, PANELS * bytes);
        CHECK(memcmp(first[q8], packed, PANELS * bytes) == 0);
        /* What is said to have been packed was. */
        for (size_t i = 0; i < PANELS; i++)
          gust_panel_unpack(type, packed + i * bytes, row_codes + 16 * i, K, back + i * K * 16);
        for (size_t i = 0; i < PANELS; i++)
          for (size_t at = i * K * 16; at < (i * K + COLUMNS) * 16; at++)
            CHECK(back[at] == values[at]);
        double error = output_square(&p, p.weights, values);
        CHECK(fabs(cost / (error + damping_square(&p, p.weights, values)) - 1) < 1e-3);
        if (level || threads > 1) continue;
        for (size_t i = 0; i < PANELS; i++) {
          gust_panel_pack(&s.kernels, type, p.weights + i * K * 16, NULL, K, packed, row_codes);
          gust_panel_unpack(type, packed, row_codes, K, plain + i * K * 16);
        }
        double plain_error = output_square(&p, p.weights, plain);
        printf("%s: error of the outputs %.3g, without feedback %.3g\n", gust_type_name(type),
               error, plain_error);
        CHECK(error < 0.6 * plain_error);
      }
      covariance_destroy(&c);
      gust_pool_destroy(s.pool);
    }
  host_free(values);
  host_free(plain);
  host_free(scratch);
  host_free(back);
  free_problem(&p);
}

/* --- correction ------------------------------------------------------------------------- */

/* The sum a correction is to make small: of W (x + d) - values x, and damping. */
static double correction_cost(const problem *p, const float *values) {
  double sum = 0;
  for (size_t t = 0; t < TOKENS; t++)
    for (size_t row = 0; row < ROWS; row++) {
      double y = 0;
      for (size_t i = 0; i < COLUMNS; i++) {
        size_t at = (row / 16 * K + i) * 16 + row % 16;
        double w = (double)p->weights[at], x = (double)p->x[t * K + i];
        y += w * (x + (double)p->difference[t * K + i]) - (double)values[at] * x;
      }
      sum += y * y;
    }
  return sum / TOKENS + damping_square(p, values, p->weights);
}

static void correction(void) {
  problem p = make_problem();
  float *values = floats(PANELS * K * 16), *first = floats(PANELS * K * 16);
  float *scratch = floats(output_correction_floats(K, TOKENS)), *none = floats(TOKENS * K);
  size_t bytes = PANELS * K * 16 * sizeof *values;
  for (size_t level = 0; gust_kernels_level(level); level++) {
    setting s = setting_of(level, 2);
    covariance c = factored(&p, &s);
    output_correction o = {.input = &c, .x = p.x, .difference = none, .tokens = TOKENS};
    memcpy(values, p.weights, bytes);
    output_correct(&o, values, 0, PANELS, scratch);
    CHECK(memcmp(values, p.weights, bytes) == 0); /* nothing to correct */
    o.difference = p.difference;
    output_correct(&o, values, 0, PANELS, scratch);
    if (level == 0) memcpy(first, values, bytes);
    CHECK(memcmp(first, values, bytes) == 0);
    covariance_destroy(&c);
    gust_pool_destroy(s.pool);
  }
  double before = correction_cost(&p, p.weights), after = correction_cost(&p, values);
  printf("correction: %.4g to %.4g\n", before, after);
  CHECK(after < 0.7 * before);
  /* It is the least: a step to any side of it is worse. */
  for (int trial = 0; trial < 6; trial++) {
    for (size_t i = 0; i < PANELS * K * 16; i++)
      first[i] = values[i] + (trial % 2 ? 1e-3f : 1e-4f) * uniform();
    CHECK(correction_cost(&p, first) > after);
  }
  host_free(values);
  host_free(first);
  host_free(scratch);
  host_free(none);
  free_problem(&p);
}

/* --- forward ------------------------------------------------------------------------------ */

#define LENGTH 300u /* several chunks of positions */

typedef struct source_model {
  checkpoint files;
  gust_header header;
  tensor_map map;
} source_model;

static layer_matrix find(const source_model *m, const char *format, unsigned layer) {
  char name[96];
  snprintf(name, sizeof name, format, layer);
  const checkpoint_entry *entry = checkpoint_find(&m->files, name);
  for (size_t i = 0; entry && i < m->header.tensor_count; i++)
    if (strcmp(m->header.tensors[i].name, name) == 0)
      return layer_matrix_of(&m->files.shards[entry->shard].file,
                             checkpoint_tensor(&m->files, entry), &m->header.tensors[i]);
  check_fatal("no tensor", name);
  return (layer_matrix){0};
}

static void norm(const source_model *m, const calibration_forward *f, calibration_stream *s,
                 const char *format, unsigned layer) {
  layer_matrix vector = find(m, format, layer);
  float *weight = floats(f->hidden_stride);
  safetensors_to_floats(vector.source->dtype, vector.file->map.data + vector.source->offset,
                        vector.rows, weight);
  calibration_norm(f, s, weight);
  host_free(weight);
}

static void run_layer(const source_model *m, const calibration_forward *f, calibration_stream *s,
                      unsigned i) {
  norm(m, f, s, "model.layers.%u.input_layernorm.weight", i);
  layer_matrix q = find(m, "model.layers.%u.self_attn.q_proj.weight", i);
  layer_matrix k = find(m, "model.layers.%u.self_attn.k_proj.weight", i);
  layer_matrix v = find(m, "model.layers.%u.self_attn.v_proj.weight", i);
  calibration_attend(f, s, &q, &k, &v);
  layer_matrix o = find(m, "model.layers.%u.self_attn.o_proj.weight", i);
  calibration_project(f, s, &o, s->attended);
  norm(m, f, s, "model.layers.%u.post_attention_layernorm.weight", i);
  layer_matrix gate = find(m, "model.layers.%u.mlp.gate_proj.weight", i);
  layer_matrix up = find(m, "model.layers.%u.mlp.up_proj.weight", i);
  calibration_gate(f, s, &gate, &up);
  layer_matrix down = find(m, "model.layers.%u.mlp.down_proj.weight", i);
  calibration_project(f, s, &down, s->gated);
}

/* Logits after `token` from the stream's last norm. */
static void head(const source_model *m, const setting *s, const float *normed, float *logits) {
  layer_matrix matrix = find(m, "lm_head.weight", 0);
  float *row = floats(matrix.k_padded), *values = floats(16 * matrix.k_padded);
  for (size_t p = 0; p < matrix.panel_count; p++) {
    layer_matrix_load(&matrix, false, p, row, values);
    s->kernels.matmul_f32(logits + 16 * p, 16, (const uint8_t *)values, 1, normed, matrix.k_padded,
                          1);
  }
  host_free(row);
  host_free(values);
}

/* The same bits as the runtime has from the float32 file. */
static void forward(void) {
  const char *folder = getenv("GUST_TEST_DEMO"), *path = demo_model_path("f32");
  if (!folder || !path) check_fatal("GUST_TEST_DEMO is not set", "run under meson test");
  source_model m = {0};
  gust_error err;
  char *chat_template;
  const char *note;
  gust_generation generation;
  if (hf_config_read(folder, &m.header.config, &generation, &chat_template, &note, &err) ||
      checkpoint_open(&m.files, folder, &err) ||
      tensor_map_build(&m.map, &m.header, &m.files, &err))
    check_fatal("demo checkpoint", err.text);
  int32_t ids[LENGTH];
  for (size_t i = 0; i < LENGTH; i++)
    ids[i] = (int32_t)(check_random(&seed) % m.header.config.vocab_size);
  gust_model *model;
  gust_context *context;
  gust_context_options options = {.positions = LENGTH, .kv = GUST_KV_F32, .threads = 2};
  if (gust_model_open(&model, path, NULL, &err) ||
      gust_context_create(&context, model, &options, &err) ||
      gust_context_feed(context, ids, LENGTH, NULL, NULL, &err))
    check_fatal(path, err.text);

  setting s = setting_of(0, 2);
  gust_kernels_select(&s.kernels, NULL);
  calibration_forward f;
  calibration_stream stream;
  if (calibration_forward_create(&f, &m.header.config, ids, LENGTH, &s.kernels, s.pool, &err) ||
      calibration_stream_create(&stream, &f, false, &err))
    check_fatal("forward", err.text);
  layer_matrix embedding = find(&m, "model.embed_tokens.weight", 0);
  calibration_embed(&f, &stream, &embedding);
  for (unsigned i = 0; i < m.header.config.layers; i++) run_layer(&m, &f, &stream, i);
  norm(&m, &f, &stream, "model.norm.weight", 0);
  float *logits = floats(m.header.config.vocab_size);
  head(&m, &s, stream.normed + (LENGTH - 1) * f.hidden_stride, logits);
  CHECK(memcmp(logits, gust_context_logits(context), m.header.config.vocab_size * sizeof *logits) ==
        0);
  host_free(logits);
  free(chat_template);
  calibration_stream_destroy(&stream);
  calibration_forward_destroy(&f);
  gust_pool_destroy(s.pool);
  gust_context_destroy(context);
  gust_model_close(model);
  tensor_map_clear(&m.map);
  gust_header_clear(&m.header);
  checkpoint_close(&m.files);
}

/* Refused before anything is computed. */
static void too_wide(void) {
  gust_header header = {.config = {.hidden_size = 1u << 20, .intermediate_size = 4u << 20}};
  calibration_ids ids;
  gust_error err = {0};
  CHECK_EQ_INT(calibration_ids_create(&ids, &header, "abc", 3, "text", &err), GUST_E_UNSUPPORTED);
  CHECK_CONTAINS(err.text,
                 "calibration: expected a model of which the activations of 512 tokens fit into "
                 "2048 MiB, found one so wide that those of 42 do; convert without calibration");
  calibration_ids_clear(&ids);
}

int main(void) {
  too_wide();
  factorization();
  stopped();
  singular();
  feedback();
  correction();
  forward();
  return check_finish();
}

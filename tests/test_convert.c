/* gust convert: what it writes, what it refuses and in which words, and what it
 * leaves behind when it fails. */
#ifdef __linux__
#define _GNU_SOURCE /* unshare, mount */
#endif

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

#include "check.h"
#include "checkpoint_maker.h"
#include "checksum.h"
#include "convert.h"
#include "demo_model.h"
#include "host.h"
#include "os.h"
#include "quantizers.h"
#include "run_gust.h"
#include "sha256.h"

static const char *source, *output, *target; /* a folder, a folder, a file in it */

/* --- reading what was written ------------------------------------------------------ */

typedef struct result {
  gust_header header;
  uint8_t *bytes;
} result;

static result read_result(const char *path) {
  result r = {0};
  gust_error err = {0};
  size_t bytes;
  r.bytes = (uint8_t *)check_read_file(path, &bytes);
  CHECK_EQ_INT(gust_header_decode(&r.header, r.bytes, bytes, bytes, path, &err), GUST_OK);
  CHECK_EQ_STR(err.text, "");
  for (size_t i = 0; i < r.header.tensor_count; i++) {
    const gust_tensor *t = &r.header.tensors[i];
    CHECK(gust_xxh64_of(r.bytes + t->offset, (size_t)t->bytes, 0) == t->checksum);
  }
  return r;
}

static void free_result(result *r) {
  gust_header_clear(&r->header);
  free(r->bytes);
}

static const gust_tensor *find(const result *r, const char *name) {
  for (size_t i = 0; i < r->header.tensor_count; i++)
    if (strcmp(r->header.tensors[i].name, name) == 0) return &r->header.tensors[i];
  return NULL;
}

static bool same_tensors(const result *a, const result *b) {
  bool same = a->header.tensor_count == b->header.tensor_count;
  for (size_t i = 0; same && i < a->header.tensor_count; i++) {
    const gust_tensor *x = &a->header.tensors[i], *y = &b->header.tensors[i];
    same = strcmp(x->name, y->name) == 0 && x->type == y->type && x->bytes == y->bytes &&
           memcmp(a->bytes + x->offset, b->bytes + y->offset, (size_t)x->bytes) == 0;
  }
  return same;
}

static gust_status convert(const char *from, gust_type type, unsigned threads, gust_error *err) {
  gust_convert_options options = {.type = type, .threads = threads};
  *err = (gust_error){0};
  return gust_convert(from, target, &options, NULL, err);
}

/* --- whole conversions --------------------------------------------------------------- */

/* Every weight in its place, zeros around. */
static void check_exact(const result *r, const maker_model *m) {
  CHECK_EQ_INT(r->header.tensor_count, m->tensor_count);
  for (size_t i = 0; i < m->tensor_count; i++) {
    const maker_tensor *want = &m->tensors[i];
    const gust_tensor *t = find(r, want->name);
    if (!CHECK(t)) continue;
    CHECK_EQ_INT(t->rank, want->rank);
    CHECK(t->shape[0] == want->shape[0] && t->shape[1] == want->shape[1]);
    const uint8_t *at = r->bytes + t->offset;
    size_t wrong = 0, columns = want->shape[1];
    if (want->rank == 1) {
      CHECK_EQ_INT(t->type, GUST_TYPE_F32);
      for (size_t k = 0; k < t->bytes / 4; k++) {
        float value, expected = k < want->shape[0] ? want->values[k] : 0;
        memcpy(&value, at + 4 * k, 4);
        wrong += value != expected;
      }
      CHECK_EQ_INT(wrong, 0);
      continue;
    }
    size_t k_padded = gust_round_up(columns, 128),
           panel_bytes = gust_type_panel_bytes(t->type, k_padded);
    float *rows = malloc(16 * k_padded * sizeof *rows);
    if (!rows) check_fatal("out of memory", "rows");
    CHECK_EQ_INT(t->bytes, panel_bytes * ((want->shape[0] + 15) / 16));
    for (size_t first = 0; first < want->shape[0]; first += 16) {
      gust_panel_unpack(t->type, at + first / 16 * panel_bytes, NULL, k_padded, rows);
      for (size_t n = 0; n < 16 * k_padded; n++) {
        size_t row = first + n % 16, k = n / 16;
        bool inside = row < want->shape[0] && k < columns;
        wrong += rows[n] != (inside ? want->values[row * columns + k] : 0);
      }
    }
    CHECK_EQ_INT(wrong, 0);
    free(rows);
  }
}

static void exact_types(void) {
  static const char *const dtypes[] = {"F32", "BF16", "F16"};
  maker_model m = maker_small(false, true);
  gust_error err;
  for (size_t i = 0; i < 3; i++) {
    maker_write(&m, source, dtypes[i], 1);
    for (int type = GUST_TYPE_F32; type <= GUST_TYPE_BF16; type++) {
      CHECK_EQ_INT(convert(source, (gust_type)type, 2, &err), GUST_OK);
      CHECK_EQ_STR(err.text, "");
      result r = read_result(target);
      check_exact(&r, &m);
      free_result(&r);
    }
  }
  CHECK_EQ_INT(check_files_in(output), 1);
  maker_free(&m);
}

static void header_fields(void) {
  maker_model m = maker_small(false, true);
  gust_error err;
  maker_write(&m, source, "F32", 1);
  CHECK_EQ_INT(convert(source, GUST_TYPE_Q4, 1, &err), GUST_OK);
  result r = read_result(target);
  const gust_config *c = &r.header.config;
  CHECK(c->arch == GUST_ARCH_MISTRAL && c->vocab_size == 300 && c->hidden_size == 36);
  CHECK(c->intermediate_size == 150 && c->layers == 2 && c->heads == 6 && c->kv_heads == 2);
  CHECK(c->head_dim == 6 && c->max_positions == 64 && c->sliding_window == 16);
  CHECK(c->rope_theta == 10000.0 && c->norm_eps == 1e-5f && !c->tied_head && c->bos_id == 1);
  CHECK(c->eos_count == 1 && c->eos_ids[0] == 2);
  CHECK(r.header.chat_template == NULL && r.header.tokenizer_bytes > 0);
  CHECK_EQ_INT(r.header.source_count, 1);
  CHECK_EQ_STR(r.header.sources[0].name, "model.safetensors");
  /* In a q4 file the embedding, the head and v are q8. */
  for (size_t i = 0; i < r.header.tensor_count; i++) {
    const gust_tensor *t = &r.header.tensors[i];
    bool precise =
        strstr(t->name, "embed_tokens") || strstr(t->name, "lm_head") || strstr(t->name, "v_proj");
    gust_type want = t->rank == 1 ? GUST_TYPE_F32 : precise ? GUST_TYPE_Q8 : GUST_TYPE_Q4;
    CHECK_EQ_INT(t->type, want);
  }
  CHECK_EQ_STR(r.header.tensors[0].name, "model.embed_tokens.weight");
  CHECK_EQ_STR(r.header.tensors[1].name, "model.layers.0.input_layernorm.weight");
  free_result(&r);
  maker_free(&m);
}

static void shards_and_threads(void) {
  maker_model m = maker_small(false, true);
  const char *sharded = check_temp_file("sharded");
  gust_error err;
  maker_write(&m, source, "BF16", 1);
  maker_write(&m, sharded, "BF16", 3);
  for (int type = 0; type < GUST_TYPE_COUNT; type++) {
    CHECK_EQ_INT(convert(source, (gust_type)type, 1, &err), GUST_OK);
    result one = read_result(target);
    size_t bytes = (size_t)one.header.file_bytes;
    CHECK_EQ_INT(convert(source, (gust_type)type, 3, &err), GUST_OK);
    result three = read_result(target);
    CHECK(three.header.file_bytes == bytes && memcmp(one.bytes, three.bytes, bytes) == 0);
    CHECK_EQ_INT(convert(sharded, (gust_type)type, 2, &err), GUST_OK);
    CHECK_EQ_STR(err.text, "");
    result cut = read_result(target);
    CHECK(same_tensors(&one, &cut));
    CHECK_EQ_INT(cut.header.source_count, 3);
    free_result(&one);
    free_result(&three);
    free_result(&cut);
  }
  maker_free(&m);
}

static void heads(void) {
  gust_error err;
  maker_model m = maker_small(true, false);
  maker_write(&m, source, "F32", 1);
  CHECK_EQ_INT(convert(source, GUST_TYPE_Q8, 1, &err), GUST_OK);
  result r = read_result(target);
  CHECK(r.header.config.tied_head && !find(&r, "lm_head.weight"));
  free_result(&r);
  maker_patch(source, "config.json", "\"tie_word_embeddings\": true",
              "\"tie_word_embeddings\": false");
  CHECK_EQ_INT(convert(source, GUST_TYPE_Q8, 1, &err), GUST_E_FORMAT);
  CHECK_CONTAINS(err.text, ": expected a tensor 'lm_head.weight', found none; download");
  maker_free(&m);

  /* A head beside a tied embedding: its copy is left out, another is refused. */
  m = maker_small(true, true);
  maker_write(&m, source, "F32", 1);
  CHECK_EQ_INT(convert(source, GUST_TYPE_Q8, 1, &err), GUST_E_UNSUPPORTED);
  CHECK_CONTAINS(err.text,
                 "model.safetensors: tensor 'lm_head.weight': expected none, or the bytes of "
                 "'model.embed_tokens.weight', as config.json says tie_word_embeddings, found "
                 "another; if the head is the model's own, set tie_word_embeddings to false");
  memcpy(maker_find(&m, "lm_head.weight")->values,
         maker_find(&m, "model.embed_tokens.weight")->values,
         (size_t)m.vocab * m.hidden * sizeof(float));
  for (unsigned shards = 1; shards <= 2; shards++) {
    const char *folder = shards == 1 ? source : check_temp_file("tied");
    maker_write(&m, folder, "BF16", shards);
    CHECK_EQ_INT(convert(folder, GUST_TYPE_Q8, 1, &err), GUST_OK);
    CHECK_EQ_STR(err.text, "");
    r = read_result(target);
    CHECK(r.header.config.tied_head && !find(&r, "lm_head.weight"));
    CHECK_EQ_INT(r.header.tensor_count, m.tensor_count - 1);
    free_result(&r);
  }
  maker_free(&m);
}

/* What the files around the weights say. */
static void side_files(void) {
  static const char generation[] =
      "{\"do_sample\": true, \"temperature\": 0.25, \"top_k\": 7, \"top_p\": 0.5, \"min_p\": "
      "0.125, "
      "\"repetition_penalty\": 1.5, \"max_new_tokens\": 99, \"eos_token_id\": [2, 7]}";
  static const char tokenizer_config[] =
      "{\"chat_template\": [{\"name\": \"tool_use\", \"template\": \"no\"}, {\"name\": "
      "\"default\", "
      "\"template\": \"yes\\n\"}]}";
  maker_model m = maker_small(false, true);
  gust_error err;
  char path[512];
  maker_write(&m, source, "F32", 1);
  maker_patch(source, "config.json", "[\"MistralForCausalLM\"]",
              "[\"LlamaForCausalLM\"], \"model_type\": \"llama\", \"use_qk_norm\": false, "
              "\"hidden_activation\": \"silu\", \"num_experts_per_tok\": null, "
              "\"layer_types\": [\"full_attention\", \"full_attention\"]");
  maker_patch(source, "config.json", "\"head_dim\": 6", "\"head_dim\": null");
  maker_patch(source, "config.json", " \"rope_theta\": 10000.0,\n", "");
  maker_patch(source, "config.json", "\"rope_scaling\": null",
              "\"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": 5e5, "
              "\"partial_rotary_factor\": 1.0, \"mscale\": null}");
  snprintf(path, sizeof path, "%s/generation_config.json", source);
  check_write_file(path, generation, strlen(generation));
  snprintf(path, sizeof path, "%s/tokenizer_config.json", source);
  check_write_file(path, tokenizer_config, strlen(tokenizer_config));
  CHECK_EQ_INT(convert(source, GUST_TYPE_Q8, 1, &err), GUST_OK);
  CHECK_EQ_STR(err.text, "");
  result r = read_result(target);
  const gust_generation *g = &r.header.generation;
  CHECK(r.header.config.arch == GUST_ARCH_LLAMA && r.header.config.rope_theta == 5e5);
  CHECK(r.header.config.sliding_window == 0 && r.header.config.head_dim == 6);
  CHECK(g->temperature == 0.25f && g->top_k == 7 && g->top_p == 0.5f && g->min_p == 0.125f);
  CHECK(g->repeat_penalty == 1.5f && g->max_new_tokens == 99);
  CHECK(r.header.config.eos_count == 2 && r.header.config.eos_ids[1] == 7);
  CHECK_EQ_STR(r.header.chat_template, "yes\n");
  free_result(&r);

  maker_patch(source, "generation_config.json", "true", "false");
  snprintf(path, sizeof path, "%s/chat_template.jinja", source);
  check_write_file(path, "from file", 9);
  CHECK_EQ_INT(convert(source, GUST_TYPE_Q8, 1, &err), GUST_OK);
  r = read_result(target);
  CHECK(r.header.generation.temperature == 0);
  CHECK_EQ_STR(r.header.chat_template, "from file");
  free_result(&r);

  /* Without the optional files: gust's defaults; without a window: 4096. */
  maker_write(&m, source, "F32", 1);
  maker_patch(source, "config.json", "\"sliding_window\": 16,", "");
  CHECK_EQ_INT(convert(source, GUST_TYPE_Q8, 1, &err), GUST_OK);
  r = read_result(target);
  CHECK(r.header.generation.temperature == 0.7f && r.header.generation.top_k == 50);
  CHECK_EQ_INT(r.header.config.sliding_window, 4096);
  free_result(&r);
  maker_patch(source, "config.json", "\"rms_norm_eps\"",
              "\"sliding_window\": null, \"rms_norm_eps\"");
  CHECK_EQ_INT(convert(source, GUST_TYPE_Q8, 1, &err), GUST_OK);
  r = read_result(target);
  CHECK_EQ_INT(r.header.config.sliding_window, 0);
  free_result(&r);
  maker_free(&m);
}

/* --- refusals ------------------------------------------------------------------------ */

static const struct refusal {
  const char *file, *from, *to;
  gust_status status;
  const char *words;
} refusals[] = {
#define CONFIG "config.json"
    {CONFIG, "MistralForCausalLM", "GPT2LMHeadModel", GUST_E_UNSUPPORTED,
     "config.json:2:20: architectures: expected MistralForCausalLM or LlamaForCausalLM, one of "
     "them, found 'GPT2LMHeadModel'; gust cannot run this checkpoint"},
    {CONFIG, "\"rope_scaling\": null", "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2.0}",
     GUST_E_UNSUPPORTED, "rope_scaling: expected null or the type 'default', found 'linear'"},
    {CONFIG, "\"rope_scaling\": null", "\"rope_scaling\": {\"factor\": 2.0}", GUST_E_UNSUPPORTED,
     "rope_scaling: expected no scaling factor, found 2"},
    {CONFIG, "\"rope_scaling\": null", "\"rope_parameters\": {\"rope_type\": \"yarn\"}",
     GUST_E_UNSUPPORTED, "rope_parameters: expected null or the type 'default', found 'yarn'"},
    {CONFIG, "\"attention_bias\": false", "\"attention_bias\": true", GUST_E_UNSUPPORTED,
     "attention_bias: expected false, found true"},
    {CONFIG, "\"mlp_bias\": false", "\"mlp_bias\": true", GUST_E_UNSUPPORTED,
     "mlp_bias: expected false, found true"},
    {CONFIG, "\"hidden_act\": \"silu\"", "\"hidden_act\": \"gelu\"", GUST_E_UNSUPPORTED,
     "hidden_act: expected 'silu', found 'gelu'"},
    {CONFIG, "\"rope_scaling\": null", "\"num_local_experts\": 8", GUST_E_UNSUPPORTED,
     "num_local_experts: expected nothing or null, found 8"},
    {CONFIG, "\"rope_scaling\": null", "\"quantization_config\": {}", GUST_E_UNSUPPORTED,
     "quantization_config: expected nothing or null, found an object"},
    {CONFIG, "\"rope_scaling\": null", "\"model_type\": \"gemma\"", GUST_E_UNSUPPORTED,
     "config.json:15:16: model_type: expected 'mistral', as architectures says, found 'gemma'"},
    {CONFIG, "\"rope_scaling\": null", "\"model_type\": \"llama\"", GUST_E_UNSUPPORTED,
     "model_type: expected 'mistral', as architectures says, found 'llama'"},
    {CONFIG, "[\"MistralForCausalLM\"]", "[\"LlamaForCausalLM\"], \"model_type\": \"mistral\"",
     GUST_E_UNSUPPORTED, "model_type: expected 'llama', as architectures says, found 'mistral'"},
    {CONFIG, "\"rope_scaling\": null", "\"num_experts_per_tok\": 2", GUST_E_UNSUPPORTED,
     "num_experts_per_tok: expected nothing or null, found 2"},
    {CONFIG, "\"rope_scaling\": null", "\"moe\": {\"num_experts\": 8}", GUST_E_UNSUPPORTED,
     "moe: expected nothing or null, found an object"},
    {CONFIG, "\"rope_scaling\": null", "\"use_qk_norm\": true", GUST_E_UNSUPPORTED,
     "use_qk_norm: expected false, found true"},
    {CONFIG, "\"rope_scaling\": null", "\"hidden_activation\": \"gelu_pytorch_tanh\"",
     GUST_E_UNSUPPORTED, "hidden_activation: expected 'silu', found 'gelu_pytorch_tanh'"},
    {CONFIG, "\"rope_scaling\": null", "\"layer_types\": \"sliding_attention\"", GUST_E_UNSUPPORTED,
     "layer_types: expected null or an array of types, found 'sliding_attention'"},
    {CONFIG, "\"rope_scaling\": null", "\"layer_types\": [\"sliding_attention\"]",
     GUST_E_UNSUPPORTED,
     "layer_types: expected one type for each of num_hidden_layers 2, found 1; gust cannot run"},
    {CONFIG, "\"rope_scaling\": null",
     "\"layer_types\": [\"sliding_attention\", \"full_attention\"]", GUST_E_UNSUPPORTED,
     "layer_types: expected 'sliding_attention' in all layers, as sliding_window says, found "
     "'full_attention'"},
    {CONFIG, "\"rope_scaling\": null", "\"rope_scaling\": {\"mscale\": 2.0}", GUST_E_UNSUPPORTED,
     "rope_scaling: expected rope_type, type, rope_theta or partial_rotary_factor, found 'mscale'; "
     "gust cannot run this checkpoint"},
    {CONFIG, "\"rope_scaling\": null",
     "\"rope_parameters\": {\"rope_type\": \"default\", \"partial_rotary_factor\": 0.5}",
     GUST_E_UNSUPPORTED, "partial_rotary_factor: expected 1, found 0.5"},
    {CONFIG, "\"vocab_size\": 300,", "", GUST_E_FORMAT, "vocab_size"},
    {CONFIG, "\"vocab_size\": 300", "\"vocab_size\": -300", GUST_E_FORMAT, "vocab_size"},
    {CONFIG, "\"vocab_size\": 300", "\"vocab_size\": 0", GUST_E_UNSUPPORTED,
     "vocab_size: expected 1 to 16777216, found 0"},
    {CONFIG, "\"num_key_value_heads\": 2", "\"num_key_value_heads\": 4", GUST_E_UNSUPPORTED,
     "num_attention_heads: expected a multiple of num_key_value_heads 4, found 6"},
    {CONFIG, "\"eos_token_id\": 2", "\"eos_token_id\": 300", GUST_E_FORMAT,
     "eos_token_id: expected less than vocab_size 300, found 300"},
    {CONFIG, "\"hidden_act\"", "hidden_act", GUST_E_FORMAT,
     "config.json:10:2: expected a member's name in quotes, found 'h'; download the file again"},
    {CONFIG, "\"vocab_size\": 300", "\"vocab_size\": 200", GUST_E_FORMAT,
     "tensor 'model.embed_tokens.weight': expected shape [200, 36] as config.json says, found "
     "[300, 36]; weights and config.json must belong together"},
    {CONFIG, "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3", GUST_E_FORMAT,
     ": expected a tensor 'model.layers.2.input_layernorm.weight', found none; download the "
     "checkpoint again"},
    {CONFIG, "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1", GUST_E_UNSUPPORTED,
     "tensor 'model.layers.1.mlp.up_proj.weight': expected only the tensors of config.json's "
     "architecture, found this one too"},
#define WEIGHTS "model.safetensors"
    {WEIGHTS, "\"model.norm.weight\"", "\"model.norm.bias\"", GUST_E_FORMAT,
     "expected a tensor 'model.norm.weight', found none"},
    {WEIGHTS, "\"model.norm.weight\": {\"dtype\": \"F32\"",
     "\"model.norm.weight\": {\"dtype\": \"I8\"", GUST_E_UNSUPPORTED,
     "tensor 'model.norm.weight': dtype: expected BF16, F16 or F32, found 'I8'; export the "
     "checkpoint in one of those"},
    {WEIGHTS, "\"model.norm.weight\"", "\"model.layers.0.input_layernorm.weight\"", GUST_E_FORMAT,
     "model.layers.0.input_layernorm.weight"},
    {WEIGHTS, "\"shape\": [12, 36], \"data_offsets\": [113184, 114912]",
     "\"shape\": [36, 12], \"data_offsets\": [113184, 114912]", GUST_E_FORMAT,
     "expected shape [12, 36] as config.json says, found [36, 12]"},
    {WEIGHTS, "\"data_offsets\": [0, 43200]", "\"data_offsets\": [4, 43204]", GUST_E_FORMAT,
     "tensor 'model.embed_tokens.weight': data_offsets: expected to begin at 0, found 4 (leaves a "
     "gap after the tensor before it)"},
    {WEIGHTS, "\"data_offsets\": [43200, 64800]", "\"data_offsets\": [43196, 64796]", GUST_E_FORMAT,
     "tensor 'model.layers.0.mlp.up_proj.weight': data_offsets: expected to begin at 43200, found "
     "43196 (overlaps the tensor before it)"},
    {WEIGHTS, "\"data_offsets\": [0, 43200]", "\"data_offsets\": [0, 43204]", GUST_E_FORMAT,
     "tensor 'model.embed_tokens.weight': data_offsets: expected 43200 bytes for F32 of shape "
     "[300, 36], found 43204"},
    {WEIGHTS, "\"data_offsets\": [0, 43200]", "\"data_offsets\": [0, 99999999]", GUST_E_FORMAT,
     "(past the end); the file is truncated: download it again"},
    {WEIGHTS, "\"data_offsets\": [0, 43200]", "\"data_offsets\": [43200, 0]", GUST_E_FORMAT,
     "data_offsets: expected [begin, end], found another value"},
    {WEIGHTS, "\"shape\": [300, 36], \"data_offsets\": [0,",
     "\"shape\": [4294967296, 4294967296], \"data_offsets\": [0,", GUST_E_FORMAT,
     "shape: expected less than 2^63 bytes, found more"},
    {WEIGHTS, "{\"__metadata__\"", "{\"__metadata__", GUST_E_FORMAT, "; download the file again"},
    {"tokenizer.json", "\"type\": \"BPE\"", "\"type\": \"Unigram\"", GUST_E_UNSUPPORTED, "Unigram"},
};

/* A conversion that must fail: by name, in one line, leaving no trace. */
static void expect_refusal(gust_status status, const char *words) {
  gust_error err;
  check_write_file(target, "old", 3);
  CHECK_EQ_INT(convert(source, GUST_TYPE_Q4, 2, &err), status);
  CHECK_EQ_INT(err.status, status);
  CHECK_CONTAINS(err.text, words);
  CHECK(strstr(err.text, source)); /* says where */
  CHECK_EQ_INT(check_files_in(output), 1);
  size_t bytes;
  char *old = check_read_file(target, &bytes);
  CHECK(bytes == 3 && memcmp(old, "old", 3) == 0);
  free(old);
}

static void refuse_patches(void) {
  maker_model m = maker_small(false, true);
  for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
    maker_write(&m, source, "F32", 1);
    maker_patch(source, refusals[i].file, refusals[i].from, refusals[i].to);
    expect_refusal(refusals[i].status, refusals[i].words);
  }
  maker_free(&m);
}

static void refuse_numbers(void) {
  static const struct {
    uint32_t bits;
    const char *tensor;
    size_t index;
    const char *words;
  } cases[] = {
      {0x7fc00000, "model.layers.1.mlp.down_proj.weight", 35 * 150 + 149,
       "tensor 'model.layers.1.mlp.down_proj.weight': expected finite weights, found NaN or "
       "infinity in row 35, column 149; the checkpoint is damaged"},
      {0xff800000, "model.embed_tokens.weight", 0, "infinity in row 0, column 0;"},
      {0x7f800001, "model.norm.weight", 35, "infinity in row 0, column 35;"},
  };
  maker_model m = maker_small(false, true);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    maker_write(&m, source, "F32", 1);
    maker_poke(&m, source, cases[i].tensor, cases[i].index, &cases[i].bits, 4);
    expect_refusal(GUST_E_FORMAT, cases[i].words);
    uint16_t half = cases[i].bits == 0x7fc00000 ? 0x7e00 : 0xfc00; /* as halves */
    maker_write(&m, source, "F16", 1);
    maker_poke(&m, source, cases[i].tensor, cases[i].index, &half, 2);
    expect_refusal(GUST_E_FORMAT, cases[i].words);
  }
  maker_free(&m);
}

static void refuse_surplus(void) {
  maker_model m = maker_small(false, true);
  maker_write(&m, source, "F32", 1);
  maker_patch(source, "model.safetensors", "{\"__metadata__\": {\"format\": \"pt\"}",
              "{\"model.layers.0.self_attn.q_proj.bias\": {\"dtype\": \"F32\", \"shape\": [0], "
              "\"data_offsets\": [0, 0]}");
  expect_refusal(GUST_E_UNSUPPORTED,
                 "tensor 'model.layers.0.self_attn.q_proj.bias': expected only the tensors of "
                 "config.json's architecture, found this one too");
  maker_write(&m, source, "F32", 1);
  maker_patch(source, "model.safetensors", "{\"__metadata__\": {\"format\": \"pt\"}",
              "{\"model.layers.0.self_attn.rotary_emb.inv_freq\": {\"dtype\": \"F32\", \"shape\": "
              "[0], \"data_offsets\": [0, 0]}");
  gust_error err;
  CHECK_EQ_INT(convert(source, GUST_TYPE_Q8, 1, &err), GUST_OK);
  maker_free(&m);
}

static void refuse_index(void) {
  static const char name[] = "model.safetensors.index.json";
  static const struct {
    const char *from, *to, *words;
  } cases[] = {
      {"\"model.norm.weight\": \"model-2-of-2.safetensors\"",
       "\"model.norm.weight\": \"../model-2-of-2.safetensors\"",
       "weight_map: expected the name of a file in this folder, found "
       "'../model-2-of-2.safetensors'"},
      {"\"model.norm.weight\": \"model-2-of-2.safetensors\"",
       "\"model.norm.weight\": \"model-1-of-2.safetensors\"",
       "tensor 'model.norm.weight': expected it in 'model-1-of-2.safetensors', found it in "
       "model-2-of-2.safetensors; download the checkpoint again"},
      {"\"model.norm.weight\": \"model-2-of-2.safetensors\"",
       "\"model.norm.weight\": \"model-3-of-2.safetensors\"",
       "model-3-of-2.safetensors: expected a readable safetensors file, found: No such file or "
       "directory; the checkpoint is incomplete: download it again"},
      {"\"model.norm.weight\": \"model-2-of-2.safetensors\"",
       "\"model.norm.weight\": \"model.safetensors.index.json\"",
       "model.safetensors.index.json: expected"},
      {"\"model.norm.weight\"", "\"model.nose.weight\"",
       "tensor 'model.nose.weight': expected it in 'model-2-of-2.safetensors', found it in no "
       "shard; download the checkpoint again"},
      {"\"model.norm.weight\": \"model-2-of-2.safetensors\"", "\"lm_head.weight\": \"x\"",
       "lm_head.weight"},
      {",\n \"lm_head.weight\": \"model-1-of-2.safetensors\"", "",
       "tensor 'lm_head.weight': expected it in weight_map, found it only in "
       "'model-1-of-2.safetensors'"},
      {"\"weight_map\"", "\"weights\"", "weight_map"},
  };
  maker_model m = maker_small(false, true);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    maker_write(&m, source, "BF16", 2);
    maker_patch(source, name, cases[i].from, cases[i].to);
    gust_error err;
    CHECK(convert(source, GUST_TYPE_Q4, 1, &err) != GUST_OK);
    CHECK_CONTAINS(err.text, cases[i].words);
    CHECK(strstr(err.text, source) && !strchr(err.text, '\n'));
  }
  /* The same tensor in both shards. */
  maker_write(&m, source, "BF16", 2);
  maker_patch(source, "model-2-of-2.safetensors", "\"model.norm.weight\"",
              "\"model.layers.0.input_layernorm.weight\"");
  gust_error err;
  CHECK_EQ_INT(convert(source, GUST_TYPE_Q4, 1, &err), GUST_E_FORMAT);
  CHECK_CONTAINS(err.text,
                 "tensor 'model.layers.0.input_layernorm.weight': expected it once, found it in");
  maker_free(&m);
}

/* A shard that is a link to itself. */
static void refuse_circle(void) {
  static const char name[] = "circle.safetensors";
  char path[512];
  maker_model m = maker_small(false, true);
  gust_error err;
  maker_write(&m, source, "BF16", 2);
  maker_patch(source, "model.safetensors.index.json",
              "\"model.norm.weight\": \"model-2-of-2.safetensors\"",
              "\"model.norm.weight\": \"circle.safetensors\"");
  snprintf(path, sizeof path, "%s/%s", source, name);
  if (host_make_link(name, path)) {
    CHECK_EQ_INT(convert(source, GUST_TYPE_Q4, 1, &err), GUST_E_IO);
    CHECK_CONTAINS(err.text, "circle.safetensors: expected a readable safetensors file, found: ");
    CHECK(!strchr(err.text, '\n'));
    host_remove(path);
  } else {
    check_part_skipped("a shard that is a link to itself", "no link can be made");
  }
  maker_free(&m);
}

/* What a clone without git-lfs leaves in place of large files. */
static void refuse_pointers(void) {
  static const char pointer[] =
      "version https://git-lfs.github.com/spec/v1\noid sha256:"
      "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n";
  static const char *const names[] = {
      "model.safetensors",   "config.json",    "generation_config.json", "tokenizer_config.json",
      "chat_template.jinja", "tokenizer.json", "tokenizer.model"};
  maker_model m = maker_small(false, true);
  gust_error err;
  char path[512], words[640];
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    maker_write(&m, source, "BF16", 1);
    if (strcmp(names[i], "tokenizer.model") == 0) {
      snprintf(path, sizeof path, "%s/tokenizer.json", source);
      host_remove(path);
    }
    snprintf(path, sizeof path, "%s/%s", source, names[i]);
    check_write_file(path, pointer, sizeof pointer - 1);
    CHECK_EQ_INT(convert(source, GUST_TYPE_Q4, 1, &err), GUST_E_FORMAT);
    snprintf(words, sizeof words,
             "%s: this is a git-lfs pointer, not the file itself: run git lfs pull in its folder",
             path);
    CHECK_EQ_STR(err.text, words);
    host_remove(path);
  }
  maker_free(&m);
}

static void refuse_truncated(void) {
  maker_model m = maker_small(false, true);
  char path[512];
  snprintf(path, sizeof path, "%s/model.safetensors", source);
  maker_write(&m, source, "BF16", 1);
  size_t bytes;
  char *whole = check_read_file(path, &bytes);
  const size_t cuts[] = {0, 1, 7, 8, 9, 100, 1000, bytes / 2, bytes - 1};
  for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
    check_write_file(path, whole, cuts[i]);
    expect_refusal(GUST_E_FORMAT, "download it again");
  }
  remove(path);
  expect_refusal(GUST_E_IO,
                 ": expected model.safetensors or model.safetensors.index.json, found neither");
  free(whole);
  maker_free(&m);
}

/* --- what is left of a conversion that fails ------------------------------------------- */

/* A file may not grow past a limit: every size from nothing on. */
static void limited(void) {
  maker_model m = maker_small(false, true);
  maker_write(&m, source, "BF16", 1);
  const uint64_t sizes[] = {0, 1000, 20000, 100000};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    gust_error err;
    check_write_file(target, "old", 3);
    if (!host_limit_files(sizes[i])) {
      check_part_skipped("files that may not grow", "no file can be limited");
      break;
    }
    gust_status status = convert(source, GUST_TYPE_F32, 2, &err);
    CHECK(host_limit_files(HOST_NO_LIMIT));
    CHECK_EQ_INT(status, GUST_E_IO);
    CHECK_CONTAINS(err.text, target);
    CHECK_CONTAINS(err.text,
                   "the file may not grow so large: write to another disk (FAT32 ends at 4 GiB)");
    CHECK_EQ_INT(check_files_in(output), 1);
  }
  maker_free(&m);
}

#ifdef __linux__
/* Converts to a disk mounted at `disk` once it has this size; says on stderr
 * when it goes otherwise than it should. */
static bool convert_to_disk(const char *disk, const char *size, gust_status want, const char *words,
                            int files) {
  char path[512], option[32];
  gust_error err = {0};
  gust_convert_report report = {0};
  gust_convert_options options = {.type = GUST_TYPE_F32, .threads = 1};
  snprintf(option, sizeof option, "size=%s", size);
  snprintf(path, sizeof path, "%s/model.gust", disk);
  if (mount("tmpfs", disk, "tmpfs", MS_REMOUNT, option) != 0) return false;
  gust_status status = gust_convert(source, path, &options, &report, &err);
  bool good = status == want && strstr(err.text, words) && check_files_in(disk) == (size_t)files &&
              (status == GUST_OK) == (report.resumed > 0);
  if (status) good = good && strstr(err.text, path) && strstr(err.text, "the disk is full: free ");
  if (!good) fprintf(stderr, "disk of %s: status %d, %s\n", size, (int)status, err.text);
  return good;
}

/* In a process and mount space of its own: 0 when the disk was full and all
 * went as it should, 1 when not, 77 when no small disk could be mounted. */
static int convert_to_full_disk(void) {
  const char *disk = check_temp_file("disk");
  os_make_folder(disk);
  if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0 ||
      mount("tmpfs", disk, "tmpfs", 0, "size=64k") != 0)
    return 77;
  return convert_to_disk(disk, "64k", GUST_E_IO, "or write to another disk", 0) &&
                 convert_to_disk(disk, "512k", GUST_E_IO,
                                 "; what is finished is kept: the same command goes on from there, "
                                 "or remove ",
                                 1) &&
                 convert_to_disk(disk, "16m", GUST_OK, "", 1)
             ? 0
             : 1;
}

static void full_disk(void) {
  maker_model m = maker_small(false, true);
  maker_write(&m, source, "BF16", 1);
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) _exit(convert_to_full_disk());
  int status = 0;
  if (CHECK(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status))) {
    if (WEXITSTATUS(status) == 77)
      check_part_skipped("a full disk", "no right to mount a small one");
    else
      CHECK_EQ_INT(WEXITSTATUS(status), 0);
  }
  maker_free(&m);
}
#else
static void full_disk(void) {
  check_part_skipped("a full disk", "no small one can be mounted");
}
#endif

static void bad_places(void) {
  maker_model m = maker_small(false, true);
  gust_error err = {0};
  maker_write(&m, source, "BF16", 1);
  CHECK_EQ_INT(gust_convert(source, output, NULL, NULL, &err), GUST_E_ARGUMENT);
  CHECK_CONTAINS(err.text, "expected a regular file or a new name, found a folder, device or pipe");
  CHECK_EQ_INT(gust_convert(source, check_temp_file("none/m.gust"), NULL, NULL, &err), GUST_E_IO);
  CHECK_CONTAINS(err.text, "none/m.gust: expected to create it, found: No such file");
  CHECK_EQ_INT(gust_convert(check_temp_file("none"), target, NULL, NULL, &err), GUST_E_IO);
  CHECK_CONTAINS(err.text, "none/config.json: expected a readable file, found: No such file");
  gust_convert_options bad = {.type = (gust_type)9};
  CHECK_EQ_INT(gust_convert(source, target, &bad, NULL, &err), GUST_E_ARGUMENT);
  CHECK_EQ_STR(err.text, "type: expected " GUST_TYPE_NAMES ", found 9");
  CHECK_EQ_INT(gust_convert(source, target, NULL, NULL, NULL), GUST_OK); /* all may be NULL */
  maker_free(&m);
}

/* The checkpoint itself is no target, by whatever name. */
static void own_sources(void) {
  static const char *const names[] = {
      "config.json",           "tokenizer.json",           "generation_config.json",
      "tokenizer_config.json", "model-2-of-2.safetensors", "model.safetensors.index.json"};
  const char *folder = check_temp_file("own");
  maker_model m = maker_small(false, true);
  maker_write(&m, folder, "BF16", 2);
  check_write_file(check_temp_file("own/generation_config.json"), "{}", 2);
  check_write_file(check_temp_file("own/tokenizer_config.json"), "{}", 2);
  size_t files = check_files_in(folder);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char path[512], words[1200];
    gust_error err = {0};
    snprintf(path, sizeof path, "%s/%s", folder, names[i]);
    size_t before, after;
    char *old = check_read_file(path, &before);
    CHECK_EQ_INT(gust_convert(folder, path, NULL, NULL, &err), GUST_E_ARGUMENT);
    snprintf(words, sizeof words,
             "%s: expected a file that is no part of the checkpoint, found '%s' of %s; give "
             "another name",
             path, names[i], folder);
    CHECK_EQ_STR(err.text, words);
    char *new = check_read_file(path, &after);
    CHECK(before == after && memcmp(old, new, before) == 0);
    CHECK_EQ_INT(check_files_in(folder), files);
    free(old);
    free(new);
  }
  gust_error err = {0};
  const char *link_path = check_temp_file("output/link.gust");
  CHECK(host_make_alias(check_temp_file("own/model-1-of-2.safetensors"), link_path));
  CHECK_EQ_INT(gust_convert(folder, link_path, NULL, NULL, &err), GUST_E_ARGUMENT);
  CHECK_CONTAINS(err.text,
                 "link.gust: expected a file that is no part of the checkpoint, found "
                 "'model-1-of-2.safetensors' of ");
  remove(link_path);

  /* A link to another file gives way to the file. */
  const char *other = check_temp_file("other");
  check_write_file(other, "other", 5);
  CHECK(host_make_alias(other, link_path));
  CHECK_EQ_INT(gust_convert(folder, link_path, NULL, NULL, &err), GUST_OK);
  CHECK(!os_same_file(other, link_path));
  char *text = check_read_file(other, NULL);
  CHECK_EQ_STR(text, "other");
  free(text);
  remove(link_path);
  maker_free(&m);
}

/* --- the command ------------------------------------------------------------------------- */

#ifdef _WIN32
static void size_limit(void) {
  check_part_skipped("a limit of the shell (ulimit -f)", "there is none");
}

static void quit_key(void) {
  check_part_skipped("Ctrl-\\", "there is no such key, and Ctrl-C comes after the demo's end");
}
#else
static void size_limit(void) {
  char script[2048], words[1024];
  /* The shell's limit counts blocks of 512 bytes. */
  snprintf(script, sizeof script,
           "ulimit -f 100; exec $MESON_EXE_WRAPPER '%s' convert '%s' -o '%s' --quiet",
           run_gust_binary(), check_demo(), target);
  const char *argv[] = {"/bin/sh", "-c", script, NULL};
  remove(target);
  run_result run = run_program(argv, "", 0);
  CHECK_EQ_INT(run.code, 1);
  snprintf(
      words, sizeof words,
      "gust convert: %s: expected to write it, found: File too large; the file may not grow "
      "so large: write to another disk (FAT32 ends at 4 GiB), or raise the limit (ulimit -f)\n",
      target);
  CHECK_EQ_STR(run.err, words);
  CHECK_EQ_INT(check_files_in(output), 0);
  run_result_clear(&run);
}

static bool is_output_begun(void *user) {
  (void)user;
  return check_files_in(output) > 0;
}

/* Ctrl-\ as soon as the partial file is there; test_convert_resume looks at what is left
 * more closely. */
static void quit_key(void) {
  const char *argv[] = {run_gust_binary(), "convert", check_demo(), "-o", target, "--type", "q4",
                        "--threads",       "1",       "--quiet",    NULL};
  run_result run = run_program_when(argv, is_output_begun, NULL, RUN_QUIT);
  CHECK_EQ_INT(run.code, 128 + RUN_QUIT);
  bool left = strstr(run.err, "; nothing is left of it") == NULL;
  CHECK_CONTAINS(run.err, "the conversion was stopped; ");
  run_result_clear(&run);
  CHECK_EQ_INT(check_files_in(output), left);
  remove(check_temp_file("output/model.gust.converting"));
}
#endif

static void broken_template(void) {
  static const struct {
    const char *source, *words;
  } cases[] = {
      {"{% for m in messages %}{{ m.content }}{% endfor %}", ""},
      {"{{ raise_exception('no users') }}",
       "gust convert: note: the chat template does not render: "},
      {"{% frobnicate %}", "gust convert: note: the chat template does not render: "},
  };
  const char *folder = check_temp_file("template");
  maker_model m = maker_small(false, true);
  maker_write(&m, folder, "BF16", 1);
  CHECK_GUST(0, NULL, "", NULL, "convert", folder, "-o", target); /* has none */
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    check_write_file(check_temp_file("template/chat_template.jinja"), cases[i].source,
                     strlen(cases[i].source));
    run_result run = run_gust(NULL, "convert", folder, "-o", target, (const char *)NULL);
    CHECK_EQ_INT(run.code, 0);
    if (*cases[i].words) {
      CHECK(strncmp(run.err, cases[i].words, strlen(cases[i].words)) == 0);
      CHECK_CONTAINS(run.err, "; use --template NAME\n");
      run_result asked = run_gust("Hello", "run", target, "--quiet", (const char *)NULL);
      CHECK_EQ_INT(asked.code, 1);
      CHECK_CONTAINS(asked.err, "gust run: ");
      CHECK_CONTAINS(asked.err, "; --template NAME chooses another\n");
      run_result_clear(&asked);
    } else {
      CHECK_EQ_STR(run.err, "");
    }
    run_result_clear(&run);
    CHECK_GUST(0, NULL, "", NULL, "convert", folder, "-o", target, "--quiet");
  }
  remove(target);
  maker_free(&m);
}

/* --- real checkpoints -------------------------------------------------------------------- */

static size_t count_ids(const gust_model *model, unsigned flags) {
  int32_t *ids;
  size_t count = 0;
  CHECK_EQ_INT(gust_tokenize(model, "ab", 2, flags, &ids, &count, NULL), GUST_OK);
  gust_free(ids);
  return count;
}

/* A tokenizer that ends every text with </s> must not do so before an answer. */
static void ids_after_text(void) {
  maker_model m = maker_small(false, true);
  maker_write(&m, source, "BF16", 1);
  maker_patch(source, "tokenizer.json", "\"post_processor\": null",
              "\"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": [{\"Sequence\": "
              "{\"id\": \"A\", \"type_id\": 0}}, {\"SpecialToken\": {\"id\": \"</s>\", "
              "\"type_id\": 0}}], \"special_tokens\": {\"</s>\": {\"id\": \"</s>\", "
              "\"ids\": [2]}}}");
  gust_model *model;
  gust_error err = {0};
  CHECK_EQ_INT(convert(source, GUST_TYPE_F32, 1, &err), GUST_OK);
  if (gust_model_open(&model, target, NULL, &err)) check_fatal("model", err.text);
  size_t plain = count_ids(model, 0);
  CHECK_EQ_INT(count_ids(model, GUST_TOKENIZE_BOS), plain);
  CHECK_EQ_INT(count_ids(model, GUST_TOKENIZE_EOS), plain);
  CHECK_EQ_INT(count_ids(model, GUST_TOKENIZE_BOS | GUST_TOKENIZE_EOS), plain + 1);
  const gust_message message = {"user", "ab", 2};
  int32_t *ids;
  size_t count;
  CHECK_EQ_INT(gust_chat_tokenize_as(model, "{{ messages[0]['content'] }}", &message, 1, true, &ids,
                                     &count, &err),
               GUST_OK);
  CHECK_EQ_INT(count, plain);
  gust_free(ids);
  gust_model_close(model);
  maker_free(&m);
}

static void demo(void) {
  gust_convert_options options = {.type = GUST_TYPE_Q4};
  gust_convert_report report;
  gust_error err = {0};
  CHECK_EQ_INT(gust_convert(check_demo(), target, &options, &report, &err), GUST_OK);
  CHECK_EQ_STR(err.text, "");
  CHECK_EQ_INT(report.parameters, 8392960);
  CHECK_EQ_INT(report.tensors, 75);
  CHECK_EQ_INT(report.parts[GUST_TYPE_Q4].tensors, 48);
  CHECK_EQ_INT(report.parts[GUST_TYPE_Q8].tensors, 10);
  CHECK_EQ_INT(report.parts[GUST_TYPE_F32].tensors, 17);
  CHECK(report.parts[GUST_TYPE_Q4].rms_error < 0.0735);
  CHECK(report.parts[GUST_TYPE_Q8].rms_error < 0.0056);
  CHECK(report.parts[GUST_TYPE_F32].rms_error == 0);
  result r = read_result(target);
  CHECK(r.header.file_bytes == report.file_bytes);
  CHECK_EQ_INT(r.header.source_count, 2);
  char hex[65];
  for (int i = 0; i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", r.header.sources[1].sha256[i]);
  CHECK_EQ_STR(r.header.sources[1].name, "model-00002-of-00002.safetensors");
  CHECK_EQ_STR(hex, "8aeee280069fcd2be791d2ca461db616a85cd2024f155ae87b6a4b82ad27b289");
  CHECK(r.header.chat_template && strstr(r.header.chat_template, "<|assistant|>"));
  CHECK_EQ_INT(r.header.generation.max_new_tokens, 512);
  free_result(&r);
}

/* The files the build converted, byte for byte: on every system, from every compiler.
 * They change only with the format, the quantizers or the demo checkpoint. */
static void same_everywhere(void) {
  static const struct {
    const char *type, *sha256;
  } files[] = {
      {"f32", "d57bd3da2b2aad3f6cecfa3513d43ebbb6f2c50d0c035feb01a4c7df66bea9ba"},
      {"bf16", "348498a4cd43513a28fdd32b35748844a16433ab999d915a53523ba2f5a6f586"},
      {"q8", "b9dfe85d9cbfc2ce52eb2a0cb6112ed206c148454c3caad97dfc4518a886ec4a"},
      {"q4", "7cbce765bafd95563b91054f759320aff9344aaaaa8629f455329469b6cd7004"},
  };
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    const char *path = demo_model_path(files[i].type);
    if (!path) check_skip("GUST_DEMO_F32 and so on are not set: run under meson test");
    gust_sha256 hash;
    uint8_t digest[32];
    size_t bytes;
    char hex[65], *data = check_read_file(path, &bytes);
    gust_sha256_begin(&hash);
    gust_sha256_update(&hash, data, bytes);
    gust_sha256_end(&hash, digest);
    for (int k = 0; k < 32; k++) snprintf(hex + 2 * k, 3, "%02x", digest[k]);
    CHECK_EQ_STR(hex, files[i].sha256);
    free(data);
  }
}

static void stories(void) {
  const char *folder = check_refs("stories260K-hf");
  gust_error err;
  if (!folder) {
    check_part_skipped("a small model of stories", "GUST_TEST_REFS holds no stories260K-hf");
    return;
  }
  for (int type = 0; type < GUST_TYPE_COUNT; type++) {
    CHECK_EQ_INT(convert(folder, (gust_type)type, 2, &err), GUST_OK);
    CHECK_EQ_STR(err.text, "");
    result r = read_result(target);
    CHECK(r.header.config.tied_head && r.header.config.arch == GUST_ARCH_LLAMA);
    CHECK_EQ_INT(find(&r, "model.layers.4.mlp.down_proj.weight")->shape[1], 172);
    free_result(&r);
  }
}

int main(void) {
  source = check_temp_file("source");
  output = check_temp_file("output");
  target = check_temp_file("output/model.gust");
  if (!os_make_folder(output)) check_fatal("cannot make", output);
  exact_types();
  header_fields();
  shards_and_threads();
  heads();
  side_files();
  refuse_patches();
  refuse_numbers();
  refuse_surplus();
  refuse_index();
  refuse_circle();
  refuse_pointers();
  refuse_truncated();
  limited();
  full_disk();
  bad_places();
  own_sources();
  size_limit();
  quit_key();
  broken_template();
  ids_after_text();
  demo();
  same_everywhere();
  stories();
  return check_finish();
}

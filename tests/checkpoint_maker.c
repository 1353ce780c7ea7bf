#include "checkpoint_maker.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "os.h"
#include "status.h"

/* --- text that grows ------------------------------------------------------------- */

typedef struct text {
  char *data;
  size_t bytes, room;
} text;

static void append(text *t, const void *data, size_t bytes) {
  if (t->bytes + bytes + 1 > t->room) {
    t->room = 2 * (t->bytes + bytes) + 256;
    t->data = realloc(t->data, t->room);
    if (!t->data) check_fatal("out of memory", "checkpoint");
  }
  memcpy(t->data + t->bytes, data, bytes);
  t->bytes += bytes;
  t->data[t->bytes] = 0;
}

GUST_PRINTF(2, 3)
static void print(text *t, const char *format, ...) {
  char line[512];
  va_list args;
  va_start(args, format);
  int bytes = vsnprintf(line, sizeof line, format, args);
  va_end(args);
  if (bytes < 0 || bytes >= (int)sizeof line) check_fatal("text too long", format);
  append(t, line, (size_t)bytes);
}

static void save(const char *folder, const char *name, text *t) {
  char path[512];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  check_write_file(path, t->data, t->bytes);
  free(t->data);
  *t = (text){0};
}

/* --- the model --------------------------------------------------------------------- */

static void add(maker_model *m, const char *name, size_t rows, size_t columns,
                unsigned long long *seed) {
  m->tensors = realloc(m->tensors, (m->tensor_count + 1) * sizeof *m->tensors);
  if (!m->tensors) check_fatal("out of memory", name);
  maker_tensor *t = &m->tensors[m->tensor_count++];
  size_t count = rows * (columns ? columns : 1);
  *t = (maker_tensor){.rank = columns ? 2 : 1, .shape = {rows, columns ? columns : 1}};
  snprintf(t->name, sizeof t->name, "%s", name);
  t->values = malloc(count * sizeof *t->values);
  if (!t->values) check_fatal("out of memory", name);
  for (size_t i = 0; i < count; i++)
    t->values[i] = (float)((int)(check_random(seed) % 255) - 127) / 64.0f;
}

/* Adds the tensors of a model whose sizes are there. */
static maker_model fill(maker_model m) {
  unsigned long long seed = 5;
  unsigned q = m.heads * m.head_dim, kv = m.kv_heads * m.head_dim;
  add(&m, "model.embed_tokens.weight", m.vocab, m.hidden, &seed);
  for (unsigned i = 0; i < m.layers; i++) {
    const struct {
      const char *name;
      size_t rows, columns;
    } parts[] = {{"mlp.up_proj", m.ffn, m.hidden},         {"mlp.gate_proj", m.ffn, m.hidden},
                 {"mlp.down_proj", m.hidden, m.ffn},       {"self_attn.q_proj", q, m.hidden},
                 {"self_attn.k_proj", kv, m.hidden},       {"self_attn.v_proj", kv, m.hidden},
                 {"self_attn.o_proj", m.hidden, q},        {"input_layernorm", m.hidden, 0},
                 {"post_attention_layernorm", m.hidden, 0}};
    for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
      char name[96];
      snprintf(name, sizeof name, "model.layers.%u.%s.weight", i, parts[p].name);
      add(&m, name, parts[p].rows, parts[p].columns, &seed);
    }
  }
  add(&m, "model.norm.weight", m.hidden, 0, &seed);
  if (m.with_head) add(&m, "lm_head.weight", m.vocab, m.hidden, &seed);
  return m;
}

maker_model maker_small(bool tied, bool with_head) {
  return fill((maker_model){.vocab = 300,
                            .hidden = 36,
                            .ffn = 150,
                            .layers = 2,
                            .heads = 6,
                            .kv_heads = 2,
                            .head_dim = 6,
                            .tied = tied,
                            .with_head = with_head});
}

maker_model maker_tiny(void) {
  return fill((maker_model){.vocab = 264,
                            .hidden = 4,
                            .ffn = 6,
                            .layers = 1,
                            .heads = 2,
                            .kv_heads = 1,
                            .head_dim = 2,
                            .with_head = true});
}

void maker_free(maker_model *m) {
  for (size_t i = 0; i < m->tensor_count; i++) free(m->tensors[i].values);
  free(m->tensors);
  *m = (maker_model){0};
}

const maker_tensor *maker_find(const maker_model *m, const char *name) {
  for (size_t i = 0; i < m->tensor_count; i++)
    if (strcmp(m->tensors[i].name, name) == 0) return &m->tensors[i];
  return NULL;
}

/* --- files -------------------------------------------------------------------------- */

static void write_config(const maker_model *m, const char *folder) {
  text t = {0};
  print(&t, "{\n \"architectures\": [\"MistralForCausalLM\"],\n \"vocab_size\": %u,\n", m->vocab);
  print(&t, " \"hidden_size\": %u,\n \"intermediate_size\": %u,\n", m->hidden, m->ffn);
  print(&t, " \"num_hidden_layers\": %u,\n \"num_attention_heads\": %u,\n", m->layers, m->heads);
  print(&t, " \"num_key_value_heads\": %u,\n \"head_dim\": %u,\n", m->kv_heads, m->head_dim);
  print(&t, " \"hidden_act\": \"silu\",\n \"max_position_embeddings\": 64,\n");
  print(&t, " \"sliding_window\": 16,\n \"rms_norm_eps\": 1e-05,\n \"rope_theta\": 10000.0,\n");
  print(&t, " \"rope_scaling\": null,\n \"attention_bias\": false,\n \"mlp_bias\": false,\n");
  print(&t, " \"tie_word_embeddings\": %s,\n", m->tied ? "true" : "false");
  print(&t, " \"bos_token_id\": 1,\n \"eos_token_id\": 2\n}\n");
  save(folder, "config.json", &t);
}

static void write_tokenizer(const char *folder) {
  text t = {0};
  const char *added[] = {"<unk>", "<s>", "</s>"};
  print(&t, "{\"version\": \"1.0\", \"truncation\": null, \"padding\": null, \"added_tokens\": [");
  for (int i = 0; i < 3; i++)
    print(&t,
          "%s{\"id\": %d, \"content\": \"%s\", \"single_word\": false, \"lstrip\": false, "
          "\"rstrip\": false, \"normalized\": false, \"special\": true}",
          i ? ", " : "", i, added[i]);
  print(&t,
        "],\n \"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [{\"type\": "
        "\"Prepend\", \"prepend\": \"\\u2581\"}, {\"type\": \"Replace\", \"pattern\": "
        "{\"String\": \" \"}, \"content\": \"\\u2581\"}]},\n \"pre_tokenizer\": null,\n ");
  print(&t,
        "\"post_processor\": null,\n \"decoder\": {\"type\": \"Sequence\", \"decoders\": "
        "[{\"type\": \"Replace\", \"pattern\": {\"String\": \"\\u2581\"}, \"content\": \" \"}, "
        "{\"type\": \"ByteFallback\"}, {\"type\": \"Fuse\"}, ");
  print(&t, "{\"type\": \"Strip\", \"content\": \" \", \"start\": 1, \"stop\": 0}]},\n ");
  print(&t,
        "\"model\": {\"type\": \"BPE\", \"dropout\": null, \"unk_token\": \"<unk>\", "
        "\"continuing_subword_prefix\": null, \"end_of_word_suffix\": null, ");
  print(&t, "\"fuse_unk\": true, \"byte_fallback\": true, \"ignore_merges\": false, \"vocab\": {");
  print(&t, "\"<unk>\": 0, \"<s>\": 1, \"</s>\": 2");
  for (int i = 0; i < 256; i++) print(&t, ", \"<0x%02X>\": %d", i, 3 + i);
  print(&t, ", \"\\u2581\": 259, \"a\": 260, \"b\": 261, \"ab\": 262}, \"merges\": [\"a b\"]}}\n");
  save(folder, "tokenizer.json", &t);
}

static void append_value(text *data, float value, const char *dtype) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  if (strcmp(dtype, "F32") == 0) {
    append(data, &bits, 4);
    return;
  }
  uint16_t half = (uint16_t)(bits >> 16);
  if (strcmp(dtype, "F16") == 0) {
    uint32_t exponent = bits >> 23 & 255;
    half = (uint16_t)((bits >> 16 & 0x8000) |
                      (exponent ? (exponent - 112) << 10 | (bits >> 13 & 0x3ff) : 0));
  }
  append(data, &half, 2);
}

static void write_weights(const maker_model *m, const char *folder, const char *name,
                          const char *dtype, unsigned shard, unsigned shards) {
  text header = {0}, data = {0}, file = {0};
  print(&header, "{\"__metadata__\": {\"format\": \"pt\"}");
  for (size_t i = shard; i < m->tensor_count; i += shards) {
    const maker_tensor *t = &m->tensors[i];
    size_t begin = data.bytes;
    for (size_t k = 0; k < t->shape[0] * t->shape[1]; k++) append_value(&data, t->values[k], dtype);
    print(&header, ", \"%s\": {\"dtype\": \"%s\", \"shape\": [%zu", t->name, dtype, t->shape[0]);
    if (t->rank == 2) print(&header, ", %zu", t->shape[1]);
    print(&header, "], \"data_offsets\": [%zu, %zu]}", begin, data.bytes);
  }
  print(&header, "}");
  uint64_t length = header.bytes;
  append(&file, &length, 8);
  append(&file, header.data, header.bytes);
  append(&file, data.data, data.bytes);
  free(header.data);
  free(data.data);
  save(folder, name, &file);
}

static void remove_old(const char *folder) {
  static const char *const names[] = {"model.safetensors", "model.safetensors.index.json",
                                      "generation_config.json", "tokenizer_config.json",
                                      "chat_template.jinja"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, names[i]);
    remove(path);
  }
}

void maker_write(const maker_model *m, const char *folder, const char *dtype, unsigned shards) {
  os_make_folder(folder);
  remove_old(folder);
  write_config(m, folder);
  write_tokenizer(folder);
  if (shards == 1) {
    write_weights(m, folder, "model.safetensors", dtype, 0, 1);
    return;
  }
  text index = {0};
  print(&index, "{\"metadata\": {}, \"weight_map\": {\n");
  for (unsigned s = 0; s < shards; s++) {
    char name[64];
    snprintf(name, sizeof name, "model-%u-of-%u.safetensors", s + 1, shards);
    write_weights(m, folder, name, dtype, s, shards);
    for (size_t i = s; i < m->tensor_count; i += shards)
      print(&index, "%s \"%s\": \"%s\"", s || i != s ? ",\n" : "", m->tensors[i].name, name);
  }
  print(&index, "}}\n");
  save(folder, "model.safetensors.index.json", &index);
}

/* --- damage ---------------------------------------------------------------------------- */

void maker_patch(const char *folder, const char *name, const char *from, const char *to) {
  char path[512];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  size_t bytes, name_bytes = strlen(name);
  char *old = check_read_file(path, &bytes);
  bool weights = name_bytes > 12 && strcmp(name + name_bytes - 12, ".safetensors") == 0;
  size_t begin = weights ? 8 : 0, end = bytes;
  if (weights) {
    uint64_t length;
    memcpy(&length, old, 8);
    end = 8 + (size_t)length;
  }
  char kept = old[end];
  old[end] = 0;
  char *place = strstr(old + begin, from);
  if (!place || strstr(place + 1, from)) check_fatal("text to patch is not there just once", from);
  old[end] = kept;
  text t = {0};
  uint64_t length = end - begin - strlen(from) + strlen(to);
  if (weights) append(&t, &length, 8);
  append(&t, old + begin, (size_t)(place - old) - begin);
  append(&t, to, strlen(to));
  place += strlen(from);
  append(&t, place, bytes - (size_t)(place - old));
  free(old);
  save(folder, name, &t);
}

void maker_poke(const maker_model *m, const char *folder, const char *name, size_t index,
                const void *data, size_t element_bytes) {
  char path[512];
  snprintf(path, sizeof path, "%s/model.safetensors", folder);
  size_t bytes;
  char *file = check_read_file(path, &bytes);
  uint64_t at;
  memcpy(&at, file, 8);
  at += 8;
  for (size_t i = 0; strcmp(m->tensors[i].name, name) != 0; i++)
    at += m->tensors[i].shape[0] * m->tensors[i].shape[1] * element_bytes;
  memcpy(file + at + index * element_bytes, data, element_bytes);
  check_write_file(path, file, bytes);
  free(file);
}

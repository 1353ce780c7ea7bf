#include "hf_config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_file.h"
#include "lfs_pointer.h"
#include "utf8_text.h"

#define MAX_TEMPLATE_BYTES (1u << 20)

/* --- values with defaults ------------------------------------------------------- */

/* null counts as left out, as it does in Python's configuration classes. */
static const json_value *given(const json_value *object, const char *key) {
  const json_value *value = json_get(object, key);
  return json_type_of(value) == JSON_NULL ? NULL : value;
}

static gust_status read_size(const json_file *f, const char *key, int64_t fallback, uint32_t *size,
                             gust_error *err) {
  int64_t value = fallback;
  if (given(f->root, key) || fallback < 0) {
    gust_status status = json_need_int64(f->doc, f->root, key, 0, UINT32_MAX, &value, err);
    if (status) return status;
  }
  *size = (uint32_t)value;
  return GUST_OK;
}

static gust_status read_bool(const json_file *f, const char *key, bool fallback, bool *truth,
                             gust_error *err) {
  *truth = fallback;
  if (!given(f->root, key)) return GUST_OK;
  return json_need_bool(f->doc, f->root, key, truth, err);
}

static gust_status read_number(const json_file *f, const json_value *object, const char *key,
                               double low, double high, double fallback, double *number,
                               gust_error *err) {
  *number = fallback;
  const json_value *value = given(object, key);
  if (!value) return GUST_OK;
  gust_status status = json_need_double(f->doc, object, key, number, err);
  if (status) return status;
  if (!(*number >= low && *number <= high))
    return json_fail(f->doc, value, GUST_E_UNSUPPORTED, err,
                     "%s: expected a number from %g to %g, found %g; correct or remove it", key,
                     low, high, *number);
  return GUST_OK;
}

/* A few words on a value for an error. */
static const char *describe(const json_value *value, char text[64]) {
  size_t bytes;
  bool truth;
  double number;
  const char *string = json_text(value, &bytes);
  if (string)
    snprintf(text, 64, "'%.*s'", bytes > 48 ? 48 : (int)bytes, string);
  else if (json_bool(value, &truth))
    snprintf(text, 64, "%s", truth ? "true" : "false");
  else if (json_double(value, &number))
    snprintf(text, 64, "%g", number);
  else
    snprintf(text, 64, "%s", json_type_name(json_type_of(value)));
  return text;
}

static gust_status refuse(const json_file *f, const json_value *value, const char *key,
                          const char *expected, gust_error *err) {
  char text[64];
  return json_fail(f->doc, value, GUST_E_UNSUPPORTED, err,
                   "%s: expected %s, found %s; gust cannot run this checkpoint", key, expected,
                   describe(value, text));
}

/* --- config.json ---------------------------------------------------------------- */

static gust_status read_architecture(const json_file *f, gust_arch *arch, gust_error *err) {
  const json_value *list;
  gust_status status = json_need(f->doc, f->root, "architectures", JSON_ARRAY, &list, err);
  if (status) return status;
  const json_value *name = json_first(list);
  if (json_count(list) == 1 && json_text_is(name, "MistralForCausalLM"))
    *arch = GUST_ARCH_MISTRAL;
  else if (json_count(list) == 1 && json_text_is(name, "LlamaForCausalLM"))
    *arch = GUST_ARCH_LLAMA;
  else
    return refuse(f, name ? name : list, "architectures",
                  "MistralForCausalLM or LlamaForCausalLM, one of them", err);
  /* A file that contradicts itself may be one of a model that shares the name. */
  bool mistral = *arch == GUST_ARCH_MISTRAL;
  const json_value *type = given(f->root, "model_type");
  if (type && !json_text_is(type, mistral ? "mistral" : "llama"))
    return refuse(f, type, "model_type",
                  mistral ? "'mistral', as architectures says" : "'llama', as architectures says",
                  err);
  return GUST_OK;
}

static gust_status refuse_partial_rotary(const json_file *f, const json_value *object,
                                         gust_error *err) {
  double part;
  const json_value *value = given(object, "partial_rotary_factor");
  if (value && !(json_double(value, &part) && part == 1.0))
    return refuse(f, value, "partial_rotary_factor", "1", err);
  return GUST_OK;
}

static gust_status refuse_features(const json_file *f, gust_error *err) {
  static const char *const must_be_false[] = {"attention_bias", "mlp_bias", "use_bias", "bias",
                                              "use_qk_norm"};
  static const char *const must_be_absent[] = {"num_local_experts",
                                               "num_experts",
                                               "n_routed_experts",
                                               "num_experts_per_tok",
                                               "moe",
                                               "quantization_config",
                                               "attn_logit_softcapping",
                                               "final_logit_softcapping",
                                               "query_pre_attn_scalar",
                                               "attention_multiplier",
                                               "residual_multiplier",
                                               "embedding_multiplier",
                                               "logits_scaling",
                                               "logit_scale"};
  for (size_t i = 0; i < sizeof must_be_false / sizeof *must_be_false; i++) {
    const json_value *value = given(f->root, must_be_false[i]);
    bool truth;
    if (value && !(json_bool(value, &truth) && !truth))
      return refuse(f, value, must_be_false[i], "false", err);
  }
  for (size_t i = 0; i < sizeof must_be_absent / sizeof *must_be_absent; i++) {
    const json_value *value = given(f->root, must_be_absent[i]);
    if (value) return refuse(f, value, must_be_absent[i], "nothing or null", err);
  }
  static const char *const activations[] = {"hidden_act", "hidden_activation"};
  for (size_t i = 0; i < sizeof activations / sizeof *activations; i++) {
    const json_value *act = given(f->root, activations[i]);
    if (act && !json_text_is(act, "silu")) return refuse(f, act, activations[i], "'silu'", err);
  }
  return refuse_partial_rotary(f, f->root, err);
}

/* What is not known may scale; keys of the value null say nothing. */
static gust_status refuse_unknown_rope_keys(const json_file *f, const json_value *object,
                                            const char *key, gust_error *err) {
  static const char *const known[] = {"rope_type", "type", "factor", "rope_theta",
                                      "partial_rotary_factor"};
  for (const json_value *v = json_first(object); v; v = json_next(object, v)) {
    size_t i = 0, bytes, count = sizeof known / sizeof *known;
    while (i < count && !json_key_is(v, known[i])) i++;
    if (i < count || json_type_of(v) == JSON_NULL) continue;
    const char *name = json_key(v, &bytes);
    return json_fail(f->doc, v, GUST_E_UNSUPPORTED, err,
                     "%s: expected rope_type, type, rope_theta or partial_rotary_factor, found "
                     "'%.*s'; gust cannot run this checkpoint",
                     key, bytes > 48 ? 48 : (int)bytes, name);
  }
  return refuse_partial_rotary(f, object, err);
}

/* rope_scaling of older, rope_parameters of newer files: an object whose type,
 * if it has one, is "default". A theta in it counts. */
static gust_status read_rope_object(const json_file *f, const char *key, double *theta,
                                    gust_error *err) {
  const json_value *object = given(f->root, key);
  if (!object) return GUST_OK;
  if (!json_is(object, JSON_OBJECT)) return refuse(f, object, key, "null or an object", err);
  static const char *const type_keys[] = {"rope_type", "type"};
  bool typed = false;
  for (size_t i = 0; i < 2; i++) {
    const json_value *type = given(object, type_keys[i]);
    if (type && !json_text_is(type, "default"))
      return refuse(f, type, key, "null or the type 'default'", err);
    typed = typed || type;
  }
  const json_value *factor = given(object, "factor");
  if (factor && !typed) return refuse(f, factor, key, "no scaling factor", err);
  gust_status status = refuse_unknown_rope_keys(f, object, key, err);
  if (status) return status;
  return read_number(f, object, "rope_theta", 1, 1e30, *theta, theta, err);
}

static gust_status read_rope(const json_file *f, double *theta, gust_error *err) {
  gust_status status = read_number(f, f->root, "rope_theta", 1, 1e30, 10000.0, theta, err);
  if (!status) status = read_rope_object(f, "rope_scaling", theta, err);
  if (!status) status = read_rope_object(f, "rope_parameters", theta, err);
  return status;
}

static gust_status read_head_dim(const json_file *f, gust_config *c, gust_error *err) {
  gust_status status = read_size(f, "head_dim", 0, &c->head_dim, err);
  if (status || given(f->root, "head_dim")) return status;
  if (c->heads == 0 || c->hidden_size % c->heads)
    return json_fail(f->doc, f->root, GUST_E_UNSUPPORTED, err,
                     "head_dim: expected it given, or hidden_size to be a multiple of "
                     "num_attention_heads, found %u and %u",
                     c->hidden_size, c->heads);
  c->head_dim = c->hidden_size / c->heads;
  return GUST_OK;
}

/* All layers alike: either all see a window or none does. */
static gust_status check_layer_types(const json_file *f, const gust_config *c, gust_error *err) {
  const json_value *types = given(f->root, "layer_types");
  if (!types) return GUST_OK;
  if (!json_is(types, JSON_ARRAY))
    return refuse(f, types, "layer_types", "null or an array of types", err);
  if (json_count(types) != c->layers)
    return json_fail(f->doc, types, GUST_E_UNSUPPORTED, err,
                     "layer_types: expected one type for each of num_hidden_layers %u, found %zu; "
                     "gust cannot run this checkpoint",
                     c->layers, json_count(types));
  const char *expected = c->sliding_window ? "sliding_attention" : "full_attention";
  for (const json_value *v = json_first(types); v; v = json_next(types, v))
    if (!json_text_is(v, expected))
      return refuse(f, v, "layer_types",
                    c->sliding_window ? "'sliding_attention' in all layers, as sliding_window says"
                                      : "'full_attention' in all layers, as sliding_window says",
                    err);
  return GUST_OK;
}

static gust_status read_sizes(const json_file *f, gust_config *c, gust_error *err) {
  bool mistral = c->arch == GUST_ARCH_MISTRAL;
  gust_status status = read_size(f, "vocab_size", -1, &c->vocab_size, err);
  if (!status) status = read_size(f, "hidden_size", -1, &c->hidden_size, err);
  if (!status) status = read_size(f, "intermediate_size", -1, &c->intermediate_size, err);
  if (!status) status = read_size(f, "num_hidden_layers", -1, &c->layers, err);
  if (!status) status = read_size(f, "num_attention_heads", -1, &c->heads, err);
  /* Left out is not null here and below: transformers then takes 8, and a window of 4096. */
  int64_t kv_heads = mistral && !json_get(f->root, "num_key_value_heads") ? 8 : c->heads;
  if (!status) status = read_size(f, "num_key_value_heads", kv_heads, &c->kv_heads, err);
  if (!status) status = read_head_dim(f, c, err);
  if (!status)
    status =
        read_size(f, "max_position_embeddings", mistral ? 131072 : 2048, &c->max_positions, err);
  int64_t window = mistral && !json_get(f->root, "sliding_window") ? 4096 : 0;
  if (!status) status = read_size(f, "sliding_window", window, &c->sliding_window, err);
  if (!mistral) c->sliding_window = 0;
  return status;
}

/* An id, or -1 for null. */
static gust_status read_id(const json_file *f, const json_value *value, const char *key,
                           int32_t *id, gust_error *err) {
  int64_t number;
  if (!json_int64(value, 0, INT32_MAX, &number)) return refuse(f, value, key, "a token id", err);
  *id = (int32_t)number;
  return GUST_OK;
}

/* One id or a list of them; leaves *c alone when there is none. */
static gust_status read_eos(const json_file *f, gust_config *c, gust_error *err) {
  const char *key = "eos_token_id";
  const json_value *value = given(f->root, key);
  if (!value) return GUST_OK;
  c->eos_count = 0;
  if (!json_is(value, JSON_ARRAY)) {
    c->eos_count = 1;
    return read_id(f, value, key, &c->eos_ids[0], err);
  }
  if (json_count(value) > GUST_MAX_EOS)
    return json_fail(f->doc, value, GUST_E_UNSUPPORTED, err,
                     "eos_token_id: expected at most %d ids, found %zu", GUST_MAX_EOS,
                     json_count(value));
  for (const json_value *v = json_first(value); v; v = json_next(value, v)) {
    gust_status status = read_id(f, v, key, &c->eos_ids[c->eos_count], err);
    if (status) return status;
    c->eos_count++;
  }
  return GUST_OK;
}

static gust_status read_ids(const json_file *f, gust_config *c, gust_error *err) {
  const json_value *bos = json_get(f->root, "bos_token_id");
  c->bos_id = bos ? -1 : 1;
  c->eos_ids[0] = 2;
  c->eos_count = json_get(f->root, "eos_token_id") ? 0 : 1;
  gust_status status = GUST_OK;
  if (given(f->root, "bos_token_id")) status = read_id(f, bos, "bos_token_id", &c->bos_id, err);
  return status ? status : read_eos(f, c, err);
}

static gust_status read_config(const json_file *f, gust_config *c, gust_error *err) {
  gust_status status = read_architecture(f, &c->arch, err);
  if (!status) status = refuse_features(f, err);
  if (!status) status = read_sizes(f, c, err);
  if (!status) status = check_layer_types(f, c, err);
  if (!status) status = read_rope(f, &c->rope_theta, err);
  double eps = 0;
  if (!status) status = read_number(f, f->root, "rms_norm_eps", 0, 1, 1e-6, &eps, err);
  c->norm_eps = (float)eps;
  if (!status) status = read_bool(f, "tie_word_embeddings", false, &c->tied_head, err);
  if (!status) status = read_ids(f, c, err);
  return status ? status : gust_config_check(c, f->path, err);
}

/* --- generation_config.json ------------------------------------------------------ */

static gust_status read_generation(const json_file *f, gust_config *c, gust_generation *g,
                                   gust_error *err) {
  double temperature, top_p, min_p, penalty;
  bool sample;
  gust_status status = read_bool(f, "do_sample", true, &sample, err);
  if (!status) status = read_number(f, f->root, "temperature", 0, 100, 0.7, &temperature, err);
  if (!status) status = read_number(f, f->root, "top_p", 1e-6, 1, 0.95, &top_p, err);
  if (!status) status = read_number(f, f->root, "min_p", 0, 1, 0, &min_p, err);
  if (!status) status = read_number(f, f->root, "repetition_penalty", 1e-3, 100, 1, &penalty, err);
  int64_t off; /* in the words of other programs */
  if (json_int64(json_get(f->root, "top_k"), -1, -1, &off))
    g->top_k = 0;
  else if (!status)
    status = read_size(f, "top_k", 50, &g->top_k, err);
  if (!status) status = read_size(f, "max_new_tokens", 0, &g->max_new_tokens, err);
  if (!status) status = read_eos(f, c, err);
  if (status) return status;
  g->temperature = sample ? (float)temperature : 0.0f;
  g->top_p = (float)top_p;
  g->min_p = (float)min_p;
  g->repeat_penalty = (float)penalty;
  return gust_config_check(c, f->path, err);
}

/* --- chat template ---------------------------------------------------------------- */

/* Why a text is no template, or NULL. */
static const char *unfit(const char *text, size_t bytes) {
  if (bytes > MAX_TEMPLATE_BYTES) return "a longer one";
  if (memchr(text, 0, bytes)) return "a NUL in it";
  return utf8_is_text(text, bytes) ? NULL : "bytes that are no UTF-8";
}

static gust_status template_from_file(const char *path, char **text, gust_error *err) {
  whole_file file;
  bool read = whole_file_read(&file, path, MAX_TEMPLATE_BYTES);
  if (!read && errno != EFBIG) return whole_file_fail(&file, path, "a readable file", "", err);
  const char *why = !read ? "a longer one" : file.bytes ? unfit(file.data, file.bytes) : NULL;
  gust_status status = read ? lfs_pointer_refuse(file.data, file.bytes, path, err) : GUST_OK;
  if (!status && why)
    status = gust_fail(err, GUST_E_FORMAT,
                       "%s: expected UTF-8 text of at most %u bytes without NUL, found %s; correct "
                       "or remove it",
                       path, MAX_TEMPLATE_BYTES, why);
  if (status || file.bytes == 0) { /* an empty one is none */
    whole_file_free(&file);
    return status;
  }
  *text = file.data;
  return GUST_OK;
}

/* A string, or a list of {name, template} of which "default" is taken. A list of others,
 * such as one for tools, leaves the choice to who runs the model. */
static gust_status template_from_json(const json_file *f, char **text, const char **note,
                                      gust_error *err) {
  const json_value *value = given(f->root, "chat_template");
  if (json_is(value, JSON_ARRAY)) {
    const json_value *list = value;
    value = NULL;
    for (const json_value *v = json_first(list); v && !value; v = json_next(list, v))
      if (json_text_is(json_get(v, "name"), "default")) value = given(v, "template");
    if (!value)
      *note =
          "chat_template of tokenizer_config.json has none named 'default': choose one when "
          "the model runs (--template)";
  }
  if (!value) return GUST_OK;
  size_t bytes;
  const char *source = json_text(value, &bytes);
  const char *why = source ? unfit(source, bytes) : json_type_name(json_type_of(value));
  if (why)
    return json_fail(f->doc, value, GUST_E_FORMAT, err,
                     "chat_template: expected a string of at most %u bytes without NUL, found %s; "
                     "correct or remove it",
                     MAX_TEMPLATE_BYTES, why);
  if (bytes == 0) return GUST_OK;
  *text = json_text_copy(value);
  return *text ? GUST_OK : gust_fail_memory(err, "chat template", bytes + 1);
}

static gust_status read_template(const char *folder, char **text, const char **note,
                                 gust_error *err) {
  char *path = path_join(folder, "chat_template.jinja");
  if (!path) return gust_fail_memory(err, "path", strlen(folder) + 32);
  bool has_file = path_exists(path);
  gust_status status = has_file ? template_from_file(path, text, err) : GUST_OK;
  free(path);
  if (has_file || status) return status;
  json_file f;
  status = json_file_open(&f, folder, "tokenizer_config.json", false, err);
  if (!status) status = template_from_json(&f, text, note, err);
  json_file_close(&f);
  return status;
}

/* --- the whole ------------------------------------------------------------------- */

gust_status hf_config_read(const char *folder, gust_config *config, gust_generation *generation,
                           char **chat_template, const char **note, gust_error *err) {
  memset(config, 0, sizeof *config);
  memset(generation, 0, sizeof *generation);
  *chat_template = NULL;
  *note = NULL;
  json_file f;
  gust_status status = json_file_open(&f, folder, "config.json", true, err);
  if (!status) status = read_config(&f, config, err);
  json_file_close(&f);
  if (status) return status;

  status = json_file_open(&f, folder, "generation_config.json", false, err);
  if (!status) status = read_generation(&f, config, generation, err);
  json_file_close(&f);
  return status ? status : read_template(folder, chat_template, note, err);
}

/* gust convert: which checkpoints are refused, and in which words. The target stays what
 * it was. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "checkpoint_maker.h"
#include "convert.h"
#include "host.h"
#include "os.h"

static const char *source, *output, *target; /* a folder, a folder, a file in it */

static gust_status convert(gust_error *err) {
  const gust_convert_options options = {.type = GUST_TYPE_Q4, .threads = 2};
  *err = (gust_error){0};
  return gust_convert(source, target, &options, NULL, err);
}

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
    {CONFIG, "\"num_key_value_heads\": 2,", "", GUST_E_UNSUPPORTED,
     "num_attention_heads: expected a multiple of num_key_value_heads 8, found 6"},
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
    {"tokenizer.json", "[\"a b\"]", "[\"a b\", \"a b\"]", GUST_E_FORMAT,
     ": vocabulary: expected each merge once, found ids 260 and 261 again; download its tokenizer "
     "again"},
};

/* A conversion that must fail: by name, in one line, leaving no trace. */
static void expect_refusal(gust_status status, const char *words) {
  gust_error err;
  check_write_file(target, "old", 3);
  CHECK_EQ_INT(convert(&err), status);
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
  CHECK_EQ_INT(convert(&err), GUST_OK);
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
    CHECK(convert(&err) != GUST_OK);
    CHECK_CONTAINS(err.text, cases[i].words);
    CHECK(strstr(err.text, source) && !strchr(err.text, '\n'));
  }
  /* The same tensor in both shards. */
  maker_write(&m, source, "BF16", 2);
  maker_patch(source, "model-2-of-2.safetensors", "\"model.norm.weight\"",
              "\"model.layers.0.input_layernorm.weight\"");
  gust_error err;
  CHECK_EQ_INT(convert(&err), GUST_E_FORMAT);
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
    CHECK_EQ_INT(convert(&err), GUST_E_IO);
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
    CHECK_EQ_INT(convert(&err), GUST_E_FORMAT);
    snprintf(words, sizeof words,
             "%s: this is a git-lfs pointer, not the file itself: run git lfs pull in its folder",
             path);
    CHECK_EQ_STR(err.text, words);
    host_remove(path);
  }
  maker_free(&m);
}

/* Text beside the checkpoint that gust cannot use as it is. */
static void refuse_texts(void) {
  static const struct {
    const char *name, *text, *words;
  } cases[] = {
      {"chat_template.jinja", "caf\xe9",
       "chat_template.jinja: expected UTF-8 text of at most 1048576 bytes without NUL, found bytes "
       "that are no UTF-8; correct or remove it"},
      {"tokenizer_config.json", "{\"chat_template\": 5}",
       "chat_template: expected a string of at most 1048576 bytes without NUL, found a number; "
       "correct or remove it"},
      {"tokenizer_config.json", "{\"eos_token\": [1]}",
       "eos_token: expected a string or an object with one as its content, found an array"},
      {"generation_config.json", "{\"top_p\": 0.0}",
       "top_p: expected a number from 1e-06 to 1, found 0; correct or remove it"},
  };
  maker_model m = maker_small(false, true);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char path[512];
    gust_error err;
    maker_write(&m, source, "BF16", 1);
    snprintf(path, sizeof path, "%s/%s", source, cases[i].name);
    check_write_file(path, cases[i].text, strlen(cases[i].text));
    CHECK(convert(&err) != GUST_OK);
    CHECK_CONTAINS(err.text, cases[i].words);
    CHECK(strstr(err.text, source));
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

int main(void) {
  source = check_temp_file("source");
  output = check_temp_file("output");
  target = check_temp_file("output/model.gust");
  if (!os_make_folder(output)) check_fatal("cannot make", output);
  refuse_patches();
  refuse_numbers();
  refuse_surplus();
  refuse_index();
  refuse_circle();
  refuse_pointers();
  refuse_texts();
  refuse_truncated();
  return check_finish();
}

/* gust convert: what a converted file contains. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "checkpoint_maker.h"
#include "checksum.h"
#include "convert.h"
#include "demo_model.h"
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

/* --- the command ------------------------------------------------------------------------- */

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

/* --- special tokens -------------------------------------------------------------------- */

static char notes[1024];

static void take_note(void *user, const char *line) {
  size_t have = strlen(notes);
  (void)user;
  snprintf(notes + have, sizeof notes - have, "%s\n", line);
}

/* Converts what lies at `source`; *r is to be freed. */
static void convert_noting(result *r) {
  gust_convert_options options = {.type = GUST_TYPE_Q8, .note = take_note};
  gust_error err = {0};
  *notes = 0;
  CHECK_EQ_INT(gust_convert(source, target, &options, NULL, &err), GUST_OK);
  CHECK_EQ_STR(err.text, "");
  *r = read_result(target);
}

static void write_tokenizer_config(const char *text) {
  char path[512];
  snprintf(path, sizeof path, "%s/tokenizer_config.json", source);
  check_write_file(path, text, strlen(text));
}

/* What the checkpoint's users have from tokenizer_config.json. */
static void special_tokens_named(void) {
  maker_model m = maker_small(false, true);
  result r;
  maker_write(&m, source, "BF16", 1);
  /* As config.json has it: nothing to say. */
  write_tokenizer_config("{\"bos_token\": \"<s>\", \"eos_token\": {\"content\": \"</s>\"}}");
  convert_noting(&r);
  CHECK_EQ_STR(notes, "");
  CHECK(r.header.config.bos_id == 1 && r.header.config.eos_count == 1);
  free_result(&r);
  /* An end that config.json does not know comes first, for templates have its spelling. */
  write_tokenizer_config("{\"bos_token\": null, \"eos_token\": \"ab\"}");
  convert_noting(&r);
  CHECK_EQ_STR(notes,
               "eos_token of tokenizer_config.json, id 262, also ends answers; eos_token_id lacks "
               "it\n");
  CHECK(r.header.config.bos_id == 1 && r.header.config.eos_count == 2);
  CHECK(r.header.config.eos_ids[0] == 262 && r.header.config.eos_ids[1] == 2);
  free_result(&r);
  /* One it does know, but not as the first. */
  maker_patch(source, "config.json", "\"eos_token_id\": 2", "\"eos_token_id\": [2, 262]");
  write_tokenizer_config("{\"bos_token\": \"a\", \"eos_token\": \"ab\"}");
  convert_noting(&r);
  CHECK_EQ_STR(notes,
               "bos_token of tokenizer_config.json, id 260, begins texts; bos_token_id is "
               "another\n");
  CHECK(r.header.config.bos_id == 260 && r.header.config.eos_count == 2);
  CHECK(r.header.config.eos_ids[0] == 262 && r.header.config.eos_ids[1] == 2);
  free_result(&r);
  /* One that is no piece, and a template list without a default, are passed over. */
  write_tokenizer_config(
      "{\"eos_token\": \"<none>\", \"chat_template\": [{\"name\": "
      "\"tool_use\", \"template\": \"x\"}]}");
  convert_noting(&r);
  CHECK_EQ_STR(notes,
               "chat_template of tokenizer_config.json has none named 'default': choose one when "
               "the model runs (--template)\n");
  CHECK(r.header.config.eos_ids[0] == 2 && r.header.config.eos_ids[1] == 262);
  CHECK(!r.header.chat_template);
  free_result(&r);
  maker_free(&m);
}

/* Padding without a row in the model. */
static void rowless_tokens(void) {
  maker_model m = maker_small(false, true);
  result r;
  char added[8192] = "\"added_tokens\": [";
  for (int id = 263; id <= 301; id++)
    snprintf(added + strlen(added), sizeof added - strlen(added),
             "{\"id\": %d, \"content\": \"<%d>\", \"single_word\": false, \"lstrip\": false, "
             "\"rstrip\": false, \"normalized\": false, \"special\": true}, ",
             id, id);
  maker_write(&m, source, "BF16", 1);
  maker_patch(source, "tokenizer.json", "\"added_tokens\": [", added);
  convert_noting(&r);
  CHECK_EQ_STR(notes,
               "2 tokens of the tokenizer have no row in the model (vocab_size 300) and are left "
               "out\n");
  free_result(&r);
  gust_model *model;
  gust_error err = {0};
  int32_t *ids;
  size_t count;
  if (gust_model_open(&model, target, NULL, &err)) check_fatal("model", err.text);
  CHECK_EQ_INT(gust_tokenize(model, "<299><300>", 10, GUST_TOKENIZE_SPECIAL, &ids, &count, &err),
               GUST_OK);
  CHECK(ids[0] == 299 && count == 1 + 1 + 5); /* the token; a space and five bytes */
  gust_free(ids);
  gust_model_close(model);
  maker_free(&m);
}

/* The flags of Llama's tokenizer classes count more than the post-processor. */
static void ids_around(void) {
  static const struct {
    const char *config;
    size_t around; /* a text whose ids both ends were asked for */
  } cases[] = {
      {"{\"tokenizer_class\": \"LlamaTokenizer\", \"bos_token\": \"<s>\", \"eos_token\": \"</s>\", "
       "\"add_bos_token\": true, \"add_eos_token\": true}",
       2},
      {"{\"tokenizer_class\": \"LlamaTokenizerFast\", \"bos_token\": \"<s>\", \"add_bos_token\": "
       "true, \"add_eos_token\": true}",
       1},
      {"{\"tokenizer_class\": \"LlamaTokenizer\", \"add_bos_token\": false}", 0},
      {"{\"tokenizer_class\": \"Other\", \"bos_token\": \"<s>\", \"add_bos_token\": false}", 1},
  };
  maker_model m = maker_small(false, true);
  maker_write(&m, source, "BF16", 1);
  maker_patch(source, "tokenizer.json", "\"post_processor\": null",
              "\"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": "
              "[{\"SpecialToken\": {\"id\": \"<s>\", \"type_id\": 0}}, {\"Sequence\": {\"id\": "
              "\"A\", \"type_id\": 0}}], \"special_tokens\": {\"<s>\": {\"id\": \"<s>\", "
              "\"ids\": [1]}}}");
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    gust_model *model;
    gust_error err = {0};
    write_tokenizer_config(cases[i].config);
    CHECK_EQ_INT(convert(source, GUST_TYPE_Q8, 1, &err), GUST_OK);
    if (gust_model_open(&model, target, NULL, &err)) check_fatal("model", err.text);
    CHECK_EQ_INT(count_ids(model, GUST_TOKENIZE_BOS | GUST_TOKENIZE_EOS),
                 count_ids(model, 0) + cases[i].around);
    gust_model_close(model);
  }
  maker_free(&m);
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
  broken_template();
  special_tokens_named();
  rowless_tokens();
  ids_around();
  ids_after_text();
  demo();
  same_everywhere();
  stories();
  return check_finish();
}

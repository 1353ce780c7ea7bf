/* The receipt in a file: what convert writes into it, and that gust verify finds
 * weights and logits that are not those of the conversion. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "checkpoint_maker.h"
#include "checksum.h"
#include "convert.h"
#include "demo_model.h"
#include "file_writer.h"
#include "format.h"
#include "host.h"
#include "json_result.h"
#include "os.h"
#include "run_gust.h"
#include "sha256.h"

static const char *const types[] = {"f32", "bf16", "q8", "q4"};

static gust_receipt_info receipt_of(const char *path) {
  gust_model *model = model_open_or_die(path);
  gust_receipt_info receipt;
  CHECK(gust_model_get_receipt(model, &receipt));
  gust_model_close(model);
  return receipt;
}

static uint64_t hash_on(const char *path, const char *cpu, unsigned threads, size_t batch) {
  const gust_context_options options = {
      .positions = 100, .cpu = cpu, .threads = threads, .batch = batch};
  gust_model *model = model_open_or_die(path);
  gust_context *context = context_or_die(model, &options);
  uint64_t hash = 0;
  gust_error err = {0};
  CHECK_EQ_INT(gust_context_logits_hash(context, NULL, NULL, &hash, &err), GUST_OK);
  CHECK_EQ_STR(err.text, "");
  gust_context_destroy(context);
  gust_model_close(model);
  return hash;
}

/* --- the logits hash ------------------------------------------------------------------ */

/* From the ids of docs/FORMAT.md, fed in one go, and the logits as bytes. */
static bool add_row(void *user, size_t position, const float *logits) {
  (void)position;
  gust_xxh64_update(user, logits, 4096 * sizeof *logits);
  return false;
}

static uint64_t hash_by_hand(const char *path) {
  gust_model *model = model_open_or_die(path);
  gust_context *context = context_or_die(model, NULL);
  int32_t ids[24];
  for (uint64_t i = 0; i < 24; i++)
    ids[i] = (int32_t)(((i + 1) * 2654435769u % (1ull << 32)) * 4096 >> 32);
  gust_xxh64 hash;
  gust_error err;
  gust_xxh64_begin(&hash, 0);
  CHECK_EQ_INT(gust_context_score(context, ids, 24, add_row, &hash, &err), GUST_OK);
  gust_context_destroy(context);
  gust_model_close(model);
  return gust_xxh64_end(&hash);
}

/* One number for a file on every level, with any number of threads and any batch. */
static void hashes(void) {
  uint64_t seen[4];
  for (size_t t = 0; t < 4; t++) {
    const char *path = demo_model_path(types[t]);
    gust_receipt_info receipt = receipt_of(path);
    seen[t] = receipt.logits_hash;
    if (!CHECK(receipt.logits_hash == demo_model_logits_hash(types[t])))
      fprintf(stderr, "  %s: logits hash %016llx\n", types[t],
              (unsigned long long)receipt.logits_hash);
    CHECK_EQ_INT(receipt.prompt_tokens, 24);
    CHECK(hash_by_hand(path) == receipt.logits_hash);
    for (size_t i = 0; gust_cpu_level(i); i++)
      for (unsigned threads = check_emulated() ? 3 : 1; threads <= 3; threads += 2)
        CHECK(hash_on(path, gust_cpu_level(i), threads, 0) == receipt.logits_hash);
    CHECK(hash_on(path, NULL, 2, 3) == receipt.logits_hash);
  }
  /* The demo checkpoint is bfloat16: a bf16 file computes what an f32 file does. */
  CHECK(seen[0] == seen[1]);
  CHECK(seen[1] != seen[2] && seen[2] != seen[3]);
}

static bool stop_at_once(void *user, uint64_t done, uint64_t total) {
  ++*(int *)user;
  CHECK(done <= total && total == 24);
  return true;
}

static bool note_calls(void *user, uint64_t done, uint64_t total) {
  char *seen = user;
  sprintf(seen + strlen(seen), "%d of %d, ", (int)done, (int)total);
  return false;
}

/* There is a word every few tokens. */
static void hash_progress(void) {
  gust_model *model = demo_model_open("q4");
  gust_context *context = context_or_die(model, NULL);
  uint64_t hash = 0;
  char seen[256] = "";
  gust_error err = {0};
  CHECK_EQ_INT(gust_context_logits_hash(context, note_calls, seen, &hash, &err), GUST_OK);
  CHECK_EQ_STR(seen, "1 of 24, 2 of 24, 3 of 24, 4 of 24, 9 of 24, 14 of 24, 19 of 24, 24 of 24, ");
  CHECK(hash == demo_model_logits_hash("q4"));
  gust_context_destroy(context);
  gust_model_close(model);
}

static void hash_refusals(void) {
  gust_model *model = demo_model_open("q4");
  const gust_context_options wide = {.kv = GUST_KV_F32}, narrow = {.positions = 23};
  uint64_t hash = 5;
  gust_error err = {0};
  gust_context *context = context_or_die(model, &wide);
  CHECK_EQ_INT(gust_context_logits_hash(context, NULL, NULL, &hash, &err), GUST_E_ARGUMENT);
  CHECK_EQ_STR(err.text, "logits hash: expected a context with an f16 cache, found another");
  gust_context_destroy(context);
  context = context_or_die(model, &narrow);
  CHECK_EQ_INT(gust_context_logits_hash(context, NULL, NULL, &hash, &err), GUST_E_CONTEXT_FULL);
  gust_context_destroy(context);
  context = context_or_die(model, NULL);
  int calls = 0;
  CHECK_EQ_INT(gust_context_logits_hash(context, stop_at_once, &calls, &hash, &err),
               GUST_E_CANCELLED);
  CHECK_EQ_INT(calls, 1);
  CHECK_EQ_STR(err.text, "computing the logits was cancelled after 1 of 24 tokens");
  CHECK_EQ_INT(gust_context_length(context), 1);
  CHECK_EQ_INT(hash, 5);
  gust_context_destroy(context);
  gust_model_close(model);
}

/* --- errors of the weights ---------------------------------------------------------- */

/* The relative error of q8 and q4 against the f32 file, decoded here as docs/FORMAT.md
 * says. */
static double decode_weight(const uint8_t *matrix, size_t k_padded, size_t rows_padded, bool q4,
                            size_t row, size_t k) {
  static const int levels[16] = {-64, -52, -42, -33, -25, -18, -11, -5,
                                 0,   6,   12,  19,  26,  34,  45,  57};
  size_t lines = q4 ? 17 : 33, r = row % 16, b = k % 128 / 32, in = k % 32;
  const uint8_t *panel = matrix + row / 16 * (k_padded / 128) * lines * 64;
  const uint8_t *tile = panel + k / 128 * lines * 64;
  uint8_t code = matrix[rows_padded / 16 * (k_padded / 128) * lines * 64 + row];
  double row_scale = code ? ldexp(1, code - 127) : 0;
  int scale = tile[16 * b + r];
  if (!q4) return row_scale * scale * (int8_t)tile[64 * (1 + 8 * b + in / 4) + 4 * r + in % 4];
  uint8_t pair = tile[64 * (1 + 4 * b + in / 8) + 4 * r + in % 4];
  int level = levels[in % 8 < 4 ? pair & 15 : pair >> 4], block = (scale >> 1) - (scale & 128);
  return row_scale * block * (level + 2 * (scale & 1));
}

static void errors_of(const char *type) {
  size_t bytes, reference_bytes;
  char *data = check_read_file(demo_model_path(type), &bytes);
  char *reference = check_read_file(demo_model_path("f32"), &reference_bytes);
  gust_model *model = demo_model_open(type), *dense = demo_model_open("f32");
  gust_tensor_info t, d;
  double error[2] = {0}, energy[2] = {0}; /* q8, q4 */
  for (size_t i = 0; gust_model_get_tensor(model, i, &t) == GUST_OK; i++) {
    CHECK_EQ_INT(gust_model_get_tensor(dense, i, &d), GUST_OK);
    if (t.rank != 2) continue;
    bool q4 = strcmp(t.type, "q4") == 0;
    size_t rows = (size_t)t.shape[0], columns = (size_t)t.shape[1];
    size_t rows_padded = (rows + 15) / 16 * 16, k_padded = (columns + 127) / 128 * 128;
    const float *exact = (const float *)(void *)(reference + d.offset);
    for (size_t row = 0; row < rows; row++)
      for (size_t k = 0; k < columns; k++) {
        double w = (double)exact[row / 16 * 16 * k_padded + 16 * k + row % 16];
        double off =
            w - decode_weight((uint8_t *)data + t.offset, k_padded, rows_padded, q4, row, k);
        error[q4] += off * off;
        energy[q4] += w * w;
      }
  }
  gust_receipt_info receipt = receipt_of(demo_model_path(type));
  for (size_t i = 0; i < receipt.type_count; i++) {
    const gust_receipt_type *part = &receipt.types[i];
    bool q4 = strcmp(part->type, "q4") == 0;
    if (strcmp(part->type, "f32") == 0) {
      CHECK(part->relative_error == 0 && part->bits_per_weight == 32);
    } else {
      CHECK(fabs(part->relative_error / sqrt(error[q4] / energy[q4]) - 1) < 1e-6);
      CHECK(part->bits_per_weight > (q4 ? 4.25 : 8.25) && part->bits_per_weight < (q4 ? 4.3 : 8.3));
    }
  }
  CHECK_EQ_INT(receipt.type_count, strcmp(type, "q4") == 0 ? 3 : 2);
  CHECK(!receipt.measured);
  gust_model_close(model);
  gust_model_close(dense);
  free(data);
  free(reference);
}

/* --- verify ----------------------------------------------------------------------------- */

/* Writes the header again with every tensor's checksum made right. */
static void fix_checksums(char *data, size_t bytes) {
  gust_header header;
  gust_error err;
  size_t size, count;
  if (gust_header_size((uint8_t *)data, bytes, "m", &size, &err) ||
      gust_header_decode(&header, (uint8_t *)data, size, bytes, "m", &err))
    check_fatal("header", err.text);
  for (size_t i = 0; i < header.tensor_count; i++)
    header.tensors[i].checksum =
        gust_xxh64_of(data + header.tensors[i].offset, (size_t)header.tensors[i].bytes, 0);
  uint8_t *encoded;
  if (gust_header_encode(&header, &encoded, &count, &err)) check_fatal("encode", err.text);
  CHECK_EQ_INT(count, size);
  memcpy(data, encoded, size);
  free(encoded);
  gust_header_clear(&header);
}

static gust_tensor_info tensor_of(const char *path, const char *name) {
  gust_model *model = model_open_or_die(path);
  gust_tensor_info t = {0};
  for (size_t i = 0; gust_model_get_tensor(model, i, &t) == GUST_OK; i++)
    if (strcmp(t.name, name) == 0) break;
  gust_model_close(model); /* t.name is gone */
  CHECK(t.bytes > 0);
  return t;
}

static void verify_passes(const char *type) {
  const char *path = demo_model_path(type);
  for (size_t i = 0; gust_cpu_level(i); i++) {
    char line[128];
    run_result r = run_gust(NULL, "verify", path, "--cpu", gust_cpu_level(i), "--threads",
                            i % 2 ? "1" : "3", (const char *)NULL);
    CHECK_EQ_INT(r.code, 0);
    CHECK_EQ_STR(r.err, "");
    snprintf(line, sizeof line, "\nok: logits hash %016llx on level %s with %s\n",
             (unsigned long long)receipt_of(path).logits_hash, gust_cpu_level(i),
             i % 2 ? "1 thread" : "3 threads");
    CHECK_CONTAINS(r.out, line);
    run_result_clear(&r);
  }
}

/* A bit of a weight: the checksum tells; with the checksum made right, the logits. */
static void verify_fails(const char *type, const char *tensor) {
  const char *path = demo_model_path(type), *damaged = check_temp_file("damaged.gust");
  gust_tensor_info t = tensor_of(path, tensor);
  size_t bytes;
  char line[512];
  char *data = check_read_file(path, &bytes);
  data[t.offset + 70] ^= 0x40;
  check_write_file(damaged, data, bytes);
  run_result r = run_gust(NULL, "verify", damaged, (const char *)NULL);
  CHECK_EQ_INT(r.code, 1);
  CHECK_EQ_STR(r.out, "");
  snprintf(line, sizeof line, "gust verify: %s: tensor %s: expected checksum ", damaged, tensor);
  CHECK(strncmp(r.err, line, strlen(line)) == 0);
  run_result_clear(&r);

  fix_checksums(data, bytes);
  check_write_file(damaged, data, bytes);
  free(data);
  r = run_gust(NULL, "verify", damaged, "--threads", "2", (const char *)NULL);
  CHECK_EQ_INT(r.code, 1);
  CHECK_EQ_STR(r.out, "");
  snprintf(line, sizeof line, "gust verify: %s: logits hash: expected %016llx as when it was ",
           damaged, (unsigned long long)receipt_of(path).logits_hash);
  CHECK(strncmp(r.err, line, strlen(line)) == 0);
  CHECK_CONTAINS(r.err, " with 2 threads, though all checksums agree");
  CHECK(strchr(r.err, '\n') == r.err + strlen(r.err) - 1);
  run_result_clear(&r);
}

/* Of an older gust, or with a receipt that was never finished. */
static void verify_without(void) {
  size_t bytes, size, count;
  const char *path = check_temp_file("bare.gust");
  for (int unfinished = 0; unfinished < 2; unfinished++) {
    char *data = check_read_file(demo_model_path("q4"), &bytes);
    gust_header header;
    gust_error err;
    uint8_t *encoded;
    if (gust_header_size((uint8_t *)data, bytes, "m", &size, &err) ||
        gust_header_decode(&header, (uint8_t *)data, size, bytes, "m", &err))
      check_fatal("header", err.text);
    header.receipt.exists = unfinished;
    header.receipt.prompt_tokens = 0;
    header.receipt.logits_hash = 0;
    if (gust_header_encode(&header, &encoded, &count, &err)) check_fatal("encode", err.text);
    memset(data, 0, size);
    memcpy(data, encoded, count);
    check_write_file(path, data, bytes);
    free(encoded);
    free(data);
    gust_header_clear(&header);
    char line[160];
    snprintf(line, sizeof line,
             "ok: 75 tensors, %zu bytes\nthe file has no %s: logits were not compared\n", bytes,
             unfinished ? "logits hash in its receipt" : "receipt");
    CHECK_GUST(0, line, "", NULL, "verify", path);
    run_result r = run_gust(NULL, "inspect", path, (const char *)NULL);
    CHECK_CONTAINS(
        r.out, unfinished ? "\nlogits hash            none\n" : "\nreceipt                none\n");
    run_result_clear(&r);
    r = run_gust(NULL, "inspect", path, "--json", (const char *)NULL);
    CHECK_CONTAINS(r.out, unfinished ? "\"logits_hash\": null" : "\"receipt\": null");
    run_result_clear(&r);
  }
}

/* --- against the source --------------------------------------------------------------- */

/* The figures in the file are those gust eval finds against an f32 file. */
static void against_source(void) {
  static const char *const keys[] = {"nll",
                                     "nll_se",
                                     "reference_nll",
                                     "reference_nll_se",
                                     "nll_difference",
                                     "nll_difference_se",
                                     "kl_mean",
                                     "kl_mean_se",
                                     "kl_median",
                                     "kl_p99",
                                     "kl_p999",
                                     "kl_max",
                                     "top1_agree",
                                     "top1_agree_se",
                                     "ctx",
                                     "chunks"};
  const char *text = check_data("heldout.txt"), *target = check_temp_file("measured.gust");
  const char *again = check_temp_file("again.gust");
  CHECK_GUST(0, NULL, "", NULL, "convert", check_demo(), "-o", target, "--against-source", text,
             "--against-chunks", "2", "--quiet");
  CHECK_GUST(0, NULL, "", NULL, "convert", check_demo(), "-o", again, "--against-source", text,
             "--against-chunks", "2", "--quiet", "--threads", "1");
  size_t bytes, other_bytes;
  char *data = check_read_file(target, &bytes), *other = check_read_file(again, &other_bytes);
  CHECK(bytes == other_bytes && memcmp(data, other, bytes) == 0);
  free(data);
  free(other);
  run_result a = run_gust(NULL, "inspect", target, "--json", (const char *)NULL);
  run_result b = run_gust(NULL, "eval", target, "--text", text, "--chunks", "2", "--against",
                          demo_model_path("f32"), "--json", "--quiet", (const char *)NULL);
  json_document *stored = json_result_parse(&a), *measured = json_result_parse(&b);
  const json_value *quality = json_get(json_get(json_root(stored), "receipt"), "quality");
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
    CHECK(json_result_number(quality, keys[i]) == json_result_number(json_root(measured), keys[i]));
  CHECK(json_text_is(json_get(quality, "text_sha256"),
                     "78faa2178a5994c2562d322b432325a361cb6cb4e932d5974e411c7c1161e5d5"));
  json_free(stored);
  json_free(measured);
  run_result_clear(&a);
  run_result_clear(&b);
  /* The weights are those of a file that was not measured, and so is the hash. */
  CHECK(receipt_of(target).logits_hash == receipt_of(demo_model_path("q4")).logits_hash);
  CHECK_GUST(0, NULL, "", NULL, "verify", target);
  a = run_gust(NULL, "inspect", target, (const char *)NULL);
  CHECK_CONTAINS(a.out, "\nagainst its source     2 chunks of 512 tokens of a text, sha256 78faa2");
  CHECK_CONTAINS(a.out, "\n  KL mean              0.0");
  run_result_clear(&a);
}

/* The source is being unpacked, to measure against; into the second path at first. */
static const char *source_paths[2];

static bool is_source_begun(void *user) {
  (void)user;
  return host_exists(source_paths[0]) || host_exists(source_paths[1]);
}

/* What a measurement that was killed has left is no hindrance, and does not stay. */
static void against_source_again(void) {
  const char *text = check_data("heldout.txt"), *target = check_temp_file("killed.gust");
  source_paths[0] = check_temp_file("killed.gust.source.tmp");
  source_paths[1] = check_temp_file("killed.gust.source.tmp" FILE_WRITER_SUFFIX);
  const char *argv[] = {run_gust_binary(),  "convert", check_demo(), "-o",        target,
                        "--against-source", text,      "--quiet",    "--threads", "1",
                        "--against-chunks", "2",       NULL};
  run_result killed = run_program_when(argv, is_source_begun, NULL, RUN_KILL);
  CHECK_EQ_INT(killed.code, 128 + RUN_KILL);
  CHECK_EQ_STR(killed.err, "");
  run_result_clear(&killed);
  CHECK(is_source_begun(NULL) && !host_exists(target));
  check_write_file(source_paths[0], "of an earlier one", 17);
  CHECK_GUST(0, NULL, "", NULL, "convert", check_demo(), "-o", target, "--against-source", text,
             "--against-chunks", "2", "--quiet");
  CHECK(!is_source_begun(NULL));
  size_t bytes, other_bytes;
  char *data = check_read_file(target, &bytes);
  char *other = check_read_file(check_temp_file("measured.gust"), &other_bytes);
  CHECK(bytes == other_bytes && memcmp(data, other, bytes) == 0);
  free(data);
  free(other);
}

/* What would fail after the conversion is refused before it; nothing is left. */
static void against_refusals(void) {
  const char *brief = check_temp_file("brief.txt"), *target = check_temp_file("refused.gust");
  char line[512];
  check_write_file(brief, "Once upon a time", 16);
  snprintf(line, sizeof line,
           "gust convert: %s: --against-source: expected at least one chunk of 512 tokens, found 5 "
           "tokens; give a longer text\n",
           brief);
  CHECK_GUST(1, "", line, NULL, "convert", check_demo(), "-o", target, "--against-source", brief);
  CHECK(os_may_replace(target));
  uint64_t bytes;
  CHECK(os_open_read(target, &bytes) < 0);
  run_result r = run_gust(NULL, "convert", check_demo(), "-o", target, "--against-source",
                          check_temp_file("no-such-text"), (const char *)NULL);
  CHECK_EQ_INT(r.code, 1);
  CHECK_CONTAINS(r.err, "no-such-text");
  run_result_clear(&r);
}

/* --- calibrated and measured on one text ------------------------------------------------ */

#define LINE "a bad cab fed a deaf bee\n"
#define TEXT_LINES 320u
#define HELD_OUT_LINES 39u /* an eighth is 40; the first line that begins behind its start */

static void write_lines(const char *path, size_t count) {
  char text[TEXT_LINES * (sizeof LINE - 1)];
  for (size_t i = 0; i < sizeof text; i++) text[i] = LINE[i % (sizeof LINE - 1)];
  check_write_file(path, text, count * (sizeof LINE - 1));
}

/* The sum of each tensor's checksum and its place among them, which stands for the weights. */
static uint64_t weights_of(const char *path) {
  size_t bytes;
  char *data = check_read_file(path, &bytes);
  gust_header header = {0};
  gust_error err = {0};
  uint64_t sum = 0;
  CHECK_EQ_INT(gust_header_decode(&header, (const uint8_t *)data, bytes, bytes, path, &err),
               GUST_OK);
  for (size_t i = 0; i < header.tensor_count; i++) sum = 31 * sum + header.tensors[i].checksum;
  gust_header_clear(&header);
  free(data);
  return sum;
}

static void hold_out(void) {
  const char *folder = check_temp_file("held"), *whole = check_temp_file("whole.txt");
  const char *begin = check_temp_file("begin.txt"), *other = check_temp_file("other-name.txt");
  const char *target = check_temp_file("held.gust"), *plain = check_temp_file("plain.gust");
  maker_model m = maker_small(false, true);
  maker_write(&m, folder, "BF16", 1);
  maker_patch(folder, "config.json", "\"max_position_embeddings\": 64",
              "\"max_position_embeddings\": 1024");
  write_lines(whole, TEXT_LINES);
  write_lines(begin, TEXT_LINES - HELD_OUT_LINES);
  CHECK(host_make_alias(whole, other));
  run_result a = run_gust(NULL, "convert", folder, "-o", target, "--calibrate", whole,
                          "--against-source", other, "--json", "--quiet", (const char *)NULL);
  CHECK_EQ_STR(a.err, "");
  json_document *result = json_result_parse(&a);
  const json_value *quality = json_get(json_get(json_root(result), "receipt"), "quality");
  char hex[65];
  uint8_t digest[32];
  gust_sha256 hash;
  gust_sha256_begin(&hash);
  for (size_t i = 0; i < HELD_OUT_LINES; i++) gust_sha256_update(&hash, LINE, sizeof LINE - 1);
  gust_sha256_end(&hash, digest);
  for (int i = 0; i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
  CHECK(json_text_is(json_get(quality, "text_sha256"), hex));
  double tokens = json_result_number(json_root(result), "calibration_tokens");
  CHECK(tokens > 512);
  json_free(result);
  run_result_clear(&a);
  a = run_gust(NULL, "convert", folder, "-o", plain, "--calibrate", begin, "--quiet",
               (const char *)NULL);
  char row[64];
  snprintf(row, sizeof row, "\ncalibrated on          %.0f tokens\n", tokens);
  CHECK_CONTAINS(a.out, row);
  run_result_clear(&a);
  CHECK(weights_of(target) == weights_of(plain));
  a = run_gust(NULL, "convert", folder, "-o", plain, "--calibrate", whole, "--quiet",
               (const char *)NULL);
  run_result_clear(&a);
  CHECK(weights_of(target) != weights_of(plain));
  CHECK_GUST(
      1, "",
      "gust convert: --against-source: expected a file, found \"default\": the built-in text "
      "is too short to be measured on; give a file (./default for one of that name)\n",
      NULL, "convert", folder, "-o", target, "--calibrate", "default", "--against-source",
      "default");
  maker_free(&m);
}

/* A checkpoint with an embedding of 2.2 TB, all of it a hole in its file, of which
 * there is to be a q8 and a bf16 file: more than there is disk. */
static void full_disk(void) {
  static const char config[] =
      "{\"architectures\": [\"MistralForCausalLM\"], \"vocab_size\": 16777216, "
      "\"hidden_size\": 65536, \"intermediate_size\": 1, \"num_hidden_layers\": 1, "
      "\"num_attention_heads\": 1, \"num_key_value_heads\": 1, \"head_dim\": 2, "
      "\"hidden_act\": \"silu\", \"max_position_embeddings\": 64, \"rms_norm_eps\": 1e-05, "
      "\"rope_theta\": 10000.0, \"tie_word_embeddings\": true, \"bos_token_id\": 1, "
      "\"eos_token_id\": 2}";
  static const struct {
    const char *name;
    unsigned long long rows, columns;
  } tensors[] = {
      {"embed_tokens", 16777216, 65536},       {"norm", 65536, 0},
      {"layers.0.input_layernorm", 65536, 0},  {"layers.0.post_attention_layernorm", 65536, 0},
      {"layers.0.self_attn.q_proj", 2, 65536}, {"layers.0.self_attn.k_proj", 2, 65536},
      {"layers.0.self_attn.v_proj", 2, 65536}, {"layers.0.self_attn.o_proj", 65536, 2},
      {"layers.0.mlp.gate_proj", 1, 65536},    {"layers.0.mlp.up_proj", 1, 65536},
      {"layers.0.mlp.down_proj", 65536, 1}};
  char header[4096], path[1024];
  unsigned long long end = 0;
  int length = snprintf(header, sizeof header, "........{");
  for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
    unsigned long long columns = tensors[i].columns, begin = end;
    char shape[64];
    end += tensors[i].rows * (columns ? columns : 1) * 2;
    if (columns)
      snprintf(shape, sizeof shape, "%llu, %llu", tensors[i].rows, columns);
    else
      snprintf(shape, sizeof shape, "%llu", tensors[i].rows);
    length += snprintf(header + length, sizeof header - (size_t)length,
                       "%s\"model.%s.weight\":{\"dtype\":\"BF16\",\"shape\":[%s],"
                       "\"data_offsets\":[%llu,%llu]}",
                       i ? "," : "", tensors[i].name, shape, begin, end);
  }
  length += snprintf(header + length, sizeof header - (size_t)length, "}");
  for (int i = 0; i < 8; i++) header[i] = (char)((unsigned long long)(length - 8) >> (8 * i));
  maker_model m = maker_small(true, false);
  const char *folder = check_temp_file("endless"), *target = check_temp_file("endless.gust");
  maker_write(&m, folder, "BF16", 1);
  maker_free(&m);
  snprintf(path, sizeof path, "%s/config.json", folder);
  check_write_file(path, config, strlen(config));
  snprintf(path, sizeof path, "%s/model.safetensors", folder);
  check_write_file(path, header, (size_t)length);
  check_cut_file(path, (unsigned long long)length + end); /* a hole */
  run_result r = run_gust(NULL, "convert", folder, "-o", target, "--against-source",
                          check_data("heldout.txt"), (const char *)NULL);
  CHECK_EQ_INT(r.code, 1);
  CHECK_EQ_STR(r.out, "");
  CHECK_CONTAINS(r.err, ": --against-source: expected free disk for the file (1.13 TB, 113");
  CHECK_CONTAINS(r.err,
                 "the source as one bf16 file beside it for as long as it takes (2.20 TB, 2");
  CHECK(strchr(r.err, '\n') == r.err + strlen(r.err) - 1);
  run_result_clear(&r);
  uint64_t bytes;
  CHECK(os_open_read(target, &bytes) < 0);
}

/* A file that is still being written has something behind its bytes. */
static void something_behind(void) {
  size_t bytes;
  char *data = check_read_file(demo_model_path("q4"), &bytes);
  char *longer = calloc(1, bytes + 5000);
  const char *path = check_temp_file("longer.gust");
  if (!longer) check_fatal("out of memory", path);
  memcpy(longer, data, bytes);
  check_write_file(path, longer, bytes + 5000);
  free(data);
  free(longer);
  gust_model *model;
  gust_error err = {0};
  CHECK_EQ_INT(gust_model_open(&model, path, NULL, &err), GUST_E_FORMAT);
  for (int load = GUST_LOAD_MMAP; load <= GUST_LOAD_COPY; load++) {
    const gust_model_options options = {.load = (gust_load)load, .bytes = bytes};
    CHECK_EQ_INT(gust_model_open(&model, path, &options, &err), GUST_OK);
    CHECK_EQ_INT(gust_model_get_info(model)->file_bytes, bytes);
    CHECK_EQ_INT(gust_model_verify(model, NULL, NULL, &err), GUST_OK);
    gust_model_close(model);
  }
  const gust_model_options fewer = {.bytes = bytes - 64}, more = {.bytes = bytes + 64};
  CHECK_EQ_INT(gust_model_open(&model, path, &fewer, &err), GUST_E_FORMAT);
  CHECK_EQ_INT(gust_model_open(&model, path, &more, &err), GUST_E_FORMAT);
}

/* The smallest type that holds a checkpoint exactly, and its size. */
static void look(void) {
  static const struct {
    const char *dtype;
    gust_type exact;
  } cases[] = {{"BF16", GUST_TYPE_BF16}, {"F32", GUST_TYPE_F32}, {"F16", GUST_TYPE_F32}};
  maker_model m = maker_small(false, true);
  const char *folder = check_temp_file("source"), *target = check_temp_file("exact.gust");
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    gust_convert_preview preview;
    gust_error err = {0};
    size_t bytes;
    gust_convert_options options = {.type = GUST_TYPE_Q4, .threads = 1};
    maker_write(&m, folder, cases[i].dtype, 2);
    CHECK_EQ_INT(gust_convert_look(folder, &options, "abc", 3, &preview, &err), GUST_OK);
    CHECK_EQ_INT(preview.exact_type, cases[i].exact);
    CHECK(preview.has_bos && preview.text_tokens >= 3);
    CHECK_EQ_INT(gust_convert(folder, target, &options, NULL, &err), GUST_OK);
    free(check_read_file(target, &bytes));
    CHECK_EQ_INT(preview.file_bytes, bytes);
    options.type = preview.exact_type;
    CHECK_EQ_INT(gust_convert(folder, target, &options, NULL, &err), GUST_OK);
    free(check_read_file(target, &bytes));
    gust_receipt_info receipt = receipt_of(target);
    CHECK(receipt.prompt_tokens == 24 && receipt.relative_error == 0);
    CHECK_EQ_INT(preview.exact_bytes, bytes);
    options.bare = true;
    CHECK_EQ_INT(gust_convert(folder, target, &options, NULL, &err), GUST_OK);
    gust_model *bare = model_open_or_die(target);
    CHECK(!gust_model_get_receipt(bare, &receipt));
    gust_model_close(bare);
  }
  maker_free(&m);
}

/* What depends on the processor: the hashes, and the loop that finds a damaged weight. */
static void emulated(void) {
  hashes();
  errors_of("q4");
  verify_passes("q4");
  verify_fails("q4", "model.layers.3.self_attn.q_proj.weight");
}

int main(void) {
  if (!demo_model_path("q4"))
    check_skip("GUST_DEMO_F32 and so on are not set: run under meson test");
  if (check_emulated()) {
    emulated();
    return check_finish();
  }
  hashes();
  hash_refusals();
  hash_progress();
  errors_of("q8");
  errors_of("q4");
  for (size_t t = 0; t < 4; t++) verify_passes(types[t]);
  verify_fails("q4", "model.layers.3.self_attn.q_proj.weight");
  verify_fails("q4", "model.layers.0.mlp.gate_proj.weight");
  verify_fails("q8", "model.layers.7.mlp.down_proj.weight");
  verify_fails("bf16", "lm_head.weight");
  verify_fails("f32", "model.layers.1.self_attn.v_proj.weight");
  verify_without();
  against_source();
  against_source_again();
  against_refusals();
  hold_out();
  full_disk();
  something_behind();
  look();
  return check_finish();
}

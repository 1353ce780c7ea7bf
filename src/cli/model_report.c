#include "model_report.h"

#include <stdio.h>
#include <string.h>

#include "human.h"
#include "screen_text.h"
#include "text_width.h"

static uint64_t parameters_of(const gust_tensor_info *tensor) {
  return tensor->rank == 2 ? tensor->shape[0] * tensor->shape[1] : tensor->shape[0];
}

size_t model_report_totals(const gust_model *model, model_type_total totals[MODEL_REPORT_TYPES]) {
  size_t count = 0;
  gust_tensor_info tensor;
  for (size_t i = 0; gust_model_get_tensor(model, i, &tensor) == GUST_OK; i++) {
    size_t at = 0;
    while (at < count && strcmp(totals[at].type, tensor.type) != 0) at++;
    if (at == MODEL_REPORT_TYPES) continue; /* more types than the format has */
    if (at == count) totals[count++] = (model_type_total){.type = tensor.type};
    totals[at].tensors++;
    totals[at].parameters += parameters_of(&tensor);
    totals[at].bytes += tensor.bytes;
  }
  return count;
}

double model_report_bits(const model_type_total *total) {
  return total->parameters ? 8.0 * (double)total->bytes / (double)total->parameters : 0;
}

/* --- JSON ------------------------------------------------------------------------ */

static void json_hash(json_out *json, const char *key, uint64_t hash) {
  char text[20];
  snprintf(text, sizeof text, "%016llx", (unsigned long long)hash);
  json_out_string(json, key, text);
}

static void json_hyper_parameters(json_out *json, const gust_model_info *info) {
  json_out_string(json, "architecture", info->architecture);
  json_out_count(json, "vocab_size", info->vocab_size);
  json_out_count(json, "hidden_size", info->hidden_size);
  json_out_count(json, "intermediate_size", info->intermediate_size);
  json_out_count(json, "layers", info->layers);
  json_out_count(json, "heads", info->heads);
  json_out_count(json, "kv_heads", info->kv_heads);
  json_out_count(json, "head_dim", info->head_dim);
  json_out_count(json, "max_positions", info->max_positions);
  json_out_count(json, "sliding_window", info->sliding_window);
  json_out_real(json, "rope_theta", info->rope_theta);
  json_out_real32(json, "norm_eps", info->norm_eps);
  json_out_bool(json, "tied_head", info->tied_head);
  json_out_integer(json, "bos_id", info->bos_id);
  json_out_open_array(json, "eos_ids", false);
  for (size_t i = 0; i < info->eos_count; i++) json_out_integer(json, NULL, info->eos_ids[i]);
  json_out_close(json);
}

void model_report_json_header(json_out *json, const gust_model *model) {
  const gust_model_info *info = gust_model_get_info(model);
  json_out_count(json, "file_bytes", info->file_bytes);
  json_out_real(json, "bits_per_weight", info->bits_per_weight);
  json_out_count(json, "weight_bytes_per_token", info->weight_bytes_per_token);
  json_hyper_parameters(json, info);
  json_out_bool(json, "has_chat_template", info->has_chat_template);
  gust_sampling sampling = gust_model_sampling(model);
  json_out_open_object(json, "generation", false);
  json_out_real32(json, "temperature", sampling.temperature);
  json_out_count(json, "top_k", sampling.top_k);
  json_out_real32(json, "top_p", sampling.top_p);
  json_out_real32(json, "min_p", sampling.min_p);
  json_out_real32(json, "repeat_penalty", sampling.repeat_penalty);
  json_out_count(json, "max_new_tokens", gust_model_max_new_tokens(model));
  json_out_close(json);
  json_out_open_array(json, "sources", true);
  gust_source_info source;
  for (size_t i = 0; gust_model_get_source(model, i, &source) == GUST_OK; i++) {
    json_out_open_object(json, NULL, false);
    json_out_string(json, "name", source.name);
    json_out_count(json, "bytes", source.bytes);
    json_out_string(json, "sha256", source.sha256);
    json_out_close(json);
  }
  json_out_close(json);
}

void model_report_json_tensors(json_out *json, const gust_model *model) {
  json_out_open_array(json, "tensors", true);
  gust_tensor_info tensor;
  for (size_t i = 0; gust_model_get_tensor(model, i, &tensor) == GUST_OK; i++) {
    json_out_open_object(json, NULL, false);
    json_out_string(json, "name", tensor.name);
    json_out_string(json, "type", tensor.type);
    json_out_open_array(json, "shape", false);
    for (uint32_t k = 0; k < tensor.rank; k++) json_out_count(json, NULL, tensor.shape[k]);
    json_out_close(json);
    json_out_count(json, "offset", tensor.offset);
    json_out_count(json, "bytes", tensor.bytes);
    json_hash(json, "checksum", tensor.checksum);
    json_out_close(json);
  }
  json_out_close(json);
}

/* A standard error, or null where one chunk gives none. */
static void json_error(json_out *json, const char *key, double se) {
  if (se < 0) {
    json_out_null(json, key);
  } else {
    json_out_real(json, key, se);
  }
}

/* "9f86d0..." of the text. */
static void spell_sha256(const uint8_t digest[32], char text[65]) {
  for (int i = 0; i < 32; i++) snprintf(text + 2 * i, 3, "%02x", digest[i]);
}

static void json_quality(json_out *json, const gust_quality *q) {
  char digest[65];
  spell_sha256(q->text_sha256, digest);
  json_out_open_object(json, "quality", true);
  json_out_string(json, "text_sha256", digest);
  json_out_count(json, "ctx", q->chunk);
  json_out_count(json, "chunks", q->chunks);
  json_out_real(json, "nll", q->nll);
  json_error(json, "nll_se", q->nll_se);
  json_out_real(json, "reference_nll", q->reference_nll);
  json_error(json, "reference_nll_se", q->reference_nll_se);
  json_out_real(json, "nll_difference", q->nll_difference);
  json_error(json, "nll_difference_se", q->nll_difference_se);
  json_out_real(json, "kl_mean", q->kl_mean);
  json_error(json, "kl_mean_se", q->kl_mean_se);
  json_out_real(json, "kl_median", q->kl_median);
  json_out_real(json, "kl_p99", q->kl_p99);
  json_out_real(json, "kl_p999", q->kl_p999);
  json_out_real(json, "kl_max", q->kl_max);
  json_out_real(json, "top1_agree", q->top1_agree);
  json_error(json, "top1_agree_se", q->top1_agree_se);
  json_out_close(json);
}

void model_report_json_receipt(json_out *json, const gust_model *model) {
  gust_receipt_info receipt;
  if (!gust_model_get_receipt(model, &receipt)) {
    json_out_null(json, "receipt");
    return;
  }
  json_out_open_object(json, "receipt", true);
  json_out_real(json, "relative_error", receipt.relative_error);
  json_out_open_array(json, "types", true);
  for (size_t i = 0; i < receipt.type_count; i++) {
    json_out_open_object(json, NULL, false);
    json_out_string(json, "type", receipt.types[i].type);
    json_out_real(json, "bits_per_weight", receipt.types[i].bits_per_weight);
    json_out_real(json, "relative_error", receipt.types[i].relative_error);
    json_out_close(json);
  }
  json_out_close(json);
  if (receipt.prompt_tokens) {
    json_hash(json, "logits_hash", receipt.logits_hash);
  } else {
    json_out_null(json, "logits_hash");
  }
  json_out_count(json, "prompt_tokens", receipt.prompt_tokens);
  if (receipt.measured) {
    json_quality(json, &receipt.quality);
  } else {
    json_out_null(json, "quality");
  }
  json_out_close(json);
}

/* --- table ------------------------------------------------------------------------ */

static void print_row(const char *name, const char *value) {
  printf("%-22s %s\n", name, value);
}

static void print_count(const char *name, uint64_t value) {
  char text[HUMAN_BYTES];
  print_row(name, human_count(text, value));
}

static void print_hyper_parameters(const gust_model_info *info) {
  print_row("architecture", info->architecture);
  print_count("vocabulary", info->vocab_size);
  print_count("hidden size", info->hidden_size);
  print_count("intermediate size", info->intermediate_size);
  print_count("layers", info->layers);
  printf("%-22s %u of %u dimensions, %u for keys and values\n", "attention heads", info->heads,
         info->head_dim, info->kv_heads);
  print_count("trained positions", info->max_positions);
  if (info->sliding_window) {
    print_count("sliding window", info->sliding_window);
  } else {
    print_row("sliding window", "none");
  }
  printf("%-22s %g\n", "rope theta", info->rope_theta);
  printf("%-22s %g\n", "norm epsilon", (double)info->norm_eps);
  print_row("output head", info->tied_head ? "the embedding" : "its own");
  if (info->bos_id >= 0) {
    printf("%-22s %d\n", "begin-of-sequence id", (int)info->bos_id);
  } else {
    print_row("begin-of-sequence id", "none");
  }
  printf("%-22s", "end-of-sequence ids");
  for (size_t i = 0; i < info->eos_count; i++) printf(" %d", (int)info->eos_ids[i]);
  printf("%s\n", info->eos_count ? "" : " none");
  print_row("chat template", info->has_chat_template ? "yes" : "no");
}

/* The relative error of a type's weights, where the file says. */
static bool error_of_type(const gust_receipt_info *receipt, const char *type, double *error) {
  for (size_t i = 0; i < receipt->type_count; i++) {
    if (strcmp(receipt->types[i].type, type) != 0) continue;
    *error = receipt->types[i].relative_error;
    return true;
  }
  return false;
}

static void print_totals(const gust_model *model, const gust_receipt_info *receipt) {
  model_type_total totals[MODEL_REPORT_TYPES];
  size_t count = model_report_totals(model, totals);
  printf("\n%-6s %8s %16s %12s %12s %12s\n", "type", "tensors", "parameters", "bytes",
         "bits/weight", "rms error");
  for (size_t i = 0; i < count; i++) {
    char parameters[HUMAN_BYTES], bytes[HUMAN_BYTES], text[HUMAN_BYTES] = "unknown";
    double error;
    if (error_of_type(receipt, totals[i].type, &error)) snprintf(text, sizeof text, "%.6f", error);
    printf("%-6s %8llu %16s %12s %12.3f %12s\n", totals[i].type,
           (unsigned long long)totals[i].tensors, human_count(parameters, totals[i].parameters),
           human_bytes(bytes, (double)totals[i].bytes), model_report_bits(&totals[i]), text);
  }
}

static void print_with_error(const char *name, double mean, double se, int decimals,
                             const char *unit) {
  printf("%-22s %.*f", name, decimals, mean);
  if (se >= 0) printf(" +/- %.*f", decimals, se);
  printf(" %s\n", unit);
}

static void print_quality(const gust_quality *q) {
  char digest[65];
  spell_sha256(q->text_sha256, digest);
  printf("%-22s %u chunk%s of %u tokens of a text, sha256 %s\n", "against its source", q->chunks,
         q->chunks == 1 ? "" : "s", q->chunk, digest);
  print_with_error("  nll", q->nll, q->nll_se, 6, "nats/token");
  print_with_error("  nll of the source", q->reference_nll, q->reference_nll_se, 6, "nats/token");
  print_with_error("  nll difference", q->nll_difference, q->nll_difference_se, 6, "nats/token");
  print_with_error("  KL mean", q->kl_mean, q->kl_mean_se, 6, "nats");
  printf("%-22s median %.6f, 99 %% %.6f, 99.9 %% %.6f, largest %.6f nats\n", "  KL quantiles",
         q->kl_median, q->kl_p99, q->kl_p999, q->kl_max);
  print_with_error("  top-1 agree", 100 * q->top1_agree,
                   q->top1_agree_se < 0 ? -1 : 100 * q->top1_agree_se, 2, "%");
}

void model_report_receipt_rows(const gust_receipt_info *receipt) {
  if (receipt->prompt_tokens) {
    printf("%-22s %016llx, of %u tokens\n", "logits hash", (unsigned long long)receipt->logits_hash,
           receipt->prompt_tokens);
  } else {
    print_row("logits hash", "none");
  }
  if (receipt->measured) print_quality(&receipt->quality);
}

/* A name out of the file, in a column: no control characters are in it, but others that
 * turn text around or take no room may be. */
static void print_name(const char *name, size_t columns) {
  size_t bytes = strlen(name), width = text_width(name, bytes);
  screen_text_write(stdout, name, bytes);
  printf("%*s", width < columns ? (int)(columns - width) : 0, "");
}

static void print_sources(const gust_model *model) {
  gust_source_info source;
  if (gust_model_source_count(model) == 0) return;
  printf("\n%-36s %12s  %s\n", "source", "bytes", "sha256");
  for (size_t i = 0; gust_model_get_source(model, i, &source) == GUST_OK; i++) {
    char bytes[HUMAN_BYTES];
    print_name(source.name, 36);
    printf(" %12s  %s\n", human_bytes(bytes, (double)source.bytes), source.sha256);
  }
}

static void print_tensors(const gust_model *model) {
  gust_tensor_info tensor;
  printf("\n%-48s %-5s %16s %14s %14s\n", "tensor", "type", "shape", "offset", "bytes");
  for (size_t i = 0; gust_model_get_tensor(model, i, &tensor) == GUST_OK; i++) {
    char shape[48];
    if (tensor.rank == 2) {
      snprintf(shape, sizeof shape, "%llu x %llu", (unsigned long long)tensor.shape[0],
               (unsigned long long)tensor.shape[1]);
    } else {
      snprintf(shape, sizeof shape, "%llu", (unsigned long long)tensor.shape[0]);
    }
    print_name(tensor.name, 48);
    printf(" %-5s %16s %14llu %14llu\n", tensor.type, shape, (unsigned long long)tensor.offset,
           (unsigned long long)tensor.bytes);
  }
}

void model_report_table(const gust_model *model) {
  const gust_model_info *info = gust_model_get_info(model);
  char text[HUMAN_BYTES];
  printf("%-22s %s (%llu bytes)\n", "file", human_bytes(text, (double)info->file_bytes),
         (unsigned long long)info->file_bytes);
  printf("%-22s %.3f\n", "bits per weight", info->bits_per_weight);
  print_row("weights per token", human_bytes(text, (double)info->weight_bytes_per_token));
  print_hyper_parameters(info);
  gust_sampling sampling = gust_model_sampling(model);
  printf("%-22s temperature %g, top-k %u, top-p %g, min-p %g, repeat penalty %g\n", "generation",
         (double)sampling.temperature, sampling.top_k, (double)sampling.top_p,
         (double)sampling.min_p, (double)sampling.repeat_penalty);
  uint32_t limit = gust_model_max_new_tokens(model);
  if (limit) print_count("longest answer", limit);
  gust_receipt_info receipt;
  bool has_receipt = gust_model_get_receipt(model, &receipt);
  print_totals(model, &receipt);
  putchar('\n');
  if (has_receipt) {
    model_report_receipt_rows(&receipt);
  } else {
    print_row("receipt", "none");
  }
  print_sources(model);
  print_tensors(model);
}

#include "model_report.h"

#include <stdio.h>
#include <string.h>

#include "human.h"

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

static void json_checksum(json_out *json, uint64_t checksum) {
  char text[20];
  snprintf(text, sizeof text, "%016llx", (unsigned long long)checksum);
  json_out_string(json, "checksum", text);
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
    json_checksum(json, tensor.checksum);
    json_out_close(json);
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

static void print_totals(const gust_model *model) {
  model_type_total totals[MODEL_REPORT_TYPES];
  size_t count = model_report_totals(model, totals);
  printf("\n%-6s %8s %16s %12s %12s\n", "type", "tensors", "parameters", "bytes", "bits/weight");
  for (size_t i = 0; i < count; i++) {
    char parameters[HUMAN_BYTES], bytes[HUMAN_BYTES];
    printf("%-6s %8llu %16s %12s %12.3f\n", totals[i].type, (unsigned long long)totals[i].tensors,
           human_count(parameters, totals[i].parameters),
           human_bytes(bytes, (double)totals[i].bytes), model_report_bits(&totals[i]));
  }
}

static void print_sources(const gust_model *model) {
  gust_source_info source;
  if (gust_model_source_count(model) == 0) return;
  printf("\n%-36s %12s  %s\n", "source", "bytes", "sha256");
  for (size_t i = 0; gust_model_get_source(model, i, &source) == GUST_OK; i++) {
    char bytes[HUMAN_BYTES];
    printf("%-36s %12s  %s\n", source.name, human_bytes(bytes, (double)source.bytes),
           source.sha256);
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
    printf("%-48s %-5s %16s %14llu %14llu\n", tensor.name, tensor.type, shape,
           (unsigned long long)tensor.offset, (unsigned long long)tensor.bytes);
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
  print_totals(model);
  print_sources(model);
  print_tensors(model);
}

/* Header structures to bytes: what the converter writes. */
#include <stdlib.h>
#include <string.h>

#include "checksum.h"
#include "format.h"
#include "format_layout.h"

/* Without `data` it only counts, so that sizing and writing are one code. */
typedef struct gust_encoder {
  uint8_t *data;
  uint64_t at;
} gust_encoder;

static void put(gust_encoder *e, uint64_t value, size_t bytes) {
  if (e->data)
    for (size_t i = 0; i < bytes; i++) e->data[e->at + i] = (uint8_t)(value >> (8 * i));
  e->at += bytes;
}

static void put32(gust_encoder *e, uint32_t value) {
  put(e, value, 4);
}
static void put64(gust_encoder *e, uint64_t value) {
  put(e, value, 8);
}

static void put_float(gust_encoder *e, float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  put32(e, bits);
}

static void put_double(gust_encoder *e, double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  put64(e, bits);
}

static void put_bytes(gust_encoder *e, const void *bytes, size_t count) {
  if (e->data && count) memcpy(e->data + e->at, bytes, count);
  e->at += count;
}

static void put_padding(gust_encoder *e) {
  while (e->at % SECTION_ALIGN) put(e, 0, 1);
}

/* Leaves room for the length, which section_end fills in. */
static uint64_t section_begin(gust_encoder *e, uint32_t tag) {
  put32(e, tag);
  put32(e, 0);
  put64(e, 0);
  return e->at;
}

static void section_end(gust_encoder *e, uint64_t begin) {
  gust_encoder length = {e->data, begin - 8};
  put64(&length, e->at - begin);
  put_padding(e);
}

static void put_config(gust_encoder *e, const gust_config *c) {
  uint64_t begin = section_begin(e, TAG_CONFIG);
  put32(e, (uint32_t)c->arch);
  put32(e, c->vocab_size);
  put32(e, c->hidden_size);
  put32(e, c->intermediate_size);
  put32(e, c->layers);
  put32(e, c->heads);
  put32(e, c->kv_heads);
  put32(e, c->head_dim);
  put32(e, c->max_positions);
  put32(e, c->sliding_window);
  put_double(e, c->rope_theta);
  put_float(e, c->norm_eps);
  put32(e, c->tied_head ? CONFIG_FLAG_TIED_HEAD : 0);
  put32(e, (uint32_t)c->bos_id);
  put32(e, c->eos_count);
  for (uint32_t i = 0; i < GUST_MAX_EOS; i++)
    put32(e, i < c->eos_count ? (uint32_t)c->eos_ids[i] : 0);
  section_end(e, begin);
}

static void put_generation(gust_encoder *e, const gust_generation *g) {
  uint64_t begin = section_begin(e, TAG_GENERATION);
  put_float(e, g->temperature);
  put_float(e, g->top_p);
  put_float(e, g->min_p);
  put_float(e, g->repeat_penalty);
  put32(e, g->top_k);
  put32(e, g->max_new_tokens);
  section_end(e, begin);
}

static void put_blob(gust_encoder *e, uint32_t tag, const void *bytes, size_t count) {
  uint64_t begin = section_begin(e, tag);
  put_bytes(e, bytes, count);
  section_end(e, begin);
}

static void put_sources(gust_encoder *e, const gust_header *h) {
  uint64_t begin = section_begin(e, TAG_SOURCES);
  put32(e, (uint32_t)h->source_count);
  put32(e, 0);
  for (size_t i = 0; i < h->source_count; i++) {
    const gust_source *source = &h->sources[i];
    put32(e, (uint32_t)strlen(source->name));
    put32(e, 0);
    put64(e, source->bytes);
    put_bytes(e, source->sha256, sizeof source->sha256);
    put_bytes(e, source->name, strlen(source->name));
    put_padding(e);
  }
  section_end(e, begin);
}

static void put_quality(gust_encoder *e, const gust_quality *q) {
  const double figures[] = {q->nll,
                            q->nll_se,
                            q->reference_nll,
                            q->reference_nll_se,
                            q->nll_difference,
                            q->nll_difference_se,
                            q->kl_mean,
                            q->kl_mean_se,
                            q->kl_median,
                            q->kl_p99,
                            q->kl_p999,
                            q->kl_max,
                            q->top1_agree,
                            q->top1_agree_se};
  put32(e, q->chunk);
  put32(e, q->chunks);
  put_bytes(e, q->text_sha256, sizeof q->text_sha256);
  for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) put_double(e, figures[i]);
}

static void put_receipt(gust_encoder *e, const gust_receipt *r) {
  uint64_t begin = section_begin(e, TAG_RECEIPT);
  put32(e, RECEIPT_VERSION);
  put32(e, (uint32_t)r->part_count);
  put32(e, r->prompt_tokens);
  put32(e, r->measured ? RECEIPT_FLAG_MEASURED : 0);
  put64(e, r->logits_hash);
  for (size_t i = 0; i < r->part_count; i++) {
    put32(e, (uint32_t)r->parts[i].type);
    put32(e, 0);
    put_double(e, r->parts[i].error);
    put_double(e, r->parts[i].energy);
  }
  if (r->measured) put_quality(e, &r->quality);
  section_end(e, begin);
}

static void put_tensors(gust_encoder *e, const gust_header *h) {
  uint64_t begin = section_begin(e, TAG_TENSORS);
  put32(e, (uint32_t)h->tensor_count);
  put32(e, 0);
  for (size_t i = 0; i < h->tensor_count; i++) {
    const gust_tensor *tensor = &h->tensors[i];
    put32(e, (uint32_t)strlen(tensor->name));
    put32(e, (uint32_t)tensor->type);
    put32(e, tensor->rank);
    put32(e, 0);
    put64(e, tensor->shape[0]);
    put64(e, tensor->shape[1]);
    put64(e, tensor->offset);
    put64(e, tensor->bytes);
    put64(e, tensor->checksum);
    put_bytes(e, tensor->name, strlen(tensor->name));
    put_padding(e);
  }
  section_end(e, begin);
}

static void put_prologue(gust_encoder *e, uint64_t header_bytes, uint64_t file_bytes) {
  put_bytes(e, GUST_FORMAT_MAGIC, 8);
  put32(e, GUST_FORMAT_VERSION);
  put32(e, 0);
  put64(e, header_bytes);
  put64(e, file_bytes);
  while (e->at < GUST_PROLOGUE_BYTES) put(e, 0, 1);
}

static void put_header(gust_encoder *e, const gust_header *h, uint64_t header_bytes) {
  put_prologue(e, header_bytes, h->file_bytes);
  put_config(e, &h->config);
  put_generation(e, &h->generation);
  put_blob(e, TAG_TOKENIZER, h->tokenizer, h->tokenizer_bytes);
  if (h->chat_template) put_blob(e, TAG_TEMPLATE, h->chat_template, strlen(h->chat_template));
  if (h->source_count) put_sources(e, h);
  if (h->receipt.exists) put_receipt(e, &h->receipt);
  put_tensors(e, h);
}

static bool name_fits(const char *name) {
  return name && *name && strlen(name) <= MAX_NAME_BYTES;
}

static gust_status check_names(const gust_header *h, gust_error *err) {
  for (size_t i = 0; i < h->source_count; i++)
    if (!name_fits(h->sources[i].name))
      return gust_fail(err, GUST_E_UNSUPPORTED,
                       "source file %zu: expected a name of 1 to %u bytes, found '%.40s...'; "
                       "rename the file",
                       i, MAX_NAME_BYTES, h->sources[i].name ? h->sources[i].name : "");
  for (size_t i = 0; i < h->tensor_count; i++)
    if (!name_fits(h->tensors[i].name))
      return gust_fail(err, GUST_E_UNSUPPORTED,
                       "tensor %zu: expected a name of 1 to %u bytes, found '%.40s...'", i,
                       MAX_NAME_BYTES, h->tensors[i].name ? h->tensors[i].name : "");
  return GUST_OK;
}

gust_status gust_header_encode(const gust_header *header, uint8_t **bytes, size_t *count,
                               gust_error *err) {
  *bytes = NULL;
  *count = 0;
  gust_status status = check_names(header, err);
  if (status) return status;
  gust_encoder sizing = {NULL, 0};
  put_header(&sizing, header, 0);
  if (sizing.at > GUST_MAX_HEADER_BYTES)
    return gust_fail(err, GUST_E_UNSUPPORTED,
                     "file header: expected at most %u bytes of tokenizer, template and tensor "
                     "names, found %llu",
                     GUST_MAX_HEADER_BYTES, (unsigned long long)sizing.at);
  uint8_t *data = malloc((size_t)sizing.at);
  if (!data) return gust_fail_memory(err, "file header", (size_t)sizing.at);
  gust_encoder e = {data, 0};
  put_header(&e, header, sizing.at);

  gust_xxh64 sum;
  gust_xxh64_begin(&sum, 0);
  gust_xxh64_update(&sum, data, PROLOGUE_SUMMED);
  gust_xxh64_update(&sum, data + GUST_PROLOGUE_BYTES, (size_t)e.at - GUST_PROLOGUE_BYTES);
  gust_encoder checksum = {data, PROLOGUE_CHECKSUM};
  put64(&checksum, gust_xxh64_end(&sum));
  *bytes = data;
  *count = (size_t)e.at;
  return GUST_OK;
}

/* A .gust file that was cut off anywhere, had any bit flipped or any number of its
 * header set to an extreme: refused in one line, by open as well as by the commands,
 * or harmless. The header is told by its checksum however a file is opened, the weights
 * by gust_model_verify and by whoever copies them. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "checkpoint_maker.h"
#include "checksum.h"
#include "convert.h"
#include "demo_model.h"
#ifdef GUST_COUNTS_MEMORY
#include "failing_memory.h"
#endif
#include "format.h"
#include "format_layout.h"
#include "os.h"
#include "run_gust.h"

/* A file and what its header says of it. */
typedef struct sample {
  const char *path;
  char *data;
  size_t bytes, header_bytes;
  gust_header header;
} sample;

static void write_sample(const sample *s) {
  check_write_file(s->path, s->data, s->bytes);
}

static sample read_sample(const char *from, const char *name) {
  sample s = {.path = check_temp_file(name)};
  gust_error err;
  s.data = check_read_file(from, &s.bytes);
  const uint8_t *bytes = (const uint8_t *)s.data;
  if (gust_header_size(bytes, s.bytes, from, &s.header_bytes, &err) ||
      gust_header_decode(&s.header, bytes, s.header_bytes, s.bytes, from, &err))
    check_fatal("header", err.text);
  write_sample(&s);
  return s;
}

static void free_sample(sample *s) {
  gust_header_clear(&s->header);
  free(s->data);
}

/* Two layers: few enough bytes to try many of them. */
static sample make_small(void) {
  const char *folder = check_temp_file("source"), *target = check_temp_file("made.gust");
  const gust_convert_options options = {.type = GUST_TYPE_Q4, .threads = 1};
  maker_model m = maker_small(false, true);
  gust_error err;
  maker_write(&m, folder, "BF16", 1);
  if (gust_convert(folder, target, &options, NULL, &err)) check_fatal("convert", err.text);
  maker_free(&m);
  return read_sample(target, "small.gust");
}

static gust_status open_as(const char *path, gust_load load, gust_model **model, gust_error *err) {
  const gust_model_options options = {.load = load, .lazy = true};
  *err = (gust_error){0};
  return gust_model_open(model, path, &options, err);
}

/* Fails to open, either way, in one line that begins with the path. */
static void check_refused(const sample *s, gust_load load, const char *words) {
  gust_model *model;
  gust_error err;
  CHECK_EQ_INT(open_as(s->path, load, &model, &err), GUST_E_FORMAT);
  CHECK(model == NULL && strncmp(err.text, s->path, strlen(s->path)) == 0);
  CHECK(!strchr(err.text, '\n'));
  CHECK_CONTAINS(err.text, words);
  gust_model_close(model);
}

/* --- cut off ----------------------------------------------------------------------------- */

static int descending(const void *a, const void *b) {
  size_t x = *(const size_t *)a, y = *(const size_t *)b;
  return (x < y) - (x > y);
}

/* Every `step`-th page, and around the ends of the prologue, every section and every tensor. */
static size_t list_cuts(const sample *s, size_t step, size_t *cuts) {
  size_t count = 0;
  for (size_t at = 0; at < s->bytes; at += 4096 * step) cuts[count++] = at;
  for (size_t at = GUST_PROLOGUE_BYTES; at <= s->header_bytes;) {
    uint64_t payload = 0;
    for (size_t k = 0; k <= 2; k++) cuts[count++] = at - 1 + k;
    if (at == s->header_bytes) break;
    memcpy(&payload, s->data + at + 8, sizeof payload);
    at += SECTION_HEAD + (payload + SECTION_ALIGN - 1) / SECTION_ALIGN * SECTION_ALIGN;
  }
  for (size_t i = 0; i < s->header.tensor_count; i++) {
    const gust_tensor *t = &s->header.tensors[i];
    const size_t ends[] = {t->offset - 1, t->offset, t->offset + 1, t->offset + t->bytes - 1};
    for (size_t k = 0; k < sizeof ends / sizeof *ends; k++) cuts[count++] = ends[k];
  }
  qsort(cuts, count, sizeof *cuts, descending);
  return count;
}

static void say_cut(const sample *s, size_t cut, char *words, size_t size) {
  if (cut < GUST_PROLOGUE_BYTES)
    snprintf(words, size, "expected a .gust file of at least 64 bytes, found %zu; ", cut);
  else
    snprintf(words, size, "expected %zu bytes as its header says, found %zu; ", s->bytes, cut);
}

static void check_command(const char *command, const char *path, int code, const char *words) {
  run_result result = run_gust(NULL, command, path, (const char *)NULL);
  CHECK_EQ_INT(result.code, code);
  CHECK_CONTAINS(result.err, words);
  CHECK(code == 0 ||
        (result.err_bytes > 0 && strchr(result.err, '\n') == result.err + result.err_bytes - 1));
  run_result_clear(&result);
}

static void cut_off(const sample *s, size_t step) {
  size_t *cuts = malloc((s->bytes / 4096 + 64 + 4 * s->header.tensor_count) * sizeof *cuts);
  if (!cuts) check_fatal("out of memory", "cuts");
  size_t count = list_cuts(s, step, cuts);
  char words[128];
  write_sample(s);
  for (size_t i = 0; i < count; i++) {
    check_cut_file(s->path, cuts[i]);
    say_cut(s, cuts[i], words, sizeof words);
    check_refused(s, GUST_LOAD_MMAP, words);
    check_refused(s, GUST_LOAD_COPY, words);
    if (i % (count / 6) != 0) continue;
    check_command("verify", s->path, 1, words);
    check_command("inspect", s->path, 1, words);
  }
  free(cuts);
}

/* More than there should be is damage as well. */
static void too_long(const sample *s) {
  char words[128];
  write_sample(s);
  check_cut_file(s->path, s->bytes + 4096);
  say_cut(s, s->bytes + 4096, words, sizeof words);
  check_refused(s, GUST_LOAD_MMAP, words);
}

/* --- flipped bits ------------------------------------------------------------------------- */

static os_file writable(const sample *s) {
  uint64_t bytes;
  os_file file = os_open_update(s->path, &bytes);
  if (file == -1) check_fatal("cannot open", s->path);
  return file;
}

static void put_byte(os_file file, const sample *s, size_t at, unsigned flipped) {
  char byte = (char)(s->data[at] ^ (char)flipped);
  if (!os_write_at(file, &byte, 1, at)) check_fatal("cannot write", s->path);
}

/* The prologue and the configuration are tried at every bit and number, the lists behind
 * them at a share, which meets all of their fields. */
#define DENSE ((size_t)256)

static void header_bits(const sample *s) {
  write_sample(s);
  os_file file = writable(s);
  gust_model *model;
  gust_error err;
  for (size_t bit = 0; bit < 8 * s->header_bytes; bit += bit < 8 * DENSE ? 1 : 7) {
    put_byte(file, s, bit / 8, 1u << bit % 8);
    gust_status status = open_as(s->path, GUST_LOAD_MMAP, &model, &err);
    if (status != GUST_E_FORMAT && status != GUST_E_UNSUPPORTED) {
      printf("bit %zu of the header\n", bit);
      CHECK_EQ_INT(status, GUST_E_FORMAT);
    }
    CHECK(strncmp(err.text, s->path, strlen(s->path)) == 0 && !strchr(err.text, '\n'));
    gust_model_close(model);
    put_byte(file, s, bit / 8, 0);
  }
  os_close(file);
}

static void check_weight_bit(os_file file, const sample *s, const gust_tensor *t, uint64_t bit) {
  gust_model *model;
  gust_error err;
  char words[160];
  snprintf(words, sizeof words, "tensor %s: expected checksum ", t->name);
  put_byte(file, s, (size_t)(t->offset + bit / 8), 1u << bit % 8);
  if (CHECK_EQ_INT(open_as(s->path, GUST_LOAD_MMAP, &model, &err), GUST_OK)) {
    CHECK_EQ_INT(gust_model_verify(model, NULL, NULL, &err), GUST_E_FORMAT);
    CHECK(strncmp(err.text, words, strlen(words)) == 0);
  }
  gust_model_close(model);
  check_refused(s, GUST_LOAD_COPY, words);
  put_byte(file, s, (size_t)(t->offset + bit / 8), 0);
}

/* Of every `step`-th tensor of the file: its first bit, its last and one in between. */
static void weight_bits(const sample *s, size_t step) {
  unsigned long long seed = 11;
  write_sample(s);
  os_file file = writable(s);
  for (size_t i = 0; i < s->header.tensor_count; i += step) {
    const gust_tensor *t = &s->header.tensors[i];
    check_weight_bit(file, s, t, 0);
    check_weight_bit(file, s, t, 8 * t->bytes - 1);
    check_weight_bit(file, s, t, check_random(&seed) % (8 * t->bytes));
  }
  gust_model *model;
  gust_error err;
  CHECK_EQ_INT(open_as(s->path, GUST_LOAD_COPY, &model, &err), GUST_OK); /* all put back */
  gust_model_close(model);
  const gust_tensor *last = &s->header.tensors[s->header.tensor_count - 1];
  char words[160];
  snprintf(words, sizeof words, "tensor %s: expected checksum ", last->name);
  put_byte(file, s, (size_t)last->offset, 1);
  check_command("verify", s->path, 1, words);
  check_command("inspect", s->path, 0, "");
  os_close(file);
}

/* Between tensors lie bytes that mean nothing. */
static void padding_bits(const sample *s) {
  write_sample(s);
  os_file file = writable(s);
  gust_model *model;
  gust_error err;
  for (size_t i = 0; i + 1 < s->header.tensor_count; i++) {
    const gust_tensor *t = &s->header.tensors[i];
    uint64_t end = t->offset + t->bytes;
    if (end < t[1].offset) put_byte(file, s, (size_t)end, 0x80);
  }
  CHECK_EQ_INT(open_as(s->path, GUST_LOAD_COPY, &model, &err), GUST_OK);
  gust_model_close(model);
  os_close(file);
}

/* --- extreme numbers ------------------------------------------------------------------------ */

static void put_little(char *to, uint64_t value, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) to[i] = (char)(value >> (8 * i));
}

static void seal(char *data, size_t header_bytes) {
  gust_xxh64 sum;
  gust_xxh64_begin(&sum, 0);
  gust_xxh64_update(&sum, data, PROLOGUE_SUMMED);
  gust_xxh64_update(&sum, data + GUST_PROLOGUE_BYTES, header_bytes - GUST_PROLOGUE_BYTES);
  put_little(data + PROLOGUE_CHECKSUM, gust_xxh64_end(&sum), 8);
}

/* Puts a number there, with the header's checksum made right again, and opens. */
static gust_status open_with(const sample *s, os_file file, size_t at, uint64_t value, size_t bytes,
                             gust_error *err) {
  char kept[8];
  gust_model *model;
  memcpy(kept, s->data + at, bytes);
  put_little(s->data + at, value, bytes);
  seal(s->data, s->header_bytes);
  if (!os_write_at(file, s->data, s->header_bytes, 0)) check_fatal("cannot write", s->path);
  gust_status status = open_as(s->path, GUST_LOAD_MMAP, &model, err);
  gust_model_close(model);
  memcpy(s->data + at, kept, bytes);
  seal(s->data, s->header_bytes);
  return status;
}

static const uint64_t extremes[] = {0,
                                    1,
                                    INT32_MAX,
                                    (uint64_t)1 << 31,
                                    UINT32_MAX - 1,
                                    UINT32_MAX,
                                    (uint64_t)1 << 32,
                                    (uint64_t)1 << 47,
                                    INT64_MAX,
                                    (uint64_t)1 << 63,
                                    UINT64_MAX - 1,
                                    UINT64_MAX};
#define EXTREMES (sizeof extremes / sizeof *extremes)

#ifdef GUST_COUNTS_MEMORY
static uint64_t bytes_to_open(const sample *s, os_file file, size_t at, uint64_t value,
                              size_t bytes, gust_status *status, gust_error *err) {
  failing_memory_begin(FAILING_ONE, 0);
  *status = open_with(s, file, at, value, bytes, err);
  failing_memory_end();
  return failing_memory_bytes();
}
#else
static uint64_t bytes_to_open(const sample *s, os_file file, size_t at, uint64_t value,
                              size_t bytes, gust_status *status, gust_error *err) {
  *status = open_with(s, file, at, value, bytes, err);
  return 0;
}
#endif

/* Wherever a number may stand: nothing crashes, and no size is believed so far that
 * memory is asked for it, beyond what the whole file takes. */
static void every_number(const sample *s) {
  write_sample(s);
  os_file file = writable(s);
  gust_error err;
  gust_status status;
  uint64_t whole = bytes_to_open(s, file, PROLOGUE_VERSION, GUST_FORMAT_VERSION, 4, &status, &err);
  CHECK_EQ_INT(status, GUST_OK);
  for (size_t width = 4; width <= 8; width += 4)
    for (size_t at = PROLOGUE_VERSION; at + width <= s->header_bytes; at += at < DENSE ? 4 : 20)
      for (size_t k = 0; k < EXTREMES; k++) {
        if (width == 4 && extremes[k] > UINT32_MAX) continue;
        uint64_t took = bytes_to_open(s, file, at, extremes[k], width, &status, &err);
        bool good =
            status == GUST_OK || ((status == GUST_E_FORMAT || status == GUST_E_UNSUPPORTED) &&
                                  strncmp(err.text, s->path, strlen(s->path)) == 0);
        if (!good) printf("offset %zu: %s\n", at, err.text);
        CHECK(good);
        if (!CHECK(took <= whole))
          printf("offset %zu: %llu bytes, not %llu\n", at, (unsigned long long)took,
                 (unsigned long long)whole);
      }
  os_close(file);
}

static size_t section(const sample *s, const char *tag) {
  for (size_t at = GUST_PROLOGUE_BYTES; at < s->header_bytes;) {
    uint64_t payload;
    if (memcmp(s->data + at, tag, 4) == 0) return at + SECTION_HEAD;
    memcpy(&payload, s->data + at + 8, sizeof payload);
    at += SECTION_HEAD + (payload + SECTION_ALIGN - 1) / SECTION_ALIGN * SECTION_ALIGN;
  }
  check_fatal("no section", tag);
}

/* Fields of a size or count, each with what its refusal speaks of. */
static void named_numbers(const sample *s) {
  static const struct {
    const char *tag;
    size_t at, width;
    const char *words;
  } fields[] = {
      {NULL, PROLOGUE_HEADER_BYTES, 8, "expected a header of 80 to"},
      {NULL, PROLOGUE_FILE_BYTES, 8, "bytes as its header says"},
      {"CONF", 4, 4, "vocab_size: expected 1 to 16777216, found"},
      {"CONF", 8, 4, "hidden_size: expected 1 to 1048576, found"},
      {"CONF", 12, 4, "intermediate_size: expected 1 to 4194304, found"},
      {"CONF", 16, 4, "num_hidden_layers: expected 1 to 4096, found"},
      {"CONF", 20, 4, "num_attention_heads: expected 1 to 4096, found"},
      {"CONF", 24, 4, "num_key_value_heads: expected 1 to 4096, found"},
      {"CONF", 28, 4, "head_dim: expected 2 to 512, found"},
      {"CONF", 32, 4, "max_position_embeddings: expected 1 to 1073741824, found"},
      {"CONF", 36, 4, "sliding_window: expected 0 to 1073741824, found"},
      {"SRCS", 0, 4, "section SRCS: expected 1 to"},
      {"SRCS", 8, 4, "section SRCS: entry 0: expected a name of 1 to 255 bytes"},
      {"TENS", 0, 4, "section TENS: expected 1 to"},
      {"TENS", 8, 4, "section TENS: entry 0: expected a name of 1 to 255 bytes"},
      {"TENS", 12, 4, "expected a known type and shape"},
      {"TENS", 16, 4, "expected a known type and shape"},
      {"TENS", 24, 8, "expected a known type and shape"},
      {"TENS", 32, 8, "expected a known type and shape"},
      {"TENS", 40, 8, "expected a multiple of 64 from offset"},
      {"TENS", 48, 8, "bytes of its type and shape, found"},
  };
  write_sample(s);
  os_file file = writable(s);
  gust_error err;
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    size_t at = (fields[i].tag ? section(s, fields[i].tag) : 0) + fields[i].at;
    const uint64_t huge[] = {UINT32_MAX, UINT32_MAX - 1, (uint64_t)1 << 31, UINT64_MAX,
                             (uint64_t)1 << 63};
    for (size_t k = 0; k < (fields[i].width == 8 ? 5 : 3); k++) {
      uint64_t value = fields[i].width == 8 && k < 3 ? huge[k] << 32 : huge[k];
      CHECK(open_with(s, file, at, value, fields[i].width, &err) != GUST_OK);
      CHECK_CONTAINS(err.text, fields[i].words);
    }
  }
  os_close(file);
}

int main(void) {
  const char *path = demo_model_path("q4");
  if (!path) check_skip("GUST_DEMO_Q4 is not set: run under meson test");
  sample small = make_small(), demo = read_sample(path, "demo.gust");
  cut_off(&small, 1);
  cut_off(&demo, 16);
  too_long(&small);
  header_bits(&small);
  weight_bits(&small, 1);
  weight_bits(&demo, 9);
  padding_bits(&small);
  every_number(&small);
  named_numbers(&small);
  free_sample(&small);
  free_sample(&demo);
  return check_finish();
}

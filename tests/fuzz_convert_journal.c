/* libFuzzer: the input is what happened to the partial file of an interrupted
 * conversion: first byte, whether the checksums in its journal are put right afterwards;
 * two bytes, how much is cut off its end; then changes: where (one byte, in the file or
 * its journal; two, at what offset), how many bytes (one) and these.
 * The next conversion must come to the same file as ever, or refuse what does not even
 * begin like a partial file; unless the checksums were put right, which nobody but an
 * attacker does: then whatever it makes must open. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "checkpoint_maker.h"
#include "checksum.h"
#include "convert.h"
#include "file_writer.h"
#include "format.h"
#include "fuzz_support.h"

#define MOST_INPUT 4096u
#define TENSORS 12 /* of which all but the last are finished */

/* In the order of quantize/convert_journal.c. */
#define HEAD_BYTES 32u
#define SEED_PLACE 8u
#define SLOT_BYTES 144u
#define CHECK_PLACE 136u

typedef struct file_bytes {
  char *data;
  size_t count;
} file_bytes;

static const char *source, *target, *partial;
static file_bytes whole, interrupted;

/* Copies the partial file in time: of a bare conversion nothing is kept. */
static bool interrupt(void *user, uint64_t done, uint64_t total) {
  (void)done, (void)total;
  int *calls = user;
  if (!calls || ++*calls < TENSORS) return false;
  interrupted.data = check_read_file(partial, &interrupted.count);
  return true;
}

/* Bare: the receipt would take most of the time. */
static gust_status convert(int *calls, gust_error *err) {
  const gust_convert_options options = {
      .type = GUST_TYPE_BF16, .threads = 1, .progress = interrupt, .user = calls, .bare = true};
  return gust_convert(source, target, &options, NULL, err);
}

static void prepare(void) {
  maker_model model = maker_tiny();
  gust_error err = {0};
  int calls = 0;
  source = check_temp_file("source");
  target = check_temp_file("model.gust");
  partial = check_temp_file("model.gust" FILE_WRITER_SUFFIX);
  maker_write(&model, source, "BF16", 1);
  maker_free(&model);
  fuzz_require(convert(NULL, &err) == GUST_OK);
  whole.data = check_read_file(target, &whole.count);
  fuzz_require(convert(&calls, &err) == GUST_E_CANCELLED);
  fuzz_require(interrupted.count > whole.count + HEAD_BYTES);
}

static void change(uint8_t *bytes, size_t count, fuzz_part changes) {
  while (changes.bytes > 4) {
    const uint8_t *c = changes.data;
    size_t begin = c[0] & 1 ? whole.count : 0, at = begin + (c[1] | (size_t)c[2] << 8);
    size_t length = c[3], left = changes.bytes - 4;
    if (length > left) length = left;
    for (size_t i = 0; i < length && at + i < count; i++) bytes[at + i] = c[4 + i];
    changes = (fuzz_part){c + 4 + length, left - length};
  }
}

static void seal(uint8_t *bytes, size_t count) {
  if (count < whole.count + HEAD_BYTES) return;
  uint64_t seed = fuzz_get64(bytes + whole.count + SEED_PLACE);
  for (size_t at = whole.count + HEAD_BYTES; count - at >= SLOT_BYTES; at += SLOT_BYTES)
    fuzz_put64(bytes + at + CHECK_PLACE, gust_xxh64_of(bytes + at, CHECK_PLACE, seed));
}

/* Leaves the partial file that the input asks for; whether it is sealed. *foreign: nothing
 * says that it is a partial file, and it has no journal. */
static bool damage(const uint8_t *data, size_t size, bool *foreign) {
  size_t cut = data[1] | (size_t)data[2] << 8, count = interrupted.count;
  count -= cut < count ? cut : count;
  uint8_t *bytes = malloc(interrupted.count);
  fuzz_require(bytes != NULL);
  memcpy(bytes, interrupted.data, interrupted.count);
  change(bytes, count, (fuzz_part){data + 3, size - 3});
  if (data[0] & 1) seal(bytes, count);
  static const uint8_t zeros[8];
  bool ours =
      count >= 8 && (memcmp(bytes, GUST_FORMAT_MAGIC, 8) == 0 || memcmp(bytes, zeros, 8) == 0);
  *foreign = count > 0 && !ours;
  check_write_file(partial, bytes, count);
  free(bytes);
  return data[0] & 1;
}

static void check_same(void) {
  size_t count;
  char *bytes = check_read_file(target, &count);
  fuzz_require(count == whole.count && memcmp(bytes, whole.data, count) == 0);
  free(bytes);
}

static void check_opens(void) {
  gust_model *model = NULL;
  gust_error err = {0};
  fuzz_require(gust_model_open(&model, target, NULL, &err) == GUST_OK);
  gust_model_close(model);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 3 || size > MOST_INPUT) return 0;
  if (!source) prepare();
  bool foreign, sealed = damage(data, size, &foreign);
  gust_error err = {0};
  gust_status status = convert(NULL, &err);
  if (status != GUST_OK && (sealed || (foreign && status == GUST_E_ARGUMENT)))
    fuzz_require_line(&err);
  else if (sealed)
    check_opens();
  else
    check_same();
  remove(target);
  remove(partial);
  return 0;
}

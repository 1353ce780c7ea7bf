/* libFuzzer: the input is the header of a .gust file. Its length and checksum
 * are put right first, or no change would ever get past them. What is accepted
 * must be encoded and decoded again to the same. */
#include <stdlib.h>
#include <string.h>

#include "checksum.h"
#include "format.h"
#include "fuzz_support.h"

/* Offsets in the prologue: docs/FORMAT.md. */
static uint64_t seal(uint8_t *bytes, size_t size) {
  fuzz_put64(bytes + 16, size);
  gust_xxh64 sum;
  gust_xxh64_begin(&sum, 0);
  gust_xxh64_update(&sum, bytes, 32);
  gust_xxh64_update(&sum, bytes + GUST_PROLOGUE_BYTES, size - GUST_PROLOGUE_BYTES);
  fuzz_put64(bytes + 32, gust_xxh64_end(&sum));
  uint64_t file_bytes = 0;
  for (int i = 0; i < 8; i++) file_bytes |= (uint64_t)bytes[24 + i] << (8 * i);
  return file_bytes;
}

static void check_again(const gust_header *header) {
  uint8_t *bytes = NULL;
  size_t count = 0;
  gust_header again;
  gust_error err = {0};
  fuzz_require(gust_header_encode(header, &bytes, &count, &err) == GUST_OK);
  fuzz_require(gust_header_decode(&again, bytes, count, header->file_bytes, "again", &err) ==
               GUST_OK);
  fuzz_require(again.tensor_count == header->tensor_count);
  const gust_receipt *receipt = &header->receipt;
  fuzz_require(again.receipt.exists == receipt->exists &&
               again.receipt.logits_hash == receipt->logits_hash &&
               again.receipt.part_count == receipt->part_count &&
               again.receipt.measured == receipt->measured &&
               again.receipt.quality.kl_mean == receipt->quality.kl_mean);
  for (size_t i = 0; i < again.tensor_count; i++)
    fuzz_require(again.tensors[i].offset == header->tensors[i].offset &&
                 strcmp(again.tensors[i].name, header->tensors[i].name) == 0);
  gust_header_clear(&again);
  free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < GUST_PROLOGUE_BYTES) return 0;
  uint8_t *bytes = malloc(size);
  if (!bytes) return 0;
  memcpy(bytes, data, size);
  uint64_t file_bytes = seal(bytes, size);
  size_t count = 0;
  gust_error err = {0};
  gust_header header;
  gust_status status = gust_header_size(bytes, file_bytes, "fuzz", &count, &err);
  if (status == GUST_OK) {
    fuzz_require(count == size);
    status = gust_header_decode(&header, bytes, size, file_bytes, "fuzz", &err);
    if (status == GUST_OK) {
      fuzz_require(header.file_bytes == file_bytes);
      check_again(&header);
      gust_header_clear(&header);
    }
  }
  if (status != GUST_OK) fuzz_require_line(&err);
  free(bytes);
  return 0;
}

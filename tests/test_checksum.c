/* XXH64 and SHA-256 against published values and against themselves cut into
 * pieces. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "checksum.h"
#include "sha256.h"

static void known_xxh64(void) {
  CHECK(gust_xxh64_of("", 0, 0) == 0xef46db3751d8e999u);
  CHECK(gust_xxh64_of("a", 1, 0) == 0xd24ec4f1a98c6e5bu);
  CHECK(gust_xxh64_of("abc", 3, 0) == 0x44bc2cf5ad770999u);
  const char *long_text = "Nobody inspects the spammish repetition";
  CHECK(gust_xxh64_of(long_text, strlen(long_text), 0) == 0xfbcea83c8a378bf1u);
  CHECK(gust_xxh64_of("abc", 3, 1) != gust_xxh64_of("abc", 3, 0));
}

static void sha256_hex(const void *data, size_t bytes, char hex[65]) {
  gust_sha256 state;
  uint8_t digest[32];
  gust_sha256_begin(&state);
  gust_sha256_update(&state, data, bytes);
  gust_sha256_end(&state, digest);
  for (int i = 0; i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

/* The examples of FIPS 180-4. */
static void known_sha256(void) {
  char hex[65];
  sha256_hex("", 0, hex);
  CHECK_EQ_STR(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  sha256_hex("abc", 3, hex);
  CHECK_EQ_STR(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  const char *two_blocks = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
  sha256_hex(two_blocks, strlen(two_blocks), hex);
  CHECK_EQ_STR(hex, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  static char letters[1000000];
  memset(letters, 'a', sizeof letters);
  sha256_hex(letters, sizeof letters, hex);
  CHECK_EQ_STR(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void pieces(void) {
  uint8_t data[300];
  unsigned long long seed = 7;
  for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)check_random(&seed);
  for (int round = 0; round < 500; round++) {
    size_t bytes = check_random(&seed) % (sizeof data + 1);
    gust_xxh64 sum;
    gust_sha256 hash;
    gust_xxh64_begin(&sum, (uint64_t)round);
    gust_sha256_begin(&hash);
    for (size_t at = 0; at < bytes;) {
      size_t piece = 1 + check_random(&seed) % 80;
      if (piece > bytes - at) piece = bytes - at;
      gust_xxh64_update(&sum, data + at, piece);
      gust_sha256_update(&hash, data + at, piece);
      at += piece;
    }
    char hex[65];
    uint8_t digest[32];
    sha256_hex(data, bytes, hex);
    gust_sha256_end(&hash, digest);
    char again[65];
    for (int i = 0; i < 32; i++) snprintf(again + 2 * i, 3, "%02x", digest[i]);
    CHECK_EQ_STR(again, hex);
    CHECK(gust_xxh64_end(&sum) == gust_xxh64_of(data, bytes, (uint64_t)round));
  }
}

/* The processor's instructions and plain C, over any number of blocks. */
static void same_blocks(void) {
  uint8_t data[64 * 9];
  unsigned long long seed = 8;
  for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)check_random(&seed);
  for (size_t count = 0; count <= 9; count++) {
    uint32_t fast[8], plain[8];
    for (size_t i = 0; i < 8; i++) fast[i] = plain[i] = (uint32_t)check_random(&seed);
    gust_sha256_fastest()(fast, data, count);
    gust_sha256_blocks_c(plain, data, count);
    CHECK(memcmp(fast, plain, sizeof fast) == 0);
  }
}

int main(void) {
  known_xxh64();
  known_sha256();
  pieces();
  same_blocks();
  return check_finish();
}

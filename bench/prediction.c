#include "prediction.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "model.h"

/* A mapped file's share of what the same weights give in huge pages. Held in 4 KiB
 * pages it was 13 to 24 of 33.5 GB/s (two cores of a Xeon), in folios of 2 MiB all of
 * it (docs/BENCHMARKS.md); nothing tells beforehand which. The middle of 0.39 to 1. */
#define MAPPED_SHARE 0.7

/* Typical shares of the probes. Measured is what gust bench --synthetic mistral-7b
 * --type q4 --prompt 512 --gen 16 gave on two cores of an AMD EPYC (Zen 4); the rest
 * is assumed from it until somebody measures. */
static const struct {
  const char *level;
  bool measured[2]; /* q4, q8 */
  double decode[2], prefill[2];
} fractions[] = {
    {"avx2", {false, false}, {0.80, 0.80}, {0.50, 0.45}},
    {"avxvnni", {false, false}, {0.80, 0.80}, {0.50, 0.45}},
    {"avx512", {true, false}, {0.90, 0.85}, {0.62, 0.50}},
    {"amx", {false, false}, {0.85, 0.85}, {0.10, 0.10}},
    {"neon", {false, false}, {0.75, 0.75}, {0.45, 0.45}},
    {"dotprod", {false, false}, {0.75, 0.75}, {0.45, 0.45}},
    {"i8mm", {false, false}, {0.75, 0.75}, {0.45, 0.45}},
};

static void find_fractions(prediction *result, const prediction_basis *basis) {
  result->decode_fraction = result->prefill_fraction = (double)NAN;
  for (size_t i = 0; i < sizeof fractions / sizeof *fractions; i++) {
    if (strcmp(fractions[i].level, basis->level) != 0) continue;
    result->measured = fractions[i].measured[basis->eight_bits];
    result->decode_fraction = fractions[i].decode[basis->eight_bits];
    result->prefill_fraction = fractions[i].prefill[basis->eight_bits];
  }
}

prediction predict(const model_cost *cost, const prediction_basis *basis) {
  uint64_t available = basis->memory_available;
  prediction result = {.peak_memory = cost->file_bytes + basis->context_bytes,
                       .decode_tps = (double)NAN,
                       .prefill_tps = (double)NAN};
  result.copy = gust_auto_copies(cost->file_bytes, available);
  find_fractions(&result, basis);
  if (isnan(result.decode_fraction)) {
    result.limit = LIMIT_LEVEL;
    return result;
  }
  result.limit = result.copy ? LIMIT_BANDWIDTH : LIMIT_MAPPED;
  if (available && result.peak_memory > available) result.limit = LIMIT_DISK;
  if (result.limit == LIMIT_MAPPED) result.decode_fraction *= MAPPED_SHARE;
  if (basis->multiply_peak > 0)
    result.prefill_tps = basis->multiply_peak * result.prefill_fraction / cost->layer_multiply_adds;
  if (result.limit != LIMIT_DISK)
    result.decode_tps =
        basis->bandwidth * result.decode_fraction / (double)cost->weight_bytes_per_token;
  return result;
}

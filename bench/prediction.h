/* How fast a model would run on a machine, from what was measured of the machine. */
#ifndef GUST_BENCH_PREDICTION_H
#define GUST_BENCH_PREDICTION_H

#include "model_cost.h"

typedef struct prediction_basis {
  const char *level;         /* of the kernels that would be used */
  bool eight_bits;           /* the weights: q8, else q4 */
  double bandwidth;          /* bytes per second, the probe's */
  double multiply_peak;      /* multiply-adds per second; 0: unknown */
  uint64_t memory_available; /* bytes; 0: unknown */
  uint64_t context_bytes;    /* of PREDICTION_POSITIONS: model_context_bytes */
} prediction_basis;

typedef enum prediction_limit {
  LIMIT_BANDWIDTH, /* decoding reads every weight once per token */
  LIMIT_MAPPED,    /* the same through the file's mapping, for want of memory */
  LIMIT_DISK,      /* the file does not fit into memory: it is read for each token */
  LIMIT_LEVEL      /* plain C: computing, not reading */
} prediction_limit;

typedef struct prediction {
  uint64_t peak_memory;   /* bytes: the file, and a context of PREDICTION_POSITIONS */
  bool copy;              /* what --load auto would do; else the file is mapped */
  bool measured;          /* the fractions were, for this level and type; else they are assumed */
  double decode_fraction; /* of the bandwidth; NaN: none is known */
  double prefill_fraction;
  double decode_tps, prefill_tps; /* NaN: cannot be told */
  prediction_limit limit;         /* of decoding */
} prediction;

#define PREDICTION_POSITIONS 4096u

/*   decode_tps  = bandwidth * decode_fraction / weight_bytes_per_token
 *   prefill_tps = multiply_peak * prefill_fraction / layer_multiply_adds */
prediction predict(const model_cost *cost, const prediction_basis *basis);

#endif

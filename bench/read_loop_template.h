/* The read loop of one vector width. Included by read_loops.c, once per width,
 * with READ_VECTOR (a vector of 64-bit words), READ_TARGET (its function
 * attribute), READ_STREAMS and READ_LOOP (names of the two functions) defined. */

/* `streams` is constant wherever this is inlined, and so is whether `ahead` is 0. */
READ_TARGET static inline __attribute__((always_inline)) uint64_t READ_STREAMS(const uint8_t *data,
                                                                               size_t bytes,
                                                                               size_t streams,
                                                                               size_t ahead) {
  enum { VECTORS = READ_LOOP_LINE / sizeof(READ_VECTOR) };
  const size_t run = stream_bytes(bytes, streams);
  READ_VECTOR sums[SUMS] = {{0}};
  for (size_t i = 0; i < run; i += READ_LOOP_LINE)
    for (size_t s = 0; s < streams; s++) {
      const uint8_t *line = data + s * run + i;
      if (ahead) __builtin_prefetch(line + ahead);
      for (size_t v = 0; v < VECTORS; v++)
        sums[(s * VECTORS + v) % SUMS] += ((const READ_VECTOR *)(const void *)line)[v];
    }
  for (size_t i = streams * run; i < bytes; i += READ_LOOP_LINE)
    for (size_t v = 0; v < VECTORS; v++)
      sums[v] += ((const READ_VECTOR *)(const void *)(data + i))[v];
  uint64_t total = 0;
  for (size_t i = 0; i < SUMS; i++)
    for (size_t w = 0; w < sizeof(READ_VECTOR) / sizeof(uint64_t); w++) total += sums[i][w];
  return total;
}

READ_TARGET static uint64_t READ_LOOP(const uint8_t *data, size_t bytes, unsigned streams,
                                      size_t ahead) {
  switch (streams) {
    case 1: return ahead ? READ_STREAMS(data, bytes, 1, ahead) : READ_STREAMS(data, bytes, 1, 0);
    case 2: return ahead ? READ_STREAMS(data, bytes, 2, ahead) : READ_STREAMS(data, bytes, 2, 0);
    case 4: return ahead ? READ_STREAMS(data, bytes, 4, ahead) : READ_STREAMS(data, bytes, 4, 0);
    default: return ahead ? READ_STREAMS(data, bytes, 8, ahead) : READ_STREAMS(data, bytes, 8, 0);
  }
}

#undef READ_VECTOR
#undef READ_TARGET
#undef READ_STREAMS
#undef READ_LOOP

/* Attention over chunks of 64 positions, written over the sixteen lanes of
 * float_kernels.h, which includes this: the tiles that hold keys and values,
 * the partial result of one chunk for many query rows, and its merging.
 *
 * A call works on tiles of query rows. A tile shares each key and value it
 * loads and converts among its rows, and keeps enough sums in registers to hide
 * the latency of fma. What a row adds up, and in which order, depends on
 * neither its tile nor its neighbours. */

/* The largest tile, in rows, and the vectors of sixteen positions or
 * dimensions it is wide; a level with more registers defines its own. */
#ifndef ATTEND_TILE_ROWS
#define ATTEND_TILE_ROWS 6
#define ATTEND_TILE_VECTORS 1
#endif

/* Rows of queries and of sums lie this many floats apart: a constant, so that
 * one pointer reaches all rows of a tile, and no multiple of a page, so that
 * they do not compete for the same lines of a cache. */
#define ATTEND_STRIDE (GUST_MAX_HEAD_DIM + 16)

/* --- key-value tiles -------------------------------------------------------------------- */

static inline size_t kv_blocks(size_t head_dim) {
  return (head_dim + 31) / 32;
}

/* Where a q8 tile's codes begin. */
static inline int8_t *q8_key_codes(const void *tile, size_t head_dim) {
  return (int8_t *)tile + kv_blocks(head_dim) * GUST_CHUNK * sizeof(float);
}
static inline int8_t *q8_value_codes(const void *tile, size_t head_dim) {
  return (int8_t *)tile + gust_round_up(kv_blocks(head_dim) * GUST_CHUNK * sizeof(float), 64);
}

static void kv_store_f32_lanes(void *key_tile, void *value_tile, size_t slot, size_t count,
                               const float *keys, const float *values, size_t stride,
                               size_t head_dim) {
  float *k = (float *)key_tile + slot, *v = value_tile;
  size_t row = gust_round_up(head_dim, 16);
  for (size_t d = 0; d < head_dim; d++, k += GUST_CHUNK)
    for (size_t i = 0; i < count; i++) k[i] = keys[i * stride + d];
  for (size_t i = 0; i < count; i++)
    memcpy(v + (slot + i) * row, values + i * stride, head_dim * sizeof(float));
}

/* Up to sixteen floats as halves, the rest zeros. Halves hold up to 65504; what
 * is larger is held there. */
static inline void store_halves(uint16_t *dst, const float *src, size_t n) {
  vf x = n < 16 ? v_load_n(src, n) : v_load(src);
  v_store_f16(dst, v_min(v_max(x, v_set1(-65504.0f)), v_set1(65504.0f)));
}

static void kv_store_f16_lanes(void *key_tile, void *value_tile, size_t slot, size_t count,
                               const float *keys, const float *values, size_t stride,
                               size_t head_dim) {
  uint16_t *k = (uint16_t *)key_tile + slot, halves[GUST_CHUNK][16];
  uint16_t *v = (uint16_t *)value_tile + slot * gust_round_up(head_dim, 16);
  for (size_t d = 0; d < head_dim; d += 16) {
    size_t n = head_dim - d < 16 ? head_dim - d : 16;
    for (size_t i = 0; i < count; i++) {
      store_halves(halves[i], keys + i * stride + d, n);
      store_halves(v + i * gust_round_up(head_dim, 16) + d, values + i * stride + d, n);
    }
    for (size_t lane = 0; lane < n; lane++)
      for (size_t i = 0; i < count; i++) k[(d + lane) * GUST_CHUNK + i] = halves[i][lane];
  }
}

/* A block of up to 32 floats as codes and a scale. */
static inline float quantize_block(int8_t codes[32], const float *src, size_t n) {
  float padded[32] = {0}, scale;
  int32_t sum;
  gust_activations block = {codes, &scale, &sum, GUST_BLOCK_K, GUST_BLOCK_K};
  memcpy(padded, src, n * sizeof(float));
  quantize_lanes(&block, 0, padded);
  return scale;
}

static void kv_store_q8_lanes(void *key_tile, void *value_tile, size_t slot, size_t count,
                              const float *keys, const float *values, size_t stride,
                              size_t head_dim) {
  size_t blocks = kv_blocks(head_dim), row = gust_round_up(head_dim, 16);
  float *key_scales = key_tile, *value_scales = value_tile;
  int8_t *k = q8_key_codes(key_tile, head_dim), *v = q8_value_codes(value_tile, head_dim);
  int8_t codes[32];
  for (size_t at = slot; at < slot + count; at++, keys += stride, values += stride) {
    for (size_t b = 0; b < blocks; b++) {
      size_t n = head_dim - 32 * b < 32 ? head_dim - 32 * b : 32;
      key_scales[b * GUST_CHUNK + at] = quantize_block(codes, keys + 32 * b, n);
      for (size_t i = 0; i < n; i++) k[(32 * b + i) * GUST_CHUNK + at] = codes[i];
      value_scales[at * blocks + b] = quantize_block(codes, values + 32 * b, n);
      memcpy(v + at * row + 32 * b, codes, n);
    }
  }
}

/* --- attention ---------------------------------------------------------------------------- */

/* A tile is at most this many vectors wide. */
#define ATTEND_MOST_VECTORS 2
/* Lanes for one number per row of a tile. */
#define ATTEND_LANES 16

/* A tile of query rows on its way through one chunk. */
typedef struct attend_tile {
  const gust_attend_row *rows;
  size_t first, last;                              /* slots that any of the rows sees */
  size_t shared_first, shared_last;                /* slots that all of them see */
  float tops[ATTEND_LANES], sums[ATTEND_LANES];    /* of each row's scores, weights */
  float weights[ATTEND_TILE_ROWS * GUST_CHUNK];    /* scores, then exp(score - top) */
  float scaled[ATTEND_TILE_ROWS * GUST_CHUNK];     /* q8: weights times a block's scales */
  float vectors[ATTEND_TILE_ROWS * ATTEND_STRIDE]; /* queries, then weighted sums */
} attend_tile;

/* With each step of a loop comes some of what the next loop reads: into the
 * second cache, as the first is full of what this one reads. */
typedef struct attend_ahead {
  uintptr_t at; /* may run past what it walks: nothing is read */
  size_t step;
} attend_ahead;

static GUST_INLINE void fetch_ahead(attend_ahead *ahead) {
#if defined(__GNUC__)
  __builtin_prefetch((const void *)ahead->at, 0, 2);
#endif
  ahead->at += ahead->step;
}

static GUST_INLINE vf load_kv(const void *codes, size_t index, int type) {
  switch (type) {
    case GUST_KV_TILE_F32: return v_load((const float *)codes + index);
    case GUST_KV_TILE_F16: return v_load_f16((const uint16_t *)codes + index);
    default: return v_load_i8((const int8_t *)codes + index);
  }
}

/* Scores of `rows` queries at 16 * `vectors` positions from `base`; both counts
 * are constants. q8: dimensions of a block first, then times the block's scale. */
static GUST_INLINE void score_positions(attend_tile *tile, int rows, int vectors,
                                        const void *key_tile, size_t base, size_t head_dim,
                                        float scale, int type, attend_ahead *ahead) {
  const bool is_q8 = type == GUST_KV_TILE_Q8;
  const void *codes = is_q8 ? q8_key_codes(key_tile, head_dim) : key_tile;
  size_t block = is_q8 ? 32 : head_dim;
  for (size_t d0 = 0; d0 < head_dim; d0 += block) {
    size_t end = d0 + block < head_dim ? d0 + block : head_dim;
    vf sum[ATTEND_TILE_ROWS][ATTEND_MOST_VECTORS];
    for (int r = 0; r < rows; r++)
      for (int v = 0; v < vectors; v++) sum[r][v] = v_set1(0);
    for (size_t d = d0; d < end; d++) {
      const float *q = tile->vectors + d;
      vf k[ATTEND_MOST_VECTORS];
      for (int v = 0; v < vectors; v++)
        k[v] = load_kv(codes, d * GUST_CHUNK + base + 16 * (size_t)v, type);
      for (int r = 0; r < rows; r++) {
        vf x = v_set1(q[(size_t)r * ATTEND_STRIDE]);
        for (int v = 0; v < vectors; v++) sum[r][v] = v_fma(k[v], x, sum[r][v]);
      }
      fetch_ahead(ahead);
    }
    for (int v = 0; v < vectors; v++) {
      size_t at = base + 16 * (size_t)v;
      vf block_scale = v_set1(0);
      if (is_q8) block_scale = v_load((const float *)key_tile + d0 / 32 * GUST_CHUNK + at);
      for (int r = 0; r < rows; r++) {
        float *w = tile->weights + (size_t)r * GUST_CHUNK + at;
        vf total = sum[r][v];
        if (is_q8) total = v_fma(total, block_scale, d0 ? v_load(w) : v_set1(0));
        v_store(w, end == head_dim ? v_mul(total, v_set1(scale)) : total);
      }
    }
  }
}

/* Turns a row's 64 scores into exp(score - largest), 0 outside [first, last). */
static inline void weigh_scores(attend_tile *tile, size_t row) {
  float *weights = tile->weights + row * GUST_CHUNK;
  size_t first = tile->rows[row].first, last = tile->rows[row].last;
  vf s[4], largest = v_set1(-INFINITY), sum = v_set1(0);
  for (size_t i = 0; i < 4; i++) {
    s[i] = v_keep_range(v_load(weights + 16 * i), 16 * i, first, last, -INFINITY);
    largest = v_max(largest, s[i]);
  }
  tile->tops[row] = v_hmax(largest);
  vf top = v_set1(tile->tops[row]);
  for (size_t i = 0; i < 4; i++) {
    vf e = v_exp(v_sub(s[i], top));
    v_store(weights + 16 * i, e);
    sum = v_add(sum, e);
  }
  tile->sums[row] = v_sum(sum);
}

/* q8: the weights times the scales of block `b` of the values. */
static GUST_INLINE void scale_weights(attend_tile *tile, int rows, const float *scales,
                                      size_t blocks, size_t b) {
  float column[GUST_CHUNK];
  for (size_t i = 0; i < GUST_CHUNK; i++) column[i] = scales[i * blocks + b];
  for (size_t i = 0; i < (size_t)rows * GUST_CHUNK; i += 16)
    v_store(tile->scaled + i, v_mul(v_load(tile->weights + i), v_load(column + i % GUST_CHUNK)));
}

/* sums[r][0 .. 16 vectors) += weights[r][i] * value(i) for slots i in [from, to),
 * in order; with `fresh`, from 0 on. `values` points at the first of the columns. */
static GUST_INLINE void add_values(float *sums, const float *weights, int rows, int vectors,
                                   const void *values, size_t column, size_t stride, size_t from,
                                   size_t to, bool fresh, int type, attend_ahead *ahead) {
  vf sum[ATTEND_TILE_ROWS][ATTEND_MOST_VECTORS];
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < vectors; v++)
      sum[r][v] = fresh ? v_set1(0) : v_load(sums + (size_t)r * ATTEND_STRIDE + 16 * (size_t)v);
  for (size_t i = from; i < to; i++) {
    vf x[ATTEND_MOST_VECTORS];
    for (int v = 0; v < vectors; v++)
      x[v] = load_kv(values, i * stride + column + 16 * (size_t)v, type);
    for (int r = 0; r < rows; r++) {
      vf w = v_set1(weights[(size_t)r * GUST_CHUNK + i]);
      for (int v = 0; v < vectors; v++) sum[r][v] = v_fma(x[v], w, sum[r][v]);
    }
    fetch_ahead(ahead);
  }
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < vectors; v++)
      v_store(sums + (size_t)r * ATTEND_STRIDE + 16 * (size_t)v, sum[r][v]);
}

/* The same over each row's own slots: what only some rows see goes row by row,
 * before and after what all of them see. */
static GUST_INLINE void sum_columns(attend_tile *tile, int rows, int vectors, const void *values,
                                    size_t column, size_t stride, int type, attend_ahead *ahead) {
  const float *weights = type == GUST_KV_TILE_Q8 ? tile->scaled : tile->weights;
  float *sums = tile->vectors + column;
  size_t first = tile->shared_first, last = tile->shared_last;
  bool alike = first == tile->first && last == tile->last;
  for (int r = 0; r < rows && !alike; r++) {
    size_t end = tile->rows[r].last < first ? tile->rows[r].last : first;
    add_values(sums + (size_t)r * ATTEND_STRIDE, weights + (size_t)r * GUST_CHUNK, 1, vectors,
               values, column, stride, tile->rows[r].first, end, true, type, ahead);
  }
  if (first < last)
    add_values(sums, weights, rows, vectors, values, column, stride, first, last, alike, type,
               ahead);
  for (int r = 0; r < rows && !alike; r++)
    add_values(sums + (size_t)r * ATTEND_STRIDE, weights + (size_t)r * GUST_CHUNK, 1, vectors,
               values, column, stride, last, tile->rows[r].last, false, type, ahead);
}

static GUST_INLINE void sum_values(attend_tile *tile, int rows, int vectors, const void *value_tile,
                                   size_t head_dim, int type, attend_ahead *ahead) {
  const bool is_q8 = type == GUST_KV_TILE_Q8;
  const void *values = is_q8 ? q8_value_codes(value_tile, head_dim) : value_tile;
  size_t stride = gust_round_up(head_dim, 16), width = 16 * (size_t)vectors;
  for (size_t d0 = 0; d0 < stride; d0 += 32) {
    size_t end = d0 + 32 < stride ? d0 + 32 : stride, d = d0;
    if (is_q8) scale_weights(tile, rows, value_tile, kv_blocks(head_dim), d0 / 32);
    for (; d + width <= end; d += width)
      sum_columns(tile, rows, vectors, values, d, stride, type, ahead);
    if (d < end) sum_columns(tile, rows, 1, values, d, stride, type, ahead);
  }
}

/* Rescales to the larger of the two maxima (Milakov & Gimelshein 2018). */
static GUST_INLINE void merge_rows(attend_tile *tile, int rows, size_t head_dim) {
  float tops[ATTEND_LANES] = {0}, sums[ATTEND_LANES] = {0};
  float a[ATTEND_LANES], b[ATTEND_LANES];
  for (int r = 0; r < rows; r++) {
    const gust_attend_row *row = &tile->rows[r];
    tops[r] = row->begins ? tile->tops[r] : row->state[0];
    sums[r] = row->begins ? 0 : row->state[1];
  }
  vf before = v_load(tops), now = v_load(tile->tops), top = v_max(before, now);
  vf factor = v_exp(v_sub(before, top)), now_factor = v_exp(v_sub(now, top));
  v_store(a, factor);
  v_store(b, now_factor);
  v_store(tops, top);
  v_store(sums, v_fma(v_load(sums), factor, v_mul(v_load(tile->sums), now_factor)));
  for (int r = 0; r < rows; r++) {
    float *state = tile->rows[r].state, *to = state + GUST_ATTENTION_SUM;
    const float *from = tile->vectors + (size_t)r * ATTEND_STRIDE;
    bool begins = tile->rows[r].begins;
    state[0] = begins ? tile->tops[r] : tops[r];
    state[1] = begins ? tile->sums[r] : sums[r];
    vf old_scale = v_set1(a[r]), new_scale = v_set1(b[r]);
    for (size_t d = 0; d < head_dim; d += 16) {
      vf x = v_load(from + d);
      v_store(to + d, begins ? x : v_fma(v_load(to + d), old_scale, v_mul(x, new_scale)));
    }
  }
}

/* Takes the first `count` of the rows in. */
static GUST_INLINE void begin_tile(attend_tile *tile, const gust_attend_row *rows, int count,
                                   size_t head_dim) {
  tile->rows = rows;
  tile->first = tile->shared_last = GUST_CHUNK;
  tile->last = tile->shared_first = 0;
  memset(tile->tops, 0, sizeof tile->tops);
  memset(tile->sums, 0, sizeof tile->sums);
  for (int r = 0; r < count; r++) {
    size_t first = rows[r].first, last = rows[r].last;
    if (first < tile->first) tile->first = first;
    if (first > tile->shared_first) tile->shared_first = first;
    if (last > tile->last) tile->last = last;
    if (last < tile->shared_last) tile->shared_last = last;
    memcpy(tile->vectors + (size_t)r * ATTEND_STRIDE, rows[r].q, head_dim * sizeof(float));
  }
  /* Rows that have nothing in common go one by one. */
  if (tile->shared_first >= tile->shared_last) tile->shared_first = tile->shared_last = GUST_CHUNK;
}

static GUST_INLINE void attend_one_tile(attend_tile *tile, int rows, int vectors,
                                        const void *key_tile, const void *value_tile,
                                        const void *next, size_t head_dim, float scale, int type) {
  size_t width = 16 * (size_t)vectors, steps = GUST_CHUNK / width * head_dim;
  attend_ahead ahead = {(uintptr_t)value_tile, gust_value_tile_bytes(type, head_dim) / steps};
  for (size_t base = 0; base < GUST_CHUNK; base += width) {
    if (base < tile->last && base + width > tile->first) {
      score_positions(tile, rows, vectors, key_tile, base, head_dim, scale, type, &ahead);
      continue;
    }
    for (int r = 0; r < rows; r++) /* nobody sees any of these */
      memset(tile->weights + (size_t)r * GUST_CHUNK + base, 0, width * sizeof(float));
  }
  for (int r = 0; r < rows; r++) weigh_scores(tile, (size_t)r);
  ahead = (attend_ahead){(uintptr_t)next, gust_key_tile_bytes(type, head_dim) / steps};
  sum_values(tile, rows, vectors, value_tile, head_dim, type, &ahead);
  merge_rows(tile, rows, head_dim);
}

/* The number of rows of the next tile when `left` are left: whole tiles, two
 * equal ones rather than a whole one and a little, of the sizes there are. */
static inline size_t tile_rows(size_t left) {
  static const size_t sizes[] = {12, 8, 6, 4, 2, 1};
  size_t most = left > ATTEND_TILE_ROWS && left < 2 * ATTEND_TILE_ROWS ? (left + 1) / 2 : left,
         i = 0;
  while (sizes[i] > most || sizes[i] > ATTEND_TILE_ROWS) i++;
  return sizes[i];
}

static GUST_INLINE void attend_any(const gust_attend_row *rows, size_t count, const void *key_tile,
                                   const void *value_tile, const void *next, size_t head_dim,
                                   float scale, int type) {
  attend_tile tile;
  while (count) {
    size_t n = tile_rows(count);
    const void *ahead = n == count && next ? next : value_tile;
#define ATTEND_CASE(n, vectors)                                                             \
  case n:                                                                                   \
    begin_tile(&tile, rows, n, head_dim);                                                   \
    attend_one_tile(&tile, n, vectors, key_tile, value_tile, ahead, head_dim, scale, type); \
    break
    switch (n) {
#if ATTEND_TILE_ROWS >= 12
      ATTEND_CASE(12, ATTEND_TILE_VECTORS);
      ATTEND_CASE(8, ATTEND_TILE_VECTORS);
#endif
      ATTEND_CASE(6, ATTEND_TILE_VECTORS);
      ATTEND_CASE(4, ATTEND_TILE_VECTORS);
      ATTEND_CASE(2, ATTEND_MOST_VECTORS);
      ATTEND_CASE(1, ATTEND_MOST_VECTORS);
    }
#undef ATTEND_CASE
    rows += n;
    count -= n;
  }
}

static void attend_f16_lanes(const gust_attend_row *rows, size_t count, const void *key_tile,
                             const void *value_tile, const void *next, size_t head_dim,
                             float scale) {
  attend_any(rows, count, key_tile, value_tile, next, head_dim, scale, GUST_KV_TILE_F16);
}
static void attend_f32_lanes(const gust_attend_row *rows, size_t count, const void *key_tile,
                             const void *value_tile, const void *next, size_t head_dim,
                             float scale) {
  attend_any(rows, count, key_tile, value_tile, next, head_dim, scale, GUST_KV_TILE_F32);
}
static void attend_q8_lanes(const gust_attend_row *rows, size_t count, const void *key_tile,
                            const void *value_tile, const void *next, size_t head_dim,
                            float scale) {
  attend_any(rows, count, key_tile, value_tile, next, head_dim, scale, GUST_KV_TILE_Q8);
}

/* Sixteen partials at a time, so that their factors share one exp. */
static void attend_merge_lanes(float *state, const float *partials, size_t stride, size_t count,
                               size_t head_dim) {
  for (size_t done = 0; done < count; done += ATTEND_LANES) {
    size_t n = count - done < ATTEND_LANES ? count - done : ATTEND_LANES;
    const float *next = partials + done * stride;
    float a[ATTEND_LANES] = {0}, b[ATTEND_LANES] = {0};
    vf sum = v_set1(state[1]);
    for (size_t i = 0; i < n; i++) {
      float before = state[0], now = next[i * stride];
      state[0] = before > now ? before : now;
      a[i] = before - state[0];
      b[i] = now - state[0];
    }
    v_store(a, v_exp(v_load(a)));
    v_store(b, v_exp(v_load(b)));
    for (size_t i = 0; i < n; i++)
      sum = v_fma(sum, v_set1(a[i]), v_mul(v_set1(next[i * stride + 1]), v_set1(b[i])));
    v_store_n(state + 1, sum, 1);
    for (size_t d = GUST_ATTENTION_SUM; d < GUST_ATTENTION_SUM + head_dim; d += 16) {
      vf x = v_load(state + d);
      for (size_t i = 0; i < n; i++)
        x = v_fma(x, v_set1(a[i]), v_mul(v_load(next + i * stride + d), v_set1(b[i])));
      v_store(state + d, x);
    }
  }
}

static void attend_finish_lanes(float *dst, const float *state, size_t head_dim) {
  vf sum = v_set1(state[1]);
  state += GUST_ATTENTION_SUM;
  size_t d = 0;
  for (; d + 16 <= head_dim; d += 16) v_store(dst + d, v_div(v_load(state + d), sum));
  if (d < head_dim) v_store_n(dst + d, v_div(v_load(state + d), sum), head_dim - d);
}

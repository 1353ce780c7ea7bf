/* The AMX intrinsics that kernels/amx.c uses, in plain C: tiles of rows of bytes
 * whose shapes were configured. What the processor would refuse stops the test. */
#ifndef GUST_EMULATED_TILES_H
#define GUST_EMULATED_TILES_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct emu_tile {
  unsigned rows, row_bytes; /* 0: not configured */
  uint8_t b[16][64];
} emu_tile;

static emu_tile emu_tiles[8];

static inline emu_tile *emu_get_tile(int n) {
  if (n < 0 || n > 7 || emu_tiles[n].rows == 0) abort();
  return &emu_tiles[n];
}

/* 64 bytes: palette, start row, row bytes as 16-bit numbers from byte 16, rows
 * from byte 48. All tiles become zero. */
static inline void _tile_loadconfig(const void *config) {
  const uint8_t *c = config;
  if (c[0] != 1 || c[1] != 0) abort();
  for (unsigned n = 0; n < 8; n++) {
    emu_tile *t = &emu_tiles[n];
    memset(t, 0, sizeof *t);
    t->row_bytes = c[16 + 2 * n] | (unsigned)c[17 + 2 * n] << 8;
    t->rows = c[48 + n];
    if (t->rows > 16 || t->row_bytes > 64 || !t->rows != !t->row_bytes) abort();
  }
}
static inline void _tile_release(void) {
  memset(emu_tiles, 0, sizeof emu_tiles);
}
static inline void _tile_zero(int n) {
  memset(emu_get_tile(n)->b, 0, sizeof emu_tiles[n].b);
}
static inline void _tile_loadd(int n, const void *base, size_t stride) {
  emu_tile *t = emu_get_tile(n);
  memset(t->b, 0, sizeof t->b);
  for (unsigned r = 0; r < t->rows; r++)
    memcpy(t->b[r], (const uint8_t *)base + r * stride, t->row_bytes);
}
static inline void _tile_stored(int n, void *base, size_t stride) {
  const emu_tile *t = emu_get_tile(n);
  for (unsigned r = 0; r < t->rows; r++)
    memcpy((uint8_t *)base + r * stride, t->b[r], t->row_bytes);
}
/* sum[r][c] += four signed bytes of a[r] times four of b, for each four. */
static inline void _tile_dpbssd(int sum, int a, int b) {
  emu_tile *s = emu_get_tile(sum);
  const emu_tile *x = emu_get_tile(a), *w = emu_get_tile(b);
  if (x->rows != s->rows || w->row_bytes != s->row_bytes || x->row_bytes != 4 * w->rows) abort();
  for (unsigned r = 0; r < s->rows; r++) {
    for (unsigned c = 0; c < s->row_bytes; c += 4) {
      int32_t v;
      memcpy(&v, &s->b[r][c], 4);
      for (unsigned k = 0; k < w->rows; k++)
        for (unsigned i = 0; i < 4; i++) v += (int8_t)x->b[r][4 * k + i] * (int8_t)w->b[k][c + i];
      memcpy(&s->b[r][c], &v, 4);
    }
  }
}

#endif

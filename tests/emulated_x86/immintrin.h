/* The intrinsics that kernels/avx512.c and kernels/amx.c use, in plain C, each written
 * from the operation Intel documents for it. Compiling the level against this
 * instead of the compiler's header lets every machine check that its source
 * computes the reference's bits, also where the processor lacks AVX-512. It
 * says nothing about speed. */
#ifndef GUST_EMULATED_IMMINTRIN_H
#define GUST_EMULATED_IMMINTRIN_H

#include <math.h>
#include <stdint.h>
#include <string.h>

typedef struct {
  float f[4];
} __m128;
typedef struct {
  float f[8];
} __m256;
typedef struct {
  float f[16];
} __m512;
typedef struct {
  double d[4];
} __m256d;
typedef struct {
  double d[8];
} __m512d;
typedef struct {
  uint8_t b[16];
} __m128i;
typedef struct {
  uint8_t b[32];
} __m256i;
typedef struct {
  uint8_t b[64];
} __m512i;
typedef uint16_t __mmask16;

/* One line per operation reads better here. */
/* clang-format off */
#define EMU static inline __attribute__((unused))
#define EACH(n) for (int i = 0; i < (n); i++)

EMU int32_t emu_get32(const uint8_t *b, int i) {
  int32_t v;
  memcpy(&v, b + 4 * i, 4);
  return v;
}
EMU void emu_put32(uint8_t *b, int i, int32_t v) { memcpy(b + 4 * i, &v, 4); }

/* --- loads, stores, constants --- */
EMU __m512 _mm512_loadu_ps(const void *p) { __m512 r; memcpy(&r, p, 64); return r; }
EMU __m512 _mm512_load_ps(const void *p) { return _mm512_loadu_ps(p); }
EMU void _mm512_storeu_ps(void *p, __m512 a) { memcpy(p, &a, 64); }
EMU __m512i _mm512_load_si512(const void *p) { __m512i r; memcpy(&r, p, 64); return r; }
EMU void _mm512_store_si512(void *p, __m512i a) { memcpy(p, &a, 64); }
EMU __m128i _mm_loadu_si128(const __m128i *p) { __m128i r; memcpy(&r, p, 16); return r; }
EMU __m128i _mm_load_si128(const __m128i *p) { return _mm_loadu_si128(p); }
EMU __m256i _mm256_loadu_si256(const __m256i *p) { __m256i r; memcpy(&r, p, 32); return r; }
EMU void _mm_storeu_si128(__m128i *p, __m128i a) { memcpy(p, &a, 16); }
EMU void _mm256_storeu_si256(__m256i *p, __m256i a) { memcpy(p, &a, 32); }
EMU __m512 _mm512_maskz_loadu_ps(__mmask16 m, const void *p) {
  __m512 r;
  EACH(16) {
    r.f[i] = 0;
    if (m >> i & 1) memcpy(&r.f[i], (const char *)p + 4 * i, 4);
  }
  return r;
}
EMU void _mm512_mask_storeu_ps(void *p, __mmask16 m, __m512 a) {
  EACH(16) if (m >> i & 1) memcpy((char *)p + 4 * i, &a.f[i], 4);
}
EMU __m128 _mm_loadu_ps(const float *p) { __m128 r; memcpy(&r, p, 16); return r; }
EMU void _mm_storeu_ps(float *p, __m128 a) { memcpy(p, &a, 16); }
EMU void emu_transpose(__m128 *a, __m128 *b, __m128 *c, __m128 *d) {
  const __m128 r[4] = {*a, *b, *c, *d};
  EACH(4) a->f[i] = r[i].f[0], b->f[i] = r[i].f[1], c->f[i] = r[i].f[2], d->f[i] = r[i].f[3];
}
#define _MM_TRANSPOSE4_PS(a, b, c, d) emu_transpose(&(a), &(b), &(c), &(d))
EMU __m512 _mm512_set1_ps(float x) { __m512 r; EACH(16) r.f[i] = x; return r; }
EMU __m512 _mm512_setzero_ps(void) { return _mm512_set1_ps(0); }
EMU __m512i _mm512_set1_epi32(int x) { __m512i r; EACH(16) emu_put32(r.b, i, x); return r; }
EMU __m512i _mm512_set1_epi8(char x) { __m512i r; EACH(64) r.b[i] = (uint8_t)x; return r; }
EMU __m128i _mm_set1_epi8(char x) { __m128i r; EACH(16) r.b[i] = (uint8_t)x; return r; }
EMU __m512i _mm512_setr_epi32(int a, int b, int c, int d, int e, int f, int g, int h, int j, int k,
                              int l, int m, int n, int o, int p, int q) {
  const int all[16] = {a, b, c, d, e, f, g, h, j, k, l, m, n, o, p, q};
  __m512i r;
  memcpy(&r, all, 64);
  return r;
}
#define _MM_HINT_T0 3
#define _MM_HINT_T1 2
EMU void _mm_prefetch(const char *p, int hint) { (void)p, (void)hint; }

/* --- float arithmetic --- */
EMU __m512 _mm512_add_ps(__m512 a, __m512 b) { EACH(16) a.f[i] += b.f[i]; return a; }
EMU __m512 _mm512_sub_ps(__m512 a, __m512 b) { EACH(16) a.f[i] -= b.f[i]; return a; }
EMU __m512 _mm512_mul_ps(__m512 a, __m512 b) { EACH(16) a.f[i] *= b.f[i]; return a; }
EMU __m512 _mm512_div_ps(__m512 a, __m512 b) { EACH(16) a.f[i] /= b.f[i]; return a; }
EMU __m512 _mm512_fmadd_ps(__m512 a, __m512 b, __m512 c) {
  EACH(16) a.f[i] = fmaf(a.f[i], b.f[i], c.f[i]);
  return a;
}
EMU __m512 _mm512_fnmadd_ps(__m512 a, __m512 b, __m512 c) {
  EACH(16) a.f[i] = fmaf(-a.f[i], b.f[i], c.f[i]);
  return a;
}
/* MAXPS and MINPS give the second operand when either is NaN or both are 0. */
EMU __m512 _mm512_max_ps(__m512 a, __m512 b) {
  EACH(16) a.f[i] = a.f[i] > b.f[i] ? a.f[i] : b.f[i];
  return a;
}
EMU __m512 _mm512_min_ps(__m512 a, __m512 b) {
  EACH(16) a.f[i] = a.f[i] < b.f[i] ? a.f[i] : b.f[i];
  return a;
}
EMU __m256 _mm256_add_ps(__m256 a, __m256 b) { EACH(8) a.f[i] += b.f[i]; return a; }
EMU __m256 _mm256_max_ps(__m256 a, __m256 b) {
  EACH(8) a.f[i] = a.f[i] > b.f[i] ? a.f[i] : b.f[i];
  return a;
}
EMU __m128 _mm_add_ps(__m128 a, __m128 b) { EACH(4) a.f[i] += b.f[i]; return a; }
EMU __m128 _mm_max_ps(__m128 a, __m128 b) {
  EACH(4) a.f[i] = a.f[i] > b.f[i] ? a.f[i] : b.f[i];
  return a;
}
EMU __m128 _mm_add_ss(__m128 a, __m128 b) { a.f[0] += b.f[0]; return a; }
EMU __m128 _mm_max_ss(__m128 a, __m128 b) {
  a.f[0] = a.f[0] > b.f[0] ? a.f[0] : b.f[0];
  return a;
}

/* --- bits of floats, halves of registers --- */
EMU __m512 _mm512_andnot_ps(__m512 a, __m512 b) {
  uint8_t x[64], y[64];
  memcpy(x, &a, 64);
  memcpy(y, &b, 64);
  EACH(64) y[i] = (uint8_t)(~x[i] & y[i]);
  memcpy(&b, y, 64);
  return b;
}
EMU __m512 _mm512_xor_ps(__m512 a, __m512 b) {
  uint8_t x[64], y[64];
  memcpy(x, &a, 64);
  memcpy(y, &b, 64);
  EACH(64) y[i] ^= x[i];
  memcpy(&b, y, 64);
  return b;
}
EMU __m512 _mm512_castsi512_ps(__m512i a) { __m512 r; memcpy(&r, &a, 64); return r; }
EMU __m512d _mm512_castps_pd(__m512 a) { __m512d r; memcpy(&r, &a, 64); return r; }
EMU __m256 _mm256_castpd_ps(__m256d a) { __m256 r; memcpy(&r, &a, 32); return r; }
EMU __m256d _mm512_extractf64x4_pd(__m512d a, int half) {
  __m256d r;
  memcpy(&r, &a.d[4 * (half & 1)], 32);
  return r;
}
EMU __m256 _mm512_castps512_ps256(__m512 a) { __m256 r; memcpy(&r, &a, 32); return r; }
EMU __m128 _mm256_castps256_ps128(__m256 a) { __m128 r; memcpy(&r, &a, 16); return r; }
EMU __m128 _mm256_extractf128_ps(__m256 a, int half) {
  __m128 r;
  memcpy(&r, &a.f[4 * (half & 1)], 16);
  return r;
}
EMU __m128 _mm_movehl_ps(__m128 a, __m128 b) {
  __m128 r = {{b.f[2], b.f[3], a.f[2], a.f[3]}};
  return r;
}
EMU __m128 _mm_movehdup_ps(__m128 a) {
  __m128 r = {{a.f[1], a.f[1], a.f[3], a.f[3]}};
  return r;
}
EMU float _mm_cvtss_f32(__m128 a) { return a.f[0]; }

/* --- conversions --- */
EMU __m512i _mm512_srli_epi32(__m512i a, unsigned n) {
  EACH(16) emu_put32(a.b, i, (int32_t)((uint32_t)emu_get32(a.b, i) >> n));
  return a;
}
EMU __m512i _mm512_cvttps_epi32(__m512 a) {
  __m512i r;
  EACH(16) {
    int inside = a.f[i] > -2147483904.0f && a.f[i] < 2147483648.0f; /* NaN: no */
    emu_put32(r.b, i, inside ? (int32_t)a.f[i] : INT32_MIN);
  }
  return r;
}
EMU __m512 _mm512_cvtepi32_ps(__m512i a) {
  __m512 r;
  EACH(16) r.f[i] = (float)emu_get32(a.b, i);
  return r;
}
EMU __m512i _mm512_cvtepi8_epi32(__m128i a) {
  __m512i r;
  EACH(16) emu_put32(r.b, i, (int8_t)a.b[i]);
  return r;
}
EMU __m512i _mm512_cvtepu8_epi32(__m128i a) {
  __m512i r;
  EACH(16) emu_put32(r.b, i, a.b[i]);
  return r;
}
EMU __m512i _mm512_cvtepu16_epi32(__m256i a) {
  __m512i r;
  EACH(16) emu_put32(r.b, i, a.b[2 * i] | a.b[2 * i + 1] << 8);
  return r;
}
EMU __m128i _mm512_cvtsepi32_epi8(__m512i a) {
  __m128i r;
  EACH(16) {
    int32_t v = emu_get32(a.b, i);
    r.b[i] = (uint8_t)(v > 127 ? 127 : v < -128 ? -128 : v);
  }
  return r;
}
/* binary16, by its definition: sign, 5 exponent bits of bias 15, 10 of fraction. */
EMU __m512 _mm512_cvtph_ps(__m256i a) {
  __m512 r;
  EACH(16) {
    int h = a.b[2 * i] | a.b[2 * i + 1] << 8, exponent = h >> 10 & 31, fraction = h & 1023;
    float v = exponent == 31  ? (fraction ? NAN : INFINITY)
              : exponent == 0 ? ldexpf((float)fraction, -24)
                              : ldexpf((float)(1024 + fraction), exponent - 25);
    r.f[i] = h >> 15 ? -v : v;
  }
  return r;
}
#define _MM_FROUND_TO_NEAREST_INT 0
/* The nearest of the halves by search from above; inputs are finite and at most
 * 65504. */
EMU __m256i _mm512_cvtps_ph(__m512 a, int rounding) {
  (void)rounding;
  __m256i r;
  EACH(16) {
    float v = fabsf(a.f[i]);
    int exponent;
    frexpf(v, &exponent);
    int step = exponent - 11 < -24 ? -24 : exponent - 11; /* one unit of the last place */
    float units = rintf(ldexpf(v, -step));                /* exact scaling, ties to even */
    int h = v == 0        ? 0
            : step == -24 ? (int)units : (step + 24) * 1024 + (int)units;
    if (signbit(a.f[i])) h |= 0x8000;
    r.b[2 * i] = (uint8_t)h;
    r.b[2 * i + 1] = (uint8_t)(h >> 8);
  }
  return r;
}

/* --- integers --- */
EMU __m512i _mm512_add_epi32(__m512i a, __m512i b) {
  EACH(16) emu_put32(a.b, i, (int32_t)((uint32_t)emu_get32(a.b, i) + (uint32_t)emu_get32(b.b, i)));
  return a;
}
EMU __m512i _mm512_slli_epi32(__m512i a, unsigned n) {
  EACH(16) emu_put32(a.b, i, (int32_t)((uint32_t)emu_get32(a.b, i) << n));
  return a;
}
EMU __m512i _mm512_srai_epi32(__m512i a, unsigned n) {
  EACH(16) emu_put32(a.b, i, emu_get32(a.b, i) >> n);
  return a;
}
EMU __m512i _mm512_srli_epi16(__m512i a, unsigned n) {
  EACH(32) {
    int v = (a.b[2 * i] | a.b[2 * i + 1] << 8) >> n;
    a.b[2 * i] = (uint8_t)v;
    a.b[2 * i + 1] = (uint8_t)(v >> 8);
  }
  return a;
}
EMU __m512i _mm512_and_si512(__m512i a, __m512i b) { EACH(64) a.b[i] &= b.b[i]; return a; }
EMU __m512i _mm512_xor_si512(__m512i a, __m512i b) { EACH(64) a.b[i] ^= b.b[i]; return a; }
EMU __m128i _mm_add_epi8(__m128i a, __m128i b) {
  EACH(16) a.b[i] = (uint8_t)(a.b[i] + b.b[i]);
  return a;
}
EMU __m512i _mm512_add_epi8(__m512i a, __m512i b) {
  EACH(64) a.b[i] = (uint8_t)(a.b[i] + b.b[i]);
  return a;
}
EMU __m512i _mm512_broadcast_i32x4(__m128i a) {
  __m512i r;
  EACH(64) r.b[i] = a.b[i % 16];
  return r;
}
/* Within each 16 bytes; 0 where the index has its top bit set. */
EMU __m512i _mm512_shuffle_epi8(__m512i a, __m512i index) {
  __m512i r;
  EACH(64) r.b[i] = index.b[i] & 128 ? 0 : a.b[i / 16 * 16 + (index.b[i] & 15)];
  return r;
}
EMU __m512 _mm512_permutex2var_ps(__m512 a, __m512i index, __m512 b) {
  __m512 r;
  EACH(16) {
    int at = emu_get32(index.b, i) & 31;
    r.f[i] = at < 16 ? a.f[at] : b.f[at - 16];
  }
  return r;
}
/* Unsigned bytes of a times signed bytes of b, four to a lane, added to s. */
EMU __m512i _mm512_dpbusd_epi32(__m512i s, __m512i a, __m512i b) {
  EACH(16) {
    int64_t sum = emu_get32(s.b, i);
    for (int j = 4 * i; j < 4 * i + 4; j++) sum += a.b[j] * (int8_t)b.b[j];
    emu_put32(s.b, i, (int32_t)(uint32_t)sum);
  }
  return s;
}

/* --- masks --- */
#define _CMP_LT_OQ 17
#define _CMP_LE_OQ 18
EMU __mmask16 _mm512_cmp_ps_mask(__m512 a, __m512 b, int predicate) {
  unsigned m = 0;
  int or_equal = predicate == _CMP_LE_OQ;
  EACH(16) m |= (unsigned)(or_equal ? a.f[i] <= b.f[i] : a.f[i] < b.f[i]) << i;
  return (__mmask16)m;
}
EMU __mmask16 _mm512_cmpge_epi32_mask(__m512i a, __m512i b) {
  unsigned m = 0;
  EACH(16) m |= (unsigned)(emu_get32(a.b, i) >= emu_get32(b.b, i)) << i;
  return (__mmask16)m;
}
EMU __mmask16 _mm512_cmplt_epi32_mask(__m512i a, __m512i b) {
  unsigned m = 0;
  EACH(16) m |= (unsigned)(emu_get32(a.b, i) < emu_get32(b.b, i)) << i;
  return (__mmask16)m;
}
EMU __mmask16 _mm512_test_epi32_mask(__m512i a, __m512i b) {
  unsigned m = 0;
  EACH(16) m |= (unsigned)((emu_get32(a.b, i) & emu_get32(b.b, i)) != 0) << i;
  return (__mmask16)m;
}
EMU __m512 _mm512_maskz_mov_ps(__mmask16 m, __m512 a) {
  EACH(16) if (!(m >> i & 1)) a.f[i] = 0;
  return a;
}
EMU __m512 _mm512_mask_mov_ps(__m512 other, __mmask16 m, __m512 a) {
  EACH(16) if (!(m >> i & 1)) a.f[i] = other.f[i];
  return a;
}
EMU __m512i _mm512_maskz_mov_epi32(__mmask16 m, __m512i a) {
  EACH(16) if (!(m >> i & 1)) emu_put32(a.b, i, 0);
  return a;
}
EMU __m512i _mm512_mask_mov_epi32(__m512i other, __mmask16 m, __m512i a) {
  EACH(16) if (!(m >> i & 1)) emu_put32(a.b, i, emu_get32(other.b, i));
  return a;
}

#ifdef __AMX_TILE__
#include "emulated_tiles.h"
#endif

#endif

/* Panel quantizers: 16 rows of floats become one panel (kernels/panel.h), and
 * back. They are plain C with a written order of operations, so the bytes are
 * the same on every machine and compiler; they never fail and never allocate.
 *
 * `rows` is [16][k_padded] floats, row-major, finite, with zeros where the
 * matrix is padded; k_padded is a multiple of 128. A panel holds
 * gust_type_panel_bytes(type, k_padded) bytes (src/format.h); `row_codes` are
 * its 16 row codes, written and read by the quantized types alone.
 */
#ifndef GUST_QUANTIZERS_H
#define GUST_QUANTIZERS_H

#include "format.h"
#include "panel.h"

/* Packs one panel of `type` and returns sum (w - w')^2 over it. */
double gust_panel_pack(gust_type type, const float *rows, size_t k_padded, uint8_t *panel,
                       uint8_t *row_codes);

/* The weights w' a panel stands for. */
void gust_panel_unpack(gust_type type, const uint8_t *panel, const uint8_t *row_codes,
                       size_t k_padded, float *rows);

/* The least row code whose scale is at least `scale`; `scale` is finite and not
 * negative. 0 for 0 and for what is next to it. */
uint8_t gust_row_code_for(float scale);

/* The single types, as gust_panel_pack and _unpack call them. */
double gust_q4_pack(const float *rows, size_t k_padded, uint8_t *panel, uint8_t *row_codes);
double gust_q8_pack(const float *rows, size_t k_padded, uint8_t *panel, uint8_t *row_codes);
double gust_bf16_pack(const float *rows, size_t k_padded, uint8_t *panel);
double gust_f32_pack(const float *rows, size_t k_padded, uint8_t *panel);
void gust_q4_unpack(const uint8_t *panel, const uint8_t *row_codes, size_t k_padded, float *rows);
void gust_q8_unpack(const uint8_t *panel, const uint8_t *row_codes, size_t k_padded, float *rows);
void gust_bf16_unpack(const uint8_t *panel, size_t k_padded, float *rows);
void gust_f32_unpack(const uint8_t *panel, size_t k_padded, float *rows);

/* Nearest bfloat16 of a finite float, ties to even. What lies past the largest
 * bfloat16 becomes that one, not infinity. */
uint16_t gust_bf16_from_float(float value);

#endif

/* Panel quantizers: 16 rows of floats become one panel (kernels/panel.h), and
 * back. What the work consists of are the kernels of weight_quantizer.h: choose
 * a panel's row codes, then for each block of 32 columns its scales, then round.
 * gust_panel_pack does just that; who wants to change values between the steps
 * (error feedback) calls the kernels and puts the codes in place here. The
 * bytes are the same on every CPU level and compiler. Nothing here fails or
 * allocates.
 *
 * `values` are [k_padded][16] floats, value (r, k) at 16 k + r, finite, with
 * zeros where the matrix is padded; k_padded is a multiple of 128. A panel holds
 * gust_type_panel_bytes(type, k_padded) bytes (src/format.h); `row_codes` are
 * its 16 row codes, written and read by the quantized types alone. */
#ifndef GUST_QUANTIZERS_H
#define GUST_QUANTIZERS_H

#include "format.h"
#include "kernels.h"

/* Packs one panel of `type` and returns sum (w - w')^2 over it, every weight
 * counting alike. The quantized types look for the least sum of importance[k]
 * (w - w')^2; importance: k_padded numbers as weight_quantizer.h wants them, or
 * NULL: all one. */
double gust_panel_pack(const gust_kernels *kernels, gust_type type, const float *values,
                       const float *importance, size_t k_padded, uint8_t *panel,
                       uint8_t *row_codes);

/* The weights w' a panel stands for. */
void gust_panel_unpack(gust_type type, const uint8_t *panel, const uint8_t *row_codes,
                       size_t k_padded, float *values);

/* --- the steps of the quantized types ------------------------------------------ */

/* The kernels of `type`, which is q4 or q8. */
const gust_weight_quantizer *gust_weight_quantizer_of(const gust_kernels *kernels, gust_type type);

/* Puts the block of columns k .. k + 31, k a multiple of 32, into the panel:
 * 16 scale bytes and codes[16 i + r], i < 32, as the kernels give them. */
void gust_panel_store_block(gust_type type, uint8_t *panel, size_t k, const uint8_t *scales,
                            const uint8_t *codes);

/* Nearest bfloat16 of a finite float, ties to even. What lies past the largest
 * bfloat16 becomes that one, not infinity. */
uint16_t gust_bf16_from_float(float value);

#endif

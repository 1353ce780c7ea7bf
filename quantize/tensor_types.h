/* Which type each tensor of the file gets. */
#ifndef GUST_TENSOR_TYPES_H
#define GUST_TENSOR_TYPES_H

#include "format.h"

/* Sets the type of every tensor in header->tensors, which are those of header->config in
 * their order: gust_tensor_usual_type(), for matrices of `matrix_type`. */
void tensor_types_assign(gust_header *header, gust_type matrix_type);

/* Rules "PATTERN=TYPE", of which the last that matches a name decides. In a pattern
 * * stands for any text and ? for one character. kept[i], one for each tensor, says
 * whether a rule chose its type. Refuses, by name, a rule that is none or matches no
 * matrix. */
gust_status tensor_types_keep(gust_header *header, const char *const *rules, size_t count,
                              bool *kept, gust_error *err);

/* Whether it is q4 or q8. */
bool tensor_types_is_quantized(const gust_tensor *t);

/* How far off a matrix's outputs would be in either type: squared error relative to
 * the outputs' squares. */
typedef struct tensor_sensitivity {
  double q4, q8;
} tensor_sensitivity;

/* Chooses q4 or q8 for every matrix that is of either type and not kept, so that all
 * matrices of these types together come to at most `bits` per weight: q8 first
 * where the error it takes away is largest for its bytes. Refuses bits that are out
 * of reach and says what is not. */
gust_status tensor_types_choose(gust_header *header, const tensor_sensitivity *sensitivities,
                                const bool *kept, double bits, gust_error *err);

/* Bits per weight of all q4 and q8 matrices together. */
double tensor_types_bits(const gust_header *header);

/* What is q8, by kind: "v_proj 8 of 8, down_proj 3 of 8" into line[bytes]. */
void tensor_types_describe(const gust_header *header, char *line, size_t bytes);

#endif

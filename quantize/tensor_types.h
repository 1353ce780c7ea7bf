/* Which type each tensor of the file gets. */
#ifndef GUST_TENSOR_TYPES_H
#define GUST_TENSOR_TYPES_H

#include "format.h"

/* Sets the type of every tensor in header->tensors (names and ranks are there):
 * vectors f32, matrices `matrix_type`, but q8 instead of q4 for the embedding,
 * the head and every attention's v. */
void tensor_types_assign(gust_header *header, gust_type matrix_type);

#endif

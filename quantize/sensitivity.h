/* How much every matrix suffers from being rounded to q4 or q8, without a text: the
 * squared error of the weights relative to their squares, which is that of the
 * outputs for inputs that are alike in all columns. */
#ifndef GUST_SENSITIVITY_H
#define GUST_SENSITIVITY_H

#include "checkpoint.h"
#include "kernels.h"
#include "pool.h"
#include "tensor_map.h"
#include "tensor_types.h"

/* Fills in sensitivities[i] of every matrix of type q4 or q8 that is
 * not kept. `progress` gets the bytes of source handled; true stops. */
gust_status sensitivity_measure(const checkpoint *source, const tensor_map *map,
                                gust_header *header, const bool *kept, const gust_kernels *kernels,
                                gust_pool *pool, bool (*progress)(void *user, uint64_t bytes),
                                void *user, tensor_sensitivity *sensitivities, gust_error *err);

#endif

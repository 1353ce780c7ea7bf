/* One .safetensors file: a length, a JSON header, the tensors' bytes. The file
 * is mapped; weights are converted to float as they are asked for. */
#ifndef GUST_SAFETENSORS_H
#define GUST_SAFETENSORS_H

#include "os.h"
#include "status.h"

#define SAFETENSORS_MAX_RANK 8

typedef enum safetensors_dtype {
  SAFETENSORS_BF16,
  SAFETENSORS_F16,
  SAFETENSORS_F32
} safetensors_dtype;

typedef struct safetensors_tensor {
  char *name;
  safetensors_dtype dtype;
  uint32_t rank;
  uint64_t shape[SAFETENSORS_MAX_RANK];
  size_t offset; /* from the start of the file; not aligned */
  size_t bytes;
} safetensors_tensor;

typedef struct safetensors_file {
  char *path;
  os_map map;
  size_t data_begin;
  safetensors_tensor *tensors; /* in the order of their bytes, without gaps */
  size_t tensor_count;
} safetensors_file;

/* Refuses, with GUST_E_FORMAT or GUST_E_UNSUPPORTED and by name: a header that
 * is no JSON of the right shape, names given twice, element types other than
 * BF16, F16 and F32, shapes that do not fit their bytes, and bytes that
 * overlap, leave gaps or pass the end. *file is to be closed in every case. */
gust_status safetensors_open(safetensors_file *file, const char *path, gust_error *err);
/* Fails when the file was changed in place since it was opened: to be asked after
 * its weights were read and before what came of them is used. */
gust_status safetensors_check(const safetensors_file *file, gust_error *err);
void safetensors_close(safetensors_file *file);

size_t safetensors_element_bytes(safetensors_dtype dtype);

/* "[2, 3]" into `text`; returns text. */
#define SAFETENSORS_SHAPE_TEXT (SAFETENSORS_MAX_RANK * 22 + 3)
const char *safetensors_shape_text(const uint64_t *shape, uint32_t rank,
                                   char text[SAFETENSORS_SHAPE_TEXT]);

/* `count` elements from any address to floats, exactly. Returns the index of
 * the first that is NaN or infinite, or `count` when all are finite. */
size_t safetensors_to_floats(safetensors_dtype dtype, const uint8_t *data, size_t count,
                             float *out);

#endif

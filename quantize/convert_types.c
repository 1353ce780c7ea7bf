/* Types by what each matrix suffers. */
#include <stdio.h>
#include <stdlib.h>

#include "conversion.h"
#include "sensitivity.h"
#include "status.h"
#include "tensor_types.h"

/* Source bytes of the matrices that measuring goes over. */
static uint64_t bytes_to_measure(const conversion *c, bool calibrated) {
  uint64_t bytes = 0;
  for (size_t s = 0; s < c->source.shard_count; s++) {
    const safetensors_file *file = &c->source.shards[s].file;
    for (size_t i = 0; i < file->tensor_count; i++) {
      size_t index = c->map.targets[s][i];
      if (index == TENSOR_MAP_NONE || c->kept[index]) continue;
      const gust_tensor *t = &c->header.tensors[index];
      if (calibrated ? calibration_rounds(t) : tensor_types_is_quantized(t))
        bytes += file->tensors[i].bytes;
    }
  }
  return bytes;
}

/* What every matrix suffers; the embedding, which is no linear layer, by its weights
 * in any case. */
static gust_status measure(conversion *c, tensor_sensitivity *sensitivities, gust_error *err) {
  c->total += bytes_to_measure(c, false);
  if (c->options.calibration) c->total += bytes_to_measure(c, true);
  gust_status status =
      sensitivity_measure(&c->source, &c->map, &c->header, c->kept, &c->packer.kernels, c->pool,
                          conversion_advance, c, sensitivities, err);
  if (status || !c->options.calibration) return status;
  calibration job = conversion_calibration(c);
  return calibration_measure(&job, c->kept, sensitivities, err);
}

gust_status conversion_choose_types(conversion *c, gust_error *err) {
  if (!(c->options.target_bits > 0)) return GUST_OK;
  size_t bytes = c->header.tensor_count * sizeof(tensor_sensitivity);
  tensor_sensitivity *sensitivities = calloc(1, bytes);
  if (!sensitivities) return gust_fail_memory(err, "sensitivities", bytes);
  /* Before long work: whether the number is within reach. */
  gust_status status =
      tensor_types_choose(&c->header, sensitivities, c->kept, c->options.target_bits, err);
  if (!status) status = measure(c, sensitivities, err);
  if (!status)
    status = tensor_types_choose(&c->header, sensitivities, c->kept, c->options.target_bits, err);
  free(sensitivities);
  if (status) return status;
  char kinds[256], line[320];
  tensor_types_describe(&c->header, kinds, sizeof kinds);
  snprintf(line, sizeof line, "%.3f bits per weight of the quantized matrices; q8 for %s",
           tensor_types_bits(&c->header), *kinds ? kinds : "none");
  conversion_note(c, line);
  return conversion_place(c, err);
}

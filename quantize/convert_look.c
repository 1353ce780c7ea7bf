/* What a conversion would come to. */
#include <stdlib.h>
#include <string.h>

#include "conversion.h"
#include "tokenizer.h"

static gust_type exact_type(const conversion *c) {
  for (size_t s = 0; s < c->source.shard_count; s++) {
    const safetensors_file *file = &c->source.shards[s].file;
    for (size_t t = 0; t < file->tensor_count; t++) {
      size_t index = c->map.targets[s][t];
      if (index != TENSOR_MAP_NONE && c->header.tensors[index].rank == 2 &&
          file->tensors[t].dtype != SAFETENSORS_BF16)
        return GUST_TYPE_F32;
    }
  }
  return GUST_TYPE_BF16;
}

static gust_status place_exact(conversion *c, gust_convert_preview *preview, gust_error *err) {
  preview->exact_type = exact_type(c);
  for (size_t i = 0; i < c->header.tensor_count; i++)
    if (c->header.tensors[i].rank == 2) c->header.tensors[i].type = preview->exact_type;
  c->options.measure = NULL;
  gust_status status = conversion_place(c, err);
  preview->exact_bytes = c->header.file_bytes;
  return status;
}

static gust_status count_tokens(const conversion *c, const char *folder, const char *text,
                                size_t bytes, size_t *count, gust_error *err) {
  gust_tokenizer *tokenizer = NULL;
  int32_t *ids = NULL;
  gust_status status = gust_tokenizer_create(&tokenizer, c->header.tokenizer,
                                             c->header.tokenizer_bytes, folder, err);
  if (!status)
    status = gust_tokenizer_text_to_ids(tokenizer, text, bytes, GUST_ENDS_BOTH, true, NULL, 0, &ids,
                                        count, err);
  free(ids);
  gust_tokenizer_destroy(tokenizer);
  return status;
}

gust_status gust_convert_look(const char *source_folder, const gust_convert_options *options,
                              const char *text, size_t text_bytes, gust_convert_preview *preview,
                              gust_error *err) {
  conversion c = {.options = *options, .writer = FILE_WRITER_NONE};
  memset(preview, 0, sizeof *preview);
  gust_status status = conversion_plan(&c, source_folder, err);
  preview->file_bytes = c.header.file_bytes;
  preview->has_bos = c.header.config.bos_id >= 0;
  if (!status) status = place_exact(&c, preview, err);
  if (!status && text)
    status = count_tokens(&c, source_folder, text, text_bytes, &preview->text_tokens, err);
  conversion_clear(&c, false);
  return status;
}

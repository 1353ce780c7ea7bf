/* How the bytes of a model's file come to be in memory. Internal to src. */
#ifndef GUST_MODEL_LOAD_H
#define GUST_MODEL_LOAD_H

#include "model.h"

/* Points model->file at the file's bytes, whose mapping model->map and header are
 * there: copied, or mapped and read ahead. Sets info.load to the way taken. */
gust_status gust_model_load(gust_model *model, const char *path, const gust_model_options *options,
                            gust_error *err);

#endif

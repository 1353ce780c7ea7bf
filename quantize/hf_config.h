/* The JSON files around a checkpoint's weights: what the model is, how it wants
 * to be sampled, how a conversation is put to it. */
#ifndef GUST_HF_CONFIG_H
#define GUST_HF_CONFIG_H

#include "format.h"

/* Reads FOLDER/config.json (required), generation_config.json and the chat
 * template (chat_template.jinja, else tokenizer_config.json). *chat_template is
 * to be freed, NULL where there is none, or none to be picked, which *note then says;
 * else *note is NULL.
 *
 * What config.json leaves out, but for sizes, has transformers' default. What it asks for and
 * gust lacks is refused by name with GUST_E_UNSUPPORTED. In a Llama model
 * sliding_window means nothing, as in transformers.
 *
 * Sampling: do_sample false means temperature 0. Fields that
 * generation_config.json leaves out have gust's defaults: temperature 0.7,
 * top_k 50, top_p 0.95, min_p 0, repetition_penalty 1, no max_new_tokens. */
gust_status hf_config_read(const char *folder, gust_config *config, gust_generation *generation,
                           char **chat_template, const char **note, gust_error *err);

#endif

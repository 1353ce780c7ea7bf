/* The tokens that tokenizer_config.json names: which one begins a text, which one ends it.
 * transformers takes them from there when it renders a template and, of Llama's tokenizer
 * classes, when it puts ids around a text, whatever the files beside it say. */
#ifndef GUST_SPECIAL_TOKENS_H
#define GUST_SPECIAL_TOKENS_H

#include "format.h"
#include "tokenizer.h"

typedef struct special_tokens {
  int32_t bos, eos; /* ids; -1: not named, or no piece */
  bool llama;       /* tokenizer_class is LlamaTokenizer or its fast kind */
  bool bos_given, add_bos, eos_given, add_eos; /* add_bos_token, add_eos_token */
} special_tokens;

/* Reads FOLDER/tokenizer_config.json, which need not be there. */
gust_status special_tokens_read(special_tokens *tokens, const char *folder,
                                const gust_vocabulary *vocabulary, gust_error *err);

/* The ids around a text become those asked for, of Llama's classes. */
gust_status special_tokens_put_around(const special_tokens *tokens, gust_vocabulary *vocabulary,
                                      gust_error *err);

/* The model begins texts with `bos`, and `eos` is the first of the ids that end its
 * answers. *begins, *ends: whether config said otherwise. */
gust_status special_tokens_configure(const special_tokens *tokens, gust_config *config,
                                     bool *begins, bool *ends, gust_error *err);

#endif

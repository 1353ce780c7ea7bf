/* A gust_decoder on a tokenizer alone, without a model. Internal to src. */
#ifndef GUST_TEXT_DECODER_H
#define GUST_TEXT_DECODER_H

#include "tokenizer.h"

/* As gust_decoder_create; the tokenizer must outlive the decoder. */
gust_status gust_decoder_create_on(gust_decoder **decoder, const gust_tokenizer *tokenizer,
                                   gust_error *err);

#endif

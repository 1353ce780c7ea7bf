/* One answer: a prompt is fed, ids are drawn, their text is collected and, when
 * wanted, streamed to stdout. Shared by run and chat. */
#ifndef GUST_CLI_ANSWER_H
#define GUST_CLI_ANSWER_H

#include "command.h"

/* Told of each id and the text that came out with it (stop texts included), while
 * the context's logits are still those it was drawn from. */
typedef gust_status answer_token_fn(void *user, int32_t id, const char *text, size_t bytes,
                                    gust_error *err);

typedef struct answer_options {
  size_t max_tokens;        /* 0: until the context is full */
  bool stream;              /* print to stdout token by token */
  bool continuation;        /* the text goes on where the prompt's ends: a space at its
                               start is kept */
  bool quiet;               /* no progress line */
  const char *const *stops; /* the answer ends before any of these texts */
  size_t stop_count;
  answer_token_fn *on_token; /* may be NULL */
  void *user;
} answer_options;

typedef struct cli_answer {
  char *text; /* NUL-terminated; NULL while empty */
  size_t bytes;
  int32_t *ids;
  size_t count;
  size_t prompt_tokens; /* of the whole prompt */
  size_t fed_tokens;    /* of those, not in the cache already */
  gust_finish finish;   /* GUST_FINISH_CALLBACK: a stop text or a signal ended it */
  bool stopped;         /* it was a stop text, which `ids` hold and `text` does not */
  double prefill_seconds, decode_seconds;
} cli_answer;

/* Makes the context's sequence be `ids`, computing only what follows the part
 * it already holds, and draws an answer after it. A signal during the answer
 * ends it and is no error (finish says so); during the prompt the status is
 * GUST_E_CANCELLED. On failure the answer holds what there was. Either way
 * answer_clear frees it. */
gust_status answer_produce(cli_answer *answer, const gust_model *model, gust_context *context,
                           gust_sampler *sampler, const int32_t *ids, size_t count,
                           const answer_options *options, gust_error *err);

void answer_clear(cli_answer *answer);

/* Says why an answer ended that did not end by itself, which must not look as if
 * it had; nothing when the user asked for the limit or the stop. */
void answer_explain(const cli_answer *answer, const cli_command *command,
                    const gust_context *context, bool limit_given);

/* "eos", "limit", "context", "stop" or "interrupted". */
const char *answer_finish_name(const cli_answer *answer);

#endif

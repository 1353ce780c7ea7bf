#include "answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "interrupt.h"
#include "os.h"
#include "progress.h"

/* What the token callback works on. */
typedef struct answer_producer {
  cli_answer *answer;
  gust_decoder *decoder;
  size_t text_capacity, id_capacity;
  bool stream;
  gust_status status; /* of the callback's own work */
  gust_error *err;
} answer_producer;

/* Makes room for `count` elements of `size` bytes. */
static bool reserve(void **memory, size_t *capacity, size_t count, size_t size) {
  if (count <= *capacity) return true;
  size_t larger = *capacity ? *capacity : 256;
  while (larger < count) {
    if (larger > SIZE_MAX / 2) return false;
    larger *= 2;
  }
  if (larger > SIZE_MAX / size) return false;
  void *grown = realloc(*memory, larger * size);
  if (!grown) return false;
  *memory = grown;
  *capacity = larger;
  return true;
}

static gust_status add_text(answer_producer *producer, const char *text, size_t bytes) {
  cli_answer *answer = producer->answer;
  if (bytes == 0) return GUST_OK;
  void *memory = answer->text;
  if (bytes > SIZE_MAX - answer->bytes - 1 ||
      !reserve(&memory, &producer->text_capacity, answer->bytes + bytes + 1, 1))
    return command_error(producer->err, GUST_E_MEMORY, "no memory for the answer's text");
  answer->text = memory;
  memcpy(answer->text + answer->bytes, text, bytes);
  answer->bytes += bytes;
  answer->text[answer->bytes] = 0;
  if (!producer->stream) return GUST_OK;
  fwrite(text, 1, bytes, stdout);
  return command_flush(producer->err);
}

static gust_status add_id(answer_producer *producer, int32_t id) {
  cli_answer *answer = producer->answer;
  void *memory = answer->ids;
  if (!reserve(&memory, &producer->id_capacity, answer->count + 1, sizeof *answer->ids))
    return command_error(producer->err, GUST_E_MEMORY, "no memory for the answer's ids");
  answer->ids = memory;
  answer->ids[answer->count++] = id;
  const char *text;
  size_t bytes;
  gust_status status = gust_decoder_push(producer->decoder, id, &text, &bytes, producer->err);
  return status == GUST_OK ? add_text(producer, text, bytes) : status;
}

/* Decodes on its own instead of taking the text it is handed, since only so can
 * the decoder have seen the prompt before (continuations). The call without an
 * id, for what the library's decoder held back, has nothing to add to that. */
static bool on_token(void *user, int32_t id, const char *text, size_t bytes) {
  answer_producer *producer = user;
  (void)text, (void)bytes;
  if (id < 0) return false;
  producer->status = add_id(producer, id);
  return producer->status != GUST_OK || interrupt_signal() != 0;
}

static double seconds_since(uint64_t begin_ns) {
  return (double)(os_now_ns() - begin_ns) * 1e-9;
}

static gust_status prefill(cli_answer *answer, gust_context *context, const int32_t *ids,
                           size_t count, bool quiet, gust_error *err) {
  const int32_t *held = gust_context_ids(context);
  size_t length = gust_context_length(context), common = 0;
  while (common < length && common < count && held[common] == ids[common]) common++;
  /* The last id is fed in any case: its logits are what the answer starts from. */
  if (common == count && common > 0) common--;
  if (common < length) common = gust_context_truncate(context, common);
  answer->prompt_tokens = count;
  answer->fed_tokens = count - common;
  progress_line progress;
  uint64_t begin = os_now_ns();
  progress_begin(&progress, "reading the prompt", PROGRESS_TOKENS, quiet);
  gust_status status =
      gust_context_feed(context, ids + common, count - common, progress_update, &progress, err);
  progress_end(&progress);
  answer->prefill_seconds = seconds_since(begin);
  return status;
}

/* Lets the decoder see the prompt, whose text is not wanted again. */
static gust_status prime(gust_decoder *decoder, const int32_t *ids, size_t count, gust_error *err) {
  gust_status status = GUST_OK;
  for (size_t i = 0; i < count && status == GUST_OK; i++) {
    const char *text;
    size_t bytes;
    status = gust_decoder_push(decoder, ids[i], &text, &bytes, err);
  }
  return status;
}

gust_status answer_produce(cli_answer *answer, const gust_model *model, gust_context *context,
                           gust_sampler *sampler, const int32_t *ids, size_t count,
                           const answer_options *options, gust_error *err) {
  memset(answer, 0, sizeof *answer);
  answer_producer producer = {.answer = answer, .stream = options->stream, .err = err};
  gust_status status = gust_decoder_create(&producer.decoder, model, err);
  if (status == GUST_OK && options->continuation) status = prime(producer.decoder, ids, count, err);
  if (status == GUST_OK) status = prefill(answer, context, ids, count, options->quiet, err);
  if (status == GUST_OK) {
    uint64_t begin = os_now_ns();
    status = gust_generate(context, sampler, options->max_tokens, on_token, &producer,
                           &answer->finish, err);
    if (status == GUST_OK) status = producer.status;
    answer->decode_seconds = seconds_since(begin);
  }
  if (status == GUST_OK) {
    const char *text;
    size_t bytes;
    status = gust_decoder_finish(producer.decoder, &text, &bytes, err);
    if (status == GUST_OK) status = add_text(&producer, text, bytes);
  }
  gust_decoder_destroy(producer.decoder);
  return status;
}

void answer_clear(cli_answer *answer) {
  free(answer->text);
  free(answer->ids);
  memset(answer, 0, sizeof *answer);
}

void answer_explain(const cli_answer *answer, const cli_command *command,
                    const gust_context *context, bool limit_given) {
  if (answer->finish == GUST_FINISH_LIMIT && !limit_given)
    command_note(command, "the answer stops at %zu tokens, the checkpoint's max_new_tokens",
                 answer->count);
  if (answer->finish == GUST_FINISH_CONTEXT)
    command_note(command,
                 "the context is full (%zu of %zu positions), so the answer ends here; start anew "
                 "or with a larger --ctx",
                 gust_context_length(context), gust_context_capacity(context));
}

const char *answer_finish_name(const cli_answer *answer) {
  switch (answer->finish) {
    case GUST_FINISH_EOS: return "eos";
    case GUST_FINISH_LIMIT: return "limit";
    case GUST_FINISH_CONTEXT: return "context";
    case GUST_FINISH_CALLBACK: break;
  }
  return "interrupted";
}

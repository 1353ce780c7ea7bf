#include "answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "feed_pace.h"
#include "interrupt.h"
#include "os.h"
#include "progress.h"
#include "screen_text.h"
#include "stop_search.h"
#include "terminal.h"

/* What the token callback works on. */
typedef struct answer_producer {
  cli_answer *answer;
  const answer_options *options;
  gust_decoder *decoder;
  stop_search *stops;
  progress_line progress; /* of drawing, where nothing is streamed */
  size_t total;           /* most tokens there can be */
  size_t text_capacity, id_capacity;
  size_t shown;       /* bytes of the text that were streamed */
  bool on_screen;     /* to a terminal: what would drive it is spelled */
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

/* Streams the text up to `end`. */
static gust_status show_text(answer_producer *producer, size_t end) {
  cli_answer *answer = producer->answer;
  if (!producer->options->stream || end <= producer->shown) return GUST_OK;
  const char *text = answer->text + producer->shown;
  if (producer->on_screen) {
    screen_text_write(stdout, text, end - producer->shown);
  } else {
    fwrite(text, 1, end - producer->shown, stdout);
  }
  producer->shown = end;
  return command_flush(producer->err);
}

/* Text that may begin a stop text waits until what follows tells. */
static gust_status add_text(answer_producer *producer, const char *text, size_t bytes) {
  cli_answer *answer = producer->answer;
  if (bytes == 0 || answer->stopped) return GUST_OK;
  size_t taken, stop = stop_search_feed(producer->stops, text, bytes, &taken);
  void *memory = answer->text;
  if (taken > SIZE_MAX - answer->bytes - 1 ||
      !reserve(&memory, &producer->text_capacity, answer->bytes + taken + 1, 1))
    return command_error(producer->err, GUST_E_MEMORY, "no memory for the answer's text");
  answer->text = memory;
  memcpy(answer->text + answer->bytes, text, taken);
  answer->bytes += taken - stop;
  answer->text[answer->bytes] = 0;
  answer->stopped = stop > 0;
  return show_text(producer,
                   stop ? answer->bytes : answer->bytes - stop_search_pending(producer->stops));
}

static gust_status add_id(answer_producer *producer, int32_t id, const char *text, size_t bytes) {
  cli_answer *answer = producer->answer;
  const answer_options *options = producer->options;
  void *memory = answer->ids;
  if (!reserve(&memory, &producer->id_capacity, answer->count + 1, sizeof *answer->ids))
    return command_error(producer->err, GUST_E_MEMORY, "no memory for the answer's ids");
  answer->ids = memory;
  answer->ids[answer->count++] = id;
  gust_status status = GUST_OK;
  if (options->on_token) status = options->on_token(options->user, id, text, bytes, producer->err);
  return status == GUST_OK ? add_text(producer, text, bytes) : status;
}

static bool on_token(void *user, int32_t id, const char *text, size_t bytes) {
  answer_producer *producer = user;
  producer->status = id < 0 ? add_text(producer, text, bytes) : add_id(producer, id, text, bytes);
  if (!producer->options->stream)
    progress_update(&producer->progress, producer->answer->count, producer->total);
  return producer->status != GUST_OK || producer->answer->stopped || interrupt_signal() != 0;
}

static double seconds_since(uint64_t begin_ns) {
  return (double)(os_now_ns() - begin_ns) * 1e-9;
}

/* Feeds in pieces: progress moves and Ctrl-C is heard between them, and what was fed
 * until then stays. The logits are the same however the sequence is cut. */
static gust_status feed_pieces(gust_context *context, const int32_t *ids, size_t count,
                               progress_line *progress, gust_error *err) {
  feed_pace pace = {0};
  /* What does not fit is refused as a whole, before anything is computed. */
  if (count > gust_context_capacity(context) - gust_context_length(context)) pace.piece = count;
  for (size_t done = 0; done < count;) {
    size_t n = feed_pace_next(&pace, count - done);
    uint64_t begin = os_now_ns();
    gust_status status = gust_context_feed(context, ids + done, n, NULL, NULL, err);
    if (status != GUST_OK) return status;
    done += n;
    if (progress_update(progress, done, count) && done < count)
      return command_error(err, GUST_E_CANCELLED,
                           "reading the prompt was cancelled after %zu of %zu tokens", done, count);
    feed_pace_learn(&pace, n, seconds_since(begin));
  }
  return GUST_OK;
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
  gust_status status = feed_pieces(context, ids + common, count - common, &progress, err);
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

static gust_status draw_answer(answer_producer *producer, gust_context *context,
                               gust_sampler *sampler) {
  cli_answer *answer = producer->answer;
  const answer_options *options = producer->options;
  size_t room = gust_context_capacity(context) - gust_context_length(context) + 1;
  producer->total = options->max_tokens && options->max_tokens < room ? options->max_tokens : room;
  uint64_t begin = os_now_ns();
  progress_begin(&producer->progress, "answering", PROGRESS_TOKENS,
                 options->quiet || options->stream);
  gust_status status = gust_generate(context, sampler, producer->decoder, options->max_tokens,
                                     on_token, producer, &answer->finish, producer->err);
  progress_end(&producer->progress);
  if (status == GUST_OK) status = producer->status;
  answer->decode_seconds = seconds_since(begin);
  if (status != GUST_OK) return status;
  const char *text; /* that still waits, where a signal stopped it */
  size_t bytes;
  status = gust_decoder_finish(producer->decoder, &text, &bytes, producer->err);
  if (status == GUST_OK) status = add_text(producer, text, bytes);
  return status == GUST_OK ? show_text(producer, answer->bytes) : status;
}

gust_status answer_produce(cli_answer *answer, const gust_model *model, gust_context *context,
                           gust_sampler *sampler, const int32_t *ids, size_t count,
                           const answer_options *options, gust_error *err) {
  memset(answer, 0, sizeof *answer);
  answer_producer producer = {
      .answer = answer, .options = options, .on_screen = terminal_is(stdout), .err = err};
  gust_status status = gust_decoder_create(&producer.decoder, model, err);
  if (status == GUST_OK)
    status = stop_search_create(&producer.stops, options->stops, options->stop_count, err);
  if (status == GUST_OK && options->continuation) status = prime(producer.decoder, ids, count, err);
  if (status == GUST_OK) status = prefill(answer, context, ids, count, options->quiet, err);
  if (status == GUST_OK) status = draw_answer(&producer, context, sampler);
  stop_search_destroy(producer.stops);
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
    command_note(command, "note: the answer stops at %zu tokens, the checkpoint's max_new_tokens",
                 answer->count);
  if (answer->finish == GUST_FINISH_CONTEXT)
    command_note(
        command,
        "note: the context is full (%zu of %zu positions), so the answer ends here; start anew "
        "or with a larger --ctx",
        gust_context_length(context), gust_context_capacity(context));
}

const char *answer_finish_name(const cli_answer *answer) {
  if (answer->stopped) return "stop";
  switch (answer->finish) {
    case GUST_FINISH_EOS: return "eos";
    case GUST_FINISH_LIMIT: return "limit";
    case GUST_FINISH_CONTEXT: return "context";
    case GUST_FINISH_CALLBACK: break;
  }
  return "interrupted";
}

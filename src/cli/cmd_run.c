/* gust run: one answer to stdout. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "commands.h"
#include "input.h"
#include "interrupt.h"
#include "json_out.h"
#include "logprobs.h"
#include "model_options.h"
#include "terminal.h"
#include "utf8_check.h"

typedef struct run_own {
  option_value prompt, raw, system, limit, context, logprobs, json;
  option_texts stop;
} run_own;

typedef struct run_values {
  run_own own;
  template_values template;
  sampling_values sampling;
  model_values model;
} run_values;

static const cli_option own_options[] = {
    {.name = "prompt",
     .letter = 'p',
     .kind = OPTION_TEXT,
     .argument = "TEXT",
     .help = "the question; default: standard input without its last line end",
     .place = offsetof(run_own, prompt)},
    {.name = "raw",
     .kind = OPTION_FLAG,
     .help = "go on with the text itself instead of answering it through the chat template; prints "
             "the continuation only",
     .place = offsetof(run_own, raw)},
    {.name = "system",
     .kind = OPTION_TEXT,
     .argument = "TEXT",
     .help = "system message before the question",
     .place = offsetof(run_own, system)},
    {.name = "max-tokens",
     .letter = 'n',
     .kind = OPTION_COUNT,
     .argument = "N",
     .help = "end after N tokens; default: the checkpoint's limit, or a full context",
     .least = 1,
     .most = CONTEXT_MAX_POSITIONS,
     .place = offsetof(run_own, limit)},
    {.name = "stop",
     .kind = OPTION_TEXTS,
     .argument = "TEXT",
     .help = "end the answer before this text; may be given several times",
     .place = offsetof(run_own, stop)},
    {.name = "ctx",
     .kind = OPTION_COUNT,
     .argument = "N",
     .help = "positions the context holds; default: as many as the model was trained for, "
             "or as memory has room for",
     .least = 1,
     .most = CONTEXT_MAX_POSITIONS,
     .place = offsetof(run_own, context)},
    {.name = "json",
     .kind = OPTION_FLAG,
     .help = "print text, ids, finish reason, seed and timings as JSON at the end",
     .place = offsetof(run_own, json)},
    {.name = "logprobs",
     .kind = OPTION_COUNT,
     .argument = "N",
     .help = "with --json: the log-probability of each token, and the N likeliest ones in its "
             "place",
     .most = LOGPROBS_MAX_TOP,
     .place = offsetof(run_own, logprobs)},
    {.name = NULL},
};

/* Everything a run holds; zero-filled, any part may be missing at the end. */
typedef struct run_state {
  gust_model *model;
  gust_context *context;
  gust_sampler *sampler;
  gust_sampling sampling;
  char *input;      /* text from stdin */
  const char *text; /* the prompt, lent */
  size_t bytes;
  int32_t *ids;
  size_t id_count;
  cli_answer answer;
  logprobs *logprobs;
} run_state;

static void drop_line_end(const char *text, size_t *bytes) {
  if (*bytes > 0 && text[*bytes - 1] == '\n') --*bytes;
  if (*bytes > 0 && text[*bytes - 1] == '\r') --*bytes;
}

static gust_status ask(run_state *run, const run_values *values, const char *path,
                       gust_error *err) {
  const char *source;
  gust_status status =
      model_options_template(&source, run->model, values->template.name.text, path, err);
  if (status != GUST_OK) return status;
  const char *system = values->own.system.given ? values->own.system.text : "";
  const gust_message messages[] = {{"system", system, strlen(system)},
                                   {"user", run->text, run->bytes}};
  size_t first = values->own.system.given ? 0 : 1;
  status = gust_chat_tokenize_as(run->model, source, messages + first, 2 - first, true, &run->ids,
                                 &run->id_count, err);
  if (status == GUST_OK || status == GUST_E_MEMORY || source) return status;
  gust_error found = *err;
  return command_error(err, status, "%s; --template NAME chooses another", found.text);
}

/* The prompt's text, which is read and checked before the model is: that may take long. */
static gust_status read_text(run_state *run, const run_values *values, gust_error *err) {
  run->text = values->own.prompt.text;
  run->bytes = run->text ? strlen(run->text) : 0;
  if (!run->text) {
    gust_status status = input_read(NULL, &run->input, &run->bytes, err);
    if (status == GUST_OK) status = utf8_check_text("standard input", run->input, run->bytes, err);
    if (status != GUST_OK) return status;
    run->text = run->input;
    drop_line_end(run->text, &run->bytes);
  }
  /* With --raw the model may begin from nothing. */
  if (run->bytes > 0 || values->own.raw.given) return GUST_OK;
  return command_error(err, GUST_E_ARGUMENT,
                       "expected a prompt, found none on standard input; give -p TEXT or pipe it "
                       "in");
}

static gust_status make_prompt(run_state *run, const run_values *values, const char *path,
                               gust_error *err) {
  gust_status status =
      values->own.raw.given
          ? gust_tokenize(run->model, run->text, run->bytes,
                          GUST_TOKENIZE_BOS | GUST_TOKENIZE_SPECIAL, &run->ids, &run->id_count, err)
          : ask(run, values, path, err);
  if (status == GUST_OK && run->id_count == 0)
    return command_error(err, GUST_E_ARGUMENT,
                         "the prompt: expected at least one token, found none; give some text");
  return status;
}

/* The library refuses it as well, but knows no options. */
static gust_status check_room(const run_state *run, gust_error *err) {
  size_t capacity = gust_context_capacity(run->context);
  if (run->id_count <= capacity) return GUST_OK;
  return command_error(err, GUST_E_CONTEXT_FULL,
                       "the prompt: expected at most %zu tokens, as many as the context holds, "
                       "found %zu; shorten it or give a larger --ctx",
                       capacity, run->id_count);
}

static double rate(size_t tokens, double seconds) {
  return seconds > 0 ? (double)tokens / seconds : 0;
}

static void print_settings(json_out *json, const gust_sampling *sampling) {
  json_out_open_object(json, "sampling", false);
  json_out_real32(json, "temperature", sampling->temperature);
  json_out_count(json, "top_k", sampling->top_k);
  json_out_real32(json, "top_p", sampling->top_p);
  json_out_real32(json, "min_p", sampling->min_p);
  json_out_real32(json, "repeat_penalty", sampling->repeat_penalty);
  json_out_close(json);
}

static void print_timings(json_out *json, const cli_answer *answer) {
  json_out_open_object(json, "timings", false);
  json_out_real(json, "prefill_seconds", answer->prefill_seconds);
  json_out_real(json, "decode_seconds", answer->decode_seconds);
  json_out_real(json, "prefill_tps", rate(answer->fed_tokens, answer->prefill_seconds));
  json_out_real(json, "decode_tps", rate(answer->count, answer->decode_seconds));
  json_out_close(json);
}

static void print_json(const run_state *run, const run_values *values) {
  const cli_answer *answer = &run->answer;
  json_out json = {.file = stdout};
  json_out_open_object(&json, NULL, true);
  json_out_text(&json, "text", answer->text ? answer->text : "", answer->bytes);
  json_out_open_array(&json, "ids", false);
  for (size_t i = 0; i < answer->count; i++) json_out_integer(&json, NULL, answer->ids[i]);
  json_out_close(&json);
  json_out_count(&json, "prompt_tokens", answer->prompt_tokens);
  json_out_count(&json, "tokens", answer->count);
  json_out_string(&json, "finish", answer_finish_name(answer));
  json_out_count(&json, "seed", run->sampling.seed);
  print_settings(&json, &run->sampling);
  print_timings(&json, answer);
  json_out_string(&json, "cpu", gust_context_cpu(run->context));
  json_out_count(&json, "threads", gust_context_threads(run->context));
  json_out_string(&json, "kv", model_options_kv_name(&values->model));
  if (run->logprobs) logprobs_json(run->logprobs, &json);
  json_out_close(&json);
}

static gust_status run_answer(const cli_command *command, run_state *run, const run_values *values,
                              const char *path, gust_error *err) {
  gust_status status = read_text(run, values, err);
  if (status == GUST_OK)
    status = model_options_open(&run->model, command, path, &values->model, err);
  if (status != GUST_OK) return status;
  status = make_prompt(run, values, path, err);
  if (status != GUST_OK) return status;
  status = model_options_context(&run->context, command, run->model, &values->model,
                                 (size_t)values->own.context.count, err);
  if (status == GUST_OK) status = check_room(run, err);
  if (status != GUST_OK) return status;
  run->sampling = model_options_sampling(run->model, &values->sampling);
  status = gust_sampler_create(&run->sampler, run->model, &run->sampling, err);
  if (status == GUST_OK && values->own.logprobs.given)
    status = logprobs_create(&run->logprobs, run->model, run->context,
                             (size_t)values->own.logprobs.count, err);
  if (status != GUST_OK) return status;
  answer_options options = {
      .max_tokens = values->own.limit.given ? (size_t)values->own.limit.count
                                            : gust_model_max_new_tokens(run->model),
      .stream = !values->own.json.given,
      .continuation = values->own.raw.given,
      .quiet = values->model.quiet.given,
      .stops = values->own.stop.text,
      .stop_count = values->own.stop.count,
      .on_token = run->logprobs ? logprobs_add : NULL,
      .user = run->logprobs,
  };
  status = answer_produce(&run->answer, run->model, run->context, run->sampler, run->ids,
                          run->id_count, &options, err);
  if (status != GUST_OK) return status;
  if (values->own.json.given) {
    print_json(run, values);
  } else {
    putchar('\n');
  }
  return command_flush(err);
}

/* What the option tables cannot say. Returns OPTIONS_GO or 2. */
static int check_values(const cli_command *command, const run_values *values) {
  const run_own *own = &values->own;
  gust_error err;
  if (own->raw.given && own->system.given)
    return command_misuse(command, "--raw and --system exclude each other");
  if (own->raw.given && values->template.name.given)
    return command_misuse(command, "--raw and --template exclude each other");
  if (own->logprobs.given && !own->json.given)
    return command_misuse(command, "--logprobs goes with --json; give both");
  if (own->prompt.given && !*own->prompt.text && !own->raw.given)
    return command_misuse(command, "-p: expected a prompt, found none; give some text");
  if (!own->prompt.given && terminal_is(stdin))
    return command_misuse(command, "expected a prompt; give -p TEXT or pipe it in");
  if ((own->prompt.given &&
       utf8_check_text("-p", own->prompt.text, strlen(own->prompt.text), &err) != GUST_OK) ||
      (own->system.given &&
       utf8_check_text("--system", own->system.text, strlen(own->system.text), &err) != GUST_OK))
    return command_misuse(command, "%s", err.text);
  for (size_t i = 0; i < own->stop.count; i++)
    if (utf8_check_text("--stop", own->stop.text[i], strlen(own->stop.text[i]), &err) != GUST_OK)
      return command_misuse(command, "%s", err.text);
  return OPTIONS_GO;
}

static void clear_run(run_state *run) {
  logprobs_destroy(run->logprobs);
  answer_clear(&run->answer);
  gust_sampler_destroy(run->sampler);
  gust_context_destroy(run->context);
  gust_free(run->ids);
  gust_model_close(run->model);
  free(run->input);
}

static int run(const cli_command *command, int argc, char **argv) {
  run_values values = {0};
  const char *operands[COMMAND_MAX_OPERANDS];
  int code = options_parse(command, argc, argv, &values, operands);
  if (code == OPTIONS_GO) code = model_options_check(command, &values.model);
  if (code == OPTIONS_GO) code = check_values(command, &values);
  if (code != OPTIONS_GO) return code;
  interrupt_install();
  run_state state = {0};
  gust_error err = {0};
  gust_status status = run_answer(command, &state, &values, operands[0], &err);
  code = 0;
  if (status != GUST_OK) {
    code = command_fail(command, &err);
  } else if (state.answer.finish == GUST_FINISH_CALLBACK && !state.answer.stopped) {
    code = 128 + interrupt_signal();
  } else if (!values.model.quiet.given) {
    answer_explain(&state.answer, command, state.context, values.own.limit.given);
  }
  clear_run(&state);
  return code;
}

const cli_command command_run = {
    .name = "run",
    .summary = "answer one question",
    .synopsis = "MODEL [-p TEXT | < TEXT] [options]",
    .description =
        "Streams one answer to standard output and ends it with a newline. Nothing but the result "
        "is written there.\n"
        "With --json the result is one object: text, ids, prompt_tokens, tokens, finish (eos: the "
        "model ended its answer; limit: -n or the checkpoint's limit; context: it is full; stop: a "
        "--stop text, which ids hold and text does not; interrupted), seed, sampling, timings, "
        "cpu, "
        "threads, kv, and with --logprobs also logprobs: for each token id, text, logprob and top, "
        "as the model computed them, before any sampling option.\n"
        "Ctrl-C ends the answer early; the exit code is then 130.",
    .operands = {"MODEL"},
    .groups = {{"Options", own_options, offsetof(run_values, own)},
               {"Template", template_options, offsetof(run_values, template)},
               {"Sampling (defaults from the model)", sampling_options,
                offsetof(run_values, sampling)},
               {"Running", model_options, offsetof(run_values, model)}},
    .run = run,
};

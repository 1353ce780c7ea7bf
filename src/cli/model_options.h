/* Options that several commands share, and what they turn into: an open model,
 * a context, sampling parameters. */
#ifndef GUST_CLI_MODEL_OPTIONS_H
#define GUST_CLI_MODEL_OPTIONS_H

#include "command.h"

/* The choices of --cpu: the levels of this architecture, slowest first, whether this
 * processor has them or not. kernels/kernels.h has all there are for messages. */
#if defined(__x86_64__)
#define CPU_LEVELS "c|avx2|avxvnni|avx512|amx"
#elif defined(__aarch64__)
#define CPU_LEVELS "c|neon|dotprod|i8mm"
#else
#define CPU_LEVELS "c"
#endif

/* The choices of --type: src/format.h has them for messages. */
#define MATRIX_TYPES "q4|q8|bf16|f32"

/* --kv --threads --cpu --load --quiet: wherever a model runs. */
typedef struct model_values {
  option_value kv, threads, cpu, load, quiet;
} model_values;
extern const cli_option model_options[];

/* --threads --cpu --quiet of them, for commands that choose the rest. */
extern const cli_option compute_options[];

/* --quiet alone, for commands that only read a file. */
extern const cli_option quiet_options[];

/* --temp --top-k --top-p --min-p --repeat-penalty --seed */
typedef struct sampling_values {
  option_value temperature, top_k, top_p, min_p, repeat_penalty, seed;
} sampling_values;
extern const cli_option sampling_options[];

/* --template: for commands that hold a conversation. */
typedef struct template_values {
  option_value name;
} template_values;
extern const cli_option template_options[];
#define TEMPLATE_OWN "own" /* the model's */

#define CONTEXT_MAX_POSITIONS (1u << 24)

/* Checks what the option tables cannot: the environment variable GUST_CPU, which
 * stands in for --cpu where that is not given. Says so when this processor lacks the
 * level, so that a lower one runs. Returns OPTIONS_GO, or 2 after naming the
 * mistake. */
int model_options_check(const cli_command *command, model_values *values);

/* Opens the model with a progress line; says which way --load auto took. */
gust_status model_options_open(gust_model **model, const cli_command *command, const char *path,
                               const model_values *values, gust_error *err);

/* Opens a model that is only looked at: mapped, without a word. */
gust_status model_options_look(gust_model **model, const char *path, gust_error *err);

/* The source of the template called `name`, for gust_chat_tokenize_as; NULL, for NULL
 * and TEMPLATE_OWN, when the model's own is to be used. Fails, with the names there are,
 * when the model of the file `path` has none of its own and none was chosen: it is
 * never guessed. */
gust_status model_options_template(const char **source, const gust_model *model, const char *name,
                                   const char *path, gust_error *err);

/* A context of `positions` (0: the model's own limit); says so when that is more
 * than the model was trained for. */
gust_status model_options_context(gust_context **context, const cli_command *command,
                                  const gust_model *model, const model_values *values,
                                  size_t positions, gust_error *err);

/* The checkpoint's defaults, overridden by what was given. Without --seed one is
 * drawn; it is below 2^32, so that it survives any JSON reader. */
gust_sampling model_options_sampling(const gust_model *model, const sampling_values *values);

/* "f16", "f32" or "q8": the key-value type the values ask for. */
const char *model_options_kv_name(const model_values *values);

#endif

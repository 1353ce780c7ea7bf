#include "model_options.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "human.h"
#include "os.h"
#include "progress.h"
#include "random64.h"

#define THREADS_OPTION                                                                        \
  {                                                                                           \
    .name = "threads", .kind = OPTION_COUNT, .argument = "N",                                 \
    .help = "threads to compute with; default: the physical cores", .least = 1, .most = 1024, \
    .place = offsetof(model_values, threads)                                                  \
  }
#define CPU_OPTION                                                         \
  {                                                                        \
    .name = "cpu", .kind = OPTION_CHOICE, .argument = CPU_LEVELS,          \
    .help =                                                                \
        "fastest instruction-set level to use; default: GUST_CPU, or the " \
        "best there is",                                                   \
    .place = offsetof(model_values, cpu)                                   \
  }
#define QUIET_OPTION                                                                \
  {                                                                                 \
    .name = "quiet", .kind = OPTION_FLAG, .help = "no progress or notes on stderr", \
    .place = offsetof(model_values, quiet)                                          \
  }

/* The choices of --kv and --load stand in the order of gust_kv and gust_load. */
const cli_option model_options[] = {
    {.name = "kv",
     .kind = OPTION_CHOICE,
     .argument = "f16|f32|q8",
     .help = "number type of the key-value cache; default f16",
     .place = offsetof(model_values, kv)},
    THREADS_OPTION,
    CPU_OPTION,
    {.name = "load",
     .kind = OPTION_CHOICE,
     .argument = "auto|mmap|copy",
     .help = "map the file, or copy it into huge pages, which can decode faster, depending on "
             "kernel and file system; default auto: copy when memory allows",
     .place = offsetof(model_values, load)},
    QUIET_OPTION,
    {.name = NULL},
};

const cli_option compute_options[] = {THREADS_OPTION, CPU_OPTION, QUIET_OPTION, {.name = NULL}};

const cli_option quiet_options[] = {
    {.name = "quiet", .kind = OPTION_FLAG, .help = "no progress or notes on stderr"},
    {.name = NULL},
};

const cli_option sampling_options[] = {
    {.name = "temp",
     .kind = OPTION_REAL,
     .argument = "T",
     .help = "temperature; 0 always takes the likeliest token",
     .low = 0,
     .high = 100,
     .place = offsetof(sampling_values, temperature)},
    {.name = "top-k",
     .kind = OPTION_COUNT,
     .argument = "N",
     .help = "draw among the N likeliest tokens; 0: off",
     .most = 1000000,
     .place = offsetof(sampling_values, top_k)},
    {.name = "top-p",
     .kind = OPTION_REAL,
     .argument = "P",
     .help = "draw among the likeliest tokens that hold this share of probability; 1: off",
     .low = 0.001,
     .high = 1,
     .place = offsetof(sampling_values, top_p)},
    {.name = "min-p",
     .kind = OPTION_REAL,
     .argument = "P",
     .help = "leave out tokens less likely than P times the likeliest; 0: off",
     .low = 0,
     .high = 1,
     .place = offsetof(sampling_values, min_p)},
    {.name = "repeat-penalty",
     .kind = OPTION_REAL,
     .argument = "X",
     .help = "make tokens that occurred less likely; 1: off",
     .low = 0.01,
     .high = 100,
     .place = offsetof(sampling_values, repeat_penalty)},
    {.name = "seed",
     .kind = OPTION_COUNT,
     .argument = "N",
     .help = "the same seed draws the same text; default: a new one each time",
     .most = UINT64_MAX,
     .place = offsetof(sampling_values, seed)},
    {.name = NULL},
};

#define TEMPLATE_NAMES \
  "zephyr|mistral-v0.1|mistral-v0.2|mistral-v0.3|llama-2|vicuna|chatml|alpaca|phi-3"

const cli_option template_options[] = {
    {.name = "template",
     .kind = OPTION_CHOICE,
     .argument = TEMPLATE_OWN "|" TEMPLATE_NAMES,
     .help = "write the conversation as models of this kind do; " TEMPLATE_OWN
             ", the default: as the checkpoint's own chat template says",
     .place = offsetof(template_values, name)},
    {.name = NULL},
};

static const cli_option *find_model_option(const char *name) {
  const cli_option *option = model_options;
  while (option->name && strcmp(option->name, name) != 0) option++;
  return option;
}

/* Where a level stands among CPU_LEVELS. */
static uint64_t level_rank(const char *level) {
  option_value value = {0};
  char expected[160];
  options_read_value(find_model_option("cpu"), level, &value, expected, sizeof expected);
  return value.count;
}

/* Says which level runs in place of one this processor lacks: the last below it. */
static void note_level(const cli_command *command, const char *source, const option_value *asked) {
  const char *level, *best = gust_cpu_level(0);
  for (size_t i = 0; (level = gust_cpu_level(i)) != NULL; i++)
    if (level_rank(level) <= asked->count) best = level;
  if (level_rank(best) == asked->count) return;
  command_note(command, "note: %s: this processor or build lacks %s; %s runs instead", source,
               asked->text, best);
}

int model_options_check(const cli_command *command, model_values *values) {
  const char *level = getenv("GUST_CPU"), *source = "--cpu";
  if (!values->cpu.given && level && *level) {
    char expected[160];
    source = "environment variable GUST_CPU";
    if (!options_read_value(find_model_option("cpu"), level, &values->cpu, expected,
                            sizeof expected))
      return command_misuse(command, "%s: expected %s, found '%s'", source, expected, level);
  }
  if (values->cpu.given && !values->quiet.given) note_level(command, source, &values->cpu);
  return OPTIONS_GO;
}

gust_status model_options_open(gust_model **model, const cli_command *command, const char *path,
                               const model_values *values, gust_error *err) {
  progress_line progress;
  gust_load load = values->load.given ? (gust_load)values->load.count : GUST_LOAD_AUTO;
  gust_model_options options = {.load = load, .progress = progress_update, .user = &progress};
  progress_begin(&progress, "loading", PROGRESS_BYTES, values->quiet.given);
  gust_status status = gust_model_open(model, path, &options, err);
  progress_end(&progress);
  if (status != GUST_OK || load != GUST_LOAD_AUTO || values->quiet.given) return status;
  const gust_model_info *info = gust_model_get_info(*model);
  char bytes[HUMAN_BYTES];
  human_bytes(bytes, (double)info->file_bytes);
  if (info->load == GUST_LOAD_COPY) {
    command_note(command, "--load auto: copied the file into memory (%s)", bytes);
  } else {
    command_note(command, "--load auto: mapped the file (%s), as free memory does not hold a copy",
                 bytes);
  }
  return GUST_OK;
}

gust_status model_options_look(gust_model **model, const char *path, gust_error *err) {
  gust_model_options options = {.load = GUST_LOAD_MMAP, .lazy = true};
  return gust_model_open(model, path, &options, err);
}

gust_status model_options_template(const char **source, const gust_model *model, const char *name,
                                   const char *path, gust_error *err) {
  *source = name ? gust_chat_template_source(name) : NULL;
  if (*source || gust_model_get_info(model)->has_chat_template) return GUST_OK;
  char names[160];
  options_spell_choices(TEMPLATE_NAMES, names, sizeof names);
  return command_error(err, GUST_E_UNSUPPORTED,
                       "%s: expected a chat template, found none; the checkpoint's description may "
                       "say which it was trained with: give --template %s",
                       path, names);
}

gust_status model_options_context(gust_context **context, const cli_command *command,
                                  const gust_model *model, const model_values *values,
                                  size_t positions, gust_error *err) {
  gust_context_options options = {
      .positions = positions,
      .kv = values->kv.given ? (gust_kv)values->kv.count : GUST_KV_F16,
      .threads = values->threads.given ? (unsigned)values->threads.count : 0,
      .cpu = values->cpu.given ? values->cpu.text : NULL,
  };
  uint32_t trained = gust_model_get_info(model)->max_positions;
  if (positions > trained && !values->quiet.given)
    command_note(command,
                 "note: %zu positions are more than the %u the model was trained for; past those "
                 "it may predict badly",
                 positions, trained);
  gust_status status = gust_context_create(context, model, &options, err);
  if (status != GUST_OK || positions || values->quiet.given) return status;
  size_t capacity = gust_context_capacity(*context);
  if (capacity < trained && capacity < CONTEXT_MAX_POSITIONS)
    command_note(command,
                 "note: memory has room for %zu of the %u positions the model was trained for; the "
                 "context is full after those",
                 capacity, trained);
  return GUST_OK;
}

/* Not for secrets: two runs should merely differ. */
static uint64_t draw_seed(void) {
  return gust_mix64((uint64_t)time(NULL) * 0x9e3779b97f4a7c15u ^ os_now_ns()) >> 32;
}

gust_sampling model_options_sampling(const gust_model *model, const sampling_values *values) {
  gust_sampling sampling = gust_model_sampling(model);
  if (values->temperature.given) sampling.temperature = (float)values->temperature.real;
  if (values->top_k.given) sampling.top_k = (uint32_t)values->top_k.count;
  if (values->top_p.given) sampling.top_p = (float)values->top_p.real;
  if (values->min_p.given) sampling.min_p = (float)values->min_p.real;
  if (values->repeat_penalty.given) sampling.repeat_penalty = (float)values->repeat_penalty.real;
  sampling.seed = values->seed.given ? values->seed.count : draw_seed();
  return sampling;
}

const char *model_options_kv_name(const model_values *values) {
  return values->kv.given ? values->kv.text : "f16";
}

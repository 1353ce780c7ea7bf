#include "bench_run.h"

#include <math.h>
#include <stdlib.h>

#include "cli/progress.h"
#include "model.h"
#include "model_cost.h"
#include "multiply_probe.h"
#include "status.h"

/* --- rows ----------------------------------------------------------------------------------- */

static size_t rows_per_depth(const bench_request *request) {
  size_t prompts = request->prompts.count, gens = request->gens.count;
  return prompts > gens ? prompts : gens;
}

size_t bench_row_count(const bench_request *request) {
  return request->depths.count * rows_per_depth(request);
}

static bench_row row_of(const bench_request *request, size_t index) {
  size_t pair = index % rows_per_depth(request);
  const count_list *prompts = &request->prompts, *gens = &request->gens;
  return (bench_row){.prompt = pair < prompts->count ? prompts->values[pair] : 0,
                     .gen = pair < gens->count ? gens->values[pair] : 0,
                     .depth = request->depths.values[index / rows_per_depth(request)]};
}

/* --- the machine's limits ------------------------------------------------------------------- */

/* Both probes, on as many threads as the context has. */
typedef struct machine_limits {
  gust_pool *pool;
  bandwidth_probe *bandwidth;
  const char *level;
} machine_limits;

/* The pages of a mapped model are to stay in memory beside the probe's buffer. */
static size_t probe_bytes(const gust_model *model) {
  const gust_model_info *info = gust_model_get_info(model);
  return bandwidth_probe_bytes(info->load == GUST_LOAD_MMAP ? info->file_bytes : 0);
}

static gust_status find_limits(machine_limits *limits, const bench_report *report,
                               const gust_model *model, bool quiet, gust_error *err) {
  limits->level = report->cpu;
  limits->pool = gust_pool_create(report->threads);
  if (!limits->pool)
    return command_error(err, GUST_E_MEMORY, "cannot start %u threads; use fewer (--threads)",
                         report->threads);
  progress_line progress;
  progress_begin(&progress, "measuring memory", PROGRESS_BYTES, quiet);
  gust_status status = bandwidth_probe_create(&limits->bandwidth, limits->pool, probe_bytes(model),
                                              progress_update, &progress, err);
  progress_end(&progress);
  return status;
}

static void forget_limits(machine_limits *limits) {
  bandwidth_probe_destroy(limits->bandwidth);
  gust_pool_destroy(limits->pool);
}

static gust_status limit_now(void *user, throughput_part part, double *limit, gust_error *err) {
  machine_limits *limits = user;
  if (part == THROUGHPUT_DECODE) return bandwidth_probe_again(limits->bandwidth, limit, err);
  *limit = probe_multiply_adds(limits->pool, limits->level);
  return GUST_OK;
}

/* --- one row -------------------------------------------------------------------------------- */

/* Multiply-adds of weights that reading a prompt takes; NaN when some matrices
 * are no integers. All but the embedding, which is looked up, and the head, which
 * only the last token needs. */
static double prompt_multiply_adds(const gust_model *model, size_t prompt) {
  model_cost cost = model_cost_of(&model->header);
  return cost.layer_multiply_adds * (double)prompt + cost.head_multiply_adds;
}

static throughput_plan plan_of(const bench_row *row, const gust_model *model, size_t repetitions) {
  return (throughput_plan){.prompt = row->prompt,
                           .gen = row->gen,
                           .depth = row->depth,
                           .window = gust_model_get_info(model)->sliding_window,
                           .repetitions = repetitions};
}

static gust_status measure_row(bench_row *row, gust_context *context, const gust_model *model,
                               machine_limits *limits, throughput_plan *plan, gust_error *err) {
  plan->limit = limit_now;
  plan->limit_user = limits;
  uint32_t vocab = gust_model_get_info(model)->vocab_size;
  gust_status status = throughput_measure(&row->speed, context, vocab, plan, err);
  row->bandwidth = row->gen ? row->speed.decode.limit : bandwidth_probe_best(limits->bandwidth);
  row->multiply_adds = row->multiply_peak = (double)NAN;
  double needed = prompt_multiply_adds(model, row->prompt);
  if (row->prompt == 0 || isnan(needed)) return status;
  row->multiply_adds = needed * row->speed.prefill.median / (double)row->prompt;
  if (row->speed.prefill.limit > 0) row->multiply_peak = row->speed.prefill.limit;
  return status;
}

/* --- all of it ------------------------------------------------------------------------------ */

static gust_status measure_rows(bench_report *report, const gust_model *model,
                                gust_context *context, bool quiet, gust_error *err) {
  machine_limits limits = {0};
  gust_status status = find_limits(&limits, report, model, quiet, err);
  for (size_t i = 0; i < report->row_count && !status; i++) {
    throughput_plan plan = plan_of(&report->rows[i], model, report->repetitions);
    progress_line progress;
    progress_begin(&progress, "measuring", PROGRESS_TOKENS, quiet);
    plan.progress = progress_update;
    plan.user = &progress;
    status = measure_row(&report->rows[i], context, model, &limits, &plan, err);
    progress_end(&progress);
  }
  if (!status) {
    report->bandwidth_best = bandwidth_probe_best(limits.bandwidth);
    bandwidth_probe_way(limits.bandwidth, report->bandwidth_way);
  }
  forget_limits(&limits);
  return status;
}

/* The probes come after the model and its cache have taken their memory: what --load
 * auto decides does not depend on them, and they take of what is left. */
static gust_status run_rows(bench_report *report, const gust_model *model,
                            const cli_command *command, const model_values *values,
                            gust_error *err) {
  size_t positions = 0;
  for (size_t i = 0; i < report->row_count; i++) {
    throughput_plan plan = plan_of(&report->rows[i], model, report->repetitions);
    size_t needed = throughput_positions(&plan);
    if (needed > positions) positions = needed;
  }
  if (positions > CONTEXT_MAX_POSITIONS)
    return command_error(err, GUST_E_ARGUMENT,
                         "expected at most %u positions in all repetitions, found %zu; use fewer "
                         "(--reps) or shorter ones",
                         CONTEXT_MAX_POSITIONS, positions);
  gust_context *context;
  gust_status status = model_options_context(&context, command, model, values, positions, err);
  if (status) return status;
  report->cpu = gust_context_cpu(context);
  report->threads = gust_context_threads(context);
  status = measure_rows(report, model, context, values->quiet.given, err);
  gust_context_destroy(context);
  return status;
}

static gust_status open_model(gust_model **model, const cli_command *command,
                              const bench_request *request, gust_error *err) {
  const model_values *values = request->running;
  if (request->path) return model_options_open(model, command, request->path, values, err);
  progress_line progress;
  progress_begin(&progress, "making weights", PROGRESS_BYTES, values->quiet.given);
  gust_status status = gust_model_create_synthetic(model, request->shape, request->type,
                                                   progress_update, &progress, err);
  progress_end(&progress);
  return status;
}

gust_status bench_run(bench_report *report, gust_model **model, const cli_command *command,
                      const bench_request *request, gust_error *err) {
  size_t rows = bench_row_count(request);
  report->rows = calloc(rows, sizeof *report->rows);
  if (!report->rows) return gust_fail_memory(err, "a benchmark", rows * sizeof *report->rows);
  for (size_t i = 0; i < rows; i++) report->rows[i] = row_of(request, i);
  report->row_count = rows;
  gust_status status = open_model(model, command, request, err);
  if (status) return status;
  const gust_model_info *info = gust_model_get_info(*model);
  report->model = request->path ? request->path : request->shape;
  report->type = request->path ? NULL : request->type;
  report->load = info->load == GUST_LOAD_COPY ? "copy" : "mmap";
  report->kv = model_options_kv_name(request->running);
  report->repetitions = request->repetitions;
  report->weight_bytes_per_token = info->weight_bytes_per_token;
  cpu_name(report->cpu_model);
  return run_rows(report, *model, command, request->running, err);
}
